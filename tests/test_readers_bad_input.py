"""Bad input is named; one bad pair does not cost the stack, and nothing half-written stays."""

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
import stack_formats as formats
from stack_formats import Scene

from rockglacier import io
from rockglacier.errors import (
    ConfigurationError,
    DisconnectedNetworkError,
    NetworkError,
    RockGlacierError,
    SceneError,
)
from rockglacier.grid import Grid
from rockglacier.readers.assemble import REJECTED_COLUMNS, assemble
from rockglacier.readers.catalogue import open_stack
from rockglacier.readers.plausible import PhaseCheck
from rockglacier.readers.stack import FlawedPair, Stack

OPTIONS = {
    "unwrapped": "{reference}-{secondary}_unw.tif",
    "coherence": "{reference}-{secondary}_cc.tif",
    "wavelength_m": formats.WAVELENGTH_M,
}
FIRST = "20200601-20200613"


@pytest.fixture
def scene(grid: Grid) -> Scene:
    return Scene(grid)


@pytest.fixture
def folder(scene: Scene, tmp_path: Path) -> Path:
    return formats.write_geotiffs(tmp_path / "in", scene)


def opened(folder: Path) -> Stack:
    return open_stack("geotiff", folder, **OPTIONS)


def stays_clean(out: Path) -> bool:
    return not list(out.parent.glob(".*partial*")) and not out.exists()


def check(folder: Path, out: Path, grid: Grid, *, reason: str, pair: str, says: str) -> None:
    """Drop leaves out exactly the flawed pair and says why; stop raises that."""
    stack = opened(folder)
    pairs, rejected = assemble(stack, grid, out, threads=2)
    assert list(rejected.columns) == REJECTED_COLUMNS
    assert [(r.pair, r.reason) for r in rejected.itertuples()] == [(pair, reason)]
    row = rejected.iloc[0]
    assert says in f"{row.found} {row.needed}" and row.remedy and Path(row.path).parent == folder
    names = [
        f"{a:%Y%m%d}_{b:%Y%m%d}" for a, b in zip(pairs.reference, pairs.secondary, strict=True)
    ]
    assert len(names) == 4 and pair not in names
    product = io.open_dataset(out)
    for k, name in enumerate(names):
        index = int(np.flatnonzero(stack.pairs.path == pairs.path[k])[0])
        np.testing.assert_array_equal(product.phase[k], stack.read(index).phase)
        assert f"{product.reference.values[k]:}"[:10].replace("-", "") == name[:8]
    stopped = out.with_name("stopped.zarr")
    with pytest.raises(SceneError, match=reason) as caught:
        assemble(opened(folder), grid, stopped, on_bad_input="stop")
    for part in (row.found, row.needed, row.remedy, row.path):
        assert part in str(caught.value)
    assert stays_clean(stopped)


@pytest.mark.parametrize(
    ("size", "says"), [(100, "a whole raster"), (2000, "pixels that are cut off or damaged (")]
)
def test_truncated_tiff(folder: Path, scene: Scene, tmp_path: Path, size: int, says: str) -> None:
    file = folder / f"{FIRST}_unw.tif"
    file.write_bytes(file.read_bytes()[:size])
    out = tmp_path / "out.zarr"
    check(folder, out, scene.grid, reason="unreadable", pair="20200601_20200613", says=says)
    _, rejected = assemble(opened(folder), scene.grid, out)
    assert "previous exception" not in rejected.found[0] and not rejected.found[0].endswith(".")


def test_truncated_coherence(folder: Path, scene: Scene, tmp_path: Path) -> None:
    file = folder / f"{FIRST}_cc.tif"
    file.write_bytes(file.read_bytes()[:2000])
    check(
        folder, tmp_path / "out.zarr", scene.grid,
        reason="unreadable", pair="20200601_20200613", says="a whole raster",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "what", "says"),
    [
        ({"crs": "EPSG:32633"}, "CRS", "EPSG:32633"),
        ({"width": 30}, "shape", "29 x 30 pixels"),
        ({"west": 640020.0}, "position or spacing", "640020"),
    ],
)
@pytest.mark.parametrize("layer", ["unw", "cc"])
def test_different_grid(
    folder: Path, scene: Scene, tmp_path: Path, change: dict, what: str, says: str, layer: str
) -> None:
    other = Scene(dataclasses.replace(scene.grid, **change))
    values = other.phase((0, 1)) if layer == "unw" else other.coherence((0, 1))
    formats.write_tif(folder / f"{FIRST}_{layer}.tif", values, other.grid)
    check(
        folder, tmp_path / "out.zarr", scene.grid,
        reason=f"different {what} within the stack", pair="20200601_20200613", says=says,
    )  # fmt: skip


