"""How well a way of training foretells ground that it never saw: maps of held-out ground, scores.

All is done anew in each fold: factors are chosen, models fitted, thresholds set, on other ground.
What is judged is the way of training on these labels, for the fusion and for each technique alone.
A fold is of blocks of ground, which tell of more ground like it; or it is a whole region, which
tells of a region that has no labels.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier import evaluation
from rockglacier.conventions import KIND_NAMES, MAP, ROCK_GLACIERS, Kind, describe
from rockglacier.errors import RockGlacierError
from rockglacier.evaluation import FUSION
from rockglacier.fusion import calibration, mapping, objects, training
from rockglacier.fusion.labels import BACKGROUND, rasterised, strata
from rockglacier.grid import Grid
from rockglacier.inventory.outlines import Shape, labelled, outlines

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

logger = logging.getLogger(__name__)

UNKNOWN = -1  # in place of a kind
ACTIVITIES = {"active": Kind.ACTIVE, "resting": Kind.RESTING}  # that objects are told to be of


class HeldOut(NamedTuple):
    """Maps of held-out ground, their objects, and the fates of factors in each fold.

    ``maps`` (:func:`mapping.whole`) and ``fold``, that no model had seen which told a pixel;
    ``number`` (y, x; from 1, 0: none) of each pixel's object.
    """

    maps: xr.Dataset
    number: np.ndarray
    fates: dict[int, pd.DataFrame]


def folds_of_pixels(
    samples: pd.DataFrame, labels: GeoDataFrame, grid: Grid, how: training.How, *, block_m: float,
    shift_m: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """Fold (y, x) of each pixel: that of its block; of a labelled object, that of all of it.

    ``samples`` are those that folds are dealt by; ``shift_m`` is what their x has more than the
    grid's (:func:`training.joined`).
    """
    folds = training.folds_of(samples, how, block_m=block_m)
    kinds = samples["kind"].to_numpy()
    x, y = np.meshgrid(grid.x + shift_m, grid.y)
    fold = folds.of_places(x, y, kinds)
    objects, _ = rasterised(labels, grid)
    for one in np.unique(objects[objects != BACKGROUND]):
        here = objects == one
        middle = float(x[here].mean()), float(y[here].mean())
        own = folds.of_places(np.array([middle[0]]), np.array([middle[1]]), kinds)
        fold[here] = own[0]
    return fold


def held_out(
    samples: pd.DataFrame, techniques: Mapping[str, Sequence[str]], how: training.How,
    factors: xr.Dataset, labels: GeoDataFrame, grid: Grid, *, block_m: float, shift_m: float = 0.0,
    rows: int = 512, fates: Mapping[int, pd.DataFrame] | None = None,
) -> HeldOut:  # fmt: skip
    """Maps (:func:`mapping.probabilities`) of held-out ground, and their objects.

    ``factors`` may be lazy; ``rows`` are told at a time. Which candidates are objects is learnt
    from the ground of other folds; where too few outlines are known for that, objects lie beyond
    thresholds, the median of those that folds set on their own training ground. ``fates``: those of
    a side with more techniques, whose factors need not be chosen again.

    Raises
    ------
    RockGlacierError
        Folds leave a kind out of training.
    """
    models: dict[int, training.Trained] = {}
    for number, model, _ in training.cross_validated(
        samples, techniques, how, block_m=block_m, fates=fates
    ):
        models[number] = model
    fold = folds_of_pixels(samples, labels, grid, how, block_m=block_m, shift_m=shift_m)
    missing = set(np.unique(fold).tolist()) - set(models)
    if missing:
        raise RockGlacierError(
            f"{len(missing)} folds leave one kind to train on; fewer folds, smaller blocks or "
            "more labels are needed."
        )
    every = [models[number] for number in sorted(models)]
    order = {number: k for k, number in enumerate(sorted(models))}
    renumbered = np.vectorize(order.get)(fold)
    maps = mapping.whole(factors, every[0], rows=rows, fold=renumbered, of_folds=every)
    maps["fold"] = describe(
        xr.DataArray(renumbered.astype(np.float32), maps.coords, MAP), "fold", "fold", "1"
    )
    P = maps["probability"].transpose(*MAP).values
    part = objects.known(P, renumbered, labels, grid)
    worth = objects.judged_by_others(part)
    if worth is None:
        plain, ends = P.copy(), []
        for number, model in enumerate(every):
            own = renumbered == number
            plain[own] = calibration.straightened(P[own], model.bend)
            ends.append(calibration.straightened(np.array([model.low, model.high]), model.bend))
        low, high = np.median(ends, axis=0)
        outlined = labelled(plain, grid, Shape(float(low), float(high)))
    else:
        outlined = objects.chosen(part.found, worth)
    return HeldOut(maps, outlined, {n: m.fates for n, m in models.items()})


def region_left_out(
    samples: pd.DataFrame, region: str, techniques: Mapping[str, Sequence[str]], how: training.How,
    factors: xr.Dataset, grid: Grid, *, rows: int = 512,
) -> tuple[xr.Dataset, np.ndarray]:  # fmt: skip
    """Maps of all of ``region`` by a model of the other regions of ``samples``, and its objects.

    Factors are chosen, the model is fitted and calibrated and thresholds are set without it; they
    tell what objects are (``number`` as of :class:`HeldOut`). ``factors`` are those of the region.

    Raises
    ------
    RockGlacierError
        There is no other region, or it lacks what a model needs.
    """
    others = samples[(samples["region"] != region).to_numpy()].reset_index(drop=True)
    if others.empty:
        raise RockGlacierError(
            f"the model is of {region} alone, so that it cannot be left out: name one more region "
            "with labels under the model's regions."
        )
    model = training.train(others, techniques, how)
    logger.info("%s left out: a model of %s", region, ", ".join(model.notes["regions"]))
    maps = mapping.whole(factors, model, rows=rows)
    return maps, model.objects(maps["probability"].transpose(*MAP).values, grid)


def kinds_known(labels: GeoDataFrame, grid: Grid, *, unknown_m: float = 0.0) -> np.ndarray:
    """Kind (y, x) of all ground, UNKNOWN around points (within ``unknown_m``).

    A point tells where an object is, not how far it reaches.
    """
    from scipy.ndimage import distance_transform_edt

    objects, kinds = rasterised(labels, grid)
    points = np.flatnonzero(labels["point"].to_numpy(bool))
    if points.size:
        away = distance_transform_edt(~np.isin(objects, points), sampling=grid.spacing_m)
        kinds[(away <= unknown_m) & (objects == BACKGROUND)] = UNKNOWN
    return kinds


def scores(
    maps: xr.Dataset, labels: GeoDataFrame, grid: Grid, number: np.ndarray, *,
    surface: xr.Dataset, block_m: float, unknown_m: float = 0.0,
) -> dict[str, Any]:  # fmt: skip
    """Scores of ``maps`` and of objects (``number``) against all ground of ``labels``.

    ``pixels``: of kinds (:func:`evaluation.agreement`), with ``overall_accuracy_95``, and of the
    probability of rock glaciers (:func:`evaluation.foretold`), with ``roc_auc_95``: intervals from
    ``blocks`` of ``block_m`` a side. ``matched``: the latter where other ground is as high and as
    steep as rock glaciers are (``surface`` holds ``elevation`` and ``slope``), which tells what is
    known beyond height and slope. ``objects``: of rock glaciers (:func:`evaluation.detection`),
    ``recall_by_kind``, be they told of what kind they may, ``by_kind`` (:func:`_by_kind`), which of
    them were found (``each``: name, kind, place, area), where
    ``false`` ones lie, and ``area_share``: that of all ground told within outlines. Objects whose
    middle has no elevation lie beyond the region and do not count.

    Ground within ``unknown_m`` of points does not count (:func:`kinds_known`); outlines find the
    points that lie within them (:func:`evaluation.holding`).
    """
    truth = kinds_known(labels, grid, unknown_m=unknown_m)
    P = maps["probability"].transpose(*MAP).values
    told = maps["kind"].transpose(*MAP).values
    seen = np.isfinite(P) & (truth != UNKNOWN)
    matrix = evaluation.confusion(truth[seen], told[seen].astype(int), [int(k) for k in Kind])
    block = _blocks(grid, block_m)[seen]
    glacier = [int(kind) for kind in ROCK_GLACIERS]
    found = outlines(number, grid)
    wanted = labels[labels["kind"].isin(glacier) & _within(labels, surface, grid)]
    wanted = wanted.reset_index(drop=True)
    same = evaluation.holding if wanted["point"].any() else evaluation.matched
    pairs = same(found, wanted)
    recall = {
        KIND_NAMES[Kind(kind)]: _recall(pairs[wanted["kind"].to_numpy() == kind])
        for kind in glacier
    }
    everywhere, matched = _areas(P, np.isin(truth, glacier), seen, surface, grid, block_m)
    return {
        "pixels": {
            "kinds": [KIND_NAMES[kind] for kind in Kind], "confusion": matrix.tolist(),
            **evaluation.agreement(matrix),
            "overall_accuracy_95": evaluation.share_by_blocks(truth[seen] == told[seen], block),
            "blocks": len(np.unique(block)),
            **evaluation.foretold(np.isin(truth[seen], glacier), P[seen]), **everywhere,
            "observed_share": float(np.isfinite(P).mean()),
        },
        "matched": matched,
        "objects": {
            **evaluation.detection(int((pairs >= 0).sum()), len(found), len(wanted)),
            "recall_by_kind": recall,
            "by_kind": _by_kind(_kinds_told(maps, number), wanted["kind"].to_numpy(), pairs),
            "each": _each(wanted, pairs >= 0),
            "false_places": _places(found[~found.index.isin(pairs)]),
            "area_share": float(found.area.sum() / (grid.dx * grid.dy * np.isfinite(P).sum())),
        },
    }  # fmt: skip


def _each(wanted: GeoDataFrame, hit: np.ndarray) -> list[dict[str, Any]]:
    rows = zip(wanted.itertuples(index=False), _places(wanted), hit, strict=True)
    return [
        {"name": row.name, "kind": KIND_NAMES[Kind(row.kind)], "place": place,
         "area_km2": round(row.geometry.area / 1e6, 4), "found": bool(one)}
        for row, place, one in rows
    ]  # fmt: skip


def _places(objects: GeoDataFrame) -> list[list[float]]:
    """Centroids (x, y; m)."""
    middle = objects.geometry.centroid
    return np.round(np.column_stack([middle.x, middle.y]), 0).tolist()  # type: ignore[no-any-return]


def _blocks(grid: Grid, block_m: float) -> np.ndarray:
    """Number (y, x) of the square of ``block_m`` a side that a pixel lies in."""
    row, column = (
        (np.arange(count) * side / block_m).astype(int)
        for count, side in zip(grid.shape, grid.spacing_m, strict=True)
    )
    return np.asarray(row[:, None] * (column[-1] + 1) + column)


def _within(labels: GeoDataFrame, surface: xr.Dataset, grid: Grid) -> np.ndarray:
    """Whether the elevation of each object's middle is known (object; bool)."""
    middles = labels.geometry.representative_point()
    column = np.floor((middles.x.to_numpy() - grid.west) / grid.dx).astype(int)
    row = np.floor((grid.north - middles.y.to_numpy()) / grid.dy).astype(int)
    inside: np.ndarray = (row >= 0) & (row < grid.height) & (column >= 0) & (column < grid.width)
    known = surface["elevation"].transpose(*MAP).notnull().values
    inside[inside] = known[row[inside], column[inside]]
    return inside


