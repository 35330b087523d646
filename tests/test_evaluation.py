"""Scores against counts by hand, coverage of intervals, objects that are the same."""

import geopandas
import numpy as np
import pytest
from shapely.geometry import Point, box
from sklearn.metrics import roc_auc_score

from rockglacier import evaluation


def test_agreement_is_that_of_counts_by_hand() -> None:
    truth = np.repeat([0, 0, 1, 1], [40, 10, 5, 45])
    told = np.repeat([0, 1, 0, 1], [40, 10, 5, 45])
    matrix = evaluation.confusion(truth, told, [0, 1])
    np.testing.assert_array_equal(matrix, [[40, 10], [5, 45]])
    found = evaluation.agreement(matrix)
    assert found["overall_accuracy"] == pytest.approx(0.85)
    assert found["kappa"] == pytest.approx((0.85 - 0.5) / 0.5)
    assert found["producers"] == pytest.approx([0.8, 0.9])
    assert found["users"] == pytest.approx([40 / 45, 45 / 55])
    assert found["macro_f1"] == pytest.approx((80 / 95 + 90 / 105) / 2)
    assert found["quantity_disagreement"] == pytest.approx(0.05)
    assert found["allocation_disagreement"] == pytest.approx(0.10)


def test_a_kind_that_is_not_there_does_not_count() -> None:
    matrix = evaluation.confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), [0, 1, 2])
    found = evaluation.agreement(matrix)
    assert found["balanced_accuracy"] == pytest.approx(0.75)
    assert np.isnan(found["f1"][2])


def test_weights_count_as_repeated_samples() -> None:
    truth, told = np.array([0, 1, 1, 0]), np.array([0.2, 0.9, 0.4, 0.6])
    weight = np.array([1, 2, 3, 1])
    one = evaluation.foretold(truth == 1, told, weight.astype(float))
    many = evaluation.foretold(np.repeat(truth, weight) == 1, np.repeat(told, weight))
    for name in ("roc_auc", "pr_auc", "brier", "calibration_error", "prevalence",
                 "calibration_error_likely", "likely_share"):  # fmt: skip
        assert one[name] == pytest.approx(many[name]), name


def test_calibrated_probabilities_err_little_and_bent_ones_much() -> None:
    rng = np.random.default_rng(0)
    P = rng.beta(0.5, 3.0, 40_000)
    truth = rng.random(P.size) < P
    assert evaluation.foretold(truth, P)["calibration_error"] < 0.01
    bent = evaluation.foretold(truth, np.sqrt(P))
    assert bent["calibration_error"] > 0.1
    curve = evaluation.foretold(truth, P)["reliability"]
    np.testing.assert_allclose(curve["told"], curve["found"], atol=0.05)


def test_ground_that_is_surely_none_hides_no_wrong_probability() -> None:
    rng = np.random.default_rng(0)
    P = np.concatenate([np.full(97_000, 0.001), rng.uniform(0.1, 1.0, 3000)])
    truth = rng.random(P.size) < np.where(P > 0.1, P**2, P)  # too sure
    found = evaluation.foretold(truth, P)
    assert found["calibration_error"] < 0.01 and found["likely_share"] == pytest.approx(0.03)
    assert found["calibration_error_likely"] == pytest.approx(0.18, abs=0.01)
    assert found["calibration_error_even"] > 0.004
    right = evaluation.foretold(rng.random(P.size) < P, P)
    assert right["calibration_error_likely"] < 0.03 and right["calibration_error_even"] < 0.003
    assert np.isnan(evaluation.foretold(truth, np.full(P.size, 0.01))["calibration_error_likely"])


def test_wilson_covers_and_is_the_published_one() -> None:
    # The paper's 176 of 213.
    assert evaluation.wilson(176, 213) == pytest.approx((0.770, 0.871), abs=5e-4)
    assert evaluation.wilson(0, 0) == (0.0, 1.0)
    rng = np.random.default_rng(1)
    for share in (0.05, 0.5, 0.9):
        drawn = rng.binomial(60, share, 3000)
        inside = [low <= share <= high for low, high in (evaluation.wilson(k, 60) for k in drawn)]
        assert 0.92 < np.mean(inside) < 0.98


def test_objects_are_the_same_once_and_by_half_of_their_union() -> None:
    reference = geopandas.GeoDataFrame(geometry=[box(0, 0, 10, 10), box(20, 0, 30, 10)])
    found = geopandas.GeoDataFrame(
        geometry=[box(0, 0, 10, 9), box(0, 9, 10, 10), box(23, 0, 34, 10), box(50, 0, 60, 10)]
    )
    np.testing.assert_array_equal(evaluation.matched(found, reference), [0, 2])
    np.testing.assert_array_equal(evaluation.matched(found, reference, overlap=0.6), [0, -1])
    nothing = found.iloc[:0]
    np.testing.assert_array_equal(evaluation.matched(nothing, reference), [-1, -1])
    told = evaluation.detection(2, 4, 2)
    assert (told["precision"], told["recall"]) == (0.5, 1.0)
    assert told["f1"] == pytest.approx(2 / 3) and told["false"] == 2 and told["missed"] == 0


