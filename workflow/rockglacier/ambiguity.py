"""Motion that a pair cannot resolve: whole cycles that closures do not betray.

A rock glacier between narrow margins that moves by more than a quarter wavelength within a pair
is unwrapped to the cycle nearest to its surroundings. Pairs of the same span err alike, so closures
stay whole and the inversion is consistent and wrong. Three observations tell: the rate that the
shortest pairs give, the cycle in which a longer pair lies by that rate, and the loss of coherence
with span that moving debris shows beyond its surroundings.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numba
import numpy as np
import xarray as xr

from rockglacier.conventions import (
    DATE,
    MAP,
    PAIR,
    UNRESOLVED,
    YEAR_DAYS,
    X,
    Y,
    describe,
    metres_per_radian,
    require,
    years_since,
)
from rockglacier.normal_equations import TILE
from rockglacier.phase_noise import (
    MAXIMUM_PRODUCT,
    TABLE_SIZE,
    UNKNOWN_VARIANCE,
    unbiased,
    weight_table,
)

RING_M = (200.0, 1000.0)  # surroundings that a pixel's phase is compared with
RING_PRODUCT = 0.04  # coherence product that a pixel of the surroundings needs (0.2 squared)
# ASSUME: a rock glacier's rate departs by up to 30 % from its mean over the year (Wirz et al. 2016,
# doi 10.5194/esurf-4-103-2016, see such cycles).
RATE_CHANGE = 0.3
# ASSUME: the delay of one date differs by 2 mm between a pixel and its surroundings.
LOCAL_DELAY_M = 0.002
SHORTEST_SPREAD = 1.25  # pairs up to this times the shortest span count as shortest
LONGEST_DAYS = 60.0  # beyond it the surface itself changes
STILL_COHERENT = 0.25
FLOOR = 0.02  # coherence below it is not told from none
LOG_COHERENCE_LOSS = 0.6
SIGNIFICANT = 2.0  # standard errors
CERTAIN = 4.0  # standard errors: of a rate that phases as they are contradict


@numba.njit(nogil=True, cache=True)
def _local(
    phase: np.ndarray,
    product: np.ndarray,
    still: np.ndarray,
    outer: tuple[int, int],
    inner: tuple[int, int],
    local: np.ndarray,
) -> None:
    """``local``: phase less its mean over a square ring of usable, still pixels around.

    All (y, x). ``outer`` and ``inner`` are half-widths (rows, columns); ``inner`` is left out.
    """
    height, width = phase.shape
    total = np.zeros((2, width), np.float64)
    count = np.zeros((2, width), np.float64)
    running = np.zeros((4, width + 1), np.float64)
    for y in range(height):
        for ring in range(2):
            half = outer[0] if ring == 0 else inner[0]
            # The window of rows moves on by one: one row enters, one leaves.
            enters = y - half if y == 0 else y + half
            for row in range(max(enters, 0), min(y + half, height - 1) + 1):
                for x in range(width):
                    if still[row, x] and product[row, x] > RING_PRODUCT:
                        total[ring, x] += phase[row, x]
                        count[ring, x] += 1.0
            row = y - half - 1
            if y > 0 and row >= 0:
                for x in range(width):
                    if still[row, x] and product[row, x] > RING_PRODUCT:
                        total[ring, x] -= phase[row, x]
                        count[ring, x] -= 1.0
            for x in range(width):
                running[2 * ring, x + 1] = running[2 * ring, x] + total[ring, x]
                running[2 * ring + 1, x + 1] = running[2 * ring + 1, x] + count[ring, x]
        for x in range(width):
            a, b = max(x - outer[1], 0), min(x + outer[1] + 1, width)
            c, d = max(x - inner[1], 0), min(x + inner[1] + 1, width)
            n = running[1, b] - running[1, a] - running[3, d] + running[3, c]
            value = running[0, b] - running[0, a] - running[2, d] + running[2, c]
            local[y, x] = phase[y, x] - value / n if n > 0.5 else np.nan


@numba.njit(nogil=True, cache=True)
def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    half = 0.5 * weights.sum()
    passed = 0.0
    for i in order:
        passed += weights[i]
        if passed >= half:
            return float(values[i])
    return float(values[order[-1]])  # where rounding left the sum short


@numba.njit(nogil=True, cache=True)
def _nearest(
    rate: float,
    cycle: float,
    years: np.ndarray,
    order: np.ndarray,
    motion: np.ndarray,
    weight: np.ndarray,
) -> tuple[float, float, float]:
    """Of the rates that pairs of about one span allow, whole cycles apart, the nearest to ``rate``.

    Also the rate that they show as they are, and how far from zero their mean motion is.
    """
    cosine, sine, shown, total, span = 0.0, 0.0, 0.0, 0.0, 0.0
    for o in range(order.size):
        y = motion[o]
        if y == y:
            t = years[order[o]]
            angle = 2.0 * np.pi * (y - rate * t) / cycle
            cosine += weight[o] * np.cos(angle)
            sine += weight[o] * np.sin(angle)
            shown += weight[o] * y
            span += weight[o] * t
            total += weight[o]
    if total == 0.0:
        return rate, rate, 0.0
    mean = np.arctan2(sine, cosine) / (2.0 * np.pi) * cycle
    return rate + mean * total / span, shown / span, abs(shown / total)


@numba.njit(nogil=True, cache=True)
def _chain(
    first: np.ndarray,
    second: np.ndarray,
    order: np.ndarray,
    motion: np.ndarray,
    place: np.ndarray,
    island: np.ndarray,
) -> None:
    """Where each date lies (m) by the pairs of ``order``, taken one after the other.

    Dates of one ``island`` are connected; only there do their places compare.
    """
    dates = place.size
    for d in range(dates):
        place[d] = 0.0
        island[d] = d
    for o in range(order.size):
        y = motion[o]
        if y != y:
            continue
        a, b = first[order[o]], second[order[o]]
        if island[a] == island[b]:
            continue
        shift = place[a] + y - place[b]
        gone = island[b]
        for d in range(dates):
            if island[d] == gone:
                place[d] += shift
                island[d] = island[a]


@numba.njit(nogil=True, cache=True)
def _sequence(
    local: np.ndarray,
    product: np.ndarray,
    table: np.ndarray,
    scale: float,
    years: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    order: np.ndarray,
    shortest: int,
    stepped: np.ndarray,
    cycles: np.ndarray,
    found: np.ndarray,
) -> None:
    """Take pairs from short to long, each in the cycle that the shorter ones foretell.

    ``local`` (pair, pixel; rad, against the surroundings), ``product`` (pair, pixel) with the
    ``table`` of weights (1 / m^2) over it, ``scale`` in m/rad. ``cycles`` (pair, pixel) receives
    whole cycles of phase or UNRESOLVED, ``found`` (2, pixel) the rate (m/yr) and its error. The
    rate starts at the median of the shortest pairs; whatever lies beyond a quarter wavelength of
    what is foretold, an error of unwrapping perhaps, does not count toward it. ``first`` and
    ``second``: each pair's dates; ``stepped``: whether it spans a known step, so that no mean rate
    foretells it.
    """
    pairs, pixels = local.shape
    dates = int(second.max()) + 1
    place = np.empty(dates, np.float64)
    island = np.empty(dates, np.int64)
    cycle = 2.0 * np.pi * scale
    quarter = 0.5 * abs(cycle)  # a quarter wavelength: half a cycle of two-way phase
    motion = np.empty((TILE, pairs), np.float64)
    weight = np.empty((TILE, pairs), np.float64)
    rates = np.empty(shortest, np.float64)
    worth = np.empty(shortest, np.float64)
    for p0 in range(0, pixels, TILE):
        n = min(TILE, pixels - p0)
        for o in range(pairs):  # pixel by pixel in memory, for what follows
            k = order[o]
            for p in range(n):
                motion[p, o] = scale * local[k, p0 + p]
                q = product[k, p0 + p]
                q = min(max(q, 0.0), MAXIMUM_PRODUCT) if q == q else 0.0
                weight[p, o] = table[int(q * (TABLE_SIZE - 1) + 0.5)]
                cycles[k, p0 + p] = 0
        for p in range(n):
            found[:, p0 + p] = np.nan
            known = 0
            for o in range(shortest):
                if motion[p, o] == motion[p, o]:
                    rates[known] = motion[p, o] / years[order[o]]
                    worth[known] = weight[p, o] * years[order[o]]
                    known += 1
            if known == 0:
                continue
            rate = _weighted_median(rates[:known], worth[:known])
            information = 0.0
            moment = 0.0
            error = 0.0
            # Variance (m^2) that a chain of the shortest pairs gathers per year.
            gathered = 0.0
            for o in range(shortest):
                if motion[p, o] == motion[p, o]:
                    gathered += 1.0 / (weight[p, o] * years[order[o]]) / known
            start = 0
            while start < pairs:
                # Pairs of about one span are judged together, by what shorter ones say.
                end = start
                while end < pairs and years[order[end]] <= SHORTEST_SPREAD * years[order[start]]:
                    end += 1
                beyond = False
                certain = False
                if information > 0.0:
                    rate = moment / information
                    error = SIGNIFICANT / np.sqrt(information)
                    reach = (abs(rate) + error) * years[order[end - 1]]
                    beyond = abs(rate) > error and reach > quarter
                nearest = rate
                if beyond:
                    nearest, shown, away = _nearest(
                        rate, cycle, years, order[start:end], motion[p, start:end],
                        weight[p, start:end],
                    )  # fmt: skip
                    certain = abs(shown - rate) > CERTAIN / SIGNIFICANT * error
                    if not certain and away < LOCAL_DELAY_M:
                        beyond = False  # still ground, more likely than motion of whole cycles
                        nearest = shown
                    _chain(first, second, order[:start], motion[p, :start], place, island)
                added, turned = 0.0, 0.0
                for o in range(start, end):
                    k = order[o]
                    y = motion[p, o]
                    if y != y:
                        continue
                    foretold = nearest * years[k]
                    doubt = (RATE_CHANGE * abs(rate) + error) * years[k]
                    sure = certain
                    chained = beyond and island[first[k]] == island[second[k]]
                    if chained:
                        # What shorter pairs saw between the same dates, whatever the rate did.
                        foretold = place[second[k]] - place[first[k]]
                        doubt = SIGNIFICANT * np.sqrt(gathered * years[k])
                        sure = True
                    distant = abs(foretold) + doubt if chained else (abs(rate) + error) * years[k]
                    if beyond and distant > quarter and (chained or not stepped[k]):
                        followed = abs(y) > quarter and abs(y - foretold) <= max(doubt, quarter)
                        turns = np.round((foretold - y) / cycle)
                        if not followed:
                            # Within half a cycle of the surroundings although it should be beyond.
                            doubtful = turns != 0 and not sure
                            if doubt > quarter or abs(turns) > 100 or doubtful:
                                cycles[k, p0 + p] = UNRESOLVED
                                motion[p, o] = np.nan
                                continue
                            cycles[k, p0 + p] = np.int8(turns)
                            y += turns * cycle
                            motion[p, o] = y
                    if abs(y - foretold) <= quarter and not stepped[k]:
                        added += weight[p, o] * years[k] ** 2
                        turned += weight[p, o] * years[k] * y
                information += added
                moment += turned
                start = end
            if information > 0.0:
                found[0, p0 + p] = moment / information
                found[1, p0 + p] = 1.0 / np.sqrt(information)


def resolve(
    phase: xr.DataArray,
    product: xr.DataArray,
    *,
    wavelength_m: float,
    looks: float | None,
    spacing_m: tuple[float, float],
    steps: Sequence[str] = (),
    stable_ground: xr.DataArray | None = None,
) -> xr.Dataset:
    """Whole cycles that motion between narrow margins hides.

    At each pixel, relative to its surroundings (stable pixels 200 to 1000 m away), the pairs are
    taken from short to long, those of about one span together. Where the rate of the shorter ones
    is significant and foretells more than a quarter wavelength, while a pair's phase stays within
    half a cycle of the surroundings, the pair is moved to the cycle that agrees with the shorter
    pairs between its dates, or where these do not connect them, to the one in which its group comes
    nearest to that rate. If the rate's uncertainty (its error and 30 % seasonal change) exceeds a
    quarter wavelength, or what the phases show as they are is within four standard errors, the pair
    is UNRESOLVED: not usable there. Where the group shows no motion at all and the rate does not
    contradict it by four standard errors, the ground is taken as still. The shortest pairs stay as
    they are; :func:`coherence_loss` tells where not even they resolve the
    motion.

    Parameters
    ----------
    phase
        (pair, y, x), rad; ``reference``, ``secondary`` on ``pair``.
    product
        From :func:`rockglacier.phase_noise.coherence_product`.
    spacing_m
        Pixel size (y, x).
    steps
        Dates of known steps: no mean rate foretells the pairs across them.
    stable_ground
        (y, x), True on pixels that may serve as surroundings. Without it, those whose own rate
        relative to all others is not significant.

    Returns
    -------
    Dataset of ``cycles`` (pair, y, x; int8, whole cycles to add or UNRESOLVED), ``local_rate`` and
    ``local_rate_error`` (y, x; m/yr toward the satellite, relative to the surroundings).
    """
    require(phase, dims=(PAIR, Y, X), units="rad")
    reference, secondary = (phase[end].values for end in ("reference", "secondary"))
    days = (secondary - reference) / np.timedelta64(1, "D")
    known = np.unique([reference, secondary])
    first, second = (np.searchsorted(known, end) for end in (reference, secondary))
    stepped = np.zeros(days.size, bool)
    for step in steps:
        when = np.datetime64(step, "ns")
        stepped |= (reference < when) & (secondary >= when)
    order = np.argsort(days, kind="stable")
    shortest = int((days <= SHORTEST_SPREAD * days.min()).sum())
    scale = metres_per_radian(wavelength_m)
    inner, outer = _rings(spacing_m)

    noise = 1.0 / weight_table(looks) if looks else np.full(TABLE_SIZE, UNKNOWN_VARIANCE)
    table = (1.0 / (noise * scale**2 + 2.0 * LOCAL_DELAY_M**2)).astype(np.float32)

    phase, product = (a.transpose(PAIR, Y, X) for a in (phase, product))
    values, worth = phase.values, product.values.astype(np.float32, copy=False)
    pairs = days.size
    local = np.empty(values.shape, np.float32)
    cycles = np.empty(values.shape, np.int8)
    found = np.empty((2, *values.shape[1:]), np.float32)

    def against(still: np.ndarray) -> xr.Dataset:
        for k in range(pairs):
            _local(values[k], worth[k], still, outer, inner, local[k])
        _sequence(
            local.reshape(pairs, -1),
            worth.reshape(pairs, -1),
            table,
            scale,
            days / YEAR_DAYS,
            first,
            second,
            order,
            shortest,
            stepped,
            cycles.reshape(pairs, -1),
            found.reshape(2, -1),
        )
        template = phase.isel({PAIR: 0}, drop=True)
        rate, error = (template.copy(data=a) for a in found)
        counts = phase.copy(data=cycles)
        counts = describe(counts, "cycles", "whole cycles to add; -128: not usable", "1")
        return _rates(rate, error).assign(cycles=counts)

    if stable_ground is None:
        stable_ground = ~moving(against(np.ones(values.shape[1:], bool)))
    return against(stable_ground.transpose(Y, X).values.astype(bool))


def local_rates(
    displacement: xr.DataArray,
    *,
    spacing_m: tuple[float, float],
    stable_ground: xr.DataArray | None = None,
) -> xr.Dataset:
    """Rate of a displacement series (date, y, x; m) against its surroundings, and its error (m/yr).

    As of :func:`resolve`, for a series that someone else inverted: least squares over the dates
    that a pixel has, less the mean of ``stable_ground`` (y, x; all ground without it) 200 to 1000 m
    away; the error from the residuals. NaN with fewer than four dates.
    """
    require(displacement, dims=(DATE, Y, X), units="m")
    values = displacement.transpose(DATE, Y, X).values.astype(np.float32, copy=False)
    inner, outer = _rings(spacing_m)
    still = np.ones(values.shape[1:], bool)
    if stable_ground is not None:
        still = stable_ground.transpose(Y, X).values.astype(bool)
    local = np.empty_like(values)
    for seen, out in zip(values, local, strict=True):
        known = np.isfinite(seen)
        _local(np.where(known, seen, 0.0), known.astype(np.float32), still, outer, inner, out)
        out[~known] = np.nan
    valid = np.isfinite(local)
    count = valid.sum(axis=0)
    years = years_since(displacement[DATE].values, displacement[DATE].values[0])
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.where(valid, years[:, None, None], 0.0)
        t = np.where(valid, t - t.sum(axis=0) / count, 0.0)
        y = np.where(valid, local, 0.0)
        y = np.where(valid, y - y.sum(axis=0) / count, 0.0)
        spread = (t**2).sum(axis=0)
        rate = (t * y).sum(axis=0) / spread
        left = ((y - t * rate) ** 2 * valid).sum(axis=0) / (count - 2)
        error = np.sqrt(left / spread)
    template = displacement.isel({DATE: 0}, drop=True).transpose(Y, X)
    rate, error = (np.where(count >= 4, a, np.nan).astype(np.float32) for a in (rate, error))
    return _rates(template.copy(data=rate), template.copy(data=error))


def _rates(rate: xr.DataArray, error: xr.DataArray) -> xr.Dataset:
    return xr.Dataset(
        {
            "local_rate": describe(rate, "local_rate", "rate against surroundings", "m/yr"),
            "local_rate_error": describe(error, "local_rate_error", "its error", "m/yr"),
        }
    )


def _rings(spacing_m: tuple[float, float]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Half-widths (rows, columns) of what is left out of a pixel's surroundings, and of these."""
    dy, dx = spacing_m
    inner, outer = ((max(1, round(r / dy)), max(1, round(r / dx))) for r in RING_M)
    return inner, outer


