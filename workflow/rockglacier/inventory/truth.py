"""An inventory beside a truth: what is found, missed and false, and whether its motion is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rockglacier import evaluation
from rockglacier.conventions import KIND_NAMES, ROCK_GLACIERS, Kind
from rockglacier.inventory.attributes import ACTIVE_M_YR, LEAST_COVERAGE, RELICT_M_YR
from rockglacier.inventory.moving import velocity_class

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


def compared(found: GeoDataFrame, objects: GeoDataFrame, speeds: np.ndarray) -> dict[str, Any]:
    """Scores of the outlines ``found`` against the true ``objects`` (column ``kind``).

    ``speeds``: true median speed (m/yr) of each object. Both lie in one CRS. Activity and class of
    velocity are judged where an object was matched (IoU of a half or more) and its motion observed;
    ``each`` tells of every true object.
    """
    glacier = objects["kind"].isin([int(kind) for kind in ROCK_GLACIERS]).to_numpy()
    wanted = objects[glacier].reset_index(drop=True)
    true_speed = speeds[glacier]
    match = evaluation.matched(found, wanted)
    hit = np.flatnonzero(match >= 0)
    out: dict[str, Any] = {
        "found": int(hit.size), "missed": int(len(wanted) - hit.size),
        "false": int(len(found) - hit.size),
        **evaluation.detection(int(hit.size), len(found), len(wanted)),
    }  # fmt: skip
    own = found.iloc[match[hit]]
    seen = (own["observed_share"].to_numpy(float) >= LEAST_COVERAGE) & np.isfinite(
        own["velocity"].to_numpy(float)
    )
    told, true = own["velocity"].to_numpy(float)[seen], true_speed[hit][seen]
    off = np.abs(velocity_class(told) - velocity_class(true))
    activity = own["ActiCl"].str.removesuffix(" uncertain").to_numpy()[seen]
    expected = np.where(
        true >= ACTIVE_M_YR, "Active", np.where(true >= RELICT_M_YR, "Transitional", "Relict")
    )
    out["with_velocity"] = int(seen.sum())
    out["velocity_class"] = _share(off == 0)
    out["velocity_class_within_one"] = _share(off <= 1)
    out["activity"] = _share(activity == expected)
    out["each"] = [
        {"name": str(row.number), "kind": KIND_NAMES[Kind(row.kind)],
         "area_km2": round(row.geometry.area / 1e6, 4), "speed": round(float(speed), 4),
         "found": bool(one >= 0)}
        for row, speed, one in zip(wanted.itertuples(), true_speed, match, strict=True)
    ]  # fmt: skip
    for k, name in enumerate(hit[seen]):
        out["each"][name] |= {
            "told_speed": round(float(told[k]), 4), "told_activity": str(activity[k]),
            "right_activity": bool(activity[k] == expected[k]), "classes_off": int(off[k]),
        }  # fmt: skip
    return out


def _share(right: np.ndarray) -> dict[str, Any]:
    hits = int(right.sum())
    share = hits / right.size if right.size else np.nan
    return {"share": share, "of": int(right.size), "share_95": evaluation.wilson(hits, right.size)}
