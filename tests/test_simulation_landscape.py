"""The simulated landscape: one truth, which each sensor shows in its own way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rasterio.warp import transform_bounds
from scipy.ndimage import binary_dilation, zoom

from rockglacier import io
from rockglacier import simulation_landscape as landscapes
from rockglacier.conventions import SENTINEL1_WAVELENGTH_M
from rockglacier.errors import ConfigurationError, SceneError
from rockglacier.grid import Grid
from rockglacier.optical import landsat
from rockglacier.sentinel1 import borrowed, engine, geocoding
from rockglacier.sentinel1.interferogram import interfere
from rockglacier.sentinel1.scenes import check_scenes
from rockglacier.sentinel1.screening import find_scenes
from rockglacier.simulation import TERRAIN, fractal_relief, stream
from rockglacier.simulation_calendar import optical_dates, radar_dates, sharp_dates
from rockglacier.simulation_landscape import HABITS, Cover, Landscape
from rockglacier.simulation_landscape_optical import photograph, photograph_sharply
from rockglacier.simulation_landscape_radar import image_track
from rockglacier.simulation_landscape_scenes import record_scenes

GRID = Grid("EPSG:32632", 640_000.0, 5_190_000.0, 40.0, 40.0, 130, 120)
FINE = GRID.subdivided(landscapes.FINER, landscapes.FINER)
FEW = {
    cover: replace(habit, count=3, least=1, slope_deg=(3.0, 40.0), length_m=(420.0, 0.1))
    for cover, habit in HABITS.items()
}
DATES = ["2020-07-08", "2020-07-20"]


@pytest.fixture(scope="module")
def landscape() -> Landscape:
    heights = fractal_relief(FINE, stream(4, TERRAIN)).values
    return landscapes.make(GRID, heights, seed=4, habits=FEW)


def test_objects_lie_where_the_ground_says(landscape: Landscape) -> None:
    number, cover = (landscape.ground[n].values for n in ("number", "cover"))
    assert set(landscape.objects["cover"]) == {int(c) for c in HABITS}
    for k, row in landscape.objects.iterrows():
        here = number == k + 1
        assert (cover[here] == row["cover"]).all()
        assert row.geometry.area == pytest.approx(here.sum() * 100.0, rel=0.1)


def test_they_move_down_the_slope_or_rest(landscape: Landscape) -> None:
    ground = landscape.ground
    speeds = landscape.median_speeds()
    for k, row in landscape.objects.iterrows():
        here = ground["number"].values == k + 1
        assert speeds[k] == 0.0 if row["rate"] == 0.0 else 0.3 < speeds[k] / row["rate"] < 1.3
        if row["activity"] == "active":
            assert speeds[k] > 0.05 and (ground["up"].values[here] <= 0.0).mean() > 0.9
        if row["activity"] == "relict":
            assert row["rate"] < 0.01
    still = ground["number"].values == 0
    assert not ground["east"].values[still & (ground["cover"].values == Cover.MEADOW)].any()


def test_form_stands_above_the_relief(landscape: Landscape) -> None:
    bare = fractal_relief(FINE, stream(4, TERRAIN)).values
    added = landscape.ground["height"].values - bare
    cover = landscape.ground["cover"].values
    assert np.median(added[cover == Cover.ACTIVE]) > 5.0
    assert np.median(added[cover == Cover.DEBRIS_COVERED]) < -1.0
    assert np.abs(added[cover == Cover.SNOWBED]).max() < 30.0


def test_a_year_of_motion_is_a_year_with_its_seasons(landscape: Landscape) -> None:
    origin = np.datetime64("2019-01-09")
    dates = origin + np.arange(0, 731, 5)
    course = landscape.course(dates, origin)
    steady = landscape.objects["acceleration"].to_numpy() == 0.0
    year = np.interp(365.25, (dates - origin).astype(int), course[:, 1:][:, steady][:, 0])
    assert year == pytest.approx(1.0, abs=0.01)
    assert not course[0].any() and not course[:, 0].any()
    assert (np.diff(course[:, 1:], axis=0) > 0.0).all()  # never backward


def test_snow_stays_longer_above(landscape: Landscape) -> None:
    heights = landscape.ground["height"].values
    low, high = (heights < np.quantile(heights, 0.1)), (heights > np.quantile(heights, 0.9))
    winter, june = (landscape.snow(np.datetime64(f"2019-{d}")) for d in ("02-01", "06-15"))
    assert winter.min() > 0.9
    assert june[high].mean() > june[low].mean() + 0.3
    assert landscape.snow(np.datetime64("2019-08-25"))[low].mean() < 0.05


def test_too_little_room_is_said(landscape: Landscape) -> None:
    crowd = {Cover.ACTIVE: replace(FEW[Cover.ACTIVE], count=20, least=20, length_m=(1500.0, 0.1))}
    with pytest.raises(ConfigurationError, match=r"place for \d+ of 20 objects of active"):
        landscapes.make(GRID, landscape.ground["height"].values, habits=crowd)
    with pytest.raises(ConfigurationError, match="pixels of known height"):
        landscapes.make(GRID, np.full(FINE.shape, np.nan))


def test_it_is_kept_whole(landscape: Landscape, tmp_path: Path) -> None:
    paths = tmp_path / "ground.zarr", tmp_path / "objects.gpkg"
    landscapes.save(landscape, *paths, provenance={"made_by": "test"})
    again = landscapes.load(*paths)
    assert again.grid == landscape.grid and again.seed == landscape.seed
    xr.testing.assert_equal(
        again.ground.drop_vars("spatial_ref", errors="ignore"), landscape.ground
    )
    np.testing.assert_allclose(again.objects.area, landscape.objects.area)


@pytest.fixture(scope="module")
def track(landscape: Landscape, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("track")
    image_track(landscape, GRID, folder, direction="ascending", dates=DATES)
    return folder


def test_radar_sees_motion_and_backscatter(landscape: Landscape, track: Path) -> None:
    used, rejected = borrowed.look_at(track, GRID, (4, 4), period=None)
    assert len(used) == 2 and not rejected
    geometry = borrowed.read_geometry(track, GRID)
    slc = [
        io.open_dataset(borrowed.image_of(track, d.replace("-", "")), rows=480)["slc"]
        for d in DATES
    ]
    product, coherence = engine._interfered(*slc, (4, 4))
    days = np.array(DATES, "datetime64[D]")
    moved = landscape.course(days, days[0])[1][landscape.ground["number"].values]
    toward = sum(
        float(geometry[n].mean()) * landscape.ground[n].values for n in ("east", "north", "up")
    )
    phase = (-4.0 * np.pi / SENTINEL1_WAVELENGTH_M * moved * toward).reshape(120, 4, 130, 4)
    expected = np.exp(1j * phase).mean(axis=(1, 3))
    # Away from the atmosphere's long waves: against ground around.
    number = landscape.ground["number"].values[2::4, 2::4]
    active = landscape.objects.index[landscape.objects["activity"] == "active"]
    for k in active:
        here = (number == k + 1) & (coherence > 0.4)
        if here.sum() < 20:
            continue
        off = np.angle((product[here] * expected[here].conj()).sum())
        rows, columns = np.nonzero(number == k + 1)
        around = np.s_[rows.min() - 3 : rows.max() + 4, columns.min() - 3 : columns.max() + 4]
        still = product[around][(number[around] == 0) & (coherence[around] > 0.5)]
        assert abs(np.angle(np.exp(1j * (off - np.angle(still.sum()))))) < 0.5
    bright = engine.flattened(
        slc[0], GRID, io.open_dataset(track / "layout.zarr", rows=480)["flattening"], (4, 4),
        noise=slc[0].attrs["noise_beta_nought"], seen=geometry["observable"].values > 0,
    )  # fmt: skip
    bare = landscape.snow(np.datetime64(DATES[0]))[2::4, 2::4] < 0.02
    cover, gamma = (landscape.ground[n].values[2::4, 2::4] for n in ("cover", "gamma"))
    for one in Cover:
        here = bare & (cover == one) & np.isfinite(bright.values)
        if here.sum() > 200:
            found, true = np.mean(bright.values[here]), np.mean(10.0 ** (0.1 * gamma[here]))
            # Weather varies it by up to 1 dB (one sigma).
            assert abs(10.0 * np.log10(found / true)) < 2.0


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_raw_scenes_show_the_same_ground(landscape: Landscape, tmp_path: Path) -> None:
    """From SAFE through the engine to the motion and the backscatter of the truth."""
    active = landscape.objects[landscape.objects["activity"] == "active"].iloc[0]
    middle = active.geometry.centroid
    part = GRID.part(
        *(int((GRID.north - middle.y) / 40) + d for d in (-27, 27)),
        *(int((middle.x - GRID.west) / 40) + d for d in (-27, 27)),
    )
    area = transform_bounds(GRID.crs, "EPSG:4326", *part.bounds)
    record_scenes(
        landscape, GRID, tmp_path, area=area, first_date=DATES[0], dates=2, interval_days=12,
        incidence_deg=39.0, ascending=True, threads=2,
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="at least 1500 m"):
        record_scenes(
            landscape, GRID, tmp_path, area=(*area[:2], area[0] + 0.001, area[1] + 0.001),
            first_date=DATES[0], dates=2, interval_days=12, incidence_deg=39.0, ascending=True,
        )  # fmt: skip
    used, _, rejected = check_scenes(
        find_scenes(tmp_path), orbit_files=sorted(tmp_path.rglob("*.EOF"))
    )
    assert used.date.nunique() == 2 and not rejected
    rows = ["path", "stem", "number", "orbit_file", "burst"]
    dates = [
        engine.open_acquisition(day[rows].astype(str).to_numpy().tolist())
        for _, day in used.groupby("date")
    ]
    inner = part.part(4, part.height - 4, 4, part.width - 4)
    fine, looks = inner.subdivided(4, 8), (4, 8)
    here = FINE.window(inner.subdivided(4, 4))
    number = landscape.ground["number"].values[here][2::4, 2::4]
    truth = landscape.ground["height"].values[here].astype(np.float64)
    height = zoom(truth, (1, 2), order=1, mode="nearest", grid_mode=True)
    layout = engine.lay_out(dates[0], fine, height, threads=2).values
    images = []
    for date in dates:
        images.append(np.empty(fine.shape, np.complex64))
        engine.geocode(date, fine, height, layout, images[-1], threads=2)
    product, coherence = interfere(*images, looks)
    level = truth.reshape(inner.height, 4, inner.width, 4).mean(axis=(1, 3))
    coarse = xr.DataArray(level, dims=("y", "x"), coords=inner.coords, attrs={"units": "m"})
    sight = geocoding.geometry(dates[0].orbit, dates[0].heading_deg, inner, coarse)
    days = np.array(DATES, "datetime64[D]")
    moved = landscape.course(days, days[0])[1][landscape.ground["number"].values[here]]
    toward = sum(
        float(sight[n].mean()) * landscape.ground[n].values[here] for n in ("east", "north", "up")
    )
    phase = -4.0 * np.pi / SENTINEL1_WAVELENGTH_M * moved * toward
    expected = np.exp(1j * phase.reshape(inner.height, 4, inner.width, 4)).mean(axis=(1, 3))
    k = int(active["number"])
    on = (number == k) & (coherence > 0.4)
    assert on.sum() > 20
    grown = binary_dilation(number == k, iterations=4)
    still = product[grown & (number == 0) & (coherence > 0.4)].sum()
    off = np.angle((product[on] * expected[on].conj()).sum() * np.conj(still))
    assert abs(np.angle(expected[on].sum())) > 0.3  # of motion to be seen
    assert abs(off) < 0.4


def test_images_that_cannot_serve_are_named(track: Path) -> None:
    other = Grid(GRID.crs, GRID.west, GRID.north, 40.0, 40.0, 100, 100)
    with pytest.raises(SceneError, match="lies on 120 x 130 pixels of 40"):
        borrowed.read_geometry(track, other)
    with pytest.raises(SceneError, match="0 of 2 dates can be used"):
        borrowed.look_at(track, GRID, (2, 4), period=None)
    with pytest.raises(SceneError, match="0 of 0 dates"):
        borrowed.look_at(track, GRID, (4, 4), period=["2001-01-01", "2001-12-31"])
    with pytest.raises(SceneError, match=r"scenes\.csv cannot be read"):
        borrowed.look_at(track.parent, GRID, (4, 4), period=None)
    with pytest.raises(SceneError, match="the folder of a track"):
        borrowed.read_geometry(track.parent, GRID)


def test_landsat_sees_snow_and_ice(landscape: Landscape, tmp_path: Path) -> None:
    photograph(landscape, tmp_path, dates=["2019-02-18", "2019-08-29"])
    level = {}
    for path in landsat.find_scenes(tmp_path):
        scene = landsat.read_scene(path)
        green, shortwave = (landsat.open_reflectance(scene, b).values for b in ("B3", "B6"))
        level[str(scene.time)[:10]] = (green - shortwave) / (green + shortwave)
    winter, summer = level["2019-02-18"], level["2019-08-29"]
    assert np.nanmedian(winter) > 0.8
    cover = landscape.ground["cover"].values[1::3, 1::3][: summer.shape[0], : summer.shape[1]]
    ice, turf = (np.nanmedian(summer[cover == c]) for c in (Cover.CLEAN, Cover.MEADOW))
    assert ice > 0.3 and turf < -0.4
    photograph_sharply(landscape, tmp_path / "sharp", dates=["2019-08-29"])
    [path] = landsat.find_scenes(tmp_path / "sharp")
    assert float(landsat.open_band(landsat.read_scene(path)).notnull().mean()) > 0.8


def test_satellites_pass_as_often_as_is_needed() -> None:
    assert len(optical_dates(2016, 2020)) >= 40 and len(sharp_dates(2016, 2020)) == 5
    for direction in ("ascending", "descending"):
        dates = radar_dates(direction, 2016, 2020)
        assert len(dates) >= 24 and dates[0][:4] == "2019" and dates[-1][:4] == "2020"
        gaps = np.diff(np.array(dates, "datetime64[D]")).astype(int)
        assert (gaps % 12 == 0).all()
