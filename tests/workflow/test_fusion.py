"""From factors and an inventory to a model and maps, and what makes a model anew."""

import json
import shutil
import sqlite3
from contextlib import closing

import geopandas
import landscape
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score
from workspace import Workspace

from rockglacier import io
from rockglacier.conventions import MAP, describe
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
ASPECT = {"northness": 0.0, "eastness": 1.0}
# Factors are given: what makes them is of no concern here.
RULES = ("label_objects", "sample_ground", "train_model", "map_probability", "plot_probability")
RULES += ("plot_reliability",)
RULES += ("validate_model", "score_map", "make_inventory")


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
    (made.folder / "models.yaml.txt").write_text(MODELS)
    made.kind = write_region(made, "alpha", REGION)
    made.run(*targets(made), regions="alpha")
    return made


def write_region(made, name, text, **how):
    """Write a region with given products of a landscape; the kind of its ground (y, x)."""
    grid, outlines, factors, kind = landscape.make(**how)
    made.write(name, text)
    outlines.to_file(made.folder / ("inventory.gpkg" if name == "alpha" else f"{name}.gpkg"))
    region = made.results / name
    grid.save(region / "grid.json")
    for aspect, value in ASPECT.items():
        factors[aspect] = xr.full_like(factors["elevation"], value)
        factors[aspect].attrs |= {"units": "1", "long_name": aspect}
    io.write_dataset(factors, region / "factors.zarr", grid=grid)
    io.write_dataset(factors[["elevation", "slope"]], region / "relief.zarr", grid=grid)
    io.write_raster(factors[["elevation"]], region / "dem.tif", grid=grid)
    write_motion(region, grid, np.isin(kind, [1]))
    return kind


def write_motion(region, grid, moving):
    """Ground ``moving`` at 0.2 m/yr down a slope to the east, seen by one track for two years."""

    def layer(values, name, units):
        array = np.broadcast_to(np.asarray(values, np.float32), grid.shape)
        return describe(xr.DataArray(array.copy(), grid.coords, MAP), name, name, units)

    speed = {"velocity": layer(0.2 * moving, "velocity", "m/yr"),
             "velocity_error": layer(0.01, "error", "m/yr")}  # fmt: skip
    io.write_raster(xr.Dataset(speed), region / "velocity.tif", grid=grid)
    io.write_raster(xr.Dataset(speed), region / "t1" / "velocity.tif", grid=grid)
    slopes = {"slope": layer(30.0, "slope", "deg"), "aspect": layer(90.0, "aspect", "deg")}
    io.write_dataset(xr.Dataset(slopes), region / "terrain.zarr", grid=grid)
    # A satellite in the west that looks down by 35 degrees from the vertical.
    sight = zip(("east", "north", "up"), (-0.57, 0.0, 0.82), strict=True)
    sight = {name: layer(value, name, "1") for name, value in sight}
    io.write_raster(xr.Dataset(sight), region / "t1" / "line_of_sight.tif", grid=grid)
    dates = pd.date_range("2019-06-01", periods=25, freq="30D")
    toward = 0.2 * (-0.57 * np.cos(np.radians(30.0)) - 0.82 * np.sin(np.radians(30.0)))
    years = ((dates - dates[0]).days / 365.25).to_numpy()
    noise = np.random.default_rng(0).normal(0.0, 0.002, (len(dates), *grid.shape))
    moved = (toward * years[:, None, None] * moving + noise).astype(np.float32)
    series = xr.DataArray(moved, {"date": dates.values, **grid.coords}, ("date", *MAP))
    series = describe(series, "displacement", "displacement", "m")
    io.write_dataset(
        xr.Dataset({"displacement": series}), region / "t1" / "displacement.zarr", grid=grid
    )


