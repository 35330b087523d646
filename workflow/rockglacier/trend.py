"""Trend and season of a time series at every pixel, with gaps.

Sources
-------
Slope: Theil (1950); Sen (1968), doi:10.1080/01621459.1968.10480934, whose interval is taken.
Test: Mann (1945), Kendall (1975); serial correlation: Hamed & Rao (1998),
doi:10.1016/S0022-1694(97)00125-X, with lags that decay from the first as those of a process of
first order do (Yue & Wang 2004, doi:10.1023/B:WARM.0000043140.61082.60), because single significant
lags far out are chance. A line that was taken away lowers the first lag; that is undone
(Kendall 1954, doi:10.1093/biomet/41.3-4.403).
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

MIN_DATES = 8  # ASSUME: fewer give no slope
MOST_MEMORY = 0.95  # of a date by the next: more cannot be told from a trend
NORMAL_95 = 1.959964


class Slope(NamedTuple):
    """Per pixel, NaN where there are too few dates."""

    rate: np.ndarray  # units of the series per year
    error: np.ndarray  # one standard deviation
    z: np.ndarray  # of Mann and Kendall, standard normal without a trend


class Season(NamedTuple):
    """Fit of a line and harmonics of the year, per pixel; NaN where it is not determined."""

    coefficients: np.ndarray  # (term, ...): mean, rate, then cosine and sine of each harmonic
    covariance: np.ndarray  # (term, term, ...)
    residual: np.ndarray  # (date, ...)
    rms: np.ndarray  # of the residual, by degrees of freedom

    def seasonal(self, years: np.ndarray) -> np.ndarray:
        """The harmonics (date, ...) at ``years``, without mean and rate."""
        harmonics = (self.coefficients.shape[0] - 2) // 2
        matrix = _design(years, harmonics)[:, 2:]
        out: np.ndarray = np.tensordot(matrix, self.coefficients[2:], axes=1)
        return out


def theil_sen(values: np.ndarray, years: np.ndarray) -> Slope:
    """Median slope of ``values`` (date, y, x) over ``years`` (date; ascending), and its test."""
    flat = np.ascontiguousarray(values.reshape(len(years), -1).T, np.float64)
    out = np.full((3, flat.shape[0]), np.nan)
    _theil_sen(flat, np.asarray(years, np.float64), out)
    return Slope(*out.reshape(3, *values.shape[1:]))


def season(values: np.ndarray, years: np.ndarray, *, harmonics: int = 1) -> Season:
    """Least squares of mean, rate and ``harmonics`` of the year to ``values`` (date, y, x).

    ``years``: decimal, whose whole numbers are one time of the year; the mean is that of year 0.
    Where the dates leave more than a third of the year unseen, nothing is fitted.
    """
    matrix = _design(years, harmonics)
    terms = matrix.shape[1]
    flat = values.reshape(len(years), -1)
    known = np.isfinite(flat)
    weight = known.astype(np.float64)
    normal = np.einsum("dp,di,dj->pij", weight, matrix, matrix, optimize=True)
    right = np.einsum("dp,di->pi", np.where(known, flat, 0.0), matrix, optimize=True)
    usable = (known.sum(axis=0) >= terms + 3) & (_longest_gap(known, years) <= 1.0 / 3.0)
    inverse = np.full(normal.shape, np.nan)
    if usable.any():
        inverse[usable] = np.linalg.pinv(normal[usable], hermitian=True)
    fit = np.einsum("pij,pj->ip", inverse, right)
    residual = flat - matrix @ fit
    freedom = np.where(usable, known.sum(axis=0) - terms, np.nan)
    variance = np.where(known, residual, 0.0)
    variance = (variance**2).sum(axis=0) / freedom
    shape = values.shape[1:]
    covariance = np.moveaxis(inverse * variance[:, None, None], 0, -1)
    return Season(
        fit.reshape(terms, *shape),
        covariance.reshape(terms, terms, *shape),
        residual.reshape(values.shape),
        np.sqrt(variance).reshape(shape),
    )


def _design(years: np.ndarray, harmonics: int) -> np.ndarray:
    turns = 2.0 * np.pi * np.asarray(years, np.float64)
    columns = [np.ones_like(turns), np.asarray(years, np.float64)]
    for order in range(1, harmonics + 1):
        columns += [np.cos(order * turns), np.sin(order * turns)]
    return np.stack(columns, axis=1)


def _longest_gap(known: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Longest share of the year (pixel) without a date, all years laid upon each other."""
    order = np.argsort(np.mod(years, 1.0), kind="stable")
    phase = np.mod(years, 1.0)[order]
    last = np.full(known.shape[1], np.nan)
    first = last.copy()
    longest = np.zeros(known.shape[1])
    for at, seen in zip(phase, known[order], strict=True):
        longest = np.where(seen, np.fmax(longest, at - last), longest)
        first = np.where(seen & np.isnan(first), at, first)
        last = np.where(seen, at, last)
    return np.where(np.isnan(first), 1.0, np.fmax(longest, first + 1.0 - last))