@pytest.mark.parametrize("second", ["20201313", "2020061", "late"])
def test_missing_dates(folder: Path, scene: Scene, tmp_path: Path, second: str) -> None:
    for layer in ("unw", "cc"):
        (folder / f"{FIRST}_{layer}.tif").rename(folder / f"20200601-{second}_{layer}.tif")
    check(
        folder, tmp_path / "out.zarr", scene.grid,
        reason="dates missing", pair="", says="secondary NaT",
    )  # fmt: skip


def test_swapped_dates(folder: Path, scene: Scene, tmp_path: Path) -> None:
    for layer in ("unw", "cc"):
        (folder / f"{FIRST}_{layer}.tif").rename(folder / f"20200613-20200601_{layer}.tif")
    check(
        folder, tmp_path / "out.zarr", scene.grid,
        reason="dates swapped", pair="20200613_20200601", says="reference 2020-06-13",
    )  # fmt: skip


def test_dates_swapped_in_metadata_only(folder: Path, scene: Scene, tmp_path: Path) -> None:
    tags = {"FIRST_DATE": "2020-06-13", "SECOND_DATE": "2020-06-01"}
    file = folder / f"{FIRST}_unw.tif"
    formats.write_tif(file, scene.phase((0, 1)), scene.grid, tags=tags)
    check(
        folder, tmp_path / "out.zarr", scene.grid,
        reason="dates swapped", pair="20200613_20200601", says="reference 2020-06-13",
    )  # fmt: skip


def test_duplicated_pair(folder: Path, scene: Scene, tmp_path: Path) -> None:
    options = {**OPTIONS, "unwrapped": "*{reference}-{secondary}_unw.tif"}
    file = folder / f"{FIRST}_unw.tif"
    (folder / f"again_{FIRST}_unw.tif").write_bytes(file.read_bytes())
    stack = open_stack("geotiff", folder, **options)
    pairs, rejected = assemble(stack, scene.grid, tmp_path / "out.zarr")
    assert len(pairs) == 5
    row = rejected.iloc[0]
    assert (row.pair, row.reason) == ("20200601_20200613", "duplicated pair")
    assert str(folder / f"{FIRST}_unw.tif") in f"{row.found} {row.path}"


def test_phase_in_degrees_by_its_tag(folder: Path, scene: Scene, tmp_path: Path) -> None:
    degrees = np.degrees(scene.phase((0, 1)))
    file = folder / f"{FIRST}_unw.tif"
    formats.write_tif(file, degrees, scene.grid, tags={"DATA_UNITS": "DEGREES"})
    check(
        folder, tmp_path / "out.zarr", scene.grid,
        reason="phase not in radians", pair="20200601_20200613", says="degrees",
    )  # fmt: skip


def test_phase_in_degrees_by_its_values(folder: Path, scene: Scene, tmp_path: Path) -> None:
    degrees = np.degrees(scene.phase((0, 1)))
    formats.write_tif(folder / f"{FIRST}_unw.tif", degrees, scene.grid)
    check(
        folder, tmp_path / "out.zarr", scene.grid,
        reason="phase in degrees", pair="20200601_20200613", says="neighbouring pixels differ",
    )  # fmt: skip


def test_smooth_phase_in_degrees(grid: Grid, tmp_path: Path) -> None:
    """Noise of 0.015 rad: in degrees its neighbours differ by about 1, as radians well may."""
    scene = Scene(grid, noise_rad=0.015)
    folder = formats.write_geotiffs(tmp_path / "in", scene)
    formats.write_tif(folder / f"{FIRST}_unw.tif", np.degrees(scene.phase((0, 1))), grid)
    check(
        folder, tmp_path / "out.zarr", grid,
        reason="phase in degrees", pair="20200601_20200613", says="at the same coherence",
    )  # fmt: skip


