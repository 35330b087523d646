"""Bivariate statistics as classifiers: what each class of each factor says, added up.

Each factor is cut into classes of equal count. Evidence of a factor that is missing is none, so
that a pixel is judged by what is known of it. Sums of evidence are made probabilities by
multinomial logistic regression, because factors repeat each other.

Source
------
Information value: Yin & Yan (1988), 5th Int. Symp. Landslides, 1269. Frequency ratio: Lee & Talib
(2005), doi:10.1007/s00254-005-1228-z. Weights of evidence: Bonham-Carter, Agterberg & Wright
(1989), Statistical Applications in the Earth Sciences, GSC Paper 89-9, 171.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

Evidence = Literal["information value", "frequency ratio", "weights of evidence"]
STUDENTISED = 1.96  # contrast over its error, up to which a class says nothing
HALF = 0.5  # counted into every class of a factor, lest an empty one say for certain


class OfGround(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What all classifiers of the kind of ground share: factors may be missing."""

    classes_: np.ndarray

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability (sample, kind) of each of ``classes_``."""
        raise NotImplementedError

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest kind of each sample."""
        likeliest = np.argmax(self.predict_proba(X), axis=1)
        found: np.ndarray = self.classes_[likeliest]
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class Bivariate(OfGround):
    """Classifier of factors (sample, factor; NaN where missing) by the evidence of their classes.

    Parameters
    ----------
    evidence
        What one class of a factor says for a kind of ground: ``information value``
        ln(density within / density in all), ``frequency ratio`` (the same without logarithm), or
        ``weights of evidence``: the contrast C, W+ of the class less W- of all others, of those
        classes whose contrast is STUDENTISED times its error or more.
    classes
        Classes of equal count that each factor is cut into, at most.

    Attributes
    ----------
    classes_
        Kinds of ground, ascending.
    edges_
        Of each factor, the bounds between its classes.
    evidence_
        Of each factor (kind, class of the factor).
    contrast_, studentised_
        Of weights of evidence alike: C of every class, and C over its error s(C).
    """

    def __init__(self, evidence: Evidence = "information value", classes: int = 10) -> None:
        self.evidence = evidence
        self.classes = classes

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Bivariate:
        """Fit to ``X`` (sample, factor) and the kinds ``y`` (sample)."""
        X, y = validate_data(self, X, y, ensure_all_finite="allow-nan")
        check_classification_targets(y)
        weight = _check_sample_weight(sample_weight, X)
        self.classes_, kind = np.unique(y, return_inverse=True)
        share = np.linspace(0.0, 1.0, self.classes + 1)[1:-1]
        self.edges_, self.evidence_ = [], []
        if self.evidence == "weights of evidence":
            self.contrast_: list[np.ndarray] = []
            self.studentised_: list[np.ndarray] = []
        for values in X.T:
            known = np.isfinite(values)
            edges = np.empty(0)
            if weight[known].any():
                own = weight[known]
                edges = np.unique(
                    np.quantile(values[known], share, weights=own, method="inverted_cdf")
                )
            # (kind, class): weight of the samples.
            count = np.zeros((self.classes_.size, edges.size + 1))
            where = np.searchsorted(edges, values[known], side="left")
            np.add.at(count, (kind[known], where), weight[known])
            self.edges_.append(edges)
            self.evidence_.append(self._of_counts(count))
        self.combined_ = LogisticRegression(C=1.0, solver="newton-cholesky")
        self.combined_.fit(self._sums(X), kind, sample_weight=weight)
        return self

    def _of_counts(self, count: np.ndarray) -> np.ndarray:
        """Evidence (kind, class) of a factor whose samples count so much."""
        count = count + HALF
        own = count / count.sum(axis=1, keepdims=True)
        if self.evidence == "weights of evidence":
            others = count.sum(axis=0) - count
            others = others / others.sum(axis=1, keepdims=True)
            contrast = np.log(own / others) - np.log((1.0 - own) / (1.0 - others))
            # Of the four counts of inside or outside a class, of the kind or of others.
            others = count.sum(axis=0) - count
            of_kind, of_others = (c.sum(axis=1, keepdims=True) for c in (count, others))
            with np.errstate(divide="ignore"):
                variance = 1.0 / count + 1.0 / others + 1.0 / (of_kind - count)
                error = np.sqrt(variance + 1.0 / (of_others - others))
            self.contrast_.append(contrast)
            self.studentised_.append(contrast / error)
            return np.where(np.abs(contrast) >= STUDENTISED * error, contrast, 0.0)
        whole = count.sum(axis=0) / count.sum()
        ratio: np.ndarray = own / whole
        return ratio if self.evidence == "frequency ratio" else np.asarray(np.log(ratio))

    def _sums(self, X: np.ndarray) -> np.ndarray:
        """Sum of evidence for each kind (sample, kind); a missing factor says nothing."""
        nothing = 1.0 if self.evidence == "frequency ratio" else 0.0
        total = np.zeros((len(X), self.classes_.size))
        for values, edges, evidence in zip(X.T, self.edges_, self.evidence_, strict=True):
            where = np.searchsorted(edges, values, side="left")
            told = evidence[:, np.minimum(where, edges.size)].T
            total += np.where(np.isfinite(values)[:, None], told, nothing)
        return total

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability (sample, kind) of each of ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, ensure_all_finite="allow-nan", reset=False)
        found: np.ndarray = self.combined_.predict_proba(self._sums(X))
        return found
