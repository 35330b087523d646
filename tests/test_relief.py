"""Factors of terrain on surfaces whose shape is known."""

import numpy as np
import pytest
import xarray as xr

from rockglacier import relief
from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid

GRID = Grid("EPSG:32632", 480_000.0, 5_190_000.0, 20.0, 40.0, 81, 61)
X, Y = np.meshgrid(GRID.x - GRID.x.mean(), GRID.y - GRID.y.mean())
INNER = np.s_[15:-15, 20:-20]


def factors(heights: np.ndarray, **options: float) -> xr.Dataset:
    dem = xr.DataArray(
        heights.astype(np.float64), dims=("y", "x"), coords=GRID.coords, attrs={"units": "m"}
    )
    return relief.factors(dem, GRID, **options)


def test_a_plane_faces_one_way_and_does_not_bend() -> None:
    found = factors(2000.0 - 0.4 * X, smooth_m=0.0)  # falls to the east
    inner = found.isel(y=slice(5, -5), x=slice(5, -5))
    assert float(inner["eastness"].min()) > 0.999 and float(abs(inner["northness"]).max()) < 0.03
    assert float(inner["slope"].mean()) == pytest.approx(np.degrees(np.arctan(0.4)), abs=1e-3)
    for name in ("profile_curvature", "plan_curvature", "ruggedness"):
        assert float(abs(inner[name]).max()) < 1e-6
    # 500 m to either side, on pixels of 20 m.
    assert float(
        inner["relative_relief"].sel(x=X[0, 40] + GRID.x.mean(), method="nearest")[30]
    ) == (pytest.approx(0.4 * 1000.0, rel=0.01))
    assert {found[k].attrs["units"] for k in found} == {"m", "deg", "1", "1/m"}


def test_a_ridge_is_convex_and_a_gully_concave_along_the_contour() -> None:
    radius = 400.0
    for sign in (1.0, -1.0):
        # A roof with a round crest that falls to the north: contours bend about the crest line.
        heights = 2000.0 - 0.5 * Y - sign * X**2 / (2.0 * radius)
        found = factors(heights, smooth_m=0.0)
        middle = found["plan_curvature"].values[20:40, 40]
        steep = 0.25
        assert np.median(middle) == pytest.approx(sign / radius / np.sqrt(1.0 + steep), rel=0.02)
        assert np.abs(np.median(found["profile_curvature"].values[20:40, 40])) < 1e-5


def test_a_convex_front_bends_down_the_slope() -> None:
    bend = 1.0 / 500.0
    heights = 2000.0 - 0.3 * Y - 0.5 * bend * Y**2
    found = factors(heights, smooth_m=0.0)
    slope = 0.3 + bend * Y
    expected = bend / (1.0 + slope**2) ** 1.5
    np.testing.assert_allclose(found["profile_curvature"].values[INNER], expected[INNER], rtol=0.02)


def test_rough_ground_is_rugged_and_a_hill_stands_over_its_surroundings() -> None:
    rng = np.random.default_rng(0)
    smooth = 2000.0 - 0.4 * X
    rough = smooth + 5.0 * rng.standard_normal(GRID.shape)
    told = [float(factors(h)["ruggedness"].mean()) for h in (smooth, rough)]
    assert told[1] > 0.01 > 1e-4 > told[0]
    hill = 100.0 * np.exp(-(X**2 + Y**2) / (2 * 120.0**2))
    found = factors(hill)
    assert float(found["position"][30, 40]) > 60.0 and float(found["position"][30, 5]) < 1.0


def test_voids_stay_missing() -> None:
    heights = 2000.0 - 0.4 * X
    heights[20:24, 30:36] = np.nan
    found = factors(heights)
    for name in found:
        assert found[name].isnull().values[20:24, 30:36].all()
        assert found[name].notnull().values[30:, :].all(), name


def test_degrees_are_refused() -> None:
    grid = Grid("EPSG:4326", 10.0, 47.0, 0.001, 0.001, 20, 20)
    dem = xr.DataArray(
        np.zeros(grid.shape), dims=("y", "x"), coords=grid.coords, attrs={"units": "m"}
    )
    with pytest.raises(ConfigurationError, match="metres are needed"):
        relief.factors(dem, grid)


def test_a_dome_stands_out_and_a_hollow_lies_deep() -> None:
    radius = np.hypot(X, Y)
    dome = 2000.0 + 25.0 * np.exp(-((radius / 120.0) ** 2))
    found = factors(dome)
    middle = GRID.height // 2, GRID.width // 2
    assert float(found["form"][middle]) > 5.0
    assert float(factors(4000.0 - dome)["form"][middle]) < -5.0


def test_rough_ground_is_told_from_smooth() -> None:
    chequered = 2.0 * (np.indices(GRID.shape).sum(axis=0) % 2)
    plane = 2000.0 - 0.2 * X
    told = factors(plane + np.where(X < 0.0, chequered, 0.0))["roughness"]
    row = GRID.height // 2
    assert float(told[row, 15]) == pytest.approx(1.0, abs=0.2)  # heights of 0 and 2 m
    assert float(told[row, -15]) < 0.1


def test_a_tread_lies_beside_its_front() -> None:
    # A slope of 10 degrees that ends in a front of 30 m.
    tread = 2000.0 - np.tan(np.radians(10.0)) * X - 30.0 / (1.0 + np.exp(-(X - 100.0) / 15.0))
    found = factors(tread)["margin"]
    row = GRID.height // 2
    beside = np.abs(GRID.x - GRID.x.mean() - 20.0).argmin()
    far = np.abs(GRID.x - GRID.x.mean() + 400.0).argmin()
    assert float(found[row, beside]) > 10.0 and abs(float(found[row, far])) < 1.0
