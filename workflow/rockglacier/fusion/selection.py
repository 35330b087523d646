"""Which factors a model uses: each has to be known, to tell kinds apart, and to add to others.

Whoever chooses factors on the data that judge the model flatters it, so all of this happens within
training folds. Every factor leaves with its fate and the number that sealed it.

Source
------
Spatial heterogeneity q: Wang, Li, Christakos et al. (2010), doi:10.1080/13658810802443457; its F
test: Wang, Zhang & Fu (2016), doi:10.1016/j.ecolind.2016.02.052. Forward selection with one
standard error to spare: Hastie, Tibshirani & Friedman (2009), doi:10.1007/978-0-387-84858-7,
section 7.10. Variance inflation: Marquardt (1970), doi:10.1080/00401706.1970.10488699.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

LEAST_OF_KIND = 5  # samples of a kind with a value, below which it is not told apart
CLASSES = 8  # of equal weight that a factor is cut into for q

Splits = Sequence[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Limits:
    """What a factor must fulfil."""

    invalid_share: float = 0.3  # of samples where it is unknown, at most
    auc_beyond: float = 0.05  # of 0.5, in every fold, for one kind at least
    correlation: float = 0.7  # rank correlation with a better factor, at most
    inflation: float = 5.0  # of variance by all other factors, at most
    heterogeneity: float = 0.01  # q, at least
    chance: float = 0.05  # probability of such a q where a factor tells nothing, at most
    most: int = 12  # factors of a technique


FATES = ["factor", "fate", "why", "invalid_share", "auc", "heterogeneity", "chance", "inflation",
         "rank"]  # fmt: skip


def select(
    X: pd.DataFrame,
    y: np.ndarray,
    weight: np.ndarray,
    splits: Splits,
    estimator: Any,
    *,
    limits: Limits | None = None,
) -> pd.DataFrame:
    """The fate of each factor (column of ``X``), FATES; those to use are ``chosen``, by rank.

    Parameters
    ----------
    X
        Factors (sample, factor) of training samples, NaN where unknown; of one technique.
    y, weight
        Kind of each sample and what it stands for.
    splits
        Inner folds of the training samples, by ground.
    estimator
        Classifier whose log-loss on those folds tells whether a factor adds to those chosen.
    """
    limits = limits or Limits()
    # Every kind counts alike: else the choice would be that of other ground, which is most of all.
    weight = weight / pd.Series(weight).groupby(y).transform("sum").to_numpy()
    weight = weight * (y.size / np.unique(y).size)  # penalties count samples
    fate: dict[str, dict[str, Any]] = {str(name): {"factor": str(name)} for name in X}
    invalid = X.isna().mean()
    left = []
    for name in map(str, X):
        fate[name]["invalid_share"] = round(float(invalid[name]), 4)
        constant = X[name].nunique(dropna=True) < 2
        if invalid[name] > limits.invalid_share or constant:
            why = "is constant" if constant else f"unknown in {invalid[name]:.0%} of samples"
            _drop(fate[name], "unknown", why)
            continue
        # What tells in one part of the region alone would mislead in the others.
        told = [_telling(X[name].to_numpy()[train], y[train], weight[train]) for train, _ in splits]
        fate[name]["auc"] = round(0.5 + float(np.min(told)), 4)
        q, chance = heterogeneity(X[name].to_numpy(), y, weight)
        fate[name] |= {"heterogeneity": round(q, 4), "chance": round(chance, 4)}
        if min(told) < limits.auc_beyond:
            _drop(fate[name], "tells too little", f"AUC {0.5 + min(told):.2f} in one fold")
        elif q < limits.heterogeneity or chance > limits.chance:
            _drop(fate[name], "tells too little", f"q {q:.3f}, p {chance:.3f}")
        else:
            left.append(name)
    left = _unlike(X, left, fate, limits)
    left = _uninflated(X, left, fate, limits)
    _forward(X, y, weight, splits, estimator, left, fate, limits)
    return pd.DataFrame(list(fate.values())).reindex(columns=FATES)


def chosen(fates: pd.DataFrame) -> list[str]:
    """Names of the factors to use, best first."""
    return list(fates[fates["fate"] == "chosen"].sort_values("rank")["factor"])


def heterogeneity(values: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """q, the share of a kind's variance that classes of a factor take away, and its chance.

    Both are of the kind with the highest q. The chance is that of such a q or more where classes
    tell nothing (non-central F), of so many independent samples as ``weight`` leaves (Kish);
    neighbours are alike, so that it is told too small.
    """
    from scipy.stats import ncf

    known = np.isfinite(values)
    values, y, weight = values[known], y[known], weight[known]
    order = np.argsort(values, kind="stable")
    rank = np.empty(order.size)
    rank[order] = np.cumsum(weight[order]) - 0.5 * weight[order]
    # Equal values are of one class.
    _, same = np.unique(values, return_inverse=True)
    rank = (np.bincount(same, rank * weight) / np.bincount(same, weight))[same]
    part = np.minimum((rank / weight.sum() * CLASSES).astype(int), CLASSES - 1)
    total = np.bincount(part, weight, CLASSES)
    some = total > 0
    size = weight.sum() ** 2 / (weight**2).sum()
    best, chance = 0.0, 1.0
    for kind in np.unique(y):
        share = np.average(y == kind, weights=weight)
        if not 0.0 < share < 1.0:
            continue
        of_part = np.bincount(part, weight * (y == kind), CLASSES)[some] / total[some]
        variance = share * (1.0 - share)
        inner = (total[some] * of_part * (1.0 - of_part)).sum() / weight.sum()
        q = 1.0 - inner / variance
        if q <= best:
            continue
        free = some.sum() - 1, size - some.sum()
        best, chance = q, 0.0
        if inner > 0.0 and min(free) > 0:
            held = total[some] / weight.sum()  # of all samples
            apart = (of_part**2).sum() - (np.sqrt(held) * of_part).sum() ** 2
            ratio = free[1] / free[0] * q / (1.0 - q)
            chance = float(ncf.sf(ratio, *free, max(0.0, apart / variance)))
    return float(best), chance


def inflation(X: pd.DataFrame) -> pd.Series:
    """Variance inflation of each factor by all others (ranks; unknown ones in the middle)."""
    ranks = X.rank(pct=True).fillna(0.5).to_numpy()
    if X.shape[1] < 2:
        return pd.Series(1.0, X.columns)
    correlation = np.corrcoef(ranks, rowvar=False)
    # A hair of independence: what is told wholly is inflated beyond any limit, not infinitely.
    inverse = np.linalg.inv(correlation + 1e-6 * np.eye(len(correlation)))
    return pd.Series(np.diag(inverse), X.columns)


def _telling(values: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """How far from 0.5 the AUC of a factor is, for the kind that it tells best from all others."""
    known = np.isfinite(values)
    best = 0.0
    for kind in np.unique(y[known]):
        is_kind = y[known] == kind
        if LEAST_OF_KIND <= is_kind.sum() <= is_kind.size - LEAST_OF_KIND:
            auc = roc_auc_score(is_kind, values[known], sample_weight=weight[known])
            best = max(best, abs(float(auc) - 0.5))
    return best


def _drop(entry: dict[str, Any], fate: str, why: str) -> None:
    entry["fate"], entry["why"] = fate, why


def _unlike(
    X: pd.DataFrame, left: list[str], fate: dict[str, dict[str, Any]], limits: Limits
) -> list[str]:
    """Of factors that are alike, the one that tells most."""
    left = sorted(left, key=lambda name: -fate[name]["auc"])
    likeness = X[left].corr(method="spearman").abs().fillna(0.0).to_numpy()
    kept: list[int] = []
    for k, name in enumerate(left):
        twin = next((other for other in kept if likeness[k, other] >= limits.correlation), None)
        if twin is None:
            kept.append(k)
        else:
            _drop(fate[name], "like another", f"{likeness[k, twin]:.2f} with {left[twin]}")
    return [left[k] for k in kept]


def _uninflated(
    X: pd.DataFrame, left: list[str], fate: dict[str, dict[str, Any]], limits: Limits
) -> list[str]:
    """Without those that all others tell together, the most redundant first."""
    left = list(left)
    while left:
        found = inflation(X[left])
        for name in left:
            fate[name]["inflation"] = round(float(found[name]), 2)
        worst = str(found.idxmax())
        if found[worst] <= limits.inflation:
            break
        _drop(fate[worst], "told by others", f"variance inflation {found[worst]:.1f}")
        left.remove(worst)
    return left


def _forward(
    X: pd.DataFrame,
    y: np.ndarray,
    weight: np.ndarray,
    splits: Splits,
    estimator: Any,
    left: list[str],
    fate: dict[str, dict[str, Any]],
    limits: Limits,
) -> None:
    """Add the factor that helps most until none does; then keep as few as are about as good."""
    names: list[str] = []
    losses = [_losses(X[names], y, weight, splits, estimator)]
    waiting = list(left)
    while waiting and len(names) < limits.most:
        tried = {name: _losses(X[[*names, name]], y, weight, splits, estimator) for name in waiting}
        best = min(tried, key=lambda name: float(tried[name].mean()))
        names.append(best)
        losses.append(tried[best])
        waiting.remove(best)
        # Two in vain: what comes after would add less still.
        if len(losses) > 3 and min(loss.mean() for loss in losses[-2:]) >= losses[-3].mean():
            break
    means = np.array([part.mean() for part in losses])
    top = int(np.argmin(means))
    # The error of the difference to the best, fold by fold: folds differ more than models do.
    enough = top
    for size in range(top):
        gap = losses[size] - losses[top]
        if gap.mean() <= gap.std(ddof=1) / np.sqrt(gap.size):
            enough = size
            break
    enough = max(enough, min(1, len(names)))
    for rank, name in enumerate(names):
        if rank < enough:
            fate[name] |= {"fate": "chosen", "rank": rank + 1}
            fate[name]["why"] = f"log-loss {means[rank]:.4f} to {means[rank + 1]:.4f}"
        else:
            _drop(
                fate[name],
                "adds too little",
                f"log-loss {means[rank]:.4f} to {means[rank + 1]:.4f}",
            )
    for name in waiting:
        _drop(fate[name], "adds too little", "others before it added nothing")


def _losses(
    X: pd.DataFrame, y: np.ndarray, weight: np.ndarray, splits: Splits, estimator: Any
) -> np.ndarray:
    """Log-loss of each fold by a model of those factors, or by the shares of kinds alone."""
    out = []
    values = X.to_numpy(np.float64)
    for train, test in splits:
        kinds = np.unique(y[train])
        if X.shape[1]:
            fitted = clone(estimator).fit(values[train], y[train], sample_weight=weight[train])
            P = fitted.predict_proba(values[test])
        else:
            share = np.array([weight[train][y[train] == k].sum() for k in kinds])
            P = np.tile(share / share.sum(), (test.size, 1))
        out.append(log_loss(y[test], P, kinds, weight[test]))
    return np.array(out)


def log_loss(y: np.ndarray, P: np.ndarray, kinds: np.ndarray, weight: np.ndarray) -> float:
    """Mean of -ln P of the kind that is; one that the model does not know counts as 1e-6."""
    at = np.searchsorted(kinds, y)
    known = (at < kinds.size) & (kinds[np.minimum(at, kinds.size - 1)] == y)
    found = np.where(known, P[np.arange(y.size), np.minimum(at, kinds.size - 1)], 0.0)
    return float(np.average(-np.log(np.clip(found, 1e-6, 1.0)), weights=weight))
