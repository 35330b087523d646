"""How backscatter of a track varies through time: the factors that tell ice and rock apart.

Power is averaged linearly and compared in decibels. Wet snow rules the year's variation, so all
that can be told without a whole year is told twice: of all dates and of the snow-free months.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier import speckle, trend
from rockglacier.conventions import DATE, MAP, YEAR_DAYS, describe, require, years_since
from rockglacier.errors import SceneError
from rockglacier.grid import Grid

SEASON = "season"
ALL_YEAR, SNOW_FREE = "all_year", "snow_free"
MIN_DATES = 4  # ASSUME: fewer tell no variation
MIN_TREND_YEARS = 2.0  # ASSUME: less is a season, not a trend
UNUSUAL = 2.5  # robust standard deviations of an anomaly
NORMAL_MAD = 1.4826
DAYS = np.arange(1.0, 366.0)
# Names, meanings and units of what is told of each of the two sets of dates.
FACTORS = {
    "mean": ("mean backscatter", "dB"),
    "mean_error": ("its standard error", "dB"),
    "std": ("standard deviation through time", "dB"),
    "range": ("95th less 5th percentile", "dB"),
    "excess_variation": ("squared coefficient of variation beyond that of speckle", "1"),
    "trend": ("Theil-Sen slope, seasons taken away", "dB/yr"),
    "trend_error": ("its standard error", "dB/yr"),
    "trend_z": ("Mann-Kendall, serial correlation counted", "1"),
    "anomaly_share": ("share of dates beyond 2.5 robust standard deviations", "1"),
    "count": ("dates with a value", "1"),
}
OF_THE_YEAR = {
    "annual_amplitude": ("amplitude of the annual harmonic", "dB"),
    "annual_amplitude_error": ("its standard error", "dB"),
    "annual_maximum": ("day of the year of its maximum", "d"),
    "annual_minimum": ("day of the year of the lowest of two harmonics", "d"),
    "annual_rms": ("residual of two harmonics and a line", "dB"),
    "melt_depression": ("melt season over dry winter", "dB"),
    "melt_depression_error": ("its standard error", "dB"),
}


def read(paths: Sequence[str | Path], grid: Grid, rows: slice) -> xr.DataArray:
    """``rows`` of backscatter (date, y, x) from ``backscatter/<date>.tif``; SceneError of none."""
    import rasterio
    from rasterio.windows import Window

    if not paths:
        raise SceneError(
            "no date of the track holds the polarisation; backscatter of at least one is needed: "
            "see polarisations in scenes.csv, or set cross_polarisation to false."
        )

    part = grid.part(rows.start, rows.stop, 0, grid.width)
    window = Window.from_slices((rows.start, rows.stop), (0, grid.width))
    out = np.empty((len(paths), *part.shape), np.float32)
    for image, path in zip(out, paths, strict=True):
        with rasterio.open(path) as source:
            source.read(1, window=window, out=image)
    dates = pd.to_datetime([Path(path).stem for path in paths], format="%Y%m%d")
    coordinates = {DATE: dates.to_numpy(), **part.coords}
    array = xr.DataArray(out, dims=(DATE, *MAP), coords=coordinates)
    return describe(array, "gamma_nought", "terrain-flattened backscatter, linear power", "1")


def variation(
    power: xr.DataArray,
    *,
    looks: float,
    speckle_window: int,
    snow_free_months: Sequence[int],
    melt_months: Sequence[int],
    winter_months: Sequence[int],
) -> xr.Dataset:
    """Factors (season, y, x) of ``power`` (date, y, x; gamma nought, linear, NaN where missing).

    ``looks``: independent looks of a pixel; ``speckle_window``: pixels a side of the filter.
    Months count from 1. NaN where dates are too few; what a whole year is needed for lies on
    (y, x). Where noise leaves no power, a value has no decibels: it counts in the mean alone.
    """
    power = require(power, dims=(DATE, *MAP), units="1").transpose(DATE, *MAP)
    power = power.sortby(DATE)
    dates = pd.DatetimeIndex(power[DATE].values)
    filtered, pixels = speckle.quegan_yu(power.values.astype(np.float64), speckle_window)
    # A whole number of years is the first of January, so that phases are days of the year.
    years = years_since(dates.to_numpy(), np.datetime64(f"{dates[0].year}-01-01"))
    summer = dates.month.isin(list(snow_free_months))
    speckled = power.values
    found = {
        ALL_YEAR: _told_of(filtered, speckled, pixels, years, looks, seasonal=True),
        SNOW_FREE: _told_of(
            filtered[summer], speckled[summer], pixels[summer], years[summer], looks
        ),
    }
    out = xr.Dataset(coords={SEASON: [ALL_YEAR, SNOW_FREE], **power.drop_vars(DATE).coords})
    for name, (long_name, units) in FACTORS.items():
        values = np.stack([found[which][name] for which in (ALL_YEAR, SNOW_FREE)])
        array = xr.DataArray(values.astype(np.float32), dims=(SEASON, *MAP))
        out[name] = describe(array, name, long_name, units)
    told = _told_of_the_year(filtered, years)
    melt, winter = (dates.month.isin(list(m)) for m in (melt_months, winter_months))
    told |= _melt(filtered[melt], filtered[winter])
    for name, (long_name, units) in OF_THE_YEAR.items():
        array = xr.DataArray(told[name].astype(np.float32), dims=MAP)
        out[name] = describe(array, name, long_name, units)
    return out


def doubt_months(latitude_deg: float, snow_free_months: Sequence[int]) -> str:
    """Why ``snow_free_months`` may be wrong at ``latitude_deg``; empty where they may be right.

    They are set for the northern mid-latitudes by default.
    """
    if latitude_deg < -20.0 and set(snow_free_months) <= {5, 6, 7, 8, 9, 10}:
        return (
            f"snow_free_months {list(snow_free_months)} are winter at {latitude_deg:.0f} degrees "
            "north; set them, melt_months and winter_months under backscatter"
        )
    return ""


def combined(tracks: Sequence[xr.Dataset]) -> xr.Dataset:
    """Median over ``tracks`` of each factor, and the number of tracks (y, x) that see a pixel.

    Errors are medians too, ``count`` is the sum. Days of the year are those of the track that sees
    most dates, of those that know them. Shares of chance are those of the median test.
    """
    joined = xr.concat(tracks, dim="track", join="exact", combine_attrs="drop_conflicts")
    out = joined.median("track", skipna=True, keep_attrs=True)
    out["count"] = joined["count"].sum("track", keep_attrs=True)
    dates = joined["count"].isel({SEASON: 0}).where(joined["annual_maximum"].notnull(), -1.0)
    most = dates.fillna(-1.0).argmax("track")
    for name in ("annual_maximum", "annual_minimum"):
        out[name] = joined[name].isel(track=most, drop=True)
    out = out.assign(trend.shares_of_chance(out))
    seen = joined["mean"].isel({SEASON: 0}).notnull().sum("track")
    out["track_count"] = describe(
        seen.astype(np.float32), "track_count", "tracks that see it", "1"
    ).drop_vars(SEASON)
    return out.drop_vars("track", errors="ignore")


def decibels(power: np.ndarray) -> np.ndarray:
    """``power`` (linear) in dB; NaN where it is not positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(power > 0.0, 10.0 * np.log10(power), np.nan)


