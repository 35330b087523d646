"""A region of optical scenes alone: from the provider's files to the velocity of rock glaciers."""

import json
import os
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.ndimage import distance_transform_edt
from workspace import Workspace

from rockglacier import io
from rockglacier.conventions import Reason
from rockglacier.simulation_optical import simulate_landsat

pytestmark = pytest.mark.filterwarnings("ignore:Object at .snakemake_timestamp")

REGION = """\
name: Rock glaciers
dem: scenes/dem.tif
stable_ground: scenes/stable.gpkg
images:
  landsat: {source: landsat, path: scenes}
offsets: {chips: [16, 24], max_velocity_m_per_year: 4}
"""
DATES = ["2014-08-04", "2017-08-10", "2020-08-02", "2022-08-07"]
LATER = "2023-08-11"


@pytest.fixture(scope="module")
def offsets_run(tmp_path_factory):
    """Four dates, of which one cannot be read, run through."""
    folder = tmp_path_factory.mktemp("offsets")
    made = Workspace(folder)
    made.write("rock", REGION)
    made.truth = simulate_landsat(
        folder / "scenes", size=190, dates=[*DATES, LATER], rates=(1.5, 2.5), seed=5
    )
    (later,) = (folder / "scenes").glob("*20230811*")
    later.rename(folder / "later")
    made.run(regions="rock")
    return made


def test_every_product_is_there(offsets_run):
    region = offsets_run.results / "rock"
    names = [
        *("scenes.csv", "rejected_scenes.csv", "planned.csv", "grid.json", "velocity.tif"),
        *(
            "rejected_pairs.csv",
            "displacement.zarr",
            "pairs.csv",
            "rejected.csv",
            "20140804_20170810.zarr",
        ),
    ]
    wanted = [region / "offsets" / "landsat" / name for name in names]
    wanted += [region / name for name in ("velocity.tif", "dem.tif", "grid.json", "summary.json")]
    wanted += [region / "figures" / f"{name}.png" for name in ("offsets_landsat", "downslope")]
    assert [path for path in wanted if not path.exists()] == []
    logs = {path.stem for path in region.rglob("logs/*.log")}
    assert logs == {path.stem for path in region.rglob("benchmarks/*.tsv")}
    pairs = pd.read_csv(region / "offsets" / "landsat" / "pairs.csv")
    assert len(pairs) == 6 and (pairs["east_stable_nmad_m"] < 3.0).all()
    figures = json.loads((region / "summary.json").read_text())["offsets"]["landsat"]
    assert figures["observed_share"] > 0.3 and figures["detection_limit_m_yr"] < 1.0


def test_the_velocity_is_the_simulated_one(offsets_run):
    rates = io.read_raster(offsets_run.results / "rock" / "offsets" / "landsat" / "velocity.tif")
    truth = offsets_run.truth.interp(y=rates.y, x=rates.x)
    # Well within a rock glacier, where a chip sees little else.
    core = offsets_run.truth["tongue"].copy(
        data=distance_transform_edt(offsets_run.truth["tongue"].values > 0)
    )
    inside = core.interp(y=rates.y, x=rates.x) >= 3.0
    stable = rates["stable_ground"] > 0
    for name in ("east", "north"):
        off = rates[name] - truth[name]
        z = (off / rates[f"{name}_error"]).where(stable)
        assert 0.9 < float((abs(z) < 1.96).where(z.notnull()).mean()) < 0.99
    speed = np.hypot(rates["east"], rates["north"])
    known = np.hypot(truth["east"], truth["north"])
    moving = inside & (known > 1.0) & speed.notnull()
    assert int(moving.sum()) > 10
    assert 0.85 < float((speed / known).where(moving).median()) < 1.1
    still = (speed > rates["detection_limit"]).where(stable & speed.notnull())
    assert float(still.mean()) < 0.08


def test_what_offsets_cannot_detect_is_not_observed(offsets_run):
    velocity = io.read_raster(offsets_run.results / "rock" / "velocity.tif")
    hidden = velocity["reason"] == Reason.UNDETECTED
    assert float(hidden.mean()) > 0.3
    assert velocity["velocity"].where(hidden).isnull().all()
    assert set(np.unique(velocity["velocity_source"])) <= {0.0, 2.0}


def test_nothing_reruns_by_itself(offsets_run):
    assert offsets_run.planned(regions="rock") == {}


def test_what_a_setting_reruns(offsets_run):
    path = offsets_run.folder / "rock.yaml"
    text = path.read_text()
    path.write_text(text.replace("chips:", "bias: shift, chips:"))
    planned = offsets_run.planned(regions="rock")["rock"]
    assert "velocity of the offsets" in planned
    assert not any(message.startswith("offsets 2") for message in planned)
    path.write_text(text.replace("[16, 24]", "[12, 24]"))
    planned = offsets_run.planned(regions="rock")["rock"]
    assert sum(message.startswith("offsets 2") for message in planned) == 6
    path.write_text(text)


def test_pairs_that_outgrow_the_images_stop_no_other(offsets_run):
    offsets_run.write(
        "fast", REGION.replace("max_velocity_m_per_year: 4", "max_velocity_m_per_year: 200")
    )
    offsets_run.run("--until", "plan_offsets", regions="fast")
    folder = offsets_run.results / "fast" / "offsets" / "landsat"
    planned, rejected = (pd.read_csv(folder / f"{n}.csv") for n in ("planned", "rejected_pairs"))
    assert len(planned) == 5 and list(rejected["pair"]) == ["20140804_20220807"]
    assert rejected["needed"].str.contains("a search of 109 on either side").all()
    assert "1 of 6 pairs are left out" in (folder / "logs" / "plan_offsets.log").read_text()
    assert list(pd.read_csv(folder / "scenes.csv")["pair_count"]) == [2, 3, 3, 2]


def test_a_scene_that_changed_is_matched_again(offsets_run):
    (quality,) = (offsets_run.folder / "scenes").glob("*20170810*/*QA_PIXEL.TIF")
    before = quality.stat()
    os.utime(quality, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))
    # The scenes are looked at first; what they show then decides.
    said = offsets_run.run("--until", "plan_offsets", regions="rock")
    assert "looking at the scenes" in said
    planned = offsets_run.planned(regions="rock")["rock"]
    assert sum(message.startswith("offsets 2") for message in planned) == 3
    os.utime(quality, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_another_scene_matches_its_own_pairs_and_no_others(offsets_run):
    (offsets_run.folder / "later").rename(offsets_run.folder / "scenes" / "later")
    pair = offsets_run.results / "rock" / "offsets" / "landsat" / "20140804_20170810.zarr"
    before = pair.stat().st_mtime_ns
    said = offsets_run.run(str(pair.with_name("velocity.tif")), regions="rock")
    assert len(re.findall(r"Job \d+: rock/landsat: offsets 20", said)) == 4
    assert pair.stat().st_mtime_ns == before
    dates = io.open_dataset(pair.with_name("displacement.zarr"), rows=50)["date"].values
    assert len(dates) == 5
    assert isinstance(dates, np.ndarray) and xr.DataArray(dates).max() > np.datetime64(DATES[-1])