@numba.njit(nogil=True, cache=True)
def _theil_sen(values: np.ndarray, years: np.ndarray, out: np.ndarray) -> None:
    dates = years.size
    x, t = np.empty(dates), np.empty(dates)
    slopes = np.empty(dates * (dates - 1) // 2)
    for pixel in range(values.shape[0]):
        n = 0
        for k in range(dates):
            if values[pixel, k] == values[pixel, k]:
                x[n], t[n] = values[pixel, k], years[k]
                n += 1
        if n < MIN_DATES:
            continue
        count, score = 0, 0
        for i in range(n):
            for j in range(i + 1, n):
                rise = x[j] - x[i]
                score += (rise > 0.0) - (rise < 0.0)
                if t[j] > t[i]:
                    slopes[count] = rise / (t[j] - t[i])
                    count += 1
        if count == 0:
            continue
        rate = np.median(slopes[:count])
        variance = _variance(x[:n]) * _inflation(x[:n] - rate * t[:n])
        out[0, pixel] = rate
        if variance <= 0.0:  # all alike
            out[1, pixel], out[2, pixel] = 0.0, 0.0
            continue
        deviation = np.sqrt(variance)
        half = min(0.5 * NORMAL_95 * deviation, 0.5 * (count - 1))
        low = int(np.floor(0.5 * (count - 1) - half))
        high = int(np.ceil(0.5 * (count - 1) + half))
        lower = np.partition(slopes[:count], low)[low]
        upper = np.partition(slopes[:count], high)[high]
        out[1, pixel] = (upper - lower) / (2.0 * NORMAL_95)
        out[2, pixel] = (score - np.sign(score)) / deviation


@numba.njit(nogil=True, cache=True)
def _variance(x: np.ndarray) -> float:
    """Variance of Kendall's score without a trend or serial correlation, ties counted."""
    n = x.size
    ordered = np.sort(x)
    total = n * (n - 1.0) * (2.0 * n + 5.0)
    run = 1
    for i in range(1, n + 1):
        if i < n and ordered[i] == ordered[i - 1]:
            run += 1
        else:
            total -= run * (run - 1.0) * (2.0 * run + 5.0)
            run = 1
    return total / 18.0


@numba.njit(nogil=True, cache=True)
def _inflation(x: np.ndarray) -> float:
    """What serial correlation of the ranks of ``x`` multiplies that variance by."""
    n = x.size
    rank = np.empty(n)
    rank[np.argsort(x)] = np.arange(n)
    rank -= rank.mean()
    first = (rank[1:] * rank[:-1]).sum() / (rank * rank).sum()
    first = min((n * first + 2.0) / (n - 4.0), MOST_MEMORY)
    if first <= 1.0 / np.sqrt(n):
        return 1.0
    total = 0.0
    for lag in range(1, n - 2):
        total += (n - lag) * (n - lag - 1.0) * (n - lag - 2.0) * first**lag
    return 1.0 + 2.0 * total / (n * (n - 1.0) * (n - 2.0))
