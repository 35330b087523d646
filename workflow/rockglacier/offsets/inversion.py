"""Offsets of many pairs become a displacement series, and a velocity with its error.

Each component is inverted as phase is (:mod:`rockglacier.inversion`, :mod:`rockglacier.velocity`):
weighted least squares over the network of pairs, the errors of pairs as they were scaled on stable
ground, and a further variance of each date, told there, for what all pairs of that date share
(shadows, snow, distortion). A radian stands for a metre.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from rockglacier import inversion, velocity
from rockglacier.conventions import DATE, MAP, PAIR, YEAR_DAYS, Reason, Y, describe
from rockglacier.io import pair_coordinates
from rockglacier.offsets.bias import COMPONENTS, MIN_STABLE, Bias
from rockglacier.offsets.reasons import Reason as Match
from rockglacier.offsets.sizes import SIZE
from rockglacier.phase_noise import MAXIMUM_PRODUCT, TABLE_SIZE

RADIAN_IS_METRE = -4.0 * np.pi  # as a wavelength: metres_per_radian of it is one
LAYERS = ("east", "north", "east_error", "north_error", "covariance", "reason")
# Share of a normal distribution within so many sigmas. What is decided at three needs the last.
NORMAL = {0.95: 1.95996, 0.99: 2.57583, 0.997: 2.96774}
CLASSES, LEAST_CLASS = 6, 500  # of stated error, and places in each
FEW = 1.4  # places beyond a quantile that tell it
HALF = 0.67449  # deviations within which half of a normal distribution lies
MOVING, LEAST_PLACES = 3.44, 3  # errors of a speed at rest, as rare as 3 of one component; places
CHI_2 = 5.9915  # 95 % point of the chi-squared distribution with two degrees of freedom


@dataclass(frozen=True)
class Stack:
    """The pairs of one set of images, freed of their bias, read some rows at a time.

    ``paths`` and ``biases`` (pair, size; None where a size shows no stable ground) in the order of
    ``reference`` and ``secondary`` (datetime64).
    """

    paths: Sequence[str | Path]
    biases: Sequence[Sequence[Bias | None]]
    reference: np.ndarray
    secondary: np.ndarray
    least_share: float = 0.0  # of the pairs that saw a place, which have to tell of it

    def read(self, size: int, rows: slice = slice(None)) -> xr.Dataset:
        """LAYERS (pair, y, x) of ``rows``: offsets and errors in m, their covariance in m2.

        ``size``: number of the chip size, from 0.
        """
        fields = []
        for path, biases in zip(self.paths, self.biases, strict=True):
            whole = xr.open_zarr(path, consolidated=False, chunks=None)[list(LAYERS)]
            part = whole.isel({SIZE: size, Y: rows}).drop_vars(
                [SIZE, "spatial_ref"], errors="ignore"
            )
            bias = biases[size]
            fields.append(_unseen(part.load()) if bias is None else bias.removed(part.load()))
        stack = xr.concat(fields, dim=PAIR, join="exact", combine_attrs="drop_conflicts")
        coordinates = pair_coordinates(self.reference, self.secondary)
        return _agreed(stack.transpose(PAIR, *MAP).assign_coords(coordinates), self.least_share)


def _agreed(stack: xr.Dataset, least_share: float) -> xr.Dataset:
    """``stack`` (pair, y, x) where ``least_share`` of the pairs that saw a place tell of it.

    Of many matches that were refused, those that pass do so by what stands still: shadows, snow.
    """
    if not least_share:
        return stack
    told = (stack["east"].notnull() & stack["north"].notnull()).sum(PAIR)
    saw = (~stack["reason"].isin([Match.NO_DATA, Match.OUTSIDE])).sum(PAIR)
    enough = told >= least_share * saw
    names = [name for name in LAYERS if name != "reason"]
    passed = stack["reason"] == Match.OBSERVED
    reason = stack["reason"].where(enough | ~passed, Match.OUTVOTED)
    return stack.assign({**{name: stack[name].where(enough) for name in names}, "reason": reason})


def _unseen(field: xr.Dataset) -> xr.Dataset:
    """``field`` of a size whose bias is not known: as if it had not looked."""
    nothing = {name: field[name] * np.nan for name in field if name != "reason"}
    return field.assign({**nothing, "reason": xr.full_like(field["reason"], Match.NO_DATA)})


@dataclass(frozen=True)
class Scale:
    """How variances (m2) lie on the scale from 0 to 1 on which kernels look up weights."""

    typical: float

    def worth(self, variance: xr.DataArray) -> xr.DataArray:
        """0..1, one half for the ``typical`` variance; NaN stays."""
        return (1.0 / (1.0 + variance / self.typical)).astype(np.float32)

    def weights(self) -> np.ndarray:
        """1 / variance (1/m2) over TABLE_SIZE equal steps of it."""
        steps = np.arange(TABLE_SIZE) / (TABLE_SIZE - 1)
        worth = np.clip(steps, 0.25 / TABLE_SIZE, MAXIMUM_PRODUCT)
        return np.asarray(worth / (1.0 - worth) / self.typical, np.float32)


def scale_of(stack: xr.Dataset) -> Scale:
    """The scale that suits the errors of ``stack``, or of a sample of it."""
    errors = np.stack([stack[f"{name}_error"].values for name in COMPONENTS])
    known = errors[np.isfinite(errors)]
    return Scale(float(np.median(known)) ** 2 if known.size else 1.0)


def invert(
    stack: xr.Dataset, scale: Scale, *, norm: Literal["l2", "l1"] = "l2", min_pairs: int = 1
) -> xr.Dataset:
    """Displacement ``east``, ``north`` (date, y, x; m) of every place since the first date.

    ``stack`` as of :meth:`Stack.read`. With ``pair_count``, ``subset_count``, ``reason``
    (:class:`rockglacier.conventions.Reason`), ``correlation`` of the errors of both components
    (mean of the pairs) and ``east_misfit``, ``north_misfit``: variance of residuals over that
    of the pairs' errors.
    """
    out = {}
    for name in COMPONENTS:
        phase = describe(stack[name], name, "offset", "rad")
        solved = inversion.invert(
            phase,
            scale.worth(stack[f"{name}_error"] ** 2),
            wavelength_m=RADIAN_IS_METRE,
            weights=scale.weights(),
            norm=norm,
            min_pairs=min_pairs,
        )
        moved = solved["displacement"]
        out[name] = describe(moved, name, f"displacement toward {name} since the first date", "m")
        misfit = solved["variance_factor"]
        out[f"{name}_misfit"] = misfit.rename(f"{name}_misfit")
    for name in ("pair_count", "subset_count", "reason"):
        out[name] = solved[name]
    both = stack["covariance"] / (stack["east_error"] * stack["north_error"])
    out["match_reason"] = describe(
        xr.apply_ufunc(_commonest, stack["reason"], input_core_dims=[[PAIR]]),
        "match_reason", "why most pairs have no offset here, 0: some have", "1",
    )  # fmt: skip
    out["correlation"] = describe(
        both.mean(PAIR).astype(np.float32), "correlation", "correlation of the errors", "1"
    )
    return xr.Dataset(out)


def _commonest(reason: np.ndarray) -> np.ndarray:
    """The commonest of the codes (..., pair) where none is zero; else zero."""
    counts = np.stack([(reason == code).sum(axis=-1) for code in Match])
    counts[0] = np.where(counts[0] > 0, reason.shape[-1] + 1, 0)
    codes = np.array(list(Match), np.uint8)
    return np.asarray(codes[counts.argmax(axis=0)])


def date_variances(
    series: xr.Dataset, stack: xr.Dataset, scale: Scale, stable_ground: xr.DataArray
) -> dict[str, xr.DataArray]:
    """Variance (date; m2) of each component beyond that of its pairs, from ``stable_ground``.

    ``series`` of :func:`invert` and ``stack`` of the same places (a sample of rows serves). Zero
    where there are two dates: the pairs' errors, scaled on stable ground, hold it already.
    """
    dates = series[DATE].values
    if dates.size == 2:
        none = xr.DataArray(np.zeros(2), dims=DATE, coords={DATE: dates})
        return dict.fromkeys(COMPONENTS, none)
    model = velocity.time_model(dates)
    return {
        name: velocity.delay_variance(
            series[name],
            scale.worth(stack[f"{name}_error"] ** 2),
            model,
            wavelength_m=RADIAN_IS_METRE,
            looks=None,
            weights=scale.weights(),
            sample=stable_ground,
        )
        for name in COMPONENTS
    }


def velocities(
    series: xr.Dataset,
    stack: xr.Dataset,
    scale: Scale,
    variances: Mapping[str, xr.DataArray],
) -> xr.Dataset:
    """Mean velocity of every place (y, x; m/yr), from ``series`` of :func:`invert`.

    ``east``, ``north``, their errors ``east_error``, ``north_error``, ``correlation`` of these,
    ``pair_count``, ``reason`` and ``match_reason`` (:class:`rockglacier.offsets.reasons.Reason`).
    """
    dates = series[DATE].values
    out = {}
    for name in COMPONENTS:
        if dates.size == 2:
            years = float((dates[1] - dates[0]) / np.timedelta64(1, "D")) / YEAR_DAYS
            weight = (1.0 / stack[f"{name}_error"] ** 2).sum(PAIR)
            rate, error = series[name].isel({DATE: 1}) / years, weight**-0.5 / years
        else:
            fitted = velocity.estimate(
                series[name],
                scale.worth(stack[f"{name}_error"] ** 2),
                velocity.time_model(dates),
                wavelength_m=RADIAN_IS_METRE,
                looks=None,
                weights=scale.weights(),
                delay_variance=variances[name],
            )
            rate, error = fitted["velocity"], fitted["velocity_error"]
        seen = np.isfinite(rate)
        names = {name: (rate, "velocity"), f"{name}_error": (error, "standard error of velocity")}
        for band, (values, text) in names.items():
            plain = values.where(seen).drop_vars(DATE, errors="ignore").astype(np.float32)
            out[band] = describe(plain, band, f"{text} toward {name}", "m/yr")
    out["correlation"] = series["correlation"]
    out["pair_count"], out["match_reason"] = series["pair_count"], series["match_reason"]
    solved = out["east"].notnull() & out["north"].notnull()
    reason = series["reason"].where(solved | (series["reason"] > 0), Reason.TOO_FEW_PAIRS)
    outvoted = (stack["reason"] == Match.OUTVOTED).any(PAIR)
    reason = reason.where(solved | ~outvoted, Reason.TOO_FEW_PAIRS)
    out["reason"] = describe(reason, "reason", "why there is no velocity, 0: there is", "1")
    return xr.Dataset(out)


def calibrated(rates: xr.Dataset, stable_ground: xr.DataArray) -> xr.Dataset:
    """``rates`` of :func:`velocities` with errors that hold on ``stable_ground``.

    Errors of a component are multiplied so that its 95 and 99 % intervals cover rest on as much of
    stable ground, or more: in each of CLASSES classes of error, and between them by interpolation.
    """
    out = rates.copy()
    for name in COMPONENTS:
        error = rates[f"{name}_error"]
        at, scale = _scales(*(a.where(stable_ground).values for a in (rates[name], error)))
        found = np.exp(np.interp(np.log(error.values), at, scale))
        out[f"{name}_error"] = error.copy(data=(error.values * found).astype(np.float32))
    return out


def without_movers(rates: xr.Dataset, stable_ground: xr.DataArray) -> xr.DataArray:
    """``stable_ground`` (y, x; bool) that is assumed, less places that move, and their neighbours.

    They would pass for errors. A place moves that LEAST_PLACES or more that touch it do too, beyond
    MOVING errors, which are scaled by the median of stable ground in each of CLASSES classes of
    error: half of a class may move.
    """
    from scipy.ndimage import binary_dilation

    stable = stable_ground.transpose(*MAP).values
    square = np.zeros(stable.shape)
    for name in COMPONENTS:
        rate, error = (rates[k].transpose(*MAP).values for k in (name, f"{name}_error"))
        known = stable & np.isfinite(rate) & np.isfinite(error)
        if int(known.sum()) < MIN_STABLE:
            return stable_ground
        members = np.array_split(np.argsort(error[known]), CLASSES)
        at = [np.log(np.median(error[known][m])) for m in members]
        scale = [np.median(np.abs(rate[known][m] / error[known][m])) / HALF for m in members]
        scaled = error * np.exp(np.interp(np.log(error), at, np.log(np.fmax(scale, 1e-3))))
        square += (rate / scaled) ** 2
    moves = binary_dilation(crowded(np.sqrt(square) > MOVING), np.ones((3, 3)))
    return stable_ground.copy(data=stable_ground.values & ~moves)


def crowded(places: np.ndarray) -> np.ndarray:
    """Of ``places`` (y, x; bool) those of which LEAST_PLACES or more touch each other."""
    from scipy.ndimage import label

    number, _ = label(places, np.ones((3, 3)))
    return np.asarray(places & (np.bincount(number.ravel())[number] >= LEAST_PLACES))


def detected(rates: xr.Dataset, at_rest: xr.Dataset) -> xr.Dataset:
    """``rates`` with what tells motion from rest.

    ``at_rest``: :func:`calibrated` rates whose errors hold noise alone, for ground that does not
    bend. ``motion_error`` (m/yr): the standard error along the motion were there none, of noise and
    of what ground that moves beside it adds (``raised`` of ``rates``; it is dropped).
    ``detection_limit`` (m/yr): the speed that errors alone exceed in 5 % of places at rest.
    """
    speed = (rates["east"] ** 2 + rates["north"] ** 2) ** 0.5
    along = deviation(at_rest, rates["east"] / speed, rates["north"] / speed)
    error = (along**2 + rates["raised"] ** 2) ** 0.5
    limit = (CHI_2 * _largest_variance(at_rest)) ** 0.5
    texts = {
        "motion_error": (error, "standard error of the speed of ground at rest"),
        "detection_limit": (limit, "speed that errors alone exceed in 5 % of places at rest"),
    }
    return rates.drop_vars("raised").assign({
        name: describe(values.astype(np.float32), name, text, "m/yr")
        for name, (values, text) in texts.items()
    })  # fmt: skip


def deviation(rates: xr.Dataset, east: xr.DataArray, north: xr.DataArray) -> xr.DataArray:
    """Standard error (m/yr) of ``rates`` along the unit vectors ``east``, ``north``."""
    a, b = (rates[f"{name}_error"].astype(np.float64) for name in COMPONENTS)
    both = 2.0 * rates["correlation"] * east * north * a * b
    found: xr.DataArray = ((east * a) ** 2 + (north * b) ** 2 + both) ** 0.5
    return found


def _scales(rate: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of errors, ascending, and of the factors that they need on ground at rest."""
    known = np.isfinite(rate) & np.isfinite(error)
    rate, error = rate[known], error[known]
    if rate.size < MIN_STABLE:
        return np.zeros(1), np.zeros(1)
    classes = np.array_split(np.argsort(error), max(1, min(CLASSES, rate.size // LEAST_CLASS)))
    at, scale = [], []
    for members in classes:
        z = np.abs(rate[members]) / error[members]
        told = {share: far for share, far in NORMAL.items() if (1.0 - share) * z.size >= FEW}
        scale.append(max(float(np.quantile(z, share)) / far for share, far in told.items()))
        at.append(float(np.median(error[members])))
    return np.log(at), np.log(np.maximum(scale, 1e-3))


def displacement(
    stack: Stack, rows: slice, weight: xr.DataArray, scales: Mapping[int, Scale], **options: Any
) -> xr.Dataset:
    """``east`` and ``north`` of :func:`invert` of ``rows``, as the sizes tell them together.

    ``weight`` (size, y, x) of :func:`rockglacier.offsets.sizes.combined`, of the whole map;
    ``scales``: by the number of each of its sizes in ``stack``; ``options``: of :func:`invert`.
    """
    total: xr.Dataset | None = None
    for place, (k, scale) in enumerate(scales.items()):
        here = weight.isel({SIZE: place, Y: rows}).drop_vars(SIZE, errors="ignore")
        series = invert(stack.read(k, rows), scale, **options)[list(COMPONENTS)]
        part = series.where(here != 0.0, 0.0) * here
        total = part if total is None else total + part
    assert total is not None
    told = (weight.isel({Y: rows}) != 0.0).any(SIZE)
    return total.where(told).map(
        lambda values: describe(
            values.astype(np.float32).transpose(DATE, *MAP), str(values.name),
            f"displacement toward {values.name} since the first date", "m",
        )
    )  # fmt: skip


def toward_true_north(rates: xr.Dataset, north_deg: np.ndarray | float) -> xr.Dataset:
    """``rates`` of :func:`velocities` turned from the map's axes to true east and north.

    ``north_deg``: azimuth of the map's north (y, x; degrees clockwise from true north).
    """
    turn = np.radians(north_deg)
    cosine, sine = np.cos(turn), np.sin(turn)
    east, north = rates["east"], rates["north"]
    a, b = rates["east_error"] ** 2, rates["north_error"] ** 2
    c = rates["correlation"] * rates["east_error"] * rates["north_error"]
    var_east = a * cosine**2 + 2.0 * c * sine * cosine + b * sine**2
    var_north = a * sine**2 - 2.0 * c * sine * cosine + b * cosine**2
    both = (b - a) * sine * cosine + c * (cosine**2 - sine**2)
    turned = {
        "east": east * cosine + north * sine,
        "north": north * cosine - east * sine,
        "east_error": np.sqrt(var_east),
        "north_error": np.sqrt(var_north),
        "correlation": both / np.sqrt(var_east * var_north),
    }
    return rates.assign(
        {k: v.astype(np.float32).assign_attrs(rates[k].attrs) for k, v in turned.items()}
    )


def _largest_variance(rates: xr.Dataset) -> xr.DataArray:
    """Largest eigenvalue of the covariance of both components."""
    a, b = rates["east_error"] ** 2, rates["north_error"] ** 2
    c = rates["correlation"] * rates["east_error"] * rates["north_error"]
    largest: xr.DataArray = 0.5 * (a + b) + np.sqrt(0.25 * (a - b) ** 2 + c**2)
    return largest
