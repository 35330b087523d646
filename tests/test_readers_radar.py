"""Stacks in radar geometry are geocoded through their lookup, layover said so."""

from pathlib import Path

import numpy as np
import pytest
import stack_formats as formats
from rasterio.warp import transform
from stack_formats import Scene

from rockglacier import io
from rockglacier.errors import SceneError
from rockglacier.grid import Grid, region_grid
from rockglacier.readers.assemble import assemble, write_geometry
from rockglacier.readers.catalogue import open_stack
from rockglacier.readers.placement import place
from rockglacier.readers.resampling import invert_lookup

UTM = "EPSG:32632"
SHAPE = (90, 120)


def ground(shape: tuple[int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """UTM position of each radar pixel: turned by the heading, mirrored, bent by relief."""
    i, j = np.indices(shape).astype(float)
    turn = np.radians(formats.HEADING_DEG)
    along, across = 38.0 * i, 30.0 * j + 25.0 * np.sin(i / 9.0) * np.sin(j / 7.0)
    x = 641_000.0 + across * np.cos(turn) + along * np.sin(turn)
    y = 5_199_000.0 - across * np.sin(turn) + along * np.cos(turn)
    return x, y


def lookup(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lon, lat = transform(UTM, "EPSG:4326", x.ravel(), y.ravel())
    return np.reshape(lat, x.shape), np.reshape(lon, x.shape)


def field(x: np.ndarray, y: np.ndarray, scale: float = 1.0) -> np.ndarray:
    return scale * (0.004 * (x - 641_000.0) - 0.002 * (y - 5_199_000.0) + 0.7)


@pytest.fixture
def scene(grid: Grid) -> Scene:
    return Scene(grid)


def written(source: str, folder: Path, scene: Scene) -> Path:
    x, y = ground()
    phases = [field(x, y, k + 1.0).astype(np.float32) for k in range(len(scene.pairs))]
    if source == "isce2":
        return formats.write_isce2(folder, scene, phases, lookup(x, y))
    formats.write_mintpy(folder, scene, lookup=lookup(x, y), phases=phases)
    return folder / "ifgramStack.h5"


@pytest.mark.parametrize("source", ["isce2", "mintpy"])
def test_radar_stack_lands_where_its_lookup_says(source: str, scene: Scene, tmp_path: Path) -> None:
    stack = open_stack(source, written(source, tmp_path / "in", scene))
    assert stack.native_grid is None and stack.shape == SHAPE
    grid = region_grid([formats.place(stack)], spacing_m=40.0)
    assert grid.crs == UTM
    pairs, rejected = assemble(stack, grid, tmp_path / "out.zarr", threads=2)
    assert rejected.empty
    expected = [scene.baseline(p) for p in sorted(scene.pairs)]
    np.testing.assert_allclose(pairs.perpendicular_baseline_m, expected, atol=1e-5)
    out = io.open_dataset(tmp_path / "out.zarr")
    x, y = np.meshgrid(grid.x, grid.y)
    inside = np.isfinite(out.phase[0].values)
    assert 0.5 < inside.mean() < 0.95  # a turned rectangle in its bounding box
    by_name = {scene.names(p): k + 1.0 for k, p in enumerate(scene.pairs)}
    for k in range(len(pairs)):
        scale = by_name[f"{pairs.reference[k]:%Y%m%d}", f"{pairs.secondary[k]:%Y%m%d}"]
        error = out.phase[k].values - field(x, y, scale)
        # 0.02 of a pixel of 40 m in a field of up to 0.18 rad a pixel
        assert np.nanmax(np.abs(error)) < 0.02 * 0.18 * scale
    np.testing.assert_allclose(out.coherence.values[:, inside], 0.8, atol=1e-6)
    assert (out.component.values[:, inside] == 1).all()
    assert (out.component.values[:, ~inside] == 0).all()
    write_geometry(stack, grid, tmp_path / "geometry.zarr")
    geometry = io.open_dataset(tmp_path / "geometry.zarr")
    write_geometry(stack, grid, tmp_path / "bands.zarr", memory_mb=0.5)
    assert geometry.identical(io.open_dataset(tmp_path / "bands.zarr"))
    for name, value in zip(("east", "north", "up"), scene.line_of_sight(), strict=True):
        np.testing.assert_allclose(geometry[name].values[inside], value, atol=1e-6)
    np.testing.assert_allclose(geometry.height.values[inside], 2600.0)
    assert (geometry.observable.values[~inside] == 0).all()
    shadowed = 0 if source == "isce2" else 6
    assert (geometry.observable.values[inside] == 0).sum() <= shadowed


def test_isce2_metadata(scene: Scene, tmp_path: Path) -> None:
    merged = written("isce2", tmp_path / "in", scene)
    stack = open_stack("isce2", merged.parent)
    assert stack.wavelength_m == 0.05546576
    assert stack.looks == pytest.approx(27 / 1.94)
    assert stack.geometry().attrs["slant_range_m"] == 800_000.0


def test_isce2_flaws(scene: Scene, tmp_path: Path) -> None:
    merged = written("isce2", tmp_path / "in", scene)
    pairs = sorted((merged / "interferograms").iterdir())
    cut = pairs[0] / "filt_fine.unw"
    cut.write_bytes(cut.read_bytes()[:-8])
    (pairs[1] / "filt_fine.cor.xml").unlink()
    small = np.ones((10, 12), np.float32)
    formats.write_isce_image(pairs[2] / "filt_fine.unw", small, small)
    stack = open_stack("isce2", merged)
    grid = region_grid([formats.place(stack)])
    with pytest.raises(SceneError, match=r"filt_fine\.cor\.xml: metadata missing"):
        assemble(stack, grid, tmp_path / "out.zarr", on_bad_input="stop")
    kept, rejected = assemble(stack, grid, tmp_path / "out.zarr")
    assert len(kept) == 2
    assert {r.pair: r.reason for r in rejected.itertuples()} == {
        "20200601_20200613": "truncated",
        "20200601_20200625": "metadata missing",
        "20200613_20200625": "different shape within the stack",
    }
    (merged / "geom_reference" / "lat.rdr").unlink()
    with pytest.raises(SceneError, match=r"lacks lat\.rdr or lon\.rdr"):
        open_stack("isce2", merged).lookup()


def test_mintpy_without_a_lookup(scene: Scene, tmp_path: Path) -> None:
    file = written("mintpy", tmp_path, scene)
    (tmp_path / "geometryRadar.h5").unlink()
    with pytest.raises(SceneError, match=r"radar geometry.*latitude and longitude"):
        open_stack("mintpy", file)


def test_component_is_taken_whole(scene: Scene, tmp_path: Path) -> None:
    """Between components 3 and 7 lies a cycle: no 5 appears, and no phase between the two."""
    x, y = ground()
    right = np.indices(SHAPE)[1] >= 60
    phase = (field(x, y) + 2 * np.pi * right).astype(np.float32)
    two = Scene(scene.grid, dates=formats.DATES[:2], pairs=((0, 1),))
    merged = formats.write_isce2(tmp_path / "in", two, [phase], lookup(x, y))
    place_ = merged / "interferograms" / "20200601_20200613" / "filt_fine.unw.conncomp"
    formats.write_isce_image(place_, np.where(right, 7, 3).astype(np.uint8), scheme="BIP")
    stack = open_stack("isce2", merged)
    grid = region_grid([formats.place(stack)])
    assemble(stack, grid, tmp_path / "out.zarr")
    out = io.open_dataset(tmp_path / "out.zarr")
    gx, gy = np.meshgrid(grid.x, grid.y)
    cycles = (out.phase[0].values - field(gx, gy)) / (2 * np.pi)
    inside = np.isfinite(cycles)
    assert set(np.unique(out.component[0].values[inside])) == {3, 7}
    expected = (out.component[0].values == 7).astype(float)
    np.testing.assert_allclose(cycles[inside], expected[inside], atol=0.02)


def test_layover_is_marked() -> None:
    """Where range folds back, three radar pixels see one place: it is not observable."""
    j = np.arange(200.0)
    fold = j - 14.0 * np.sin((j - 100) / 6.0) * np.exp(-(((j - 100) / 10) ** 2))
    x = np.tile(fold, (60, 1)).astype(np.float32)
    y = np.tile(np.arange(60.0)[:, None], (1, 200)).astype(np.float32)
    rows, columns, folded = invert_lookup(x, y, (60, 200))
    falling = np.flatnonzero(np.diff(fold) < 0)
    places = np.unique(
        np.concatenate([np.arange(np.ceil(fold[k + 1]), np.floor(fold[k]) + 1) for k in falling])
    ).astype(int)
    expected = np.zeros(200, bool)
    expected[places] = True
    assert places.size > 5
    np.testing.assert_array_equal(folded[30], expected)
    clear = np.flatnonzero(~expected & (np.arange(200) < 199))
    np.testing.assert_allclose(np.interp(columns[30, clear], j, fold), clear, atol=1e-3)
    np.testing.assert_allclose(rows[30, clear], 30, atol=1e-4)


@pytest.mark.parametrize("mirror", [False, True])
def test_inverse_of_a_lookup_is_exact_on_planes(mirror: bool) -> None:
    i, j = np.indices((50, 70)).astype(float)
    jj = -j if mirror else j
    x, y = 40 + 0.9 * jj + 0.3 * i, 5 - 0.2 * jj + 0.8 * i
    x[20, 30] = np.nan
    rows, columns, folded = invert_lookup(x.astype("f4"), y.astype("f4"), (60, 90))
    assert not folded.any()
    k, m = np.nonzero(np.isfinite(rows))
    r, c = rows[k, m], columns[k, m]
    cc = -c if mirror else c
    np.testing.assert_allclose(40 + 0.9 * cc + 0.3 * r, m, atol=1e-3)
    np.testing.assert_allclose(5 - 0.2 * cc + 0.8 * r, k, atol=1e-3)
    # No pixel within the four cells around the missing radar pixel has a place.
    assert not (
        (np.abs(r - 20) < 0.99) & (np.abs(c - 30) < 0.99) & (np.abs(r - 20) + np.abs(c - 30) < 0.9)
    ).any()


def test_lookup_outside_the_region(scene: Scene, tmp_path: Path) -> None:
    stack = open_stack("isce2", written("isce2", tmp_path / "in", scene))
    with pytest.raises(SceneError, match="does not touch the region's grid"):
        place(stack, Grid(UTM, 700_000.0, 5_199_000.0, 40.0, 40.0, 30, 30))
