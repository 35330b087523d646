"""Every format becomes the same stack: sign, wavelength, dates, grid, values."""

import dataclasses
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import stack_formats as formats
from stack_formats import Scene

from rockglacier import io
from rockglacier.conventions import SENTINEL1_WAVELENGTH_M
from rockglacier.errors import ConfigurationError, DimensionError, SceneError
from rockglacier.grid import Grid, region_grid
from rockglacier.readers.assemble import assemble, write_geometry
from rockglacier.readers.catalogue import open_stack
from rockglacier.readers.placement import place

GEOTIFF = {
    "unwrapped": "{reference}-{secondary}_unw.tif",
    "coherence": "{reference}-{secondary}_cc.tif",
    "wavelength_m": formats.WAVELENGTH_M,
}
# 10 mm away from the satellite: 4 pi / wavelength x 0.010 m, positive.
AWAY_10_MM_RAD = 4 * np.pi / formats.WAVELENGTH_M * 0.010


@pytest.fixture
def scene(grid: Grid) -> Scene:
    return Scene(grid)


@pytest.fixture
def sinking(grid: Grid) -> Scene:
    """The worked example: one pair, no noise, the ground's centre moves 10 mm away."""
    return Scene(
        grid, dates=formats.DATES[:2], pairs=((0, 1),), noise_rad=0.0, metres_per_repeat=-0.010
    )


def written(source: str, folder: Path, scene: Scene) -> tuple[Path, dict[str, object]]:
    """``scene`` in the layout of ``source``; its path and the reader's options."""
    if source == "geotiff":
        return formats.write_geotiffs(folder, scene), GEOTIFF
    if source == "hyp3":
        return formats.write_hyp3(folder, scene, zipped=True), {}
    if source == "licsar":
        return formats.write_licsar(folder, scene), {}
    return formats.write_mintpy(folder, scene), {}


SOURCES = ["geotiff", "hyp3", "licsar", "mintpy"]