def height_and_slope(
    labels: GeoDataFrame, grid: Grid, *, surface: xr.Dataset, block_m: float,
    unknown_m: float = 0.0,
) -> dict[str, Any]:  # fmt: skip
    """Area under the curve of elevation and of slope alone, on all ground and ``matched``.

    0.5 tells nothing: so near comes what is matched. Arguments as of :func:`scores`.
    """
    truth = kinds_known(labels, grid, unknown_m=unknown_m)
    glacier = np.isin(truth, [int(kind) for kind in ROCK_GLACIERS])
    out: dict[str, Any] = {}
    for name in ("elevation", "slope"):
        values = surface[name].transpose(*MAP).values
        seen = np.isfinite(values) & (truth != UNKNOWN)
        everywhere, matched = _areas(values, glacier, seen, surface, grid, block_m)
        out[name] = {**everywhere, "matched": matched}
    return out


def _areas(
    P: np.ndarray, glacier: np.ndarray, seen: np.ndarray, surface: xr.Dataset, grid: Grid,
    block_m: float,
) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
    """Area under the curve of ``P`` with its interval, on all ground seen and on matched ground."""
    block = _blocks(grid, block_m)[seen]
    stratum = strata(surface, of=glacier & seen)[seen]
    truth = glacier[seen]
    sides = []
    for weight in (None, evaluation.matching_weight(truth, stratum)):
        area, *interval = evaluation.blocked_auc(truth, P[seen], block, weight)
        sides.append({"roc_auc": area, "roc_auc_95": interval})
    return sides[0], sides[1]