def _told_of(
    power: np.ndarray,
    speckled: np.ndarray,
    pixels: np.ndarray,
    years: np.ndarray,
    looks: float,
    *,
    seasonal: bool = False,
) -> dict[str, np.ndarray]:
    """Factors of :data:`FACTORS` of one set of dates.

    The mean and its error are those of the unfiltered, ``speckled`` power, whatever its sign: of
    dark ground, noise that was taken away leaves less than nothing on some dates. How dates differ
    is told by the filtered one.
    """
    shape = power.shape[1:]
    if power.shape[0] < MIN_DATES:
        return {name: np.full(shape, np.nan) for name in FACTORS if name != "count"} | {
            "count": np.isfinite(speckled).sum(axis=0).astype(float)
        }
    decibel = decibels(power)
    count = np.isfinite(speckled).sum(axis=0)
    enough = np.where(count >= MIN_DATES, 1.0, np.nan)
    told = np.where(np.isfinite(decibel).sum(axis=0) >= MIN_DATES, 1.0, np.nan)
    some = np.where(told == 1.0, power, 1.0)  # no warnings of empty slices
    decibel = np.where(told == 1.0, decibel, 0.0)
    rough = np.where(enough == 1.0, speckled, 1.0).astype(np.float64)
    mean = np.nanmean(rough, axis=0)
    mean = np.where(mean > 0.0, mean, np.nan)
    rough = np.nanvar(rough, axis=0, ddof=1) / mean**2
    relative = np.nanvar(some, axis=0, ddof=1) / mean**2
    floor = np.nanmean(np.where(np.isfinite(some), 1.0 / (looks * np.fmax(pixels, 1.0)), np.nan), 0)
    low, high = trend.quantiles(decibel, (0.05, 0.95))
    left = decibel
    if seasonal:
        fitted = trend.season(decibel, years, harmonics=2)
        cycle = fitted.seasonal(years)
        left = np.where(np.isfinite(cycle), decibel - cycle, decibel)
        unknown = ~np.isfinite(cycle[0])
    slope = trend.theil_sen(left, years)
    if seasonal:  # a season that is not known would be taken for a trend
        slope = trend.Slope(*(np.where(unknown, np.nan, part) for part in slope))
    if np.ptp(years) < MIN_TREND_YEARS:
        slope = trend.Slope(*(np.full(shape, np.nan) for _ in slope))
    line = np.where(np.isfinite(slope.rate), slope.rate, 0.0) * years[:, None, None]
    off = left - line
    off = off - np.nanmedian(off, axis=0)
    scatter = NORMAL_MAD * np.nanmedian(np.abs(off), axis=0)
    with np.errstate(invalid="ignore"):
        unusual = (np.abs(off) > UNUSUAL * scatter).sum(axis=0)
    unusual = unusual / np.fmax(np.isfinite(off).sum(axis=0), 1)
    return {
        "mean": 10.0 * np.log10(mean) * enough,
        "mean_error": 10.0 / np.log(10.0) * np.sqrt(rough / np.fmax(count, 1)) * enough,
        "std": np.nanstd(decibel, axis=0, ddof=1) * told,
        "range": (high - low) * told,
        "excess_variation": (relative - floor) * told,
        "trend": slope.rate * told,
        "trend_error": slope.error * told,
        "trend_z": slope.z * told,
        "anomaly_share": unusual * told,
        "count": count.astype(float),
    }