def test_noise_and_steep_fringes_are_not_degrees(grid: Grid, tmp_path: Path) -> None:
    """A decorrelated pair and one with a fringe every five pixels are radians."""
    scene = Scene(grid, noise_rad=0.1)
    folder = formats.write_geotiffs(tmp_path / "in", scene)
    rng = np.random.default_rng(1)
    formats.write_tif(
        folder / f"{FIRST}_unw.tif", rng.uniform(-np.pi, np.pi, grid.shape).astype("f4"), grid
    )
    low = np.full(grid.shape, 0.15, np.float32)
    formats.write_tif(folder / f"{FIRST}_cc.tif", low, grid)
    x = np.indices(grid.shape)[1].astype(np.float32)
    steep = "20200613-20200625"
    formats.write_tif(folder / f"{steep}_unw.tif", 2 * np.pi / 5 * x + 0.1, grid)
    formats.write_tif(folder / f"{steep}_cc.tif", np.full(grid.shape, 0.5, np.float32), grid)
    _, rejected = assemble(opened(folder), grid, tmp_path / "out.zarr")
    assert rejected.empty


def test_all_nan_pair(folder: Path, scene: Scene, tmp_path: Path) -> None:
    empty = np.full(scene.shape, np.nan, np.float32)
    formats.write_tif(folder / f"{FIRST}_unw.tif", empty, scene.grid)
    check(
        folder, tmp_path / "out.zarr", scene.grid,
        reason="no valid phase", pair="20200601_20200613", says="missing at every pixel",
    )  # fmt: skip


def test_all_fill_pair(folder: Path, scene: Scene, tmp_path: Path) -> None:
    empty = np.zeros(scene.shape, np.float32)
    formats.write_tif(folder / f"{FIRST}_unw.tif", empty, scene.grid, nodata=0)
    check(
        folder, tmp_path / "out.zarr", scene.grid,
        reason="no valid phase", pair="20200601_20200613", says="missing at every pixel",
    )  # fmt: skip


@pytest.mark.parametrize("sign", [1, -1])
def test_undeclared_nodata(
    folder: Path, scene: Scene, tmp_path: Path, caplog: pytest.LogCaptureFixture, sign: int
) -> None:
    """-9999 in six columns, and no tag that says what it is."""
    file = folder / f"{FIRST}_unw.tif"
    values = scene.phase((0, 1))
    truth = values.copy()
    values[:, :6], truth[:, :6] = -9999.0, np.nan
    formats.write_tif(file, values, scene.grid)
    stack = open_stack("geotiff", folder, **OPTIONS, phase_sign=sign)
    pairs, rejected = assemble(stack, scene.grid, tmp_path / "out.zarr", threads=2)
    assert rejected.empty and len(pairs) == 5
    np.testing.assert_array_equal(io.open_dataset(tmp_path / "out.zarr").phase[0], sign * truth)
    assert pairs.valid_share[0] == pytest.approx(31 / 37)
    said = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(said) == 1 and str(file) in said[0]
    assert f"{6 * scene.shape[0]} samples of phase beyond 1000 rad" in said[0]


def test_nothing_but_undeclared_nodata(folder: Path, scene: Scene, tmp_path: Path) -> None:
    formats.write_tif(
        folder / f"{FIRST}_unw.tif", np.full(scene.shape, -9999.0, np.float32), scene.grid
    )
    check(
        folder, tmp_path / "out.zarr", scene.grid,
        reason="no valid phase", pair="20200601_20200613", says="samples of phase beyond 1000 rad",
    )  # fmt: skip


def test_undeclared_nodata_of_another_format(grid: Grid, tmp_path: Path) -> None:
    scene = Scene(grid)
    phases = [scene.phase(p) for p in scene.pairs]
    phases[1][3:5] = 1e20
    file = formats.write_mintpy(tmp_path, scene, phases=phases)
    pairs, _ = assemble(open_stack("mintpy", file), grid, tmp_path / "out.zarr")
    product = io.open_dataset(tmp_path / "out.zarr")
    # MintPy's pairs come in the order of their dates: the stack's second is the third of them.
    k = int(np.flatnonzero(pairs.path == f"{file}[1]")[0])
    assert (
        product.phase[k, 3:5].isnull().all()
        and product.phase.notnull().sum() == (5 * grid.height - 2) * grid.width
    )


@pytest.mark.parametrize("value", [0.0, -2.5])
def test_constant_phase(folder: Path, scene: Scene, tmp_path: Path, value: float) -> None:
    constant = np.full(scene.shape, value, np.float32)
    formats.write_tif(folder / f"{FIRST}_unw.tif", constant, scene.grid)
    check(
        folder, tmp_path / "out.zarr", scene.grid,
        reason="constant phase", pair="20200601_20200613", says=f"{value:g} rad at each of 1073",
    )  # fmt: skip


