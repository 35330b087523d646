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
from rockglacier.sentinel1.annotation import SPEED_OF_LIGHT, Band
from rockglacier.sentinel1.orbit import Orbit, zero_doppler
from rockglacier.terrain import bridge

# Cells of the sum: fine enough for slopes, coarse enough that facets of 5 m by 10 m fill them; of
# larger facets, so many of their sides.
CELL_RANGE_M, CELL_AZIMUTH_M = 12.0, 30.0
CELL_FACETS = 2.0
SURROUNDINGS_M = 400.0
MOST_DOUBT = 0.1  # ASSUME: share of a cell's area that may be of ground whose height is unknown


def independent_looks(
    fine: Grid,
    looks: tuple[int, int],
    incidence_deg: float,
    heading_deg: float,
    range_band: Band,
    azimuth_band: Band,
) -> float:
    """Independent looks of a block of ``looks`` pixels of the ``fine`` grid, on level ground.

    N^2 over the sum of squared correlations of all N^2 couples: neighbours that say nearly the same
    count less, and what lies between the samples does not count.
    """
    rows, columns = (np.arange(1 - n, n) for n in looks)
    down, right = np.meshgrid(rows * fine.spacing_m[0], columns * fine.spacing_m[1], indexing="ij")
    heading = np.radians(heading_deg)
    along = right * np.sin(heading) - down * np.cos(heading)
    across = right * np.cos(heading) + down * np.sin(heading)
    two_way = 2.0 * across * np.sin(np.radians(incidence_deg)) / SPEED_OF_LIGHT
    alike = range_band.correlation(two_way) * azimuth_band.correlation(
        along / geocoding.GROUND_SPEED_M_S
    )
    couples = np.outer(looks[0] - np.abs(rows), looks[1] - np.abs(columns))
    of_samples = (looks[0] * looks[1]) ** 2 / (couples * alike**2).sum()
    return float(of_samples * range_band.looks * azimuth_band.looks)


def surroundings(grid: Grid) -> Grid:
    """The ground that :func:`flattening` of ``grid`` should know."""
    rows, columns = (int(np.ceil(SURROUNDINGS_M / side)) for side in grid.spacing_m)
    return grid.part(-rows, grid.height + rows, -columns, grid.width + columns)


def flattening(
    orbit: Orbit, grid: Grid, height: np.ndarray, *, ground: Grid | None = None
) -> xr.DataArray:
    """Factor (y, x; float32) that makes gamma nought of beta nought: A_beta / A_gamma.

    ``height`` (y, x; m above the ellipsoid) lies on ``ground``, which may reach beyond ``grid`` and
    whose pixels are the facets. NaN where it is unknown, where the ground faces away, and where a
    cell holds ground of unknown height, as at the edge of what is given.
    """
    ground = ground or grid
    values = _flattening(orbit, ground, height)[ground.window(grid)]
    factor = xr.DataArray(values, dims=MAP, coords=grid.coords)
    return describe(factor, "flattening", "gamma nought over beta nought", "1")


def _flattening(orbit: Orbit, grid: Grid, height: np.ndarray) -> np.ndarray:
    measured = np.isfinite(height)
    if not measured.any():
        return np.full(grid.shape, np.nan, np.float32)
    # Facets across voids and just beyond the edges count as what is not known of a cell.
    rim = [int(np.ceil(2.0 * CELL_AZIMUTH_M / side)) + 1 for side in grid.spacing_m]
    wide = grid.part(-rim[0], grid.height + rim[0], -rim[1], grid.width + rim[1])
    inner = tuple(slice(n, -n) for n in rim)
    own = np.pad(measured, [(n, n) for n in rim])
    bridged = bridge(np.where(own, np.pad(height, [(n, n) for n in rim], mode="edge"), np.nan))
    factor = _of_cells(orbit, wide, bridged, own)[inner]
    return np.where(measured, factor, np.nan).astype(np.float32)


def _of_cells(orbit: Orbit, grid: Grid, height: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The factor by ``height`` without voids, NaN where too much of a cell is not ``own``."""
    ground = geocoding.earth_fixed(grid, height)
    seconds, slant_range = zero_doppler(orbit, ground)
    place = orbit.position(seconds)
    sight = (place - ground) / slant_range[..., None]
    known = np.isfinite(seconds)
    if not known.any():
        return np.full(grid.shape, np.nan)
    facing = _facing(ground, sight)
    # Speed of the footprint: that of the satellite, brought down to the ground.
    speed = np.linalg.norm(orbit.velocity(seconds), axis=-1)
    speed *= (ground * place).sum(axis=-1) / (place * place).sum(axis=-1)
    pace = float(np.nanmedian(speed))
    first, near = float(np.nanmin(seconds)), float(np.nanmin(slant_range))
    side = CELL_FACETS * max(grid.spacing_m)
    cell_range, cell_azimuth = max(CELL_RANGE_M, 0.6 * side), max(CELL_AZIMUTH_M, side)
    row = (seconds - first) * pace / cell_azimuth
    column = (slant_range - near) / cell_range
    shape = int(np.nanmax(row)) + 3, int(np.nanmax(column)) + 3
    area = np.maximum(0.0, facing)
    lit, doubt = np.empty(grid.shape, np.float32), np.empty(grid.shape, np.float32)
    for part, at in ((area, lit), (np.where(own, 0.0, area), doubt)):
        total = np.zeros(shape)
        _gather(row, column, part, total)
        _spread(row, column, total, at)
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = cell_range * cell_azimuth * (speed / pace) / lit
        told = known & (facing > 0.0) & (doubt <= MOST_DOUBT * lit)
    return np.where(told, factor, np.nan)


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
