"""From factors and an inventory to a model and maps, and what makes a model anew."""

import json

import geopandas
import landscape
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score
from workspace import Workspace

from rockglacier import io
from rockglacier.fusion import training

pytestmark = pytest.mark.filterwarnings("ignore:Object at .snakemake_timestamp")

REGION = """\
name: Alpha
labels:
  path: inventory.gpkg
  column: type
  kinds: {active: [active], resting: [relict], debris_covered: [dcg], clean: [ice]}
sampling: {per_object: 30, background: 1200}
model: alps-1
tracks:
  t1: {source: simulated, scenario: full, height: 48, width: 40, seed: 1}
"""
MODELS = """\
models:
  alps-1: {regions: [alpha], block_m: 1500, bootstraps: 2, folds: 3}
"""
# Factors are given: what makes them is of no concern here.
RULES = ("label_objects", "sample_ground", "train_model", "map_probability", "plot_probability")
RULES += ("validate_model",)


class Fusion(Workspace):
    """A workspace whose runs are of RULES alone."""

    def start(self, *options, regions):
        models = ("--configfile", str(self.folder / "models.yaml.txt"))
        files = [one for one in options if one.startswith("/")]
        others = [one for one in options if not one.startswith("/")]
        # What takes many values must not stand before the targets.
        allowed = ("--allowed-rules", *RULES, "--keep-going")
        return super().start(*others, *models, *allowed, *files, regions=regions)


@pytest.fixture(scope="module")
def fusion_run(tmp_path_factory):
    """A region of known kinds, run to its map of probability."""
    made = Fusion(tmp_path_factory.mktemp("fusion"))
    grid, outlines, factors, made.kind = landscape.make()
    made.write("alpha", REGION)
    (made.folder / "models.yaml.txt").write_text(MODELS)
    outlines.to_file(made.folder / "inventory.gpkg")
    region = made.results / "alpha"
    grid.save(region / "grid.json")
    io.write_dataset(factors, region / "factors.zarr", grid=grid)
    io.write_dataset(factors[["elevation", "slope"]], region / "relief.zarr", grid=grid)
    io.write_raster(factors[["elevation"]], region / "dem.tif", grid=grid)
    made.run(*targets(made), regions="alpha")
    return made


def targets(workspace):
    region = workspace.results / "alpha"
    names = ("probability.tif", "figures/probability.png", "accuracy.csv")
    return [str(region / name) for name in names]


def test_maps_tell_rock_glaciers_and_their_doubt(fusion_run):
    region = fusion_run.results / "alpha"
    maps, classes = (io.read_raster(region / f"{n}.tif") for n in ("probability", "classes"))
    P = maps["probability"].values
    truth = np.isin(fusion_run.kind, [1, 2])
    assert roc_auc_score(truth.ravel(), P.ravel()) > 0.88
    assert (maps["probability_low"] <= maps["probability_high"]).all()
    assert (classes["kind"].values == fusion_run.kind).mean() > 0.87
    total = sum(classes[n] for n in classes if str(n).startswith("p_"))
    np.testing.assert_allclose(total, 1.0, atol=1e-4)


def test_the_model_says_what_made_it(fusion_run):
    folder = fusion_run.results / "models"
    trained = training.load(folder / "alps-1.skops")
    samples = xr.open_zarr(fusion_run.results / "alpha" / "samples.zarr", consolidated=False)
    assert trained.notes["regions"] == ["alpha"]
    assert trained.notes["samples"] == samples.sizes["sample"] > 1800
    fates = pd.read_csv(folder / "alps-1_factors.csv")
    assert set(fates["factor"]) == {*landscape.MEANS, "elevation"}
    assert fates["fate"].notna().all() and fates["why"].notna().all()


def test_accuracy_is_that_of_ground_held_out(fusion_run):
    region = fusion_run.results / "alpha"
    told = pd.read_csv(region / "accuracy.csv").set_index("side")
    assert set(told.index) == {"fusion", "velocity", "backscatter", "snow"}
    best = told["pr_auc"].drop("fusion").max()
    assert best < told.loc["fusion", "pr_auc"] < 0.95
    assert told.loc["fusion", "calibration_error"] < 0.05
    document = json.loads((region / "evaluation.json").read_text())
    assert set(document["sides"]) == set(told.index)
    held_out = io.read_raster(region / "held_out.tif")["probability"].values
    itself = io.read_raster(region / "probability.tif")["probability"].values
    truth = np.isin(fusion_run.kind, [1, 2]).ravel()
    scores = [roc_auc_score(truth, P.ravel()) for P in (held_out, itself)]
    assert 0.8 < scores[0] < scores[1] + 0.005


def test_nothing_reruns_by_itself(fusion_run):
    assert fusion_run.planned(*targets(fusion_run), regions="alpha") == {}


def test_other_labels_leave_the_model_until_it_is_retrained(fusion_run):
    inventory = fusion_run.folder / "inventory.gpkg"
    fewer = geopandas.read_file(inventory).iloc[:-4]
    inventory.unlink()
    fewer.to_file(inventory)
    # Other ground to be judged on and drawn, but the model and what it tells stay.
    assert set(fusion_run.planned(*targets(fusion_run), regions="alpha")["alpha"]) == {
        "labelled objects", "samples of labelled ground", "accuracy on held-out ground",
        "figure of the probability",
    }  # fmt: skip
    overlay = fusion_run.folder / "models.yaml.txt"
    overlay.write_text(MODELS + "retrain: [alps-1]\n")
    planned = fusion_run.run("--dry-run", *targets(fusion_run), regions="alpha")
    overlay.write_text(MODELS)
    for job in ("labelled objects", "samples of labelled ground", "model alps-1: training"):
        assert job in planned
    assert "alpha: probability of rock glaciers" in planned


def test_a_model_that_is_not_described_is_named(fusion_run):
    path = fusion_run.folder / "alpha.yaml"
    text = path.read_text()
    path.write_text(text.replace("model: alps-1", "model: alps-2"))
    said = fusion_run.run(*targets(fusion_run), regions="alpha", check=False)
    path.write_text(text)
    assert "model 'alps-2' is none of models in" in said and "alps-1" in said
