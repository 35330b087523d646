"""What an operator made of an inventory: outlines and fields that stand over automatic ones."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rockglacier.errors import SceneError
from rockglacier.inventory.identity import SAME
from rockglacier.inventory.package import LISTS, RANGES

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

logger = logging.getLogger(__name__)

NOT_ONE = 2  # Landform: not a rock glacier
AUTO, REVIEWED = LISTS["status"]
# Fields that an operator may fill: what they hold in a reviewed object stands.
BY_OPERATOR = (
    "WorkingID", "Landform", "Morpho", "UpslCon", "UpslCur", "Complet", "ActiCl", "ActiAss",
    "Destabili", "Comment", "AssocRGS", "KinAtt", "RelKin", "KinPeriod", "OutType", "RelFr",
    "RelLeftLM", "RelRightLM", "RelUpsCon", "RelIndex",
)  # fmt: skip
OF_MOTION = ("RelKin", "KinPeriod")  # mean nothing without the attribute that they are of
REJECTED = "REJECTED"  # the layer of outlines that are none, which the next review needs again


def read_reviewed(path: str | Path, crs: str) -> GeoDataFrame:
    """Outlines that an operator has looked at, in ``crs``; dotted names of fields are undotted.

    They are those of layer GO (or of the first layer of outlines) whose ``status`` is reviewed, in
    GO or in PM; all, where neither has such a field. Fields of PM are joined to them by PrimaryID:
    where both hold a value, that of the layer counts that is marked. Of several outlines of one
    PrimaryID the largest keeps it.

    Raises
    ------
    SceneError
        The file cannot be read, has no polygons or no CRS, a field holds what it may not, or
        layers that are both marked contradict each other.
    """
    import geopandas

    layers = _layers(path)
    found = _read(path, "GO" if "GO" in layers else layers[0])
    if found.crs is None or not found.geom_type.isin(["Polygon", "MultiPolygon"]).all():
        raise SceneError(f"{path}: polygons with a CRS are needed; correct the layer.")
    if REJECTED in layers:
        found = pd.concat([found, _read(path, REJECTED).to_crs(found.crs)], ignore_index=True)
    if "PM" in layers:
        found = _with_markers(found, _read(path, "PM"), path)
    if "status" in found:
        untold = int(found["status"].isna().sum())
        if untold:
            logger.warning("%s: %d outlines have no status and are left out", path, untold)
        found = found[found["status"] == REVIEWED]
    out = geopandas.GeoDataFrame(found.reset_index(drop=True), geometry="geometry", crs=found.crs)
    out["geometry"] = out.geometry.make_valid()
    out = out.to_crs(crs)
    if "PrimaryID" in out:
        largest_first = out.area.sort_values(ascending=False, kind="stable").index
        again = out["PrimaryID"].loc[largest_first].duplicated().loc[out.index]
        out["PrimaryID"] = out["PrimaryID"].where(~again & out["PrimaryID"].notna(), None)
    if "KinAtt" in out:
        for name in OF_MOTION:
            if name in out:
                out[name] = out[name].where(out["KinAtt"].notna(), None)
    logger.info("%s: %d reviewed outlines", path, len(out))
    return out


def _layers(path: str | Path) -> list[str]:
    """Names of the layers of a file that have geometries."""
    import pyogrio
    from pyogrio.errors import DataSourceError

    try:
        found = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    except DataSourceError as error:
        raise SceneError(
            f"{path} cannot be read ({error}); reviewed outlines are needed, such as the layer GO "
            "of an inventory."
        ) from error
    if not found:
        raise SceneError(f"{path} has no layer of outlines; give the layer GO of an inventory.")
    return found


def _read(path: str | Path, layer: str) -> GeoDataFrame:
    """A layer whose fields have names without dots, values that they may hold, or None."""
    import geopandas

    found = geopandas.read_file(path, layer=layer)
    found = found.rename(columns={c: str(c).replace(".", "") for c in found.columns})
    for name in {*BY_OPERATOR, "PrimaryID", "status"} & set(found):
        found[name] = [_told(value) for value in found[name]]
    for name in LISTS.keys() & {*BY_OPERATOR, "status"} & set(found):
        odd = set(found[name].dropna()) - set(LISTS[name])
        if odd:
            raise SceneError(
                f"{path}: {name} is {', '.join(sorted(odd))}; allowed are {', '.join(LISTS[name])}."
            )
    for name in RANGES.keys() & set(found):
        least, most = RANGES[name]
        odd = set(found[name].dropna()) - {str(k) for k in range(least, most + 1)}
        if odd:
            raise SceneError(f"{path}: {name} is {', '.join(sorted(odd))}; {least} to {most} is.")
    return found


def _told(value: Any) -> str | None:
    """A value as text, whole numbers without a point; None where there is none."""
    if pd.isna(value) or not str(value).strip():
        return None
    return str(int(value)) if isinstance(value, float) and value == int(value) else str(value)


def _with_markers(found: GeoDataFrame, markers: GeoDataFrame, path: str | Path) -> GeoDataFrame:
    """Outlines with the fields of the points of the same PrimaryID."""
    if "PrimaryID" not in found or "PrimaryID" not in markers:
        return found
    points = pd.DataFrame(markers.drop(columns="geometry")).dropna(subset=["PrimaryID"])
    points = points.drop_duplicates("PrimaryID").set_index("PrimaryID")
    points = points.reindex(found["PrimaryID"]).set_index(found.index)
    sides = [side["status"] == REVIEWED for side in (found, points) if "status" in side]
    own, theirs = (sides[0], sides[-1]) if sides else (pd.Series(True, found.index),) * 2
    out = found.copy()
    for name in [one for one in BY_OPERATOR if one in points]:
        here = found[name] if name in found else pd.Series(None, found.index, dtype=object)
        there = points[name]
        differ = here.notna() & there.notna() & (here != there)
        for k in np.flatnonzero(differ & own & theirs)[:1]:
            raise SceneError(
                f"{path}: {name} of {found['PrimaryID'].iloc[k]} is {here.iloc[k]} in GO and "
                f"{there.iloc[k]} in PM, and both are marked {REVIEWED}; empty the one that does "
                "not hold."
            )
        out[name] = here.where(here.notna() & ~(differ & theirs), there)
    if sides:
        out["status"] = np.where(own | theirs, REVIEWED, found.get("status", AUTO))
    return out


def reviewed_over(candidates: GeoDataFrame, reviewed: GeoDataFrame | None) -> GeoDataFrame:
    """``candidates`` whose place ``reviewed`` outlines take; column ``status`` says which is which.

    A candidate gives way that shares SAME of the smaller area with a reviewed outline, be that a
    rock glacier or found to be none (Landform 2).
    """
    import geopandas

    automatic = candidates.assign(status=AUTO)
    if reviewed is None or reviewed.empty:
        return automatic.reset_index(drop=True)
    own, other = reviewed.sindex.query(automatic.geometry, predicate="intersects")
    gone = set()
    for a, b in zip(own, other, strict=True):
        first, second = automatic.geometry.iloc[a], reviewed.geometry.iloc[b]
        if first.intersection(second).area >= SAME * min(first.area, second.area):
            gone.add(int(a))
    kept = automatic.iloc[[k for k in range(len(automatic)) if k not in gone]]
    theirs = reviewed[~_are_none(reviewed)]
    fields = [c for c in (*BY_OPERATOR, "PrimaryID") if c in theirs]
    theirs = theirs[[*fields, "geometry"]].assign(status=REVIEWED)
    joined = pd.concat([kept, theirs], ignore_index=True)
    return geopandas.GeoDataFrame(joined, geometry="geometry", crs=candidates.crs)


def rejected(reviewed: GeoDataFrame | None) -> GeoDataFrame | None:
    """The ``reviewed`` outlines that were found to be no rock glaciers; None where there is none.

    Without them a review of the inventory that lacks them would bring their candidates back.
    """
    if reviewed is None or not _are_none(reviewed).any():
        return None
    fields = [c for c in ("PrimaryID", "WorkingID", "Landform", "Comment") if c in reviewed]
    return reviewed.loc[_are_none(reviewed), [*fields, "geometry"]].assign(status=REVIEWED)


def _are_none(reviewed: GeoDataFrame) -> pd.Series:
    if "Landform" not in reviewed:
        return pd.Series(False, reviewed.index)
    found: pd.Series = pd.to_numeric(reviewed["Landform"]) == NOT_ONE
    return found
