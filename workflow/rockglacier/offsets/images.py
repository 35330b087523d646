"""Images as the matcher wants them: filtered, without gaps, oversampled where detection needs it.

Every filter has a finite reach, so that a tile with that much around it gives the same as the whole
image.

Source
------
Interpolation and oversampling: Kaiser-windowed sinc; Oppenheim & Schafer (2010), chapter 7. Why a
complex image is oversampled before it is detected: De Zan (2014), doi:10.1109/LGRS.2013.2293775.
Wallis filter: Wallis (1976).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numba
import numpy as np
from scipy.ndimage import binary_erosion

from rockglacier.offsets.matching import LANES, TAPS, UPSAMPLING

Prefilter = Literal["highpass", "wallis"]

HALF_TAPS = 8  # pixels on either side that a value between pixels is made of
HALF_BETA = 6.0  # of the Kaiser window there: 0.1 % up to 0.44 cycles a pixel
FINE_BETA = 4.0  # of the shorter one between pixels of the finer grid
PHASES = 1024
SLOPE_TAPS = 8
SLOPE_BETA = 5.0
GAP_EDGE = 3  # pixels around a gap that its filling reaches noticeably
SURROUNDINGS = 21  # pixels a side: what a value is taken against


@dataclass(frozen=True, eq=False)
class Prepared:
    """One image ready for matching (y, x): its values, 0 in gaps, and where it is known."""

    values: np.ndarray  # float32
    known: np.ndarray  # float32, 1 or 0

    def halved(self, times: int) -> list[np.ndarray]:
        """The values, and those on ever coarser grids, whose pixels are those of even index."""
        found = [self.values]
        for _ in range(times):
            smooth = _along_x(_along_y(found[-1], HALVING), HALVING)
            found.append(np.ascontiguousarray(smooth[::2, ::2]))
        return found


HALVING = np.array([1, 4, 6, 4, 1], np.float32) / 16  # before every second pixel is left out
# Pixels of the image around a tile that its prepared values depend on.
REACH = 2 * SURROUNDINGS + GAP_EDGE + HALF_TAPS + 2 * SLOPE_TAPS


@numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _along_x(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sum over the pixels of each row around every one; edges repeat."""
    rows, columns = values.shape
    before = (weights.size - 1) // 2
    out = np.empty((rows, columns), np.float32)
    line = np.empty(columns + weights.size, np.float32)
    for i in range(rows):
        for j in range(line.size):
            line[j] = values[i, min(max(j - before, 0), columns - 1)]
        for j in range(columns):
            out[i, j] = np.float32(0.0)
        for k in range(weights.size):
            w = weights[k]
            for j in range(columns):
                out[i, j] += w * line[j + k]
    return out


@numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _along_y(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The same over columns."""
    rows, columns = values.shape
    before = (weights.size - 1) // 2
    out = np.zeros((rows, columns), np.float32)
    for i in range(rows):
        for k in range(weights.size):
            w, from_row = weights[k], min(max(i - before + k, 0), rows - 1)
            for j in range(columns):
                out[i, j] += w * values[from_row, j]
    return out


@numba.njit(cache=True, nogil=True)
def _mean_around(values: np.ndarray, side: int) -> np.ndarray:
    """Mean of the square around every pixel, twice over, which makes it a smooth one; edges repeat.

    Running sums: in double precision, so that where a tile begins does not show.
    """
    rows, columns = values.shape
    half = side // 2
    out = values.astype(np.float32)
    for _ in range(2):
        down = np.empty((rows, columns), np.float32)
        total = np.zeros(columns)
        for i in range(-half, rows):
            for j in range(columns):
                total[j] += out[min(i + half, rows - 1), j] if i + half >= 0 else out[0, j]
            if i == -half:
                for _k in range(half):
                    for j in range(columns):
                        total[j] += out[0, j]
            if i >= 0:
                for j in range(columns):
                    down[i, j] = total[j] / side
                    total[j] -= out[max(i - half, 0), j]
        for i in range(rows):
            s = 0.0
            for k in range(-half, half):
                s += down[i, min(max(k, 0), columns - 1)]
            for j in range(columns):
                s += down[i, min(j + half, columns - 1)]
                out[i, j] = s / side
                s -= down[i, max(j - half, 0)]
    return out


@cache
def interpolation_table() -> np.ndarray:
    """Kernel (PHASES + 1, LANES; float32) between the pixels of the finer secondary."""
    table = np.zeros((PHASES + 1, LANES), np.float32)
    table[:, :TAPS] = _kernel(np.arange(PHASES + 1) / PHASES, TAPS, FINE_BETA)
    return table


def _kernel(phase: np.ndarray, taps: int, beta: float) -> np.ndarray:
    """Kaiser-windowed sinc: weights (phase, tap) of the pixels around a place past one of them."""
    t = phase[:, None] - (np.arange(taps) - (taps // 2 - 1))
    window = np.i0(beta * np.sqrt(np.clip(1.0 - (t / (taps / 2)) ** 2, 0.0, None)))
    weights = np.sinc(t) * window
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def oversampled(image: np.ndarray) -> np.ndarray:
    """``image`` (y, x; float32) on a grid of half the spacing; its own pixels stay."""
    weights = _kernel(np.array([0.5]), 2 * HALF_TAPS, HALF_BETA)[0]
    out = np.empty((UPSAMPLING * image.shape[0], UPSAMPLING * image.shape[1]), np.float32)
    right = _along_x(image, weights)
    out[::2, ::2], out[::2, 1::2] = image, right
    out[1::2, ::2], out[1::2, 1::2] = _along_y(image, weights), _along_y(right, weights)
    return out


def slopes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Derivatives (per pixel) of an image (y, x) along y and x, and minus its Laplacian."""
    k = np.arange(-SLOPE_TAPS, SLOPE_TAPS + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ideal = np.where(k == 0, 0.0, -np.cos(np.pi * k) / k)
    weights = np.asarray(ideal * np.kaiser(k.size, SLOPE_BETA), np.float32)
    along_y, along_x = _along_y(values, weights), _along_x(values, weights)
    return along_y, along_x, -_along_y(along_y, weights) - _along_x(along_x, weights)


def prepare(image: np.ndarray, prefilter: Prefilter) -> Prepared:
    """An image (y, x; NaN where unknown) as the matcher wants it.

    A complex one is oversampled twice, then detected: its result has half the spacing.
    """
    known = np.isfinite(image)
    whole = bool(known.all())
    values = image if whole else np.where(known, image, 0)  # what the filter does not count
    side = SURROUNDINGS
    if np.iscomplexobj(image):
        side = UPSAMPLING * side + 1
        parts = (np.ascontiguousarray(part, np.float32) for part in (values.real, values.imag))
        values = np.hypot(*(oversampled(part) for part in parts))
        known = known.repeat(UPSAMPLING, axis=0).repeat(UPSAMPLING, axis=1)
    values = _filtered(np.asarray(values, np.float32), known, prefilter, side)
    if not whole:
        values = np.where(known, values, np.float32(0.0))
        known = binary_erosion(known, iterations=GAP_EDGE, border_value=1)
    return Prepared(np.ascontiguousarray(values), np.asarray(known, np.float32))


def _filtered(values: np.ndarray, known: np.ndarray, prefilter: Prefilter, side: int) -> np.ndarray:
    """Values less their surroundings (highpass), over their spread there (wallis)."""
    if known.all():
        share = np.float32(1.0)
    else:
        share = np.maximum(_mean_around(known.astype(np.float32), side), np.float32(1e-3))
    flat = values - _mean_around(values, side) / share
    if prefilter == "highpass":
        return np.asarray(flat, np.float32)
    spread = np.sqrt(_mean_around(np.where(known, flat * flat, np.float32(0.0)), side) / share)
    return np.asarray(flat / np.maximum(spread, np.float32(1e-6)), np.float32)
