"""A region of GRD products alone: backscatter, figures and key figures, and no velocity."""

import json

import numpy as np
import pytest
from scenes import GRID, add_cross, copy_product
from workspace import Workspace

from rockglacier import io
from rockglacier.readers.stack import lonlat_bounds

pytestmark = pytest.mark.filterwarnings("ignore:Object at .snakemake_timestamp")

REGION = """\
name: Gamma
area: {area}
dem: {dem}
dem_datum: ellipsoid
tracks:
  t1: {{source: grd, path: scenes, looks: [2, 4], cross_polarisation: true}}
"""


@pytest.fixture(scope="module")
def grd_run(noisy_scenes, tmp_path_factory):
    """Two dates, of which the first holds VH too, run through."""
    folder = tmp_path_factory.mktemp("grd")
    made = Workspace(folder)
    west, south, east, north = lonlat_bounds(GRID)
    area = [round(edge, 4) for edge in (west + 0.002, south + 0.002, east - 0.002, north - 0.002)]
    made.write("gamma", REGION.format(area=area, dem=noisy_scenes.folder / "dem.tif"))
    for path in (*noisy_scenes.ground_range[:4], *noisy_scenes.orbits):
        copy_product(path, folder / "scenes")
    for path in noisy_scenes.ground_range[:2]:
        add_cross(folder / "scenes" / path.name)
    made.run(regions="gamma")
    return made


def test_every_product_is_there_and_none_of_velocity(grd_run):
    folder = grd_run.results / "gamma"
    track = [
        *("scenes.csv", "rejected_scenes.csv", "layout.zarr", "geometry.zarr", "backscatter.zarr"),
        *("line_of_sight.tif", "backscatter/20200604.tif", "backscatter/20200616.tif"),
        *("backscatter_cross/20200604.tif", "backscatter_cross.zarr"),
    ]
    wanted = [folder / "t1" / name for name in track]
    wanted += [folder / name for name in ("backscatter.zarr", "dem.tif", "summary.json")]
    wanted += [folder / "figures" / f"{name}.png" for name in ("backscatter", "t1_geometry")]
    assert [path for path in wanted if not path.exists()] == []
    assert list(folder.rglob("*velocity*")) == [] and list(folder.rglob("network*")) == []
    assert not (folder / "t1" / "backscatter_cross" / "20200616.tif").exists()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["tracks"]["t1"]["backscatter_dates"] == 2
    assert summary["tracks"]["t1"]["rejected"] == 0
    assert summary["downslope"] == {"observed_share": 0.0}


def test_backscatter_is_the_one_put_in(grd_run, noisy_scenes):
    track = grd_run.results / "gamma" / "t1"
    for k, date in enumerate(("20200604", "20200616")):
        gamma = io.read_raster(track / "backscatter" / f"{date}.tif")["gamma_nought"]
        truth = noisy_scenes.truth["gamma_nought"].isel(date=k).sel(x=gamma.x, y=gamma.y)
        ratio = (gamma / truth).values[2:-2, 2:-2]
        assert np.isfinite(ratio).mean() > 0.5
        assert abs(10.0 * np.log10(np.nanmean(ratio))) < 0.3
    seen = io.open_dataset(track / "geometry.zarr")["observable"].values > 0
    assert (np.isfinite(gamma.values) == seen).all()
    cross = io.read_raster(track / "backscatter_cross" / "20200604.tif")["gamma_nought"]
    plain = io.read_raster(track / "backscatter" / "20200604.tif")["gamma_nought"]
    # An amplitude that counts twice is a quarter of the power.
    np.testing.assert_allclose(cross.values, plain.values / 4.0, rtol=1e-3, atol=1e-5)


def test_another_date_makes_itself_and_what_sums_up(grd_run, noisy_scenes):
    assert grd_run.planned(regions="gamma") == {}
    for path in noisy_scenes.ground_range[4:]:
        copy_product(path, grd_run.folder / "scenes")
    scenes = grd_run.results / "gamma" / "t1" / "scenes.csv"
    grd_run.run(str(scenes), regions="gamma")
    planned = grd_run.planned(regions="gamma")["gamma"]
    assert sorted(planned) == [
        "backscatter of 20200628",
        "backscatter of all tracks",
        "backscatter through time",
        "figure of the backscatter",
        "key figures",
    ]


def test_a_mixed_region_takes_its_velocity_from_the_other_track(grd_run):
    path = grd_run.folder / "gamma.yaml"
    text = path.read_text()
    other = "  t2: {source: simulated_scenes, dates: 3, looks: [2, 4]}\n"
    grd_run.write("delta", text.replace("Gamma", "Delta") + other)
    planned = grd_run.planned(regions="delta")["delta"]
    for job in ("looking at the products", "looking at the scenes", "downslope velocity"):
        assert planned.count(job) == 1
    assert planned.count("inverting the network") == planned.count("figures of the velocity") == 1
    assert planned.count("figure of the geometry") == 2
    assert planned.count("backscatter through time") == 2
