"""What offsets show on ground that does not move: shift, ramp, stripes, and how far they scatter.

Scenes of one sensor are registered to some tenths of a pixel, turned or stretched by a little, and
detectors of a pushbroom sensor lie beside one another not quite as assumed, which makes stripes
along the orbit. All of it is fitted on stable ground alone, never on ground that is merely slow.

Source
------
Scherler, Leprince & Strecker (2008), doi:10.1016/j.rse.2008.05.018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from rockglacier.atmosphere import robust_fit, scatter
from rockglacier.conventions import X, Y
from rockglacier.errors import SceneError

Model = Literal["shift", "ramp", "stripes"]
COMPONENTS = ("east", "north")
MIN_STABLE = 30  # places
SAME_M = 1e-4  # an error that no two images have
STRIPE_M = 1500.0  # across the orbit, over which stripes are taken as even
MIN_STRIPE = 10  # stable places in it
INCLINATION_DEG = 98.2  # of the orbits of Landsat 8 and 9; those of Sentinel-2 have 98.6
ORBITS_A_DAY = 14.56


def descending_heading(latitude_deg: float) -> float:
    """Direction of flight over the ground (degrees clockwise from north) on a descending pass.

    Of a sun-synchronous satellite, with the turn of the Earth below it.
    """
    latitude = np.radians(latitude_deg)
    sine = np.cos(np.radians(INCLINATION_DEG)) / np.cos(latitude)
    inertial = np.arcsin(np.clip(sine, -1.0, 1.0))  # of an ascending pass: west of north
    east = np.sin(inertial) - np.cos(latitude) / ORBITS_A_DAY
    return float(180.0 - np.degrees(np.arctan2(east, np.cos(inertial))))


@dataclass(frozen=True)
class Bias:
    """What stable ground shows of one pair; ``removed`` takes it off any part of the field."""

    coefficients: dict[str, np.ndarray]  # by component: shift (m), then slopes (m per metre)
    origin: tuple[float, float]  # y, x of which the shift is
    stripes: dict[str, tuple[np.ndarray, np.ndarray]]  # by component: places across (m), levels (m)
    heading_deg: float
    error_scale: dict[str, float]
    stable_nmad_m: dict[str, float]  # after removal
    stable_places: int

    def at(self, y: np.ndarray, x: np.ndarray) -> dict[str, np.ndarray]:
        """The bias (m) of either component at places ``y``, ``x`` (arrays of one shape)."""
        found = {}
        for name, coefficients in self.coefficients.items():
            terms = [1.0, x - self.origin[1], y - self.origin[0]]
            found[name] = np.asarray(
                sum(c * t for c, t in zip(coefficients, terms, strict=False)), np.float64
            ) + np.zeros_like(x, dtype=np.float64)
            if name in self.stripes:
                found[name] += np.interp(_across(y, x, self.heading_deg), *self.stripes[name])
        return found

    def removed(self, field: xr.Dataset) -> xr.Dataset:
        """``field`` of offsets (m) or some rows of it without the bias, its errors scaled."""
        y, x = np.meshgrid(field[Y].values, field[X].values, indexing="ij")
        out = field.copy()
        for name, bias in self.at(y, x).items():
            left = field[name].values - bias
            out[name] = field[name].copy(data=left.astype(np.float32))
            scale = np.float32(self.error_scale[name])
            out[f"{name}_error"] = field[f"{name}_error"] * scale
        both = self.error_scale["east"] * self.error_scale["north"]
        out["covariance"] = field["covariance"] * np.float32(both)
        return out


def estimate_bias(
    field: xr.Dataset,
    stable_ground: xr.DataArray,
    *,
    model: Model = "ramp",
    heading_deg: float = 190.0,
) -> Bias:
    """The bias of ``field``, offsets (m) of one pair, from what ``stable_ground`` shows.

    ``stable_ground`` (y, x; bool) lies on the places of ``field``; ``heading_deg``: direction of
    flight, clockwise from north, along which stripes run. ``error_scale`` is what errors have to
    be multiplied by so that errors over deviations scatter by one on stable ground.

    Raises
    ------
    SceneError
        Fewer than MIN_STABLE places of stable ground have an offset, or both images are the same.
    """
    known = stable_ground.values & np.isfinite(field["east"].values)
    if known.sum() < MIN_STABLE:
        raise SceneError(
            f"{int(known.sum())} places of stable ground have an offset; {MIN_STABLE} are needed "
            "to tell the bias of a pair: enlarge stable_ground, the area, or leave this pair out."
        )
    if np.median(field["east_error"].values[known]) < SAME_M:
        raise SceneError(
            "offsets without any error on stable ground: both images are the same; leave out the "
            "date that is a copy of the other."
        )
    row, column = np.nonzero(known)
    y, x = field[Y].values[row], field[X].values[column]
    origin = float(field[Y].values.mean()), float(field[X].values.mean())
    reach = max(np.ptp(field[Y].values), np.ptp(field[X].values))
    terms = [np.ones(y.size)]
    if model != "shift":
        terms += [(x - origin[1]) / reach, (y - origin[0]) / reach]
    design = np.stack(terms, axis=-1)
    units = np.array([1.0, 1.0 / reach, 1.0 / reach])[: len(terms)]
    coefficients, stripes, scales, nmads = {}, {}, {}, {}
    for name in COMPONENTS:
        values = field[name].values[known].astype(np.float64)
        error = field[f"{name}_error"].values[known].astype(np.float64)
        # A place that states no error to speak of does not decide alone.
        unit = np.maximum(error, np.median(error))
        (fit,) = robust_fit(design / unit[:, None], (values / unit)[None])
        coefficients[name] = fit * units
        left = values - design @ fit
        if model == "stripes":
            stripes[name] = _stripes(left, _across(y, x, heading_deg))
            left -= np.interp(_across(y, x, heading_deg), *stripes[name])
        scales[name], nmads[name] = map(float, scatter(np.stack([left / error, left])))
    return Bias(coefficients, origin, stripes, heading_deg, scales, nmads, int(known.sum()))


def _across(y: np.ndarray, x: np.ndarray, heading_deg: float) -> np.ndarray:
    """Distance (m) across the direction of flight."""
    turn = np.radians(heading_deg)
    return np.asarray(np.cos(turn) * x - np.sin(turn) * y)


def _stripes(left: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middles of stripes along the direction of flight, and medians of what is ``left`` there."""
    index = np.floor((across - across.min()) / STRIPE_M).astype(int)
    full = np.flatnonzero(np.bincount(index) >= MIN_STRIPE)
    if not full.size:
        return np.zeros(1), np.zeros(1)
    level = [float(np.median(left[index == k])) for k in full]
    return across.min() + (full + 0.5) * STRIPE_M, np.array(level)
