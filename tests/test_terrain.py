"""Slope, aspect and elevation of known surfaces are recovered on projected and geographic grids."""

import logging

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rockglacier.errors import DimensionError, SceneError, UnitsError
from rockglacier.grid import Grid
from rockglacier.terrain import elevation, terrain

# On the central meridian of its zone grid north is true north.
CENTRAL = Grid("EPSG:32632", 500000.0 - 600.0, 5200000.0, 40.0, 40.0, 30, 26)
DEGREES = Grid("EPSG:4326", 10.0, 60.0, 0.001, 0.0005, 30, 26)


def surface(grid, values):
    return xr.DataArray(values, dims=("y", "x"), coords=grid.coords, attrs={"units": "m"})


def plane(grid, slope_deg, aspect_deg, metres_x, metres_y):
    """Heights of a plane that falls by ``slope_deg`` toward ``aspect_deg``."""
    east, north = np.sin(np.radians(aspect_deg)), np.cos(np.radians(aspect_deg))
    return surface(
        grid, 3000.0 - np.tan(np.radians(slope_deg)) * (east * metres_x + north * metres_y)
    )


@settings(max_examples=25, deadline=None)
@given(st.floats(1.0, 60.0), st.floats(0.0, 359.9), st.sampled_from([0.0, 80.0, 150.0]))
def test_a_plane_is_recovered_to_its_edges(slope, aspect, smooth_m):
    x, y = np.meshgrid(CENTRAL.x, CENTRAL.y)
    out = terrain(
        plane(CENTRAL, slope, aspect, x - x.mean(), y - y.mean()), CENTRAL, smooth_m=smooth_m
    )
    assert np.abs(out.slope - slope).max() < 1e-3
    turn = (out.aspect - aspect + 180.0) % 360.0 - 180.0
    assert np.abs(turn).max() < 0.02  # convergence within 600 m of the central meridian


def test_degrees_are_measured_in_metres():
    lon, lat = np.meshgrid(DEGREES.x, DEGREES.y)
    x = np.radians(lon - 10.0) * 6371e3 * np.cos(np.radians(lat.mean()))
    y = np.radians(lat - lat.mean()) * 6371e3
    out = terrain(plane(DEGREES, 25.0, 130.0, x, y), DEGREES)
    assert np.abs(out.slope - 25.0).max() < 0.05
    assert np.abs(out.aspect - 130.0).max() < 0.05


def test_aspect_counts_from_true_north():
    # EPSG:3413 is upright at longitude -45: at longitude 0 the pole lies 45 degrees left of up,
    # so that grid azimuth 90 is true azimuth 135.
    from pyproj import Transformer

    x, y = Transformer.from_crs("EPSG:4326", "EPSG:3413", always_xy=True).transform(0.0, 78.0)
    grid = Grid("EPSG:3413", x - 500.0, y + 500.0, 50.0, 50.0, 20, 20)
    gx, gy = np.meshgrid(grid.x - x, grid.y - y)
    out = terrain(plane(grid, 20.0, 90.0, gx, gy), grid)
    assert np.abs(out.aspect - 135.0).max() < 0.1


def test_voids_stay_missing_and_do_not_bend_their_surroundings():
    x, y = np.meshgrid(CENTRAL.x, CENTRAL.y)
    dem = plane(CENTRAL, 30.0, 200.0, x - x.mean(), y - y.mean())
    dem[10:13, 5:9] = np.nan
    out = terrain(dem, CENTRAL)
    assert np.array_equal(np.isnan(out.slope), np.isnan(dem))
    assert np.abs(out.slope - 30.0).max() < 6.0
    assert float(np.abs(out.slope - 30.0).median()) < 1e-3


def test_level_ground_has_no_aspect():
    out = terrain(surface(CENTRAL, np.full(CENTRAL.shape, 2500.0)), CENTRAL, smooth_m=80.0)
    assert (out.slope == 0).all() and out.aspect.isnull().all()