def test_coherence_zero_everywhere(folder: Path, scene: Scene, tmp_path: Path) -> None:
    formats.write_tif(folder / f"{FIRST}_cc.tif", np.zeros(scene.shape, np.float32), scene.grid)
    check(
        folder, tmp_path / "out.zarr", scene.grid,
        reason="coherence zero everywhere", pair="20200601_20200613", says="no coherence above 0",
    )  # fmt: skip


def wrap(phase: np.ndarray) -> np.ndarray:
    """``phase`` as an interferogram shows it, before it is unwrapped."""
    return np.angle(np.exp(1j * phase.astype(np.float64))).astype(np.float32)


def bowl(shape: tuple[int, int], cycles: float) -> np.ndarray:
    """A smooth depression of ``cycles`` fringes (rad)."""
    y, x = np.indices(shape)
    place = ((y - shape[0] / 2) / shape[0]) ** 2 + ((x - shape[1] / 2) / shape[1]) ** 2
    return 2 * np.pi * cycles * np.exp(-6 * place)


FRINGES = {
    "seven in x": lambda s: 2 * np.pi * 7 * np.indices(s)[1] / s[1],
    "one in y": lambda s: 2 * np.pi * np.indices(s)[0] / s[0] + 1.0,
    "a bowl": lambda s: bowl(s, 3.0),
}


@pytest.mark.parametrize("noise_rad", [0.0, 0.15, 0.5])
@pytest.mark.parametrize("fringes", FRINGES)
@pytest.mark.parametrize("size", [(120, 150), (400, 500)])
def test_wrapped_phase(
    tmp_path: Path, fringes: str, noise_rad: float, size: tuple[int, int]
) -> None:
    grid = Grid("EPSG:32632", 640000.0, 5200000.0, 40.0, 40.0, size[1], size[0])
    scene = Scene(grid)
    folder = formats.write_geotiffs(tmp_path / "in", scene)
    noise = noise_rad * np.random.default_rng(3).standard_normal(size)
    phase = (FRINGES[fringes](size) + noise).astype(np.float32)
    formats.write_tif(folder / f"{FIRST}_unw.tif", wrap(phase), grid)
    check(
        folder, tmp_path / "out.zarr", grid,
        reason="wrapped phase", pair="20200601_20200613", says="jump by nearly a whole cycle",
    )  # fmt: skip
    formats.write_tif(folder / f"{FIRST}_unw.tif", phase, grid)  # the same, unwrapped
    _, rejected = assemble(opened(folder), grid, tmp_path / "out.zarr")
    assert rejected.empty


def test_few_wide_fringes_are_seen_in_bands() -> None:
    """Eight fringes across 5000 columns, read in four bands."""
    phase = wrap(2 * np.pi * 8 * np.indices((400, 5000))[1] / 5000)
    check_of = PhaseCheck()
    for band in np.split(phase, 4):
        check_of.add(band)
    with pytest.raises(FlawedPair, match="wrapped phase"):
        check_of.require("wide")


def unwrapped_lines(phase: np.ndarray) -> np.ndarray:
    """``phase`` unwrapped along rows and columns, errors and all, as of a decorrelated pair."""
    return np.unwrap(np.unwrap(phase, axis=1), axis=0).astype(np.float32)


