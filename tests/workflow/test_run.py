"""A run makes every product, reruns what changed, and failures leave nothing behind."""

import json
import os
import time

import numpy as np
import psutil
import pytest
import rasterio
import xarray as xr
from stack_formats import Scene, write_mintpy
from workspace import REGION, Workspace

from rockglacier.conventions import MAP

REGION_PRODUCTS = ["grid.json", "dem.tif", "terrain.zarr", "velocity.tif", "summary.json"]
REGION_PRODUCTS += ["CITATIONS.bib"]
TRACK_PRODUCTS = [
    *("unwrapped.zarr", "geometry.zarr", "pairs.csv", "rejected.csv", "network.csv"),
    *("network.json", "reference.json", "cycles.zarr", "inverted.zarr", "displacement.zarr"),
    *("corrections.json", "velocity.tif", "line_of_sight.tif", "truth.zarr"),
]
FIGURES = ["t1_network", "t1_closure", "t1_velocity", "t1_series", "t1_corrections", "downslope"]
AFTER_INVERSION = {
    *("inverting the network", "corrections", "velocity", "figures of the velocity"),
    *("downslope velocity", "figure of the downslope velocity", "key figures"),
}


pytestmark = pytest.mark.filterwarnings("ignore:Object at .snakemake_timestamp")


def test_every_product_is_there_with_a_log_and_a_benchmark(finished):
    for region in ("alpha", "beta"):
        folder = finished.results / region
        wanted = [folder / name for name in REGION_PRODUCTS]
        wanted += [folder / "t1" / name for name in TRACK_PRODUCTS]
        wanted += [folder / "figures" / f"{name}.png" for name in FIGURES]
        assert [path for path in wanted if not path.exists()] == []
        logs = {path.stem for path in folder.rglob("logs/*.log")}
        times = {path.stem for path in folder.rglob("benchmarks/*.tsv")}
        assert logs == times and {"invert_network", "define_grid", "summarise"} <= logs
        assert list(folder.rglob(".partial.*")) == []


def test_a_product_says_what_made_it(finished):
    with rasterio.open(finished.results / "alpha" / "t1" / "velocity.tif") as source:
        tags, bands = source.tags(), source.descriptions
        units = dict(zip(bands, source.units, strict=True))
    assert tags["made_by"].startswith("rockglacier ")
    assert "terms" in json.loads(tags["parameters"])
    assert any("displacement.zarr" in path for path in json.loads(tags["sources"]))
    assert bands[:2] == ("velocity", "velocity_error") and units["velocity"] == "m/yr"


def test_the_velocity_is_the_simulated_one(finished):
    for region in ("alpha", "beta"):
        folder = finished.results / region / "t1"
        truth = xr.open_zarr(folder / "truth.zarr", consolidated=False)["velocity"].values
        with rasterio.open(folder / "velocity.tif") as source:
            velocity, error = source.read([1, 2])
        off = velocity - truth
        off -= np.nanmedian(off)
        assert np.isfinite(off).mean() > 0.9, "hardly anything was observed"
        assert np.sqrt(np.nanmean(off**2)) < 0.006
        assert np.nanmean(np.abs(off) < 1.96 * error) > 0.85
        assert velocity.shape == tuple(
            xr.open_zarr(folder / "geometry.zarr", consolidated=False).sizes[d] for d in MAP
        )


def test_the_report_holds_the_figures(finished):
    report = finished.folder / "report.html"
    finished.run("--report", str(report))
    text = report.read_text()
    assert "velocity" in text and len(text) > 100_000


def test_files_are_few(finished):
    count = sum(len(files) for _, _, files in os.walk(finished.results / "alpha"))
    assert count < 2000  # 115 pairs; 10 000 for 300 is the limit


@pytest.fixture
def alpha(finished):
    """The workspace, whose region file is put back after the test."""
    path = finished.folder / "alpha.yaml"
    text = path.read_text()
    yield finished
    path.write_text(text)


def edit(workspace, addition):
    path = workspace.folder / "alpha.yaml"
    path.write_text(path.read_text() + addition)


def test_nothing_reruns_by_itself(finished):
    assert finished.planned() == {}


def test_a_comment_reruns_nothing(alpha):
    edit(alpha, "# a comment\n")
    assert alpha.planned() == {}


def test_a_name_reruns_what_shows_it(alpha):
    path = alpha.folder / "alpha.yaml"
    path.write_text(path.read_text().replace("name: Alpha", "name: Alpha Prime"))
    planned = alpha.planned()
    assert set(planned) == {"alpha"}
    assert "inverting the network" not in planned["alpha"]
    assert "key figures" in planned["alpha"]


