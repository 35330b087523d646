"""Bent probabilities: those that are found, in the order that they had, for ground as it is."""

import numpy as np
import pytest
from scipy.special import expit, logit

from rockglacier.fusion import calibration


def ground(count: int = 40_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True probabilities, what is said instead (too sure of what it takes for likely), truth."""
    rng = np.random.default_rng(seed)
    right = expit(rng.normal(-3.0, 2.5, count))
    said = expit(np.where(logit(right) > -2.0, 1.8 * logit(right) + 1.6, logit(right)))
    return right, said, rng.random(count) < right


def test_a_bend_makes_said_what_is_found_and_keeps_the_order() -> None:
    _, said, truth = ground()
    bend = calibration.fitted(said, truth, np.ones(truth.size))
    right, said, _ = ground(seed=1)
    found = calibration.bent(said, bend)
    likely = found > 0.1
    assert np.abs(said - right)[likely].mean() > 0.1
    assert np.abs(found - right)[likely].mean() < 0.03
    assert (np.diff(found[np.argsort(said, kind="stable")]) >= 0.0).all()
    ordered = calibration.bent(np.linspace(0.0, 1.0, 1001), bend)
    assert (np.diff(ordered) > 0.0).all() and ordered[0] >= 0.0 and ordered[-1] <= 1.0


def test_what_is_right_stays() -> None:
    right, _, truth = ground()
    bend = calibration.fitted(right, truth, np.ones(truth.size))
    assert np.abs(calibration.bent(right, bend) - right).max() < 0.03
    np.testing.assert_array_equal(calibration.bent(right, calibration.STRAIGHT), right)


def test_a_bend_is_undone() -> None:
    P = np.append(np.linspace(0.0001, 0.9999, 999), np.nan)
    for bend in ((0.7, 0.4, -0.6), (1.5, 0.1, 1.1), calibration.STRAIGHT):
        again = calibration.straightened(calibration.bent(P, bend), bend)
        np.testing.assert_allclose(again, P, atol=1e-5)


def test_weights_make_the_ground_what_it_is() -> None:
    """Samples hold far more of what is rare than the ground does."""
    right, said, truth = ground()
    kept = truth | (np.random.default_rng(2).random(truth.size) < 0.1)
    weight = np.where(truth, 1.0, 10.0)[kept]
    bend = calibration.fitted(said[kept], truth[kept], weight)
    assert calibration.bent(said, bend).mean() == pytest.approx(right.mean(), rel=0.05)


@pytest.mark.parametrize("truth", [np.zeros(5, bool), np.ones(5, bool)])
def test_of_one_kind_alone_nothing_is_learnt(truth: np.ndarray) -> None:
    assert calibration.fitted(np.full(5, 0.3), truth, np.ones(5)) == calibration.STRAIGHT