@pytest.mark.parametrize("source", SOURCES)
def test_worked_example_of_the_sign(source: str, sinking: Scene, tmp_path: Path) -> None:
    path, options = written(source, tmp_path, sinking)
    stack = open_stack(source, path, **options)
    phase = stack.read(0).phase.values
    height, width = sinking.shape
    seen = phase[height // 2, width // 3] - phase[0, -1]
    assert seen == pytest.approx(AWAY_10_MM_RAD, abs=0.03)
    back = -stack.wavelength_m / (4 * np.pi) * seen
    assert back == pytest.approx(-0.010, abs=2e-4)


def test_geotiff_phase_sign(sinking: Scene, tmp_path: Path) -> None:
    formats.write_geotiffs(tmp_path, sinking, sign=-1)
    turned = open_stack("geotiff", tmp_path, **GEOTIFF, phase_sign=-1).read(0)
    np.testing.assert_allclose(turned.phase, sinking.phase((0, 1)), rtol=1e-6)


@pytest.mark.parametrize("source", SOURCES)
def test_formats_become_the_same_stack(source: str, scene: Scene, tmp_path: Path) -> None:
    path, options = written(source, tmp_path / "in", scene)
    truth = Scene(scene.grid)  # the same random numbers, drawn in the same order
    if source == "mintpy":
        phases = [truth.phase(p) for p in truth.pairs]
        layers = [(f, truth.coherence(p)) for f, p in zip(phases, truth.pairs, strict=True)]
    else:
        layers = [(truth.phase(p), truth.coherence(p)) for p in truth.pairs]
    stack = open_stack(source, path, **options)
    grid = region_grid([formats.place(stack)])
    assert grid == scene.grid
    pairs, rejected = assemble(stack, grid, tmp_path / "out.zarr", threads=2)
    assert rejected.empty
    product = io.open_dataset(tmp_path / "out.zarr")
    assert pairs.reference.is_monotonic_increasing
    by_name = {scene.names(p): both for p, both in zip(scene.pairs, layers, strict=True)}
    assert len(pairs) == 5
    for k in range(len(pairs)):
        name = f"{pairs.reference[k]:%Y%m%d}", f"{pairs.secondary[k]:%Y%m%d}"
        phase, coherence = by_name[name]
        np.testing.assert_array_equal(product.phase[k], phase)
        np.testing.assert_allclose(
            product.coherence[k], coherence, atol=0.002 if source == "licsar" else 0
        )
        assert pairs.temporal_baseline_days[k] == (
            np.datetime64(product.secondary.values[k]) - product.reference.values[k]
        ) / np.timedelta64(1, "D")
        assert pairs.mean_coherence[k] == pytest.approx(coherence.mean(), abs=1e-3)
        assert pairs.valid_share[k] == 1.0
    assert product.phase.attrs["units"] == "rad"
    assert product.attrs["source"] == source
    assert product.attrs["wavelength_m"] == pytest.approx(formats.WAVELENGTH_M, abs=2e-7)
    if source != "geotiff":
        expected = [scene.baseline(p) for p in sorted(scene.pairs)]
        np.testing.assert_allclose(pairs.perpendicular_baseline_m, expected, atol=1e-4)
        np.testing.assert_allclose(product.perpendicular_baseline, expected, atol=1e-4)
    else:
        assert pairs.perpendicular_baseline_m.isna().all()


@pytest.mark.parametrize("source", ["hyp3", "licsar", "mintpy"])
def test_geometry_of_formats(source: str, scene: Scene, tmp_path: Path) -> None:
    path, options = written(source, tmp_path / "in", scene)
    stack = open_stack(source, path, **options)
    write_geometry(stack, scene.grid, tmp_path / "geometry.zarr")
    geometry = io.open_dataset(tmp_path / "geometry.zarr")
    east, north, up = scene.line_of_sight()
    assert float(geometry.east[5, 6]) == pytest.approx(east, abs=1e-6)
    assert float(geometry.north[5, 6]) == pytest.approx(north, abs=1e-6)
    assert float(geometry.up[5, 6]) == pytest.approx(up, abs=1e-6)
    assert float(geometry.incidence_angle[5, 6]) == pytest.approx(formats.INCIDENCE_DEG, abs=1e-4)
    assert np.isfinite(geometry.height).all()
    assert geometry.attrs["heading_deg"] == formats.HEADING_DEG
    assert 8.7e5 < geometry.attrs["slant_range_m"] < 8.9e5
    if source == "licsar":
        assert np.isnan(geometry.east[0, 0])
    if source == "mintpy":
        assert int(geometry.observable[2, 3]) == 0
        assert int(geometry.observable.sum()) == geometry.observable.size - 1


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", [formats.GAMMA, formats.BURST, formats.MULTI_BURST])
def test_hyp3_kinds(kind: str, zipped: bool, sinking: Scene, tmp_path: Path) -> None:
    formats.write_hyp3(tmp_path, sinking, kind=kind, zipped=zipped)
    stack = open_stack("hyp3", tmp_path)
    assert stack.wavelength_m == SENTINEL1_WAVELENGTH_M
    assert stack.looks == pytest.approx(80 / 1.94)
    assert stack.pairs.perpendicular_baseline_m[0] == 40.0
    assert str(stack.pairs.reference[0].date()) == "2020-06-01"
    expected = (
        ("phase", "coherence") if kind == formats.GAMMA else ("phase", "coherence", "component")
    )
    assert stack.layers == expected
    if kind != formats.GAMMA:
        assert (stack.read(0).component == 1).all()


def test_hyp3_metadata_outranks_the_name(sinking: Scene, tmp_path: Path) -> None:
    formats.write_hyp3_product(tmp_path, sinking, (0, 1), named=("20190101", "20190301"))
    stack = open_stack("hyp3", tmp_path)
    assert str(stack.pairs.secondary[0].date()) == "2020-06-13"


def test_geotiff_tags_outrank_the_name(sinking: Scene, tmp_path: Path) -> None:
    tags = {"FIRST_DATE": "2018-01-06", "SECOND_DATE": "2018-01-30", "DATA_UNITS": "RADIANS"}
    file = tmp_path / "20200601-20200613_unw.tif"
    formats.write_tif(file, sinking.phase((0, 1)), sinking.grid, tags=tags)
    options = {k: v for k, v in GEOTIFF.items() if k != "coherence"}
    stack = open_stack("geotiff", tmp_path, **options)
    assert str(stack.pairs.secondary[0].date()) == "2018-01-30"
    assert stack.layers == ("phase",)
    assemble(stack, sinking.grid, tmp_path / "out.zarr")
    assert "coherence" not in io.open_dataset(tmp_path / "out.zarr")


def test_hyp3_extents_differ_but_share_a_lattice(scene: Scene, tmp_path: Path) -> None:
    for k, pair in enumerate(scene.pairs):
        margin = {0: 4, 1: 2}.get(k, 1)
        formats.write_hyp3_product(
            tmp_path / "in", scene, pair, number=k, margin=margin, zipped=True
        )
    stack = open_stack("hyp3", tmp_path / "in")
    grid = region_grid([formats.place(stack)])
    assert grid.shape == (scene.grid.height - 2, scene.grid.width - 2)
    pairs, rejected = assemble(stack, grid, tmp_path / "out.zarr")
    assert rejected.empty
    product = io.open_dataset(tmp_path / "out.zarr")
    truth = Scene(scene.grid)
    phase = truth.phase(truth.pairs[0])[1:-1, 1:-1]
    first = product.phase[0].values
    inside = np.isfinite(first)
    assert inside[3:-3, 3:-3].all() and inside.sum() == (first.shape[0] - 6) * (first.shape[1] - 6)
    np.testing.assert_array_equal(first[inside], phase[inside])
    assert pairs.valid_share[0] == pytest.approx(inside.mean())
    write_geometry(stack, grid, tmp_path / "geometry.zarr")
    assert np.isfinite(io.open_dataset(tmp_path / "geometry.zarr").height).all()


def test_licsar_coherence_in_floats(sinking: Scene, tmp_path: Path) -> None:
    formats.write_licsar(tmp_path, sinking, as_bytes=False)
    truth = dataclasses.replace(sinking, rng=np.random.default_rng(7))
    truth.phase((0, 1))
    read = open_stack("licsar", tmp_path).read(0)
    np.testing.assert_array_equal(read.coherence, truth.coherence((0, 1)))


def test_mintpy_dropped_pairs_stay_dropped(scene: Scene, tmp_path: Path) -> None:
    formats.write_mintpy(tmp_path, scene, dropped=(4,))
    stack = open_stack("mintpy", tmp_path / "ifgramStack.h5")
    assert len(stack.pairs) == 4
    assert [r.flaw.reason for r in stack.rejected] == ["dropped in MintPy"]
    assert stack.looks == pytest.approx(41.2)
    assert stack.layers == ("phase", "coherence", "component")


def test_missing_is_nan_and_zero_phase_may_be_a_value(grid: Grid, tmp_path: Path) -> None:
    scene = Scene(grid, dates=formats.DATES[:2], pairs=((0, 1),))
    phase, coherence = scene.phase((0, 1)), scene.coherence((0, 1))
    phase[3, 4] = phase[5, 6] = 0.0
    coherence[5, 6] = coherence[7, 8] = 0.0
    formats.write_tif(tmp_path / "20200601-20200613_unw.tif", phase, grid)
    formats.write_tif(tmp_path / "20200601-20200613_cc.tif", coherence, grid)
    read = open_stack("geotiff", tmp_path, **GEOTIFF).read(0)
    assert float(read.phase[3, 4]) == 0.0  # coherent, and no nodata says otherwise
    assert np.isnan(read.phase[5, 6]) and np.isnan(read.coherence[5, 6])
    assert np.isfinite(read.phase[7, 8]) and float(read.coherence[7, 8]) == 0.0
    formats.write_tif(tmp_path / "20200601-20200613_unw.tif", phase, grid, nodata=0)
    read = open_stack("geotiff", tmp_path, **GEOTIFF).read(0)
    assert np.isnan(read.phase[3, 4])


def test_geotiff_patterns(scene: Scene, tmp_path: Path) -> None:
    flat = formats.write_geotiffs(tmp_path / "flat", scene)
    for file in flat.glob("*_unw.tif"):
        dates = file.name.removesuffix("_unw.tif").split("-")
        days = [f"{d[6:]}.{d[4:6]}.{d[:4]}" for d in dates]
        place = tmp_path / "nested" / f"{days[0]}_{days[1]}"
        place.mkdir(parents=True)
        shutil.copy(file, place / f"v7_{days[0]}_{days[1]}.tif")
    stack = open_stack(
        "geotiff",
        tmp_path,
        unwrapped="nested/{reference}_{secondary}/v*_{reference}_{secondary}.tif",
        date_format="%d.%m.%Y",
        wavelength_m=0.05546,
    )
    assert len(stack.pairs) == 5 and not stack.rejected
    assert stack.pairs.reference.is_monotonic_increasing


def test_settings_that_contradict_the_files(scene: Scene, tmp_path: Path) -> None:
    formats.write_geotiffs(tmp_path, scene)
    with pytest.raises(ConfigurationError, match="wavelength is stated nowhere"):
        open_stack("geotiff", tmp_path, unwrapped=GEOTIFF["unwrapped"])
    with pytest.raises(ConfigurationError, match="phase_sign is 2"):
        open_stack("geotiff", tmp_path, **GEOTIFF, phase_sign=2)
    with pytest.raises(ConfigurationError, match="does not take looks; it takes unwrapped"):
        open_stack("geotiff", tmp_path, **GEOTIFF, looks=3)
    with pytest.raises(ConfigurationError, match="needs unwrapped"):
        open_stack("geotiff", tmp_path)
    with pytest.raises(ConfigurationError, match="no reader of interferograms"):
        open_stack("gamma", tmp_path)
    with pytest.raises(ConfigurationError, match=r"needs \{reference\} and \{secondary\}"):
        open_stack("geotiff", tmp_path, unwrapped="{reference}.tif", wavelength_m=0.055)
    with pytest.raises(SceneError, match="no file matches"):
        open_stack("geotiff", tmp_path, **{**GEOTIFF, "unwrapped": "{reference}/{secondary}.tif"})
    tagged = tmp_path / "tagged" / "20200601-20200613_unw.tif"
    tags = {"WAVELENGTH_METRES": "0.2360571"}
    formats.write_tif(tagged, scene.phase((0, 1)), scene.grid, tags=tags)
    with pytest.raises(ConfigurationError, match=r"0\.0554657 m by wavelength_m, 0\.236057 m by"):
        open_stack("geotiff", tagged.parent, unwrapped=GEOTIFF["unwrapped"], wavelength_m=0.0554657)
    for source in ("hyp3", "licsar", "isce2", "mintpy"):
        with pytest.raises(SceneError, match=r"is needed|does not exist"):
            open_stack(source, tmp_path / "nothing")


def test_region_grid_keeps_the_lattice(scene: Scene, tmp_path: Path) -> None:
    formats.write_geotiffs(tmp_path, scene)
    stack = open_stack("geotiff", tmp_path, **GEOTIFF)
    west, south, east, north = stack.lonlat_bounds
    area = (west + 0.002, south + 0.002, east - 0.004, north - 0.002)
    small = region_grid([formats.place(stack)], area=area)
    assert small.dx == scene.grid.dx and small.width < scene.grid.width
    placement = place(stack, small)
    assert placement.corner is not None
    row, column = placement.corner
    assert small.west == scene.grid.west + column * scene.grid.dx
    assert small.north == scene.grid.north - row * scene.grid.dy
    own = region_grid([formats.place(stack)], crs="EPSG:32633", spacing_m=60)
    assert own.crs == "EPSG:32633" and own.dx == 60 and place(stack, own).corner is None
    with pytest.raises(DimensionError, match="does not touch the sources"):
        region_grid([formats.place(stack)], area=(0.0, 0.0, 1.0, 1.0))


def test_region_grid_of_several_tracks(grid: Grid) -> None:
    bounds = (10.80, 46.90, 10.84, 46.92)
    east = dataclasses.replace(grid, west=grid.west + 10 * grid.dx, width=40)
    both = region_grid([(grid, bounds), (east, bounds)])
    assert (both.west, both.width, both.height) == (grid.west, 50, grid.height)
    slipped = dataclasses.replace(grid, west=grid.west + 0.4 * grid.dx)
    for other in (slipped, None):
        made = region_grid([(grid, bounds), (other, bounds)], spacing_m=50)
        assert made.crs == "EPSG:32632" and made.dx == 50
        assert made.west % 50 == 0


def test_period_and_area(scene: Scene, tmp_path: Path) -> None:
    formats.write_geotiffs(tmp_path, scene)
    stack = open_stack("geotiff", tmp_path, **GEOTIFF)
    part = Grid("EPSG:32632", scene.grid.west - 80, scene.grid.north - 120, 40.0, 40.0, 12, 10)
    pairs, _ = assemble(stack, part, tmp_path / "out.zarr", period=("2020-06-10", "2020-07-31"))
    assert len(pairs) == 3
    phase = io.open_dataset(tmp_path / "out.zarr").phase
    whole = stack.read(int(stack.pairs.index[stack.pairs.path == pairs.path[0]][0])).phase.values
    np.testing.assert_array_equal(phase[0, :, 2:], whole[3:13, :10])
    assert np.isnan(phase[0, :, :2]).all()


def test_bands_and_threads_change_nothing(scene: Scene, tmp_path: Path) -> None:
    tall = Scene(dataclasses.replace(scene.grid, height=200))
    formats.write_geotiffs(tmp_path, tall)
    stack = open_stack("geotiff", tmp_path, **GEOTIFF)
    assemble(stack, tall.grid, tmp_path / "whole.zarr")
    tables = assemble(stack, tall.grid, tmp_path / "bands.zarr", memory_mb=0.3, threads=2)
    assert tables[1].empty
    for name in ("phase", "coherence"):
        np.testing.assert_array_equal(
            io.open_dataset(tmp_path / "whole.zarr")[name],
            io.open_dataset(tmp_path / "bands.zarr")[name],
        )


def test_resampling_respects_jumps_and_gaps(grid: Grid, tmp_path: Path) -> None:
    """A ramp with a jump of one cycle and a hole, onto a shifted grid: nothing is smeared."""
    y, x = np.indices(grid.shape)
    jump = x >= 20
    phase = (0.30 * x - 0.20 * y + 2 * np.pi * jump).astype(np.float32) + np.float32(0.05)
    phase[10, 10] = np.nan
    formats.write_tif(tmp_path / "20200601-20200613_unw.tif", phase, grid)
    options = {k: v for k, v in GEOTIFF.items() if k != "coherence"}
    stack = open_stack("geotiff", tmp_path, **options)
    shifted = dataclasses.replace(grid, west=grid.west + 12.0, north=grid.north - 8.0)
    assemble(stack, shifted, tmp_path / "out.zarr")
    out = io.open_dataset(tmp_path / "out.zarr").phase[0].values
    ramp = 0.30 * (x + 0.3) - 0.20 * (y + 0.2) + 0.05
    cycles = (out - ramp) / (2 * np.pi)
    inner = np.isfinite(out) & (y < grid.height - 1) & (x < grid.width - 1)
    assert np.isnan(out[10, 10]) and inner[10, 9] and inner[9, 10]
    beside = inner & (np.abs(x - 19.7) > 1) & ~((abs(y - 10) < 2) & (abs(x - 10) < 2))
    np.testing.assert_allclose(cycles[beside], jump[beside], atol=1e-5)
    # Next to the jump: one side or the other, off by the ramp over half a pixel at most.
    assert np.all(np.abs(cycles - np.round(cycles))[inner] < 0.2 / (2 * np.pi) + 0.05)


def test_resampling_averages_finer_pixels(grid: Grid, tmp_path: Path) -> None:
    fine = dataclasses.replace(grid, dx=10.0, dy=10.0, width=4 * 37, height=4 * 29)
    scene = Scene(fine, noise_rad=0.8, metres_per_repeat=0.0)
    formats.write_geotiffs(tmp_path, scene)
    stack = open_stack("geotiff", tmp_path, **GEOTIFF)
    offset = dataclasses.replace(grid, west=grid.west + 3.0)
    assert place(stack, offset).samples == 4
    assemble(stack, offset, tmp_path / "out.zarr")
    spread = io.open_dataset(tmp_path / "out.zarr").phase[0, 2:-2, 2:-2].std()
    assert float(spread) == pytest.approx(0.8 / 4, rel=0.2)


def test_geographic_stack_on_a_utm_grid(tmp_path: Path) -> None:
    """A plane in longitude and latitude comes back where the projection puts it."""
    native = Grid("EPSG:4326", 10.80, 46.95, 0.0004, 0.0003, 220, 200)
    lon, lat = np.meshgrid(native.x, native.y)
    plane = (400 * (lon - 10.8) + 250 * (lat - 46.9) + 3).astype(np.float32)
    formats.write_tif(tmp_path / "20200601-20200613_unw.tif", plane, native)
    options = {k: v for k, v in GEOTIFF.items() if k != "coherence"}
    stack = open_stack("geotiff", tmp_path, **options)
    grid = Grid.over((10.81, 46.90, 10.87, 46.94), 40.0)
    assemble(stack, grid, tmp_path / "out.zarr")
    out = io.open_dataset(tmp_path / "out.zarr").phase[0].values
    from rasterio.warp import transform

    x, y = np.meshgrid(grid.x, grid.y)
    lon, lat = transform(grid.crs, "EPSG:4326", x.ravel(), y.ravel())
    truth = 400 * (np.array(lon) - 10.8) + 250 * (np.array(lat) - 46.9) + 3
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out.ravel(), truth, atol=2e-3)  # 1/100 of a pixel


def test_zip_members_stay_inside(sinking: Scene, tmp_path: Path) -> None:
    good = formats.write_hyp3_product(tmp_path, sinking, (0, 1), zipped=True)
    for k, name in enumerate(("../evil_unw_phase.tif", "/abs/evil_unw_phase.tif")):
        with zipfile.ZipFile(tmp_path / f"bad{k}.zip", "w") as target:
            target.writestr(name, b"x")
    stack = open_stack("hyp3", tmp_path)
    assert [r.flaw.reason for r in stack.rejected] == ["unsafe path in the zip"] * 2
    assert list(stack.pairs.path) == [str(good)]
