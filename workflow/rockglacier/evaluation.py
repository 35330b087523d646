"""How right maps and inventories are: by pixel, by object, with intervals.

Source
------
Kappa's parts, quantity and allocation: Pontius & Millones (2011), doi:10.1080/01431161.2011.552923.
Interval of a proportion: Wilson (1927), doi:10.1080/01621459.1927.10502953. Bootstrap, paired and
of blocks: Efron & Tibshirani (1993), doi:10.1201/9780429246593. Calibration error by bins: Naeini,
Cooper & Hauskrecht (2015), AAAI 29, 2901.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

FUSION = "fusion"  # the side of all techniques together
LEFT_OUT = "fusion, region left out"  # the same by a model of other regions alone
BINS = 10  # of a reliability curve
EVEN = 50  # bins of it that hold alike many samples
LIKELY = 0.1  # probability from which on ground might be looked at
LEAST_OVERLAP = 0.5  # intersection over union of objects that are the same
Z95 = 1.959963984540054
RANKS = 1000  # classes of a rank that areas under resampled curves are told from


def confusion(truth: np.ndarray, told: np.ndarray, kinds: Sequence[int],
              weight: np.ndarray | None = None) -> np.ndarray:  # fmt: skip
    """Weight of samples by their kind (row) and what they were told to be (column)."""
    from sklearn.metrics import confusion_matrix

    found = confusion_matrix(truth, told, labels=list(kinds), sample_weight=weight)
    return np.asarray(found, np.float64)


def agreement(matrix: np.ndarray) -> dict[str, Any]:
    """What a confusion matrix (truth, told) says.

    ``overall_accuracy``, ``kappa`` and its parts ``quantity_disagreement`` and
    ``allocation_disagreement``; ``balanced_accuracy``, ``macro_f1``; ``producers``, ``users`` and
    ``f1`` of each kind, NaN where there is none of it.
    """
    n = matrix.sum()
    truth, told, right = matrix.sum(axis=1), matrix.sum(axis=0), np.diag(matrix)
    with np.errstate(invalid="ignore", divide="ignore"):
        producers, users = right / truth, right / told
        f1 = 2.0 * right / (truth + told)
        chance = float((truth * told).sum() / n**2)
        accuracy = float(right.sum() / n)
        kappa = (accuracy - chance) / (1.0 - chance)
    present = truth > 0
    quantity = float(np.abs(truth - told).sum() / (2.0 * n))
    return {
        "overall_accuracy": accuracy, "kappa": float(kappa),
        "quantity_disagreement": quantity,
        "allocation_disagreement": 1.0 - accuracy - quantity,
        "balanced_accuracy": float(producers[present].mean()),
        "macro_f1": float(f1[present].mean()),
        "producers": producers.tolist(), "users": users.tolist(), "f1": f1.tolist(),
    }  # fmt: skip


def foretold(truth: np.ndarray, P: np.ndarray, weight: np.ndarray | None = None) -> dict[str, Any]:
    """What probabilities ``P`` (sample) of what is ``truth`` (sample; bool) are worth.

    ``roc_auc``, ``pr_auc`` (average precision; of chance it is ``prevalence``), ``brier``,
    ``calibration_error`` (mean distance of the reliability curve from the diagonal) and that curve:
    ``told``, ``found`` and ``weight`` of each bin that holds samples. Where most ground is surely
    none, that error is small whatever is said of the rest: ``calibration_error_likely`` is of the
    samples told LIKELY or more (``likely_share`` of all), and ``calibration_error_even`` of EVEN
    bins that hold alike many.
    """
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    weight = np.ones(truth.size) if weight is None else weight
    out: dict[str, Any] = {"prevalence": float(np.average(truth, weights=weight))}
    both = bool(truth.any() and not truth.all())
    out["roc_auc"] = float(roc_auc_score(truth, P, sample_weight=weight)) if both else float("nan")
    out["pr_auc"] = (
        float(average_precision_score(truth, P, sample_weight=weight)) if both else float("nan")
    )
    out["brier"] = float(brier_score_loss(truth, P, sample_weight=weight, labels=[False, True]))
    where = np.minimum((P * BINS).astype(int), BINS - 1)
    told, found, held = _reliability(truth, P, weight, where)
    out["calibration_error"] = float(np.average(np.abs(told - found), weights=held))
    out["reliability"] = {
        "told": told.tolist(), "found": found.tolist(), "weight": held.tolist()
    }  # fmt: skip
    likely = P >= LIKELY
    out["likely_share"] = float(np.average(likely, weights=weight))
    out["calibration_error_likely"] = float("nan")
    if weight[likely].any():
        told, found, held = _reliability(truth[likely], P[likely], weight[likely], where[likely])
        out["calibration_error_likely"] = float(np.average(np.abs(told - found), weights=held))
    order = np.argsort(P, kind="stable")
    upto = np.cumsum(weight[order]) - 0.5 * weight[order]
    where = np.empty(P.size, int)
    where[order] = np.minimum((upto / weight.sum() * EVEN).astype(int), EVEN - 1)
    told, found, held = _reliability(truth, P, weight, where)
    out["calibration_error_even"] = float(np.average(np.abs(told - found), weights=held))
    return out


def _reliability(
    truth: np.ndarray, P: np.ndarray, weight: np.ndarray, where: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean probability, share that is true and weight of each bin ``where`` samples lie."""
    held = np.bincount(where, weight)
    some = held > 0
    told = np.bincount(where, weight * P)[some] / held[some]
    found = np.bincount(where, weight * truth)[some] / held[some]
    return told, found, held[some]