def _recall(pairs: np.ndarray) -> dict[str, Any]:
    hits = int((pairs >= 0).sum())
    return {"hits": hits, "of": len(pairs), "recall_95": evaluation.wilson(hits, len(pairs))}


def _kinds_told(maps: xr.Dataset, number: np.ndarray) -> np.ndarray:
    """Kind of rock glacier that is likeliest over each object of ``number`` (y, x; from 1)."""
    from scipy import ndimage

    rows = np.unique(number[number > 0])
    likely = [
        ndimage.sum(np.nan_to_num(maps[mapping.NAMES[kind]].transpose(*MAP).values), number, rows)
        for kind in ROCK_GLACIERS
    ]
    return np.asarray(np.array(ROCK_GLACIERS, int)[np.argmax(likely, axis=0)])


def _by_kind(told: np.ndarray, truth: np.ndarray, pairs: np.ndarray) -> dict[str, Any]:
    """Precision, recall and F1 of active and of resting rock glaciers (ACTIVITIES).

    ``told``: kind of each object found; ``truth``: of each labelled one; ``pairs``: the row of the
    former that the latter is, -1 where none. An object told of the other kind is missed as one and
    false as the other; what is a rock glacier of unknown activity is neither.
    """
    hit = pairs >= 0
    unknown = pairs[hit & (truth == int(Kind.ROCK_GLACIER))]
    counts = ~np.isin(np.arange(told.size), unknown)
    own = np.where(hit, told[pairs] if told.size else -1, -1)
    return {
        KIND_NAMES[kind]: evaluation.detection(
            int(((own == kind) & (truth == kind)).sum()), int((counts & (told == kind)).sum()),
            int((truth == kind).sum()),
        )
        for kind in ACTIVITIES.values()
    }  # fmt: skip


