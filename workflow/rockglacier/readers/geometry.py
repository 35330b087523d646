"""Viewing geometry: the angles of each format become unit vectors ground to satellite."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, describe
from rockglacier.grid import Grid
from rockglacier.readers.rasters import read_window
from rockglacier.readers.stack import Window

UNITS = {
    "east": ("line of sight, ground to satellite, east", "1"),
    "north": ("line of sight, ground to satellite, north", "1"),
    "up": ("line of sight, ground to satellite, up", "1"),
    "incidence_angle": ("incidence angle, from the vertical", "degrees"),
    "height": ("height above the datum of the source", "m"),
    "observable": ("neither layover nor shadow", "1"),
}


def from_azimuth(incidence_deg: np.ndarray, azimuth_deg: np.ndarray) -> dict[str, np.ndarray]:
    """Line of sight from incidence (deg, from the vertical) and azimuth (deg).

    Azimuth is that of the vector ground to satellite, anticlockwise from north, as in ISCE2's
    ``los.rdr`` and MintPy's ``azimuthAngle`` (102 for an ascending, -102 for a descending
    right-looking orbit). Where both are 0 or not finite, NaN.
    """
    theta, azimuth = np.radians(incidence_deg), np.radians(azimuth_deg)
    missing = (incidence_deg == 0.0) | ~np.isfinite(theta + azimuth)
    vector = {
        "east": -np.sin(theta) * np.sin(azimuth),
        "north": np.sin(theta) * np.cos(azimuth),
        "up": np.cos(theta),
        "incidence_angle": np.asarray(incidence_deg),
    }
    return {k: np.where(missing, np.nan, v).astype(np.float32) for k, v in vector.items()}


def azimuth_of(heading_deg: float) -> float:
    """Azimuth (as :func:`from_azimuth` takes it) of a right-looking radar of ``heading_deg``."""
    return 90.0 - heading_deg


def from_look_vector(theta: np.ndarray, phi: np.ndarray) -> dict[str, np.ndarray]:
    """Line of sight from GAMMA's look vector (rad), as HyP3 gives it.

    ``theta`` is the elevation of the vector ground to satellite above the horizontal, ``phi`` its
    direction anticlockwise from east. Where both are exactly 0 (outside the scene), NaN.
    """
    missing = ((theta == 0.0) & (phi == 0.0)) | ~np.isfinite(theta + phi)
    vector = {
        "east": np.cos(theta) * np.cos(phi),
        "north": np.cos(theta) * np.sin(phi),
        "up": np.sin(theta),
        "incidence_angle": 90.0 - np.degrees(theta),
    }
    return {k: np.where(missing, np.nan, v).astype(np.float32) for k, v in vector.items()}


def with_incidence(vector: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``east, north, up`` with the incidence angle that follows from ``up``."""
    incidence = np.degrees(np.arccos(np.clip(vector["up"], -1.0, 1.0)))
    return {**vector, "incidence_angle": incidence.astype(np.float32)}


def geometry_dataset(
    maps: Mapping[str, np.ndarray],
    *,
    incidence_deg: float | None = None,
    heading_deg: float | None = None,
    slant_range_m: float | None = None,
) -> xr.Dataset:
    """``geometry.zarr`` on the stack's own raster: maps (y, x), and scalars as attributes."""
    dataset = xr.Dataset(
        {
            name: describe(xr.DataArray(values, dims=MAP), name, *UNITS[name])
            for name, values in maps.items()
        }
    )
    scalars = {
        "incidence_angle_deg": incidence_deg,
        "heading_deg": heading_deg,
        "slant_range_m": slant_range_m,
    }
    dataset.attrs = {k: float(v) for k, v in scalars.items() if v is not None}
    return dataset


def read_geometry(
    paths: Mapping[str, str],
    grid: Grid,
    window: Window,
    *,
    scalars: Mapping[str, float | None],
    zero_is_missing: bool = False,
) -> xr.Dataset:
    """``geometry.zarr`` from rasters on ``grid``: ``height``, and ``east``, ``north``, ``up``.

    ``zero_is_missing``: a height or component that is exactly 0 is fill. SceneError where one
    cannot be used.
    """
    maps = {name: read_window(path, grid, window) for name, path in paths.items()}
    if zero_is_missing:
        for values in maps.values():
            values[values == 0.0] = np.nan
    return geometry_dataset(with_incidence(maps) if "up" in maps else maps, **scalars)
