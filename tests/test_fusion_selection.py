"""Factors that tell are chosen, those that repeat, say nothing or are unknown go, each with why."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from rockglacier.fusion import selection
from rockglacier.fusion.folds import SpatialFolds
from rockglacier.fusion.models import estimator


def ground(count: int = 3000, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, SpatialFolds]:
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, count, p=[0.6, 0.25, 0.15])
    first = np.array([0.0, 1.4, 0.2])[kind] + rng.normal(size=count)
    second = np.array([0.0, 0.2, 1.6])[kind] + rng.normal(size=count)
    x, y = rng.uniform(0.0, 10_000.0, (2, count))
    # Tells much in the west and the opposite in the east.
    turned = np.where(x < 5000.0, 1.0, -1.0) * first + 0.3 * rng.normal(size=count)
    gaps = np.where(rng.random(count) < 0.5, np.nan, first)
    table = pd.DataFrame({
        "first": first, "second": second, "copy": first + 0.2 * rng.normal(size=count),
        "sum": first + second + 0.05 * rng.normal(size=count),
        "chance": rng.normal(size=count), "turned": turned, "gaps": gaps, "level": 1.0,
    })  # fmt: skip
    folds = SpatialFolds(x, y, np.full(count, -1), block_m=2000.0, buffer_m=0.0, folds=4)
    return table, kind, folds


def test_each_factor_has_its_fate() -> None:
    table, kind, folds = ground()
    splits = list(folds.split(table, kind))
    found = selection.select(
        table, kind, np.ones(kind.size), splits, estimator("information value")
    )
    fate = found.set_index("factor")["fate"]
    assert set(selection.chosen(found)) <= {"first", "second", "sum"}
    assert len(selection.chosen(found)) == 2
    assert fate["copy"] == "like another"
    assert fate["chance"] == "tells too little"
    assert fate["turned"] == "tells too little"
    assert fate["gaps"] == "unknown" and fate["level"] == "unknown"
    assert found["why"].notna().all()
    assert list(found) == selection.FATES


def test_nothing_is_chosen_where_nothing_tells() -> None:
    table, kind, folds = ground()
    shuffled = np.random.default_rng(3).permutation(kind)
    found = selection.select(
        table[["first", "second", "chance"]], shuffled, np.ones(kind.size),
        list(folds.split(table, shuffled)), estimator("information value"),
    )  # fmt: skip
    assert selection.chosen(found) == []


def test_inflation_is_that_of_regression_on_all_others() -> None:
    table = ground()[0][["first", "second", "sum", "chance"]]
    ranks = table.rank(pct=True)
    found = selection.inflation(table)
    for name in table:
        others = ranks.drop(columns=name)
        fit = LinearRegression().fit(others, ranks[name]).score(others, ranks[name])
        assert found[name] == pytest.approx(1.0 / (1.0 - fit), rel=1e-3)


def test_heterogeneity_is_the_share_of_variance_between_classes() -> None:
    rng = np.random.default_rng(5)
    values = rng.uniform(size=4000)
    kind = (rng.random(4000) < np.floor(values * 8) / 8).astype(int)
    parts = pd.Series(kind).groupby(np.floor(pd.Series(values).rank(pct=True) * 7.9999))
    within = (parts.size() * parts.var(ddof=0)).sum() / (kind.size * kind.var())
    found, chance = selection.heterogeneity(values, kind, np.ones(kind.size))
    assert found == pytest.approx(1.0 - within, abs=1e-3)
    assert chance < 1e-9


def test_a_heterogeneity_of_chance_is_told_to_be_so() -> None:
    rng = np.random.default_rng(6)
    chances = [
        selection.heterogeneity(rng.normal(size=400), rng.integers(0, 2, 400), np.ones(400))[1]
        for _ in range(300)
    ]
    # The non-centrality leaves the test a little careful.
    assert 0.005 < np.mean(np.array(chances) < 0.05) < 0.07
    assert np.mean(np.array(chances) < 0.5) == pytest.approx(0.45, abs=0.12)


def test_a_factor_that_chance_would_make_is_dropped_with_its_chance() -> None:
    table, kind, folds = ground(300)
    limits = selection.Limits(auc_beyond=0.0, heterogeneity=0.0)
    found = selection.select(
        table[["first", "chance"]], kind, np.ones(kind.size), list(folds.split(table, kind)),
        estimator("information value"), limits=limits,
    ).set_index("factor")  # fmt: skip
    assert found.loc["chance", "chance"] > 0.05 and ", p 0." in found.loc["chance", "why"]
    assert found.loc["first", "chance"] < 1e-6 and found.loc["first", "fate"] == "chosen"


def test_what_others_tell_by_four_fifths_goes() -> None:
    rng = np.random.default_rng(7)
    kind = rng.integers(0, 2, 3000)
    parts = {f"part {k}": 0.6 * kind + rng.normal(size=3000) for k in range(4)}
    # Correlated to each by half, and inflated more than five times by all, not ten.
    table = pd.DataFrame(parts | {"sum": sum(parts.values()) + 0.9 * rng.normal(size=3000)})
    assert 5.0 < selection.inflation(table)["sum"] < 10.0
    folds = SpatialFolds(*rng.uniform(0.0, 1e4, (2, 3000)), np.full(3000, -1), block_m=2000.0,
                         buffer_m=0.0, folds=4)  # fmt: skip
    found = selection.select(
        table, kind, np.ones(3000), list(folds.split(table, kind)), estimator("information value")
    ).set_index("factor")  # fmt: skip
    assert found.loc["sum", "fate"] == "told by others"


def test_weights_count_as_repeated_samples() -> None:
    table, kind, _ = ground(500)
    twice = np.where(np.arange(500) < 250, 2.0, 1.0)
    values = table["first"].to_numpy()
    again = np.concatenate([np.arange(500), np.arange(250)])
    one, _ = selection.heterogeneity(values, kind, twice)
    many, _ = selection.heterogeneity(values[again], kind[again], np.ones(again.size))
    assert one == pytest.approx(many, abs=0.01)
