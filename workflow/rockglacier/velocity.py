"""Velocity and its error from a displacement time series.

The noise of a pixel's series has two parts. Decorrelation is known from coherence and looks: its
information matrix over the dates is the weighted Laplacian ``L`` of the network. Delay of the
atmosphere (and whatever else changes from date to date) has a variance per date, ``D``, estimated
on stable ground by restricted maximum likelihood. Both together give the generalised
least-squares weight of the dates,

    Q = L (L + D^-1)^-1 D^-1,        velocity model m = (G'QG)^-1 G'Q d,     cov(m) = (G'QG)^-1,

blind to any constant (so the choice of the first date does not matter) and to the offsets between
disconnected subsets.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

import numba
import numpy as np
import xarray as xr

from rockglacier.ambiguity import RATE_CHANGE
from rockglacier.bands import Band, cut
from rockglacier.conventions import (
    DATE,
    PAIR,
    Reason,
    X,
    Y,
    describe,
    metres_per_radian,
    require,
    years_since,
)
from rockglacier.errors import DimensionError, RockGlacierError
from rockglacier.normal_equations import TILE, Plan, add_edge, factor, plan, solve
from rockglacier.phase_noise import MAXIMUM_PRODUCT, TABLE_SIZE, weight_table

logger = logging.getLogger(__name__)

Term = Literal["annual", "semiannual", "acceleration"]

MINIMUM_DELAY_RAD = 0.02  # of one date; keeps D invertible where there is no delay
LEAST_VARIANCE_FACTOR = 1e-3  # pairs without any noise still weigh finitely
LIKELIHOOD_ITERATIONS = 40
SAMPLE_PIXELS = 1024
SAMPLE_BANDS, SAMPLE_ROWS = 8, 8
# ASSUME: ground whose velocities scatter this many times more than their errors say is not at rest,
# or noisier than it says.
RESTLESS = 3.0
MEDIAN_CHI2 = 0.4549364  # median of the chi-squared distribution with one degree of freedom
MEDIAN_SCATTER = 5.443  # relative variance of that median, times the number of draws


def time_model(
    dates: np.ndarray,
    *,
    terms: Sequence[Term] = (),
    steps: Sequence[str] = (),
) -> xr.DataArray:
    """Design of the displacement model, (date, term), without the constant.

    Terms: ``velocity`` (years since the mean date); ``annual`` and ``semiannual`` add
    ``<name>_sine`` and ``<name>_cosine`` of the calendar year; ``acceleration`` adds t^2 / 2;
    each date in ``steps`` adds ``step_<date>``, one from that date on.

    Raises
    ------
    RockGlacierError
        A step lies outside the series, or the terms outnumber the dates.
    """
    dates = np.asarray(dates, dtype="datetime64[ns]")
    t = years_since(dates, dates[0])
    t -= t.mean()
    calendar = years_since(dates, np.datetime64("2000-01-01", "ns"))
    columns = {"velocity": t}
    for name, frequency in (("annual", 1.0), ("semiannual", 2.0)):
        if name in terms:
            columns[f"{name}_sine"] = np.sin(2.0 * np.pi * frequency * calendar)
            columns[f"{name}_cosine"] = np.cos(2.0 * np.pi * frequency * calendar)
    if "acceleration" in terms:
        columns["acceleration"] = 0.5 * t**2
    for step in steps:
        when = np.datetime64(step, "ns")
        if not dates[0] < when <= dates[-1]:
            raise RockGlacierError(
                f"The step {step} lies outside the series ({dates[0]:.10} to {dates[-1]:.10}); "
                "remove it or correct its date."
            )
        columns[f"step_{str(when)[:10]}"] = (dates >= when).astype(float)
    if len(columns) + 1 >= dates.size:
        raise RockGlacierError(
            f"A model of {len(columns)} terms and a constant was asked of {dates.size} dates; "
            "leave out terms or add dates."
        )
    return xr.DataArray(
        np.stack(list(columns.values()), axis=1),
        dims=(DATE, "term"),
        coords={DATE: dates, "term": list(columns)},
        name="model",
    )


@numba.njit(nogil=True, cache=True, fastmath={"contract", "nsz", "arcp", "reassoc"})
def _weigh(
    plan: Plan,
    product: np.ndarray,
    observed: np.ndarray,
    p0: int,
    table: np.ndarray,
    weight: np.ndarray,
    diagonal: np.ndarray,
    off: np.ndarray,
) -> None:
    """Add every pair's weight to the matrix of the tile that starts at pixel ``p0``."""
    n = min(TILE, observed.shape[1] - p0)
    for k in range(plan.first.size):
        weight[k] = 0.0
        for p in range(n):
            q = product[k, p0 + p]
            if q == q:
                q = min(max(q, np.float32(0.0)), np.float32(MAXIMUM_PRODUCT))
                weight[k, p] = table[int(q * np.float32(TABLE_SIZE - 1) + np.float32(0.5))]
        add_edge(plan, k, weight[k], diagonal, off)


