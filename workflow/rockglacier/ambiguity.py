"""Motion that a pair cannot resolve: whole cycles that closures do not betray.

A rock glacier between narrow margins that moves by more than a quarter wavelength within a pair
is unwrapped to the cycle nearest to its surroundings. Pairs of the same span err alike, so closures
stay whole and the inversion is consistent and wrong. Three observations tell: the rate that the
shortest pairs give, the cycle in which a longer pair lies by that rate, and the loss of coherence
with span that moving debris shows beyond its surroundings.
"""

from __future__ import annotations

from itertools import pairwise

import dask.array as da
import numba
import numpy as np
import xarray as xr
from dask.delayed import delayed

from rockglacier.conventions import (
    MAP,
    PAIR,
    UNRESOLVED,
    YEAR_DAYS,
    X,
    Y,
    describe,
    metres_per_radian,
    require,
)
from rockglacier.phase_noise import phase_variance, unbiased

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


@numba.njit(nogil=True, cache=True)
def _ring_mean(layer: np.ndarray, outer: tuple[int, int], inner: tuple[int, int]) -> np.ndarray:
    """Mean of finite samples in a square ring, for the rows that have ``outer[0]`` rows around.

    ``outer`` and ``inner`` are half-widths (rows, columns); ``inner`` itself is left out.
    """
    height, width = layer.shape
    rows = height - 2 * outer[0]
    out = np.empty((rows, width), np.float32)
    total = np.zeros((2, width), np.float64)
    count = np.zeros((2, width), np.float64)
    running = np.zeros((4, width + 1), np.float64)
    for y in range(rows):
        for ring in range(2):
            half = outer[0] if ring == 0 else inner[0]
            centre = y + outer[0]
            if y == 0:
                first, last = centre - half, centre + half
            else:
                first = last = centre + half
                gone = centre - half - 1
                for x in range(width):
                    value = layer[gone, x]
                    if value == value:
                        total[ring, x] -= value
                        count[ring, x] -= 1.0
            for row in range(first, last + 1):
                for x in range(width):
                    value = layer[row, x]
                    if value == value:
                        total[ring, x] += value
                        count[ring, x] += 1.0
            for x in range(width):
                running[2 * ring, x + 1] = running[2 * ring, x] + total[ring, x]
                running[2 * ring + 1, x + 1] = running[2 * ring + 1, x] + count[ring, x]
        for x in range(width):
            a, b = max(x - outer[1], 0), min(x + outer[1] + 1, width)
            c, d = max(x - inner[1], 0), min(x + inner[1] + 1, width)
            n = running[1, b] - running[1, a] - running[3, d] + running[3, c]
            value = running[0, b] - running[0, a] - running[2, d] + running[2, c]
            out[y, x] = value / n if n > 0.5 else np.nan
    return out


@numba.njit(nogil=True, cache=True)
def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    half = 0.5 * weights.sum()
    passed = 0.0
    for i in order:
        passed += weights[i]
        if passed >= half:
            return float(values[i])
    return float(values[order[-1]])


@numba.njit(nogil=True, cache=True)
def _sequence(
    motion: np.ndarray,
    weight: np.ndarray,
    years: np.ndarray,
    order: np.ndarray,
    shortest: int,
    cycle: float,
    cycles: np.ndarray,
    found: np.ndarray,
) -> None:
    """Take pairs from short to long, each in the cycle that the shorter ones foretell.

    ``motion`` (pair, pixel; m, relative to the surroundings), ``weight`` (1 / m^2), ``cycle``: the
    motion of one cycle (m, negative). ``cycles`` receives whole cycles of phase or UNRESOLVED.
    The rate starts at the median of the shortest pairs; whatever lies beyond a quarter wavelength
    of what is foretold, an error of unwrapping perhaps, does not count toward the rate. ``found``
    (2, pixel) receives the rate (m/yr) and its error.
    """
    pairs, pixels = motion.shape
    quarter = 0.5 * abs(cycle)  # a quarter wavelength: half a cycle of two-way phase
    rates = np.empty(shortest, np.float64)
    worth = np.empty(shortest, np.float64)
    for p in range(pixels):
        cycles[:, p] = 0
        found[:, p] = np.nan
        known = 0
        for o in range(shortest):
            k = order[o]
            if motion[k, p] == motion[k, p]:
                rates[known] = motion[k, p] / years[k]
                worth[known] = weight[k, p] * years[k]
                known += 1
        if known == 0:
            continue
        rate = _weighted_median(rates[:known], worth[:known])
        information = 0.0
        moment = 0.0
        for o in range(pairs):
            k = order[o]
            y = motion[k, p]
            if y != y:
                continue
            if o >= shortest and information > 0.0:
                rate = moment / information
                error = SIGNIFICANT / np.sqrt(information)
                foretold = rate * years[k]
                if abs(rate) > error and (abs(rate) + error) * years[k] > quarter:
                    doubt = (RATE_CHANGE * abs(rate) + error) * years[k]
                    followed = abs(y) > quarter and abs(y - foretold) <= max(doubt, quarter)
                    if not followed:
                        # Within half a cycle of the surroundings although it should be beyond.
                        turns = np.round((foretold - y) / cycle)
                        if doubt > quarter or abs(turns) > 100:
                            cycles[k, p] = UNRESOLVED
                            continue
                        cycles[k, p] = np.int8(turns)
                        y += turns * cycle
            if abs(y - rate * years[k]) <= quarter:
                information += weight[k, p] * years[k] ** 2
                moment += weight[k, p] * years[k] * y
        if information > 0.0:
            found[0, p] = moment / information
            found[1, p] = 1.0 / np.sqrt(information)


