"""An inventory beside a truth: what is found, missed and false, and whether its motion is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier import evaluation
from rockglacier.conventions import KIND_NAMES, MAP, ROCK_GLACIERS, YEAR_DAYS, Kind
from rockglacier.fusion.labels import rasterised
from rockglacier.grid import Grid
from rockglacier.inventory.attributes import ACTIVE_M_YR, LEAST_COVERAGE, RELICT_M_YR
from rockglacier.inventory.kinematics import SEASON, YEAR
from rockglacier.inventory.moving import velocity_class
from rockglacier.inventory.patterns import LEAST_AMPLITUDE_M, NOT_OBSERVED
from rockglacier.simulation_landscape import FINER, Landscape

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

MOVING_M_YR = 0.05  # along the line of sight, from which on a ratio to the truth says something
YEAR_STEP_DAYS = 6  # between the starts of the years whose true motion is averaged


def compared(found: GeoDataFrame, objects: GeoDataFrame, speeds: np.ndarray) -> dict[str, Any]:
    """Scores of the outlines ``found`` against the true ``objects`` (column ``kind``).

    ``speeds``: true median speed (m/yr) of each object. Both lie in one CRS. Activity and class of
    velocity are judged where an object was matched (IoU of a half or more) and its motion observed,
    its ``pattern`` where one was told and the truth (``seasonal_share``, ``acceleration``) knows
    it; ``each`` tells of every true object.
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
    told_pattern = own["pattern"].to_numpy(str) if "pattern" in own else np.full(hit.size, "")
    true_pattern = pattern_of(wanted.iloc[hit], true_speed[hit])
    telling = np.isin(told_pattern, ["", NOT_OBSERVED], invert=True) & (true_pattern != "")
    out["pattern"] = _share((told_pattern == true_pattern)[telling])
    out["pattern"]["not_observed"] = int((told_pattern == NOT_OBSERVED).sum())
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
    for k, name in enumerate(hit):
        if told_pattern[k] and true_pattern[k]:
            out["each"][name] |= {
                "pattern": str(true_pattern[k]), "told_pattern": str(told_pattern[k])
            }  # fmt: skip
    return out


def pattern_of(objects: GeoDataFrame, speeds: np.ndarray) -> np.ndarray:
    """True pattern of ``objects`` that move at ``speeds`` (m/yr), "" where the truth has none.

    A swing of displacement below LEAST_AMPLITUDE_M over the year counts as steady.
    """
    if "acceleration" not in objects or "seasonal_share" not in objects:
        return np.full(len(objects), "", dtype="<U12")
    grows = (objects["acceleration"].to_numpy(float) > 0.0) & (speeds > 0.0)
    swing = speeds * objects["seasonal_share"].to_numpy(float) / (2.0 * np.pi)
    swings = np.where(swing >= LEAST_AMPLITUDE_M, "seasonal", "linear")
    return np.asarray(np.where(grows, "accelerating", swings))


def with_true_velocities(
    yearly: pd.DataFrame,
    found: GeoDataFrame,
    landscape: Landscape,
    sights: Mapping[str, xr.Dataset],
) -> pd.DataFrame:
    """``yearly`` (:data:`kinematics.YEARLY`) with ``true`` (m/yr): what the landscape moved.

    The median over all pixels of the outline ``found`` (column ``PrimaryID``), seen or not, along
    the line of sight ``sights[track]`` (east, north, up; y, x): over a season from its first to its
    last date, over a year the mean of all years between these dates.
    """
    fine = landscape.grid
    grid = Grid(
        fine.crs, fine.west, fine.north, fine.dx * FINER, fine.dy * FINER,
        fine.width // FINER, fine.height // FINER,
    )  # fmt: skip
    at, _ = rasterised(found.assign(kind=0).reset_index(drop=True), grid)
    toward = {}
    names = ("east", "north", "up")
    blocks = {n: _blocks(landscape.ground[n].values) for n in (*names, "number")}
    for track, sight in sights.items():
        seen = [sight[n].transpose(*MAP).values[..., None] * blocks[n] for n in names]
        toward[track] = np.sum(seen, axis=0)
    row_of = {str(name): k for k, name in enumerate(found["PrimaryID"])}
    days = [yearly[end].to_numpy().astype("datetime64[D]") for end in ("first", "last")]
    true = []
    of_row = zip(yearly["PrimaryID"], yearly["track"], yearly["period"], *days, strict=True)
    for name, track, period, first, last in of_row:
        inside = at == row_of[str(name)]
        if period == YEAR:
            lag = np.timedelta64(int(YEAR_DAYS), "D")
            step = np.timedelta64(YEAR_STEP_DAYS, "D")
            begin = np.arange(first, max(last - lag, first) + step, step)
        else:
            lag, begin = last - first, np.array([first])
        gone = landscape.course(np.concatenate([begin, begin + lag]), first)
        years = lag / np.timedelta64(1, "D") / YEAR_DAYS
        rate = (gone[begin.size :] - gone[: begin.size]).mean(axis=0) / years
        moved = toward[str(track)][inside] * rate[blocks["number"][inside]]
        true.append(float(np.median(moved.mean(axis=1))))
    return yearly.assign(true=true)


def velocities(told: pd.DataFrame) -> dict[str, Any]:
    """Scores of the velocities of years and of seasons (:func:`with_true_velocities`).

    ``within_95``: share whose 95 % interval covers the truth; ``ratio``: median of told over true
    where the truth is at least MOVING_M_YR.
    """
    out: dict[str, Any] = {}
    for period in (YEAR, SEASON):
        rows = told[told["period"] == period]
        off = (rows["velocity"] - rows["true"]).abs().to_numpy(float)
        moves = rows[rows["true"].abs() >= MOVING_M_YR]
        out[period] = {
            "objects": int(rows["PrimaryID"].nunique()),
            "within_95": _share(off <= 1.96 * rows["velocity_error"].to_numpy(float)),
            "moving": len(moves),
            "ratio": float((moves["velocity"] / moves["true"]).median()) if len(moves) else None,
        }
    return out


def _blocks(fine: np.ndarray) -> np.ndarray:
    """(y, x, part): the FINER by FINER parts of each pixel."""
    height, width = (side // FINER for side in fine.shape)
    cut = fine.reshape(height, FINER, width, FINER)
    return np.asarray(cut.transpose(0, 2, 1, 3).reshape(height, width, FINER**2))


def _share(right: np.ndarray) -> dict[str, Any]:
    hits = int(right.sum())
    share = hits / right.size if right.size else None
    return {"share": share, "of": int(right.size), "share_95": evaluation.wilson(hits, right.size)}