def counted(fates: Mapping[int, pd.DataFrame]) -> dict[str, dict[str, int]]:
    """Of each factor, in how many folds it met which fate (``fates``: of :class:`HeldOut`)."""
    every = pd.concat(fates.values())
    found: dict[str, dict[str, int]] = {}
    for row in every.groupby(["factor", "fate"]).size().reset_index().itertuples(index=False):
        found.setdefault(str(row[0]), {})[str(row[1])] = int(row[2])
    return found


def alone(techniques: Mapping[str, Sequence[str]]) -> dict[str, dict[str, list[str]]]:
    """The fusion of all techniques, and each that looks at the ground, by itself."""
    found = {FUSION: {name: list(factors) for name, factors in techniques.items()}}
    for name, factors in techniques.items():
        if name not in mapping.EVERYWHERE:
            found[name] = {name: list(factors)}
    return found


def table(by_side: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """One line a side (fusion, techniques): what a person compares."""
    rows = []
    for side, found in by_side.items():
        pixels, matched, objects = found["pixels"], found["matched"], found["objects"]
        rows.append({
            "side": side,
            **{n: pixels[n] for n in ("overall_accuracy", "kappa", "macro_f1", "roc_auc", "pr_auc",
                                      "brier", "calibration_error", "calibration_error_likely",
                                      "observed_share")},
            **dict(zip(("roc_auc_low", "roc_auc_high"), pixels["roc_auc_95"], strict=True)),
            "matched_auc": matched["roc_auc"],
            **dict(zip(("matched_auc_low", "matched_auc_high"), matched["roc_auc_95"],
                       strict=True)),
            **{f"object_{n}": objects[n] for n in ("precision", "recall", "f1")},
            "object_f1_low": objects["f1_95"][0], "object_f1_high": objects["f1_95"][1],
            **{f"{name}_{n}": objects["by_kind"][KIND_NAMES[kind]][n]
               for name, kind in ACTIVITIES.items() for n in ("precision", "recall", "f1")},
        })  # fmt: skip
    return pd.DataFrame(rows).round(4)
