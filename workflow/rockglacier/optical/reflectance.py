"""Surface reflectance of scenes on a region's grid: the snow index of one day."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from rockglacier import snow, sunlight
from rockglacier.conventions import MAP, X, Y
from rockglacier.grid import Grid
from rockglacier.optical.catalogue import Reader
from rockglacier.optical.scene import Scene

LEAST_SHARE = 0.5  # ASSUME: of a pixel that must be known


def on_region(image: xr.DataArray, grid: Grid) -> xr.DataArray:
    """Mean of ``image`` (y, x; lazy, attribute ``crs``) over each pixel of ``grid``.

    NaN where less than LEAST_SHARE of the pixel is known. What lies around the grid alone is read.
    """
    from rasterio.warp import Resampling, reproject, transform_bounds

    own = Grid.from_coords(image, str(image.attrs["crs"]))
    west, south, east, north = transform_bounds(grid.crs, own.crs, *grid.bounds, densify_pts=21)
    margin = 2.0 * max(own.dx, own.dy)
    near = image.sel({
        X: slice(west - margin, east + margin), Y: slice(north + margin, south - margin)
    })  # fmt: skip
    out = grid.empty()
    if 0 in near.shape:
        return out
    values = near.transpose(*MAP).values.astype(np.float32)
    place = Grid.from_coords(near, own.crs) if min(near.shape) > 1 else None
    if place is None:
        return out
    share = np.zeros(grid.shape, np.float32)
    known = np.isfinite(values).astype(np.float32)
    options = {
        "src_transform": place.transform, "src_crs": place.crs, "dst_transform": grid.transform,
        "dst_crs": grid.crs, "resampling": Resampling.average,
    }  # fmt: skip
    reproject(values, out.values, src_nodata=np.nan, dst_nodata=np.nan, **options)
    reproject(known, share, **options)
    return out.where(share >= LEAST_SHARE)


def snow_index(
    scenes: Sequence[Scene], source: Reader, elevation: xr.DataArray, grid: Grid
) -> xr.DataArray:
    """Snow index (y, x) of the ``scenes`` of one day on ``grid``; NaN where none is clear.

    ``elevation`` (y, x; m) on ``grid``: ground in shadow is left out. Where scenes overlap, the
    first that is clear serves.
    """
    found: xr.DataArray | None = None
    for scene in scenes:
        bands = (source.open_reflectance(scene, b) for b in (source.GREEN, source.SHORTWAVE))
        index = snow.index(*(on_region(band, grid) for band in bands))
        dark = sunlight.shaded(elevation, grid, scene.sun_azimuth_deg, scene.sun_elevation_deg)
        index = index.where(~dark)
        found = index if found is None else found.fillna(index)
    assert found is not None
    return found.assign_attrs(long_name="normalised difference snow index", units="1")