@numba.njit(nogil=True, cache=True, fastmath={"contract", "nsz", "arcp", "reassoc"})
def _through_network(plan: Plan, weight: np.ndarray, vector: np.ndarray, out: np.ndarray) -> None:
    """``out = L vector`` for one tile: the Laplacian applied pair by pair, free of cancellation."""
    out[:] = 0.0
    for k in range(plan.first.size):
        i, j = plan.first[k], plan.second[k]
        for p in range(TILE):
            flow = weight[k, p] * (vector[j, p] - vector[i, p])
            out[j, p] += flow
            out[i, p] -= flow


@numba.njit(nogil=True, cache=True)
def _observed_share(
    first: np.ndarray, second: np.ndarray, weight: np.ndarray, p: int, step: np.ndarray
) -> float:
    """Share of the series' duration that pixel ``p``'s pairs span (``step``: between dates)."""
    change = np.zeros(step.size + 1, np.int64)
    for k in range(first.size):
        if weight[k, p] > 0.0:
            change[first[k]] += 1
            change[second[k]] -= 1
    open_pairs = 0
    covered = 0.0
    for d in range(step.size):
        open_pairs += change[d]
        if open_pairs > 0:
            covered += step[d]
    return float(covered / step.sum())


@numba.njit(nogil=True, cache=True)
def _fit(
    plan: Plan,
    first: np.ndarray,
    second: np.ndarray,
    step: np.ndarray,
    product: np.ndarray,
    series: np.ndarray,
    table: np.ndarray,
    model: np.ndarray,
    precision: np.ndarray,
    coefficient: np.ndarray,
    covariance: np.ndarray,
    quality: np.ndarray,
) -> None:
    """Fit ``model`` (date, term) to ``series`` (date, pixel), rad, with the full date covariance.

    Without pairs (``plan.first`` empty) only ``precision`` (1 / D per date) weighs the dates.
    ``coefficient`` (term, pixel); ``covariance`` (term, term, pixel); ``quality``: chi-squared per
    degree of freedom, lag-one correlation of the standardised date residuals, dates used, share of
    the duration that the pixel's pairs span.
    """
    dates, terms = model.shape
    pixels = series.shape[1]
    pairs = plan.first.size
    weight = np.empty((pairs, TILE), np.float64)
    diagonal = np.empty((dates, TILE), np.float64)
    off = np.empty((plan.row.size, TILE), np.float64)
    data = np.empty((dates, TILE), np.float64)
    column = np.empty((dates, TILE), np.float64)
    weighted = np.empty((terms + 1, dates, TILE), np.float64)  # Q G and Q d
    total = np.empty(TILE, np.float64)
    mean = np.empty(TILE, np.float64)
    normal = np.empty((terms, terms), np.float64)
    moment = np.empty(terms, np.float64)
    for p0 in range(0, pixels, TILE):
        n = min(TILE, pixels - p0)
        data[:] = np.nan
        for d in range(dates):
            data[d, :n] = series[d, p0 : p0 + n]
        if pairs:
            off[:] = 0.0
            for d in range(dates):
                diagonal[plan.position[d]] = precision[d]
            _weigh(plan, product, series, p0, table, weight, diagonal, off)
            factor(plan, diagonal, off)
        for c in range(terms + 1):
            if pairs:
                for d in range(dates):
                    i = plan.position[d]
                    for p in range(TILE):
                        value = model[d, c] if c < terms else data[d, p]
                        column[i, p] = precision[d] * value if value == value else 0.0
                solve(plan, diagonal, off, column)
                _through_network(plan, weight, column, weighted[c])
            else:
                total[:] = 0.0
                mean[:] = 0.0
                for d in range(dates):
                    for p in range(TILE):
                        if data[d, p] == data[d, p]:
                            value = model[d, c] if c < terms else data[d, p]
                            total[p] += precision[d]
                            mean[p] += precision[d] * value
                for d in range(dates):
                    for p in range(TILE):
                        weighted[c, d, p] = 0.0
                        if data[d, p] == data[d, p]:
                            value = model[d, c] if c < terms else data[d, p]
                            weighted[c, d, p] = precision[d] * (value - mean[p] / total[p])
        for p in range(n):
            pixel = p0 + p
            used = 0
            for d in range(dates):
                if data[d, p] == data[d, p]:
                    used += 1
            coefficient[:, pixel] = np.nan
            covariance[:, :, pixel] = np.nan
            quality[:, pixel] = np.nan
            quality[2, pixel] = used
            quality[3, pixel] = _observed_share(first, second, weight, p, step) if pairs else 1.0
            if used < terms + 2:
                continue
            normal[:] = 0.0
            moment[:] = 0.0
            square = 0.0
            for d in range(dates):
                i = plan.position[d] if pairs else d
                if data[d, p] == data[d, p]:
                    square += data[d, p] * weighted[terms, i, p]
                    for a in range(terms):
                        moment[a] += model[d, a] * weighted[terms, i, p]
                        for b in range(a + 1):
                            normal[a, b] += model[d, a] * weighted[b, i, p]
            for a in range(terms):
                for b in range(a):
                    normal[b, a] = normal[a, b]
            # A term that this pixel's dates cannot tell from the others leaves no pivot.
            scale = np.sqrt(np.diag(normal))
            if not np.all(scale > 0.0):
                continue
            correlation = normal / np.outer(scale, scale)
            if terms > 1 and np.linalg.det(correlation) < 1e-10:
                continue
            inverse = np.linalg.inv(correlation) / np.outer(scale, scale)
            estimate = inverse @ moment
            covariance[:, :, pixel] = inverse
            coefficient[:, pixel] = estimate
            freedom = used - 1 - terms
            quality[0, pixel] = max(square - np.dot(estimate, moment), 0.0) / max(freedom, 1)
            previous = np.nan
            together = 0.0
            power = 0.0
            for d in range(dates):
                if data[d, p] == data[d, p]:
                    i = plan.position[d] if pairs else d
                    r = weighted[terms, i, p]
                    for a in range(terms):
                        r -= weighted[a, i, p] * estimate[a]
                    r /= np.sqrt(precision[d])
                    power += r * r
                    if previous == previous:
                        together += r * previous
                    previous = r
            quality[1, pixel] = together / power if power > 0.0 else 0.0


