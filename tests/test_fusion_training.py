"""A model of a landscape whose kinds are known: held-out ground, chance, the file it is kept in."""

import dataclasses
from pathlib import Path

import landscape
import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import roc_auc_score

from rockglacier import evaluation
from rockglacier import factors as factor_stack
from rockglacier.conventions import Kind
from rockglacier.errors import ConfigurationError, RockGlacierError, SceneError
from rockglacier.fusion import calibration, labels, mapping, training
from rockglacier.fusion.folds import Variogram, variogram

HOW = training.How(block_m=1500.0, bootstraps=5, folds=4)
PLAIN = training.How(block_m=1500.0, bootstraps=0, folds=4, select=False)


@pytest.fixture(scope="module")
def ground():  # type: ignore[no-untyped-def]
    """Grid, factors, kinds (y, x), samples and techniques of one landscape."""
    grid, outlines, factors, kind = landscape.make()
    known = outlines.assign(
        name="", kind=outlines["type"].map({v: int(k) for k, v in landscape.NAMES.items()})
    )
    samples = labels.samples(known, grid, factors, per_object=60, background=3000)
    for name in factors:
        samples[name] = factors[name].values[samples["row"], samples["column"]]
    return grid, factors, kind, samples, factor_stack.of_techniques(factors)


@pytest.fixture(scope="module")
def trained(ground) -> training.Trained:  # type: ignore[no-untyped-def]
    *_, samples, techniques = ground
    return training.train(samples, techniques, HOW)


def test_maps_tell_kinds_and_their_doubt(ground, trained) -> None:  # type: ignore[no-untyped-def]
    _, factors, kind, *_ = ground
    maps = mapping.probabilities(factors, trained)
    P = maps["probability"].values
    glacier = np.isin(kind, [Kind.ACTIVE, Kind.RESTING])
    assert roc_auc_score(glacier.ravel(), P.ravel()) > 0.88
    assert P.mean() == pytest.approx(glacier.mean(), abs=0.02)
    low, high = maps["probability_low"].values, maps["probability_high"].values
    assert (low <= high).all() and ((low <= P + 0.02) & (high + 0.02 >= P)).mean() > 0.9
    total = sum(maps[name].values for name in mapping.NAMES.values())
    np.testing.assert_allclose(total, 1.0, atol=1e-5)
    assert (maps["kind"].values == kind).mean() > 0.9
    assert set(np.unique(maps["valid_techniques"])) == {0.0, 1.0, 2.0, 3.0}


def test_probabilities_are_those_found_where_techniques_blur_the_ground(ground) -> None:  # type: ignore[no-untyped-def]
    """Ground beside an object looks like the object."""
    grid, factors, kind, *_ = ground
    away, (y, x) = distance_transform_edt(kind == 0, sampling=40.0, return_indices=True)
    blurred = factors.copy()
    for name in factors:
        beside = factors[name].values[y, x]
        blurred[name] = factors[name].copy(data=np.where(away < 90.0, beside, factors[name].values))
    known = landscape.make()[1]
    known = known.assign(
        name="", kind=known["type"].map({v: int(k) for k, v in landscape.NAMES.items()})
    )
    samples = labels.samples(known, grid, factors, per_object=60, background=3000, buffer_m=90.0)
    for name in blurred:
        samples[name] = blurred[name].values[samples["row"], samples["column"]]
    trained = training.train(samples, factor_stack.of_techniques(factors), PLAIN)
    raw = dataclasses.replace(trained, bend=calibration.STRAIGHT)
    glacier = np.isin(kind, [Kind.ACTIVE, Kind.RESTING]).ravel()
    maps = [mapping.probabilities(blurred, one) for one in (trained, raw)]
    P, before = (one["probability"].values.ravel().astype(float) for one in maps)
    errors = [evaluation.foretold(glacier, one)["calibration_error_likely"] for one in (P, before)]
    assert errors[0] < 0.03 and errors[1] > 2.0 * errors[0]
    assert (np.diff(P[np.argsort(before, kind="stable")]) > -1e-6).all()
    total = sum(maps[0][name].values for name in mapping.NAMES.values())
    np.testing.assert_allclose(total, 1.0, atol=1e-5)
    assert trained.low < trained.even < trained.high
    # Without a judge objects are those that the same thresholds told before.
    low, high = calibration.straightened(np.array([trained.low, trained.high]), trained.bend)
    straight = dataclasses.replace(raw, low=float(low), high=float(high))
    shapes = [one.objects(told["probability"].values, grid) > 0
              for one, told in zip((trained, straight), maps, strict=True)]  # fmt: skip
    assert shapes[0].any() and (shapes[0] != shapes[1]).mean() < 1e-3


