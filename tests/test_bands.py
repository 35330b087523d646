"""Bands: they cover the stack once, keep to memory, and what they write is whole."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from rockglacier import bands, io
from rockglacier.bands import Band
from rockglacier.grid import Grid

GRID = Grid("EPSG:32632", 640000.0, 5200000.0, 40.0, 40.0, 11, 150)
PAIRS = 4


def write_stack(folder: Path) -> xr.Dataset:
    """A stack of four pairs whose second the network leaves out, with cycles of the other three."""
    dates = np.datetime64("2020-01-01", "ns") + np.arange(5) * np.timedelta64(12, "D")
    values = np.arange(PAIRS * GRID.height * GRID.width, dtype="f4").reshape(PAIRS, *GRID.shape)
    dims = ("pair", "y", "x")
    stack = xr.Dataset(
        {"phase": (dims, values), "coherence": (dims, np.full_like(values, 0.5))},
        coords={**GRID.coords, **io.pair_coordinates(dates[:4], dates[1:])},
        attrs={"wavelength_m": 0.0555},
    )
    io.write_dataset(stack, folder / "unwrapped.zarr", grid=GRID)
    pd.DataFrame({"used": [1, 0, 1, 1]}).to_csv(folder / "network.csv", index=False)
    used = stack.isel(pair=[0, 2, 3])
    cycles = (used["phase"] % 3 - 1).astype("int8").rename("cycles")
    io.write_dataset(cycles.to_dataset(), folder / "cycles.zarr", grid=GRID)
    return used.assign(cycles=cycles)


@pytest.mark.parametrize(("rows", "margin"), [(1, 0), (7, 3), (64, 30), (500, 9)])
def test_bands_cover_every_row_once_and_know_their_margin(rows: int, margin: int) -> None:
    y = np.arange(150)
    seen = []
    for band in bands.cut(150, rows, margin):
        wide = y[band.wide]
        seen += wide[band.crop].tolist()
        assert wide[0] == max(0, band.inner.start - margin)
        assert wide[-1] == min(149, band.inner.stop - 1 + margin)
    assert seen == y.tolist()


def test_reads_the_pairs_that_the_network_uses(tmp_path: Path) -> None:
    expected = write_stack(tmp_path)
    files = (tmp_path / f for f in ("unwrapped.zarr", "network.csv", "cycles.zarr"))
    pairs = bands.Pairs(*files)
    rows, columns = slice(60, 75), slice(2, 9)
    found = pairs.read(rows, columns)
    for name in ("phase", "coherence", "cycles"):
        np.testing.assert_array_equal(found[name], expected[name][:, rows, columns])
    np.testing.assert_array_equal(found["reference"], expected["reference"])
    assert "coherence" not in pairs.read(rows, layers=("phase",))


def test_bands_and_threads_fit_into_memory(tmp_path: Path) -> None:
    write_stack(tmp_path)
    pairs = bands.Pairs(tmp_path / "unwrapped.zarr", tmp_path / "network.csv")
    row_mb = 3 * GRID.width * 20 / 1e6
    many, threads = pairs.bands(bytes_per_sample=20, memory_mb=1000, threads=2)
    assert threads == 2 and len(many) >= 2
    few, alone = pairs.bands(bytes_per_sample=20, memory_mb=100 * row_mb, threads=2, margin=4)
    assert alone == 1
    assert max(b.wide.stop - b.wide.start for b in few) <= 100


def test_what_bands_write_is_whole_and_says_what_made_it(tmp_path: Path) -> None:
    whole = write_stack(tmp_path)[["phase", "cycles"]].assign_attrs(looks=7.0)

    def part(band: Band) -> xr.Dataset:
        return whole.isel(y=band.inner)

    every = bands.cut(GRID.height, 64)
    path = tmp_path / "made.zarr"
    bands.write(part, every, path, grid=GRID, threads=2, provenance={"made_by": "test"})
    found = io.open_dataset(path)
    xr.testing.assert_equal(
        found.drop_vars("spatial_ref"), whole.drop_vars("spatial_ref", errors="ignore")
    )
    assert found["cycles"].dtype == np.int8 and found.rio.crs.to_epsg() == 32632
    assert found.attrs["made_by"] == "test" and found.attrs["looks"] == 7.0
    assert sum(1 for f in (path / "phase" / "c").rglob("*") if f.is_file()) == 3
    joined = bands.work(part, every, threads=2)
    np.testing.assert_array_equal(joined["phase"], whole["phase"])


def test_a_band_that_fails_leaves_nothing_and_what_stood_stays(tmp_path: Path) -> None:
    whole = write_stack(tmp_path)[["phase"]]
    path = tmp_path / "made.zarr"
    every = bands.cut(GRID.height, 64)
    options = {"grid": GRID, "threads": 2, "provenance": {}}
    bands.write(lambda b: whole.isel(y=b.inner), every, path, **options)

    def fails(band: Band) -> xr.Dataset:
        if band.inner.start:
            raise ValueError("a bad band")
        return 0 * whole.isel(y=band.inner)

    with pytest.raises(ValueError, match="a bad band"):
        bands.write(fails, every, path, **options)
    np.testing.assert_array_equal(io.open_dataset(path)["phase"], whole["phase"])
    assert sorted(p.name for p in tmp_path.iterdir() if "made" in p.name) == ["made.zarr"]
