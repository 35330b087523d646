"""How the snow index of optical scenes varies through the year and over the years.

Ground that holds ice or lies in its own shadow keeps snow for longer than its surroundings, and
changes otherwise than they do. A season and a line are fitted to all clear dates robustly; what
departs from the season is told in its own scatter, so that snowy and bare ground compare.

Source
------
Index: Dozier (1989), doi:10.1016/0034-4257(89)90101-6. Season of a pixel and its scatter as a
threshold: Zhu & Woodcock (2014), doi:10.1016/j.rse.2014.01.011.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier import trend
from rockglacier.conventions import DATE, MAP, YEAR_DAYS, describe, require, years_since
from rockglacier.grid import Grid

MIN_DATES = 15  # ASSUME: fewer clear dates tell no season
LOW = 0.2  # ASSUME: share of the melt season's clear dates without snow, at least
MIN_MELT_DATES = 3  # ASSUME: fewer clear dates tell no mean of the melt season
UNUSUAL = 2.5  # scales of an anomaly
DAYS = np.arange(1.0, 366.0)
FACTORS = {
    "count": ("clear dates", "1"),
    "melt_mean": ("mean snow index of the melt season", "1"),
    "melt_low": ("20th percentile of that season: ground without its snow", "1"),
    "melt_mean_error": ("its standard error", "1"),
    "persistence": ("share of clear dates of the melt season with snow", "1"),
    "amplitude": ("amplitude of the annual harmonic", "1"),
    "amplitude_error": ("its standard error", "1"),
    "rms": ("robust scatter about season and line", "1"),
    "snow_off": ("day of the year when the mean season loses its snow", "d"),
    "trend": ("Theil-Sen slope, seasons taken away", "1/yr"),
    "trend_error": ("its standard error", "1/yr"),
    "trend_z": ("Mann-Kendall, serial correlation counted", "1"),
    "melt_trend": ("Theil-Sen slope of the melt season's mean anomaly", "1/yr"),
    "melt_trend_z": ("its Mann-Kendall", "1"),
    "anomaly_low": ("5th percentile of standardised anomalies", "1"),
    "anomaly_high": ("95th percentile of standardised anomalies", "1"),
    "anomaly_share": ("share of dates beyond 2.5 scatters", "1"),
}


def index(green: xr.DataArray, swir1: xr.DataArray) -> xr.DataArray:
    """Normalised difference snow index of surface reflectances (0..1; NaN where unknown).

    NaN where one is not within 0 and 1: what the correction of the atmosphere made of deep shadow
    or glint is no reflectance.
    """
    good = (green > 0.0) & (green <= 1.0) & (swir1 > 0.0) & (swir1 <= 1.0)
    found = ((green - swir1) / (green + swir1)).where(good).astype(np.float32)
    return describe(found, "snow_index", "normalised difference snow index", "1")


def read(paths: Sequence[str | Path], grid: Grid, rows: slice) -> xr.DataArray:
    """``rows`` of the snow index (date, y, x) from files ``<date>.tif`` of any folders.

    Of dates that several sets see the mean is taken.
    """
    import rasterio
    from rasterio.windows import Window

    part = grid.part(rows.start, rows.stop, 0, grid.width)
    window = Window.from_slices((rows.start, rows.stop), (0, grid.width))
    by_date: dict[str, list[str | Path]] = {}
    for path in paths:
        by_date.setdefault(Path(path).stem, []).append(path)
    out = np.empty((len(by_date), *part.shape), np.float32)
    for image, files in zip(out, by_date.values(), strict=True):
        total, seen = np.zeros(part.shape, np.float32), np.zeros(part.shape, np.float32)
        for file in files:
            with rasterio.open(file) as source:
                values = source.read(1, window=window)
            total += np.nan_to_num(values)
            seen += np.isfinite(values)
        with np.errstate(invalid="ignore"):
            image[:] = np.where(seen > 0, total / np.fmax(seen, 1), np.nan)
    dates = pd.to_datetime(list(by_date), format="%Y%m%d")
    coordinates = {DATE: dates.to_numpy(), **part.coords}
    array = xr.DataArray(out, dims=(DATE, *MAP), coords=coordinates)
    return describe(array, "snow_index", "normalised difference snow index", "1")


def rows_that_fit(height: int, width: int, dates: int, *, memory_mb: float) -> int:
    """Rows of a band whose work fits into ``memory_mb``: about 14 copies of its dates."""
    return int(np.clip(memory_mb / (14 * 8 * dates * width / 1e6), 1, height))


def variation(
    snow_index: xr.DataArray, *, melt_months: Sequence[int], snow_above: float = 0.4
) -> xr.Dataset:
    """FACTORS (y, x) of ``snow_index`` (date, y, x; NaN where not clear).

    ``melt_months`` count from 1; ground is snowy where the index exceeds ``snow_above``. NaN where
    dates are too few, or leave more than a third of the year unseen.
    """
    values = require(snow_index, dims=(DATE, *MAP), units="1").transpose(DATE, *MAP).sortby(DATE)
    dates = pd.DatetimeIndex(values[DATE].values)
    years = years_since(dates.to_numpy(), np.datetime64(f"{dates[0].year}-01-01"))
    series = values.values.astype(np.float64)
    count = np.isfinite(series).sum(axis=0)
    series = np.where(count >= MIN_DATES, series, np.nan)
    fitted = trend.robust_season(series, years, harmonics=2)
    cosine, sine = fitted.coefficients[2:4]
    amplitude = np.hypot(cosine, sine)
    level = series - fitted.seasonal(years)
    slope = trend.theil_sen(level, years)
    # The baseline has no line: what changes over the years is an anomaly.
    anomaly = level - np.nanmedian(_some(level), axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        standard = anomaly / fitted.rms
        along = np.stack([cosine, sine]) / amplitude
    error = np.einsum("iyx,ijyx,jyx->yx", along, fitted.covariance[2:4, 2:4], along)
    low, high = trend.quantiles(_some(standard), (0.05, 0.95))
    known = np.isfinite(amplitude)
    with np.errstate(invalid="ignore"):
        unusual = (np.abs(standard) > UNUSUAL).sum(axis=0) / np.fmax(count, 1)
    melt = dates.month.isin(list(melt_months))
    yearly, of_years = _yearly(anomaly[melt], dates[melt])
    melt_slope = trend.theil_sen(yearly, of_years)
    clear = np.isfinite(series[melt])
    enough = clear.sum(axis=0) >= MIN_MELT_DATES
    told = {
        "count": count.astype(float),
        "melt_mean": _mean(series[melt], enough),
        "melt_low": np.where(enough, trend.quantiles(series[melt], (LOW,))[0], np.nan),
        "melt_mean_error": _deviation(series[melt], enough)
        / np.sqrt(np.fmax(clear.sum(axis=0), 1)),
        "persistence": np.where(
            enough, (series[melt] > snow_above).sum(axis=0) / np.fmax(clear.sum(axis=0), 1), np.nan
        ),
        "amplitude": amplitude,
        "amplitude_error": np.sqrt(error),
        "rms": fitted.rms,
        "snow_off": _snow_off(fitted, years, snow_above),
        "trend": slope.rate,
        "trend_error": slope.error,
        "trend_z": slope.z,
        "melt_trend": melt_slope.rate,
        "melt_trend_z": melt_slope.z,
        "anomaly_low": np.where(known, low, np.nan),
        "anomaly_high": np.where(known, high, np.nan),
        "anomaly_share": np.where(known, unusual, np.nan),
    }
    out = xr.Dataset(coords=values.drop_vars(DATE).coords)
    for name, (long_name, units) in FACTORS.items():
        array = xr.DataArray(told[name].astype(np.float32), dims=MAP)
        out[name] = describe(array, name, long_name, units)
    return out


def _some(values: np.ndarray) -> np.ndarray:
    """``values`` (date, ...), zero where a pixel has none: no warnings of empty slices."""
    return np.where(np.isfinite(values).any(axis=0), values, 0.0)


def _mean(values: np.ndarray, enough: np.ndarray) -> np.ndarray:
    if not len(values):
        return np.full(enough.shape, np.nan)
    return np.asarray(np.where(enough, np.nanmean(_some(values), axis=0), np.nan))


def _deviation(values: np.ndarray, enough: np.ndarray) -> np.ndarray:
    if not len(values):
        return np.full(enough.shape, np.nan)
    some = np.where(enough, values, 0.0)
    return np.asarray(np.where(enough, np.nanstd(some, axis=0, ddof=1), np.nan))


def _yearly(values: np.ndarray, dates: pd.DatetimeIndex) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each year (year, y, x), NaN where there is none, and the years (decimal)."""
    every = np.unique(dates.year)
    means = [_mean(values[dates.year == y], np.isfinite(values[dates.year == y]).any(axis=0))
             for y in every]  # fmt: skip
    return np.array(means).reshape(len(every), *values.shape[1:]), every.astype(float)


def _snow_off(fitted: trend.Season, years: np.ndarray, snow_above: float) -> np.ndarray:
    """First day after the winter's highest on which the mean season falls to ``snow_above``.

    NaN where it never does, or never lies above.
    """
    middle = fitted.coefficients[0] + fitted.coefficients[1] * years.mean()
    course = middle + fitted.seasonal((DAYS - 1.0) / YEAR_DAYS)
    top = np.argmax(np.nan_to_num(course, nan=-9.0), axis=0)
    ahead = (np.arange(DAYS.size)[:, None, None] - top) % DAYS.size  # days after the highest
    with np.errstate(invalid="ignore"):
        bare = course <= snow_above
    first = np.where(bare, ahead, DAYS.size).min(axis=0)
    day = DAYS[(top + first) % DAYS.size]
    changes = (course.max(axis=0) > snow_above) & (first < DAYS.size)
    return np.where(changes, day, np.nan)
