"""Trend and season of a time series at every pixel, with gaps.

Sources
-------
Slope: Theil (1950); Sen (1968), doi:10.1080/01621459.1968.10480934, whose interval is taken.
Test: Mann (1945), Kendall (1975); serial correlation: Hamed & Rao (1998),
doi:10.1016/S0022-1694(97)00125-X, by their significant lags, or with lags that decay from the first
as those of a process of first order do (Yue & Wang 2004, doi:10.1023/B:WARM.0000043140.61082.60),
because single significant lags far out are chance. A line that was taken away lowers the first lag;
that is undone (Kendall 1954, doi:10.1093/biomet/41.3-4.403).
Robust fit: Huber (1964), doi:10.1214/aoms/1177703732.
Many tests at once: Benjamini & Hochberg (1995), doi:10.1111/j.2517-6161.1995.tb02031.x.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numba
import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, describe

MIN_DATES = 8  # ASSUME: fewer give no slope
SORTED = 300  # slopes beyond which they are counted, not parted
NEAR, ROUNDS = 96, 3  # so few between two bounds are parted; so often bounds close in
HUBER = 1.345  # scales beyond which a residual counts less: 95 % efficient of normal noise
MAD_PER_SIGMA, MOST_STEPS = 1.4826, 30
ROUNDING = 1e-9  # of a variance: less is what rounding leaves of none
MOST_MEMORY = 0.95  # of a date by the next: more cannot be told from a trend
NORMAL_95 = 1.959964
OF_CHANCE = "share of chance (Benjamini-Hochberg) among the region's trends as clear as this one"


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


def theil_sen(
    values: np.ndarray, years: np.ndarray, *, memory: Literal["first", "lags"] = "first"
) -> Slope:
    """Median slope of ``values`` (date, y, x) over ``years`` (date; ascending), and its test.

    ``memory``: how serial correlation widens the test, by the first lag or by all lags that are
    significant (as if dates were regular). These may be so negative that they leave no variance:
    the error is NaN then, and ``z`` too unless as many pairs rise as fall.
    """
    flat = np.ascontiguousarray(values.reshape(len(years), -1).T, np.float64)
    out = np.full((3, flat.shape[0]), np.nan)
    _theil_sen(flat, np.asarray(years, np.float64), memory == "lags", out)
    return Slope(*out.reshape(3, *values.shape[1:]))


def quantiles(values: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Quantiles (share, ...) of what is known of ``values`` along their first axis, linear between.

    NaN where nothing is known. NumPy's own goes pixel by pixel where some are NaN.
    """
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(ordered).sum(axis=0)
    found = []
    for share in shares:
        at = share * np.maximum(count - 1, 0)
        low = np.floor(at).astype(np.intp)
        high = np.minimum(low + 1, np.maximum(count - 1, 0))
        below, above = (np.take_along_axis(ordered, k[None], axis=0)[0] for k in (low, high))
        found.append(np.where(count > 0, below + (at - low) * (above - below), np.nan))
    return np.stack(found)


def false_discovery(z: np.ndarray) -> np.ndarray:
    """Of each test (standard normal ``z``; NaN stays), the share of chance among what is found.

    That is, among all tests that say as much as this one or more, of both signs.
    """
    from scipy.stats import false_discovery_control, norm

    out = np.full(z.shape, np.nan)
    known = np.isfinite(z)
    if known.any():
        out[known] = false_discovery_control(2.0 * norm.sf(np.abs(z[known])))
    return out


def shares_of_chance(factors: xr.Dataset) -> xr.Dataset:
    """``<name>_q`` of each test ``<name>_z`` (..., y, x): :func:`false_discovery` of a whole map.

    Each map is a family of its own, so ``factors`` must hold all of the region; about 60 bytes a
    pixel are held at once.
    """
    found = {}
    for test in (str(name) for name in factors if str(name).endswith("_z")):
        shares = xr.apply_ufunc(
            false_discovery, factors[test], input_core_dims=[MAP], output_core_dims=[MAP],
            vectorize=True,
        ).astype(np.float32)  # fmt: skip
        name = f"{test.removesuffix('_z')}_q"
        found[name] = describe(shares, name, OF_CHANCE, "1")
    return xr.Dataset(found)


