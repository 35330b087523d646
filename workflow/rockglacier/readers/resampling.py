"""Kernels of resampling: interpolation that respects jumps, and the inverse of a lookup."""

from __future__ import annotations

import math

import numba
import numpy as np

# ASSUME: a cell of the lookup this many times larger than the median one is a seam or a shadow.
LARGEST_CELL = 20.0


@numba.njit(nogil=True, cache=True)
def _interpolate(
    values: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    samples: int,
    jump: float,
    out: np.ndarray,
) -> None:
    height, width = values.shape
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            out[i, j] = np.nan
            r, c = rows[i, j], columns[i, j]
            if not (r == r and c == c):
                continue
            near_i = min(max(math.floor(r + 0.5), 0), height - 1)
            near_j = min(max(math.floor(c + 0.5), 0), width - 1)
            centre = values[near_i, near_j]
            if centre != centre:
                continue
            down_r = down_c = right_r = right_c = 0.0
            if samples > 1:
                a, b = (i, i + 1) if i + 1 < rows.shape[0] else (i - 1, i)
                if a >= 0 and rows[a, j] == rows[a, j] and rows[b, j] == rows[b, j]:
                    down_r, down_c = rows[b, j] - rows[a, j], columns[b, j] - columns[a, j]
                a, b = (j, j + 1) if j + 1 < rows.shape[1] else (j - 1, j)
                if a >= 0 and rows[i, a] == rows[i, a] and rows[i, b] == rows[i, b]:
                    right_r, right_c = rows[i, b] - rows[i, a], columns[i, b] - columns[i, a]
            total = weights = 0.0
            for u in range(samples):
                for v in range(samples):
                    along = (u + 0.5) / samples - 0.5
                    across = (v + 0.5) / samples - 0.5
                    sample_r = r + along * down_r + across * right_r
                    sample_c = c + along * down_c + across * right_c
                    top, left = math.floor(sample_r), math.floor(sample_c)
                    for k in range(2):
                        for m in range(2):
                            row, column = int(top) + k, int(left) + m
                            if row < 0 or column < 0 or row >= height or column >= width:
                                continue
                            weight = (1.0 - abs(sample_r - row)) * (1.0 - abs(sample_c - column))
                            value = values[row, column]
                            # A NaN fails the comparison as a jump does.
                            if weight > 0.0 and abs(value - centre) < jump:
                                total += weight * (value - centre)
                                weights += weight
            out[i, j] = centre + total / weights if weights > 0.0 else centre


def interpolate(
    values: np.ndarray, rows: np.ndarray, columns: np.ndarray, samples: int, jump: float
) -> np.ndarray:
    """Bilinear values at fractional ``rows`` and ``columns``, float32.

    NaN where the nearest pixel is NaN; neighbours that are NaN or differ from the nearest by
    ``jump`` or more do not count. ``samples`` a side are averaged within each pixel.
    """
    out = np.empty(rows.shape, np.float32)
    _interpolate(values.astype(np.float32, copy=False), rows, columns, samples, jump, out)
    return out


