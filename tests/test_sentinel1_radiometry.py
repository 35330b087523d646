"""Backscatter of slopes: what comes back is divided by the area that was lit."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from test_simulation_acquisitions import acquisitions_of

from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid
from rockglacier.sentinel1 import engine, geocoding
from rockglacier.sentinel1.annotation import Band
from rockglacier.sentinel1.radiometry import flattening, independent_looks, surroundings

GRID = Grid("EPSG:32632", 651_000.0, 5_190_000.0, 5.0, 10.0, 480, 200)


@pytest.fixture(scope="module")
def orbit(ideal_scenes):
    return acquisitions_of(ideal_scenes)[0].orbit


def roof(slope_deg):
    """A ridge that runs north, its sides sloping by so much."""
    x, _ = np.meshgrid(GRID.x - GRID.x.mean(), GRID.y)
    # Rounded at the top, as ground is.
    return 2500.0 - np.tan(np.radians(slope_deg)) * (np.hypot(x, 60.0) - 60.0)


@pytest.mark.parametrize("slope_deg", [0.0, 8.0, 14.0, 20.0])
def test_gamma_nought_of_slopes_is_level(orbit, slope_deg, record_property):
    """Bar: constant within 0.5 dB. Power by scatterers, counted in cells of another raster."""
    from pyproj import Transformer

    rng = np.random.default_rng(1)
    height = roof(slope_deg)
    factor = flattening(orbit, GRID, height).values
    count = 3_000_000
    west, south, east, north = GRID.bounds
    x, y = rng.uniform(west, east, count), rng.uniform(south, north, count)
    away = np.hypot(x - GRID.x.mean(), 60.0)
    fall = np.tan(np.radians(slope_deg)) * (x - GRID.x.mean()) / away
    up = 2500.0 - np.tan(np.radians(slope_deg)) * (away - 60.0)
    to = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    lonlat = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True)
    place = np.stack(to.transform(*lonlat.transform(x, y), up), axis=-1)
    when = (place - orbit.position(0.0)) @ orbit.velocity(0.0)
    when /= np.linalg.norm(orbit.velocity(0.0)) ** 2
    for _ in range(4):
        gap, speed = place - orbit.position(when), orbit.velocity(when)
        when = when + (gap * speed).sum(axis=1) / (speed**2).sum(axis=1)
    gap = orbit.position(when) - place
    distance = np.linalg.norm(gap, axis=1)
    # Local axes at the middle: vertical, and east.
    middle = place.mean(axis=0)
    vertical = middle / np.linalg.norm(middle)
    eastward = np.cross([0.0, 0.0, 1.0], vertical)
    eastward /= np.linalg.norm(eastward)
    sight = gap / distance[:, None]
    power = sight @ vertical + fall * (sight @ eastward)
    power *= (east - west) * (north - south) / count
    cell_s, cell_m = 0.005, 15.0
    bins = [
        np.arange(when.min(), when.max(), cell_s),
        np.arange(distance.min(), distance.max(), cell_m),
    ]
    total, _, _ = np.histogram2d(when, distance, bins=bins, weights=np.maximum(0.0, power))
    pace = np.linalg.norm(orbit.velocity(0.0)) * np.linalg.norm(middle) ** 2
    pace *= (middle @ orbit.position(0.0)) / np.linalg.norm(middle) ** 2
    pace /= np.linalg.norm(orbit.position(0.0)) ** 2
    beta = total / (cell_s * cell_m * pace)
    # Read back at the pixels of the map, by the same scatterers' places.
    row, column = (
        np.clip(np.digitize(v, b) - 1, 0, b.size - 2)
        for v, b in zip((when, distance), bins, strict=True)
    )
    at = ((north - y) / GRID.dy).astype(int), ((x - west) / GRID.dx).astype(int)
    gamma = beta[row, column] * factor[at]
    inside = (np.abs(x - GRID.x.mean()) < 900.0) & (np.abs(y - GRID.y.mean()) < 700.0)
    across = ((x[inside] - west) / 100.0).astype(int)
    profile = [10.0 * np.log10(np.nanmean(gamma[inside][across == k])) for k in np.unique(across)]
    record_property("worst_db", float(np.abs(profile).max()))
    assert np.abs(profile).max() < 0.5


def test_ground_that_faces_away_is_missing(orbit):
    x, _ = np.meshgrid(GRID.x - GRID.x.mean(), GRID.y)
    factor = flattening(orbit, GRID, 2500.0 - np.tan(np.radians(70.0)) * np.abs(x)).values
    assert np.isnan(factor).any() and (factor[np.isfinite(factor)] > 0).all()


@pytest.mark.parametrize("pixel", [(10.0, 5.0), (20.0, 10.0), (25.0, 12.5)])
def test_level_ground_is_level_at_any_spacing(orbit, pixel):
    grid = replace(GRID, dy=pixel[0], dx=pixel[1], height=120, width=160)
    factor = flattening(orbit, grid, np.full(grid.shape, 2500.0)).values
    level = 10.0 * np.log10(factor / np.tan(np.radians(incidence(orbit, grid))))
    assert np.isfinite(level).mean() > 0.8
    assert np.nanpercentile(np.abs(level), 99.0) < 0.3


def incidence(orbit, grid):
    """Incidence angle (degrees) on level ground at 2500 m amid the grid."""
    height = xr.DataArray(np.full(grid.shape, 2500.0), dims=("y", "x"), coords=grid.coords)
    height.attrs["units"] = "m"
    return geocoding.geometry(orbit, -13.0, grid, height).attrs["incidence_angle_deg"]


def test_a_void_does_not_change_the_ground_around_it(orbit):
    height = np.full(GRID.shape, 2500.0)
    whole = flattening(orbit, GRID, height).values
    height[50:60, 100:120] = np.nan
    factor = flattening(orbit, GRID, height).values
    told = np.isfinite(factor) & np.isfinite(whole)
    off = 10.0 * np.log10(factor[told] / whole[told])
    assert np.abs(off).max() < 0.5 and told.mean() > 0.85
    # Along the edges of what is known, what lies beyond may be lit with it.
    assert np.isnan(whole[:, 0]).all() and np.isnan(whole[0]).all()


def test_heights_beyond_the_grid_serve_its_edge(orbit):
    wide = surroundings(GRID)
    factor = flattening(orbit, GRID, np.full(wide.shape, 2500.0), ground=wide).values
    assert np.isfinite(factor).all()


def speckle(shape, spacing_s, bands, rng):
    """Complex noise whose spectrum is that of ``bands`` along each axis."""
    spectrum = rng.standard_normal((2, *shape))
    spectrum = spectrum[0] + 1j * spectrum[1]
    for axis, (step, band) in enumerate(zip(spacing_s, bands, strict=True)):
        f = np.fft.fftfreq(shape[axis], step)
        a = band.hamming
        w = np.where(np.abs(f) <= 0.5 * band.width_hz,
                     a + (1.0 - a) * np.cos(2.0 * np.pi * f / band.width_hz), 0.0)  # fmt: skip
        spectrum = spectrum * np.expand_dims(w, 1 - axis)
    return np.fft.ifft2(spectrum)


@pytest.mark.parametrize("hamming", [1.0, 0.75])
@pytest.mark.parametrize("looks", [(4, 10), (2, 5), (1, 1)])
def test_independent_looks_are_those_of_speckle(hamming, looks):
    """Averaged speckle of that band and window, sampled as the fine grid is."""
    bands = Band(313.0, hamming), Band(48.3e6, hamming)
    fine = replace(GRID, dx=40.0 / looks[1], dy=40.0 / looks[0])
    stated = independent_looks(fine, looks, 39.0, 0.0, bands[1], bands[0])
    # Samples finer than the band needs, of which the grid takes some.
    seconds = 10.0 / geocoding.GROUND_SPEED_M_S, 2.0 * 4.0 * np.sin(np.radians(39.0)) / 299792458.0
    rng = np.random.default_rng(3)
    means = []
    for _ in range(6):
        power = np.abs(speckle((512, 500), seconds, bands, rng)) ** 2
        power = power[:: 4 // looks[0], :: 10 // looks[1]]
        blocks = power.reshape(128, looks[0], 50, looks[1])
        means.append(blocks.mean(axis=(1, 3)))
    found = np.mean(means) ** 2 / np.var(means)
    assert stated == pytest.approx(found, rel=0.05)


def test_too_few_looks_are_refused(ideal_scenes):
    date = acquisitions_of(ideal_scenes)[0]
    coarse = replace(GRID, dx=40.0, dy=40.0)
    assert 4.0 < engine.independent_looks(date, coarse, (2, 4), 39.0) < 8.0
    with pytest.raises(ConfigurationError, match=r"looks is \[1, 1\]: 1\.0 independent looks"):
        engine.independent_looks(date, coarse, (1, 1), 39.0)


def test_unknown_height_is_missing(orbit):
    height = roof(10.0)
    height[50:60, 100:120] = np.nan
    factor = flattening(orbit, GRID, height).values
    assert np.isnan(factor[50:60, 100:120]).all()