def margin_rows(spacing_m: tuple[float, float]) -> int:
    """Rows beyond a band that its pixels' surroundings reach."""
    return max(1, round(RING_M[1] / spacing_m[0]))


def combined(resolved: xr.DataArray, closed: xr.DataArray) -> xr.DataArray:
    """Cycles of both corrections, int8; UNRESOLVED where motion is."""
    total = (resolved.astype(np.int16) + closed).clip(UNRESOLVED + 1, 127)
    total = total.where(resolved != UNRESOLVED, UNRESOLVED).astype(np.int8)
    return describe(total, "cycles", "whole cycles to add; -128: not usable", "1")


def moving(resolved: xr.Dataset) -> xr.DataArray:
    """True within two pixels of ground that moves against its surroundings, 3 errors or more.

    # ASSUME: ground that does not is stable, where nobody has said what is. Motion that is even
    over kilometres goes unnoticed.
    """
    from scipy.ndimage import binary_dilation, binary_opening

    fast = abs(resolved["local_rate"]) > 3.0 * resolved["local_rate_error"]
    spread = binary_dilation(binary_opening(fast.values, np.ones((2, 2))), iterations=2)
    return xr.DataArray(spread, dims=fast.dims, coords=fast.coords, name="moving")


def mean_by_span(coherence: xr.DataArray) -> xr.DataArray:
    """Mean coherence (span, y, x) of the shortest pairs, and of longer ones up to 60 days.

    ``coherence`` (pair, y, x). Coordinate ``span`` (days) is the longest span of each group; a
    group spans a factor of 1.25.
    """
    span = (coherence["secondary"] - coherence["reference"]) / np.timedelta64(1, "D")
    days = np.asarray(span, dtype=np.float64)
    least = SHORTEST_SPREAD * days.min()
    groups = {float(days[days <= least].max()): days <= least}
    for limit in sorted({d for d in days if least < d <= LONGEST_DAYS}):
        groups[float(limit)] = (days > max(least, limit / SHORTEST_SPREAD)) & (days <= limit)
    values = coherence.transpose(PAIR, Y, X).values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a pixel without coherence stays NaN
        means = np.stack([np.nanmean(values[group], axis=0) for group in groups.values()])
    coords = {"span": list(groups), **{d: coherence[d] for d in MAP}}
    joined = xr.DataArray(means, dims=("span", *MAP), coords=coords)
    return describe(joined, "mean_coherence", "mean coherence by span of days", "1")