def test_one_region_reruns_alone(alpha):
    path = alpha.folder / "alpha.yaml"
    path.write_text(path.read_text().replace("seed: 1", "seed: 3"))
    planned = alpha.planned()
    assert set(planned) == {"alpha"}
    assert "simulating a stack" in planned["alpha"]


def test_an_inversion_parameter_reruns_the_inversion_and_what_follows(alpha):
    edit(alpha, "inversion: {min_pairs: 4}\n")
    planned = alpha.planned()
    assert set(planned) == {"alpha"}
    assert set(planned["alpha"]) == AFTER_INVERSION


def test_a_default_reruns_every_region_that_inherits_it(alpha):
    edit(alpha, "inversion: {min_pairs: 3}\n")  # its own, equal to the default
    overlay = alpha.folder / "overlay.yaml.txt"
    overlay.write_text("defaults: {inversion: {min_pairs: 5}}\n")
    planned = alpha.planned("--configfile", str(overlay))
    assert set(planned) == {"beta"}
    assert set(planned["beta"]) == AFTER_INVERSION


def test_a_downslope_parameter_leaves_the_tracks_alone(alpha):
    edit(alpha, "downslope: {min_sensitivity: 0.3}\n")
    planned = set(alpha.planned()["alpha"])
    assert planned == {"downslope velocity", "figure of the downslope velocity", "key figures"}


def test_a_failed_job_leaves_nothing_and_says_why(workspace, finished):
    text = (workspace.folder / "alpha.yaml").read_text()
    workspace.write("gamma", text + "corrections: {dem_error: true}\n")
    folder = workspace.results / "gamma" / "t1"
    said = workspace.run(str(folder / "displacement.zarr"), regions="gamma", check=False)
    assert (folder / "inverted.zarr").exists()
    assert not (folder / "displacement.zarr").exists()
    assert not (folder / "corrections.json").exists()
    assert list(workspace.results.rglob(".partial.*")) == []
    log = (folder / "logs" / "correct_displacement.log").read_text()
    assert "dem_error" in log and "Traceback" not in log
    assert "set corrections.dem_error to false" in said


def test_a_killed_job_leaves_no_product_and_the_next_run_starts_it_anew(workspace):
    workspace.write("epsilon", REGION.format(name="Epsilon", seed=1).replace("48", "240"))
    track = workspace.results / "epsilon" / "t1"
    until = ("--until", "simulate_stack")
    with workspace.start(*until, regions="epsilon") as running:
        try:
            wait_for(lambda: (track / ".partial.unwrapped.zarr" / "phase" / "c").exists())
            for process in psutil.Process(running.pid).children(recursive=True):
                if any("simulate_stack.py" in word for word in process.cmdline()):
                    process.kill()
            running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode != 0
    assert not (track / "unwrapped.zarr").exists()
    workspace.run(*until, regions="epsilon")
    stack = xr.open_zarr(track / "unwrapped.zarr", consolidated=False)
    assert stack["phase"].notnull().all() and list(track.rglob(".partial.*")) == []


def wait_for(condition, seconds=60.0):
    """Return once ``condition`` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def test_the_smallest_region_file_is_enough(tmp_path, grid):
    """The contract of the README: name, source and path, from outside the checkout."""
    inputs = write_mintpy(tmp_path / "path" / "to" / "inputs", Scene(grid))
    etna = Workspace(tmp_path)
    etna.write("etna", SMALLEST)
    velocity = etna.results / "etna" / "t1" / "velocity.tif"
    etna.run(str(velocity), regions="etna")
    assert inputs.name == "ifgramStack.h5"
    with rasterio.open(velocity) as source:
        assert source.crs.to_string() == grid.crs and source.shape == grid.shape
        velocity = source.read(1)
    days = 12.0 * (len(Scene(grid).dates) - 1)
    moved = Scene(grid).displacement(3)[2:-2, 2:-2] / days * 365.25
    off = velocity[2:-2, 2:-2] - moved
    assert np.nanpercentile(np.abs(off - np.nanmedian(off)), 90) < 0.05
    assert np.corrcoef(velocity[2:-2, 2:-2].ravel(), moved.ravel())[0, 1] > 0.5


SMALLEST = """\
name: Etna                # paths are relative to this file
tracks:
  t1:
    source: mintpy
    path: path/to/inputs/ifgramStack.h5
"""


def test_a_wrong_setting_ends_the_run_before_it_starts(workspace):
    text = (workspace.folder / "alpha.yaml").read_text()
    workspace.write("delta", text + "inversion: {nrom: l1}\n")
    said = workspace.run(regions="delta", check=False)
    assert "inversion.nrom is unknown; did you mean 'norm'?" in said
    assert "delta.yaml" in said
