"""Models of the kind of ground behind one interface, and the pooling of what techniques say.

Each technique has a model of its own, so that where one saw nothing the others still speak. Their
odds are multiplied, each raised to a power below one where it repeats what others say; powers and
shares of kinds are those under which held-out ground is foretold best.

Source
------
Logarithmic pooling of probabilities: Genest & Zidek (1986), doi:10.1214/ss/1177013825. Weights of
experts from held-out data: Wolpert (1992), doi:10.1016/S0893-6080(05)80023-1. Calibration: Platt
(1999), Advances in Large Margin Classifiers, 61. The overlay of the best factor of each technique
by its AUC is the literal reading of "fusion through selecting and combining the optimum factors";
it stands beside pooling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, logit, logsumexp
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import SplineTransformer
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from rockglacier.fusion.bivariate import Bivariate, OfGround

Model = Literal[
    "logistic regression", "information value", "frequency ratio", "weights of evidence",
    "random forest", "gradient boosting", "overlay",
]  # fmt: skip
MODELS: tuple[str, ...] = get_args(Model)
LEAST_KNOWN = 0.5  # of a technique's factors, below which it saw nothing
FLOOR = 1e-6  # of a probability
FAINT = 0.005  # of an overlay
STEADY = 0.005  # penalty on powers that depart from one, of a nat a sample
TREES, LEAF = 500, 20
ROUNDS = 60  # of boosting


def estimator(model: Model, *, seed: int = 0) -> Any:
    """A classifier of factors (sample, factor; NaN where unknown) of one technique."""
    if model in ("information value", "frequency ratio", "weights of evidence"):
        return Bivariate(model)
    if model == "random forest":
        forest = RandomForestClassifier(
            TREES, min_samples_leaf=LEAF, max_features="sqrt", random_state=seed
        )
        return CalibratedClassifierCV(forest, method="sigmoid", cv=3)
    if model == "gradient boosting":
        boosted = HistGradientBoostingClassifier(
            learning_rate=0.1, max_iter=ROUNDS, min_samples_leaf=LEAF, l2_regularization=1.0,
            random_state=seed,
        )  # fmt: skip
        return CalibratedClassifierCV(boosted, method="sigmoid", cv=3)
    return Additive()


def classifier(
    model: Model, techniques: Mapping[str, Sequence[int]], *, seed: int = 0
) -> Pooled | Overlay:
    """A classifier of the factors of all ``techniques`` (of each, the columns)."""
    if model == "overlay":
        return Overlay(techniques)
    return Pooled(techniques, estimator(model, seed=seed))


class Additive(OfGround):
    """Multinomial logistic regression of splines of ranks, with penalty 1/(2 ``C``).

    Ranks tame long tails; splines let ground be likeliest at a middle value. A factor that is
    missing adds nothing.
    """

    def __init__(self, C: float = 3.0) -> None:
        self.C = C

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Additive:
        """Fit to ``X`` (sample, factor) and the kinds ``y`` (sample)."""
        X, y = validate_data(self, X, y, ensure_all_finite="allow-nan")
        check_classification_targets(y)
        weight = _check_sample_weight(sample_weight, X)
        self.classes_ = np.unique(y)
        self.quantiles_ = _quantiles(X, weight)
        # Over ranks, which lie between 0 and 1 whatever the samples.
        bends = SplineTransformer(n_knots=5, degree=2, handle_missing="zeros")
        self.bends_ = bends.fit(np.repeat([[0.0], [1.0]], X.shape[1], axis=1))
        self.model_ = None
        if self.classes_.size > 1:
            self.model_ = LogisticRegression(C=self.C, solver="newton-cholesky")
            self.model_.fit(self._bent(X), y, sample_weight=weight)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability (sample, kind)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, ensure_all_finite="allow-nan")
        if self.model_ is None:
            return np.ones((X.shape[0], 1))
        return np.asarray(self.model_.predict_proba(self._bent(X)))

    def _bent(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self.bends_.transform(_ranks(X, self.quantiles_)))


class Overlay(OfGround):
    """Classifier by the best factor of each technique, weighted by how well it tells a kind.

    Of each kind and technique the factor is taken whose area under the curve (AUC; the kind against
    all others) is farthest from 0.5. Its rank among samples (the share below it) is the membership
    of a place, turned round where low values tell the kind. The overlay of a kind is the mean of
    memberships, weighted by (AUC - 0.5) over the sum of these; a technique that is missing is left
    out, and the weights of the others add up to one again. Multinomial logistic regression of the
    log-odds of overlays of held-out ground makes probabilities of them.

    Parameters
    ----------
    techniques
        Of each technique, the columns of its factors; None: each factor is one of its own.
    folds
        Folds by ground, on which overlays are made probabilities.

    Attributes
    ----------
    classes_
        Kinds, ascending.
    best_, power_
        Of each kind and technique (kind, technique), the column of its best factor, and how far its
        AUC is from 0.5: below 0 where low values tell the kind.
    held_out_
        Probability (sample, kind) of the samples, by overlays of other ground.
    """

    def __init__(
        self, techniques: Mapping[str, Sequence[int]] | None = None, folds: int = 4
    ) -> None:
        self.techniques = techniques
        self.folds = folds

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, judged_only: Any = None
    ) -> Overlay:
        """Fit as :meth:`Pooled.fit` does."""
        X, y = validate_data(self, X, y, ensure_all_finite="allow-nan")
        check_classification_targets(y)
        weight = _check_sample_weight(sample_weight, X)
        self.techniques_ = _techniques(self.techniques, [[k] for k in range(X.shape[1])])
        self.classes_, kind = np.unique(y, return_inverse=True)
        teaches = np.ones(kind.size, bool) if judged_only is None else ~np.asarray(judged_only)
        # Ranks among kinds that count alike: else nearly all would be those of other ground.
        total = np.bincount(kind[teaches], weight[teaches], self.classes_.size)
        total = np.where(total > 0, total, 1.0)
        # Of whole weights a whole number, so that quantiles are the same however they are added.
        alike = weight * np.array([np.delete(total, k).prod() for k in range(total.size)])[kind]
        # Without ground to part them by, samples are told by ranks that they helped to learn.
        fold = np.zeros(kind.size, int) if groups is None else _dealt(groups, self.folds)
        overlays = np.full((kind.size, self.classes_.size), 0.5)
        for one in np.unique(fold):
            test = fold == one
            own = teaches & ~test if teaches[~test].any() else teaches
            self._rank(X[own], kind[own], weight[own], alike[own])
            overlays[test] = _overlays(*self._memberships(X[test]))
        self._rank(X[teaches], kind[teaches], weight[teaches], alike[teaches])
        self.model_: Any = None
        self.held_out_ = np.ones((kind.size, 1))
        if self.classes_.size > 1:
            self.model_ = LogisticRegression(C=100.0, solver="newton-cholesky", max_iter=200)
            self.model_.fit(_faint(overlays[teaches]), y[teaches], sample_weight=weight[teaches])
            self.held_out_ = self._probabilities(overlays)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability (sample, kind)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, ensure_all_finite="allow-nan")
        if self.model_ is None:
            return np.ones((X.shape[0], 1))
        return self._probabilities(_overlays(*self._memberships(X)))

    def speaks(self, X: np.ndarray, kinds: Sequence[int]) -> np.ndarray:
        """Log-odds (sample, technique) of ``kinds`` that would be gone without each."""
        member, weight = self._memberships(np.asarray(X, float))
        inside = np.isin(self.classes_, list(kinds))
        out = np.zeros((X.shape[0], weight.shape[2]))
        if self.model_ is None or not inside.any() or inside.all():
            return out
        whole = self._log_odds(_overlays(member, weight), inside)
        for k in range(out.shape[1]):
            rest = weight.copy()
            rest[:, :, k] = 0.0
            out[:, k] = whole - self._log_odds(_overlays(member, rest), inside)
        return out

    def saw(self, X: np.ndarray) -> np.ndarray:
        """Whether the best factor of any kind is known of each technique (sample, technique)."""
        _, weight = self._memberships(np.asarray(X, float))
        return np.asarray((weight > 0.0).any(axis=1))

    def _rank(self, X: np.ndarray, kind: np.ndarray, weight: np.ndarray, alike: np.ndarray) -> None:
        """Learn ranks, and the best factor of each technique for each kind."""
        self.quantiles_ = _quantiles(X, alike)
        beyond = np.zeros((self.classes_.size, X.shape[1]))
        for k in range(self.classes_.size):
            for f, values in enumerate(X.T):
                known = np.isfinite(values) & (weight > 0)
                is_kind = kind[known] == k
                if is_kind.any() and not is_kind.all():
                    auc = roc_auc_score(is_kind, values[known], sample_weight=weight[known])
                    beyond[k, f] = float(auc) - 0.5
        columns = list(self.techniques_.values())
        self.best_ = np.array([
            [own[int(np.argmax(np.abs(told[own])))] if own else -1 for own in columns]
            for told in beyond
        ])  # fmt: skip
        power = np.take_along_axis(beyond, np.fmax(self.best_, 0), axis=1)
        self.power_ = np.where(self.best_ >= 0, power, 0.0)

    def _memberships(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Membership and power (sample, kind, technique); 0.5 and 0 where it is unknown."""
        rank = _ranks(X, self.quantiles_)[:, np.fmax(self.best_, 0)]
        known = np.isfinite(rank) & (self.best_ >= 0)
        member = np.where(known, np.where(self.power_ >= 0.0, rank, 1.0 - rank), 0.5)
        return member, np.where(known, np.abs(self.power_), 0.0)

    def _probabilities(self, overlays: np.ndarray) -> np.ndarray:
        out = np.zeros(overlays.shape)
        own = np.searchsorted(self.classes_, self.model_.classes_)
        out[:, own] = self.model_.predict_proba(_faint(overlays))
        return out

    def _log_odds(self, overlays: np.ndarray, inside: np.ndarray) -> np.ndarray:
        P = np.fmax(self._probabilities(overlays), FLOOR)
        return np.asarray(np.log(P[:, inside].sum(axis=1) / P[:, ~inside].sum(axis=1)))


