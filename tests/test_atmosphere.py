"""Delays of known size, sign and place are recovered; motion is not taken for air."""

import logging

import numpy as np
import pytest
import rasterio
import xarray as xr
from scipy.ndimage import gaussian_filter, map_coordinates

from rockglacier.atmosphere import (
    MIN_CORRELATION,
    SAMPLE,
    ZenithDelays,
    height_slopes,
    ramp_slopes,
    robust_fit,
    scatter,
    slant_delay,
)
from rockglacier.errors import DimensionError, SceneError, UnitsError
from rockglacier.grid import Grid

GRID = Grid("EPSG:32632", 640000.0, 5200000.0, 40.0, 40.0, 110, 90)
DATES = np.datetime64("2020-01-01", "ns") + np.arange(10) * np.timedelta64(12, "D")


def smooth(rng, pixels, shape=GRID.shape):
    field = gaussian_filter(rng.standard_normal(shape), pixels, mode="reflect")
    return (field - field.mean()) / field.std()


def relief(seed=0):
    height = 2600.0 + 350.0 * smooth(np.random.default_rng(seed), 9)
    return xr.DataArray(height, dims=("y", "x"), coords=GRID.coords, attrs={"units": "m"})


def samples(values, share=1.0, seed=0):
    """A (date, y, x) array as (date, sample) at a random share of its pixels."""
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random(GRID.shape) < share)
    whole = xr.DataArray(
        values,
        dims=("date", "y", "x"),
        coords={"date": DATES[: len(values)], **GRID.coords},
        attrs={"units": "m"},
    )
    at = {"y": xr.DataArray(rows, dims=SAMPLE), "x": xr.DataArray(columns, dims=SAMPLE)}
    return whole.isel(at), at


def test_a_robust_fit_is_deaf_to_a_tenth_of_outliers_and_to_gaps():
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, 2000)
    design = np.column_stack([np.ones_like(x), x])
    values = 2.0 + 3.0 * x + rng.normal(0, 0.1, (4, x.size))
    values[1, x > 0.8] += 5.0  # outliers on one side only
    values[2, ::2] = np.nan
    values[3, 3:] = np.nan
    found = robust_fit(design, values)
    assert np.abs(found[:3] - [2.0, 3.0]).max() < 0.02
    assert np.isnan(found[3]).all()
    assert scatter(values[:1] - found[0] @ design.T)[0] == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_delay_with_height_is_recovered_beside_turbulence_and_a_tongue(seed):
    rng = np.random.default_rng(seed)
    height = relief(seed)
    slopes = np.concatenate([[0.0], rng.normal(0, 12e-6, len(DATES) - 1)])  # m per m
    values = slopes[:, None, None] * (height.values - 2600.0)
    values += 2e-3 * np.stack([0 * smooth(rng, 20), *(smooth(rng, 20) for _ in DATES[1:])])
    # A tongue on 5 % of the ground, high up: what a least-squares line would bend toward.
    tongue = height.values > height.quantile(0.95).item()
    values += np.where(tongue, 0.1, 0.0) * (np.arange(len(DATES)) / 9.0)[:, None, None]
    series, at = samples(values, 0.5)
    found = height_slopes(series, height.isel(at), keep=True)
    error = found["slope"].values - slopes
    # 2 mm of turbulence over 350 m of relief, correlated over some 20 x 20 pixels.
    assert np.sqrt(np.mean(error**2)) < 2.5e-6
    least_squares = np.array([np.polyfit(height.isel(at), row, 1)[0] for row in series.values])
    assert np.sqrt(np.mean(error**2)) < 0.25 * np.sqrt(np.mean((least_squares - slopes) ** 2))


def test_auto_keeps_clear_dates_and_leaves_the_rest_alone():
    rng = np.random.default_rng(5)
    height = relief(5)
    slopes = np.array([0, 30, 0.3, -25, 0, 18, 0, 0, -30, 0]) * 1e-6
    values = slopes[:, None, None] * (height.values - 2600.0)
    values += 2e-3 * rng.standard_normal(values.shape)
    series, at = samples(values)
    found = height_slopes(series, height.isel(at))
    assert ((found["slope"] != 0) == (np.abs(slopes) > 1e-6)).all()
    assert np.abs(found["slope"] - slopes).max() < 0.5e-6
    kept = found["slope"] != 0
    assert (found["held_out_after"] < found["held_out_before"]).where(kept, True).all()
    assert (np.abs(found["correlation"]) >= MIN_CORRELATION).where(kept, True).all()


