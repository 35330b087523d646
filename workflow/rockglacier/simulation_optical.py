"""Years of Landsat scenes of mountains with rock glaciers of known motion, as the provider's files.

What a scene shows: texture of debris and rock, lit by the sun of that day over the relief, with
cast shadows; snow patches that return to the same hollows with another extent each year; clouds and
what the quality band makes of them; noise of the sensor; and an error of registration. Texture of
rock glaciers is carried with them. Nothing here is shared with the tracker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter, map_coordinates, spline_filter, zoom

from rockglacier.conventions import YEAR_DAYS, describe
from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid
from rockglacier.simulation import fractal_relief, smooth_field, stream
from rockglacier.simulation_pairs import texture
from rockglacier.terrain import terrain

PIXEL_M = 15.0
# Streams of random numbers.
RELIEF, TEXTURE, TONGUES, PATCHES, SCENE = 40, 41, 42, 43, 44
FINER = 4  # texture is made so much finer, by its own spectrum
EDGE = 32  # pixels of ground around the scene

# ASSUME: contrast of debris is a fifth of its mean; snow is three times as bright; shadows keep a
# sixth of the light, from the sky.
CONTRAST, SNOW, SKY = 0.2, 3.0, 0.16
NOISE = 0.03  # of the contrast of debris; Landsat 8 pan, some 150 : 1
REGISTRATION_PX = 0.15  # one sigma, of a scene as a whole
SHEAR_PX = 0.7  # over which the margins of rock glaciers shear
SUN_DEG = (148.0, 52.0)  # azimuth and elevation, mid-latitudes, August, 10 h
SUN_SPREAD_DEG = (3.0, 2.5)
PATCH_SHARE = 0.06  # of the ground, in a middling year
CLOUD_SHARE = 0.03


@dataclass(frozen=True)
class Ground:
    """The ground of one series: its grid, heights (m), velocity (m/yr) and texture."""

    grid: Grid
    heights: xr.DataArray
    east: np.ndarray
    north: np.ndarray
    tongue: np.ndarray  # number of the rock glacier, 0: none
    fine: np.ndarray  # texture of the finer grid, edges included, as coefficients of a cubic spline
    hollows: np.ndarray  # where snow stays longest: high
    light_step: int = 1  # pixels between places whose light is traced


def simulate_landsat(
    folder: str | Path,
    *,
    size: int = 600,
    dates: Sequence[str],
    rates: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 1.0, 1.5),
    widths_px: tuple[float, float] = (8.0, 20.0),
    seed: int = 0,
) -> xr.Dataset:
    """Write a scene folder for each of ``dates`` (YYYY-MM-DD) and ``dem.tif``; return the truth.

    Scenes have ``size`` x ``size`` panchromatic pixels of 15 m in UTM zone 32. Rock glaciers move
    down the slope at ``rates`` (m/yr), over and over until the ground is full, and are
    ``widths_px`` (least, most) wide. The truth (y, x): ``east``, ``north`` (m/yr), ``tongue``
    (number of the rock glacier, 0 where there is none) and ``height`` (m); ``stable.gpkg`` holds
    ground away from rock glaciers.

    Raises
    ------
    ConfigurationError
        The relief holds no slope for a rock glacier: another seed, or a greater size, is needed.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    ground = _ground(size, rates, widths_px, seed)
    _write_heights(place / "dem.tif", ground)
    _write_stable(place / "stable.gpkg", ground)
    for date in dates:
        write_panchromatic(place, ground, date, dates[0], seed)
    maps = {
        "east": (ground.east, "velocity toward east", "m/yr"),
        "north": (ground.north, "velocity toward north", "m/yr"),
        "tongue": (ground.tongue, "number of the rock glacier, 0: none", "1"),
        "height": (ground.heights.values, "height", "m"),
    }
    like = ground.heights
    return xr.Dataset(
        {
            name: describe(like.copy(data=values), name, *text)
            for name, (values, *text) in maps.items()
        }
    )