@numba.njit(nogil=True, cache=True)
def _likelihood(
    plan: Plan,
    product: np.ndarray,
    series: np.ndarray,
    table: np.ndarray,
    model: np.ndarray,
    precision: np.ndarray,
    score: np.ndarray,
    information: np.ndarray,
) -> None:
    """Per pixel and date: ``score = (P d)_t`` and ``information = P_tt``.

    P = Q - QG (G'QG)^-1 G'Q. Under the right ``precision`` the mean square of the first equals
    the second.
    """
    dates = model.shape[0]
    pixels = series.shape[1]
    pairs = plan.first.size
    weight = np.empty((pairs, TILE), np.float64)
    diagonal = np.empty((dates, TILE), np.float64)
    off = np.empty((plan.row.size, TILE), np.float64)
    column = np.empty((dates, TILE), np.float64)
    image = np.empty((dates, TILE), np.float64)
    q = np.empty((TILE, dates, dates), np.float64)
    for p0 in range(0, pixels, TILE):
        n = min(TILE, pixels - p0)
        if pairs:
            off[:] = 0.0
            for d in range(dates):
                diagonal[plan.position[d]] = precision[d]
            _weigh(plan, product, series, p0, table, weight, diagonal, off)
            factor(plan, diagonal, off)
            for t in range(dates):
                column[:] = 0.0
                column[plan.position[t]] = precision[t]
                solve(plan, diagonal, off, column)
                _through_network(plan, weight, column, image)
                for d in range(dates):
                    q[:, d, t] = image[plan.position[d]]
        for p in range(n):
            here = q[p]
            data = series[:, p0 + p].copy()
            good = ~np.isnan(data)
            if not pairs:
                g = np.where(good, precision, 0.0)
                here[:] = np.diag(g) - np.outer(g, g) / g.sum()
            design = model.copy()
            for d in range(dates):
                if not good[d]:
                    data[d] = 0.0
                    design[d] = 0.0
            weighted = here @ design
            projected = here - weighted @ np.linalg.solve(design.T @ weighted, weighted.T)
            residual = projected @ data
            for d in range(dates):
                score[d, p0 + p] = residual[d] if good[d] else np.nan
                information[d, p0 + p] = projected[d, d] if good[d] else np.nan