def resolve(
    phase: xr.DataArray,
    product: xr.DataArray,
    *,
    wavelength_m: float,
    looks: float | None,
    spacing_m: tuple[float, float],
    stable_ground: xr.DataArray | None = None,
) -> xr.Dataset:
    """Whole cycles that motion between narrow margins hides.

    At each pixel, relative to its surroundings (stable pixels 200 to 1000 m away), the pairs are
    taken from short to long. Where the rate so far is significant and foretells more than a
    quarter wavelength for the next pair, while its phase stays within half a cycle of the
    surroundings, the pair is moved to the foretold cycle; if the rate's uncertainty (its error and
    30 % seasonal change) exceeds a quarter wavelength, it is UNRESOLVED: not usable there. The
    shortest pairs stay as they are; :func:`coherence_loss` tells where not even they resolve the
    motion.

    Parameters
    ----------
    phase
        (pair, y, x), rad; ``reference``, ``secondary`` on ``pair``.
    product
        From :func:`rockglacier.phase_noise.coherence_product`.
    spacing_m
        Pixel size (y, x).
    stable_ground
        (y, x), True on pixels that may serve as surroundings. Without it, those whose own rate
        relative to all others is not significant.

    Returns
    -------
    Dataset of ``cycles`` (pair, y, x; int8, whole cycles to add or UNRESOLVED), ``local_rate`` and
    ``local_rate_error`` (y, x; m/yr toward the satellite, relative to the surroundings).
    """
    require(phase, dims=(PAIR, Y, X), units="rad")
    span = (phase["secondary"] - phase["reference"]) / np.timedelta64(1, "D")
    days = np.asarray(span, dtype=np.float64)
    order = np.argsort(days, kind="stable")
    shortest = int((days <= SHORTEST_SPREAD * days.min()).sum())
    scale = metres_per_radian(wavelength_m)
    dy, dx = spacing_m
    inner, outer = ((max(1, round(r / dy)), max(1, round(r / dx))) for r in RING_M)

    def band(
        values: np.ndarray, worth: np.ndarray, around: np.ndarray, above: int, below: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cycles and rates of a band of rows; ``around`` has ``above`` and ``below`` more rows."""
        pairs, *shape = values.shape
        missing = ((0, 0), (outer[0] - above, outer[0] - below), (0, 0))
        around = np.pad(around, missing, constant_values=np.nan)
        local = np.empty(values.shape, np.float32)
        for k in range(pairs):
            local[k] = values[k] - _ring_mean(around[k], outer, inner)
        noise = phase_variance(np.nan_to_num(worth), looks) if looks else np.full(worth.shape, 0.1)
        weight = 1.0 / (noise * scale**2 + 2.0 * LOCAL_DELAY_M**2)
        cycles = np.empty(values.shape, np.int8)
        found = np.empty((2, *shape), np.float32)
        _sequence(
            (local * scale).reshape(pairs, -1),
            weight.reshape(pairs, -1).astype(np.float32),
            days / YEAR_DAYS,
            order,
            shortest,
            2.0 * np.pi * scale,
            cycles.reshape(pairs, -1),
            found.reshape(2, -1),
        )
        return cycles, found

    phase, product = (a.transpose(PAIR, Y, X) for a in (phase, product))
    height = phase.sizes[Y]
    edges = np.cumsum((0, *(phase.chunksizes.get(Y) or (height,)))).tolist()

    def by_bands(still: xr.DataArray | None) -> xr.Dataset:
        usable = product > RING_PRODUCT
        around = phase.where(usable if still is None else usable & still)
        cycles, rates = [], []
        for start, end in pairwise(edges):
            above, below = min(outer[0], start), min(outer[0], height - end)
            rows, wide = slice(start, end), slice(start - above, end + below)
            arrays = (phase[:, rows].data, product[:, rows].data, around[:, wide].data)
            if not isinstance(phase.data, da.Array):
                parts = band(*arrays, above, below)
            else:
                lazy = delayed(band, nout=2)(*arrays, above, below)
                shape = (end - start, phase.sizes[X])
                parts = (
                    da.from_delayed(lazy[0], (days.size, *shape), dtype=np.int8),
                    da.from_delayed(lazy[1], (2, *shape), dtype=np.float32),
                )
            cycles.append(parts[0])
            rates.append(parts[1])
        joined = da.concatenate if isinstance(phase.data, da.Array) else np.concatenate
        both = joined(rates, axis=1)
        template = phase.isel({PAIR: 0}, drop=True)
        counts = phase.copy(data=joined(cycles, axis=1))
        rate, error = (template.copy(data=both[i]) for i in (0, 1))
        return xr.Dataset(
            {
                "cycles": describe(counts, "cycles", "whole cycles to add; -128: not usable", "1"),
                "local_rate": describe(rate, "local_rate", "rate against surroundings", "m/yr"),
                "local_rate_error": describe(error, "local_rate_error", "its error", "m/yr"),
            }
        )

    if stable_ground is None:
        stable_ground = ~moving(by_bands(None)[["local_rate", "local_rate_error"]].compute())
    return by_bands(stable_ground)


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


def coherence_loss(
    coherence: xr.DataArray, *, looks: float, stable_ground: xr.DataArray
) -> xr.DataArray:
    """Loss of log coherence from the shortest pairs to longer ones, beyond that of stable ground.

    Debris that creeps also jostles: its coherence falls with the square of the motion
    (Zebker & Villasenor 1992, doi 10.1109/36.175330), wherever phase itself has lost count of the
    cycles. ``coherence`` (pair, y, x); ``stable_ground`` (y, x), True where known not to move. The
    longer pairs are those of the longest span, up to 60 days, at which stable ground stays coherent
    (0.25); ``looks`` frees both of the bias of few looks. Mean over 3 x 3 pixels; positive is loss;
    NaN where the stack has no second span to compare.
    """
    from scipy.ndimage import uniform_filter

    span = (coherence["secondary"] - coherence["reference"]) / np.timedelta64(1, "D")
    days = np.asarray(span, dtype=np.float64)
    short = days <= SHORTEST_SPREAD * days.min()
    template = coherence.isel({PAIR: 0}, drop=True)
    stable = stable_ground.values.astype(bool)
    shorter = unbiased(coherence.isel({PAIR: short}).mean(PAIR).values, looks)
    loss = np.full(template.shape, np.nan, np.float32)
    least = SHORTEST_SPREAD * days.min()
    for limit in sorted({d for d in days if least < d <= LONGEST_DAYS}, reverse=True):
        group = (days > max(least, limit / SHORTEST_SPREAD)) & (days <= limit)
        longer = unbiased(coherence.isel({PAIR: group}).mean(PAIR).values, looks)
        if not np.nanmedian(longer[stable]) >= STILL_COHERENT:
            continue
        ratio = np.log(np.maximum(shorter, FLOOR) / np.maximum(longer, FLOOR))
        ratio -= np.nanmedian(ratio[stable])
        known = np.isfinite(ratio)
        weight = uniform_filter(known.astype(np.float32), 3)
        total = uniform_filter(np.where(known, ratio, 0.0).astype(np.float32), 3)
        with np.errstate(invalid="ignore", divide="ignore"):
            loss = np.where(known, total / weight, np.nan).astype(np.float32)
        break
    result = xr.DataArray(loss, dims=MAP, coords={d: template[d] for d in MAP})
    return describe(result, "coherence_loss", "loss of log coherence with span beyond stable", "1")


def aliased(loss: xr.DataArray) -> xr.DataArray:
    """True where not even the shortest pairs may resolve the motion.

    # ASSUME: blocks jostle by 10 to 20 % of the motion. At a quarter wavelength in 12 days that
    # loses 0.4 to 1.6 in log coherence from 12 to 36 days; slow ground loses none.
    """
    return loss > LOG_COHERENCE_LOSS