def test_height_and_ramp_are_told_apart():
    rng = np.random.default_rng(7)
    height = relief(7)
    x, y = np.meshgrid(GRID.x - GRID.x.mean(), GRID.y - GRID.y.mean())
    values = np.zeros((3, *GRID.shape))
    values[1] = 15e-6 * (height.values - 2600.0) + 2e-6 * x - 3e-6 * y
    values[2] = -4e-6 * x
    values[1:] += 1e-3 * rng.standard_normal(values[1:].shape)
    series, at = samples(values, 0.4)
    slope = height_slopes(series, height.isel(at), ramp=True)["slope"]
    assert np.abs(slope - [0, 15e-6, 0]).max() < 0.3e-6
    plane = ramp_slopes(series - slope * (height.isel(at) - 2600.0).assign_attrs(units="m"))
    assert np.abs(plane["along_x"] - [0, 2e-6, -4e-6]).max() < 0.05e-6
    assert np.abs(plane["along_y"] - [0, -3e-6, 0]).max() < 0.05e-6


# --- external delays -------------------------------------------------------------------------

LATTICE = Grid("EPSG:4326", 10.8, 46.99, 1 / 1200, 1 / 1200, 110, 90)


def zenith(lon, lat, day):
    """A smooth zenith delay (m), near the bilinear limit of its lattice."""
    return 2.0 + 0.05 * day * np.sin(40 * (lon - 10.8)) + 0.03 * np.cos(60 * (lat - 46.9)) * day


def write_gacos(folder, name, values, lattice, header=None):
    values.astype("<f4").tofile(folder / f"{name}.ztd")
    fields = {
        "WIDTH": lattice.width,
        "FILE_LENGTH": lattice.height,
        "X_FIRST": lattice.west,
        "Y_FIRST": lattice.north,
        "X_STEP": lattice.dx,
        "Y_STEP": -lattice.dy,
    } | (header or {})
    text = "".join(
        f"{k}  {v:.9f}\n" if isinstance(v, float) else f"{k}  {v}\n" for k, v in fields.items()
    )
    (folder / f"{name}.ztd.rsc").write_text(text)


def write_tiff(path, values, lattice):
    with rasterio.open(
        path, "w", driver="GTiff", width=lattice.width, height=lattice.height, count=1,
        dtype="float32", crs=lattice.crs, transform=lattice.transform, nodata=np.nan,
    ) as target:  # fmt: skip
        target.write(values.astype(np.float32), 1)


@pytest.fixture
def folder(tmp_path):
    """Three dates, named and stored in three ways."""
    lon, lat = np.meshgrid(LATTICE.x, LATTICE.y)
    write_gacos(tmp_path, "20200101", zenith(lon, lat, 0), LATTICE)
    write_tiff(tmp_path / "2020-01-13.tif", zenith(lon, lat, 1), LATTICE)
    write_gacos(tmp_path, "20200125", zenith(lon, lat, 2), LATTICE)
    write_tiff(tmp_path / "20200125_gacos.tif", 0 * lon, LATTICE)  # the .ztd is preferred
    (tmp_path / "readme.txt").write_text("not a delay")
    return tmp_path


def series_on(grid, dates=DATES[:3]):
    return xr.DataArray(
        np.zeros((len(dates), *grid.shape), np.float32),
        dims=("date", "y", "x"),
        coords={"date": dates, **grid.coords},
        attrs={"units": "m"},
    )


def lonlat(grid):
    from pyproj import Transformer

    x, y = np.meshgrid(grid.x, grid.y)
    return Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)


TARGET = Grid.over((10.82, 46.93, 10.87, 46.97), 40.0)


def test_external_delays_lengthen_the_path(folder):
    delays = ZenithDelays.open(folder, DATES[:3])
    out = slant_delay(delays, series_on(TARGET), xr.DataArray(39.0), TARGET)
    lon, lat = lonlat(TARGET)
    for day in range(3):
        truth = (zenith(lon, lat, day) - zenith(lon, lat, 0)) / np.cos(np.radians(39.0))
        assert np.abs(out[day] - truth).max() < 2e-4
    # What a sensor sees of ground at rest when the path lengthens is motion away; adding the
    # delay back leaves nothing.
    seen = -(zenith(lon, lat, 2) - zenith(lon, lat, 0)) / np.cos(np.radians(39.0))
    assert np.abs(seen + out[2]).max() < 2e-4 < np.abs(seen).max()
    assert out.attrs["units"] == "m"