def _faint(overlays: np.ndarray) -> np.ndarray:
    """Log-odds of overlays, whose ranks are told to a hundredth."""
    return np.asarray(logit(np.clip(overlays, FAINT, 1.0 - FAINT)))


def _overlays(member: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Mean membership (sample, kind) weighted by power, of the techniques that are known; 0.5."""
    total = power.sum(axis=2)
    told = (power * member).sum(axis=2)
    whole: np.ndarray = np.divide(told, total, out=np.full(total.shape, 0.5), where=total > 0.0)
    return whole


class Pooled(OfGround):
    """Classifier that pools the odds of one classifier a technique.

    Parameters
    ----------
    techniques
        Of each technique, the columns of its factors; None: all factors are of one.
    base
        Classifier of one technique's factors, cloned for each.
    folds
        Folds by ground, within which the powers of techniques are learnt.

    Attributes
    ----------
    classes_
        Kinds, ascending.
    power_
        Of each technique, what its log-odds are multiplied by.
    share_
        Logarithm of the share of each kind, of the region the samples stand for.
    held_out_
        Probability (sample, kind) of the samples, by models of other ground.
    """

    def __init__(
        self, techniques: Mapping[str, Sequence[int]] | None = None, base: Any = None,
        folds: int = 4,
    ) -> None:  # fmt: skip
        self.techniques = techniques
        self.base = base
        self.folds = folds

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, judged_only: Any = None
    ) -> Pooled:
        """Fit to ``X`` (sample, factor), the kinds ``y`` and the ground ``groups`` (sample).

        Samples of one group (a block of ground) are of one fold; each is a group of its own where
        none are given. Those that are ``judged_only`` (sample; bool) teach nothing, but
        ``held_out_`` tells of them too.
        """
        X, y = validate_data(self, X, y, ensure_all_finite="allow-nan")
        check_classification_targets(y)
        weight = _check_sample_weight(sample_weight, X)
        self.techniques_ = _techniques(self.techniques, [range(X.shape[1])])
        self.classes_, kind = np.unique(y, return_inverse=True)
        base = estimator("logistic regression") if self.base is None else self.base
        teaches = np.ones(kind.size, bool) if judged_only is None else ~np.asarray(judged_only)
        # Every kind counts alike for a technique; their shares are the pool's to tell.
        total = np.bincount(kind[teaches], weight[teaches], self.classes_.size)
        alike = np.where(teaches, weight / np.where(total > 0, total, 1.0)[kind], 0.0)
        self.share_ = np.log(np.fmax(total / total.sum(), FLOOR))
        groups = np.arange(kind.size) if groups is None else np.asarray(groups)
        self.models_ = {
            name: self._fitted(
                base, X[teaches][:, list(columns)], kind[teaches], alike[teaches], groups[teaches]
            )
            for name, columns in self.techniques_.items()
        }
        held_out = self._held_out(base, X, kind, alike, groups, teaches)
        self.power_, self.shift_ = self._powers(
            held_out[:, teaches], kind[teaches], weight[teaches]
        )
        pooled = self._pool(held_out, self.power_, self.shift_)
        self.held_out_ = np.exp(log_softmax(pooled, axis=1))
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability (sample, kind); the shares of kinds where no technique saw anything."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, ensure_all_finite="allow-nan")
        told = np.stack([self._odds(name, X) for name in self.techniques_])
        return np.asarray(np.exp(log_softmax(self._pool(told, self.power_, self.shift_), axis=1)))

    def speaks(self, X: np.ndarray, kinds: Sequence[int]) -> np.ndarray:
        """Log-odds (sample, technique) by which each speaks for ``kinds``, against all others."""
        inside = np.isin(self.classes_, list(kinds))
        X = np.asarray(X, float)
        out = np.zeros((X.shape[0], len(self.techniques_)))
        if inside.any() and not inside.all():
            for k, name in enumerate(self.techniques_):
                told = self.power_[k] * self._odds(name, X)
                out[:, k] = logsumexp(told[:, inside], axis=1) - logsumexp(told[:, ~inside], axis=1)
                out[:, k] -= np.log(inside.sum() / (~inside).sum())
        return out

    def saw(self, X: np.ndarray) -> np.ndarray:
        """Whether each technique (sample, technique) knows half of its factors or more."""
        return np.stack(
            [_known(np.asarray(X, float)[:, list(c)]) for c in self.techniques_.values()], axis=1
        )

    @staticmethod
    def _fitted(
        base: Any, X: np.ndarray, kind: np.ndarray, weight: np.ndarray, groups: np.ndarray
    ) -> Any:
        """The model of a technique; None where it saw samples of fewer than two kinds."""
        seen = _known(X)
        if np.unique(kind[seen]).size < 2:
            return None
        scale = seen.sum() / weight[seen].sum()  # penalties count samples
        model = clone(base)
        if isinstance(model, CalibratedClassifierCV):
            # Neighbours of what a forest grew from would tell that it is always right.
            fold = _dealt(groups[seen], model.cv)
            splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k))
                      for k in range(int(fold.max()) + 1)]  # fmt: skip
            if len(splits) > 1:
                model.set_params(cv=splits)
        # Samples are few: threads would wait for each other more than they would help.
        with threadpool_limits(1):
            model.fit(X[seen], kind[seen], sample_weight=scale * weight[seen])
        if isinstance(model, CalibratedClassifierCV):
            model.set_params(cv=base.cv)  # its splits are as long as the samples
        return model

    def _odds(self, name: str, X: np.ndarray, model: Any = None) -> np.ndarray:
        """What a technique says (sample, kind): log p about its mean; 0 where it saw nothing."""
        part = X[:, list(self.techniques_[name])]
        return self._said(self.models_[name] if model is None else model, part)

    def _said(self, model: Any, part: np.ndarray) -> np.ndarray:
        out = np.zeros((part.shape[0], self.classes_.size))
        seen = _known(part)
        if model is None or not seen.any():
            return out
        P = np.log(np.fmax(model.predict_proba(part[seen]), FLOOR))
        # A kind that the technique never saw: it says nothing of it.
        own = np.asarray(model.classes_, int)
        P = P - P.mean(axis=1, keepdims=True)
        told = np.zeros((P.shape[0], self.classes_.size))
        told[:, own] = P
        out[seen] = told
        return out

    def _held_out(
        self, base: Any, X: np.ndarray, kind: np.ndarray, weight: np.ndarray, groups: np.ndarray,
        teaches: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """What techniques say (technique, sample, kind) of ground that they were not fitted to."""
        fold = _dealt(groups, self.folds)
        out = np.zeros((len(self.techniques_), kind.size, self.classes_.size))
        number = int(fold.max()) + 1
        if number < 2:
            return np.stack([self._odds(name, X) for name in self.techniques_])
        for one in range(number):
            test = fold == one
            own = teaches & ~test
            for k, columns in enumerate(self.techniques_.values()):
                part = X[:, list(columns)]
                model = self._fitted(base, part[own], kind[own], weight[own], groups[own])
                out[k, test] = self._said(model, part[test])
        return out

    def _pool(self, told: np.ndarray, power: np.ndarray, shift: np.ndarray) -> np.ndarray:
        return np.asarray(self.share_ + shift + np.tensordot(power, told, axes=1))

    def _powers(
        self, told: np.ndarray, kind: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Powers (technique) and shifts of log shares (kind) that foretell best."""
        share = weight / weight.sum()
        known = share > 0
        count, kinds = len(told), self.classes_.size
        chosen = np.eye(kinds)[kind]

        def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            power, shift = parameters[:count], parameters[count:]
            log_p = log_softmax(self._pool(told, power, shift), axis=1)
            misfit = -(share[known] * (chosen * log_p).sum(axis=1)[known]).sum()
            off = np.exp(log_p) - chosen
            slope = np.concatenate([
                np.einsum("s,tsk,sk->t", share, told, off), (share[:, None] * off).sum(axis=0),
            ])  # fmt: skip
            apart = np.concatenate([power - 1.0, shift])
            entropy = -(np.exp(self.share_) * self.share_).sum()
            return misfit + STEADY * entropy * (
                apart**2
            ).sum(), slope + 2 * STEADY * entropy * apart

        start = np.concatenate([np.full(count, 1.0 / max(1, count) ** 0.5), np.zeros(kinds)])
        bounds = [(0.0, 1.5)] * count + [(-3.0, 3.0)] * kinds
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        return found[:count], found[count:]


def _techniques(
    given: Mapping[str, Sequence[int]] | None, otherwise: Sequence[Sequence[int]]
) -> dict[str, list[int]]:
    """Columns of each technique: those ``given``, else one of each part of ``otherwise``."""
    if given is None:
        return {str(k): list(columns) for k, columns in enumerate(otherwise)}
    return {name: list(columns) for name, columns in given.items()}


def _dealt(groups: np.ndarray, folds: int) -> np.ndarray:
    """Fold (from 0) of each sample: whole groups are dealt by size, the largest first."""
    _, group = np.unique(groups, return_inverse=True)
    size = np.bincount(group)
    fold = np.empty(size.size, int)
    held = np.zeros(min(folds, size.size))
    for one in np.argsort(-size, kind="stable"):
        fold[one] = int(np.argmin(held))
        held[fold[one]] += size[one]
    return np.asarray(fold[group])


SHARES = np.linspace(0.0, 1.0, 101)


def _quantiles(X: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Quantiles (factor, SHARES) of factors (sample, factor), the unknown left out."""
    out = np.zeros((X.shape[1], SHARES.size))
    for edges, values in zip(out, X.T, strict=True):
        known = np.isfinite(values) & (weight > 0.0)
        if known.any():
            edges[:] = np.quantile(
                values[known], SHARES, weights=weight[known], method="inverted_cdf"
            )
    return out


def _ranks(X: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Share of samples below each value (sample, factor); of ties the middle; NaN stays."""
    out = np.full(X.shape, np.nan)
    for rank, values, edges in zip(out.T, X.T, quantiles, strict=True):
        known = np.isfinite(values)
        low = np.interp(values[known], edges, SHARES)
        high = 1.0 - np.interp(-values[known], -edges[::-1], SHARES)
        rank[known] = 0.5 * (low + high)
    return out


def _known(X: np.ndarray) -> np.ndarray:
    """Samples of which a technique knows LEAST_KNOWN of its factors (sample, factor) or more."""
    if not X.shape[1]:
        return np.zeros(X.shape[0], bool)
    return np.asarray(np.isfinite(X).mean(axis=1) >= LEAST_KNOWN)
