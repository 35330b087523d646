"""Pooling against the truth of its own making, missing techniques, and scikit-learn's interface."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from rockglacier.fusion import models
from rockglacier.fusion.models import MODELS, Additive, Overlay, Pooled, estimator

SHARES = np.array([0.8, 0.12, 0.08])
MIDDLES = np.array([[0.0, 0.0, 0.0], [1.5, 0.0, 1.5], [0.0, 2.0, 0.0]])
APART = {"first": [0], "second": [1], "again": [2]}


def ground(count: int = 6000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Factors, of which the third repeats the first; kinds; true probabilities."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, count, p=SHARES)
    X = MIDDLES[kind] + rng.normal(size=(count, 3))
    X[:, 2] = X[:, 0] + 0.1 * rng.normal(size=count)
    log_p = np.log(SHARES) - 0.5 * ((X[:, None, :2] - MIDDLES[None, :, :2]) ** 2).sum(axis=2)
    P = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    return X, kind, P / P.sum(axis=1, keepdims=True)


def test_pooled_odds_come_near_the_true_probabilities() -> None:
    fitted = Pooled(APART).fit(*ground()[:2])
    X, kind, truth = ground(seed=1)
    found = fitted.predict_proba(X)
    assert log_loss(kind, found) < 1.06 * log_loss(kind, truth)
    assert np.abs(found - truth).mean() < 0.03


def test_a_technique_that_repeats_another_counts_less() -> None:
    X, kind, _ = ground()
    apart = dict(zip(APART, Pooled(APART).fit(X, kind).power_, strict=True))
    assert apart["first"] + apart["again"] == pytest.approx(1.0, abs=0.25)
    assert apart["second"] == pytest.approx(1.0, abs=0.2)


def test_where_a_technique_saw_nothing_the_others_speak() -> None:
    X, kind, _ = ground()
    fitted = Pooled(APART).fit(X, kind)
    X, kind, _ = ground(seed=2)
    X[:, 1] = np.nan
    told = fitted.predict_proba(X)
    assert roc_auc_score(kind == 1, told[:, 1]) > 0.8
    np.testing.assert_array_equal(fitted.saw(X), [[True, False, True]] * len(X))
    nothing = fitted.predict_proba(np.full((1, 3), np.nan))[0]
    np.testing.assert_allclose(nothing, np.bincount(kind) / kind.size, atol=0.05)
    assert (fitted.speaks(X, [1])[:, 1] == 0.0).all()


def test_probabilities_are_those_of_the_ground_that_samples_stand_for() -> None:
    X, kind, _ = ground(20_000)
    rng = np.random.default_rng(0)
    few = np.concatenate(
        [rng.choice(np.flatnonzero(kind == k), 700, replace=False) for k in range(3)]
    )
    weight = (np.bincount(kind) / 700.0)[kind[few]]
    fitted = Pooled(APART).fit(X[few], kind[few], sample_weight=weight)
    X, kind, _ = ground(20_000, seed=3)
    found = fitted.predict_proba(X)
    np.testing.assert_allclose(found.mean(axis=0), SHARES, atol=0.02)
    for k in range(3):
        bins = np.minimum((found[:, k] * 10).astype(int), 9)
        size = np.bincount(bins, minlength=10)
        gap = np.bincount(bins, found[:, k] - (kind == k), 10)
        assert np.abs(gap).sum() / size.sum() < 0.025


@pytest.fixture
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forests that grow in no time."""
    monkeypatch.setattr(models, "TREES", 30)
    monkeypatch.setattr(models, "ROUNDS", 20)


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize("model", MODELS)
def test_every_model_tells_kinds_apart(model: str) -> None:
    X, kind, truth = ground(3000)
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    fitted = Pooled(APART, estimator(model)).fit(X, kind)
    X, kind, truth = ground(3000, seed=1)
    P = fitted.predict_proba(X)
    np.testing.assert_allclose(P.sum(axis=1), 1.0)
    for k in (1, 2):
        best = roc_auc_score(kind == k, truth[:, k])
        assert roc_auc_score(kind == k, P[:, k]) > best - 0.04


@pytest.mark.usefixtures("few_trees")
def test_ground_is_of_one_fold() -> None:
    X, kind, _ = ground(900)
    # A technique that knows each place by heart foretells nothing elsewhere: it gets no power.
    place = np.repeat(np.arange(90.0), 10)
    own = kind.reshape(90, 10)[:, 0].repeat(10)
    known = Pooled({"first": [0], "heart": [1]}, estimator("random forest"))
    together = np.column_stack([X[:, 0], np.sin(1e4 * place)])
    apart = known.fit(together, own, groups=place).power_
    assert apart[1] < 0.5


@pytest.mark.usefixtures("few_trees")
def test_forests_are_calibrated_on_other_ground() -> None:
    """One factor tells each block and nothing else: within a block all are of one kind."""
    place = np.repeat(np.arange(120), 10)
    kind = (np.random.default_rng(4).random(120) < 0.3).astype(int)[place]
    X = np.sin(1e4 * place)[:, None] + 1e-3 * np.random.default_rng(5).normal(size=(1200, 1))
    fitted = Pooled({"one": [0]}, estimator("random forest")).fit(X, kind, groups=place)
    forest = fitted.models_["one"]
    assert forest.cv == 3  # not the splits themselves
    told = forest.predict_proba(X)[:, 1]
    assert told.std() < 0.15  # who is asked about other blocks learns to say little


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([Overlay(), Additive()])
def test_it_keeps_to_scikit_learns_interface(estimator, check) -> None:  # type: ignore[no-untyped-def]
    check(estimator)
