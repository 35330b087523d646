"""Training a model of the kind of ground, judging it on ground it never saw, and keeping it.

A model file is a value: its version, what it was trained on, which factors it uses and why, how
well it did on held-out ground, and the classifiers themselves. It is read without running code of
the file. A model that is trained anew is the next version, whatever became of the file before.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier import evaluation
from rockglacier.conventions import KIND_NAMES, ROCK_GLACIERS, Kind
from rockglacier.errors import ConfigurationError, RockGlacierError, SceneError
from rockglacier.fusion import calibration, selection
from rockglacier.fusion.folds import SpatialFolds, variogram
from rockglacier.fusion.labels import BACKGROUND, SAMPLES
from rockglacier.fusion.models import MODELS, Model, Overlay, Pooled, classifier, estimator
from rockglacier.fusion.objects import Judge
from rockglacier.grid import Grid
from rockglacier.inventory.outlines import HOLE_KM2, LEAST_KM2, Shape, labelled

logger = logging.getLogger(__name__)

Fitted = Pooled | Overlay
FORMAT = 2  # of the model file
ASKED = 4000  # samples by which factors are chosen
SCORES = ("overall_accuracy", "macro_f1", "roc_auc", "pr_auc", "brier",
          "calibration_error_likely")  # fmt: skip
CORE = 8.0  # ASSUME: times the odds of its edge that an object's core has
REGION_M = 1e7  # between the coordinates of regions, so that none neighbours another


@dataclass(frozen=True)
class How:
    """How a model is trained."""

    model: Model = "logistic regression"
    seed: int = 0
    folds: int = 5
    block_m: float = 2000.0  # least side of a block
    reach_m: float = 6000.0  # within which residuals may be alike
    buffer_m: float = 200.0
    bootstraps: int = 20
    select: bool = True
    limits: selection.Limits = field(default_factory=selection.Limits)

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ConfigurationError(
                f"model {self.model!r} is unknown; needed: one of {', '.join(MODELS)}."
            )


@dataclass
class Trained:
    """A model and all that tells what it is worth.

    ``factors``: names in the order of its columns; ``fates`` of all factors; ``model`` and, for the
    band of its doubt, models of resampled ground (``others``); ``bend``: what makes probabilities
    of rock glaciers those that are found on ground held out (:mod:`calibration`); ``low``,
    ``high``: probability of rock glaciers beyond which ground is an object's, and one has to have
    some; ``even``: between them, from where on a pixel is of a rock glacier; ``block_m``: side of
    a block; ``notes``: what it was trained on and how, its ``version`` (:func:`entered`) and how
    well it did: ``inner_folds`` (:func:`evaluation.foretold` of its samples, as models of other
    ground tell them) and, of each region that it maps, ``held_out`` (:func:`scores_of`);
    ``judge``: which candidates are objects, None where too few outlines are known to tell.
    """

    factors: list[str]
    fates: pd.DataFrame
    model: Fitted
    others: list[Fitted]
    bend: calibration.Bend
    low: float
    even: float
    high: float
    block_m: float
    notes: dict[str, Any]
    judge: Judge | None = None

    def objects(
        self, probability: np.ndarray, grid: Grid, *, least_km2: float = LEAST_KM2,
        hole_km2: float = HOLE_KM2,
    ) -> np.ndarray:  # fmt: skip
        """Number (y, x; from 1, 0: none) of the object of each pixel of ``probability``.

        As the judge says, else beyond ``low`` and ``high``.
        """
        if self.judge is None:
            # As they were before they were bent: thresholds, and what parts summits, are of these.
            plain = calibration.straightened(probability, self.bend)
            low, high = calibration.straightened(np.array([self.low, self.high]), self.bend)
            return labelled(plain, grid, Shape(float(low), float(high), least_km2, hole_km2))
        return self.judge.labelled(probability, grid, least_km2=least_km2, hole_km2=hole_km2)

    def probabilities(self, X: np.ndarray, *, models: Sequence[Fitted] | None = None) -> np.ndarray:
        """Probability (model, sample, kind; all of :class:`Kind`) of factors (sample, factor)."""
        found = []
        for model in [self.model] if models is None else models:
            found.append(_bent(_of_all_kinds(model.predict_proba(X), model), self.bend))
        return np.stack(found)


def _of_all_kinds(P: np.ndarray, model: Fitted) -> np.ndarray:
    """``P`` (sample, kind that ``model`` knows) over all of :class:`Kind`, 0 of the others."""
    out = np.zeros((len(P), len(Kind)))
    out[:, model.classes_.astype(int)] = P
    return out


def _bent(P: np.ndarray, bend: calibration.Bend) -> np.ndarray:
    """``P`` (sample, kind) whose sum over rock glaciers is bent; the shares within stay."""
    whole = rock_glacier(P)
    found = calibration.bent(whole, bend)
    out = P * ((1.0 - found) / np.fmax(1.0 - whole, calibration.FLOOR))[:, None]
    glacier = [int(kind) for kind in ROCK_GLACIERS]
    out[:, glacier] = P[:, glacier] * (found / np.fmax(whole, calibration.FLOOR))[:, None]
    return np.asarray(out / out.sum(axis=1, keepdims=True))


def rock_glacier(P: np.ndarray) -> np.ndarray:
    """Probability of rock glaciers of any activity, from those of all kinds (..., kind)."""
    return np.asarray(P[..., [int(kind) for kind in ROCK_GLACIERS]].sum(axis=-1))


def read_samples(
    products: Mapping[str, xr.Dataset],
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Samples of regions (:func:`labels.with_factors`), :func:`joined`, and techniques' factors.

    Factors that a region has not are left out.
    """
    every = [{str(n) for n in product if n not in SAMPLES} for product in products.values()]
    shared = set.intersection(*every)
    if missing := set.union(*every) - shared:
        logger.warning("not known in every region: %s", ", ".join(sorted(missing)))
    first = next(iter(products.values()))
    techniques: dict[str, list[str]] = {}
    for name in sorted(shared):
        techniques.setdefault(first[name].attrs["technique"], []).append(name)
    kept = [*SAMPLES, *sorted(shared)]
    tables = {region: product[kept].to_dataframe() for region, product in products.items()}
    return joined(tables), techniques