class _Noise:
    """What the kernels need of a network: its plan and the weights of its coherence."""

    def __init__(
        self,
        dates: np.ndarray,
        product: xr.DataArray | None,
        looks: float | None,
        weights: np.ndarray | None,
        factor: float,
    ) -> None:
        if product is None:
            first = second = np.empty(0, np.int64)
        else:
            known = np.asarray(dates)
            first = np.searchsorted(known, product["reference"].values)
            second = np.searchsorted(known, product["secondary"].values)
            ends = np.stack([first, second])
            wrong = ends.max() >= known.size or np.any(
                known[ends] != np.stack([product["reference"], product["secondary"]])
            )
            if wrong:
                raise DimensionError(
                    "The coherence product has pairs at dates that the displacement lacks; "
                    "both must come from one network."
                )
        self.first, self.second = first.astype(np.int64), second.astype(np.int64)
        self.step = np.diff(np.asarray(dates)) / np.timedelta64(1, "D")
        self.plan = plan(first, second, len(dates))
        factor = max(factor, LEAST_VARIANCE_FACTOR)
        table = weight_table(looks) if weights is None else weights
        self.table = (table / factor).astype(np.float32)


def sample_bands(stable_ground: xr.DataArray, *, margin: int) -> list[Band]:
    """A few bands of rows to estimate noise on, evenly spaced over ``stable_ground`` (y, x)."""
    rows = np.flatnonzero(stable_ground.any(X).values)
    height = stable_ground.sizes[Y]
    if not rows.size:
        return cut(height, height, margin)
    every = cut(height, SAMPLE_ROWS, margin)
    wanted = rows[np.linspace(0, rows.size - 1, SAMPLE_BANDS).astype(int)] // SAMPLE_ROWS
    return [every[i] for i in np.unique(wanted)]


