"""Sun, horizon and sunlight against almanac, geometry and sums over level ground."""

import numpy as np
import pytest
import xarray as xr

from rockglacier import sunlight
from rockglacier.grid import Grid
from rockglacier.terrain import terrain

GRID = Grid("EPSG:32632", 480_000.0, 5_190_000.0, 40.0, 40.0, 81, 81)  # 9 E, 47 N: north is up


def dem(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(
        values.astype(np.float32), dims=("y", "x"), coords=GRID.coords, attrs={"units": "m"}
    )


@pytest.mark.parametrize(
    ("day", "hour", "azimuth", "elevation"),
    [
        (172, 12.0, 180.0, 90.0 - 47.0 + 23.44),  # solstices
        (355, 12.0, 180.0, 90.0 - 47.0 - 23.44),
        (80, 12.0, 180.0, 43.0),  # equinox, to a quarter of a degree within the day
        (80, 6.0, 90.0, 0.0),
        (172, 15.0, 252.6, 47.2),
    ],
)
def test_the_sun_stands_where_the_almanac_says(
    day: int, hour: float, azimuth: float, elevation: float
) -> None:
    sun = sunlight.sun_at(np.array([day]), np.array([hour]), 47.0)
    assert float(sun.elevation_deg[0]) == pytest.approx(elevation, abs=0.5)
    assert float(sun.azimuth_deg[0]) == pytest.approx(azimuth, abs=0.7)
    assert float(sunlight.sun_at(np.array([3]), np.array([12.0]), 47.0).nearness[0]) == (
        pytest.approx(1.0351, abs=1e-3)
    )


@pytest.mark.parametrize("azimuth", [0.0, 90.0, 180.0, 270.0])
def test_a_wall_hides_what_lies_behind_it(azimuth: float) -> None:
    heights = np.zeros(GRID.shape)
    along = {0.0: np.s_[:3], 180.0: np.s_[-3:], 90.0: np.s_[:, -3:], 270.0: np.s_[:, :3]}
    heights[along[azimuth]] = 800.0
    found = sunlight.horizon(dem(heights), GRID, azimuth).values
    middle = found[40, 40]
    assert middle == pytest.approx(np.degrees(np.arctan(800.0 / (38.0 * 40.0))), abs=1.0)
    assert found[along[azimuth]].max() == 0.0
    assert sunlight.horizon(dem(heights), GRID, azimuth + 180.0).values[40, 40] == 0.0
    assert bool(sunlight.shaded(dem(heights), GRID, azimuth, middle - 1.0)[40, 40])
    assert not bool(sunlight.shaded(dem(heights), GRID, azimuth, middle + 1.0)[40, 40])


def test_a_void_stays_one_and_hides_nothing() -> None:
    heights = np.zeros(GRID.shape)
    heights[20:25, 20:25] = np.nan
    found = sunlight.horizon(dem(heights), GRID, 45.0).values
    assert np.isnan(found[20:25, 20:25]).all() and (found[30:] == 0.0).all()


def test_level_ground_gets_what_the_sun_sends() -> None:
    """The sum over a year, by a finer one of its own."""
    surface = terrain(dem(np.full(GRID.shape, 2000.0)), GRID)
    [found] = sunlight.potential_radiation(surface, GRID)
    day, hour = np.meshgrid(np.arange(1, 366), np.arange(0.05, 24.0, 0.1))
    latitude = 46.85
    sun = sunlight.sun_at(day.ravel(), hour.ravel(), latitude)
    high = np.radians(np.clip(sun.elevation_deg, 0.0, None))
    path = 1.0 / np.maximum(np.sin(high), 0.02)
    beam = 1361.0 * sun.nearness * np.where(high > 0.0, 0.75**path, 0.0) * np.sin(high)
    assert float(found.mean()) == pytest.approx(beam.mean(), rel=0.02)
    assert float(found.std()) < 1e-3 and found.attrs["units"] == "W/m2"


def test_slopes_to_the_south_get_more_and_valleys_less() -> None:
    y = np.arange(GRID.height)[:, None] * 40.0 + np.zeros(GRID.shape)
    inner = np.s_[30:50, 30:50]
    summer = [6, 7, 8, 9]
    told = {}
    for name, heights in (
        ("south", 3000.0 - 0.5 * y), ("north", 1000.0 + 0.5 * y), ("level", 0.0 * y + 2000.0),
        ("valley", 2000.0 + 1.0 * np.abs(y - y.mean())),
    ):  # fmt: skip
        surface = terrain(dem(heights), GRID)
        told[name] = [
            float(np.nanmean(sunlight.potential_radiation(surface, GRID, [m])[0].values[inner]))
            for m in (sunlight.YEAR, summer, [12])
        ]
    assert told["south"][0] > told["level"][0] > told["north"][0]
    assert told["level"][1] > told["level"][0] > told["level"][2]
    assert told["north"][2] < 5.0  # in December the sun stands below its horizon
    assert told["valley"][0] < told["level"][0]
