"""Held-out ground: no object is told by a model that saw it, and fusion beats each technique."""

import landscape
import numpy as np
import pytest

from rockglacier import factors as factor_stack
from rockglacier.errors import RockGlacierError
from rockglacier.fusion import labels, training, validation
from rockglacier.inventory.outlines import Shape, labelled

HOW = training.How(block_m=1500.0, bootstraps=0, select=False, folds=3)


@pytest.fixture(scope="module")
def ground():  # type: ignore[no-untyped-def]
    grid, outlines, factors, _ = landscape.make(3)
    means = {name: int(one) for one, name in landscape.NAMES.items()}
    known = outlines.assign(name="", kind=outlines["type"].map(means), point=False)
    samples = labels.samples(known, grid, factors, per_object=40, background=2500)
    for name in factors:
        samples[name] = factors[name].values[samples["row"], samples["column"]]
    return grid, factors, known, samples, factor_stack.of_techniques(factors)


def test_an_object_is_of_one_fold_which_is_that_of_its_samples(ground) -> None:  # type: ignore[no-untyped-def]
    grid, _, known, samples, _ = ground
    fold = validation.folds_of_pixels(samples, known, grid, HOW, block_m=1500.0)
    objects, _ = labels.rasterised(known, grid)
    given = training.folds_of(samples, HOW, block_m=1500.0).assigned(samples["kind"].to_numpy())
    for one in range(len(known)):
        inside = np.unique(fold[objects == one])
        assert inside.size == 1
        assert (given[samples["object"] == one] == inside[0]).all()
    assert len(np.unique(fold)) == 3


def test_fusion_beats_each_technique(ground) -> None:  # type: ignore[no-untyped-def]
    grid, factors, known, samples, techniques = ground
    sides = validation.alone(techniques)
    assert set(sides) == {"fusion", "velocity", "backscatter", "snow"}
    found = {}
    for side in ("fusion", "velocity", "snow"):
        told = validation.held_out(samples, sides[side], HOW, factors, known, grid, block_m=1500.0)
        found[side] = validation.scores(
            told.maps, known, grid, told.number, surface=factors, block_m=1500.0
        )
    told = validation.table(found).set_index("side")
    assert told.loc["fusion", "pr_auc"] > told.loc[["velocity", "snow"], "pr_auc"].max() + 0.05
    pixels = found["fusion"]["pixels"]
    assert pixels["observed_share"] == 1.0 and pixels["calibration_error"] < 0.03
    assert np.sum(pixels["confusion"]) == grid.width * grid.height
    low, high = pixels["overall_accuracy_95"]
    assert low < pixels["overall_accuracy"] < high < low + 0.05
    assert pixels["blocks"] == 7 * 7  # 9600 m by 1500
    objects = found["fusion"]["objects"]
    wanted = objects["hits"] + objects["missed"]
    assert wanted == int(known["kind"].isin([1, 2]).sum())
    assert sum(k["of"] for k in objects["recall_by_kind"].values()) == wanted
    by_kind = objects["by_kind"]
    active, resting = by_kind["active rock glacier"], by_kind["transitional or relict rock glacier"]
    assert active["hits"] + active["missed"] == int((known["kind"] == 1).sum())
    found_of_both = sum(one["hits"] + one["false"] for one in (active, resting))
    assert found_of_both == objects["hits"] + objects["false"]  # each is told to be of one kind
    assert 0.5 < active["f1"] <= 1.0 and active["hits"] + resting["hits"] <= objects["hits"]
    assert told.loc["fusion", "active_f1"] == round(active["f1"], 4)
    low, high = pixels["roc_auc_95"]
    assert low < pixels["roc_auc"] < high and high - low < 0.1
    # What sensors saw tells them from ground as high and steep, too.
    assert told.loc["fusion", "matched_auc_low"] > told.loc["snow", "matched_auc"]
    # A technique with gaps tells nothing there.
    assert found["velocity"]["pixels"]["observed_share"] == pytest.approx(0.85, abs=0.01)