def joined(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Samples of several regions as one table: their objects and places apart, ``region`` named."""
    parts, objects = [], 0
    for k, (region, table) in enumerate(sorted(tables.items())):
        own = table["object"].to_numpy()
        parts.append(table.assign(
            region=region, x=table["x"] + k * REGION_M,
            object=np.where(own >= 0, own + objects, BACKGROUND),
        ))  # fmt: skip
        objects += int(own.max(initial=-1)) + 1
    return pd.concat(parts, ignore_index=True)


def folds_of(samples: pd.DataFrame, how: How, *, block_m: float) -> SpatialFolds:
    """Folds of ``samples`` by blocks of ``block_m``."""
    return SpatialFolds(
        samples["x"].to_numpy(), samples["y"].to_numpy(), samples["object"].to_numpy(),
        block_m=block_m, buffer_m=how.buffer_m, folds=how.folds, seed=how.seed,
    )  # fmt: skip


def train(
    samples: pd.DataFrame, techniques: Mapping[str, Sequence[str]], how: How, *,
    fates: pd.DataFrame | None = None, block_m: float | None = None,
) -> Trained:  # fmt: skip
    """A model of ``samples``: columns SAMPLES and those of all factors of ``techniques``.

    ``fates``: what became of the factors of these samples before (:class:`Trained`), where that is
    known of a technique; ``block_m``: side of a block, where it is known (:func:`block_side`).

    Raises
    ------
    RockGlacierError
        Samples are of one kind alone, or no factor is left.
    """
    y, weight = samples["kind"].to_numpy(), samples["weight"].to_numpy()
    edge = samples["edge"].to_numpy(bool)
    kinds = {KIND_NAMES[Kind(k)]: int((y[~edge] == k).sum()) for k in np.unique(y[~edge])}
    if len(kinds) < 2:
        raise RockGlacierError(
            f"all {len(samples)} samples are of one kind ({', '.join(kinds)}); two or more are "
            "needed: name more kinds under labels, or enlarge the region."
        )
    block_m = block_m or block_side(samples, techniques, how)
    folds = folds_of(samples, how, block_m=block_m)
    splits = _usable(list(folds.split(samples, y)), y)
    splits = [(a[~edge[a]], b[~edge[b]]) for a, b in splits]
    # Choosing asks hundreds of models: the quickest, of some of the samples, answers for all.
    asked = _some(len(y), splits, how.seed)
    all_fates, used = [], {}
    for technique, names in techniques.items():
        found = pd.DataFrame() if fates is None else fates[fates["technique"] == technique]
        if found.empty:
            found = _fates(samples[list(names)], y, weight, asked, how)
        all_fates.append(found.assign(technique=technique))
        if names := selection.chosen(found):
            used[technique] = names
    if not used:
        raise RockGlacierError(
            "no factor tells the kinds apart; see the limits of fusion, and the labels."
        )
    factors = [name for names in used.values() for name in names]
    columns = {t: [factors.index(name) for name in names] for t, names in used.items()}
    X = samples[factors].to_numpy(np.float64)
    blocks = folds.blocks()
    model = classifier(how.model, columns, seed=how.seed).fit(
        X, y, sample_weight=weight, groups=blocks, judged_only=edge
    )
    X, blocks = X[~edge], blocks[~edge]
    others = list(_resampled(X, y[~edge], weight[~edge], blocks, columns, how))
    held_out = rock_glacier(_of_all_kinds(model.held_out_, model))
    truth = np.isin(y, [int(kind) for kind in ROCK_GLACIERS])
    bend = calibration.fitted(held_out, truth, weight)
    # Edges of outlines are uncertain: where an object ends is told by what is not.
    raw = _thresholds(held_out[~edge], truth[~edge], weight[~edge])
    low, even, high = calibration.bent(np.array(raw), bend).tolist()
    for one in (model, *others):
        del one.held_out_  # as long as the samples, and of no use to who predicts
    notes = {
        "kinds": kinds, "samples": len(samples), "digest": digest(samples), **_plain(how),
        "regions": sorted(set(samples.get("region", pd.Series(["?"])))),
        "powers": dict(zip(columns, _powers(model), strict=True)),
        "inner_folds": evaluation.foretold(truth, calibration.bent(held_out, bend), weight),
        "held_out": {}, "version": 1,
    }  # fmt: skip
    told = pd.concat(all_fates, ignore_index=True)
    return Trained(factors, told, model, others, bend, low, even, high, block_m, notes)


def cross_validated(
    samples: pd.DataFrame, techniques: Mapping[str, Sequence[str]], how: How, *, block_m: float,
    fates: Mapping[int, pd.DataFrame] | None = None,
) -> Iterator[tuple[int, Trained, np.ndarray]]:  # fmt: skip
    """Fold, the model of all other ground, and the rows of ``samples`` that it is judged on.

    All is done anew in each fold, choice of factors and of thresholds too. Folds whose training
    lacks a kind are left out. ``fates`` (by fold): what became of factors there before.
    """
    y = samples["kind"].to_numpy()
    folds = folds_of(samples, how, block_m=block_m)
    number = folds.assigned(y)
    for train_rows, judged in folds.split(samples, y):
        if len(np.unique(y[train_rows])) < 2:
            logger.warning("a fold is left out: what is left to train on is of one kind")
            continue
        own = samples.iloc[train_rows].reset_index(drop=True)
        fold = int(number[judged[0]])
        before = fates.get(fold) if fates else None
        yield fold, train(own, techniques, how, fates=before, block_m=block_m), judged


def scores_of(document: Mapping[str, Any]) -> dict[str, float]:
    """What a model's file tells of ``evaluation.json`` of a region: SCORES of the fusion."""
    fusion = document["sides"][evaluation.FUSION]
    found = {name: float(fusion["pixels"][name]) for name in SCORES}
    found |= {f"object_{name}": float(fusion["objects"][name])
              for name in ("precision", "recall", "f1")}  # fmt: skip
    left_out = document.get("region_left_out", {}).get("sides")
    if left_out:
        pixels, objects = (left_out[evaluation.FUSION][name] for name in ("pixels", "objects"))
        found |= {"region_left_out_roc_auc": float(pixels["roc_auc"]),
                  "region_left_out_object_f1": float(objects["f1"])}  # fmt: skip
    return found


def entered(trained: Trained, history: str | Path) -> pd.DataFrame:
    """The table ``history`` of a model's versions with a line more, whose number ``trained`` gets.

    The file need not be there yet. It tells of each version the training data's digest, the
    regions, samples and scores, and outlives the model's own file.
    """
    before = pd.read_csv(history) if Path(history).exists() else pd.DataFrame({"version": []})
    version = 1 + int(before["version"].max()) if len(before) else 1
    trained.notes["version"] = version
    notes = trained.notes
    row = {"version": version, "digest": notes["digest"], "regions": " ".join(notes["regions"]),
           "samples": notes["samples"], "model": notes["model"],
           "inner_roc_auc": round(notes["inner_folds"]["roc_auc"], 4)}  # fmt: skip
    for region, scores in notes["held_out"].items():
        row |= {f"{region}_{name}": round(value, 4) for name, value in scores.items()}
    return pd.concat([before, pd.DataFrame([row])] if len(before) else [pd.DataFrame([row])],
                     ignore_index=True)  # fmt: skip


def digest(samples: pd.DataFrame) -> str:
    """Digest of training data: rows, columns and values."""
    values = pd.util.hash_pandas_object(samples, index=False).to_numpy()
    names = ",".join(map(str, samples))
    return hashlib.sha256(names.encode() + values.tobytes()).hexdigest()[:16]


def save(trained: Trained, path: str | Path, *, provenance: Mapping[str, str]) -> None:
    """Write the model file, whole or not at all."""
    import skops.io

    from rockglacier.io import atomic

    content = {f: getattr(trained, f) for f in trained.__dataclass_fields__}
    content["fates"] = trained.fates.to_dict("list")
    content["judge"] = trained.judge and asdict(trained.judge)
    with atomic(path) as partial:
        skops.io.dump({"format": FORMAT, **content, "provenance": dict(provenance)}, partial)


def load(path: str | Path) -> Trained:
    """Read what :func:`save` wrote; nothing but known classes is made of it.

    Raises
    ------
    SceneError
        The file is no model of this format, or holds what is not known here.
    """
    import skops.io

    try:
        named = skops.io.get_untrusted_types(file=path)
        strange = [name for name in named if not name.startswith(TRUSTED)]
        if strange:
            raise SceneError(
                f"{path} holds {', '.join(strange)}, which no model of this project does; train "
                "it anew (snakemake --config retrain=NAME)."
            )
        content = skops.io.load(path, trusted=named)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise SceneError(f"{path} cannot be read as a model ({error}); train it anew.") from error
    if content.get("format") != FORMAT:
        raise SceneError(
            f"{path} is a model of format {content.get('format')}, but {FORMAT} is needed; train "
            "it anew."
        )
    fields = {name: content[name] for name in Trained.__dataclass_fields__}
    fields["fates"] = pd.DataFrame(content["fates"])
    fields["judge"] = content["judge"] and Judge(**content["judge"])
    return Trained(**fields)


# Parts of these packages alone make up a model.
TRUSTED = ("rockglacier.fusion.", "sklearn.", "numpy.", "scipy.", "builtins.")


def _plain(how: How) -> dict[str, Any]:
    found = asdict(how)
    return {"limits": found.pop("limits"), **found}


def _fates(
    X: pd.DataFrame, y: np.ndarray, weight: np.ndarray, splits: selection.Splits, how: How
) -> pd.DataFrame:
    if how.select:
        quick = estimator("information value")
        return selection.select(X, y, weight, splits, quick, limits=how.limits)
    known = X.notna().any()
    every = pd.DataFrame({
        "factor": list(map(str, X)), "fate": np.where(known, "chosen", "unknown"),
        "why": "all are used", "invalid_share": X.isna().mean().to_numpy(),
        "rank": np.arange(1, X.shape[1] + 1),
    })  # fmt: skip
    return every.reindex(columns=selection.FATES)


def _some(count: int, splits: selection.Splits, seed: int) -> selection.Splits:
    """``splits`` of some of ``count`` samples, ASKED at most."""
    if count <= ASKED:
        return splits
    kept = np.zeros(count, bool)
    kept[np.random.default_rng(seed).choice(count, ASKED, replace=False)] = True
    return [(a[kept[a]], b[kept[b]]) for a, b in splits]


def _usable(splits: selection.Splits, y: np.ndarray) -> selection.Splits:
    """Folds that leave two kinds at least to train on."""
    found = [(a, b) for a, b in splits if len(np.unique(y[a])) >= 2]
    if len(found) < 2:
        raise RockGlacierError(
            f"{len(found)} of {len(splits)} folds of ground leave two kinds to train on; two folds "
            "are needed: enlarge the region, label more objects, or lessen fusion.block_m."
        )
    return found


def block_side(samples: pd.DataFrame, techniques: Mapping[str, Sequence[str]], how: How) -> float:
    """Side of a block (m): as far as residuals are alike, and ``how.block_m`` at least.

    Residuals are of rock glaciers, which count as much as all other ground, foretold by such a
    model as is judged, of all factors, on blocks of ``how.block_m`` that were held out: those of
    ground that taught it would be small, and alike over a shorter way.
    """
    samples = samples[~samples["edge"].to_numpy(bool)]
    y = np.isin(samples["kind"], [int(kind) for kind in ROCK_GLACIERS])
    weight = samples["weight"].to_numpy()
    if not 0 < y.sum() < y.size:
        return how.block_m
    alike = weight / np.where(y, weight[y].sum(), weight[~y].sum())
    names = [name for part in techniques.values() for name in part]
    columns = {t: [names.index(name) for name in part] for t, part in techniques.items()}
    model = classifier(how.model, columns, seed=how.seed).fit(
        samples[names].to_numpy(np.float64), y.astype(int), sample_weight=alike * y.size / 2.0,
        groups=folds_of(samples, how, block_m=how.block_m).blocks(),
    )  # fmt: skip
    residual = y - model.held_out_[:, 1]
    try:
        found = variogram(
            residual, samples["x"].to_numpy(), samples["y"].to_numpy(), reach_m=how.reach_m,
            seed=how.seed,
        )  # fmt: skip
    except RockGlacierError as error:
        logger.warning("blocks are of %g m: %s", how.block_m, error)
        return how.block_m
    side = max(how.block_m, found.range_m)
    if found.capped:
        logger.warning(
            "residuals are alike over more than the %.0f m that were looked at, so that blocks of "
            "that side may flatter the model; raise reach_m of the model",
            how.reach_m,
        )
    logger.info("residuals are alike over %.0f m; blocks are of %.0f m", found.range_m, side)
    return side


def _resampled(
    X: np.ndarray, y: np.ndarray, weight: np.ndarray, blocks: np.ndarray,
    columns: Mapping[str, Sequence[int]], how: How,
) -> Iterator[Fitted]:  # fmt: skip
    """Models of ground whose blocks are drawn anew, with replacement."""
    rng = np.random.default_rng(how.seed)
    names = np.unique(blocks)
    made = 0
    for _ in range(20 * how.bootstraps):
        if made == how.bootstraps:
            return
        count = np.bincount(rng.choice(names, names.size), minlength=int(names.max()) + 1)
        rows = np.flatnonzero(count[blocks] > 0)
        if np.unique(y[rows]).size < np.unique(y).size:
            continue
        worth = weight[rows] * count[blocks[rows]]
        made += 1
        model = classifier(how.model, columns, seed=how.seed)
        yield model.fit(X[rows], y[rows], sample_weight=worth, groups=blocks[rows])
    if made < how.bootstraps:
        logger.warning("%d of %d models of resampled ground hold every kind", made, how.bootstraps)


def _powers(model: Fitted) -> list[float]:
    """How much each technique counts."""
    if isinstance(model, Pooled):
        power = model.power_
    else:
        glacier = np.isin(model.classes_, [int(kind) for kind in ROCK_GLACIERS])
        power = np.abs(model.power_)[glacier if glacier.any() else ~glacier].mean(axis=0)
        power = power / max(float(power.sum()), 1e-12)
    return [round(float(one), 3) for one in power]


def _thresholds(P: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> tuple[float, float, float]:
    """Probability of rock glaciers that an object's ground has, a pixel's of one, and its core.

    The middle one is of highest F1 on held-out ground; its odds are as far below those of a core as
    above those of an edge. ``P`` (sample) is of models that did not see the sample.
    """
    from sklearn.metrics import precision_recall_curve

    if not truth.any():
        return 0.5, 0.6, 0.7
    precision, recall, at = precision_recall_curve(truth, P, sample_weight=weight)
    score = 2.0 * precision * recall / np.fmax(precision + recall, 1e-12)
    best = float(np.clip(at[int(np.argmax(score[:-1]))], 0.02, 0.9))
    odds, apart = best / (1.0 - best), np.sqrt(CORE)
    return _of_odds(odds / apart), best, _of_odds(odds * apart)


def _of_odds(odds: float) -> float:
    return float(odds / (1.0 + odds))