def test_factors_that_tell_nothing_are_not_used(trained) -> None:  # type: ignore[no-untyped-def]
    assert "chance" not in trained.factors and "speed" in trained.factors
    fate = trained.fates.set_index("factor")
    assert fate.loc["chance", "fate"] in ("tells too little", "adds too little")
    assert fate.loc["speed", "technique"] == "velocity"


def test_ground_that_was_held_out_is_told_by_those_that_never_saw_it(ground) -> None:  # type: ignore[no-untyped-def]
    grid, factors, kind, samples, techniques = ground
    found = list(training.cross_validated(samples, techniques, PLAIN, block_m=1500.0))
    judged = np.concatenate([rows for *_, rows in found])
    assert sorted(judged) == list(range(len(samples)))
    folds = training.folds_of(samples, HOW, block_m=1500.0)
    x, y = np.meshgrid(grid.x, grid.y)
    fold = folds.of_places(x, y, samples["kind"].to_numpy())
    for number, model, rows in found:
        here = samples.iloc[rows]
        alone = here[here["object"] < 0]
        assert (fold[alone["row"], alone["column"]] == number).all()
        assert model.notes["samples"] < len(samples)
    models = [model for _, model, _ in sorted(found, key=lambda f: f[0])]
    maps = mapping.probabilities(factors, models[0], fold=fold, of_folds=models)
    glacier = np.isin(kind, [Kind.ACTIVE, Kind.RESTING])
    score = roc_auc_score(glacier.ravel(), maps["probability"].values.ravel())
    whole = mapping.probabilities(factors, training.train(samples, techniques, PLAIN))
    itself = roc_auc_score(glacier.ravel(), whole["probability"].values.ravel())
    assert 0.85 < score < itself + 0.01


def test_shuffled_labels_are_told_at_chance(ground) -> None:  # type: ignore[no-untyped-def]
    *_, samples, techniques = ground
    rng = np.random.default_rng(0)
    # Objects change their kinds, and ground becomes an object elsewhere.
    moved = samples.assign(kind=rng.permutation(samples["kind"].to_numpy()))
    with pytest.raises(RockGlacierError, match="no factor tells the kinds apart"):
        training.train(moved, techniques, HOW)
    scores = []
    for _, model, rows in training.cross_validated(moved, techniques, PLAIN, block_m=1500.0):
        P = training.rock_glacier(
            model.probabilities(moved.iloc[rows][model.factors].to_numpy(float))[0]
        )
        scores.append(roc_auc_score(moved["kind"].iloc[rows].isin([1, 2]), P))
    assert np.mean(scores) == pytest.approx(0.5, abs=0.04)


def test_a_model_file_says_the_same_and_where_it_comes_from(
    tmp_path: Path, ground, trained
) -> None:  # type: ignore[no-untyped-def]
    _, factors, *_ = ground
    training.save(trained, tmp_path / "m.skops", provenance={"made_by": "test"})
    again = training.load(tmp_path / "m.skops")
    assert again.notes == trained.notes and len(again.notes["digest"]) == 16
    assert again.notes["samples"] > 3000 and again.notes["kinds"]["clean glacier"] > 0
    part = factors.isel(y=slice(0, 40))
    np.testing.assert_array_equal(
        mapping.probabilities(part, again)["probability"],
        mapping.probabilities(part, trained)["probability"],
    )


