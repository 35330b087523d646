"""Whether the values of a pair can be what it says they are: unwrapped phase, and coherence."""

from __future__ import annotations

import math

import numpy as np

from rockglacier.readers.stack import FlawedPair

# ASSUME: no unwrapped phase lies beyond 1000 rad (4 m at C band, 19 m at L band): beyond it lies
# an undeclared nodata value.
LARGEST_RAD = 1000.0
# Unwrapping leaves at least half of all neighbours less than half a cycle apart: even of pure
# noise the median difference is pi / 2.
ROUGHEST_RAD = 2.0
COHERENCE_SLACK = 1e-3  # what resampling by the stack's maker may add beyond 0..1

WRAPPED_SLACK_RAD = 1e-3  # pi in single precision, and a little more
FILLED = 0.95  # of -pi to pi
NEARLY_A_CYCLE, CLEARLY_LESS = 1.8 * math.pi, 1.6 * math.pi
# ASSUME: unwrapped phase within one cycle has no more neighbours than that nearly a cycle apart.
SHARE_OF_JUMPS = 2e-4  # four edges of fringes across 10 000 columns
LINES = 200  # rows, and columns, along which neighbours are compared


class PhaseCheck:
    """What the phase of one pair looks like, gathered band by band."""

    def __init__(self) -> None:
        self.samples = self.beyond = 0
        self.low, self.high = math.inf, -math.inf
        self._roughness = 0.0  # sum of medians, each times its count
        self._steps = 0
        self._neighbours = self._jumps = self._lesser = 0

    def add(self, phase: np.ndarray) -> None:
        """Look at a band of ``phase`` (y, x; rad); what no phase can be becomes NaN, in place.

        Where bands overlap a sample counts twice.
        """
        low, high = _limits(phase)
        if low < -LARGEST_RAD or high > LARGEST_RAD:
            absurd = (phase > LARGEST_RAD) | (phase < -LARGEST_RAD)
            self.beyond += int(np.count_nonzero(absurd))
            phase[absurd] = np.nan
            low, high = _limits(phase)
        self.samples += int(np.count_nonzero(np.isfinite(phase)))
        self.low, self.high = min(self.low, low), max(self.high, high)
        step = np.abs(np.diff(phase[:: max(1, phase.shape[0] // 100)], axis=1))
        step = step[np.isfinite(step)]
        if step.size:
            self._roughness += float(np.median(step)) * step.size
            self._steps += step.size
        if self._within_a_cycle:
            rows, columns = (max(1, n // LINES) for n in phase.shape)
            for lines, axis in ((phase[::rows], 1), (phase[:, ::columns], 0)):
                step = np.abs(np.diff(lines, axis=axis))
                self._neighbours += int(np.count_nonzero(np.isfinite(step)))
                self._jumps += int(np.count_nonzero(step > NEARLY_A_CYCLE))
                lesser = (step > CLEARLY_LESS) & (step <= NEARLY_A_CYCLE)
                self._lesser += int(np.count_nonzero(lesser))

    @property
    def roughness(self) -> float:
        """Median difference (rad) of neighbours along about a hundred rows, NaN for none."""
        return self._roughness / self._steps if self._steps else math.nan

    @property
    def _within_a_cycle(self) -> bool:
        edge = math.pi + WRAPPED_SLACK_RAD
        return self.low >= -edge and self.high <= edge

    @property
    def _wrapped(self) -> bool:
        """Whether phase fills -pi to pi, never leaves it, and jumps from end to end.

        Noise that fills a cycle jumps too, but thrice as often by somewhat less than a whole cycle
        (the difference of two uniform phases has a triangular density); fringes jump by all of it.
        """
        full = FILLED * math.pi
        return (
            self._within_a_cycle
            and self.low < -full
            and self.high > full
            and self._jumps > SHARE_OF_JUMPS * self._neighbours
            and self._jumps > 0.5 * self._lesser + 3.0 * math.sqrt(self._lesser)
        )

    def require(self, path: str) -> None:
        """Raise FlawedPair, of the file ``path``, where this is no unwrapped phase in radians."""
        if self.samples > 1 and self.low == self.high:
            raise FlawedPair(
                path,
                "constant phase",
                found=f"{self.low:.6g} rad at each of {self.samples} samples",
                needed="phase that varies, as noise alone makes it",
                remedy="make the pair again, or state this value as nodata",
            )
        if self._wrapped:
            raise FlawedPair(
                path,
                "wrapped phase",
                found=f"values from {self.low:.3f} to {self.high:.3f} rad, of which "
                f"{100.0 * self._jumps / self._neighbours:.2g} % of the neighbours jump by nearly "
                "a whole cycle",
                needed="unwrapped phase",
                remedy="name the unwrapped file, or unwrap the pair (snaphu)",
            )
        if self.roughness > ROUGHEST_RAD:
            raise in_degrees(path, f"neighbouring pixels differ by {self.roughness:.1f} (median)")


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Least and greatest value, NaN aside; infinite, in reverse order, where there is none."""
    low = np.fmin.reduce(values, axis=None, initial=np.inf)
    return float(low), float(np.fmax.reduce(values, axis=None, initial=-np.inf))


def in_degrees(path: str, found: str) -> FlawedPair:
    """The flaw of a pair whose phase is in degrees."""
    return FlawedPair(
        path,
        "phase in degrees",
        found=found,
        needed="unwrapped phase in radians, whose neighbours differ by less than half a cycle",
        remedy="multiply it by pi/180",
    )


def clip_coherence(coherence: np.ndarray, path: str) -> float:
    """Clip ``coherence`` in place to 0..1, and return its greatest value, -inf where there is none.

    FlawedPair, of the file ``path``, where it lies well outside.
    """
    low, high = _limits(coherence)
    if low < -COHERENCE_SLACK or high > 1.0 + COHERENCE_SLACK:
        raise FlawedPair(
            path,
            "coherence outside 0..1",
            found=f"values from {low:.4g} to {high:.4g}",
            needed="0..1",
            remedy="scale it, or state the scale in the file (gdal_edit.py -scale 0.00392157 for "
            "0..255)",
        )
    if low < 0.0 or high > 1.0:
        np.clip(coherence, 0.0, 1.0, out=coherence)
    return high


def no_coherence(path: str) -> FlawedPair:
    """The flaw of a pair whose coherence is 0 wherever it is known."""
    return FlawedPair(
        path,
        "coherence zero everywhere",
        found="no coherence above 0 within the region",
        needed="coherence from 0 to 1 that tells good samples from bad ones",
        remedy="name the file of its coherence, or make the pair again",
    )