def targets(workspace):
    region = workspace.results / "alpha"
    names = (
        "probability.tif",
        "figures/probability.png",
        "figures/reliability.png",
        "accuracy.csv",
    )
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
    document = json.loads((fusion_run.results / "alpha" / "evaluation.json").read_text())
    told = trained.notes["held_out"]["alpha"]
    assert told["roc_auc"] == document["sides"]["fusion"]["pixels"]["roc_auc"]
    versions = pd.read_csv(folder / "alps-1_versions.csv")
    assert list(versions["version"]) == [trained.notes["version"]] == [1]
    assert list(versions["digest"]) == [trained.notes["digest"]]
    fates = pd.read_csv(folder / "alps-1_factors.csv")
    assert set(fates["factor"]) == {*landscape.MEANS, *ASPECT, "elevation"}
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
    speed = document["fates_by_fold"]["speed"]
    assert speed["chosen"] >= 2 and sum(speed.values()) == 3
    assert (region / "figures" / "reliability.png").read_bytes().startswith(b"\x89PNG")
    left_out = document["region_left_out"]
    assert not left_out["possible"] and "alpha alone" in left_out["why"]
    held_out = io.read_raster(region / "held_out.tif")["probability"].values
    itself = io.read_raster(region / "probability.tif")["probability"].values
    truth = np.isin(fusion_run.kind, [1, 2]).ravel()
    scores = [roc_auc_score(truth, P.ravel()) for P in (held_out, itself)]
    assert 0.8 < scores[0] < scores[1] + 0.005


def test_an_inventory_takes_names_of_the_former_and_words_of_the_operator(fusion_run):
    region, folder = fusion_run.results / "alpha", fusion_run.folder
    inventory = region / "inventory.gpkg"
    fusion_run.run(str(inventory), regions="alpha")
    first = geopandas.read_file(inventory, layer="GO").set_index("PrimaryID")
    assert set(first["status"]) == {"auto"} and len(first) > 15
    moving = first["KinAtt"].isin(["dm/yr", "cm/yr-dm/yr", "dm/yr-m/yr"])
    assert moving.sum() >= 10
    assert set(pd.read_csv(region / "changes.csv")["change"]) == {"new"}
    yearly = pd.read_csv(region / "yearly_velocity.csv").set_index("PrimaryID")
    assert set(yearly["period"]) == {"year"}
    told = yearly["velocity"].loc[first.index[moving & (first["observed_share"] > 0.8)]]
    np.testing.assert_allclose(told.median(), 0.2 * -0.9036, atol=0.01)  # toward the satellite
    # An operator marks four in a copy: one is no rock glacier, one is relict by its point, one
    # keeps all, one is marked by its point alone; what is not marked counts for nothing.
    reviewed = shutil.copy(inventory, folder / "reviewed.gpkg")
    inventory.rename(folder / "issue_1.gpkg")
    gone, relict, same, other, unmarked = first.index[moving][:5]
    edit(reviewed, "GO", gone, Landform=2, status="reviewed")
    edit(reviewed, "PM", relict, ActiCl="Relict", Morpho="complex", status="reviewed")
    edit(reviewed, "GO", same, Complet="complete", RelFr=2, status="reviewed")
    edit(reviewed, "PM", other, UpslCur="no", status="reviewed")
    edit(reviewed, "GO", unmarked, ActiCl="Relict")
    path = folder / "alpha.yaml"
    text = path.read_text()
    path.write_text(text + "inventory: {former: issue_1.gpkg, reviewed: reviewed.gpkg}\n")
    fusion_run.run(str(inventory), regions="alpha")
    second = geopandas.read_file(inventory, layer="GO").set_index("PrimaryID")
    assert set(second.index) == set(first.index) - {gone}
    assert set(second.index[second["status"] == "reviewed"]) == {relict, same, other}
    assert second.loc[relict, "ActiCl"] == "Relict" != first.loc[relict, "ActiCl"]
    assert second.loc[relict, "Morpho"] == "complex" and second.loc[other, "UpslCur"] == "no"
    assert second.loc[same, "ActiCl"] == first.loc[same, "ActiCl"]
    assert second.loc[same, "Complet"] == "complete" and second.loc[same, "RelFr"] == 2
    assert second.loc[unmarked, "ActiCl"] == first.loc[unmarked, "ActiCl"] != "Relict"
    points = geopandas.read_file(inventory, layer="PM").set_index("PrimaryID")
    assert (points["status"] == second.loc[points.index, "status"]).all()
    assert points.loc[same, "Complet"] == "complete"
    changes = pd.read_csv(region / "changes.csv").set_index("PrimaryID")
    assert changes.loc[gone, "change"] == "gone"
    assert "Relict" in changes.loc[relict, "what"]
    assert changes.loc[same, "what"] == "status auto to reviewed"
    assert set(changes.index) == {gone, relict, same, other}
    # The second issue given back as it is: nothing is gone, and what was none comes not back.
    inventory.rename(folder / "issue_2.gpkg")
    path.write_text(text + "inventory: {former: issue_2.gpkg, reviewed: issue_2.gpkg}\n")
    fusion_run.run(str(inventory), regions="alpha")
    path.write_text(text)
    assert pd.read_csv(region / "changes.csv").empty
    third = geopandas.read_file(inventory, layer="GO").set_index("PrimaryID")
    pd.testing.assert_frame_equal(
        pd.DataFrame(third.drop(columns="geometry")).loc[second.index],
        pd.DataFrame(second.drop(columns="geometry")), atol=1e-6,
    )  # fmt: skip


