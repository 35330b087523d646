"""Displacement series of every kind become metres toward the satellite, zero at the first date."""

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import stack_formats as formats
import xarray as xr
from stack_formats import Scene

from rockglacier import io
from rockglacier.errors import ConfigurationError, NetworkError, SceneError
from rockglacier.grid import Grid, region_grid
from rockglacier.readers.assemble import write_geometry
from rockglacier.readers.displacement import (
    DisplacementSeries,
    assemble_displacement,
    open_displacement,
)

DAYS = pd.to_datetime(list(formats.DATES))
OFFSET_M = 0.004  # of the first date, to be taken off


@pytest.fixture
def truth(grid: Grid) -> np.ndarray:
    """(date, y, x), m toward the satellite, not zero at the first date; one pixel missing."""
    scene = Scene(grid)
    creep = 1e-4 * np.arange(4)[:, None, None]
    out = np.stack([scene.displacement(k) for k in range(4)]) + OFFSET_M + creep
    out[:, 4, 7] = np.nan
    return out.astype(np.float32)


def tifs(folder: Path, values: np.ndarray, grid: Grid, scale: float) -> Path:
    for day, layer in zip(formats.DATES, values, strict=True):
        formats.write_tif(folder / f"d_{day}.tif", layer * np.float32(scale), grid)
    return folder


def labelled(values: np.ndarray, grid: Grid, units: str = "mm") -> xr.Dataset:
    scale = {"m": 1.0, "mm": 1000.0}[units]
    cube = xr.DataArray(
        (values * scale).astype(np.float32),
        dims=("time", "y", "x"),
        coords={"time": DAYS, **grid.coords},
        attrs={"units": units},
    )
    return cube.rename("los").to_dataset().rio.write_crs(grid.crs)


def written(kind: str, folder: Path, values: np.ndarray, grid: Grid) -> DisplacementSeries:
    """``values`` in the layout of ``kind``, opened."""
    folder.mkdir(exist_ok=True)
    if kind == "geotiff":
        tifs(folder, values, grid, -1000.0)
        return open_displacement(folder, displacement="d_{date}.tif", units="mm", sign=-1)
    if kind.startswith("flat"):
        interleave = kind.removeprefix("flat-")
        order = {"bip": (1, 2, 0), "bil": (1, 0, 2), "bsq": (0, 1, 2)}[interleave]
        (values * np.float32(100.0)).transpose(order).tofile(folder / "cube")
        formats.write_tif(folder / "dem.tif", np.ones(grid.shape, np.float32), grid)
        (folder / "list.txt").write_text(
            "".join(f"{k} {d} 1 2020.{k} {40.0 * k}\n" for k, d in enumerate(formats.DATES))
        )
        return open_displacement(
            folder / "cube", like="dem.tif", dates="list.txt", baselines="list.txt",
            units="cm", interleave=interleave,
        )  # fmt: skip
    if kind == "zarr":
        labelled(values, grid).to_zarr(folder / "cube.zarr", consolidated=False, zarr_format=3)
        return open_displacement(folder / "cube.zarr")
    if kind == "netcdf3":
        labelled(values, grid).to_netcdf(folder / "cube.nc", engine="scipy")
        return open_displacement(folder / "cube.nc")
    if kind == "netcdf4":
        write_netcdf4(folder / "cube.nc", values, grid)
        return open_displacement(folder / "cube.nc")
    if kind == "mintpy":
        with h5py.File(folder / "timeseries.h5", "w") as target:
            target["timeseries"] = np.nan_to_num(values - values[0])  # MintPy's fill is 0
            target["date"] = np.array(formats.DATES, np.bytes_)
            target["bperp"] = np.array([0.0, 40.0, 80.0, 120.0], np.float32)
            target.attrs.update(formats.mintpy_attributes(grid.shape, grid) | {"UNIT": "m"})
        return open_displacement(folder / "timeseries.h5")
    with h5py.File(folder / "cum.h5", "w") as target:  # LiCSBAS
        target["cum"] = 1000.0 * values
        target["imdates"] = np.array([int(d) for d in formats.DATES], np.int32)
        target["bperp"] = np.array([0.0, 40.0, 80.0, 120.0], np.float32)
        target["corner_lat"], target["corner_lon"] = 46.9, 10.8
        target["post_lat"], target["post_lon"] = -0.001, 0.001
    return open_displacement(folder / "cum.h5")


