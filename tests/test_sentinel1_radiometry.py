"""Backscatter of slopes: what comes back is divided by the area that was lit."""

import numpy as np
import pytest
from test_simulation_acquisitions import acquisitions_of

from rockglacier.grid import Grid
from rockglacier.sentinel1.radiometry import flattening

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


def test_unknown_height_is_missing(orbit):
    height = roof(10.0)
    height[50:60, 100:120] = np.nan
    factor = flattening(orbit, GRID, height).values
    assert np.isnan(factor[50:60, 100:120]).all()