def coherence_loss(
    means: xr.DataArray, *, looks: float, stable_ground: xr.DataArray
) -> xr.DataArray:
    """Loss of log coherence from the shortest pairs to longer ones, beyond that of stable ground.

    Debris that creeps also jostles: its coherence falls with the square of the motion
    (Zebker & Villasenor 1992, doi 10.1109/36.175330), wherever phase itself has lost count of the
    cycles. ``means`` (span, y, x) from :func:`mean_by_span`; ``stable_ground`` (y, x), True where
    known not to move. The longer pairs are those of the longest span at which stable ground stays
    coherent (0.25); ``looks`` frees both of the bias of few looks. Mean over 3 x 3 pixels; positive
    is loss; NaN where the stack has no second span to compare.
    """
    from scipy.ndimage import uniform_filter

    stable = stable_ground.values.astype(bool)
    shorter, *longer = (unbiased(layer, looks) for layer in means.transpose("span", Y, X).values)
    loss = np.full(stable.shape, np.nan, np.float32)
    for other in reversed(longer):
        if not np.nanmedian(np.where(stable, other, np.nan)) >= STILL_COHERENT:
            continue
        ratio = np.log(np.maximum(shorter, FLOOR) / np.maximum(other, FLOOR))
        ratio -= np.nanmedian(ratio[stable])
        known = np.isfinite(ratio)
        weight = uniform_filter(known.astype(np.float32), 3)
        total = uniform_filter(np.where(known, ratio, 0.0).astype(np.float32), 3)
        with np.errstate(invalid="ignore", divide="ignore"):
            loss = np.where(known, total / weight, np.nan).astype(np.float32)
        break
    result = xr.DataArray(loss, dims=MAP, coords={d: means[d] for d in MAP})
    return describe(result, "coherence_loss", "loss of log coherence with span beyond stable", "1")


def aliased(loss: xr.DataArray) -> xr.DataArray:
    """True where not even the shortest pairs may resolve the motion.

    # ASSUME: blocks jostle by 10 to 20 % of the motion. At a quarter wavelength in 12 days that
    # loses 0.4 to 1.6 in log coherence from 12 to 36 days; slow ground loses none.
    """
    return loss > LOG_COHERENCE_LOSS