@pytest.mark.parametrize("rows", [1, 17, 1000])
def test_lazy_delays_equal_eager_ones(folder, rows):
    delays = ZenithDelays.open(folder, DATES[:3])
    series = series_on(TARGET)
    incidence = xr.DataArray(
        np.linspace(30, 45, TARGET.width)[None, :] + np.zeros(TARGET.shape),
        dims=("y", "x"),
        coords=TARGET.coords,
    )
    eager = slant_delay(delays, series, incidence, TARGET)
    lazy = slant_delay(delays, series.chunk({"y": rows}), incidence, TARGET)
    assert lazy.chunks
    xr.testing.assert_allclose(lazy.compute(), eager, atol=1e-6)
    at = {k: xr.DataArray([3, 50, 7], dims=SAMPLE) for k in ("y", "x")}
    points = slant_delay(delays, series.isel(at), incidence.isel(at), TARGET)
    xr.testing.assert_allclose(points, eager.isel(at), atol=1e-6)


def test_misplaced_delays_are_noticed_and_registered(tmp_path, caplog):
    rng = np.random.default_rng(8)
    there = 2600.0 + 400.0 * smooth(rng, 5, LATTICE.shape)
    lon, lat = lonlat(TARGET)
    at = (LATTICE.north - lat) / LATTICE.dy - 0.5, (lon - LATTICE.west) / LATTICE.dx - 0.5
    height = map_coordinates(there, at, order=1)
    height = xr.DataArray(height, dims=("y", "x"), coords=TARGET.coords, attrs={"units": "m"})
    height[5:9, 3:12] = np.nan
    moved = Grid("EPSG:4326", LATTICE.west - 0.0173, LATTICE.north + 0.0091, LATTICE.dx, LATTICE.dy,
                 LATTICE.width, LATTICE.height)  # fmt: skip
    for day, name in enumerate(["20200101", "20200113", "20200125"]):
        delay = 2.3 - 2.8e-4 * there * (1 + 0.02 * day) + 2e-3 * smooth(rng, 20, LATTICE.shape)
        write_gacos(tmp_path, name, delay, moved)
    delays = ZenithDelays.open(tmp_path, DATES[:3])
    assert delays.follow(height, TARGET) > -0.7
    with caplog.at_level(logging.WARNING):
        found = delays.registered(height, TARGET)
    assert "shifted" in caplog.text
    assert np.abs(np.array(found.shift) - [-0.0173, 0.0091]).max() < 0.15 * LATTICE.dx
    assert found.follow(height, TARGET) < -0.99
    flat = xr.full_like(height, 2000.0)
    assert delays.follow(flat, TARGET) is None
    noise = height.copy(data=2600.0 + 300.0 * smooth(np.random.default_rng(9), 2, TARGET.shape))
    with pytest.raises(SceneError, match="nowhere does the delay fall"):
        delays.registered(noise, TARGET)


def test_bad_delays_are_named(folder):
    with pytest.raises(SceneError, match="2020-02-06"):
        ZenithDelays.open(folder, DATES[:4])
    with pytest.raises(SceneError, match="not of 2020-01-01"):
        ZenithDelays.open(folder / "absent", DATES[:3])
    delays = ZenithDelays.open(folder, DATES[:3])
    with pytest.raises(DimensionError, match="dates"):
        slant_delay(delays, series_on(TARGET, DATES[1:4]), xr.DataArray(39.0), TARGET)
    wide = Grid.over((10.7, 46.93, 10.87, 46.97), 400.0)
    with pytest.raises(SceneError, match=r"20200101\.ztd .*covers"):
        slant_delay(delays, series_on(wide), xr.DataArray(39.0), wide)
    lon, lat = np.meshgrid(LATTICE.x, LATTICE.y)
    write_gacos(folder, "20200113", 1000 * zenith(lon, lat, 1), LATTICE)
    with pytest.raises(SceneError, match=r"20200113\.ztd holds values .* metres"):
        slant_delay(
            ZenithDelays.open(folder, DATES[:3]), series_on(TARGET), xr.DataArray(39.0), TARGET
        )
    write_gacos(folder, "20200113", zenith(lon, lat, 1)[:50], LATTICE)
    with pytest.raises(SceneError, match=r"20200113\.ztd holds \d+ bytes"):
        ZenithDelays.open(folder, DATES[:3])
    write_gacos(folder, "20200113", zenith(lon, lat, 1), LATTICE, {"X_STEP": "wide"})
    with pytest.raises(SceneError, match=r"20200113\.ztd\.rsc"):
        ZenithDelays.open(folder, DATES[:3])
    (folder / "20200113.ztd.rsc").unlink()
    with pytest.raises(SceneError, match="lacks its header"):
        ZenithDelays.open(folder, DATES[:3])


def test_units_are_required():
    series, at = samples(np.zeros((2, *GRID.shape)))
    with pytest.raises(UnitsError):
        height_slopes(series.assign_attrs(units="mm"), relief().isel(at))
