"""Terrain-flattened backscatter: the power that a pixel sends back, over the area it was lit on.

Each facet of the DEM shows the radar an area perpendicular to the line of sight. Facets that share
a cell of azimuth time and slant range, as in foreshortening and layover, add up there; beta nought
is divided by that sum.

Source
------
Small (2011), doi:10.1109/TGRS.2011.2120616.
"""

from __future__ import annotations

import numba
import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, describe
from rockglacier.grid import Grid
from rockglacier.sentinel1 import geocoding
from rockglacier.sentinel1.annotation import SPEED_OF_LIGHT
from rockglacier.sentinel1.orbit import Orbit, zero_doppler

# Cells of the sum: fine enough for slopes, coarse enough that facets of 5 m by 10 m fill them.
CELL_RANGE_M, CELL_AZIMUTH_M = 12.0, 30.0


def independent_looks(
    grid: Grid, incidence_deg: float, range_bandwidth_hz: float, azimuth_bandwidth_hz: float
) -> float:
    """Effective independent looks of one pixel of ``grid``, whatever was averaged before.

    Its area over that of a resolution cell of these bandwidths on level ground at the incidence.
    """
    across = 0.5 * SPEED_OF_LIGHT / range_bandwidth_hz / np.sin(np.radians(incidence_deg))
    along = geocoding.GROUND_SPEED_M_S / azimuth_bandwidth_hz
    return float(np.prod(grid.spacing_m) / (across * along))


def flattening(orbit: Orbit, grid: Grid, height: np.ndarray) -> xr.DataArray:
    """Factor (y, x; float32) that makes gamma nought of beta nought: A_beta / A_gamma.

    ``height`` (y, x; m above the ellipsoid) on ``grid``, whose pixels are the facets; NaN where it
    is unknown or the ground faces away. Along the edges of the grid, ground beyond it is missed.
    """
    factor = xr.DataArray(_flattening(orbit, grid, height), dims=MAP, coords=grid.coords)
    return describe(factor, "flattening", "gamma nought over beta nought", "1")


def _flattening(orbit: Orbit, grid: Grid, height: np.ndarray) -> np.ndarray:
    ground = geocoding.earth_fixed(grid, height)
    seconds, slant_range = zero_doppler(orbit, ground)
    place = orbit.position(seconds)
    sight = (place - ground) / slant_range[..., None]
    known = np.isfinite(seconds)
    if not known.any():
        return np.full(grid.shape, np.nan, np.float32)
    facing = _facing(ground, sight)
    # Speed of the footprint: that of the satellite, brought down to the ground.
    speed = np.linalg.norm(orbit.velocity(seconds), axis=-1)
    speed *= (ground * place).sum(axis=-1) / (place * place).sum(axis=-1)
    pace = float(np.nanmedian(speed))
    first, near = float(np.nanmin(seconds)), float(np.nanmin(slant_range))
    row = (seconds - first) * pace / CELL_AZIMUTH_M
    column = (slant_range - near) / CELL_RANGE_M
    shape = int(np.nanmax(row)) + 3, int(np.nanmax(column)) + 3
    total = np.zeros(shape)
    _gather(row, column, np.maximum(0.0, facing), total)
    lit = np.empty(grid.shape, np.float32)
    _spread(row, column, total, lit)
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = CELL_RANGE_M * CELL_AZIMUTH_M * (speed / pace) / lit
    return np.where(known & (facing > 0.0), factor, np.nan).astype(np.float32)


def _facing(ground: np.ndarray, sight: np.ndarray) -> np.ndarray:
    """Area (m^2) of each facet perpendicular to ``sight``; negative where it faces away."""
    down = np.gradient(ground, axis=0)
    right = np.gradient(ground, axis=1)
    # Rows run south: right x up is outward.
    normal = np.cross(right, -down)
    area: np.ndarray = (normal * sight).sum(axis=-1)
    return area


@numba.njit(nogil=True, cache=True)
def _gather(row: np.ndarray, column: np.ndarray, area: np.ndarray, total: np.ndarray) -> None:
    """Add each facet's area to the four cells around its place, by nearness."""
    for i in range(row.shape[0]):
        for j in range(row.shape[1]):
            r, c, a = row[i, j], column[i, j], area[i, j]
            if r != r or c != c or a != a:
                continue
            top, left = int(r), int(c)
            dr, dc = r - top, c - left
            total[top, left] += a * (1.0 - dr) * (1.0 - dc)
            total[top, left + 1] += a * (1.0 - dr) * dc
            total[top + 1, left] += a * dr * (1.0 - dc)
            total[top + 1, left + 1] += a * dr * dc


@numba.njit(nogil=True, cache=True)
def _spread(row: np.ndarray, column: np.ndarray, total: np.ndarray, out: np.ndarray) -> None:
    """Area of the cells at each facet's place, linear between them."""
    for i in range(row.shape[0]):
        for j in range(row.shape[1]):
            r, c = row[i, j], column[i, j]
            out[i, j] = np.nan
            if r != r or c != c:
                continue
            top, left = int(r), int(c)
            dr, dc = r - top, c - left
            out[i, j] = (total[top, left] * (1.0 - dc) + total[top, left + 1] * dc) * (1.0 - dr) + (
                total[top + 1, left] * (1.0 - dc) + total[top + 1, left + 1] * dc
            ) * dr
