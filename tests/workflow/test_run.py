"""A run makes every product, each says what made it, and failures leave nothing behind."""

import json
import os

import numpy as np
import pytest
import rasterio
import xarray as xr

from rockglacier.conventions import MAP

REGION_PRODUCTS = ["grid.json", "dem.tif", "terrain.zarr", "velocity.tif", "summary.json"]
TRACK_PRODUCTS = [
    *("unwrapped.zarr", "geometry.zarr", "pairs.csv", "rejected.csv", "network.csv"),
    *("network.json", "reference.json", "cycles.zarr", "inverted.zarr", "displacement.zarr"),
    *("corrections.json", "velocity.tif", "line_of_sight.tif", "truth.zarr"),
]
FIGURES = ["t1_network", "t1_closure", "t1_velocity", "t1_series", "t1_corrections", "downslope"]
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
        assert list(folder.rglob(".*.partial.*")) == []


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


def test_a_failed_job_leaves_nothing_and_says_why(workspace, finished):
    text = (workspace.folder / "alpha.yaml").read_text()
    workspace.write("gamma", text + "corrections: {dem_error: true}\n")
    said = workspace.run(regions="gamma", check=False)
    folder = workspace.results / "gamma" / "t1"
    assert (folder / "inverted.zarr").exists()
    assert not (folder / "displacement.zarr").exists()
    assert not (folder / "corrections.json").exists()
    assert list(workspace.results.rglob(".*.partial.*")) == []
    log = (folder / "logs" / "correct_displacement.log").read_text()
    assert "dem_error" in log and "Traceback" not in log
    assert "set corrections.dem_error to false" in said


def test_a_wrong_setting_ends_the_run_before_it_starts(workspace):
    text = (workspace.folder / "alpha.yaml").read_text()
    workspace.write("delta", text + "inversion: {nrom: l1}\n")
    said = workspace.run(regions="delta", check=False)
    assert "inversion.nrom is unknown; did you mean 'norm'?" in said
    assert "delta.yaml" in said