def write_netcdf4(path: Path, values: np.ndarray, grid: Grid) -> None:
    """A packed cube over (y, x, time) with y ascending, as netCDF-4 libraries lay it out."""
    from rasterio.crs import CRS

    packed = np.round(values * 1e5).transpose(1, 2, 0)[::-1]
    with h5py.File(path, "w") as target:
        target["time"] = (DAYS - pd.Timestamp("2020-01-01")).days.to_numpy()
        target["time"].attrs["units"] = "days since 2020-01-01"
        target["time"].attrs["calendar"] = "standard"
        target["y"], target["x"] = grid.y[::-1], grid.x
        cube = target.create_dataset(
            "los", data=np.where(np.isnan(packed), -32768, packed).astype(np.int16)
        )
        for k, name in enumerate(("y", "x", "time")):
            target[name].make_scale(name)
            cube.dims[k].attach_scale(target[name])
        attrs = {"units": "m", "scale_factor": 1e-5, "_FillValue": np.int16(-32768)}
        cube.attrs.update({**attrs, "grid_mapping": "crs"})
        target["crs"] = 0
        target["crs"].attrs["crs_wkt"] = CRS.from_user_input(grid.crs).to_wkt()


FLAT = ["flat-bip", "flat-bil", "flat-bsq"]
KINDS = ["geotiff", *FLAT, "zarr", "netcdf3", "netcdf4", "mintpy", "licsbas"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_becomes_the_same_series(
    kind: str, truth: np.ndarray, grid: Grid, tmp_path: Path
) -> None:
    series = written(kind, tmp_path / "in", truth, grid)
    own = region_grid([formats.place(series)])
    expected = Grid("EPSG:4326", 10.7995, 46.9005, 0.001, 0.001, 37, 29)
    assert own == (expected if kind == "licsbas" else grid)
    dates, rejected = assemble_displacement(series, own, tmp_path / "out.zarr", memory_mb=0.02)
    assert rejected.empty
    assert list(dates.date) == list(DAYS)
    out = io.open_dataset(tmp_path / "out.zarr")
    tolerance = 2e-5 if kind == "netcdf4" else 1e-8
    np.testing.assert_allclose(out.displacement, truth - truth[0], atol=tolerance)
    assert np.isnan(out.displacement[:, 4, 7]).all()
    assert (out.displacement[0].fillna(0) == 0).all()
    assert out.displacement.attrs["units"] == "m"
    if kind in {"mintpy", "licsbas", *FLAT}:
        assert list(out.perpendicular_baseline.values) == [0.0, 40.0, 80.0, 120.0]
    else:
        assert out.perpendicular_baseline.isnull().all()
    assert ("wavelength_m" in out.attrs) == (kind == "mintpy")


def test_worked_example_of_the_sign(grid: Grid, tmp_path: Path) -> None:
    """10 mm toward the satellite, written as -10 in mm positive away from it."""
    values = np.zeros((4, *grid.shape), np.float32)
    values[1:, 10:20] = -10.0
    tifs(tmp_path, values, grid, 1.0)
    series = open_displacement(tmp_path, displacement="d_{date}.tif", units="mm", sign=-1)
    assert float(series.read(1)[15, 3]) == pytest.approx(0.010)


def test_geometry_given_by_settings(truth: np.ndarray, grid: Grid, tmp_path: Path) -> None:
    tifs(tmp_path, truth, grid, 1.0)
    formats.write_tif(tmp_path / "dem.tif", Scene(grid).height(), grid)
    series = open_displacement(
        tmp_path, displacement="d_{date}.tif", units="m", height="dem.tif",
        incidence_deg=34.5, heading_deg=-14.0, wavelength_m=0.236,
    )  # fmt: skip
    write_geometry(series, grid, tmp_path / "geometry.zarr")
    geometry = io.open_dataset(tmp_path / "geometry.zarr")
    assert geometry.attrs == {"incidence_angle_deg": 34.5, "heading_deg": -14.0}
    np.testing.assert_array_equal(geometry.height, Scene(grid).height())
    assert series.wavelength_m == 0.236


def test_mintpy_series_in_radar_geometry(grid: Grid, tmp_path: Path) -> None:
    """A plane in longitude and latitude, through geometryRadar.h5 in inputs."""
    i, j = np.indices((60, 70)).astype(float)
    lat, lon = 46.9 + 0.0004 * i, 10.8 + 0.0005 * j
    (tmp_path / "inputs").mkdir()
    with h5py.File(tmp_path / "inputs" / "geometryRadar.h5", "w") as target:
        target["latitude"], target["longitude"] = lat, lon
    plane = (lon - 10.8) + 2 * (lat - 46.9)
    with h5py.File(tmp_path / "timeseries.h5", "w") as target:
        target["timeseries"] = np.stack([0 * plane, plane]).astype(np.float32)
        target["date"] = np.array(formats.DATES[:2], np.bytes_)
        target.attrs.update(formats.mintpy_attributes(plane.shape, None) | {"UNIT": "m"})
    series = open_displacement(tmp_path / "timeseries.h5")
    own = Grid("EPSG:4326", 10.805, 46.92, 0.0003, 0.0003, 80, 50)
    assemble_displacement(series, own, tmp_path / "out.zarr")
    x, y = np.meshgrid(own.x, own.y)
    out = io.open_dataset(tmp_path / "out.zarr").displacement[1].values
    np.testing.assert_allclose(out, (x - 10.8) + 2 * (y - 46.9), atol=1e-6)


@pytest.mark.parametrize("flaw", ["truncated", "crs", "empty", "first"])
def test_one_bad_date_is_left_out(flaw: str, truth: np.ndarray, grid: Grid, tmp_path: Path) -> None:
    folder = tifs(tmp_path / "in", truth, grid, 1.0)
    bad = formats.DATES[0 if flaw == "first" else 2]
    file = folder / f"d_{bad}.tif"
    if flaw in ("truncated", "first"):
        file.write_bytes(file.read_bytes()[:2000])
    elif flaw == "crs":
        formats.write_tif(file, truth[2], dataclasses.replace(grid, crs="EPSG:32633"))
    else:
        formats.write_tif(file, np.full(grid.shape, np.nan, np.float32), grid)
    series = open_displacement(folder, displacement="d_{date}.tif", units="m")
    dates, rejected = assemble_displacement(series, grid, tmp_path / "out.zarr")
    reason = {"crs": "different CRS within the stack", "empty": "no valid displacement"}
    assert list(rejected.reason) == [reason.get(flaw, "unreadable")]
    assert rejected.path[0] == str(file)
    assert len(dates) == 3 and bad not in {f"{d:%Y%m%d}" for d in dates.date}
    keep = [k for k in range(4) if formats.DATES[k] != bad]
    expected = truth[keep] - truth[keep[0]]
    out = io.open_dataset(tmp_path / "out.zarr").displacement
    np.testing.assert_allclose(out, expected, atol=1e-8)
    with pytest.raises(SceneError, match=rejected.reason[0]):
        assemble_displacement(series, grid, tmp_path / "stop.zarr", on_bad_input="stop")
    assert not list(tmp_path.glob("*stop*")) and not list(tmp_path.glob(".*"))


def test_first_observation_of_a_pixel_is_its_zero(
    truth: np.ndarray, grid: Grid, tmp_path: Path
) -> None:
    truth[0, 8, 8] = np.nan
    series = written("geotiff", tmp_path / "in", truth, grid)
    assemble_displacement(series, grid, tmp_path / "out.zarr")
    pixel = io.open_dataset(tmp_path / "out.zarr").displacement[:, 8, 8].values
    assert np.isnan(pixel[0]) and pixel[1] == 0.0
    np.testing.assert_allclose(pixel[2:], truth[2:, 8, 8] - truth[1, 8, 8], atol=1e-8)


def test_one_date(truth: np.ndarray, grid: Grid, tmp_path: Path) -> None:
    series = written("geotiff", tmp_path / "in", truth, grid)
    with pytest.raises(NetworkError, match=r"1 usable date\(s\) found; at least two"):
        assemble_displacement(
            series, grid, tmp_path / "out.zarr", period=("2020-07-01", "2020-07-31")
        )
    assert not (tmp_path / "out.zarr").exists()


def test_nothing_within_the_period(truth: np.ndarray, grid: Grid, tmp_path: Path) -> None:
    series = written("geotiff", tmp_path / "in", truth, grid)
    says = "dates were found, from 2020-.* but all lie outside the period 2021-01-01 to any date;"
    with pytest.raises(NetworkError, match=says):
        assemble_displacement(series, grid, tmp_path / "out.zarr", period=("2021-01-01", None))


def test_settings_that_contradict_the_files(truth: np.ndarray, grid: Grid, tmp_path: Path) -> None:
    tifs(tmp_path, truth, grid, 1.0)
    with pytest.raises(ConfigurationError, match="does not state its units"):
        open_displacement(tmp_path, displacement="d_{date}.tif")
    with pytest.raises(ConfigurationError, match=r"needs \{date\}"):
        open_displacement(tmp_path, displacement="d_{reference}.tif", units="m")
    with pytest.raises(ConfigurationError, match="no netCDF, HDF5 or Zarr cube"):
        open_displacement(tmp_path / "d_20200601.tif", units="m")
    with pytest.raises(SceneError, match="does not exist"):
        open_displacement(tmp_path / "none.h5")
    labelled(truth, grid).to_netcdf(tmp_path / "cube.nc", engine="scipy")
    with pytest.raises(ConfigurationError, match=r"units is 'm' but .* states 'mm'"):
        open_displacement(tmp_path / "cube.nc", units="m")
    with pytest.raises(ConfigurationError, match="set variable"):
        open_displacement(tmp_path / "cube.nc", variable="displacement")
    with pytest.raises(ConfigurationError, match="dates, a table"):
        open_displacement(tmp_path / "cube.nc", like="d_20200601.tif", units="m")
    (tmp_path / "cube").write_bytes(b"0" * 100)
    (tmp_path / "list.txt").write_text("20200601\n20200613\n")
    with pytest.raises(SceneError, match=r"truncated\. Found: 100 bytes\. Needed: 8584 bytes"):
        open_displacement(tmp_path / "cube", like="d_20200601.tif", dates="list.txt", units="m")
