"""Sunlight on mountains: where the sun stands, what hides it, and what falls on a slope in a year.

Source
------
Position of the sun: Spencer (1971), Search 2, 172, as Iqbal (1983) gives it. Beam through the
atmosphere: Kreith & Kreider (1978) for the optical path, one transmittance. Sum over the year on
slopes with a horizon: Corripio (2003), doi:10.1080/713811744.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, describe, require
from rockglacier.grid import Grid
from rockglacier.terrain import bridge, grid_north

SOLAR_CONSTANT = 1361.0  # W/m2
# ASSUME: of clear mountain air; the beam alone counts, without the light of the sky.
TRANSMITTANCE = 0.75
YEAR = tuple(range(1, 13))  # months
DAYS_OF_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
SECTORS = 72  # azimuths whose horizon is looked for
EVERY_DAYS, EVERY_HOURS = 8, 0.5
# A ray goes on by a pixel at first, then by so much of what it has come.
STRIDE = 0.03


class Sun(NamedTuple):
    """Azimuth (degrees, clockwise from true north), elevation (degrees), distance factor of I0."""

    azimuth_deg: np.ndarray
    elevation_deg: np.ndarray
    nearness: np.ndarray


def sun_at(day_of_year: np.ndarray, solar_hour: np.ndarray, latitude_deg: float) -> Sun:
    """The sun at true solar time (0 to 24 h, noon when it is highest), to 0.1 degree."""
    angle = (
        2.0 * np.pi * (np.asarray(day_of_year, float) - 1.0 + (solar_hour - 12.0) / 24.0) / 365.0
    )
    declination = (
        0.006918 - 0.399912 * np.cos(angle) + 0.070257 * np.sin(angle)
        - 0.006758 * np.cos(2 * angle) + 0.000907 * np.sin(2 * angle)
        - 0.002697 * np.cos(3 * angle) + 0.00148 * np.sin(3 * angle)
    )  # fmt: skip
    nearness = (
        1.00011 + 0.034221 * np.cos(angle) + 0.00128 * np.sin(angle)
        + 0.000719 * np.cos(2 * angle) + 0.000077 * np.sin(2 * angle)
    )  # fmt: skip
    hour = np.radians(15.0 * (np.asarray(solar_hour, float) - 12.0))
    latitude = np.radians(latitude_deg)
    up = np.sin(latitude) * np.sin(declination)
    up = up + np.cos(latitude) * np.cos(declination) * np.cos(hour)
    east = -np.cos(declination) * np.sin(hour)
    north = np.cos(latitude) * np.sin(declination)
    north = north - np.sin(latitude) * np.cos(declination) * np.cos(hour)
    azimuth = np.degrees(np.arctan2(east, north)) % 360.0
    elevation = np.degrees(np.arcsin(np.clip(up, -1.0, 1.0)))
    return Sun(azimuth, elevation, np.broadcast_to(nearness, azimuth.shape))


def horizon(
    dem: xr.DataArray, grid: Grid, azimuth_deg: float, *, reach_m: float = 20_000.0
) -> xr.DataArray:
    """Elevation (y, x; degrees) of the horizon toward ``azimuth_deg``, 0 or more; NaN in voids.

    ``dem`` (y, x; m) on ``grid``; ground beyond it does not count, nor farther than ``reach_m``.
    The azimuth is true; the Earth is flat over the reach.
    """
    heights = require(dem, dims=MAP, units="m").transpose(*MAP).values
    north = float(np.mean(grid_north(grid)))
    values = _horizon_of(bridge(heights), grid, azimuth_deg - north, reach_m)
    found = dem.transpose(*MAP).copy(data=np.where(np.isnan(heights), np.nan, values))
    return describe(found.astype(np.float32), "horizon", "elevation of the horizon", "deg")


def _horizon_of(heights: np.ndarray, grid: Grid, azimuth_deg: float, reach_m: float) -> np.ndarray:
    """The same of ``heights`` without voids, against the map's north."""
    dy, dx = grid.spacing_m
    direction = np.radians(azimuth_deg)
    # Rows and columns that a metre toward the azimuth crosses.
    down, right = -np.cos(direction) / dy, np.sin(direction) / dx
    pixel = 1.0 / max(abs(down), abs(right))  # metres that cross a row or a column
    steps, far = [], pixel
    highest = float(np.ptp(heights))
    while far <= reach_m:
        steps.append(far)
        far += max(pixel, STRIDE * far)
    tangent = np.zeros(heights.shape, np.float32)
    _raise(
        np.ascontiguousarray(heights, np.float64), np.array(steps), down, right, highest, tangent
    )
    return np.asarray(np.degrees(np.arctan(tangent)), np.float32)