def matching_weight(truth: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Weights of samples by which those that are not ``truth`` have the strata of those that are.

    ``stratum`` (sample; below 0: none). A stratum that lacks one of both weighs nothing; weights of
    both add up to the number of true samples that count.
    """
    weight = np.zeros(truth.size)
    inside = stratum >= 0
    count = int(stratum.max(initial=-1)) + 1
    wanted = np.bincount(stratum[inside & truth], minlength=count)
    there = np.bincount(stratum[inside & ~truth], minlength=count)
    both = (wanted > 0) & (there > 0)
    each = np.where(both, wanted, 0) / np.fmax(there, 1)
    weight[inside] = np.where(truth, both[stratum], each[stratum])[inside] if count else 0.0
    return weight


def blocked_auc(
    truth: np.ndarray, P: np.ndarray, block: np.ndarray, weight: np.ndarray | None = None, *,
    draws: int = 1000, seed: int = 0,
) -> tuple[float, float, float]:  # fmt: skip
    """Area under the curve of ``P`` (sample) for what is ``truth``, and its 95 % interval.

    Samples of one ``block`` (sample; a number) are alike: blocks are drawn anew as a whole. NaN
    where all that weighs is true, or nothing is. Areas of draws are told by RANKS classes of
    ``P``, which cost them 0.001 at most where weights are even.
    """
    from sklearn.metrics import roc_auc_score

    weight = np.ones(truth.size) if weight is None else weight
    counts = weight > 0
    truth, P, weight = truth[counts], P[counts], weight[counts]
    if not truth.any() or truth.all():
        return float("nan"), float("nan"), float("nan")
    whole = float(roc_auc_score(truth, P, sample_weight=weight))
    edges = np.unique(np.quantile(P, np.linspace(0.0, 1.0, RANKS + 1)[1:-1]))
    rank = np.searchsorted(edges, P, side="right")
    names, number = np.unique(block[counts], return_inverse=True)
    size = edges.size + 1
    held = [
        np.bincount(number[one] * size + rank[one], weight[one], names.size * size)
        for one in (truth, ~truth)
    ]
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(names.size, np.full(names.size, 1.0 / names.size), draws)
    yes, no = (drawn @ part.reshape(names.size, size) for part in held)
    below = np.cumsum(no, axis=1) - 0.5 * no
    with np.errstate(invalid="ignore", divide="ignore"):
        areas = (yes * below).sum(axis=1) / (yes.sum(axis=1) * no.sum(axis=1))
    low, high = np.nanquantile(areas, (0.025, 0.975))
    return whole, float(low), float(high)


def wilson(right: float, of: float) -> tuple[float, float]:
    """95 % interval of a proportion; 0 to 1 where there is nothing to tell it from."""
    if of <= 0:
        return 0.0, 1.0
    share, z2 = right / of, Z95**2
    middle = (share + z2 / (2.0 * of)) / (1.0 + z2 / of)
    half = Z95 / (1.0 + z2 / of) * np.sqrt(share * (1.0 - share) / of + z2 / (4.0 * of**2))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def matched(found: GeoDataFrame, reference: GeoDataFrame, *,
            overlap: float = LEAST_OVERLAP) -> np.ndarray:  # fmt: skip
    """Row of ``found`` that is each object of ``reference``, -1 where none is.

    Both lie in one CRS in metres. Two are the same where their intersection over union is
    ``overlap`` or more; the greatest is paired first, and each once.
    """
    out = np.full(len(reference), -1)
    if not len(found) or not len(reference):
        return out
    left, right = reference.sindex.query(found.geometry, predicate="intersects")
    a, b = found.geometry.to_numpy()[left], reference.geometry.to_numpy()[right]
    inner = np.array([p.intersection(q).area for p, q in zip(a, b, strict=True)])
    union = np.array([p.area + q.area for p, q in zip(a, b, strict=True)]) - inner
    share = inner / np.fmax(union, 1e-9)
    taken: set[int] = set()
    for k in np.argsort(-share, kind="stable"):
        if share[k] < overlap:
            break
        if out[right[k]] < 0 and int(left[k]) not in taken:
            out[right[k]] = left[k]
            taken.add(int(left[k]))
    return out


def holding(found: GeoDataFrame, points: GeoDataFrame) -> np.ndarray:
    """Row of ``found`` that holds the middle of each object of ``points``, -1 where none does.

    Both lie in one CRS in metres. Of several middles within one outline that nearest to the
    outline's own is its; each is paired once.
    """
    out = np.full(len(points), -1)
    if not len(found) or not len(points):
        return out
    middles = points.geometry.centroid
    left, right = found.sindex.query(middles, predicate="within")
    inner = found.geometry.representative_point().to_numpy()
    apart = np.array([
        inner[q].distance(middles.iloc[p]) for p, q in zip(left, right, strict=True)
    ])  # fmt: skip
    taken: set[int] = set()
    for k in np.argsort(apart, kind="stable"):
        if out[left[k]] < 0 and int(right[k]) not in taken:
            out[left[k]] = right[k]
            taken.add(int(right[k]))
    return out


def detection(hits: int, found: int, wanted: int) -> dict[str, Any]:
    """Precision, recall and F1 of ``hits`` among objects ``found`` and ``wanted``, with intervals.

    The interval of F1 is Wilson's of the hits among the mean of both.
    """
    mean = 0.5 * (found + wanted)
    return {
        "hits": hits, "false": found - hits, "missed": wanted - hits,
        "precision": hits / found if found else float("nan"), "precision_95": wilson(hits, found),
        "recall": hits / wanted if wanted else float("nan"), "recall_95": wilson(hits, wanted),
        "f1": hits / mean if mean else float("nan"), "f1_95": wilson(hits, mean),
    }  # fmt: skip


def share_by_blocks(
    right: np.ndarray, block: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the share of samples that are ``right`` (sample; bool), blocks drawn anew.

    ``block`` (sample): number of the block of ground that each lies in. Neighbours err alike, so
    that an interval from their number would be far too narrow. 0 to 1 where one block is all.
    """
    blocks, at = np.unique(block, return_inverse=True)
    if blocks.size < 2:
        return 0.0, 1.0
    hits = np.bincount(at, right.astype(np.float64), blocks.size)
    held = np.bincount(at, minlength=blocks.size)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(blocks.size, size=(draws, blocks.size))
    low, high = np.quantile(hits[drawn].sum(axis=1) / held[drawn].sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


def paired_bootstrap(
    score: Callable[[np.ndarray, np.ndarray], float], one: np.ndarray, other: np.ndarray, *,
    draws: int = 2000, seed: int = 0,
) -> tuple[float, float, float]:  # fmt: skip
    """Difference of the ``score`` of two sides, and its 95 % interval.

    ``one`` and ``other`` (unit, ...) tell of the same units, blocks of ground for instance, which
    are drawn anew together; ``score`` takes the rows drawn of a side, and their numbers.
    """
    rng = np.random.default_rng(seed)
    every = np.arange(len(one))
    whole = score(one, every) - score(other, every)
    told = []
    for _ in range(draws):
        drawn = rng.choice(every, every.size)
        told.append(score(one[drawn], drawn) - score(other[drawn], drawn))
    low, high = np.nanquantile(told, (0.025, 0.975))
    return float(whole), float(low), float(high)
