"""From maps to the inventory: what is told of objects, their names, and layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from shapely import box

from rockglacier.conventions import VelocitySource
from rockglacier.errors import SceneError
from rockglacier.grid import Grid
from rockglacier.inventory import attributes
from rockglacier.inventory.identity import SAME, named
from rockglacier.inventory.package import INTEGERS, WGS84
from rockglacier.inventory.patterns import Course
from rockglacier.inventory.review import BY_OPERATOR, REJECTED

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

MARKERS = (
    "PrimaryID", "WorkingID", "AssocRGS", "Landform", "Morpho", "UpslCon", "UpslCur", "Complet",
    "ActiCl", "ActiAss", "Destabili", "KinAtt", "RelKin", "KinPeriod", "SeedType", "status",
    "Comment",
)  # fmt: skip
OUTLINES = ("OutType", "RelFr", "RelLeftLM", "RelRightLM", "RelUpsCon", "RelIndex")
DATES_OF_COURSE = ("season_share", "seasonal_amplitude", "fastest_day", "acceleration", "step")


def layers(
    objects: GeoDataFrame, told: pd.DataFrame, courses: Mapping[str, tuple[str, Course]],
    areas: GeoDataFrame, grid: Grid, *, period: str, made: Mapping[str, str],
    windows: Mapping[str, tuple[str, str]] | None = None, rejected: GeoDataFrame | None = None,
) -> dict[str, GeoDataFrame]:  # fmt: skip
    """Layers AOI, PM, MA and GO (WGS84) of named ``objects`` and what is ``told`` of each.

    What an operator wrote stands over what was told; AOI says what ``made`` the inventory. Moving
    ``areas`` have the first and last date of their technique's ``windows``. Outlines that were
    ``rejected`` make a layer of their own.
    """
    import geopandas

    whole = told.copy()
    for name in BY_OPERATOR:
        written = objects[name] if name in objects else pd.Series(None, objects.index, dtype=object)
        base = whole[name] if name in whole else pd.Series(None, whole.index, dtype=object)
        whole[name] = written.where(written.notna(), base).to_numpy()
    for name in INTEGERS:
        whole[name] = pd.to_numeric(whole[name]).astype("Int32")
    whole["PrimaryID"] = objects["PrimaryID"].to_numpy()
    whole["status"] = objects["status"].to_numpy()
    found = [courses.get(name, ("", Course("not observed"))) for name in whole["PrimaryID"]]
    whole["pattern"] = [one.pattern for _, one in found]
    whole["pattern_track"] = [track for track, _ in found]
    for name in DATES_OF_COURSE:
        whole[name] = [getattr(one, name) for _, one in found]
    outlines = geopandas.GeoDataFrame(whole, geometry=objects.geometry.to_numpy(), crs=grid.crs)
    outlines["geometry"] = outlines.geometry.make_valid()
    markers = outlines[list(MARKERS)].copy()
    points = outlines.representative_point()
    markers = geopandas.GeoDataFrame(markers, geometry=points.to_numpy(), crs=grid.crs)
    first = [*MARKERS, *OUTLINES]
    go = outlines[[*first, *(c for c in whole if c not in first), "geometry"]]
    about = {"period": [period], **{key: [value] for key, value in made.items()}}
    aoi = geopandas.GeoDataFrame(about, geometry=[box(*grid.bounds)], crs=grid.crs)
    dates = [(windows or {}).get(one, (None, None)) for one in areas["technique"]]
    named_areas = areas.assign(
        MAID=[f"MA{k:05d}" for k in range(1, len(areas) + 1)], PrimaryID=_held_by(areas, outlines),
        dimension="down the slope", first_date=[first for first, _ in dates],
        last_date=[last for _, last in dates],
    )  # fmt: skip
    every = {"AOI": aoi, "PM": markers, "MA": named_areas, "GO": go}
    if rejected is not None:
        number = pd.to_numeric(rejected["Landform"]).astype("Int32")
        every[REJECTED] = rejected.assign(Landform=number)
    return {name: _in_degrees(layer) for name, layer in every.items()}


def windows_of(techniques: Mapping[str, Iterable[Any]]) -> dict[str, tuple[str, str]]:
    """First and last date of each technique that has ``dates``, and of both together."""
    dates = {name: [pd.Timestamp(date) for date in own] for name, own in techniques.items()}
    dates[VelocitySource.BOTH.name.lower()] = [date for own in dates.values() for date in own]
    return {
        name: (f"{min(own):%Y-%m-%d}", f"{max(own):%Y-%m-%d}") for name, own in dates.items() if own
    }


def _held_by(areas: GeoDataFrame, outlines: GeoDataFrame) -> list[str | None]:
    """PrimaryID of the object that holds most of each area, SAME of it at least; else None."""
    held: list[str | None] = [None] * len(areas)
    if not len(areas) or not len(outlines):
        return held
    least = SAME * areas.area.to_numpy()
    own, other = outlines.sindex.query(areas.geometry, predicate="intersects")
    for a, b in zip(own, other, strict=True):
        shared = areas.geometry.iloc[a].intersection(outlines.geometry.iloc[b]).area
        if shared >= least[a]:
            held[a], least[a] = str(outlines["PrimaryID"].iloc[b]), shared
    return held


def _in_degrees(layer: GeoDataFrame) -> GeoDataFrame:
    out = layer.to_crs(WGS84)
    if len(out) and (out.geom_type != "Point").any():
        out["geometry"] = out.geometry.make_valid()
    return out


def with_names(objects: GeoDataFrame, former: GeoDataFrame | None) -> GeoDataFrame:
    """``objects`` with ``PrimaryID``: their own if given, else the former's or of their place."""
    given = objects["PrimaryID"] if "PrimaryID" in objects else [None] * len(objects)
    names: list[Any] = [None if pd.isna(name) else str(name) for name in given]
    unnamed = [k for k, name in enumerate(names) if name is None]
    taken = {str(name) for name in names if name is not None}
    found = named(objects.iloc[unnamed].reset_index(drop=True), former, taken=taken)
    for k, name in zip(unnamed, found, strict=True):
        names[k] = name
    return objects.assign(PrimaryID=names)


def read_former(path: str | Path, crs: str) -> GeoDataFrame:
    """Layer GO of a former inventory, in ``crs``; SceneError where it is none."""
    import geopandas
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        found = geopandas.read_file(path, layer="GO")
    except (DataSourceError, DataLayerError) as error:
        raise SceneError(f"{path} is no inventory ({error}); its layer GO is needed.") from error
    if "PrimaryID" not in found:
        raise SceneError(f"{path}: layer GO has no PrimaryID; an inventory is needed.")
    return found.to_crs(crs)


def describe(
    objects: GeoDataFrame, maps: xr.Dataset, grid: Grid, *, techniques: list[str], period: str
) -> pd.DataFrame:
    """:func:`attributes.table`, of no object too."""
    if len(objects):
        return attributes.table(objects, maps, grid, techniques=techniques, period=period)
    columns = ["area_km2", "ActiCl", "ActiAss", "SeedType", "UpslCon", "KinAtt", "RelKin",
               "KinPeriod", "velocity", "velocity_error", "observed_share",
               "probability"]  # fmt: skip
    return pd.DataFrame({name: np.array([], float) for name in columns})