@numba.njit(nogil=True, cache=True)
def _raise(
    heights: np.ndarray,
    steps: np.ndarray,
    down: float,
    right: float,
    highest: float,
    tangent: np.ndarray,
) -> None:
    """Tangent of the horizon along one direction, by ``steps`` (m)."""
    rows, columns = heights.shape
    for i in range(rows):
        for j in range(columns):
            best, own = 0.0, heights[i, j]
            for far in steps:
                if best * far > highest:  # nothing is high enough
                    break
                r, c = i + down * far, j + right * far
                if r < 0.0 or c < 0.0 or r > rows - 1.0 or c > columns - 1.0:
                    break
                top, left = min(int(r), rows - 2), min(int(c), columns - 2)
                u, v = r - top, c - left
                there = (1.0 - u) * ((1.0 - v) * heights[top, left] + v * heights[top, left + 1])
                there += u * ((1.0 - v) * heights[top + 1, left] + v * heights[top + 1, left + 1])
                best = max(best, (there - own) / far)
            tangent[i, j] = best


def shaded(
    dem: xr.DataArray, grid: Grid, sun_azimuth_deg: float, sun_elevation_deg: float
) -> xr.DataArray:
    """Where relief hides the sun (y, x; bool): ground in its own or in a cast shadow."""
    return horizon(dem, grid, sun_azimuth_deg) >= sun_elevation_deg


def potential_radiation(
    surface: xr.Dataset, grid: Grid, months: Sequence[Sequence[int]] = (YEAR,)
) -> list[xr.DataArray]:
    """Mean potential incoming solar radiation (y, x; W/m2 of the surface, beam alone).

    ``surface``: ``elevation`` (m), ``slope`` and ``aspect`` (deg) of
    :func:`rockglacier.terrain.terrain` on ``grid``; ``months`` (from 1) of each mean over day and
    night. Cloudless; shaded by the horizon.
    """
    from rockglacier.readers.stack import lonlat_bounds

    dem = require(surface["elevation"], dims=MAP, units="m").transpose(*MAP)
    _, south, _, north = lonlat_bounds(grid)
    day, hour = (
        a.ravel()
        for a in np.meshgrid(
            np.arange(1.0 + EVERY_DAYS / 2.0, 366.0, EVERY_DAYS),
            np.arange(0.5 * EVERY_HOURS, 24.0, EVERY_HOURS),
        )
    )
    month = np.searchsorted(np.cumsum([0, *DAYS_OF_MONTHS[:-1]]), day, side="left")
    counted = np.array([np.isin(month, list(one)) for one in months])
    sun = sun_at(day, hour, 0.5 * (south + north))
    up = sun.elevation_deg > 0.0
    up &= counted.any(axis=0)
    azimuth, elevation = sun.azimuth_deg[up], np.radians(sun.elevation_deg[up])
    within = counted[:, up]
    beam = SOLAR_CONSTANT * sun.nearness[up] * TRANSMITTANCE ** _air_mass(elevation)
    heights = bridge(dem.values)
    turn = float(np.mean(grid_north(grid)))
    slope = np.radians(surface["slope"].transpose(*MAP).values)
    aspect = np.radians(np.nan_to_num(surface["aspect"].transpose(*MAP).values))
    totals = np.zeros((len(months), *grid.shape))
    sector = np.round(azimuth / (360.0 / SECTORS)).astype(int) % SECTORS
    for k in np.unique(sector):
        ahead = k * 360.0 / SECTORS
        hidden = np.radians(_horizon_of(heights, grid, ahead - turn, 20_000.0))
        here = sector == k
        for power, high, toward, of in zip(
            beam[here], elevation[here], np.radians(azimuth[here]), within[:, here].T, strict=True
        ):
            facing = np.cos(slope) * np.sin(high)
            facing = facing + np.sin(slope) * np.cos(high) * np.cos(toward - aspect)
            totals[of] += np.where(high > hidden, np.maximum(0.0, facing), 0.0) * power
    found = []
    for total, count in zip(totals, counted.sum(axis=1), strict=True):
        mean = np.where(np.isnan(dem.values), np.nan, total / count)
        array = dem.copy(data=mean.astype(np.float32))
        found.append(describe(array, "radiation", "potential incoming solar radiation", "W/m2"))
    return found


def _air_mass(elevation: np.ndarray) -> np.ndarray:
    """Optical path relative to that of the zenith, for the sun ``elevation`` (rad) high."""
    sine = np.sin(elevation)
    return np.asarray(np.sqrt(1229.0 + (614.0 * sine) ** 2) - 614.0 * sine)
