"""Heights above the ellipsoid, which the geometry of a radar needs, from a DEM above the geoid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from rockglacier.conventions import describe
from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid
from rockglacier.terrain import elevation

# Vertical datums by name: the compound CRS whose height they are.
GEOIDS = {"egm96": "EPSG:4326+5773", "egm2008": "EPSG:4326+3855"}
SCENES_DEM = "dem.tif"  # within the folder of simulated scenes


def dem_file(path: str | Path) -> Path:
    """The DEM at ``path``: a raster, or within the folder of simulated scenes."""
    place = Path(path)
    return place / SCENES_DEM if place.is_dir() else place


def ellipsoidal(
    path: str | Path, grid: Grid, *, datum: str | None, geoid: str | Path | None = None
) -> xr.DataArray:
    """Height (m) above the WGS84 ellipsoid of the DEM at ``path`` on ``grid`` (y, x); NaN: unknown.

    ``datum``: what the DEM's heights refer to: "ellipsoid", "egm96" (SRTM) or "egm2008" (Copernicus
    GLO-30). ``geoid``: raster of that geoid's undulation (m above the ellipsoid), which is added;
    without one PROJ's grid serves. An undulation forgotten misplaces the ground by up to 100 m.

    Raises
    ------
    ConfigurationError
        The datum is not named or is not the one that the DEM's CRS states, or neither ``geoid`` nor
        PROJ has its undulation.
    SceneError
        The DEM or the geoid cannot be read or does not reach the grid.
    """
    heights = elevation(dem_file(path), grid)
    stated = _stated_datum(dem_file(path))
    if stated and datum and stated != datum:
        raise ConfigurationError(
            f"{path}: dem_datum is {datum!r}, but the file's CRS states heights above "
            f"{stated}; set dem_datum to {stated}, or correct the file (gdal_edit.py -a_srs)."
        )
    if datum != "ellipsoid":
        if datum not in GEOIDS:
            raise ConfigurationError(
                f"{path}: dem_datum is {datum!r}; the DEM under scenes must be placed against the "
                f"ellipsoid: set dem_datum to ellipsoid, {' or '.join(GEOIDS)} (Copernicus "
                "GLO-30: egm2008; SRTM: egm96)."
            )
        rise = elevation(geoid, grid).values if geoid else undulation(grid, datum)
        heights = heights + rise
    return describe(heights, "height", "height above the WGS84 ellipsoid", "m")


def _stated_datum(path: Path) -> str | None:
    """The datum that the CRS of the raster at ``path`` states for heights, of those known here."""
    import rasterio
    from pyproj import CRS

    with rasterio.open(path) as source:
        crs = CRS.from_wkt(source.crs.to_wkt())
    if len(crs.axis_info) == 3 and not crs.is_compound:
        return "ellipsoid"
    vertical = [part for part in crs.sub_crs_list if part.is_vertical]
    names = {"EGM96": "egm96", "EGM2008": "egm2008", "EGM08": "egm2008"}
    found = [name for word, name in names.items() for v in vertical if word in v.name.upper()]
    return found[0] if found else None


def undulation(grid: Grid, datum: str) -> np.ndarray:
    """Height (y, x; m) of the geoid ``datum`` above the ellipsoid, of PROJ's grid.

    ConfigurationError where PROJ has none: it would pass heights on unchanged.
    """
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    x, y = np.meshgrid(grid.x, grid.y)
    try:
        to = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
        longitude, latitude = to.transform(x, y)
        rise = Transformer.from_crs(
            GEOIDS[datum], "EPSG:4979", always_xy=True, allow_ballpark=False
        )
        _, _, height = rise.transform(longitude, latitude, np.zeros(grid.shape), errcheck=True)
    except ProjError as error:
        raise ConfigurationError(
            f"PROJ has no grid of the geoid {datum} ({error}); fetch it (projsync --area-of-use "
            "World --file us_nga_egm), or name a raster of its undulation under geoid."
        ) from error
    return np.asarray(height)