def delay_variance(
    displacement: xr.DataArray,
    product: xr.DataArray | None,
    model: xr.DataArray,
    *,
    wavelength_m: float,
    looks: float | None,
    weights: np.ndarray | None = None,
    variance_factor: float = 1.0,
    sample: xr.DataArray,
    seed: int = 0,
) -> xr.DataArray:
    """Variance of the delay of each date (m^2), from the scatter of pixels about their model.

    Restricted maximum likelihood (Patterson & Thompson 1971, doi 10.1093/biomet/58.3.545), the
    decorrelation of each pixel known, solved by minorise-maximise steps (Zhou et al. 2019,
    doi 10.1080/10618600.2018.1529601), with the median over pixels in place of the mean.

    ``displacement`` (date, y, x; m); ``product`` (pair, y, x) as for :func:`estimate`; ``sample``
    (y, x), True on the pixels that may be used: stable ground where known. Raises
    RockGlacierError where fewer than 16 pixels qualify.
    """
    rng = np.random.default_rng(seed)
    picked = sample.transpose(Y, X).values.ravel()
    pixels = np.flatnonzero(picked)
    if pixels.size < 16:
        raise RockGlacierError(
            f"Only {pixels.size} pixels of stable ground have a time series; at least 16 are "
            "needed to estimate the delay of each date: widen the stable ground."
        )
    pixels = np.sort(rng.permutation(pixels)[:SAMPLE_PIXELS])
    scale = metres_per_radian(wavelength_m)

    def columns(array: xr.DataArray, dim: str) -> np.ndarray:
        values = array.transpose(dim, Y, X).values
        return np.ascontiguousarray(values.reshape(values.shape[0], -1)[:, pixels])

    series = columns(displacement, DATE).astype(np.float64) / scale
    gamma = (
        np.empty((0, pixels.size), np.float32)
        if product is None
        else columns(product, PAIR).astype(np.float32)
    )
    enough = np.isfinite(series).sum(axis=0) >= model.sizes["term"] + 2
    series, gamma = series[:, enough], np.ascontiguousarray(gamma[:, enough])
    noise = _Noise(model[DATE].values, product, looks, weights, variance_factor)
    score, information = np.empty_like(series), np.empty_like(series)
    variance = np.full(series.shape[0], 0.25)
    for _ in range(LIKELIHOOD_ITERATIONS):
        _likelihood(
            noise.plan, gamma, series, noise.table, model.values, 1.0 / variance,
            score, information,
        )  # fmt: skip
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.nanmedian(score**2 / information, axis=1) / MEDIAN_CHI2
        step = np.sqrt(np.where(np.isfinite(ratio), ratio, 1.0))
        variance = np.maximum(variance * step, MINIMUM_DELAY_RAD**2)
        if np.all(np.abs(step - 1.0)[variance > MINIMUM_DELAY_RAD**2] < 0.01):
            break
    variance = _shrunk(variance, score / np.sqrt(information))
    return describe(
        xr.DataArray(variance * scale**2, dims=(DATE,), coords={DATE: model[DATE].values}),
        "delay_variance",
        "variance of the delay of each date",
        "m2",
    )


