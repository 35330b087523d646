"""Air temperature against a known field, the lapse rate against one that was laid in, bad files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from rockglacier import climate
from rockglacier.conventions import MAP, describe
from rockglacier.errors import SceneError
from rockglacier.grid import Grid

GRID = Grid("EPSG:32632", 640_000.0, 5_190_000.0, 500.0, 500.0, 40, 40)


def cells(*, rate: float = -0.006, noise: float = 0.0, years: int = 3) -> xr.Dataset:
    """A season and a warming at sea level, less ``rate`` (K/m) times the height of a cell."""
    rng = np.random.default_rng(0)
    months = pd.date_range("2010-01-01", periods=12 * years, freq="MS")
    season = 12.0 - 9.0 * np.cos(2 * np.pi * (np.arange(12 * years) % 12) / 12)
    height = rng.uniform(800.0, 2600.0, (5, 6))
    values = season[:, None, None] + rate * height + noise * rng.normal(size=(12 * years, 5, 6))
    coordinates = {"latitude": 47.2 - 0.1 * np.arange(5), "longitude": 10.5 + 0.1 * np.arange(6)}
    temperature = xr.DataArray(
        values, dims=("time", "latitude", "longitude"), coords={"time": months, **coordinates}
    )
    ground = xr.DataArray(height, dims=("latitude", "longitude"), coords=coordinates)
    return xr.Dataset({
        "t2m": (temperature + 273.15).assign_attrs(units="K"),
        "z": (ground * 9.80665).assign_attrs(units="m**2 s**-2"),
    })  # fmt: skip


def written(tmp_path: Path, made: xr.Dataset) -> tuple[Path, Path]:
    paths = tmp_path / "t2m.nc", tmp_path / "z.nc"
    for path, name in zip(paths, ("t2m", "z"), strict=True):
        made[[name]].to_netcdf(path)
    return paths


def heights(at: float) -> xr.DataArray:
    values = xr.DataArray(np.full(GRID.shape, at, np.float32), dims=MAP, coords=GRID.coords)
    return describe(values, "elevation", "elevation", "m")


def test_lapse_rate_and_temperature_of_a_height_are_found(tmp_path: Path) -> None:
    found = climate.read_reanalysis(*written(tmp_path, cells(noise=0.3)))
    series = climate.monthly(found, elevation_m=3000.0)
    off = series["lapse_rate"] + 0.006
    assert off.abs().max() < 0.0005
    inside = off.abs() <= 1.96 * series["lapse_rate_error"]
    assert inside.mean() > 0.85
    season = 12.0 - 9.0 * np.cos(2 * np.pi * (np.arange(36) % 12) / 12) - 18.0
    gap = series["temperature"] - season
    assert (gap.abs() <= 1.96 * series["temperature_error"]).mean() > 0.85
    assert series["temperature_error"].max() < 0.6


def test_mean_annual_temperature_follows_the_heights(tmp_path: Path) -> None:
    found = climate.read_reanalysis(*written(tmp_path, cells()))
    low, high = (climate.mean_annual(found, heights(h), GRID) for h in (1000.0, 3000.0))
    assert float(low["air_temperature"].mean()) == pytest.approx(12.0 - 6.0, abs=1e-3)
    gap = (low - high)["air_temperature"]
    assert float(gap.min()) == pytest.approx(12.0, abs=1e-3)
    assert low.attrs["years"] == "2010 to 2012, 3 whole years"


def test_hours_become_months_and_halves_of_months_none(tmp_path: Path) -> None:
    made = cells(years=1)
    daily = made["t2m"].resample(time="1D").ffill()  # to the first of December
    temperature, ground = written(tmp_path, xr.Dataset({"t2m": daily, "z": made["z"]}))
    found = climate.read_reanalysis(temperature, ground)
    assert found.sizes["time"] == 11
    expected = made["t2m"].isel(time=slice(0, 11)).values - 273.15
    np.testing.assert_allclose(found["temperature"].values, expected[:, ::-1], atol=1e-4)
    with pytest.raises(SceneError, match="hold no whole year"):
        climate.mean_annual(found, heights(2000.0), GRID)


def test_a_station_brings_no_lapse_rate(tmp_path: Path) -> None:
    days = pd.date_range("2015-01-01", "2017-06-10")
    table = pd.DataFrame({"day": days, "t": 1.0 - 8.0 * np.cos(2 * np.pi * days.day_of_year / 365)})
    table[table.index % 50 != 7].to_csv(tmp_path / "station.csv", index=False)
    found = climate.read_station(
        tmp_path / "station.csv", columns={"date": "day", "temperature": "t"}, elevation_m=2000.0
    )
    assert found.sizes["time"] == 29  # June ends on the tenth
    series = climate.monthly(found, elevation_m=3000.0, lapse_rate=-0.007)
    assert (series["lapse_rate"] == -0.007).all()
    assert series["temperature"].iloc[:12].mean() == pytest.approx(1.0 - 7.0, abs=0.15)
    np.testing.assert_allclose(series["temperature_error"], 1.0)
    mean = climate.mean_annual(found, heights(2000.0), GRID)
    assert float(mean["air_temperature"].mean()) == pytest.approx(1.0, abs=0.15)
    assert float(mean["air_temperature_error"].max()) == 0.0


def test_bad_files_are_named(tmp_path: Path) -> None:
    temperature, ground = written(tmp_path, cells())
    with pytest.raises(SceneError, match=r"t2m\.nc holds t2m; needed: one of z"):
        climate.read_reanalysis(temperature, temperature)
    (tmp_path / "no.nc").write_text("nothing")
    with pytest.raises(SceneError, match=r"no\.nc cannot be read"):
        climate.read_reanalysis(tmp_path / "no.nc", ground)
    elsewhere = cells().assign_coords(longitude=20.0 + 0.1 * np.arange(6))["z"]
    elsewhere.to_dataset(name="z").to_netcdf(tmp_path / "elsewhere.nc")
    with pytest.raises(SceneError, match="no height for every cell"):
        climate.read_reanalysis(temperature, tmp_path / "elsewhere.nc")
    pd.DataFrame({"day": ["2020-01-01"], "t": [-999.0]}).to_csv(tmp_path / "s.csv", index=False)
    columns = {"date": "day", "temperature": "t"}
    with pytest.raises(SceneError, match="-999 among the temperatures"):
        climate.read_station(tmp_path / "s.csv", columns=columns, elevation_m=0.0)
    with pytest.raises(SceneError, match="no column temp"):
        climate.read_station(
            tmp_path / "s.csv", columns={"date": "day", "temperature": "temp"}, elevation_m=0.0
        )


def test_oetztal_is_as_cold_as_its_observers_say(real_data: Callable[[str], Path]) -> None:
    folder = real_data("insitu/oetztal_climate_series")
    found = climate.read_reanalysis(
        folder / "sel_era5_land_monthly_t2m_1981-2018.nc", folder / "sel_era5_land_invariant.nc"
    )
    series = climate.monthly(found, elevation_m=2600.0)
    assert -0.0075 < series["lapse_rate"].mean() < -0.0045
    observed = xr.open_dataset(folder / "HISTALP_oetztal.nc")
    level = observed["temp"] - series["lapse_rate"].mean() * observed["hgt"]
    there = (level + series["lapse_rate"].mean() * 2600.0).mean(["lat", "lon"]).to_series()
    both = pd.concat([series.set_index("month")["temperature"], there], axis=1, join="inner")
    assert len(both) > 350
    assert np.corrcoef(both.to_numpy().T)[0, 1] > 0.98
    # The reanalysis is the colder of the two, as others found over mountains.
    assert abs(np.diff(both.mean())[0]) < 2.0
