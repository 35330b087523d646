"""What Landsat sees of a landscape: reflectance through the seasons, and sharp late summers.

Snow comes and goes over ground of its own colour, lit by the sun of the day; clouds hide some of
it, most of them flagged. Panchromatic scenes carry the texture of what moves along. Nothing here is
shared with the code that reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.ndimage import binary_dilation, map_coordinates, spline_filter, zoom

from rockglacier.conventions import MAP, YEAR_DAYS
from rockglacier.grid import Grid
from rockglacier.simulation import smooth_field, stream
from rockglacier.simulation_landscape import Landscape
from rockglacier.simulation_optical import (
    EDGE,
    FINER,
    PIXEL_M,
    TEXTURE,
    Ground,
    light_on,
    write_band,
    write_metadata,
    write_panchromatic,
)
from rockglacier.simulation_pairs import texture

REFLECTANCE = 64  # stream of random numbers
BLOCK = 3  # fine pixels of 10 m in one of 30 m
SCALE, OFFSET = 2.75e-5, -0.2  # digital numbers to reflectance
# ASSUME: snow of some days, in green, near and short-wave infrared (Warren 1982,
# doi:10.1029/RG020i001p00067); level 2 of Landsat leaves a third of the relief's shading.
SNOW = {"green": 0.80, "infrared": 0.72, "shortwave": 0.06}
SHADING = 0.35
NOISE = 0.006
CLOUD = {"green": 0.45, "infrared": 0.48, "shortwave": 0.38}
UNFLAGGED = 0.03  # ASSUME: of cloudy pixels
BANDS = {"green": "SR_B3", "infrared": "SR_B5", "shortwave": "SR_B6"}
FILL, DILATED, CLOUDY, SHADOW, SNOWY, CLEAR = (1 << bit for bit in (0, 1, 3, 4, 5, 6))


def photograph(
    landscape: Landscape, folder: Path, *, dates: Sequence[str], threads: int = 1
) -> None:
    """Write a folder of Collection 2 level 2 for each of ``dates`` (YYYY-MM-DD), 30 m."""
    fine = landscape.grid
    height, width = fine.height // BLOCK, fine.width // BLOCK
    grid = Grid(fine.crs, fine.west, fine.north, BLOCK * fine.dx, BLOCK * fine.dy, width, height)
    heights = xr.DataArray(
        _mean(landscape.ground["height"].values, 2 * BLOCK), dims=MAP,
        coords=Grid(
            fine.crs, fine.west, fine.north, 2 * grid.dx, 2 * grid.dy, width // 2, height // 2
        ).coords,
    )  # fmt: skip

    def one(date: str) -> None:
        _write_reflectance(landscape, grid, heights, folder, date, dates[0])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, dates))


def photograph_sharply(
    landscape: Landscape, folder: Path, *, dates: Sequence[str], threads: int = 1
) -> None:
    """Write a panchromatic folder of level 1 for each of ``dates``, 15 m."""
    fine = landscape.grid
    size = int(fine.height * fine.dy // PIXEL_M), int(fine.width * fine.dx // PIXEL_M)
    grid = Grid(fine.crs, fine.west, fine.north, PIXEL_M, PIXEL_M, size[1], size[0])

    def on(values: np.ndarray, order: int = 1) -> np.ndarray:
        rows = (np.arange(size[0]) + 0.5) * PIXEL_M / fine.dy - 0.5
        columns = (np.arange(size[1]) + 0.5) * PIXEL_M / fine.dx - 0.5
        at = np.meshgrid(rows, columns, indexing="ij")
        return np.asarray(map_coordinates(values, at, order=order, mode="nearest"))

    truth = landscape.ground
    ground = Ground(
        grid=grid,
        heights=xr.DataArray(on(truth["height"].values), dims=MAP, coords=grid.coords),
        east=on(truth["east"].values), north=on(truth["north"].values),
        tongue=on(truth["number"].values, order=0),
        fine=spline_filter(texture(max(size) + 2 * EDGE, FINER, stream(landscape.seed, TEXTURE))),
        hollows=np.zeros(size),
        light_step=3,
    )  # fmt: skip

    def one(date: str) -> None:
        snow = on(landscape.snow(np.datetime64(date)))
        write_panchromatic(folder, ground, date, dates[0], landscape.seed, snow)

    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, dates))


def sun_of(date: str, latitude_deg: float) -> tuple[float, float]:
    """Azimuth and elevation (degrees) of the sun about 10 h of solar time.

    Cooper (1969): declination of a day of the year.
    """
    day = np.datetime64(date)
    of_year = float((day - day.astype("datetime64[Y]")) / np.timedelta64(1, "D")) + 1.0
    declination = np.radians(23.45) * np.sin(2.0 * np.pi * (284.0 + of_year) / 365.0)
    hour, latitude = np.radians(-28.0), np.radians(latitude_deg)
    up = np.sin(latitude) * np.sin(declination)
    up += np.cos(latitude) * np.cos(declination) * np.cos(hour)
    east = -np.cos(declination) * np.sin(hour)
    north = np.cos(latitude) * np.sin(declination)
    north -= np.sin(latitude) * np.cos(declination) * np.cos(hour)
    return float(np.degrees(np.arctan2(east, north)) % 360.0), float(np.degrees(np.arcsin(up)))


def _mean(values: np.ndarray, block: int) -> np.ndarray:
    rows, columns = (n // block for n in values.shape)
    kept = values[: rows * block, : columns * block]
    return np.asarray(kept.reshape(rows, block, columns, block).mean(axis=(1, 3)))


def _reflectances(landscape: Landscape, date: str, first: str) -> dict[str, np.ndarray]:
    """Reflectance of each band (y, x; of the fine grid) without light, noise and clouds."""
    ground = landscape.ground
    years = float((np.datetime64(date) - np.datetime64(first)) / np.timedelta64(1, "D"))
    snow = landscape.snow(np.datetime64(date))
    index = np.clip(ground["ndsi"].values + ground["fading"].values * years / YEAR_DAYS, -0.85, 0.9)
    green, infrared = ground["green"].values, ground["infrared"].values
    bare = {
        "green": green, "infrared": infrared, "shortwave": green * (1.0 - index) / (1.0 + index)
    }  # fmt: skip
    return {name: snow * SNOW[name] + (1.0 - snow) * values for name, values in bare.items()} | {
        "snow": snow
    }


def _write_reflectance(
    landscape: Landscape, grid: Grid, heights: xr.DataArray, folder: Path, date: str, first: str
) -> None:
    rng = stream(landscape.seed, REFLECTANCE, int(np.datetime64(date).astype(int)))
    bands = {name: _mean(v, BLOCK) for name, v in _reflectances(landscape, date, first).items()}
    snow = bands.pop("snow")
    azimuth, elevation = sun_of(date, _latitude(grid))
    coarse = light_on(heights, azimuth, elevation)
    light = np.ones(grid.shape)
    shown = zoom(coarse, 2, order=1, mode="nearest", grid_mode=True)
    light[: shown.shape[0], : shown.shape[1]] = shown
    light = 1.0 - SHADING + SHADING * np.clip(light, 0.0, 1.5)
    cover = float(np.clip(rng.beta(0.8, 1.6), 0.0, 0.95))
    field = smooth_field(grid.shape, 60.0, rng) + 0.4 * smooth_field(grid.shape, 12.0, rng)
    cloudy = field > np.quantile(field, 1.0 - cover)
    # Shadows fall away from the sun, by the height of the clouds.
    away = 1500.0 / np.tan(np.radians(elevation)) / grid.dx
    shift = (
        round(float(away * np.cos(np.radians(azimuth)))),
        round(float(-away * np.sin(np.radians(azimuth)))),
    )
    shadowed = np.roll(cloudy, shift, axis=(0, 1)) & ~cloudy
    thin = smooth_field(grid.shape, 8.0, rng)
    missed = thin > np.quantile(thin, 1.0 - UNFLAGGED)
    quality = np.where(snow > 0.5, SNOWY | CLEAR, CLEAR).astype(np.uint16)
    quality[binary_dilation(cloudy, iterations=3)] = DILATED
    quality[shadowed] = SHADOW
    quality[cloudy] = CLOUDY
    quality[cloudy & missed] = CLEAR
    name = f"LC08_L2SP_193027_{date.replace('-', '')}_{date.replace('-', '')}_02_T1"
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    for band, code in BANDS.items():
        values = bands[band] * light * np.where(shadowed, 0.45, 1.0)
        values = np.where(cloudy, CLOUD[band], values) + NOISE * rng.standard_normal(grid.shape)
        numbers = np.clip(np.rint((values - OFFSET) / SCALE), 1, 65535).astype(np.uint16)
        write_band(place / f"{name}_{code}.TIF", numbers, grid)
    write_band(place / f"{name}_QA_PIXEL.TIF", quality, grid)
    write_band(place / f"{name}_QA_RADSAT.TIF", np.zeros(grid.shape, np.uint16), grid)
    files = {f"BAND_{code[-1]}": code for code in BANDS.values()}
    files |= {"QUALITY_L1_PIXEL": "QA_PIXEL", "QUALITY_L1_RADIOMETRIC_SATURATION": "QA_RADSAT"}
    write_metadata(place, name, date, (azimuth, elevation), files)


def _latitude(grid: Grid) -> float:
    from rockglacier.readers.stack import lonlat_bounds

    _, south, _, north = lonlat_bounds(grid)
    return 0.5 * (south + north)
