"""What chips of several sizes tell together of one place.

A larger chip has less noise, a smaller one less mixture of motions. The largest is taken that
agrees with all smaller ones. Where the next larger one does not, it shows how mixture grows: as the
square of the chip's side, as long as motion bends evenly across the chip. What that foretells for
the chip that was taken is removed, and a part of it counts as error.

Source
------
Choice of the size: Goldenshluger & Nemirovski (1997), Math. Methods Statist. 6, 135; Katkovnik
(1999), doi:10.1109/78.782208. Extrapolation: Richardson (1911), doi:10.1098/rsta.1911.0009.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, X, Y

SIZE = "size"
# Places where chips agree within so many deviations are of one motion: the larger chip serves.
AGREEMENT = 2.5
# ASSUME: motion bends otherwise than evenly by as much as half of the mixture that is removed.
MIXTURE_ERROR = 0.5
# ASSUME: rock glaciers bend twelve times as much as chips show, which smooth their margins.
BENDING = 12.0
# Mean square distance of a chip's pixels from its middle along an axis, over its side squared.
SPREAD = {"flat": 1.0 / 12.0, "tapered": 1.0 / 12.0 - 1.0 / (2.0 * np.pi**2)}
COMPONENTS = ("east", "north")


def combined(
    field: xr.Dataset, names: Sequence[str] = (), *, agreement: float = AGREEMENT
) -> xr.Dataset:
    """One value a place from those of all sizes: ``east``, ``north`` and their errors (y, x).

    ``field`` (size, y, x) holds ``east``, ``north``, ``east_error``, ``north_error`` in one unit,
    NaN where a size has none, and coordinate ``size`` (pixels), ascending. Errors of nested chips
    are taken as those of ever better estimates: the covariance of two is the larger's variance.
    ``agreement``: deviations within which chips are of one motion. ``names``: further variables,
    taken from the size that serves. The result holds ``weight`` (size, y, x), of which it is made,
    as well, and ``chip``: the size that serves (pixels, NaN where none does).
    """
    sides = field[SIZE].values.astype(np.float64)
    value, error = (
        np.stack([field[f"{name}{kind}"].transpose(SIZE, *MAP).values for name in COMPONENTS], 1)
        for kind in ("", "_error")
    )
    known = np.isfinite(value).all(axis=1)
    taken = np.where(known.any(axis=0), known.argmax(axis=0), -1)
    for k in range(1, sides.size):
        agrees = known[k].copy()
        for i in range(k):
            with np.errstate(invalid="ignore"):
                near = (np.abs(value[k] - value[i]) <= agreement * error[i]).all(axis=0)
            agrees &= ~known[i] | near
        taken[agrees] = k
    weight = np.zeros(known.shape, np.float32)
    for k in range(sides.size):
        weight[k][taken == k] = 1.0
    variance = _picked(error**2, taken)
    for k in range(sides.size - 1):
        share = sides[k] ** 2 / (sides[k + 1] ** 2 - sides[k] ** 2)
        mixed = (taken == k) & known[k + 1]
        weight[k][mixed] += share
        weight[k + 1][mixed] -= share
        apart = np.maximum(error[k] ** 2 - error[k + 1] ** 2, 0.0)
        removed = share * np.abs(value[k] - value[k + 1])
        more = (2.0 * share + share**2) * apart + (MIXTURE_ERROR * removed) ** 2
        variance = np.where(mixed, variance + more, variance)
    total = np.where(weight[:, None] != 0.0, weight[:, None] * value, 0.0).sum(axis=0)
    total = np.where(taken >= 0, total, np.nan)
    like = field["east"].isel({SIZE: 0}, drop=True).transpose(*MAP)
    out = xr.Dataset(coords=field.drop_dims(SIZE).coords, attrs=field.attrs)
    for c, name in enumerate(COMPONENTS):
        for key, values in ((name, total[c]), (f"{name}_error", np.sqrt(variance[c]))):
            out[key] = like.copy(data=values.astype(np.float32)).assign_attrs(field[key].attrs)
    for name in names:
        values = field[name].transpose(SIZE, *MAP).values
        # Where none serves, what the largest says of it.
        out[name] = like.copy(data=_picked(values, np.where(taken < 0, sides.size - 1, taken)))
        out[name].attrs = field[name].attrs
    chip = np.where(taken >= 0, sides[taken], np.nan).astype(np.float32)
    out["chip"] = like.copy(data=chip).assign_attrs(long_name="side of the chip", units="pixel")
    out["weight"] = ((SIZE, Y, X), weight, {"long_name": "weight of each size", "units": "1"})
    return out.assign_coords({SIZE: field[SIZE]})


def _picked(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """``values`` (size, ..., y, x) of the size ``index`` (y, x); of the last where it is -1."""
    at = np.broadcast_to(index, (1, *values.shape[1:]))
    return np.asarray(np.take_along_axis(values, at, axis=0)[0])


def unresolved(
    field: xr.Dataset, stable_ground: xr.DataArray, *, step: float, window: str
) -> xr.Dataset:
    """``field`` of :func:`combined` with errors that hold what its chips cannot resolve.

    A chip shows the mean of motion over itself: of a field that bends it misses half its curvature
    times the spread of the chip's pixels. The curvature is that between places half a chip apart,
    less what noise makes of it on ``stable_ground`` (y, x; bool), times BENDING. ``step``: pixels
    between places; ``window`` of the chips (see :class:`rockglacier.offsets.tracking.Matching`).
    ``raised`` is by how much that may be too fast: nothing where motion is fastest, for chips mix
    it with slower ground around; all of it beside ground that moves.
    """
    stable = stable_ground.transpose(*MAP).values
    chips = field["chip"].transpose(*MAP).values
    out = field.copy()
    along = np.zeros(chips.shape)  # what may be missed, times the velocity
    for name in COMPONENTS:
        values = field[name].transpose(*MAP).values.astype(np.float64)
        missed = np.zeros_like(values)
        for chip in np.unique(chips[np.isfinite(chips)]):
            apart = max(1, round(0.5 * chip / step))  # places, over which it is the chip that bends
            size, bend = _bend(values, apart)
            rest = size[stable & np.isfinite(values)]
            noise = float(np.median(rest)) if rest.size else 0.0
            share = BENDING * 0.5 * SPREAD[window] * (chip / (apart * step)) ** 2
            here = chips == chip
            missed[here] = share * np.sqrt(np.maximum(size**2 - noise**2, 0.0))[here]
            along[here] += (missed * np.sign(bend) * np.nan_to_num(values))[here]
        error = field[f"{name}_error"].transpose(*MAP)
        out[f"{name}_error"] = error.copy(data=np.hypot(error.values, missed).astype(np.float32))
    speed = np.hypot(*(field[name].transpose(*MAP).values for name in COMPONENTS))
    raised = np.maximum(along, 0.0) / np.fmax(speed, 1e-6)
    out["raised"] = field["east"].transpose(*MAP).copy(data=raised.astype(np.float32))
    return out


def _bend(values: np.ndarray, apart: int) -> tuple[np.ndarray, np.ndarray]:
    """Second differences along both axes between places so far ``apart``: sizes and values, added.

    A value is positive where motion around is greater.
    """
    total, signed = np.zeros_like(values), np.zeros_like(values)
    for axis in (0, 1):
        margin = [(apart, apart) if a == axis else (0, 0) for a in (0, 1)]
        padded = np.pad(values, margin, constant_values=np.nan)
        size = values.shape[axis]
        before, after = (np.take(padded, np.arange(size) + shift, axis) for shift in (0, 2 * apart))
        # Beyond an unknown place motion is taken to bend back: the worst of what is likely.
        before, after = (np.where(np.isnan(a), b, a) for a, b in ((before, after), (after, before)))
        bend = np.nan_to_num(before - 2.0 * values + after)
        total += np.abs(bend)
        signed += bend
    return total, signed