def _ground(size: int, rates: Sequence[float], widths_px: tuple[float, float], seed: int) -> Ground:
    grid = Grid("EPSG:32632", 600_000.0, 5_200_000.0, PIXEL_M, PIXEL_M, size, size)
    heights = fractal_relief(grid, stream(seed, RELIEF))
    slopes = terrain(describe(heights, "elevation", "elevation", "m"), grid, smooth_m=150.0)
    steep, azimuth = slopes["slope"].values, np.radians(slopes["aspect"].values)
    random = stream(seed, TONGUES)
    east, north = np.zeros((size, size)), np.zeros((size, size))
    tongue = np.zeros((size, size), np.int16)
    y, x = np.mgrid[:size, :size].astype(np.float64)
    count = 0
    for _ in range(400):
        width = random.uniform(*widths_px)
        length = min(random.uniform(3.0, 5.0) * width, size / 3.0)
        row, column = random.uniform(length, size - length, 2)
        line = _flow_line(row, column, azimuth, length)
        if line is None or not 8.0 <= steep[round(row), round(column)] <= 32.0:
            continue
        near = _distance(line, y, x)
        if (tongue[near[0] < width] > 0).any():
            continue
        count += 1
        rate = rates[(count - 1) % len(rates)]
        inside = _within(near[0], 0.5 * width)
        heading = near[1]
        east += rate * inside * np.sin(heading)
        north += rate * inside * np.cos(heading)
        tongue[near[0] < 0.5 * width] = count
    if not count:
        raise ConfigurationError(
            f"A relief of {size} x {size} pixels (seed {seed}) holds no rock glacier; a slope of "
            "8 to 32 degrees, long enough, is needed: try another seed, or a greater size."
        )
    fine = spline_filter(texture(size + 2 * EDGE, FINER, stream(seed, TEXTURE)))
    relief = heights.values
    hollows = gaussian_filter(relief, 10.0) - relief
    hollows = hollows / hollows.std() + 0.7 * (relief - relief.mean()) / relief.std()
    return Ground(grid, heights, east, north, tongue, fine, hollows)


