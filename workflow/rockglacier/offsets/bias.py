"""What offsets show on ground that does not move: shift, ramp, stripes, and how far they scatter.

Scenes of one sensor are registered to some tenths of a pixel, turned or stretched by a little, and
detectors of a pushbroom sensor lie beside one another not quite as assumed, which makes stripes
along the orbit. All of it is fitted on stable ground alone, never on ground that is merely slow.

Source
------
Scherler, Leprince & Strecker (2008), doi:10.1016/j.rse.2008.05.018.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr

from rockglacier.atmosphere import robust_fit, scatter
from rockglacier.conventions import X, Y
from rockglacier.errors import SceneError

Model = Literal["shift", "ramp", "stripes"]
COMPONENTS = ("east", "north")
MIN_STABLE = 30  # places
STRIPE_M = 1500.0  # across the orbit, over which stripes are taken as even
MIN_STRIPE = 10  # stable places in it


def without_bias(
    field: xr.Dataset,
    stable_ground: xr.DataArray,
    *,
    model: Model = "ramp",
    heading_deg: float = 190.0,
) -> xr.Dataset:
    """``field`` of offsets (m) less what stable ground shows, its errors as they scatter there.

    ``stable_ground`` (y, x; bool) lies on the places of ``field``; ``heading_deg``: direction of
    flight, clockwise from north, along which stripes run. Attributes of the result state, for
    ``east`` and ``north``, ``<component>_shift_m``, ``<component>_stable_nmad_m`` after removal
    and ``<component>_error_scale``, by which errors were multiplied so that errors over deviations
    scatter by one on stable ground, and ``stable_places``.

    Raises
    ------
    SceneError
        Fewer than MIN_STABLE places of stable ground have an offset.
    """
    known = stable_ground.values & np.isfinite(field["east"].values)
    if known.sum() < MIN_STABLE:
        raise SceneError(
            f"{int(known.sum())} places of stable ground have an offset; {MIN_STABLE} are needed "
            "to tell the bias of a pair: enlarge stable_ground, the area, or leave this pair out."
        )
    y, x = field[Y].values, field[X].values
    north, east = np.meshgrid((y - y.mean()) / np.ptp(y), (x - x.mean()) / np.ptp(x), indexing="ij")
    terms = [np.ones_like(east)] if model == "shift" else [np.ones_like(east), east, north]
    design = np.stack(terms, axis=-1)
    out = field.copy()
    out.attrs = {**field.attrs, "stable_places": int(known.sum())}
    for name in COMPONENTS:
        values = field[name].values.astype(np.float64)
        error = field[f"{name}_error"].values.astype(np.float64)
        # A place that states no error to speak of does not decide alone.
        unit = np.maximum(error, np.median(error[known]))[known]
        (coefficients,) = robust_fit(design[known] / unit[:, None], (values[known] / unit)[None])
        left = values - design @ coefficients
        if model == "stripes":
            left -= _stripes(left, known, y, x, heading_deg)
        scale, nmad = map(float, scatter(np.stack([left[known] / error[known], left[known]])))
        out[name] = field[name].copy(data=left.astype(np.float32))
        out[f"{name}_error"] = field[f"{name}_error"] * np.float32(scale)
        out.attrs |= {
            f"{name}_shift_m": float(coefficients[0]),
            f"{name}_stable_nmad_m": nmad,
            f"{name}_error_scale": scale,
        }
    both = out.attrs["east_error_scale"] * out.attrs["north_error_scale"]
    out["covariance"] = field["covariance"] * np.float32(both)
    return out


def _stripes(
    left: np.ndarray, known: np.ndarray, y: np.ndarray, x: np.ndarray, heading_deg: float
) -> np.ndarray:
    """Median over stable ground along the direction of flight, linear between its stripes."""
    turn = np.radians(heading_deg)
    across = np.cos(turn) * x[None, :] - np.sin(turn) * y[:, None]
    index = np.floor((across - across.min()) / STRIPE_M).astype(int)
    count = np.bincount(index[known], minlength=index.max() + 1)
    full = np.flatnonzero(count >= MIN_STRIPE)
    if not full.size:
        return np.zeros_like(left)
    level = [float(np.median(left[known & (index == k)])) for k in full]
    centre = across.min() + (full + 0.5) * STRIPE_M
    return np.asarray(np.interp(across, centre, level))
