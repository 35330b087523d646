"""Bivariate evidence against counts by hand, known probabilities, and missing factors."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from rockglacier.fusion.bivariate import HALF, Bivariate

EVIDENCE = ["information value", "frequency ratio", "weights of evidence"]


def ground(count: int = 6000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two factors that tell three kinds apart and one that tells nothing; kinds; middles."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, count, p=[0.7, 0.2, 0.1])
    middle = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 2.0]])[kind]
    factors = np.column_stack([middle + rng.normal(size=(count, 2)), rng.normal(size=count)])
    return factors, kind, middle


def test_evidence_is_that_of_counts() -> None:
    X = np.array([[0.0]] * 8 + [[1.0]] * 8)
    y = np.array([0] * 6 + [1] * 2 + [0] * 2 + [1] * 6)
    found = Bivariate("information value", classes=2).fit(X, y)
    own = (2 + HALF) / (8 + 2 * HALF), (6 + HALF) / (8 + 2 * HALF)
    assert found.evidence_[0][1] == pytest.approx(np.log(np.array(own) / 0.5))
    weights = Bivariate("weights of evidence", classes=2).fit(X, y)
    plus, minus = np.log(own[1] / own[0]), np.log(own[0] / own[1])
    assert weights.contrast_[0][1, 1] == pytest.approx(plus - minus)
    error = np.sqrt(2.0 / (2 + HALF) + 2.0 / (6 + HALF))
    assert weights.studentised_[0][1, 1] == pytest.approx((plus - minus) / error)
    assert 1.8 < weights.studentised_[0][1, 1] < 1.96  # too little of so few samples
    assert (weights.evidence_[0] == 0.0).all()
    again = Bivariate("weights of evidence", classes=2).fit(np.tile(X, (4, 1)), np.tile(y, 4))
    np.testing.assert_array_equal(again.evidence_[0], again.contrast_[0])
    ratio = Bivariate("frequency ratio", classes=2).fit(X, y).evidence_[0]
    assert ratio[1] == pytest.approx(np.array(own) / 0.5)


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_probabilities_are_calibrated_and_tell_kinds_apart(evidence: str) -> None:
    X, y, _ = ground()
    fitted = Bivariate(evidence).fit(X, y)
    X, y, _ = ground(seed=1)
    P = fitted.predict_proba(X)
    np.testing.assert_allclose(P.sum(axis=1), 1.0)
    for k in range(3):
        assert roc_auc_score(y == k, P[:, k]) > 0.8
        assert P[:, k].mean() == pytest.approx((y == k).mean(), abs=0.02)
        high = P[:, k] > 0.5
        assert (y[high] == k).mean() == pytest.approx(P[high, k].mean(), abs=0.1)


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_what_is_missing_says_nothing(evidence: str) -> None:
    X, y, _ = ground()
    X[np.random.default_rng(2).random(X.shape) < 0.3] = np.nan
    fitted = Bivariate(evidence).fit(X, y)
    nothing = fitted.predict_proba(np.full((1, 3), np.nan))[0]
    assert np.argmax(nothing) == 0 and nothing[0] < 0.9
    told = fitted.predict_proba(np.array([[2.5, np.nan, np.nan]]))[0]
    assert told[1] > nothing[1] + 0.2


def test_a_factor_without_any_value_does_no_harm() -> None:
    X, y, _ = ground(1000)
    X[:, 2] = np.nan
    assert np.isfinite(Bivariate().fit(X, y).predict_proba(X)).all()


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([Bivariate()])
def test_it_keeps_to_scikit_learns_interface(estimator, check) -> None:  # type: ignore[no-untyped-def]
    check(estimator)
