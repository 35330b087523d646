"""Elevation on the region's grid, and the slope and aspect of its surface."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, describe, require
from rockglacier.errors import SceneError
from rockglacier.grid import METRES_PER_DEGREE, Grid

logger = logging.getLogger(__name__)

# ASSUME: a height outside this range is a void that the file does not declare (e.g. -32768).
PLAUSIBLE_HEIGHT_M = (-500.0, 9000.0)
METRES = ("m", "metre", "metres", "meter", "meters")
WIDTH_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))  # full width at half maximum


def elevation(path: str | Path, grid: Grid) -> xr.DataArray:
    """Elevation (m) of the raster at ``path`` on ``grid`` (y, x); voids are NaN.

    Warped once, with cubic convolution whose kernel widens where the raster is finer than the
    grid. Heights keep the raster's vertical datum; scale and offset of its band are applied.

    Raises
    ------
    SceneError
        The raster cannot be read, states no CRS or another unit than metres, or has no height on
        the grid.
    """
    import rasterio
    from affine import Affine
    from rasterio.errors import RasterioError, WindowError
    from rasterio.warp import Resampling, reproject, transform_bounds
    from rasterio.windows import Window, from_bounds

    try:
        with rasterio.open(path) as source:
            if source.crs is None:
                raise SceneError(
                    f"{path} states no CRS; set it (gdal_edit.py -a_srs EPSG:…) and run again."
                )
            unit = (source.units[0] or "m").strip().lower()
            if unit not in METRES:
                raise SceneError(
                    f"{path}: heights in {source.units[0]!r}; metres are needed: convert them "
                    "(gdal_calc.py) and state the unit (gdal_edit.py -units m)."
                )
            bounds = transform_bounds(grid.crs, source.crs, *grid.bounds, densify_pts=21)
            near = from_bounds(*bounds, source.transform)
            margin = 4 + 4 * math.ceil(near.width / grid.width)
            window = Window(
                math.floor(near.col_off) - margin,
                math.floor(near.row_off) - margin,
                math.ceil(near.width) + 2 * margin,
                math.ceil(near.height) + 2 * margin,
            ).intersection(Window(0, 0, source.width, source.height))
            heights = source.read(1, window=window, masked=True).astype(np.float32).filled(np.nan)
            heights = heights * np.float32(source.scales[0]) + np.float32(source.offsets[0])
            t, crs = source.transform, source.crs
            column, row = window.col_off, window.row_off
            corner = (t.a * column + t.b * row + t.c, t.d * column + t.e * row + t.f)
    except WindowError:
        heights = np.empty((0, 0), np.float32)
    except RasterioError as error:
        raise SceneError(
            f"{path}: {error}; a readable elevation raster over the region is needed."
        ) from error
    low, high = PLAUSIBLE_HEIGHT_M
    heights[~((heights > low) & (heights < high))] = np.nan
    out = grid.empty()
    if heights.size:
        reproject(
            heights,
            out.values,
            src_transform=Affine(t.a, t.b, corner[0], t.d, t.e, corner[1]),
            src_crs=crs,
            src_nodata=np.nan,
            dst_transform=grid.transform,
            dst_crs=grid.crs,
            dst_nodata=np.nan,
            resampling=Resampling.cubic,
        )
    missing = float(np.isnan(out.values).mean())
    if missing == 1.0:
        raise SceneError(
            f"{path} has no height within the region (bounds {grid.bounds}, {grid.crs}); "
            "give a DEM that covers it."
        )
    if missing:
        logger.warning("%s leaves %.1f %% of the grid without height", path, 100.0 * missing)
    return describe(out, "elevation", "elevation above the datum of the source", "m")


def terrain(dem: xr.DataArray, grid: Grid, *, smooth_m: float = 0.0) -> xr.Dataset:
    """Slope and aspect of ``dem`` (y, x; m) on ``grid``, beside its unsmoothed elevation.

    ``slope`` (deg) is the steepest descent, 0 is level. ``aspect`` (deg, 0..360) is the azimuth
    of steepest descent, clockwise from true north, NaN on level ground. Both come from heights
    smoothed by a Gaussian of full width ``smooth_m`` at half maximum. Voids are bridged for the
    stencil and stay NaN in the results.

    Raises
    ------
    DimensionError
        ``dem`` does not lie on ``grid``.
    UnitsError
        ``dem`` is not in metres.

    Source
    ------
    Horn (1981), doi:10.1109/PROC.1981.11918: weighted differences over 3 x 3 pixels.
    """
    from scipy import ndimage

    require(dem, dims=MAP, units="m")
    grid.check(dem, "elevation")
    dem = dem.transpose(*MAP)
    void = np.isnan(dem.values)
    rows, columns = _spacing(grid)
    sigma = smooth_m / WIDTH_PER_SIGMA / np.array([rows, float(columns.mean())])
    pad = 1 + math.ceil(4.0 * float(sigma.max()))
    # Odd reflection continues a slope beyond the edge; plain reflection would level it.
    mode = {"mode": "reflect", "reflect_type": "odd"}
    heights = np.pad(bridge(dem.values), min(pad, *(n - 1 for n in dem.shape)), **mode)  # type: ignore[call-overload]
    if smooth_m > 0:
        heights = ndimage.gaussian_filter(heights, sigma, mode="nearest")
    inner = tuple(
        slice((a - b) // 2, (a + b) // 2) for a, b in zip(heights.shape, dem.shape, strict=True)
    )
    weights, steps = np.array([0.25, 0.5, 0.25]), np.array([-0.5, 0.0, 0.5])
    down_x = ndimage.correlate1d(ndimage.correlate1d(heights, steps, 1), weights, 0)[inner]
    down_y = ndimage.correlate1d(ndimage.correlate1d(heights, steps, 0), weights, 1)[inner]
    east, north = -down_x / columns[:, None], down_y / rows
    steepness = np.hypot(east, north)
    level = steepness < 1e-6
    azimuth = np.degrees(np.arctan2(east, north)) + grid_north(grid)
    fields = {
        "slope": (np.degrees(np.arctan(steepness)), void, "slope of steepest descent"),
        "aspect": (
            np.mod(azimuth, 360.0),
            void | level,
            "azimuth of steepest descent, clockwise from true north",
        ),
    }
    out = xr.Dataset({"elevation": describe(dem, "elevation", "elevation", "m")})
    for name, (values, missing, long_name) in fields.items():
        array = dem.copy(data=np.where(missing, np.nan, values).astype(np.float32))
        out[name] = describe(array, name, long_name, "deg")
    return out.assign_attrs(smooth_m=smooth_m)


def _spacing(grid: Grid) -> tuple[float, np.ndarray]:
    """Metres between rows, and between columns in each row."""
    if not grid.geographic:
        return grid.dy, np.full(grid.height, grid.dx)
    return (
        grid.dy * METRES_PER_DEGREE,
        grid.dx * METRES_PER_DEGREE * np.cos(np.radians(grid.y)),
    )


def bridge(heights: np.ndarray) -> np.ndarray:
    """Heights with voids filled from around them, so that a stencil reaches across."""
    from rasterio.fill import fillnodata
    from scipy import ndimage

    valid = np.isfinite(heights)
    if valid.all():
        return heights.astype(np.float64)
    filled = fillnodata(np.where(valid, heights, 0.0).astype(np.float32), valid)
    far = ~valid & (filled == 0.0)
    if far.any():  # beyond fillnodata's reach
        nearest = ndimage.distance_transform_edt(
            ~valid, return_distances=False, return_indices=True
        )
        filled[far] = heights[tuple(nearest)][far]
    return np.asarray(filled, np.float64)


def grid_north(grid: Grid) -> np.ndarray | float:
    """Azimuth (deg) of the grid's north at every pixel; zero on a geographic grid."""
    if grid.geographic:
        return 0.0
    from pyproj import CRS, Geod, Transformer
    from scipy import ndimage

    # Convergence varies slowly: a lattice of 17 x 17 points, then linear between them.
    west, south, east, north = grid.bounds
    x, y = np.meshgrid(np.linspace(west, east, 17), np.linspace(north, south, 17))
    lonlat = Transformer.from_crs(CRS.from_user_input(grid.crs), "EPSG:4326", always_xy=True)
    step = max(grid.dx, grid.dy)
    here, there = lonlat.transform(x, y), lonlat.transform(x, y + step)
    azimuth = np.radians(Geod(ellps="WGS84").inv(*here, *there)[0])
    at = np.meshgrid(
        (np.arange(grid.height) + 0.5) / grid.height * 16.0,
        (np.arange(grid.width) + 0.5) / grid.width * 16.0,
        indexing="ij",
    )
    sine, cosine = (ndimage.map_coordinates(f(azimuth), at, order=1) for f in (np.sin, np.cos))
    return np.asarray(np.degrees(np.arctan2(sine, cosine)))
