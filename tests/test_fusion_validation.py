"""Held-out ground: no object is told by a model that saw it, and fusion beats each technique."""

import landscape
import numpy as np
import pytest

from rockglacier import factors as factor_stack
from rockglacier.fusion import labels, training, validation

HOW = training.How(block_m=1500.0, bootstraps=0, select=False, folds=3)


@pytest.fixture(scope="module")
def ground():  # type: ignore[no-untyped-def]
    grid, outlines, factors, _ = landscape.make(3)
    means = {name: int(one) for one, name in landscape.NAMES.items()}
    known = outlines.assign(name="", kind=outlines["type"].map(means))
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
        found[side] = validation.scores(told.maps, known, grid, told.shape, block_m=1500.0)
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
    # A technique with gaps tells nothing there.
    assert found["velocity"]["pixels"]["observed_share"] == pytest.approx(0.85, abs=0.01)
