"""Glacier outlines on the region's grid: how much of a pixel they cover, and how far they are.

Debris-covered tongues join the glacier that feeds them, rock glaciers seldom do; an outline is of
some year, and the ice may have gone since.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, describe
from rockglacier.errors import SceneError
from rockglacier.grid import Grid

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

BAND = 256  # rows at a time
FINER = 5  # parts of a pixel along a side, of which those inside count


def read(path: str | Path, grid: Grid, *, reach_m: float) -> list[BaseGeometry]:
    """Outlines (shapely) in the vector file at ``path`` within ``reach_m`` of ``grid``.

    Raises
    ------
    SceneError
        The file cannot be read, states no CRS or holds other than polygons.
    """
    import geopandas
    from pyogrio.errors import DataSourceError
    from rasterio.warp import transform_bounds

    try:
        found = geopandas.read_file(path)
    except DataSourceError as error:
        raise SceneError(f"{path} cannot be read ({error}); outlines are needed.") from error
    if found.crs is None:
        raise SceneError(f"{path} states no CRS; set it (ogr2ogr -a_srs EPSG:…).")
    kinds = set(found.geom_type.dropna()) - {"Polygon", "MultiPolygon"}
    if kinds:
        raise SceneError(f"{path} holds {', '.join(sorted(kinds))}; polygons are needed.")
    if grid.geographic:
        raise SceneError(f"{path}: distances on a grid in degrees ({grid.crs}) are no metres.")
    west, south, east, north = grid.bounds
    wide = (west - reach_m, south - reach_m, east + reach_m, north + reach_m)
    left, bottom, right, top = transform_bounds(grid.crs, found.crs, *wide, densify_pts=21)
    shapes = found.cx[left:right, bottom:top].geometry.to_crs(grid.crs).make_valid()
    return [shape for shape in shapes if shape is not None and not shape.is_empty]


def factors(path: str | Path, grid: Grid, *, reach_m: float = 5000.0) -> xr.Dataset:
    """``glacier_share`` (y, x; 0..1) and ``glacier_distance`` (m) of the outlines at ``path``.

    The distance is that to the nearest pixel of which half lies within an outline, 0 there, and
    ``reach_m`` where none is as near. Errors as of :func:`read`.
    """
    from scipy.ndimage import distance_transform_edt

    outlines = read(path, grid, reach_m=reach_m)
    pad = [int(np.ceil(reach_m / side)) for side in grid.spacing_m]
    around = grid.part(-pad[0], grid.height + pad[0], -pad[1], grid.width + pad[1])
    share = _share(outlines, around)
    distance = np.full(around.shape, reach_m)
    if (share >= 0.5).any():
        far = distance_transform_edt(share < 0.5, sampling=grid.spacing_m)
        distance = np.minimum(far, reach_m)
    within = tuple(slice(p, p + n) for p, n in zip(pad, grid.shape, strict=True))
    told = {
        "glacier_share": (share, "share of the pixel within glacier outlines", "1"),
        "glacier_distance": (distance, "distance to the nearest glacier outline", "m"),
    }
    out = xr.Dataset(coords=grid.coords)
    for name, (values, long_name, units) in told.items():
        array = xr.DataArray(values[within].astype(np.float32), dims=MAP)
        out[name] = describe(array, name, long_name, units)
    return out


def _share(outlines: list[BaseGeometry], grid: Grid) -> np.ndarray:
    """Share of each pixel within ``outlines``, in bands of rows."""
    from rasterio.features import rasterize

    share = np.zeros(grid.shape, np.float32)
    for top in range(0, grid.height if outlines else 0, BAND):
        band = grid.part(top, min(top + BAND, grid.height), 0, grid.width)
        fine = band.subdivided(FINER, FINER)
        inside = rasterize(outlines, out_shape=fine.shape, transform=fine.transform, dtype="uint8")
        parts = inside.reshape(band.height, FINER, band.width, FINER)
        share[top : top + band.height] = parts.mean(axis=(1, 3))
    return share
