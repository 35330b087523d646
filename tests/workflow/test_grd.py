"""A region of GRD products and snow: backscatter, snow, key figures, and no velocity."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from scenes import GRID, add_cross, copy_product
from shapely import box
from test_optical_landsat import CLEAR, CLOUD
from test_optical_reflectance import landsat_scene
from workspace import Workspace

from rockglacier import factors, io
from rockglacier.readers.stack import lonlat_bounds

pytestmark = pytest.mark.filterwarnings("ignore:Object at .snakemake_timestamp")

REGION = """\
name: Gamma
area: {area}
dem: {dem}
dem_datum: ellipsoid
glaciers: glaciers.gpkg
factors: true
optical:
  l2: {{source: landsat, path: level2}}
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
    for day in ("20200705", "20200721"):
        snowy(folder, day)
    (folder / "level2" / "broken_MTL.txt").write_text("GROUP = LANDSAT_METADATA_FILE\n")
    ice = box(GRID.west, GRID.north - 400.0, GRID.west + 400.0, GRID.north)
    gpd.GeoDataFrame(geometry=[ice], crs=GRID.crs).to_file(folder / "glaciers.gpkg")
    made.run(regions="gamma")
    return made


def snowy(folder, day):
    """A scene of surface reflectance over the region, its northern rows in cloud."""
    (folder / "level2").mkdir(exist_ok=True)
    quality = np.full((80, 80), CLEAR)
    quality[:20] |= CLOUD
    place = GRID.west - 300.0, GRID.north + 300.0
    landsat_scene(folder / "level2", quality, day=day, place=place)


def test_snow_of_each_date_and_its_count(grd_run):
    region = grd_run.results / "gamma"
    rejected = pd.read_csv(region / "snow" / "l2" / "rejected_scenes.csv")
    assert list(rejected["reason"]) == ["metadata cannot be used"]
    index = io.read_raster(region / "snow" / "l2" / "20200705.tif")["snow_index"]
    seen = index.notnull().values
    assert not seen[:3].any() and seen[20:].mean() > 0.5  # some lies in shadow
    values = index.values[seen]
    assert (
        np.isclose(values, 0.818, atol=0.01) | np.isclose(values, -1 / 3, atol=0.01)
    ).mean() > 0.9
    factors = io.open_dataset(region / "snow.zarr")
    assert float(factors["count"].max()) == 2.0 and factors["melt_mean"].isnull().all()
    assert all(factors[name].isnull().all() for name in ("trend_q", "melt_trend_q"))
    assert (region / "figures" / "snow.png").exists()


def test_factors_are_those_of_all_products(grd_run):
    region = grd_run.results / "gamma"
    found = io.open_dataset(region / "factors.zarr")
    assert set(factors.of_techniques(found)) == {"terrain", "outlines", "backscatter", "snow"}
    snow = io.open_dataset(region / "snow.zarr")["melt_mean"]
    np.testing.assert_array_equal(found["snow_melt_mean"], snow)
    dem = io.read_raster(region / "dem.tif")["elevation"]
    np.testing.assert_allclose(found["elevation"], dem)
    assert (
        float(found["glacier_distance"].min()) == 0.0 < found["glacier_share"].attrs["valid_share"]
    )
    assert (region / "figures" / "factors.png").exists()


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
        "factors",
        "figure of the backscatter",
        "key figures",
        "page of factors",
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


def test_another_scene_makes_its_own_date_and_the_factors(grd_run):
    snowy(grd_run.folder, "20200806")
    region = grd_run.results / "gamma"
    grd_run.run(str(region / "snow" / "l2" / "scenes.csv"), regions="gamma")
    planned = grd_run.planned(str(region / "snow.zarr"), regions="gamma")["gamma"]
    assert sorted(planned) == ["snow index of 20200806", "snow through time"]