def test_a_region_is_told_by_a_model_of_the_others(ground) -> None:  # type: ignore[no-untyped-def]
    grid, factors, known, own, techniques = ground
    tables = {"own": own}
    for seed, name in ((4, "other"), (5, "third")):
        _, outlines, there, _ = landscape.make(seed)
        means = {text: int(one) for one, text in landscape.NAMES.items()}
        labelled = outlines.assign(name="", kind=outlines["type"].map(means), point=False)
        tables[name] = labels.samples(labelled, grid, there, per_object=40, background=2500)
        for factor in there:
            tables[name][factor] = there[factor].values[tables[name]["row"], tables[name]["column"]]
    samples = training.joined(tables)
    # Where own labels are nonsense a model of the others tells the ground as well as ever.
    mine = (samples["region"] == "own").to_numpy()
    nonsense = samples.assign(kind=np.where(mine, 4 - samples["kind"], samples["kind"]))
    told = [
        validation.region_left_out(of, "own", techniques, HOW, factors, grid)
        for of in (samples, nonsense)
    ]
    np.testing.assert_array_equal(told[0][0]["probability"], told[1][0]["probability"])
    found = validation.scores(
        told[0][0], known, grid, told[0][1], surface=factors, block_m=1500.0
    )  # fmt: skip
    assert found["pixels"]["roc_auc"] > 0.85 and found["objects"]["hits"] > 10
    with pytest.raises(RockGlacierError, match="own alone, so that it cannot be left out: name"):
        validation.region_left_out(samples[mine], "own", techniques, HOW, factors, grid)


def test_matched_ground_is_told_by_neither_height_nor_slope(ground) -> None:  # type: ignore[no-untyped-def]
    grid, factors, known, *_ = ground
    found = validation.height_and_slope(known, grid, surface=factors, block_m=1500.0)
    assert found["slope"]["roc_auc"] > 0.7
    for one in found.values():
        assert one["matched"]["roc_auc"] == pytest.approx(0.5, abs=0.02)


def test_around_points_the_ground_is_of_no_known_kind(ground) -> None:  # type: ignore[no-untyped-def]
    grid, factors, known, *_ = ground
    truth = validation.kinds_known(known, grid, unknown_m=300.0)
    assert (truth != validation.UNKNOWN).all()  # outlines say how far objects reach
    points = known.assign(geometry=known.centroid.buffer(60.0), point=True)
    about = validation.kinds_known(points, grid, unknown_m=300.0)
    x, y = np.meshgrid(grid.x, grid.y)
    middle = points.geometry.centroid.iloc[0]
    away = np.hypot(x - middle.x, y - middle.y)
    assert (about[away < 50.0] == points["kind"].iloc[0]).all()
    assert (about[(away > 120.0) & (away < 300.0)] != 0).all()
    glacier = np.isin(truth, [1, 2])
    assert (about[glacier] != 0).mean() > 0.99  # no rock glacier counts as other ground
    maps = factors[["elevation"]].rename(elevation="probability")
    maps["probability"] = maps["probability"].copy(data=np.where(glacier, 0.9, 0.1))
    maps["kind"] = maps["probability"].copy(data=np.where(glacier, 1.0, 0.0))
    for name, kind in (("p_active", 1), ("p_resting", 2), ("p_rock_glacier", 5)):
        maps[name] = maps["probability"].copy(data=np.where(truth == kind, 0.9, 0.0))
    number = labelled(maps["probability"].values, grid, Shape(low=0.5, high=0.7))
    told = validation.scores(
        maps, points, grid, number, surface=factors, block_m=1500.0, unknown_m=400.0
    )
    assert told["objects"]["recall"] == 1.0 and told["objects"]["precision"] == 1.0
    assert told["pixels"]["roc_auc"] > 0.999
    assert all(one["f1"] == 1.0 for one in told["objects"]["by_kind"].values())
    assert told["objects"]["area_share"] == pytest.approx(glacier.mean(), rel=0.05)


def test_a_wrong_kind_is_missed_as_one_and_false_as_the_other() -> None:
    # Found: three told active, one resting; the last is of unknown activity, one is nothing.
    told, truth = np.array([1, 1, 2, 1]), np.array([1, 2, 1, 5])
    found = validation._by_kind(told, truth, np.array([0, 1, -1, 3]))
    active, resting = found["active rock glacier"], found["transitional or relict rock glacier"]
    assert (active["hits"], active["false"], active["missed"]) == (1, 1, 1)
    assert (resting["hits"], resting["false"], resting["missed"]) == (0, 1, 1)
    none = validation._by_kind(np.array([], int), truth, np.full(4, -1))
    assert none["active rock glacier"]["missed"] == 2
