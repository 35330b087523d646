"""What is taken from a displacement series before a velocity is fitted, and what each step gains.

Order: external delays, height-correlated delay, ramp, DEM error, reference, local reference. Delay
models come first because they need no fit; height and ramp are fitted to what these leave, and the
DEM error to what no longer varies with the weather.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import dask.array as da
import numpy as np
import xarray as xr
from dask.array.overlap import ensure_minimum_chunksize, overlap
from numba import njit

from rockglacier.atmosphere import (
    PLAIN_CORRELATION,
    SAMPLE,
    ZenithDelays,
    height_slopes,
    ramp_slopes,
    scatter,
    slant_delay,
)
from rockglacier.conventions import DATE, MAP, X, Y, describe, require, years_since
from rockglacier.errors import ConfigurationError, NetworkError
from rockglacier.grid import Grid

logger = logging.getLogger(__name__)

Switch = bool | Literal["auto"]
Step = Callable[[xr.DataArray], xr.DataArray]

SAMPLES = 20_000  # stable pixels that fits and reports look at: ample where noise is correlated
LOCAL_SAMPLES = 2_000
LEAST_SAMPLES = 50
RING_OFFSETS = 600  # places of a ring where stable ground is looked for
RING_PIXELS = 32  # of them used: their median is known to 0.22 of the scatter of one
LEAST_RING_PIXELS = 12
# ASSUME: baselines that a polynomial in time explains but for this share (of their standard
# deviation) cannot be told from motion.
LEAST_INDEPENDENCE = 0.1


def date_baselines(
    baseline: xr.DataArray, reference: xr.DataArray, secondary: xr.DataArray
) -> xr.DataArray:
    """Perpendicular baseline (date; m) of each date against the first, by least squares.

    ``baseline`` (pair; m) of secondary against reference; pairs that do not state one (NaN) are
    left out.

    Raises
    ------
    NetworkError
        The pairs that state a baseline do not connect all dates.
    """
    from rockglacier.network import incidence

    dates, first, second = incidence(reference.values, secondary.values)
    known = np.isfinite(baseline.values)
    design = np.zeros((int(known.sum()), dates.size))
    rows = np.arange(len(design))
    design[rows, first[known]], design[rows, second[known]] = -1.0, 1.0
    solution, _, rank, _ = np.linalg.lstsq(design[:, 1:], baseline.values[known], rcond=None)
    if rank < dates.size - 1:
        raise NetworkError(
            f"{int(known.sum())} of {known.size} pairs state a perpendicular baseline and connect "
            f"{int(rank) + 1} of {dates.size} dates; all are needed: complete the source's "
            "baselines or set corrections.dem_error to false."
        )
    out = xr.DataArray(np.concatenate([[0.0], solution]), dims=DATE, coords={DATE: dates})
    return describe(out, "perpendicular_baseline", "perpendicular baseline to the first date", "m")


def remove_dem_error(
    displacement: xr.DataArray, baseline: xr.DataArray, *, degree: int = 2
) -> xr.DataArray:
    """``displacement`` (date, ...; m) without what a wrong DEM adds, jointly with a polynomial.

    Each pixel is fitted with a polynomial of ``degree`` in time and with ``baseline`` (date; m,
    perpendicular), whose part is removed. Slant range and incidence turn that part into metres of
    height (``baseline / (r sin incidence)``) but do not change it, so neither is needed. Pixels
    use the dates they have; with fewer than ``degree`` + 3 they stay as they are.

    Raises
    ------
    ConfigurationError
        The baselines cannot be told from the polynomial.

    Source
    ------
    Fattahi & Amelung (2013), doi:10.1109/TGRS.2012.2227761.
    """
    require(displacement, dims=(DATE,), units="m")
    design = _dem_design(displacement[DATE].values, baseline, degree)
    out: xr.DataArray = xr.apply_ufunc(
        lambda block: _without_last(block, design),
        displacement,
        input_core_dims=[[DATE]],
        output_core_dims=[[DATE]],
        dask="parallelized",
        output_dtypes=[displacement.dtype],
    )
    return out.transpose(*displacement.dims).assign_attrs(displacement.attrs)


def local_reference(
    displacement: xr.DataArray,
    stable: xr.DataArray,
    elevation: xr.DataArray,
    grid: Grid,
    *,
    ring_m: tuple[float, float] = (200.0, 1000.0),
    ring_height_m: float = 150.0,
    wanted: xr.DataArray | None = None,
) -> xr.Dataset:
    """Displacement against a ring of stable ground around every pixel (local double difference).

    From each pixel of ``displacement`` (date, y, x; m) the median of stable pixels is taken that
    lie between the radii ``ring_m`` and within ``ring_height_m`` of its ``elevation``, date by
    date; up to 32 places, spread over the ring, each the mean of the stable pixels among 3 x 3 so
    that the reference adds hardly any noise. Where fewer than 12 are found the pixel keeps the
    reference it had: ``ring_pixels`` (y, x) says how many served, 0 where none did. Only
    ``wanted`` pixels (all without it) are computed, the rest is NaN.
    """
    displacement = require(displacement, dims=(DATE, *MAP), units="m").transpose(DATE, *MAP)
    offsets = _ring_offsets(grid, ring_m)
    heights = elevation.transpose(*MAP).values
    ground = np.where(stable.transpose(*MAP).values, heights, np.nan)
    chosen = np.ones(grid.shape) if wanted is None else wanted.transpose(*MAP).values
    maps = np.stack([heights, ground, chosen]).astype(np.float32)

    reach = min(int(np.abs(offsets[:, 0]).max()) + 1, grid.height)

    network = _median_network(RING_PIXELS)

    def block(values: np.ndarray, around: np.ndarray, margin: int) -> np.ndarray:
        # A ring's pixel is read on all dates at once, so dates lie side by side.
        series = np.ascontiguousarray(values.transpose(1, 2, 0))
        usable = around.copy()
        usable[1, ~np.isfinite(series).all(axis=-1)] = np.nan
        places = _place_means(series, usable[1])
        out = _ring_difference(series, places, usable, offsets, network, ring_height_m, margin)
        return np.asarray(out.transpose(2, 0, 1))

    if displacement.chunks:
        bands = ensure_minimum_chunksize(reach, displacement.data.chunks[1])
        rows = displacement.data.rechunk({0: -1, 1: bands, 2: -1})
        padded = [
            overlap(layers, {0: 0, 1: reach, 2: 0}, {0: "none", 1: np.nan, 2: "none"})
            for layers in (rows, da.from_array(maps, chunks=(-1, rows.chunks[1], -1)))
        ]
        shape = ((rows.shape[0] + 1,), *rows.chunks[1:])
        result = da.map_blocks(block, *padded, margin=reach, chunks=shape, dtype=np.float32)
        result = result.rechunk({1: displacement.chunks[1]})  # a thin last band was widened
    else:
        result = block(displacement.values, maps, 0)
    local = displacement.copy(data=result[:-1])
    served = local.isel({DATE: 0}, drop=True).copy(data=result[-1])
    return xr.Dataset(
        {
            "displacement": local,
            "ring_pixels": describe(served, "ring_pixels", "stable pixels of the ring", "1"),
        }
    )


def correct(
    displacement: xr.DataArray,
    grid: Grid,
    *,
    stable: xr.DataArray,
    elevation: xr.DataArray | None = None,
    incidence: xr.DataArray | float | None = None,
    delays: ZenithDelays | None = None,
    baseline: xr.DataArray | None = None,
    reference: Mapping[str, Any] | None = None,
    height: Switch = "auto",
    dem_error: Switch = "auto",
    ramp: Literal["none", "linear"] = "none",
    local: bool = False,
    ring_m: tuple[float, float] = (200.0, 1000.0),
    ring_height_m: float = 150.0,
) -> xr.Dataset:
    """Correct ``displacement`` (date, y, x; m) and say what each correction gained.

    ``stable`` ground (y, x; bool); ``elevation`` (y, x; m); ``incidence`` (deg, from the
    vertical); zenith ``delays``; perpendicular ``baseline`` (date; m). Zero on every date is the
    ``reference`` window (``rows``, ``columns``), or without it the median of stable ground.

    Fits and judgements look at a sample of stable ground; the displacement stays lazy. A
    correction that is not asked for by name (``True``, ``linear``) is applied only where it lowers
    the scatter over stable ground. Attribute ``corrections`` is the report (JSON): for each
    correction ``variance_before_m2`` and ``variance_after_m2`` (square of the robust standard
    deviation over stable ground, mean over the dates), ``height_correlation`` before and after
    (root mean square over the dates), ``applied`` and ``why``; ``not_tried`` names the rest.

    Raises
    ------
    ConfigurationError
        A correction is asked for without what it needs, or there is hardly any stable ground.
    """
    displacement = require(displacement, dims=(DATE, *MAP), units="m").transpose(DATE, *MAP)
    for array, name in ((displacement, "displacement"), (stable, "stable"), (elevation, "dem")):
        if array is not None:
            grid.check(array, name)
    if elevation is not None and bool(elevation.isnull().all()):
        elevation = None
    fitted = (height is not False and elevation is not None) or ramp != "none" or local
    fitted |= delays is not None or (dem_error is not False and baseline is not None)
    series = _Series(displacement, stable, elevation, least=LEAST_SAMPLES if fitted else 0)

    if delays is None:
        series.leave("delays", "no folder of delays is given", asked=False)
    elif incidence is None:
        series.leave("delays", "the geometry states no incidence angle", asked=True)
    else:
        series.take(
            "delays",
            lambda d: d + slant_delay(delays, d, series.like(incidence, d), grid),
            keep="auto",
            details=_delay_details(delays, elevation, grid),
        )
    if elevation is None or height is False:
        series.leave(
            "height", "no DEM is given" if height else "switched off", asked=height is True
        )
    else:
        slopes = height_slopes(
            series.samples, series.like(elevation, series.samples), keep=height, ramp=ramp != "none"
        )
        middle = float(series.like(elevation, series.samples).median())
        slope = slopes["slope"].astype(np.float32).drop_attrs()
        series.take(
            "height",
            lambda d: d - slope * (series.like(elevation, d) - middle).astype(np.float32),
            keep=height if bool((slope != 0).any()) else False,
            details=_height_details(slopes),
        )
    if ramp == "none":
        series.leave("ramp", "switched off", asked=False)
    else:
        plane = ramp_slopes(series.samples).astype(np.float32).drop_attrs()
        x0, y0 = float(grid.x.mean()), float(grid.y.mean())
        series.take(
            "ramp",
            lambda d: (
                d
                - plane["along_x"] * (d[X] - x0).astype(np.float32)
                - plane["along_y"] * (d[Y] - y0).astype(np.float32)
            ),
            keep=True,
        )
    if baseline is None or dem_error is False:
        series.leave(
            "dem_error",
            "no perpendicular baselines are known" if dem_error else "switched off",
            asked=dem_error is True,
        )
    else:
        _take_dem_error(series, baseline, dem_error)
    series.refer(reference)
    out = xr.Dataset()
    if local:
        if elevation is None:
            series.leave("local_reference", "no DEM is given", asked=True)
        else:
            out = _take_local(series, stable, elevation, grid, ring_m, ring_height_m)
    out["displacement"] = series.whole.astype(np.float32).assign_attrs(displacement.attrs)
    out.attrs["corrections"] = json.dumps(series.report, allow_nan=False)
    return out


class _Series:
    """A displacement series on its way through the corrections, and samples of stable ground."""

    def __init__(
        self,
        whole: xr.DataArray,
        stable: xr.DataArray,
        elevation: xr.DataArray | None,
        *,
        least: int,
    ) -> None:
        rows, columns = np.nonzero(stable.transpose(*MAP).values)
        rng = np.random.default_rng(0)
        some = np.sort(rng.choice(rows.size, min(SAMPLES, rows.size), replace=False))
        at = {Y: rows[some], X: columns[some]}
        taken = whole.isel({k: xr.DataArray(v, dims=SAMPLE) for k, v in at.items()})
        taken = taken.transpose(DATE, SAMPLE).astype(np.float64).compute()
        observed = np.isfinite(taken.values).mean(axis=0) > 0.5
        if observed.sum() < least:
            raise ConfigurationError(
                f"Displacement is known on {observed.sum()} pixels of stable ground; at least "
                f"{least} are needed to fit and judge corrections: widen stable_ground, "
                "shrink moving_areas, lower velocity.min_temporal_coherence or switch the "
                "corrections off. Where hardly any pixel has displacement at all, too few pairs "
                "may show it (inversion.min_pairs)."
            )
        self._at = {k: xr.DataArray(v[observed], dims=SAMPLE) for k, v in at.items()}
        self.whole = whole
        self.samples: xr.DataArray = taken[:, observed]
        self._heights = None if elevation is None else self.like(elevation, self.samples).values
        self.report: dict[str, Any] = {
            "stable_pixels": int(rows.size),
            "sampled_pixels": int(observed.sum()),
            "assumption": stable.attrs.get("assumption"),
            "corrections": {},
            "not_tried": {},
        }

    def like(self, array: xr.DataArray | float, series: xr.DataArray) -> xr.DataArray:
        """``array`` (y, x) at the pixels of ``series``: its samples, or lazily the whole map."""
        if not isinstance(array, xr.DataArray):
            return xr.DataArray(array)
        if SAMPLE in series.dims:
            return array.isel({k: v for k, v in self._at.items() if k in array.dims}).compute()
        if series.chunks is None:
            return array
        return array.chunk({d: series.chunksizes[d] for d in array.dims})

    def leave(self, name: str, why: str, *, asked: bool) -> None:
        """Note why a correction is not tried; raise where it was asked for."""
        if asked:
            raise ConfigurationError(
                f"corrections.{name} is asked for but {why}; provide it or switch it off."
            )
        self.report["not_tried"][name] = why
        logger.info("%s: not tried: %s", name, why)

    def take(
        self,
        name: str,
        step: Step,
        *,
        keep: Switch,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Apply ``step`` where ``keep`` says so, or with "auto" where it lowers the scatter."""
        attrs = self.whole.attrs
        changed = step(self.samples).transpose(DATE, SAMPLE).assign_attrs(attrs)
        entry = self.gain(self.samples, changed)
        better = entry["variance_after_m2"] < entry["variance_before_m2"]
        applied = better if keep == "auto" else bool(keep)
        if keep is True:
            why = "asked for"
        elif applied:
            why = "the scatter over stable ground falls"
        elif better:
            why = "it does not hold on what its fit has not seen"
        else:
            why = "the scatter over stable ground does not fall"
        self.report["corrections"][name] = {
            **entry, "applied": applied, "why": why, **(details or {})
        }  # fmt: skip
        logger.info(
            "%s: scatter over stable ground %.2f to %.2f mm; %s: %s",
            name,
            1000.0 * math.sqrt(entry["variance_before_m2"]),
            1000.0 * math.sqrt(entry["variance_after_m2"]),
            "applied" if applied else "not applied",
            why,
        )
        if applied:
            self.samples = changed
            self.whole = step(self.whole).transpose(DATE, *MAP).assign_attrs(attrs)

    def gain(self, before: xr.DataArray, after: xr.DataArray) -> dict[str, Any]:
        """Variance (m2) and correlation with height of two states of the same samples."""
        entry: dict[str, Any] = {}
        for when, state in (("before", before), ("after", after)):
            values = state.values[1:]  # the first date is zero everywhere
            entry[f"variance_{when}_m2"] = _number(np.nanmean(scatter(values) ** 2))
        if self._heights is not None and before.sizes[SAMPLE] == self._heights.size:
            entry["height_correlation"] = {
                when: _number(_height_correlation(state.values[1:], self._heights))
                for when, state in (("before", before), ("after", after))
            }
        return entry

    def refer(self, reference: Mapping[str, Any] | None) -> None:
        """Make the reference window zero again, or without one the median of stable ground."""
        if reference is None:
            zero = self.samples.median(SAMPLE)
            self.report["reference"] = "median of stable ground"
        else:
            window = {Y: slice(*reference["rows"]), X: slice(*reference["columns"])}
            zero = self.whole.isel(window).compute().median(MAP)
            self.report["reference"] = {k: list(reference[k]) for k in ("rows", "columns")}
        if bool(zero.isnull().any()):
            raise ConfigurationError(
                f"The reference ({self.report['reference']}) has no displacement on "
                f"{int(zero.isnull().sum())} dates; give another reference.point."
            )
        attrs = self.whole.attrs
        self.whole = (self.whole - zero.astype(np.float32)).assign_attrs(attrs)
        self.samples = (self.samples - zero).assign_attrs(attrs)

    def some(self, most: int) -> dict[str, xr.DataArray]:
        """Indices of at most ``most`` of the samples, spread over all."""
        step = max(1, -(-self.samples.sizes[SAMPLE] // most))
        return {k: v[::step] for k, v in self._at.items()}


def _delay_details(
    delays: ZenithDelays, elevation: xr.DataArray | None, grid: Grid
) -> dict[str, Any]:
    follow = None if elevation is None else delays.follow(elevation, grid)
    if follow is not None and follow > PLAIN_CORRELATION:
        logger.warning(
            "the zenith delays do not fall with height (correlation %.2f, near -1 is expected): "
            "they and the DEM are not of the same place; check their georeferencing, or set "
            "corrections.register_delays to shift them to where they follow height",
            follow,
        )
    return {
        "shift": list(delays.shift),
        "correlation_of_delay_with_height": None if follow is None else _number(follow),
    }


def _height_details(slopes: xr.Dataset) -> dict[str, Any]:
    """What the report says of each date, and whether the slopes drift as slow motion would."""
    years = years_since(slopes[DATE].values, slopes[DATE].values[0])
    fitted = slopes["fitted"].values * 1e6  # mm per km
    design = np.column_stack([np.ones_like(years), years])
    details: dict[str, Any] = {
        "dates": {
            str(np.datetime_as_string(d, "D")): {
                "slope_mm_per_km": _number(f),
                "correlation": _number(c),
                "applied": bool(s != 0),
            }
            for d, f, c, s in zip(
                slopes[DATE].values,
                fitted,
                slopes["correlation"].values,
                slopes["slope"].values,
                strict=True,
            )
        }
    }
    if len(years) > 3:
        rate, residual = np.linalg.lstsq(design, fitted, rcond=None)[:2]
        spread = math.sqrt(float(residual[0]) / (len(years) - 2)) / (
            np.std(years) * len(years) ** 0.5
        )
        # ASSUME: what follows height is air; a trend of the slopes beyond its error may be motion.
        details["trend_mm_per_km_per_year"] = [_number(rate[1]), _number(spread)]
    return details


def _take_dem_error(series: _Series, baseline: xr.DataArray, switch: Switch) -> None:
    degree = 2
    dates = series.samples[DATE].values
    try:
        design = _dem_design(dates, baseline, degree)
    except ConfigurationError as error:
        if switch is True:
            raise
        series.leave("dem_error", str(error), asked=False)
        return
    values = (series.samples - series.samples.median(SAMPLE)).values
    values = values[:, np.isfinite(values).all(axis=0)]
    plain, with_baseline = (_left_out(values, d) for d in (design[:, :-1], design))
    series.take(
        "dem_error",
        lambda d: remove_dem_error(d, baseline, degree=degree),
        keep=switch if switch is True or with_baseline < plain else False,
        details={
            "left_out_date_variance_m2": {
                "without": _number(plain**2),
                "with": _number(with_baseline**2),
            }
        },
    )


def _take_local(
    series: _Series,
    stable: xr.DataArray,
    elevation: xr.DataArray,
    grid: Grid,
    ring_m: tuple[float, float],
    ring_height_m: float,
) -> xr.Dataset:
    some = series.some(LOCAL_SAMPLES)
    wanted = xr.zeros_like(stable, dtype=bool).transpose(*MAP)
    wanted.values[some[Y].values, some[X].values] = True
    options: dict[str, Any] = {"ring_m": ring_m, "ring_height_m": ring_height_m}
    tried = local_reference(series.whole, stable, elevation, grid, wanted=wanted, **options)
    tried = tried.isel(some).compute()
    before = series.whole.isel(some).transpose(DATE, SAMPLE).compute()
    entry = series.gain(before, tried["displacement"].transpose(DATE, SAMPLE))
    series.report["corrections"]["local_reference"] = {
        **entry,
        "applied": True,
        "why": "asked for",
        "stable_share_with_ring": _number(float((tried["ring_pixels"] > 0).mean())),
    }
    out = local_reference(series.whole, stable, elevation, grid, **options)
    series.whole = out["displacement"]
    return out


def _dem_design(dates: np.ndarray, baseline: xr.DataArray, degree: int) -> np.ndarray:
    """Polynomial in time and, last, the baseline: (date, degree + 2)."""
    require(baseline, dims=(DATE,), units="m")
    if not np.array_equal(baseline[DATE].values, dates):
        raise ConfigurationError(
            f"Perpendicular baselines are of {baseline.size} dates, the displacement of "
            f"{dates.size}, and they differ; give one for each date."
        )
    years = years_since(dates, dates[0])
    polynomial = np.vander(years / (years[-1] or 1.0), degree + 1, increasing=True)
    relative = baseline.values - baseline.values[0]
    spread = float(np.std(relative))
    rest = relative - polynomial @ np.linalg.lstsq(polynomial, relative, rcond=None)[0]
    if dates.size < degree + 3 or not np.std(rest) > LEAST_INDEPENDENCE * spread > 0.0:
        raise ConfigurationError(
            f"Perpendicular baselines of {dates.size} dates (standard deviation {spread:.1f} m, "
            f"{np.std(rest):.1f} m beside a polynomial of degree {degree}) cannot be told from "
            "motion; set corrections.dem_error to false."
        )
    return np.column_stack([polynomial, relative / spread])


def _without_last(block: np.ndarray, design: np.ndarray) -> np.ndarray:
    """``block`` (..., date) less the part of the design's last column."""
    flat = np.array(block.reshape(-1, block.shape[-1]))
    valid = np.isfinite(flat)
    complete = valid.all(axis=1)
    found = flat[complete] @ np.linalg.pinv(design)[-1]
    flat[complete] -= (found[:, None] * design[:, -1]).astype(flat.dtype)
    partly = np.flatnonzero(~complete & (valid.sum(axis=1) > design.shape[1]))
    patterns, which = np.unique(valid[partly], axis=0, return_inverse=True)
    for k, dates in enumerate(patterns):
        at = np.ix_(partly[which.ravel() == k], dates)
        found = flat[at] @ np.linalg.pinv(design[dates])[-1]
        flat[at] -= (found[:, None] * design[dates, -1]).astype(flat.dtype)
    return flat.reshape(block.shape)


def _left_out(values: np.ndarray, design: np.ndarray) -> float:
    """Robust deviation (m) of ``values`` (date, sample) from fits that did not see their date."""
    hat = design @ np.linalg.pinv(design)
    free = np.maximum(1.0 - np.diag(hat), 1e-6)
    return float(1.4826 * np.median(np.abs((values - hat @ values) / free[:, None])))


def _ring_offsets(grid: Grid, ring_m: tuple[float, float]) -> np.ndarray:
    """Row and column offsets (k, 2) within a ring, in an order that spreads over it."""
    inner, outer = ring_m
    dy, dx = grid.spacing_m
    reach = math.ceil(outer / dy), math.ceil(outer / dx)
    rows, columns = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    away = np.hypot(rows * dy, columns * dx)
    within = (away >= inner) & (away <= outer) & (away > 0)
    offsets = np.column_stack([rows[within], columns[within]])
    if len(offsets) < LEAST_RING_PIXELS:
        raise ConfigurationError(
            f"corrections.ring_m {list(ring_m)} holds {len(offsets)} pixels of {dy:.0f} x {dx:.0f} "
            f"m; at least {LEAST_RING_PIXELS} are needed: widen it."
        )
    order = np.random.default_rng(0).permutation(len(offsets))
    return np.ascontiguousarray(offsets[order][:RING_OFFSETS], np.int64)


def _median_network(size: int) -> np.ndarray:
    """Compare-exchanges (k, 2) that bring the two middle ones of ``size`` (2^n) values to place.

    Batcher's odd-even merge sort, less what the middle does not depend on: unlike a selection it
    does the same for all dates, so that one instruction serves several of them.

    Source
    ------
    Batcher (1968), doi:10.1145/1468075.1468121.
    """
    exchanges = []
    p = 1
    while p < size:
        k = p
        while k >= 1:
            for j in range(k % p, size - k, 2 * k):
                for i in range(j, min(j + k, size - k)):
                    if i // (2 * p) == (i + k) // (2 * p):
                        exchanges.append((i, i + k))
            k //= 2
        p *= 2
    needed, kept = {size // 2 - 1, size // 2}, []
    for pair in reversed(exchanges):
        if needed & set(pair):
            needed |= set(pair)
            kept.append(pair)
    return np.array(kept[::-1], np.int64)


@njit(nogil=True, cache=True)
def _place_means(values: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Mean of ``values`` (y, x, date) over the 3 x 3 pixels around that are of stable ground.

    ``ground`` (y, x) is NaN elsewhere; so are the places that are not of it themselves.
    """
    height, width, dates = values.shape
    out = np.full((height, width, dates), np.nan, np.float32)
    total = np.empty(dates, np.float32)
    for i in range(height):
        for j in range(width):
            if np.isnan(ground[i, j]):
                continue
            total[:] = 0.0
            count = 0
            for a in range(max(i - 1, 0), min(i + 2, height)):
                for b in range(max(j - 1, 0), min(j + 2, width)):
                    if not np.isnan(ground[a, b]):
                        total += values[a, b]
                        count += 1
            out[i, j] = total / np.float32(count)
    return out


@njit(nogil=True, cache=True)
def _ring_difference(
    values: np.ndarray,
    places: np.ndarray,
    maps: np.ndarray,
    offsets: np.ndarray,
    network: np.ndarray,
    tolerance: float,
    margin: int,
) -> np.ndarray:
    """``values`` (y, x, date) less the median of the ring's ``places``, counted in the last layer.

    ``maps``: height, height of stable ground (NaN elsewhere), and where a result is wanted. The
    first and last ``margin`` rows belong to neighbouring blocks and are not returned.
    """
    height, width, dates = values.shape
    out = np.full((height - 2 * margin, width, dates + 1), np.nan, np.float32)
    ring = np.empty((RING_PIXELS, dates), np.float32)
    for i in range(margin, height - margin):
        for j in range(width):
            if maps[2, i, j] == 0.0:
                continue
            count = 0
            for k in range(offsets.shape[0]):
                a, b = i + offsets[k, 0], j + offsets[k, 1]
                if a < 0 or a >= height or b < 0 or b >= width:
                    continue
                if abs(maps[1, a, b] - maps[0, i, j]) <= tolerance:
                    ring[count] = places[a, b]
                    count += 1
                    if count == RING_PIXELS:
                        break
            count -= count % 2  # an even number, so that what fills the ring leaves its middle
            here = out[i - margin, j]
            here[:dates] = values[i, j]
            here[dates] = 0.0
            if count < LEAST_RING_PIXELS:
                continue
            for k in range(count, RING_PIXELS):
                ring[k] = np.inf if k % 2 else -np.inf
            for k in range(network.shape[0]):
                low, high = ring[network[k, 0]], ring[network[k, 1]]
                for t in range(dates):
                    x, y = low[t], high[t]
                    low[t] = x if x < y else y
                    high[t] = y if x < y else x
            below, above = ring[RING_PIXELS // 2 - 1], ring[RING_PIXELS // 2]
            for t in range(dates):
                here[t] -= np.float32(0.5) * (below[t] + above[t])
            here[dates] = count
    return out


def _height_correlation(values: np.ndarray, heights: np.ndarray) -> float:
    """Root mean square over dates of the correlation with height; NaN where heights are level."""
    squares = []
    for row in values:
        good = np.isfinite(row) & np.isfinite(heights)
        if good.sum() > 2 and np.ptp(row[good]) > 0 and np.ptp(heights[good]) > 0:
            squares.append(np.corrcoef(row[good], heights[good])[0, 1] ** 2)
    return math.sqrt(float(np.mean(squares))) if squares else math.nan


def _number(value: float) -> float | None:
    """A number fit for JSON: five significant digits, None for NaN."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