def test_smoothing_lowers_roughness_and_keeps_elevation():
    rough = np.random.default_rng(1).normal(2000.0, 5.0, CENTRAL.shape)
    dem = surface(CENTRAL, rough)
    plain, smooth = terrain(dem, CENTRAL), terrain(dem, CENTRAL, smooth_m=120.0)
    assert float(smooth.slope.mean()) < 0.5 * float(plain.slope.mean())
    assert np.array_equal(smooth.elevation, dem)


def write(path, values, grid, nodata=None, crs=True):
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=grid.width,
        height=grid.height,
        count=1,
        dtype="float32",
        crs=grid.crs if crs else None,
        transform=grid.transform,
        nodata=nodata,
    ) as target:
        target.write(values.astype(np.float32), 1)


def test_a_warped_raster_keeps_its_heights(tmp_path, caplog):
    target = Grid.over((10.005, 59.990, 10.022, 59.998), 40.0)
    lon, lat = np.meshgrid(DEGREES.x, DEGREES.y)

    def height(lon, lat):
        return 1500.0 + 20000.0 * (lon - 10.0) + 15000.0 * (lat - 59.99)

    values = height(lon, lat)
    values[14, 12] = -32768.0  # a void that the file does not declare
    write(tmp_path / "dem.tif", values, DEGREES)
    with caplog.at_level(logging.WARNING):
        out = elevation(tmp_path / "dem.tif", target)
    from pyproj import Transformer

    x, y = np.meshgrid(target.x, target.y)
    truth = height(*Transformer.from_crs(target.crs, "EPSG:4326", always_xy=True).transform(x, y))
    assert 0.0 < float(out.isnull().mean()) < 0.05 and "without height" in caplog.text
    # Beside the void the kernel is lopsided: half a source pixel of slope at most.
    difference = np.abs(out - truth)
    assert float(difference.quantile(0.95)) < 0.3 and float(difference.max()) < 8.0
    assert out.attrs["units"] == "m"


def test_a_finer_raster_is_averaged(tmp_path):
    fine = Grid(CENTRAL.crs, CENTRAL.west, CENTRAL.north, 5.0, 5.0, 240, 208)
    values = np.random.default_rng(2).normal(1000.0, 10.0, fine.shape)
    write(tmp_path / "fine.tif", values, fine)
    assert float(elevation(tmp_path / "fine.tif", CENTRAL).std()) < 3.0


def test_scale_and_offset_of_the_band_are_applied_and_feet_refused(tmp_path):
    path = tmp_path / "dem.tif"
    write(path, np.full(CENTRAL.shape, 5000.0), CENTRAL)
    with rasterio.open(path, "r+") as source:
        source.scales, source.offsets, source.units = (0.5,), (100.0,), ("metre",)
    assert float(elevation(path, CENTRAL).mean()) == pytest.approx(2600.0)
    with rasterio.open(path, "r+") as source:
        source.units = ("ft",)
    with pytest.raises(SceneError, match=r"dem\.tif: heights in 'ft'; metres are needed"):
        elevation(path, CENTRAL)


def test_bad_input_is_named(tmp_path):
    dem = surface(CENTRAL, np.zeros(CENTRAL.shape))
    with pytest.raises(UnitsError, match="units"):
        terrain(dem.assign_attrs(units="ft"), CENTRAL)
    with pytest.raises(DimensionError, match="reproject"):
        terrain(dem[1:], CENTRAL)
    write(tmp_path / "far.tif", np.zeros(DEGREES.shape), DEGREES)
    with pytest.raises(SceneError, match=r"far\.tif has no height"):
        elevation(tmp_path / "far.tif", CENTRAL)
    write(tmp_path / "lost.tif", np.zeros(DEGREES.shape), DEGREES, crs=False)
    with pytest.raises(SceneError, match=r"lost\.tif states no CRS"):
        elevation(tmp_path / "lost.tif", CENTRAL)
    (tmp_path / "cut.tif").write_bytes(b"II*\0 cut")
    with pytest.raises(SceneError, match=r"cut\.tif"):
        elevation(tmp_path / "cut.tif", CENTRAL)