def _flow_line(
    row: float, column: float, azimuth: np.ndarray, length: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Points (row, column) down the slope and headings there; None where it bends or leaves."""
    points, headings = [], []
    for _ in range(int(length)):
        if not (0.0 <= row <= azimuth.shape[0] - 1.0 and 0.0 <= column <= azimuth.shape[1] - 1.0):
            return None
        heading = azimuth[round(row), round(column)]
        points.append((row, column))
        headings.append(heading)
        row, column = row - np.cos(heading), column + np.sin(heading)
    line = np.array(points)
    straight = np.hypot(*(line[-1] - line[0])) / length
    return (line, np.array(headings)) if straight > 0.9 else None


def _distance(
    line: tuple[np.ndarray, np.ndarray], y: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distance (pixels) of every pixel from the nearest point of a line, and the heading there."""
    points, headings = line
    best, heading = np.full(y.shape, np.inf), np.zeros(y.shape)
    for (row, column), here in zip(points, headings, strict=True):
        away = np.hypot(y - row, x - column)
        nearer = away < best
        best[nearer], heading[nearer] = away[nearer], here
    return best, heading


def _within(distance: np.ndarray, half: float) -> np.ndarray:
    return np.asarray(0.5 * (1.0 - np.tanh((distance - half) / SHEAR_PX)))


def _scene(
    ground: Ground, date: str, first: str, seed: int, snow: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Digital numbers and hidden pixels (y, x) of one date, and the sun's azimuth and elevation."""
    day = np.datetime64(date)
    random = stream(seed, SCENE, int(day.astype(int)))
    shape = ground.grid.shape
    years = float((day - np.datetime64(first)) / np.timedelta64(1, "D")) / YEAR_DAYS
    shift = random.normal(0.0, REGISTRATION_PX, 2)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    y, x = y + shift[0], x + shift[1]
    # Steady motion: what is here now lay upstream by that much on the first date.
    rows, columns = -ground.north / PIXEL_M * years, ground.east / PIXEL_M * years
    at = [FINER * (y - rows + EDGE), FINER * (x - columns + EDGE)]
    texture_here = map_coordinates(ground.fine, at, order=3, mode="mirror", prefilter=False)
    albedo = 1.0 + CONTRAST * texture_here
    azimuth, elevation = (
        middle + random.normal(0.0, spread)
        for middle, spread in zip(SUN_DEG, SUN_SPREAD_DEG, strict=True)
    )
    n = ground.light_step
    light = light_on(ground.heights[::n, ::n], azimuth, elevation)
    if n > 1:
        light = zoom(light, n, order=1, mode="nearest", grid_mode=True)
    light = _moved(light[: shape[0], : shape[1]], y, x)
    extent = random.normal(0.0, 0.35)
    if snow is None:
        patchy = ground.hollows + 0.5 * smooth_field(shape, 6.0, stream(seed, PATCHES))
        level = np.quantile(patchy, 1.0 - PATCH_SHARE) - extent
        snow = gaussian_filter((patchy > level).astype(np.float64), 0.7)
    snow = _moved(snow, y, x)
    cloud = smooth_field(shape, 40.0, random)
    cloudy = cloud > np.quantile(cloud, 1.0 - CLOUD_SHARE * random.uniform(0.0, 2.0))
    shown = (albedo * (1.0 - snow) + SNOW * snow) * light
    shown += 2.0 * gaussian_filter(cloudy.astype(np.float64), 3.0)
    noise = NOISE * CONTRAST * random.standard_normal(shape)
    numbers = np.clip(np.rint(9000.0 * (0.1 + gaussian_filter(shown, 0.35) + noise)), 1, 65535)
    return numbers.astype(np.uint16), cloudy, azimuth, elevation


def _moved(field: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.asarray(map_coordinates(field, [y, x], order=1, mode="nearest"))


def light_on(relief: xr.DataArray, azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Irradiance (y, x; 1 on level ground in the sun): facing of the ground, cast shadows, sky."""
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    sun = np.array([np.sin(azimuth), np.cos(azimuth)])
    heights = relief.values.astype(np.float64)
    pixel = float(relief["x"][1] - relief["x"][0])
    fall_south, fall_east = np.gradient(heights, pixel)
    normal = np.sqrt(1.0 + fall_east**2 + fall_south**2)
    facing = np.sin(elevation) - np.cos(elevation) * (sun[0] * fall_east - sun[1] * fall_south)
    facing = np.maximum(facing / normal, 0.0) / np.sin(elevation)
    y, x = np.mgrid[: heights.shape[0], : heights.shape[1]].astype(np.float64)
    lit = np.ones_like(heights)
    reach = np.ptp(heights) / np.tan(elevation) / pixel
    for step in np.arange(1.0, min(reach, *heights.shape), 1.5):
        toward = [y - sun[1] * step, x + sun[0] * step]
        over = map_coordinates(heights, toward, order=1, mode="nearest") - heights
        # The sun is half a degree wide, and a pixel is not a point.
        above = over / (step * pixel) - np.tan(elevation)
        lit = np.minimum(lit, np.clip(0.5 - above / 0.02, 0.0, 1.0))
    return np.asarray(SKY + (1.0 - SKY) * facing * lit)


def write_panchromatic(
    folder: Path, ground: Ground, date: str, first: str, seed: int, snow: np.ndarray | None = None
) -> None:
    """Write the scene of one date, level 1, as a folder; ``first``: date that motion counts from.

    ``snow`` (y, x): share of each pixel under it; None for patches in the ground's hollows.
    """
    numbers, cloudy, azimuth, elevation = _scene(ground, date, first, seed, snow)
    compact = date.replace("-", "")
    name = f"LC08_L1TP_193027_{compact}_{compact}_02_T1"
    place = folder / name
    place.mkdir(exist_ok=True)
    write_band(place / f"{name}_B8.TIF", numbers, ground.grid)
    # The quality band lies on pixels of 30 m: a bit for cloud (3), one for what is clear (6).
    grid, coarse = ground.grid, cloudy[::2, ::2]
    flags = np.where(coarse, np.uint16(1 << 3), np.uint16(1 << 6))
    half = Grid(grid.crs, grid.west, grid.north, 30.0, 30.0, coarse.shape[1], coarse.shape[0])
    write_band(place / f"{name}_QA_PIXEL.TIF", flags, half)
    files = {"BAND_8": "B8", "QUALITY_L1_PIXEL": "QA_PIXEL"}
    write_metadata(place, name, date, (azimuth, elevation), files)


def write_metadata(
    folder: Path, name: str, date: str, sun_deg: tuple[float, float], files: Mapping[str, str]
) -> None:
    """Write the MTL file of the product ``name``; ``files``: ends of their names by their keys.

    ``sun_deg``: azimuth and elevation.
    """
    listed = "\n".join(f'    FILE_NAME_{key} = "{name}_{end}.TIF"' for key, end in files.items())
    (folder / f"{name}_MTL.txt").write_text(
        f"""GROUP = LANDSAT_METADATA_FILE
  GROUP = PRODUCT_CONTENTS
    LANDSAT_PRODUCT_ID = "{name}"
    COLLECTION_NUMBER = 02
{listed}
  END_GROUP = PRODUCT_CONTENTS
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "LANDSAT_8"
    WRS_PATH = 193
    WRS_ROW = 27
    DATE_ACQUIRED = {date}
    SCENE_CENTER_TIME = "10:04:11.1234560Z"
    SUN_AZIMUTH = {sun_deg[0]:.8f}
    SUN_ELEVATION = {sun_deg[1]:.8f}
  END_GROUP = IMAGE_ATTRIBUTES
END_GROUP = LANDSAT_METADATA_FILE
END
"""
    )


def write_band(path: Path, values: np.ndarray, grid: Grid) -> None:
    """Write one band (y, x) as the provider does."""
    import rasterio

    with rasterio.open(
        path, "w", driver="GTiff", height=grid.height, width=grid.width, count=1,
        dtype=values.dtype, crs=grid.crs, transform=grid.transform, compress="deflate", zlevel=1,
    ) as target:  # fmt: skip
        target.write(values, 1)


def _write_heights(path: Path, ground: Ground) -> None:
    write_band(path, ground.heights.values.astype(np.float32), ground.grid)


def _write_stable(path: Path, ground: Ground) -> None:
    """Ground more than six pixels from every rock glacier, as polygons."""
    import geopandas
    from rasterio.features import shapes
    from scipy.ndimage import binary_dilation
    from shapely.geometry import shape

    still = ~binary_dilation(ground.tongue > 0, iterations=6)
    found = shapes(still.astype(np.uint8), mask=still, transform=ground.grid.transform)
    outlines = [shape(outline) for outline, _ in found]
    geopandas.GeoDataFrame(geometry=outlines, crs=ground.grid.crs).to_file(path)