def nearest(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The nearest pixel's values (integers) at fractional ``rows`` and ``columns``, 0 outside."""
    inside = np.isfinite(rows) & np.isfinite(columns)
    i = np.floor(np.where(inside, rows, 0.0) + 0.5).astype(np.int64).clip(0, values.shape[0] - 1)
    j = np.floor(np.where(inside, columns, 0.0) + 0.5).astype(np.int64).clip(0, values.shape[1] - 1)
    out: np.ndarray = np.where(inside, values[i, j], 0).astype(values.dtype)
    return out


@numba.njit(nogil=True, cache=True)
def _cell_areas(x: np.ndarray, y: np.ndarray, step: int) -> np.ndarray:
    areas = np.empty((x.shape[0] // step + 1) * (x.shape[1] // step + 1))
    count = 0
    for i in range(0, x.shape[0] - 1, step):
        for j in range(0, x.shape[1] - 1, step):
            area = (x[i, j + 1] - x[i, j]) * (y[i + 1, j] - y[i, j]) - (x[i + 1, j] - x[i, j]) * (
                y[i, j + 1] - y[i, j]
            )
            if area == area:
                areas[count] = area
                count += 1
    return areas[:count]


@numba.njit(nogil=True, cache=True)
def _fill_triangle(
    x: np.ndarray,
    y: np.ndarray,
    i: int,
    j: int,
    upper: bool,
    sense: float,
    rows: np.ndarray,
    columns: np.ndarray,
    folded: np.ndarray,
) -> None:
    """Give pixels in one half of cell (i, j) their place: corners (0,0), (0,1) or (1,0), (1,1)."""
    x0, y0 = float(x[i, j]), float(y[i, j])
    x1, y1 = (x[i, j + 1], y[i, j + 1]) if upper else (x[i + 1, j], y[i + 1, j])
    x2, y2 = float(x[i + 1, j + 1]), float(y[i + 1, j + 1])
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    if area == 0.0:
        return
    fold = (area * sense > 0.0) != upper
    height, width = rows.shape
    for row in range(
        max(math.ceil(min(y0, y1, y2)), 0),
        min(math.floor(max(y0, y1, y2)), height - 1) + 1,
    ):
        for column in range(
            max(math.ceil(min(x0, x1, x2)), 0),
            min(math.floor(max(x0, x1, x2)), width - 1) + 1,
        ):
            first = ((x1 - column) * (y2 - row) - (x2 - column) * (y1 - row)) / area
            second = ((x2 - column) * (y0 - row) - (x0 - column) * (y2 - row)) / area
            third = 1.0 - first - second
            if first < -1e-6 or second < -1e-6 or third < -1e-6:
                continue
            if fold:
                folded[row, column] = True
            if not fold and (rows[row, column] != rows[row, column] or folded[row, column]):
                if upper:
                    rows[row, column] = i + third
                    columns[row, column] = j + second + third
                else:
                    rows[row, column] = i + second + third
                    columns[row, column] = j + third


@numba.njit(nogil=True, cache=True)
def _invert(
    x: np.ndarray,
    y: np.ndarray,
    sense: float,
    largest: float,
    rows: np.ndarray,
    columns: np.ndarray,
    folded: np.ndarray,
) -> None:
    height, width = rows.shape
    for i in range(x.shape[0] - 1):
        for j in range(x.shape[1] - 1):
            low_x = min(x[i, j], x[i, j + 1], x[i + 1, j], x[i + 1, j + 1])
            high_x = max(x[i, j], x[i, j + 1], x[i + 1, j], x[i + 1, j + 1])
            low_y = min(y[i, j], y[i, j + 1], y[i + 1, j], y[i + 1, j + 1])
            high_y = max(y[i, j], y[i, j + 1], y[i + 1, j], y[i + 1, j + 1])
            total = x[i, j] + x[i, j + 1] + x[i + 1, j] + x[i + 1, j + 1]
            if total != total or high_x < 0.0 or high_y < 0.0 or low_x > width or low_y > height:
                continue
            if high_x - low_x > largest or high_y - low_y > largest:
                continue
            _fill_triangle(x, y, i, j, True, sense, rows, columns, folded)
            _fill_triangle(x, y, i, j, False, sense, rows, columns, folded)


def invert_lookup(
    x: np.ndarray, y: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radar rows and columns at each pixel of a grid, from the grid position of each radar pixel.

    ``x``, ``y``: fractional column and row of the grid at each radar pixel (NaN where unknown).
    Each cell between four radar pixels is two flat triangles; a grid pixel takes the place where
    its triangle holds it. Triangles that are turned over are layover: the pixels they cover come
    back as ``folded``, with the place of one of the slopes that overlie each other.
    Returns rows, columns (float32, NaN outside) and folded (bool), of ``shape``.
    """
    rows = np.full(shape, np.nan, np.float32)
    columns = np.full(shape, np.nan, np.float32)
    folded = np.zeros(shape, bool)
    areas = _cell_areas(x, y, max(1, min(x.shape) // 400))
    if areas.size:
        sense = 1.0 if np.median(areas) >= 0.0 else -1.0
        largest = LARGEST_CELL * max(1.0, math.sqrt(float(np.median(np.abs(areas)))))
        _invert(x, y, sense, largest, rows, columns, folded)
    return rows, columns, folded
