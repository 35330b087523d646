"""Factors of the snow index: of series whose course is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from rockglacier import bands, io, snow, trend
from rockglacier.grid import Grid

MELT = [6, 7, 8, 9]
DATES = pd.date_range("2014-01-05", "2020-12-20", freq="16D")
SIZE = 12


def series(course: np.ndarray, *, clear: float = 0.6, noise: float = 0.05) -> xr.DataArray:
    """Snow index (date, y, x) of a ``course`` (date) with clouds that hide the ground."""
    rng = np.random.default_rng(7)
    values = course[:, None, None] + noise * rng.normal(size=(len(DATES), SIZE, SIZE))
    values[rng.random(values.shape) > clear] = np.nan
    coords = {"date": DATES, "y": -np.arange(SIZE, dtype=float), "x": np.arange(SIZE, dtype=float)}
    return xr.DataArray(values, dims=("date", "y", "x"), coords=coords, attrs={"units": "1"})


def seasonal(level: float = 0.2, rate: float = 0.0) -> np.ndarray:
    """Snow until day 160 of each year: 0.6 about ``level``."""
    day = DATES.day_of_year.to_numpy()
    years = (DATES - DATES[0]).days.to_numpy() / 365.25
    return np.asarray(level + 0.6 * np.cos(2 * np.pi * (day - 45.0) / 365.25) + rate * years)


def mean(found: xr.Dataset, name: str) -> float:
    return float(found[name].mean())


def test_the_index_of_reflectances() -> None:
    green = xr.DataArray([0.8, 0.1, 0.0, 1.2, np.nan])
    swir = xr.DataArray([0.1, 0.3, 0.2, 0.2, 0.2])
    found = snow.index(green, swir)
    assert found.values[:2] == pytest.approx([7 / 9, -0.5])
    assert np.isnan(found.values[2:]).all() and found.attrs["units"] == "1"


def test_seasonal_snow() -> None:
    found = snow.variation(series(seasonal()), melt_months=MELT)
    assert mean(found, "amplitude") == pytest.approx(0.6, abs=0.02)
    # 0.2 + 0.6 cos = 0.4 where cos = 1/3: 70.5 degrees after day 45.
    assert mean(found, "snow_off") == pytest.approx(45.0 + 70.53 / 360.0 * 365.25, abs=3.0)
    assert mean(found, "rms") == pytest.approx(0.05, rel=0.2)
    truth = seasonal()[DATES.month.isin(MELT)]
    assert mean(found, "melt_mean") == pytest.approx(truth.mean(), abs=0.03)
    assert mean(found, "persistence") < 0.05
    assert mean(found, "count") == pytest.approx(0.6 * len(DATES), rel=0.05)
    assert mean(found, "anomaly_high") == pytest.approx(1.645, abs=0.3)
    assert {found[name].attrs["units"] for name in found} == {"1", "d", "1/yr"}


def test_snow_that_stays_and_ground_that_is_never_snowy() -> None:
    always = snow.variation(series(np.full(len(DATES), 0.8)), melt_months=MELT)
    never = snow.variation(series(np.full(len(DATES), -0.3)), melt_months=MELT)
    assert mean(always, "persistence") == 1.0 and mean(never, "persistence") == 0.0
    assert always["snow_off"].isnull().all() and never["snow_off"].isnull().all()


def test_a_trend_and_its_error() -> None:
    found = snow.variation(series(seasonal(rate=-0.03)), melt_months=MELT)
    z = (found["trend"] + 0.03) / found["trend_error"]
    assert 0.88 < float((np.abs(z) < 1.96).mean()) <= 1.0
    assert mean(found, "trend_z") < -4.0
    assert found["melt_trend"].isnull().all()  # seven years are too few
    still = snow.variation(series(seasonal()), melt_months=MELT)
    assert abs(mean(still, "trend")) < 0.003 and abs(mean(still, "trend_z")) < 0.6


@pytest.mark.parametrize("rows", [1, 5, SIZE])
def test_shares_of_chance_are_those_of_the_whole_map_whatever_the_bands(
    rows: int, tmp_path: Path
) -> None:
    grid = Grid("EPSG:32632", 640000.0, 5200000.0, 30.0, 30.0, SIZE, SIZE)
    values = series(seasonal(), noise=0.1)
    years = (values.date - values.date[0]) / np.timedelta64(1, "D") / 365.25
    changes = xr.DataArray(np.arange(SIZE) < 4, dims="y")  # all in one band, or in some
    values = (values - 0.05 * years * changes).drop_vars(["y", "x"]).assign_coords(grid.coords)
    values = values.assign_attrs(units="1")
    values[:, 2, 3] = np.nan

    def told(band: bands.Band) -> xr.Dataset:
        return snow.variation(values.isel(y=band.inner), melt_months=MELT)

    bands.write(
        told, bands.cut(SIZE, rows), tmp_path / "snow.zarr", grid=grid, threads=2,
        provenance={}, of_all=trend.shares_of_chance,
    )  # fmt: skip
    found = io.open_dataset(tmp_path / "snow.zarr")
    assert set(found) == {*snow.FACTORS, "trend_q", "melt_trend_q"}
    z, q = found["trend_z"].values, found["trend_q"].values
    known = np.isfinite(z)
    assert known.sum() == SIZE**2 - 1 and np.isnan(q[2, 3])
    wanted = stats.false_discovery_control(2.0 * stats.norm.sf(np.abs(z[known])))
    np.testing.assert_allclose(q[known], wanted, rtol=1e-6)
    assert (q[:4] < 0.05).mean() > 0.9 and (q[4:] < 0.05).mean() < 0.1
    assert found["melt_trend_q"].isnull().all()  # seven years are too few
    assert found["trend_q"].attrs["units"] == "1" and found["trend_q"].rio.crs == "EPSG:32632"


def test_too_few_clear_dates_tell_nothing() -> None:
    values = series(seasonal())
    values[14:, 2:5, 2:5] = np.nan
    found = snow.variation(values, melt_months=MELT)
    inner = found.isel(y=slice(2, 5), x=slice(2, 5))
    assert (inner["count"] < 15).all()
    assert all(inner[name].isnull().all() for name in found if name != "count")
    assert found["amplitude"].isel(y=slice(6, None)).notnull().all()