def _told_of_the_year(power: np.ndarray, years: np.ndarray) -> dict[str, np.ndarray]:
    """Factors of the annual course."""
    fitted = trend.season(decibels(power), years, harmonics=2)
    cosine, sine = fitted.coefficients[2:4]
    amplitude = np.hypot(cosine, sine)
    with np.errstate(invalid="ignore", divide="ignore"):
        along = np.stack([cosine, sine]) / amplitude
    error = np.einsum("iyx,ijyx,jyx->yx", along, fitted.covariance[2:4, 2:4], along)
    course = fitted.seasonal((DAYS - 1.0) / YEAR_DAYS)
    lowest = DAYS[np.argmin(np.nan_to_num(course), axis=0)]
    peak = np.mod(np.arctan2(sine, cosine) / (2.0 * np.pi), 1.0) * YEAR_DAYS + 1.0
    return {
        "annual_amplitude": amplitude,
        "annual_amplitude_error": np.sqrt(error),
        "annual_maximum": peak,
        "annual_minimum": np.where(np.isfinite(amplitude), lowest, np.nan),
        "annual_rms": fitted.rms,
    }


def _melt(melt: np.ndarray, winter: np.ndarray) -> dict[str, np.ndarray]:
    """Mean of the melt season over that of the winter, and its error from their scatter."""
    level, error = np.zeros(melt.shape[1:]), np.zeros(melt.shape[1:])
    for power, sign in ((melt, 1.0), (winter, -1.0)):
        count = np.isfinite(power).sum(axis=0)
        known = np.where(count >= 2, 1.0, np.nan)
        filled = (
            np.where(known == 1.0, power, 1.0) if len(power) > 1 else np.ones((2, *count.shape))
        )
        mean = np.nanmean(filled, axis=0)
        level += sign * decibels(mean) * known
        error += np.nanvar(filled, axis=0, ddof=1) / np.fmax(count, 1) / mean**2 * known
    return {
        "melt_depression": level,
        "melt_depression_error": 10.0 / np.log(10.0) * np.sqrt(error),
    }


def rows_that_fit(height: int, width: int, dates: int, *, memory_mb: float, margin: int) -> int:
    """Rows of a band whose work fits into ``memory_mb``: about 30 copies of its dates."""
    row_mb = 30 * 8 * dates * width / 1e6
    return int(np.clip(memory_mb / row_mb - 2 * margin, 1, height))
