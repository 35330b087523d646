"""Folds of ground: how far residuals remember, whole objects, distances, and balance."""

import numpy as np
import pytest
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from rockglacier.errors import RockGlacierError
from rockglacier.fusion.folds import SpatialFolds, variogram


def field(count: int, range_m: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places over 10 km and a Gaussian field of exponential memory, with a fifth of noise."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0.0, 10_000.0, (2, count))
    apart = cdist(np.column_stack([x, y]), np.column_stack([x, y]))
    covariance = 0.8 * np.exp(-3.0 * apart / range_m) + 0.2 * np.eye(count)
    return x, y, np.linalg.cholesky(covariance) @ rng.normal(size=count)


@pytest.mark.parametrize("range_m", [600.0, 1500.0])
def test_the_range_of_a_known_field(range_m: float) -> None:
    found = [
        variogram(values, x, y, reach_m=4000.0)
        for seed in range(4)
        for x, y, values in [field(1200, range_m, seed)]
    ]
    assert np.median([f.range_m for f in found]) == pytest.approx(range_m, rel=0.35)
    assert np.median([f.sill for f in found]) == pytest.approx(1.0, rel=0.25)
    assert np.median([f.nugget for f in found]) == pytest.approx(0.2, abs=0.12)


def test_noise_remembers_nothing() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0.0, 10_000.0, (2, 2000))
    found = variogram(rng.normal(size=2000), x, y, reach_m=3000.0)
    assert found.range_m < 400.0
    with pytest.raises(RockGlacierError, match="too few neighbours within 10 m"):
        variogram(rng.normal(size=2000), x, y, reach_m=10.0)


def test_a_range_beyond_the_reach_is_told_to_be_capped() -> None:
    x, y, values = field(1200, 6000.0, 1)
    near, far = (variogram(values, x, y, reach_m=reach) for reach in (1500.0, 9000.0))
    assert near.capped and near.range_m == 1500.0
    x, y, values = field(1200, 800.0, 1)
    assert not variogram(values, x, y, reach_m=4000.0).capped and far.range_m > 1500.0


def samples(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Places, kinds (a tenth are 1, in objects of 30) and objects."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0.0, 20_000.0, (2, 2700))
    kind, objects = np.zeros(2700, int), np.full(2700, -1)
    middle = rng.uniform(0.0, 20_000.0, (10, 2))
    for k in range(10):
        angle, far = rng.uniform(0.0, 2 * np.pi, 30), rng.uniform(0.0, 600.0, 30)
        x = np.append(x, middle[k, 0] + far * np.cos(angle))
        y = np.append(y, middle[k, 1] + far * np.sin(angle))
    kind = np.append(kind, np.ones(300, int))
    objects = np.append(objects, np.repeat(np.arange(10), 30))
    return x, y, kind, objects


def test_objects_stay_whole_and_training_keeps_its_distance() -> None:
    x, y, kind, objects = samples()
    folds = SpatialFolds(x, y, objects, block_m=2500.0, buffer_m=400.0)
    fold = folds.assigned(kind)
    assert all(np.unique(fold[objects == k]).size == 1 for k in range(10))
    judged_once = np.zeros(x.size, int)
    place = np.column_stack([x, y])
    splits = list(folds.split(place, kind))
    assert len(splits) == folds.get_n_splits() == 5
    for train, judged in splits:
        judged_once[judged] += 1
        assert not set(train) & set(judged)
        near, _ = KDTree(place[judged]).query(place[train])
        assert near.min() > 400.0
    assert (judged_once == 1).all()


def test_folds_hold_alike_many_of_each_kind_and_a_seed_deals_anew() -> None:
    x, y, kind, objects = samples()
    dealt = [
        SpatialFolds(x, y, objects, block_m=2500.0, buffer_m=0.0, seed=seed).assigned(kind)
        for seed in (0, 0, 1)
    ]
    assert (dealt[0] == dealt[1]).all() and (dealt[0] != dealt[2]).any()
    for k in (0, 1):
        counts = np.bincount(dealt[0][kind == k], minlength=5)
        assert counts.min() > 0.5 * counts.mean()


def test_random_folds_flatter_what_knows_nothing() -> None:
    """Places alone foretell a smooth random field to neighbours, and not to other blocks."""
    x, y, values = field(1500, 3000.0, 5)
    kind = (values > 0).astype(int)
    rng = np.random.default_rng(0)
    waves = rng.normal(0.0, 2 * np.pi / 1500.0, (2, 200))
    features = np.cos(np.column_stack([x, y]) @ waves + rng.uniform(0, 2 * np.pi, 200))
    model = LogisticRegression(C=1.0, max_iter=500)
    spatial = SpatialFolds(x, y, np.full(x.size, -1), block_m=3000.0, buffer_m=1000.0)
    told = [cross_val_score(model, features, kind, cv=cv, scoring="roc_auc").mean()
            for cv in (5, spatial)]  # fmt: skip
    assert told[0] > 0.7 and told[1] < told[0] - 0.1