def robust_season(values: np.ndarray, years: np.ndarray, *, harmonics: int = 2) -> Season:
    """:func:`season` by Huber's weights, which single outliers (clouds) do not bend.

    ``rms`` is the robust scale of the residuals, by which weights are taken.
    """
    matrix = _design(years, harmonics)
    terms = matrix.shape[1]
    flat = np.ascontiguousarray(values.reshape(len(years), -1).T, np.float64)
    known = np.isfinite(flat)
    usable = (known.sum(axis=1) >= terms + 3) & (_longest_gap(known.T, years) <= 1.0 / 3.0)
    fit = np.full((flat.shape[0], terms), np.nan)
    covariance = np.full((flat.shape[0], terms, terms), np.nan)
    scale = np.full(flat.shape[0], np.nan)
    _huber(flat, matrix, usable, fit, covariance, scale)
    shape = values.shape[1:]
    return Season(
        fit.T.reshape(terms, *shape),
        np.moveaxis(covariance, 0, -1).reshape(terms, terms, *shape),
        (flat - fit @ matrix.T).T.reshape(values.shape),
        scale.reshape(shape),
    )


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
def _huber(
    values: np.ndarray,
    matrix: np.ndarray,
    usable: np.ndarray,
    fit: np.ndarray,
    covariance: np.ndarray,
    scale: np.ndarray,
) -> None:
    """Fit ``matrix`` (date, term) to the known ``values`` (pixel, date) of ``usable`` pixels."""
    dates, terms = matrix.shape
    normal, inverse = np.empty((terms, terms)), np.empty((terms, terms))
    right, left = np.empty(terms), np.empty(dates)
    weight, away = np.empty(dates), np.empty(dates)
    for pixel in range(values.shape[0]):
        if not usable[pixel]:
            continue
        series, found = values[pixel], fit[pixel]
        count = 0
        for d in range(dates):
            weight[d] = 1.0 if series[d] == series[d] else 0.0
            count += weight[d] > 0.0
        spread, solved = 0.0, True
        for _ in range(MOST_STEPS):
            normal[:] = 0.0
            right[:] = 0.0
            for d in range(dates):
                w = weight[d]
                if w > 0.0:
                    for i in range(terms):
                        wm = w * matrix[d, i]
                        right[i] += wm * series[d]
                        for j in range(i + 1):
                            normal[i, j] += wm * matrix[d, j]
            solved = _invert(normal, inverse)
            if not solved:
                break
            moved = 0.0
            for i in range(terms):
                value = 0.0
                for j in range(terms):
                    value += inverse[i, j] * right[j]
                moved = max(moved, abs(value - found[i]) if found[i] == found[i] else np.inf)
                found[i] = value
            n = 0
            for d in range(dates):
                if series[d] == series[d]:
                    value = series[d]
                    for i in range(terms):
                        value -= matrix[d, i] * found[i]
                    left[d] = value
                    away[n] = abs(value)
                    n += 1
            spread = MAD_PER_SIGMA * np.median(away[:n]) * np.sqrt(n / (n - terms))
            if moved < 1e-6 * max(spread, 1e-12) or spread == 0.0:
                break
            for d in range(dates):
                if series[d] == series[d]:
                    weight[d] = min(1.0, HUBER * spread / max(abs(left[d]), 1e-30))
        if not solved:
            found[:] = np.nan
            continue
        # Huber (1981), section 7.6: the mean squared influence over the share that counts fully.
        squared, inner = 0.0, 0
        for d in range(dates):
            if series[d] == series[d]:
                influence = min(abs(left[d]), HUBER * spread)
                squared += influence * influence
                inner += abs(left[d]) <= HUBER * spread
        share = inner / count if inner else 1.0
        variance = squared / (count - terms) / share**2
        normal[:] = 0.0
        for d in range(dates):
            if series[d] == series[d]:
                for i in range(terms):
                    for j in range(i + 1):
                        normal[i, j] += matrix[d, i] * matrix[d, j]
        _invert(normal, inverse)
        for i in range(terms):
            for j in range(terms):
                covariance[pixel, i, j] = variance * inverse[i, j]
        scale[pixel] = spread


