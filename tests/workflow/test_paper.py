"""`snakemake paper_figures`: figures, table and manifest of given products, and what it refuses."""

import json
import os
import re

import pandas as pd
import pytest
from test_plates import ALONE, GRID, SIDE, Valley
from workspace import Workspace

from rockglacier import io

pytestmark = pytest.mark.filterwarnings("ignore:Object at .snakemake_timestamp")

REGION = """\
name: Alpha valley
dem: dem.tif
labels: {path: reference.gpkg, column: kind, name: name, kinds: {active: ["1"], clean: ["4"]}}
model: alps-1
tracks:
  t1: {source: simulated, scenario: full, height: 48, width: 40, seed: 1}
"""
MODELS = "models:\n  alps-1: {regions: [alpha]}\n"
# Products are given: what makes them is of no concern here.
RULES = ("plot_inventory", "plot_examples", "tabulate_accuracy", "freeze_manifest", "paper_figures")


class Paper(Workspace):
    """A workspace whose runs are of RULES alone."""

    def start(self, *options, regions):
        models = ("--configfile", str(self.folder / "models.yaml.txt"))
        # What takes many values must not stand before the target.
        allowed = ("--allowed-rules", *RULES)
        return super().start("paper_figures", *options, *models, *allowed, regions=regions)


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """A region with given products, run to its figures."""
    made = Paper(tmp_path_factory.mktemp("paper"))
    made.write("alpha", REGION)
    (made.folder / "models.yaml.txt").write_text(MODELS)
    valley, region = Valley(), made.results / "alpha"
    GRID.save(region / "grid.json")
    for path in (made.folder / "dem.tif", region / "dem.tif"):
        io.write_raster(valley.height.to_dataset(name="elevation"), path, grid=GRID)
    io.write_raster(valley.velocity, region / "velocity.tif", grid=GRID)
    io.write_raster(
        valley.probability.to_dataset(name="probability"), region / "probability.tif", grid=GRID
    )
    io.write_raster(valley.clean.to_dataset(name="p_clean"), region / "classes.tif", grid=GRID)
    io.write_dataset(valley.factors, region / "factors.zarr", grid=GRID)
    valley.objects.to_file(region / "inventory.gpkg", layer="GO")
    for path in (made.folder / "reference.gpkg", region / "labels.gpkg"):
        valley.labels.to_file(path)
    document = {"block_m": 2000.0, "sides": {"fusion": SIDE, "snow": ALONE}}
    (region / "evaluation.json").write_text(json.dumps(document))
    pairs = {"reference": ["2020-07-07"], "secondary": ["2020-07-19"], "path": ["simulated"]}
    (region / "t1").mkdir()
    pd.DataFrame(pairs).to_csv(region / "t1" / "pairs.csv", index=False)
    (made.results / "models").mkdir()
    (made.results / "models" / "alps-1.skops").write_text("a model")
    made.run(regions="alpha")
    return made


def test_figures_and_table_are_those_of_the_products(paper):
    folder = paper.results / "alpha" / "paper"
    for name in ("figure_1", "figure_2"):
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert b"Alpha valley" in (folder / f"{name}.png").read_bytes()
    told = pd.read_csv(paper.results / "paper" / "accuracy.csv")
    assert list(told["region"]) == ["Alpha valley", "Alpha valley", "published"]
    assert list(told["active"].fillna(0)) == [4, 0, 213]
    assert told["overall_accuracy_low"][0] == SIDE["pixels"]["overall_accuracy_95"][0]
    assert "Alpha valley & fusion & 8 & 4" in (paper.results / "paper/accuracy.tex").read_text()


def test_the_manifest_tells_what_they_rest_on(paper):
    told = json.loads((paper.results / "paper" / "manifest.json").read_text())
    assert set(told["files"]["alpha"]) == {"dem.tif", "reference.gpkg"}
    assert told["scenes"] == {
        "alpha": {"t1": [{"reference": "2020-07-07", "secondary": "2020-07-19", "id": "simulated"}]}
    }
    assert told["configuration"]["models"]["alps-1"]["folds"] == 5  # as resolved
    assert told["configuration"]["regions"]["alpha"]["inversion"]["norm"] == "l2"
    assert told["models"]["alps-1"]["bytes"] == len("a model")


def test_a_region_that_trains_no_model_has_no_paper(paper):
    paper.write("beta", REGION.replace("model: alps-1\n", ""))
    said = paper.run("--dry-run", regions="beta", check=False)
    assert "the figures of a paper need a region with labels" in said


def test_a_run_does_not_judge_itself_by_what_it_writes(paper):
    overlay, made = paper.folder / "models.yaml.txt", paper.results / "paper" / "manifest.json"
    overlay.write_text(f"{MODELS}manifest: {made}\n")
    said = paper.run("--dry-run", regions="alpha", check=False)
    overlay.write_text(MODELS)
    assert "lies among the results" in said


def test_a_frozen_manifest_is_kept_to(paper):
    made, kept = paper.results / "paper" / "manifest.json", paper.folder / "frozen.json"
    kept.write_text(made.read_text())
    (paper.folder / "models.yaml.txt").write_text(f"{MODELS}manifest: {kept}\n")
    # The same run: the manifest alone is made anew, which compares the scenes too.
    said = paper.run(regions="alpha")
    assert set(re.findall(r"Job \d+: (.+)", said)) == {
        "manifest of scenes, orbits, checksums, locks and configuration",
        "the figures, the table and the manifest are there",
    }
    assert json.loads(made.read_text())["files"] == json.loads(kept.read_text())["files"]
    pairs = paper.results / "alpha" / "t1" / "pairs.csv"
    pairs.write_text(pairs.read_text().replace("2020-07-19", "2020-07-31"))
    said = paper.run(regions="alpha", check=False)
    assert "scenes: alpha: t1: 2020-07-07 2020-07-31 simulated is used here, but not" in said
    paper.write("alpha", REGION.replace("seed: 1", "seed: 2"))
    said = paper.run("--dry-run", regions="alpha", check=False)
    assert f"this run is not that of the manifest {kept}" in said
    assert "configuration.regions.alpha.tracks.t1.seed is 2, frozen 1" in said
    paper.write("alpha", REGION)
    dem = paper.folder / "dem.tif"
    status = dem.stat()
    dem.write_bytes(dem.read_bytes() + b"?")
    os.utime(dem, ns=(status.st_atime_ns, status.st_mtime_ns))  # which Snakemake would not see
    said = paper.run("--dry-run", regions="alpha", check=False)
    assert "files: alpha: dem.tif has other content" in said and "seed" not in said