def test_the_interval_of_blocks_covers_where_neighbours_err_alike() -> None:
    """Ground of 50 blocks whose own share varies around 0.8, 400 pixels each."""
    rng = np.random.default_rng(5)
    block = np.repeat(np.arange(50), 400)
    inside, narrow = [], []
    for seed in range(300):
        share = rng.beta(8.0, 2.0, 50)
        right = rng.random(block.size) < share[block]
        low, high = evaluation.share_by_blocks(right, block, draws=300, seed=seed)
        inside.append(low <= 0.8 <= high)
        low, high = evaluation.wilson(right.sum(), right.size)
        narrow.append(low <= 0.8 <= high)
    assert 0.90 < np.mean(inside) < 0.98
    assert np.mean(narrow) < 0.5  # as if every pixel were told by itself
    assert evaluation.share_by_blocks(right, np.zeros(right.size)) == (0.0, 1.0)


def test_the_paired_bootstrap_covers_the_difference() -> None:
    rng = np.random.default_rng(2)

    def mean(side: np.ndarray, _: np.ndarray) -> float:
        return float(side.mean())

    inside = []
    for seed in range(120):
        shared = rng.normal(size=60)  # what both sides have of each block
        one, other = shared + rng.normal(0.3, 0.5, 60), shared + rng.normal(0.0, 0.5, 60)
        _, low, high = evaluation.paired_bootstrap(mean, one, other, draws=300, seed=seed)
        inside.append(low <= 0.3 <= high)
        assert high - low < 0.5  # what both share does not widen it
    assert 0.87 < np.mean(inside) < 0.99


def test_matching_weights_give_other_ground_the_strata_of_what_is_looked_for() -> None:
    rng = np.random.default_rng(4)
    height = rng.uniform(0.0, 1.0, 20_000)
    truth = rng.random(height.size) < 0.1 * height**2
    stratum = np.where(height < 0.2, -1, (height * 20).astype(int))
    weight = evaluation.matching_weight(truth, stratum)
    assert (weight[height < 0.2] == 0.0).all()
    for one in range(4, 20):
        here = stratum == one
        assert weight[here & ~truth].sum() == pytest.approx((here & truth).sum())
    # Height alone tells much of all ground, and nothing of matched ground.
    assert roc_auc_score(truth, height) > 0.7
    assert roc_auc_score(truth, height, sample_weight=weight) == pytest.approx(0.5, abs=0.01)


def test_a_stratum_that_lacks_one_of_both_does_not_count() -> None:
    truth = np.array([True, True, False, False, False])
    weight = evaluation.matching_weight(truth, np.array([0, 1, 1, 1, 2]))
    np.testing.assert_allclose(weight, [0.0, 1.0, 0.5, 0.5, 0.0])
    nowhere = evaluation.matching_weight(truth, np.full(5, -1))
    assert (nowhere == 0.0).all()
    assert np.isnan(evaluation.blocked_auc(truth, np.arange(5.0), np.arange(5), nowhere)).all()


def test_the_area_under_the_curve_is_that_of_weighted_samples() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random(3000) < 0.2
    P = rng.normal(size=truth.size) + truth
    weight = rng.uniform(0.0, 2.0, truth.size)
    told, low, high = evaluation.blocked_auc(truth, P, np.arange(truth.size), weight)
    assert told == pytest.approx(roc_auc_score(truth, P, sample_weight=weight))
    assert low < told < high
    # Classes of rank hardly change the area: the middle of draws is where it is.
    assert 0.5 * (low + high) == pytest.approx(told, abs=0.004)


def test_the_interval_of_an_area_covers_it_where_neighbours_are_alike() -> None:
    """Of 40 blocks whose samples share most of their chance; single samples feign certainty."""
    rng = np.random.default_rng(6)
    block = np.repeat(np.arange(40), 25)
    both = [[1.0, 0.5], [0.5, 1.0]]

    def drawn() -> tuple[np.ndarray, np.ndarray]:
        shared = rng.multivariate_normal([0.0, 0.0], both, 40)[block]
        return shared[:, 0] > 0.0, shared[:, 1] + 1e-3 * rng.normal(size=block.size)

    many = rng.multivariate_normal([0.0, 0.0], both, 400_000)
    area = roc_auc_score(many[:, 0] > 0.0, many[:, 1])
    inside, alone = [], []
    for seed in range(100):
        truth, P = drawn()
        for number, out in ((block, inside), (np.arange(block.size), alone)):
            _, low, high = evaluation.blocked_auc(truth, P, number, draws=200, seed=seed)
            out.append(low <= area <= high)
    assert 0.87 < np.mean(inside) < 0.99
    assert np.mean(alone) < 0.5


def test_an_outline_finds_one_of_the_points_within_it() -> None:
    found = geopandas.GeoDataFrame(geometry=[box(0, 0, 10, 10), box(20, 0, 30, 10)])
    places = [Point(9.0, 9.0), Point(5.5, 5.0), Point(15.0, 5.0), Point(29.0, 1.0)]
    points = geopandas.GeoDataFrame(geometry=[place.buffer(2.0) for place in places])
    np.testing.assert_array_equal(evaluation.holding(found, points), [-1, 0, -1, 1])
    np.testing.assert_array_equal(evaluation.holding(found.iloc[:0], points), [-1] * 4)