def _shrunk(variance: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Variances of the dates drawn toward their mean by as much as chance makes them differ.

    ``residual`` (date, pixel) is standardised, NaN where missing. Delay is alike over kilometres,
    so a scene holds few independent draws of it: a date that happens to lie near the fit would get
    too much weight, and draw the fit still nearer. The mean square correlation of pixels says how
    many draws there are, hence how the logarithms of their median squares scatter by chance.

    # ASSUME: no date is ten times as quiet as the median one.
    """
    from scipy.special import polygamma

    dates, pixels = residual.shape
    known = np.nan_to_num(residual)
    known /= np.sqrt(np.maximum((known**2).mean(axis=0), 1e-12))
    together = known @ known.T / (dates * pixels)
    alike = max(float((together**2).sum()) - 1.0 / dates, 1.0 / pixels)
    logarithm = np.log(np.maximum(variance, 0.1 * np.median(variance)))
    spread = float(logarithm.var())
    chance = float(polygamma(1, 1.0 / (MEDIAN_SCATTER * alike)))
    trust = 0.0 if spread == 0.0 else max(0.0, 1.0 - chance / spread)
    drawn = np.exp(trust * logarithm)
    return np.asarray(drawn * variance.mean() / drawn.mean())


def estimate(
    displacement: xr.DataArray,
    product: xr.DataArray | None,
    model: xr.DataArray,
    *,
    wavelength_m: float,
    looks: float | None,
    weights: np.ndarray | None = None,
    delay_variance: xr.DataArray,
    variance_factor: float = 1.0,
) -> xr.Dataset:
    """Velocity (m/yr, positive toward the satellite), further terms, and their errors.

    Parameters
    ----------
    displacement
        (date, y, x), m.
    product
        (pair, y, x), from :func:`rockglacier.phase_noise.coherence_product`, of the pairs that
        made it. None for a series of unknown network: only ``delay_variance`` weighs its dates.
    model
        From :func:`time_model`.
    looks, weights
        Effective independent looks of the coherence; or weights over the product, as of
        :func:`rockglacier.phase_noise.weight_table`.
    delay_variance
        (date,), m^2, from :func:`delay_variance`.
    variance_factor
        Variance of the pairs' residuals over what coherence predicts (scene-wide).

    Returns
    -------
    Dataset of ``velocity``, ``velocity_error`` and, by term, ``acceleration`` (m/yr^2),
    ``annual_amplitude``, ``semiannual_amplitude`` (m), ``annual_maximum`` (day of the year of the
    largest displacement), ``step_<date>`` (m), each with ``_error`` (one standard deviation),
    ``misfit`` (chi-squared per degree of freedom of the date residuals) and ``observed_share`` of
    the series' duration that the pixel's pairs span. Where that is not all (winters that no pair
    bridges), the velocity is that of the observed seasons and ``velocity_error`` contains what the
    rest of the year may differ (:data:`rockglacier.ambiguity.RATE_CHANGE`).

    The error grows where the residuals exceed what the noise model predicts (beyond the 97.5 %
    point of chi-squared), and where they are serially correlated beyond chance: the variance is
    multiplied by (1 + rho) / (1 - rho) (Bartlett 1935).
    """
    require(displacement, dims=(DATE,), units="m")
    terms = [str(t) for t in model["term"].values]
    noise = _Noise(model[DATE].values, product, looks, weights, variance_factor)
    scale = metres_per_radian(wavelength_m)
    variance = np.maximum(delay_variance.values / scale**2, MINIMUM_DELAY_RAD**2)
    design = np.ascontiguousarray(model.values, dtype=np.float64)
    bands = _bands(terms)

    def block(series: np.ndarray, *gamma: np.ndarray) -> tuple[np.ndarray, ...]:
        shape = series.shape[:-1]
        values = np.ascontiguousarray(np.moveaxis(series, -1, 0)).reshape(series.shape[-1], -1)
        pixels = values.shape[1]
        weights = (
            np.ascontiguousarray(np.moveaxis(gamma[0], -1, 0)).reshape(-1, pixels)
            if gamma
            else np.empty((0, pixels), np.float32)
        )
        coefficient = np.empty((len(terms), pixels))
        covariance = np.empty((len(terms), len(terms), pixels))
        quality = np.empty((4, pixels))
        _fit(
            noise.plan, noise.first, noise.second, noise.step,
            weights.astype(np.float32, copy=False), values / scale, noise.table, design,
            1.0 / variance, coefficient, covariance, quality,
        )  # fmt: skip
        coefficient *= scale
        covariance *= scale**2 * _inflation(quality, len(terms))
        maps = _maps(terms, coefficient, covariance)
        maps |= {"misfit": quality[0], "observed_share": quality[3]}
        unseen = RATE_CHANGE * (1.0 - quality[3]) * np.abs(maps["velocity"])
        maps["velocity_error"] = np.hypot(maps["velocity_error"], unseen)
        return tuple(maps[name].astype(np.float32).reshape(shape) for name in bands)

    inputs = [displacement, *([] if product is None else [product])]
    results = xr.apply_ufunc(
        block,
        *inputs,
        input_core_dims=[[DATE], [PAIR]][: len(inputs)],
        output_core_dims=[[]] * len(bands),
        dask="parallelized",
        output_dtypes=[np.float32] * len(bands),
        keep_attrs=False,
    )
    named = zip(bands.items(), results, strict=True)
    return xr.Dataset(
        {n: describe(a.drop_vars(DATE, errors="ignore"), n, *t) for (n, t), a in named}
    )


def with_scene_scatter(estimate: xr.Dataset, stable_ground: xr.DataArray) -> xr.Dataset:
    """Widen ``velocity_error`` by what velocities on stable ground scatter beyond it.

    The delay of the atmosphere is alike over kilometres, so a scene of few dates holds few
    independent draws of it and its scatter may exceed what the dates' variance foretells. The error
    becomes sqrt(error^2 + excess), ``excess = max(0, NMAD^2 - median(error^2))`` over
    ``stable_ground`` (y, x; True where the ground is known not to move), the same everywhere: the
    full NMAD^2 would count the noise twice. It is kept as attribute ``scene_scatter_m_per_year``.
    """
    velocity = estimate["velocity"].where(stable_ground)
    nmad = _nmad(velocity)
    foretold = (estimate["velocity_error"].where(stable_ground) ** 2).median()
    excess = float(max(0.0, float(nmad**2 - foretold)))
    widened = (estimate["velocity_error"] ** 2 + excess) ** 0.5
    widened.attrs = dict(estimate["velocity_error"].attrs)
    out = estimate.assign(velocity_error=widened)
    return out.assign_attrs(scene_scatter_m_per_year=float(np.sqrt(excess)))


def _nmad(values: xr.DataArray) -> float:
    """Robust standard deviation about the median."""
    return 1.4826 * float(abs(values - values.median()).median())


def warn_of_motion(estimate: xr.Dataset, stable_ground: xr.DataArray) -> None:
    """Log a warning where ``stable_ground`` (y, x; bool) scatters far beyond the stated error."""
    rates = estimate["velocity"].where(stable_ground)
    nmad = _nmad(rates)
    error = float(estimate["velocity_error"].where(stable_ground).median())
    if nmad > RESTLESS * error:
        logger.warning(
            "what counts as stable ground scatters by %.1f mm/yr, %.0f times its error: it moves "
            "or holds delays; give stable_ground, moving_areas or corrections.local_reference",
            1000.0 * nmad,
            nmad / error,
        )


def screened(
    estimate: xr.Dataset,
    quality: xr.Dataset,
    *,
    min_temporal_coherence: float,
    aliased: xr.DataArray | None = None,
) -> xr.Dataset:
    """``estimate`` with NaN and a reason where its velocities are not to be believed.

    ``quality`` holds ``reason`` and ``temporal_coherence`` (y, x) of the inversion; ``aliased``
    (y, x) is True where motion between dates may exceed what phase resolves. What the series says
    there stays in the displacement; the map says "not observed", never "slow".
    """
    bands = [n for n in estimate if n not in ("misfit", "observed_share")]
    reason = quality["reason"]
    low = quality["temporal_coherence"] < min_temporal_coherence
    solved = estimate["velocity"].notnull()
    reason = reason.where(~(low & solved), Reason.LOW_TEMPORAL_COHERENCE)
    if aliased is not None:
        reason = reason.where(~(aliased & solved), Reason.ALIASED)
    # Few dates in too many pieces: solved by the inversion, but no rate follows.
    reason = reason.where(solved | (reason > Reason.OBSERVED), Reason.TOO_FEW_PAIRS)
    kept = (reason == Reason.OBSERVED) | (reason == Reason.SUBSETS)
    out = estimate.assign({n: estimate[n].where(kept) for n in bands})
    return out.assign(reason=reason.assign_attrs(quality["reason"].attrs))


def _bands(terms: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Output variables by name: long name and units."""
    bands = {"velocity": ("velocity toward the satellite", "m/yr")}
    if "acceleration" in terms:
        bands["acceleration"] = ("acceleration toward the satellite", "m/yr2")
    for name in ("annual", "semiannual"):
        if f"{name}_sine" in terms:
            bands[f"{name}_amplitude"] = (f"{name} amplitude", "m")
    if "annual_sine" in terms:
        bands["annual_maximum"] = ("day of the year of the annual term's maximum", "d")
    for term in terms:
        if term.startswith("step_"):
            bands[term] = (f"step on {term.removeprefix('step_')}", "m")
    errors = {
        f"{name}_error": (f"standard deviation of the {text}", units)
        for name, (text, units) in bands.items()
    }
    merged = {
        k: v
        for name in bands
        for k, v in ((name, bands[name]), (f"{name}_error", errors[f"{name}_error"]))
    }
    return merged | {
        "misfit": ("chi-squared of the date residuals per degree of freedom", "1"),
        "observed_share": ("share of the duration that the pixel's pairs span", "1"),
    }


def _inflation(quality: np.ndarray, terms: int) -> np.ndarray:
    """Factor on the variance of each pixel from its misfit and serial correlation."""
    from scipy.stats import chi2

    misfit, correlation, dates, _ = quality
    freedom = np.maximum(dates - 1 - terms, 1)
    levels = np.unique(freedom)
    limits = chi2.ppf(0.975, levels) / levels
    limit = limits[np.searchsorted(levels, freedom)]
    with np.errstate(invalid="ignore"):
        factor = np.where(misfit > limit, misfit, 1.0)
        # ASSUME: beyond 2.5 standard errors of white noise a correlation is real.
        real = correlation > 2.5 / np.sqrt(np.maximum(dates, 1))
        rho = np.clip(correlation, 0.0, 0.9)
        return np.asarray(factor * np.where(real, (1.0 + rho) / (1.0 - rho), 1.0))


def _maps(
    terms: Sequence[str], coefficient: np.ndarray, covariance: np.ndarray
) -> dict[str, np.ndarray]:
    """Named results of every pixel from coefficients (term, pixel) and their covariance."""
    at = {term: i for i, term in enumerate(terms)}
    maps: dict[str, np.ndarray] = {}
    for term, i in at.items():
        if term in ("velocity", "acceleration") or term.startswith("step_"):
            maps[term] = coefficient[i]
            maps[f"{term}_error"] = np.sqrt(covariance[i, i])
    for name in ("annual", "semiannual"):
        if f"{name}_sine" not in at:
            continue
        i, j = at[f"{name}_sine"], at[f"{name}_cosine"]
        sine, cosine = coefficient[i], coefficient[j]
        amplitude = np.hypot(sine, cosine)
        with np.errstate(invalid="ignore", divide="ignore"):
            along = sine**2 * covariance[i, i] + cosine**2 * covariance[j, j]
            along = (along + 2.0 * sine * cosine * covariance[i, j]) / amplitude**2
            across = cosine**2 * covariance[i, i] + sine**2 * covariance[j, j]
            across = (across - 2.0 * sine * cosine * covariance[i, j]) / amplitude**4
        maps[f"{name}_amplitude"] = amplitude
        maps[f"{name}_amplitude_error"] = np.sqrt(along)
        if name == "annual":
            days = 365.25 / (2.0 * np.pi)
            maps["annual_maximum"] = np.mod(np.arctan2(sine, cosine) * days, 365.25)
            maps["annual_maximum_error"] = np.minimum(
                np.sqrt(across) * days, 365.25 / np.sqrt(12.0)
            )
    return maps