@pytest.mark.parametrize("size", [(29, 37), (400, 500)])
def test_unwrapped_phase_is_not_taken_for_wrapped(tmp_path: Path, size: tuple[int, int]) -> None:
    """Within a cycle by chance or by its maker's choice, smooth, noisy, or nothing but noise."""
    grid = Grid("EPSG:32632", 640000.0, 5200000.0, 40.0, 40.0, size[1], size[0])
    rng = np.random.default_rng(5)
    ramp = np.linspace(-0.999 * np.pi, 0.999 * np.pi, size[1]) + np.zeros(size)
    noisy = np.clip(0.8 * ramp + 0.6 * rng.standard_normal(size), -np.pi, np.pi)
    noise = rng.uniform(-np.pi, np.pi, size)
    step = np.where(np.indices(size)[1] < size[1] // 2, -2.9, 2.9)  # an error of nearly a cycle
    step = step + rng.uniform(-0.2, 0.2, size)
    made = [ramp, noisy, noise, unwrapped_lines(noise), step - 0.5]
    folder = formats.write_geotiffs(tmp_path / "in", Scene(grid))
    for file, phase in zip(sorted(folder.glob("*_unw.tif")), made, strict=True):
        formats.write_tif(file, phase.astype(np.float32), grid)
        low = np.full(size, 0.2, np.float32)
        formats.write_tif(file.with_name(file.name.replace("unw", "cc")), low, grid)
    _, rejected = assemble(opened(folder), grid, tmp_path / "out.zarr")
    assert "wrapped phase" not in list(rejected.reason)


@pytest.mark.parametrize(("scale", "says"), [(255.0, "to 25"), (-1.0, "values from -0.9")])
def test_coherence_outside_0_to_1(
    folder: Path, scene: Scene, tmp_path: Path, scale: float, says: str
) -> None:
    values = (np.clip(scene.coherence((0, 1)), 0, 0.98) * scale).astype(np.float32)
    values[0, 0] = 0.985 * scale
    formats.write_tif(folder / f"{FIRST}_cc.tif", values, scene.grid)
    check(
        folder, tmp_path / "out.zarr", scene.grid,
        reason="coherence outside 0..1", pair="20200601_20200613", says=says,
    )  # fmt: skip


def test_coherence_whose_scale_is_stated(folder: Path, scene: Scene, tmp_path: Path) -> None:
    import rasterio

    file = formats.write_tif(
        folder / f"{FIRST}_cc.tif", np.full(scene.shape, 204, np.uint8), scene.grid
    )
    with rasterio.open(file, "r+") as target:
        target.scales = (1 / 255,)
    _, rejected = assemble(opened(folder), scene.grid, tmp_path / "out.zarr")
    assert rejected.empty
    assert io.open_dataset(tmp_path / "out.zarr").coherence[0, 0, 0] == pytest.approx(0.8)


def test_missing_layer(folder: Path, scene: Scene, tmp_path: Path) -> None:
    (folder / f"{FIRST}_cc.tif").unlink()
    check(
        folder, tmp_path / "out.zarr", scene.grid,
        reason="layer missing", pair="20200601_20200613", says="one file for each pair",
    )  # fmt: skip


@pytest.mark.parametrize("drop", [False, True])
def test_disconnected_network(grid: Grid, tmp_path: Path, drop: bool) -> None:
    """Two islands, in the stack itself or because the pair between them is flawed."""
    pairs = ((0, 1), (2, 3), (1, 2)) if drop else ((0, 1), (2, 3))
    folder = formats.write_geotiffs(tmp_path / "in", Scene(grid, pairs=pairs))
    if drop:
        file = folder / "20200613-20200625_unw.tif"
        file.write_bytes(file.read_bytes()[:2500])
    out = tmp_path / "out.zarr"
    out.mkdir()
    (out / "former").touch()
    with pytest.raises(DisconnectedNetworkError) as caught:
        assemble(opened(folder), grid, out)
    message = str(caught.value)
    assert "2 islands" in message
    assert "2020-06-01 to 2020-06-13" in message and "2020-06-25 to 2020-07-07" in message
    assert ("20200613-20200625_unw.tif: unreadable" in message) == drop
    assert [p.name for p in out.parent.iterdir() if p != folder] == ["out.zarr"]
    assert (out / "former").exists()


def test_one_date(grid: Grid, tmp_path: Path) -> None:
    scene = Scene(grid, dates=("20200601", "20200601"), pairs=((0, 1),))
    folder = formats.write_geotiffs(tmp_path / "in", scene)
    with pytest.raises(NetworkError, match=r"1 date\(s\) found \(20200601\).*at least one pair"):
        assemble(opened(folder), grid, tmp_path / "out.zarr")
    assert stays_clean(tmp_path / "out.zarr")


def test_nothing_within_the_period(folder: Path, scene: Scene, tmp_path: Path) -> None:
    says = (
        "5 pairs were found, from 2020-06-01 to 2020-07-07, but all lie outside the period "
        "2021-01-01 to any date"
    )
    with pytest.raises(NetworkError, match=says):
        assemble(opened(folder), scene.grid, tmp_path / "o.zarr", period=("2021-01-01", None))


def test_flaws_outside_the_period_do_not_matter(folder: Path, scene: Scene, tmp_path: Path) -> None:
    file = folder / f"{FIRST}_unw.tif"
    file.write_bytes(file.read_bytes()[:100])
    pairs, rejected = assemble(
        opened(folder), scene.grid, tmp_path / "out.zarr", on_bad_input="stop",
        period=("2020-06-13", None),
    )  # fmt: skip
    assert len(pairs) == 3 and rejected.empty


def test_grid_beside_the_stack(folder: Path, scene: Scene, tmp_path: Path) -> None:
    away = dataclasses.replace(scene.grid, west=scene.grid.west + 1e5)
    with pytest.raises(RockGlacierError, match="no usable pair"):
        assemble(opened(folder), away, tmp_path / "out.zarr")
    turned = dataclasses.replace(away, west=away.west + 7.0)
    with pytest.raises(SceneError, match="does not touch the region's grid"):
        assemble(opened(folder), turned, tmp_path / "out.zarr")
    assert stays_clean(tmp_path / "out.zarr")


def test_unknown_choice(folder: Path, scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="drop or stop"):
        assemble(opened(folder), scene.grid, tmp_path / "out.zarr", on_bad_input="ignore")


def test_flawed_hyp3_products(grid: Grid, tmp_path: Path) -> None:
    scene = Scene(grid, pairs=((0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (0, 3)))
    made = [
        formats.write_hyp3_product(tmp_path, scene, pair, number=k, zipped=True)
        for k, pair in enumerate(scene.pairs)
    ]
    made[3].write_bytes(made[3].read_bytes()[:3000])  # truncated zip
    again = formats.write_hyp3_product(tmp_path, scene, (0, 1), number=77)
    lacking = formats.write_hyp3_product(tmp_path, scene, (0, 3), number=78)
    (lacking / f"{lacking.name}.txt").unlink()
    stack = open_stack("hyp3", tmp_path)
    pairs, rejected = assemble(stack, grid, tmp_path / "out.zarr")
    assert len(pairs) == 5
    assert sorted(rejected.reason) == ["duplicated pair", "metadata missing", "unreadable zip"]
    assert again.exists()
    with pytest.raises(SceneError, match=r"unreadable zip|metadata missing|duplicated"):
        assemble(open_stack("hyp3", tmp_path), grid, tmp_path / "o.zarr", on_bad_input="stop")


def test_corrupt_member_of_a_zip(grid: Grid, tmp_path: Path) -> None:
    scene = Scene(grid)
    formats.write_hyp3(tmp_path, scene, zipped=True)
    file = sorted(tmp_path.glob("*.zip"))[0]
    content = bytearray(file.read_bytes())
    at = content.index(b"_corr.tif") + 600
    content[at : at + 40] = bytes(40)
    file.write_bytes(content)
    pairs, rejected = assemble(open_stack("hyp3", tmp_path), grid, tmp_path / "out.zarr")
    assert list(rejected.reason) == ["unreadable"] and len(pairs) == 4


def test_flawed_licsar_pair(grid: Grid, tmp_path: Path) -> None:
    scene = Scene(grid)
    frame = formats.write_licsar(tmp_path / "in", scene)
    place = frame / "interferograms" / "20200601_20200613"
    file = place / "20200601_20200613.geo.unw.tif"
    file.rename(place / "20200601_20200625.geo.unw.tif")  # name and folder disagree
    _, rejected = assemble(open_stack("licsar", frame), grid, tmp_path / "out.zarr")
    assert list(rejected.reason) == ["layer missing"]
    assert "20200601_20200625.geo.unw.tif" in rejected.found[0]


def test_mintpy_flaws(grid: Grid, tmp_path: Path) -> None:
    scene = Scene(grid)
    file = formats.write_mintpy(tmp_path, scene)
    with h5py.File(file, "r+") as target:
        target["date"][0] = np.array([b"20200613", b"20200601"])
        target["unwrapPhase"][1] = 0.0
    _, rejected = assemble(open_stack("mintpy", file), grid, tmp_path / "out.zarr")
    assert sorted(rejected.reason) == ["dates swapped", "no valid phase"]
    cut = tmp_path / "cut.h5"
    cut.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(SceneError, match="whole HDF5 file is needed"):
        open_stack("mintpy", cut)
    other = formats.write_mintpy(tmp_path / "other", scene)
    with h5py.File(other, "r+") as target:
        del target["date"]
    with pytest.raises(SceneError, match="lacks date"):
        open_stack("mintpy", other)
