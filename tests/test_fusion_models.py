"""Pooling against the truth of its own making, missing techniques, and scikit-learn's interface."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from rockglacier.fusion import models
from rockglacier.fusion.models import MODELS, Additive, Overlay, Pooled, classifier, estimator

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
    fitted = classifier(model, APART).fit(X, kind)  # type: ignore[arg-type]
    X, kind, truth = ground(3000, seed=1)
    P = fitted.predict_proba(X)
    np.testing.assert_allclose(P.sum(axis=1), 1.0)
    for k in (1, 2):
        best = roc_auc_score(kind == k, truth[:, k])
        assert roc_auc_score(kind == k, P[:, k]) > best - 0.04


def test_the_overlay_is_that_of_the_best_factor_of_each_technique() -> None:
    X, kind, _ = ground()
    noisy = X[:, [0]] + 2.0 * np.random.default_rng(3).normal(size=(len(X), 1))
    X = np.column_stack([X[:, 0], noisy, -X[:, 1]])
    fitted = Overlay({"one": [1, 0], "two": [2]}).fit(X, kind)
    np.testing.assert_array_equal(fitted.best_[1], [0, 2])  # the noisy one serves nobody
    auc = [max(a, 1.0 - a) for a in (roc_auc_score(kind == 1, X[:, c]) for c in (0, 2))]
    assert np.abs(fitted.power_[1]) == pytest.approx(np.array(auc) - 0.5, abs=0.01)
    assert fitted.power_[2, 1] < -0.2  # low values tell it
    place = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, np.nan], [np.nan, 0.0, np.nan]])
    place[0] = X[:, 0].max(), 0.0, X[:, 2].min()
    member, power = fitted._memberships(place)
    share = np.abs(fitted.power_) / np.abs(fitted.power_).sum(axis=1, keepdims=True)
    overlays = models._overlays(member, power)
    np.testing.assert_allclose(overlays[0], (share * member[0]).sum(axis=1))
    np.testing.assert_allclose(overlays[1], member[1, :, 0])  # the one that is known tells all
    np.testing.assert_array_equal(overlays[2], 0.5)
    assert member[0, 2, 1] == pytest.approx(1.0, abs=0.01)
    np.testing.assert_array_equal(fitted.saw(place), [[True, True], [True, False], [False, False]])
    told = fitted.predict_proba(place)
    np.testing.assert_allclose(told.sum(axis=1), 1.0)
    assert fitted.speaks(place, [1])[1, 0] > 0.0 == fitted.speaks(place, [1])[2, 0]
    found = fitted.held_out_
    np.testing.assert_allclose(found.mean(axis=0), np.bincount(kind) / kind.size, atol=0.01)
    for k in (1, 2):
        likely = found[:, k] > 0.5
        assert (kind[likely] == k).mean() == pytest.approx(found[likely, k].mean(), abs=0.1)


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


def beyond_it(estimator):  # type: ignore[no-untyped-def]
    """Checks that cannot hold, and why."""
    # Powers are learnt on held-out samples: of two copies one is asked about the other, and a
    # sample that weighs nothing takes a place in a fold. One of weight two has no copy.
    if isinstance(estimator, Pooled):
        return {"check_sample_weight_equivalence_on_dense_data": "folds are of samples"}
    return {}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([Overlay(), Additive(), Pooled()], expected_failed_checks=beyond_it)
def test_it_keeps_to_scikit_learns_interface(estimator, check) -> None:  # type: ignore[no-untyped-def]
    check(estimator)