@numba.njit(nogil=True, cache=True)
def _invert(lower: np.ndarray, inverse: np.ndarray) -> bool:
    """Inverse of a positive definite matrix, given by its lower half; False where it is none.

    ``lower`` becomes its Cholesky factor.
    """
    size = lower.shape[0]
    for i in range(size):
        for j in range(i + 1):
            s = lower[i, j]
            for k in range(j):
                s -= lower[i, k] * lower[j, k]
            if i > j:
                lower[i, j] = s / lower[j, j]
            elif s > 1e-10 * lower[i, i] > 0.0:
                lower[i, i] = np.sqrt(s)
            else:
                return False
    for column in range(size):
        for i in range(size):
            s = 1.0 if i == column else 0.0
            for k in range(i):
                s -= lower[i, k] * inverse[k, column]
            inverse[i, column] = s / lower[i, i]
        for i in range(size - 1, -1, -1):
            s = inverse[i, column]
            for k in range(i + 1, size):
                s -= lower[k, i] * inverse[k, column]
            inverse[i, column] = s / lower[i, i]
    return True


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _theil_sen(values: np.ndarray, years: np.ndarray, lags: bool, out: np.ndarray) -> None:
    dates = years.size
    x, t = np.empty(dates), np.empty(dates)
    slopes = np.empty(dates * (dates - 1) // 2)
    near = np.empty_like(slopes)
    for pixel in range(values.shape[0]):
        n, together = 0, False
        for k in range(dates):
            if np.isfinite(values[pixel, k]):
                x[n], t[n] = values[pixel, k], years[k]
                together |= n > 0 and t[n] == t[n - 1]
                n += 1
        if n < MIN_DATES:
            continue
        count, rises, falls = 0, 0, 0
        for i in range(n - 1):
            later, then = x[i + 1 : n], t[i + 1 : n]
            here = slopes[count:]
            for j in range(later.size):
                rise = later[j] - x[i]
                rises += rise > 0.0
                falls += rise < 0.0
                here[j] = rise / (then[j] - t[i])
            if together:  # dates that tell no slope
                kept = 0
                for j in range(later.size):
                    if then[j] > t[i]:
                        here[kept] = here[j]
                        kept += 1
                count += kept
            else:
                count += later.size
        if count == 0:
            continue
        middle, beyond = (count - 1) // 2, count // 2
        every, sample = slopes[:count], slopes[:0]
        if count > SORTED:
            size = int(np.sqrt(count))
            sample = np.sort(every[:: count // size])
            rate = _counted(every, middle, beyond, sample, near)
        else:
            rate = _parted(every, 0, count - 1, middle, beyond)
        flat = x[:n] - rate * t[:n]
        score, tied = rises - falls, rises + falls < n * (n - 1) // 2
        inflation = _inflation_of_lags(flat) if lags else _inflation(flat)
        variance = inflation * _variance(x[:n], tied)
        out[0, pixel] = rate
        if variance <= 0.0 or inflation < ROUNDING:  # all alike, or undone by negative lags
            out[1, pixel] = 0.0 if x[:n].min() == x[:n].max() else np.nan
            out[2, pixel] = 0.0 if score == 0 else np.nan
            continue
        deviation = np.sqrt(variance)
        half = min(0.5 * NORMAL_95 * deviation, 0.5 * (count - 1))
        low = int(np.floor(0.5 * (count - 1) - half))
        high = int(np.ceil(0.5 * (count - 1) + half))
        if count > SORTED:
            lower = _counted(every, low, low, sample, near)
            upper = _counted(every, high, high, sample, near)
        else:  # each lies on its own side of the middle, about which the slopes are parted already
            lower = _parted(every, 0, middle, low, low)
            upper = _parted(every, min(middle + 1, high), count - 1, high, high)
        out[1, pixel] = (upper - lower) / (2.0 * NORMAL_95)
        out[2, pixel] = (score - np.sign(score)) / deviation


@numba.njit(nogil=True, cache=True)
def _counted(
    values: np.ndarray, first: int, last: int, sample: np.ndarray, near: np.ndarray
) -> float:
    """Mean of the values at places ``first`` and ``last`` (the same or the next) of all sorted.

    Two bounds close in on them: from ``sample`` (sorted, of ``values``), then from the line between
    the bounds. What lies below each is counted, which processors do many at a time; the few between
    are put into ``near`` (as long as ``values``) and parted there.
    """
    low, high = -np.inf, np.inf  # low <= the values sought < high
    below, upto = 0, values.size  # so many lie below either
    at = sample.size * (first + 0.5) / values.size
    margin = 0.9 * np.sqrt(sample.size)
    left, right = int(np.floor(at - margin)), int(np.ceil(at + margin))
    a = sample[left] if left >= 0 else low
    b = sample[right] if right < sample.size else high
    for _ in range(ROUNDS):
        below_a, below_b = 0, 0
        for j in range(values.size):
            below_a += values[j] < a
            below_b += values[j] < b
        if below_b <= first:
            low, below = b, below_b
        elif below_a <= first:
            low, below = a, below_a
        if below_a > last:
            high, upto = a, below_a
        elif below_b > last:
            high, upto = b, below_b
        between = upto - below
        if between <= NEAR or low == -np.inf or high == np.inf:
            break
        step = (high - low) / between
        middle = low + (first + 0.5 - below) * step
        a, b = max(middle - 0.4 * NEAR * step, low), min(middle + 0.4 * NEAR * step, high)
    found = 0
    for j in range(values.size):
        near[found] = values[j]
        found += (low <= values[j]) & (values[j] < high)
    return _parted(near, 0, found - 1, first - below, last - below)


@numba.njit(nogil=True, cache=True)
def _parted(values: np.ndarray, left: int, right: int, first: int, last: int) -> float:
    """That mean of ``values[left : right + 1]``, which are parted about ``first`` on return.

    Source: Floyd & Rivest (1975), doi:10.1145/360680.360694, without samples.
    """
    low, high = left, right
    while high > low:
        low, high = _part(values, low, high, first)
    if last == first:
        return float(values[first])
    return float(0.5 * (values[first] + values[first + 1 : right + 1].min()))


@numba.njit(nogil=True, cache=True)
def _part(values: np.ndarray, left: int, right: int, k: int) -> tuple[int, int]:
    """Part ``values[left : right + 1]`` about the value at ``k``; the range that ``k`` is in."""
    pivot = values[k]
    i, j = left, right
    values[left], values[k] = pivot, values[left]
    if values[right] > pivot:
        values[left], values[right] = values[right], values[left]
    while i < j:
        values[i], values[j] = values[j], values[i]
        i += 1
        j -= 1
        while values[i] < pivot:
            i += 1
        while values[j] > pivot:
            j -= 1
    if values[left] == pivot:
        values[left], values[j] = values[j], values[left]
    else:
        j += 1
        values[j], values[right] = values[right], values[j]
    return j + 1 if j <= k else left, j - 1 if k <= j else right


@numba.njit(nogil=True, cache=True)
def _variance(x: np.ndarray, tied: bool) -> float:
    """Variance of Kendall's score without a trend or serial correlation; ties lower it."""
    n = x.size
    total = n * (n - 1.0) * (2.0 * n + 5.0)
    if not tied:
        return total / 18.0
    ordered = np.sort(x)
    run = 1
    for i in range(1, n + 1):
        if i < n and ordered[i] == ordered[i - 1]:
            run += 1
        else:
            total -= run * (run - 1.0) * (2.0 * run + 5.0)
            run = 1
    return total / 18.0


@numba.njit(nogil=True, cache=True)
def _ranks(x: np.ndarray) -> np.ndarray:
    """Ranks of ``x`` about their mean; equal values share the mean of theirs."""
    n = x.size
    order = np.argsort(x)
    rank = np.empty(n)
    i = 0
    while i < n:
        j = i
        while j + 1 < n and x[order[j + 1]] == x[order[i]]:
            j += 1
        for k in range(i, j + 1):
            rank[order[k]] = 0.5 * (i + j - n + 1)
        i = j + 1
    return rank


@numba.njit(nogil=True, cache=True, fastmath={"reassoc"})
def _product(rank: np.ndarray, lag: int) -> float:
    """Sum of products of ranks so far apart: of quarters, and so exact in any order."""
    total = 0.0
    for k in range(rank.size - lag):
        total += rank[k] * rank[k + lag]
    return total


@numba.njit(nogil=True, cache=True)
def _inflation(x: np.ndarray) -> float:
    """What serial correlation of the ranks of ``x`` multiplies that variance by."""
    n = x.size
    rank = _ranks(x)
    whole = _product(rank, 0)
    if whole == 0.0:
        return 1.0
    first = _product(rank, 1) / whole
    first = min((n * first + 2.0) / (n - 4.0), MOST_MEMORY)
    if first <= 1.0 / np.sqrt(n):
        return 1.0
    total = 0.0
    for lag in range(1, n - 2):
        total += (n - lag) * (n - lag - 1.0) * (n - lag - 2.0) * first**lag
    return 1.0 + 2.0 * total / (n * (n - 1.0) * (n - 2.0))


@numba.njit(nogil=True, cache=True)
def _inflation_of_lags(x: np.ndarray) -> float:
    """The same by all lags of the ranks' correlation that are significant (95 %)."""
    n = x.size
    rank = _ranks(x)
    whole = _product(rank, 0)
    if whole == 0.0:
        return 1.0
    limit, total = NORMAL_95 / np.sqrt(n), 0.0
    for lag in range(1, n - 2):
        correlation = _product(rank, lag) / whole
        if abs(correlation) > limit:
            total += (n - lag) * (n - lag - 1.0) * (n - lag - 2.0) * correlation
    return 1.0 + 2.0 * total / (n * (n - 1.0) * (n - 2.0))
