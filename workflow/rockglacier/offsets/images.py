"""Images as the matcher wants them: filtered, without gaps, oversampled where detection needs it.

Every filter has a finite reach, so that a tile with that much around it gives the same as the whole
image.

Source
------
Interpolation and oversampling: Kaiser-windowed sinc; Oppenheim & Schafer (2010), chapter 7. Why a
complex image is oversampled before it is detected: De Zan (2014), doi:10.1109/LGRS.2013.2255259.
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
LEAST_SPREAD = np.float32(1e-6)
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
            found.append(_halved(found[-1], HALVING))
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


@numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _halved(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sum over the pixels around every second one of every second row; edges repeat."""
    rows, columns = values.shape
    before = (weights.size - 1) // 2
    out = np.zeros(((rows + 1) // 2, (columns + 1) // 2), np.float32)
    line = np.empty(columns + weights.size, np.float32)
    for i in range(out.shape[0]):
        line[:] = np.float32(0.0)
        for k in range(weights.size):
            w, from_row = weights[k], min(max(2 * i - before + k, 0), rows - 1)
            for j in range(columns):
                line[before + j] += w * values[from_row, j]
        for j in range(before):
            line[j] = line[before]
        for j in range(before + columns, line.size):
            line[j] = line[before + columns - 1]
        for k in range(weights.size):
            w = weights[k]
            for j in range(out.shape[1]):
                out[i, j] += w * line[2 * j + k]
    return out


@numba.njit(cache=True, nogil=True)
def _mean_around(values: np.ndarray, side: int) -> np.ndarray:
    """Mean of the square around every pixel, twice over, which makes it a smooth one; edges repeat.

    Running sums: in double precision, so that where a tile begins does not show.
    """
    rows, columns = values.shape
    half = side // 2
    out = values.astype(np.float32)
    down = np.empty((rows, columns), np.float32)
    line = np.empty(columns + side - 1, np.float32)
    for _ in range(2):
        total = np.zeros(columns)
        for k in range(-half, half):
            row = out[min(max(k, 0), rows - 1)]
            for j in range(columns):
                total[j] += row[j]
        for i in range(rows):
            enters, leaves, middle = out[min(i + half, rows - 1)], out[max(i - half, 0)], down[i]
            for j in range(columns):
                t = total[j] + enters[j]
                middle[j] = t / side
                total[j] = t - leaves[j]
        for i in range(rows):
            line[:half] = down[i, 0]
            line[half : half + columns] = down[i]
            line[half + columns :] = down[i, columns - 1]
            s = 0.0
            for j in range(side - 1):
                s += line[j]
            row = out[i]
            for j in range(columns):
                s += line[j + side - 1]
                row[j] = s / side
                s -= line[j]
    return out


@numba.njit(cache=True, nogil=True)
def _blocks(values: np.ndarray, squared: bool) -> np.ndarray:
    """Mean of each square of UPSAMPLING pixels a side, or of what they are squared."""
    rows, columns = values.shape[0] // UPSAMPLING, values.shape[1] // UPSAMPLING
    out = np.empty((rows, columns), np.float32)
    for i in range(rows):
        for j in range(columns):
            s = np.float32(0.0)
            for k in range(UPSAMPLING):
                for n in range(UPSAMPLING):
                    v = values[UPSAMPLING * i + k, UPSAMPLING * j + n]
                    s += v * v if squared else v
            out[i, j] = s / np.float32(UPSAMPLING * UPSAMPLING)
    return out


@numba.njit(cache=True, nogil=True)
def _against_blocks(values: np.ndarray, blocks: np.ndarray, over: bool) -> None:
    """``values`` less what ``blocks`` tell there, or ``over`` it; straight between middles."""
    rows, columns = blocks.shape
    row = np.empty(columns, np.float32)
    near, far = np.float32(0.75), np.float32(0.25)
    for i in range(2 * rows):
        other = min(max(i // 2 + (1 if i % 2 else -1), 0), rows - 1)
        for j in range(columns):
            row[j] = near * blocks[i // 2, j] + far * blocks[other, j]
        for j in range(2 * columns):
            beside = min(max(j // 2 + (1 if j % 2 else -1), 0), columns - 1)
            level = near * row[j // 2] + far * row[beside]
            if over:
                values[i, j] /= level
            else:
                values[i, j] -= level


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
    if np.iscomplexobj(image):
        parts = (np.ascontiguousarray(part, np.float32) for part in (values.real, values.imag))
        values = np.hypot(*(oversampled(part) for part in parts))
        values = _filtered_by_blocks(values, known, prefilter)
        known = known.repeat(UPSAMPLING, axis=0).repeat(UPSAMPLING, axis=1)
    else:
        values = _filtered(np.asarray(values, np.float32), known, prefilter)
    if not whole:
        values = np.where(known, values, np.float32(0.0))
        known = binary_erosion(known, iterations=GAP_EDGE, border_value=1)
    return Prepared(np.ascontiguousarray(values), np.asarray(known, np.float32))


def _filtered(values: np.ndarray, known: np.ndarray, prefilter: Prefilter) -> np.ndarray:
    """Values less their surroundings (highpass), over their spread there (wallis)."""
    share = _share_around(known)
    flat = values - _mean_around(values, SURROUNDINGS) / share
    if prefilter == "highpass":
        return np.asarray(flat, np.float32)
    power = np.where(known, flat * flat, np.float32(0.0))
    spread = np.sqrt(_mean_around(power, SURROUNDINGS) / share)
    return np.asarray(flat / np.maximum(spread, LEAST_SPREAD), np.float32)


def _filtered_by_blocks(values: np.ndarray, known: np.ndarray, prefilter: Prefilter) -> np.ndarray:
    """The same of an oversampled image (float32, changed in place), whose surroundings are smooth.

    ``known`` is that of its blocks of UPSAMPLING pixels a side.
    """
    share = _share_around(known)
    mean = np.where(known, _blocks(values, False), np.float32(0.0))
    _against_blocks(values, _mean_around(mean, SURROUNDINGS) / share, False)
    if prefilter == "highpass":
        return values
    power = np.where(known, _blocks(values, True), np.float32(0.0))
    spread = np.sqrt(_mean_around(power, SURROUNDINGS) / share)
    _against_blocks(values, np.maximum(spread, LEAST_SPREAD), True)
    return values


def _share_around(known: np.ndarray) -> np.ndarray | np.float32:
    """Share of the square around every pixel that is known, but for a trifle."""
    if known.all():
        return np.float32(1.0)
    share: np.ndarray = _mean_around(known.astype(np.float32), SURROUNDINGS)
    return np.asarray(np.maximum(share, np.float32(1e-3)))