def edit(path, layer, name, **values):
    """As in QGIS: fields of one object of a layer."""
    with closing(sqlite3.connect(path)) as database, database:
        for function in ("IsEmpty", "MinX", "MinY", "MaxX", "MaxY"):  # triggers of the index
            database.create_function(f"ST_{function}", 1, lambda _: 0)
        told = ", ".join(f"{field} = ?" for field in values)
        done = database.execute(
            f"UPDATE {layer} SET {told} WHERE PrimaryID = ?", (*values.values(), name)
        )
        assert done.rowcount == 1


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
        "figure of the reliability of probabilities",
        "figure of the probability",
    }  # fmt: skip
    overlay = fusion_run.folder / "models.yaml.txt"
    overlay.write_text(MODELS + "retrain: [alps-1]\n")
    planned = fusion_run.run("--dry-run", *targets(fusion_run), regions="alpha")
    overlay.write_text(MODELS)
    for job in ("labelled objects", "samples of labelled ground", "model alps-1: training"):
        assert job in planned
    assert "alpha: probability of rock glaciers" in planned


def test_regions_are_left_out_in_turn_and_others_judged_by_their_labels(tmp_path):
    """Two regions train a model; a third has labels and takes it, and so does one by its file."""
    made = Fusion(tmp_path)
    (made.folder / "models.yaml.txt").write_text(
        "models:\n  both: {regions: [east, west], block_m: 1500, bootstraps: 0, folds: 2, "
        "select: false}\n"
    )
    for seed, name in enumerate(("east", "west", "south"), start=3):
        text = REGION.replace("inventory", name).replace("alps-1", "both")
        write_region(made, name, text, seed=seed, side=160)
    wanted = [str(made.results / name / "accuracy.csv") for name in ("east", "south")]
    made.run(*wanted, regions="east,west,south")
    told = {name: json.loads((made.results / name / "evaluation.json").read_text())
            for name in ("east", "south")}  # fmt: skip
    left_out = told["east"]["region_left_out"]
    assert left_out["possible"] and left_out["trained_on"] == ["west"]
    assert left_out["sides"]["fusion"]["pixels"]["roc_auc"] > 0.8
    table = pd.read_csv(wanted[0]).set_index("side")
    left, blocks = table.loc["fusion, region left out"], table.loc["fusion"]
    assert left["roc_auc"] > 0.8 and left["roc_auc"] != blocks["roc_auc"]
    south = told["south"]
    assert south["trained_on"] == ["east", "west"] and "no model had seen" in south["judged_on"]
    assert south["sides"]["fusion"]["pixels"]["roc_auc"] > 0.8
    assert list(pd.read_csv(wanted[1])["side"]) == ["fusion"]
    assert not (made.results / "south" / "held_out.tif").exists()
    # The file of a model serves as well as its name, and no region that trained it is needed.
    path = made.results / "models" / "both.skops"
    made.write("south", REGION.replace("inventory", "south").replace(
        "model: alps-1", f"model_file: {path}"))  # fmt: skip
    assert made.planned(wanted[1], regions="south") == {}


def test_a_model_that_is_not_described_is_named(fusion_run):
    path = fusion_run.folder / "alpha.yaml"
    text = path.read_text()
    path.write_text(text.replace("model: alps-1", "model: alps-2"))
    said = fusion_run.run(*targets(fusion_run), regions="alpha", check=False)
    path.write_text(text)
    assert "model 'alps-2' is none of models in" in said and "alps-1" in said