def test_a_model_trained_anew_is_the_next_version_and_tells_how_well_it_did(
    tmp_path: Path, trained
) -> None:  # type: ignore[no-untyped-def]
    assert 0.85 < trained.notes["inner_folds"]["roc_auc"] < 1.0
    pixels = dict.fromkeys(training.SCORES, 0.9)
    side = {"pixels": pixels, "objects": dict.fromkeys(("precision", "recall", "f1"), 0.7)}
    document = {"sides": {"fusion": side}, "region_left_out": {"sides": {"fusion": side}}}
    told = training.scores_of(document)
    assert told["object_f1"] == told["region_left_out_object_f1"] == 0.7
    assert "region_left_out_roc_auc" not in training.scores_of({"sides": {"fusion": side}})
    notes = trained.notes | {"held_out": {"alps": told}}
    for version in (1, 2, 3):
        again = dataclasses.replace(trained, notes=dict(notes))
        found = training.entered(again, tmp_path / "m_versions.csv")
        found.to_csv(tmp_path / "m_versions.csv", index=False)
        assert again.notes["version"] == version and list(found["version"]) == [
            *range(1, version + 1)
        ]
    assert (found["alps_roc_auc"] == 0.9).all() and found["digest"].nunique() == 1
    training.save(again, tmp_path / "m.skops", provenance={})
    assert training.load(tmp_path / "m.skops").notes == again.notes


def test_blocks_are_told_by_residuals_of_ground_held_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each block is of one kind by chance, and factors know blocks by heart."""
    rng = np.random.default_rng(8)
    x, y = rng.uniform(0.0, 20_000.0, (2, 3000))
    block = (x // 2000.0 + 10.0 * (y // 2000.0)).astype(int)
    kind = rng.permutation(np.repeat([0, 1], 50))[block]
    names = [f"f{k}" for k in range(8)]
    samples = pd.DataFrame(rng.normal(size=(100, 8))[block], columns=names).assign(
        x=x, y=y, row=0, column=0, object=-1, kind=kind, weight=1.0, edge=False
    )
    how = dataclasses.replace(PLAIN, model="information value", block_m=2000.0, reach_m=1200.0)
    residuals = []

    def looked_at(values: np.ndarray, *places: np.ndarray, **options: float) -> Variogram:
        residuals.append(values)
        return variogram(values, *places, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "variogram", looked_at)
    assert training.block_side(samples, {"one": names}, how) == 2000.0
    assert (residuals[0] ** 2).mean() > 0.24  # of chance it is 0.25; who was taught errs less
    assert "raise reach_m" in caplog.text


def test_the_overlay_is_trained_kept_and_mapped_as_the_others_are(tmp_path: Path, ground) -> None:  # type: ignore[no-untyped-def]
    _, factors, kind, samples, techniques = ground
    how = dataclasses.replace(HOW, model="overlay", bootstraps=2)
    training.save(training.train(samples, techniques, how), tmp_path / "m.skops", provenance={})
    trained = training.load(tmp_path / "m.skops")
    assert sum(trained.notes["powers"].values()) == pytest.approx(1.0, abs=0.01)
    assert not hasattr(trained.model, "held_out_") and trained.model.best_.shape[0] == 5
    maps = mapping.probabilities(factors, trained)
    glacier = np.isin(kind, [Kind.ACTIVE, Kind.RESTING]).ravel()
    P = maps["probability"].values.ravel()
    assert roc_auc_score(glacier, P) > 0.85
    assert P.mean() == pytest.approx(glacier.mean(), abs=0.02)


def test_what_is_no_model_is_refused(tmp_path: Path, ground, trained) -> None:  # type: ignore[no-untyped-def]
    _, factors, *_ = ground
    (tmp_path / "no.skops").write_text("nothing")
    with pytest.raises(SceneError, match=r"no\.skops cannot be read as a model"):
        training.load(tmp_path / "no.skops")
    skops.io.dump({"format": training.FORMAT, "model": Path("/etc/passwd")}, tmp_path / "odd.skops")
    with pytest.raises(SceneError, match=r"odd\.skops holds pathlib"):
        training.load(tmp_path / "odd.skops")
    with pytest.raises(SceneError, match=r"the model needs .*speed.*, which the region has not"):
        mapping.probabilities(factors.drop_vars("speed"), trained)
    with pytest.raises(ConfigurationError, match="model 'tree' is unknown"):
        training.How(model="tree")  # type: ignore[arg-type]


def test_one_kind_alone_is_an_error(ground) -> None:  # type: ignore[no-untyped-def]
    *_, samples, techniques = ground
    with pytest.raises(RockGlacierError, match="are of one kind"):
        training.train(samples[samples["kind"] == 0], techniques, HOW)
