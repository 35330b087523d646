"""Air temperature of a region: from reanalysis or a station to its heights, month by month.

Temperature falls with height. Cells of a reanalysis at many heights tell how fast, each month anew;
a station does not, and the rate is given. What is told for a height far from all that is known
carries the error of that rate.

Source
------
Temperature at a height from the cells of a reanalysis and their own lapse rate: Gao, Bernhardt &
Schulz (2012), doi:10.5194/hess-16-4661-2012. Height of a cell: geopotential by standard gravity.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier.conventions import MAP, describe, require
from rockglacier.errors import SceneError
from rockglacier.grid import Grid

logger = logging.getLogger(__name__)

STANDARD_GRAVITY = 9.80665  # m/s2, WMO
FREEZING = 273.15  # K
LEAST_CELLS, LEAST_SPREAD_M = 6, 400.0  # that tell a lapse rate
# ASSUME: the mean lapse rate of mountains, and how far a region's departs from it (K/m).
LAPSE_RATE, LAPSE_RATE_ERROR = -0.0065, 0.0010
PLAUSIBLE = (-90.0, 60.0)  # degrees Celsius, monthly means
NAMES = {
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon"),
    "time": ("time", "valid_time"),
    "temperature": ("t2m", "temp", "2m_temperature"),
    "height": ("z", "hgt", "orography"),
}


def read_reanalysis(temperature: str | Path, heights: str | Path) -> xr.Dataset:
    """Monthly ``temperature`` (time, latitude, longitude; degC) and ``height`` (m) of cells.

    ``temperature``: NetCDF with t2m (ERA5, ERA5-Land; K or degC), of any step up to a month.
    ``heights``: NetCDF with the geopotential z (m2/s2) or the height (m) of the same cells.

    Raises
    ------
    SceneError
        A file cannot be read or lacks what is needed, or their cells are not the same.
    """
    series, name = _variable(temperature, "temperature")
    values = _celsius(series[name], str(temperature))
    ground, name = _variable(heights, "height")
    height = _metres(ground[name], str(heights))
    if "time" in height.dims:
        height = height.isel(time=0, drop=True)
    try:
        height = height.sel(
            latitude=values.latitude, longitude=values.longitude, method="nearest", tolerance=0.01
        )
    except KeyError as error:
        raise SceneError(
            f"{heights} has no height for every cell of {temperature}; give the invariant fields "
            "of the same cells."
        ) from error
    height = height.assign_coords(latitude=values.latitude, longitude=values.longitude)
    monthly = _by_month(values)
    out = xr.Dataset({
        "temperature": describe(monthly, "temperature", "monthly air temperature at 2 m", "degC"),
        "height": describe(height, "height", "height of the cell", "m"),
    })  # fmt: skip
    return out.transpose("time", "latitude", "longitude").sortby("latitude").load()


def read_station(path: str | Path, *, columns: Mapping[str, str], elevation_m: float) -> xr.Dataset:
    """The same of one station's table, whose cell has no place.

    ``columns`` names those of ``date`` and ``temperature`` (degC), of any step up to a month; the
    mean of a month needs four fifths of its days. ``elevation_m``: height of the station.

    Raises
    ------
    SceneError
        The table cannot be read, lacks a column, or a value cannot be one.
    """
    try:
        table = pd.read_csv(path, sep=None, engine="python")
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise SceneError(f"{path} cannot be read as a table ({error}).") from error
    missing = [column for column in columns.values() if column not in table]
    if missing:
        raise SceneError(
            f"{path} has no column {', '.join(missing)} (there: {', '.join(map(str, table))}); "
            "name the columns of date and temperature."
        )
    try:
        dates = pd.DatetimeIndex(pd.to_datetime(table[columns["date"]]))
        values = pd.to_numeric(table[columns["temperature"]])
    except (ValueError, TypeError) as error:
        raise SceneError(f"{path}: {error}; dates and numbers are needed.") from error
    series = pd.Series(values.to_numpy(float), dates).sort_index().dropna()
    if not series.between(*PLAUSIBLE).all():
        odd = series[~series.between(*PLAUSIBLE)].iloc[0]
        raise SceneError(
            f"{path}: {odd:g} among the temperatures; degrees Celsius are needed, and nothing "
            "where nothing was measured."
        )
    times = pd.DatetimeIndex(series.index)
    month = pd.Series(times.to_period("M"), series.index)
    days = times.normalize().to_series(index=series.index).groupby(month).nunique()
    step = float(np.median(np.diff(times) / np.timedelta64(1, "D"))) if times.size > 1 else 30.0
    least = 0.8 * pd.PeriodIndex(days.index).days_in_month
    mean = series.groupby(month).mean()[days.to_numpy() >= (1 if step > 27.0 else least)]
    if mean.empty:
        raise SceneError(f"{path}: no month is seen on four fifths of its days.")
    every = pd.period_range(mean.index[0], mean.index[-1], freq="M")
    found = mean.reindex(every).to_numpy()[:, None, None]
    coordinates = {"time": every.to_timestamp(), "latitude": [np.nan], "longitude": [np.nan]}
    dims = ("time", "latitude", "longitude")
    values_of = xr.DataArray(found, dims=dims, coords=coordinates)
    height = xr.DataArray([[elevation_m]], dims=dims[1:])
    return xr.Dataset({
        "temperature": describe(values_of, "temperature", "monthly air temperature", "degC"),
        "height": describe(height, "height", "height of the station", "m"),
    })  # fmt: skip


def monthly(
    cells: xr.Dataset, *, elevation_m: float, lapse_rate: float | None = None
) -> pd.DataFrame:
    """Air temperature of each month at ``elevation_m``, mean over the region's ``cells``.

    ``cells`` of :func:`read_reanalysis` or :func:`read_station`; ``lapse_rate`` (K/m, negative);
    where None, that of the cells, or LAPSE_RATE where they are too few or too level. Columns:
    month, temperature, temperature_error (degC), lapse_rate, lapse_rate_error (K/m).
    """
    rates, errors = _lapse_rates(cells, lapse_rate)
    values = cells["temperature"].stack(cell=("latitude", "longitude")).values
    z = cells["height"].stack(cell=("latitude", "longitude")).values
    reduced = values + rates[:, None] * (elevation_m - z)
    scatter = _scatter(reduced) / np.sqrt(z.size)
    middle = float(np.mean(z))
    return pd.DataFrame({
        "month": pd.DatetimeIndex(cells.time.values),
        "temperature": reduced.mean(axis=1),
        "temperature_error": np.hypot(scatter, errors * (elevation_m - middle)),
        "lapse_rate": rates,
        "lapse_rate_error": errors,
    })  # fmt: skip


def mean_annual(
    cells: xr.Dataset, elevation: xr.DataArray, grid: Grid, *, lapse_rate: float | None = None
) -> xr.Dataset:
    """Mean annual air temperature (y, x; degC) and its error at the heights of ``elevation``.

    ``cells`` as in :func:`monthly`; only whole years count. Temperatures are brought to sea level,
    interpolated between cells, and back to the height of a pixel (``elevation``: y, x; m, on
    ``grid``). NaN in its voids.

    Raises
    ------
    SceneError
        No year is seen in all of its months.
    """
    require(elevation, dims=MAP, units="m")
    rates, errors = _lapse_rates(cells, lapse_rate)
    months = pd.DatetimeIndex(cells.time.values)
    values = cells["temperature"].values
    known = np.isfinite(values).all(axis=(1, 2))
    counts = pd.Series(months[known].year).value_counts()
    years = counts.index[counts == 12]
    if not len(years):
        raise SceneError(
            f"temperatures of {months[0]:%Y-%m} to {months[-1]:%Y-%m} hold no whole year; a mean "
            "of the year needs one."
        )
    inside = months.year.isin(years) & known
    rate, error = float(rates[inside].mean()), float(errors[inside].mean())
    z = cells["height"].values
    reduced = values[inside].mean(axis=0) - rate * z
    there = _at_pixels(xr.DataArray(reduced, coords=cells["height"].coords), grid)
    heights = elevation.transpose(*MAP).values
    off = _scatter(reduced.reshape(1, -1))[0]
    told = {
        "air_temperature": (there + rate * heights, "mean annual air temperature"),
        "air_temperature_error": (
            np.hypot(off, error * (heights - float(np.mean(z)))),
            "its standard error",
        ),
    }
    out = xr.Dataset(coords=grid.coords, attrs={
        "years": f"{years.min()} to {years.max()}, {len(years)} whole years", "lapse_rate": rate,
    })  # fmt: skip
    for name, (map_values, long_name) in told.items():
        array = xr.DataArray(map_values.astype(np.float32), dims=MAP)
        out[name] = describe(array, name, long_name, "degC")
    return out


def _variable(path: str | Path, what: str) -> tuple[xr.Dataset, str]:
    """The file at ``path`` with coordinates under our names, and its variable of ``what``."""
    try:
        found = xr.open_dataset(path)
    except (OSError, ValueError) as error:
        raise SceneError(f"{path} cannot be read ({error}); a NetCDF file is needed.") from error
    for own in ("latitude", "longitude", "time"):
        other = next((name for name in NAMES[own] if name in found.variables), None)
        if other is None and (own != "time" or what == "temperature"):
            raise SceneError(
                f"{path} has no coordinate {own} (there: {', '.join(map(str, found.variables))})."
            )
        if other not in (None, own):
            found = found.rename({other: own})
    name = next((name for name in NAMES[what] if name in found.data_vars), None)
    if name is None:
        raise SceneError(
            f"{path} holds {', '.join(map(str, found.data_vars)) or 'nothing'}; needed: one of "
            f"{', '.join(NAMES[what])}."
        )
    extra = set(found[name].dims) - {"time", "latitude", "longitude"}
    if extra:
        raise SceneError(
            f"{path}: {name} has a dimension {', '.join(map(str, extra))}; select one member of it "
            "and write the file anew."
        )
    return found, name


def _celsius(values: xr.DataArray, path: str) -> xr.DataArray:
    units = str(values.attrs.get("units", "")).strip().lower()
    if units in ("k", "kelvin"):
        values = values - FREEZING
    elif units not in ("c", "degc", "deg c", "°c", "celsius", "degrees_celsius"):
        raise SceneError(
            f"{path}: temperature in {values.attrs.get('units')!r}; K or degC are needed."
        )
    return values


def _metres(values: xr.DataArray, path: str) -> xr.DataArray:
    units = str(values.attrs.get("units", "")).replace(" ", "")
    if units in ("m**2s**-2", "m2s-2", "m^2s^-2", "m2/s2"):
        return values / STANDARD_GRAVITY
    if units in ("m", "gpm", "metre", "metres"):
        return values
    raise SceneError(
        f"{path}: heights in {values.attrs.get('units')!r}; m, or a geopotential in m**2 s**-2, is "
        "needed."
    )


def _by_month(values: xr.DataArray) -> xr.DataArray:
    """Means of months, those that are seen in part left out; the first of the month as time."""
    times = pd.DatetimeIndex(values.time.values)
    step = float(np.median(np.diff(times) / np.timedelta64(1, "D"))) if times.size > 1 else 30.0
    if step < 27.0:
        groups = values.resample(time="MS")
        count, mean = groups.count(), groups.mean()
        days = mean.time.dt.days_in_month
        values = mean.where(count >= np.floor(days / step))
        values = values.isel(time=values.notnull().any(["latitude", "longitude"]).values)
    months = pd.DatetimeIndex(values.time.values).to_period("M").to_timestamp()
    return values.assign_coords(time=months)


def _lapse_rates(cells: xr.Dataset, given: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Lapse rate (K/m) of each month, and its standard error."""
    count = cells.sizes["time"]
    z = cells["height"].values.ravel()
    if given is not None or z.size < LEAST_CELLS or np.ptp(z) < LEAST_SPREAD_M:
        rate = LAPSE_RATE if given is None else given
        if given is None:
            logger.info(
                "%d cells over %.0f m of height tell no lapse rate; %g K/km is taken",
                z.size, np.ptp(z), 1000.0 * rate,
            )  # fmt: skip
        return np.full(count, rate), np.full(count, LAPSE_RATE_ERROR)
    values = cells["temperature"].values.reshape(count, -1)
    off = z - z.mean()
    rates = (values - values.mean(axis=1, keepdims=True)) @ off / (off @ off)
    residual = values - values.mean(axis=1, keepdims=True) - rates[:, None] * off
    errors = np.sqrt((residual**2).sum(axis=1) / (z.size - 2) / (off @ off))
    return rates, errors


def _scatter(values: np.ndarray) -> np.ndarray:
    """Standard deviation over the cells; 0 where there is one, which tells nothing of it."""
    if values.shape[1] < 2:
        return np.zeros(values.shape[0])
    return np.asarray(values.std(axis=1, ddof=1))


def _at_pixels(values: xr.DataArray, grid: Grid) -> np.ndarray:
    """``values`` of cells at the pixels, linear between their centres, level beyond them."""
    if values.size == 1:
        return np.full(grid.shape, float(values.item()))
    from pyproj import Transformer
    from scipy.ndimage import map_coordinates

    x, y = np.meshgrid(grid.x, grid.y)
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    ordered = values.sortby(["latitude", "longitude"])
    west = float(ordered.longitude[0])
    lon = (lon - west + 180.0) % 360.0 - 180.0 + west  # ERA5 counts to 360
    at = [
        np.interp(place, ticks, np.arange(ticks.size))
        for place, ticks in ((lat, ordered.latitude.values), (lon, ordered.longitude.values))
    ]
    return np.asarray(map_coordinates(ordered.values, at, order=1, mode="nearest"))
