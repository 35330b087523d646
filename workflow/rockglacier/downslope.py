"""Velocity along the slope from the velocity along one or several lines of sight.

A line of sight sees the share C of motion down the slope: v_los = C * v_slope. Where C is small
the slope cannot be seen by that track, and the result is NaN, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr
from numba import njit

from rockglacier.conventions import MAP, Reason, describe, require
from rockglacier.errors import SceneError
from rockglacier.grid import Grid

TRACK = "track"

# ASSUME: below this slope (deg) the direction of steepest descent says nothing about motion.
MINIMUM_SLOPE_DEG = 2.0
# ASSUME: each component of the surface gradient is known to 2 degrees: 2 m of relative error in
# the heights of a 30 m DEM smoothed over 80 m, and flow that departs from the mean slope as much.
GRADIENT_ERROR = 0.035
# ASSUME: tracks contradict each other, or motion is upslope, where chance alone would say so in
# less than 1 % of pixels (one-sided normal quantile for the latter).
SIGNIFICANCE = 0.01
UPSLOPE_SIGMAS = 2.326

# Divided differences of second order: the estimate at the mean gradient and one step from it, along
# the slope and across; a step of sqrt(3) sigma is exact for the fourth moment of a normal error.
STEP = math.sqrt(3.0)
ALONG = (0.0, STEP, -STEP, 0.0, 0.0)
ACROSS = (0.0, 0.0, 0.0, STEP, -STEP)
CURVATURE = (STEP**2 - 1.0) / (4.0 * STEP**4)

_OUTSIDE = int(Reason.OUTSIDE)
_SUBSETS = int(Reason.SUBSETS)
_INSENSITIVE = int(Reason.INSENSITIVE)
_INCONSISTENT = int(Reason.INCONSISTENT)
_UPSLOPE = int(Reason.UPSLOPE)

_BANDS = {
    "velocity": ("velocity along the slope, positive downslope", "m/yr"),
    "velocity_error": ("standard error of the velocity along the slope", "m/yr"),
    "sensitivity": ("line-of-sight share of downslope motion, most sensitive track", "1"),
    "track_count": ("tracks combined", "1"),
    "reason": ("why there is no velocity, or one to be read with care", "1"),
}


def line_of_sight(incidence_angle: xr.DataArray, heading_deg: float) -> xr.Dataset:
    """Line of sight of a right-looking radar: unit vector ``east, north, up``, ground to satellite.

    ``incidence_angle`` (deg, from the vertical; any shape); ``heading_deg`` is the azimuth of
    flight, clockwise from north (ascending about -12, descending about -168).
    """
    theta = require(incidence_angle, units="deg") * math.radians(1.0)
    heading = math.radians(heading_deg)
    sine: xr.DataArray = xr.ufuncs.sin(theta)
    components = {
        "east": -math.cos(heading) * sine,
        "north": math.sin(heading) * sine,
        "up": xr.ufuncs.cos(theta),
    }
    return xr.Dataset(
        {k: describe(v, k, f"line of sight, {k}", "1") for k, v in components.items()}
    )


@njit(nogil=True, cache=True)
def _share(east: float, north: float, up: float, fall_east: float, fall_north: float) -> float:
    """Line of sight times the downslope unit vector; ``fall`` is the descent per metre."""
    steepness = np.maximum(np.hypot(fall_east, fall_north), 1e-12)
    level = (east * fall_east + north * fall_north) / steepness
    share: float = (level - up * steepness) / np.sqrt(1.0 + steepness**2)
    return share


def sensitivity(sight: xr.Dataset, slope: xr.DataArray, aspect: xr.DataArray) -> xr.DataArray:
    """Share C = u . s (-1..1) of motion down the slope that the line of sight ``sight`` sees.

    ``sight`` holds ``east, north, up``; ``slope`` and ``aspect`` (azimuth of steepest descent,
    clockwise from north) in deg. Positive where downslope motion approaches the satellite.

    Source
    ------
    Notti et al. (2014), doi:10.1080/01431161.2014.889864 (coefficient C).
    """
    steepness = xr.ufuncs.tan(require(slope, units="deg") * math.radians(1.0))
    azimuth = require(aspect, units="deg") * math.radians(1.0)
    share = xr.apply_ufunc(
        _share.py_func,
        *(sight[k] for k in ("east", "north", "up")),
        steepness * xr.ufuncs.sin(azimuth),
        steepness * xr.ufuncs.cos(azimuth),
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=False,
    )
    return describe(share, "sensitivity", _BANDS["sensitivity"][0], "1")


def downslope_velocity(
    tracks: Mapping[str, tuple[xr.Dataset, xr.Dataset]],
    terrain: xr.Dataset,
    grid: Grid,
    *,
    min_sensitivity: float = 0.2,
    gradient_error: float = GRADIENT_ERROR,
) -> xr.Dataset:
    """Velocity along the slope (y, x) from the line-of-sight velocity of one or several tracks.

    ``tracks`` holds for each track its velocity (``velocity``, ``velocity_error`` in m/yr, positive
    toward the satellite, and ``reason`` where known) and its geometry (``east, north, up``, or
    ``incidence_angle`` in deg and the attribute ``heading_deg``, or both as attributes; and
    ``observable`` where known). ``terrain`` holds ``slope`` and ``aspect`` (deg). All lie on
    ``grid``, eager or in Dask blocks.

    Motion is taken to follow the steepest descent. Tracks with C_k = u_k . s combine as
    v = sum(C_k v_k / s_k^2) / sum(C_k^2 / s_k^2); its variance is 1 / sum(C_k^2 / s_k^2) plus what
    an error ``gradient_error`` (m/m, 1 sigma) of each component of the surface gradient does to v,
    to second order; for one track and small errors (s / C)^2 + (v_los s_C / C^2)^2. A track with
    |C| < ``min_sensitivity``, in layover or shadow, or without a velocity to be trusted takes no
    part. Without any, and on ground flatter than ``MINIMUM_SLOPE_DEG``, the velocity is NaN.

    Returns
    -------
    Dataset of ``velocity`` (m/yr, positive downslope; upslope is kept and flagged),
    ``velocity_error`` (1 sigma), ``sensitivity`` (C of the most sensitive track), ``track_count``
    and ``reason``. Where tracks contradict each other (chi-square test) the error is widened by
    sqrt(chi-square / degrees of freedom).

    Raises
    ------
    SceneError
        There is no track, or a track states no line of sight.
    DimensionError, UnitsError
        An input does not lie on ``grid``, or states another unit.

    Source
    ------
    Liu et al. (2013), doi:10.5194/tc-7-1109-2013 (uniform flow down the mean slope); Birge (1932),
    doi:10.1103/PhysRev.40.207 (widening of errors that contradict each other); Norgaard et al.
    (2000), doi:10.1016/S0005-1098(00)00089-3 (divided differences).
    """
    from scipy.stats import chi2

    if not tracks:
        raise SceneError("No track was given; downslope velocity needs at least one.")
    grid.check(terrain, "terrain")
    slope, aspect = (
        _on(grid, require(terrain[k], dims=MAP, units="deg")) for k in ("slope", "aspect")
    )
    layers = [_layers(name, *track, grid) for name, track in tracks.items()]
    stack = xr.concat(layers, dim=TRACK, join="exact")
    if any(array.chunks for array in stack.values()):
        stack = stack.unify_chunks().chunk({TRACK: -1})
    critical = chi2.isf(SIGNIFICANCE, np.arange(1, len(layers) + 1))

    def block(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        *seen, beta, azimuth = arrays
        velocity, error, reason, east, north, up = (
            np.ascontiguousarray(np.moveaxis(a, -1, 0)) for a in seen
        )
        beta, azimuth = np.ascontiguousarray(beta), np.ascontiguousarray(azimuth)
        out = np.empty((len(_BANDS), *beta.shape), np.float32)
        _combine(
            velocity, error, reason, east, north, up, beta, azimuth,
            min_sensitivity, gradient_error, critical, out,
        )  # fmt: skip
        return tuple(out)

    results = xr.apply_ufunc(
        block,
        *(stack[k] for k in ("velocity", "velocity_error", "reason", "east", "north", "up")),
        slope,
        aspect,
        input_core_dims=[[TRACK]] * 6 + [[]] * 2,
        output_core_dims=[[]] * len(_BANDS),
        dask="parallelized",
        output_dtypes=[np.float32] * len(_BANDS),
        keep_attrs=False,
    )
    named = zip(_BANDS.items(), results, strict=True)
    return xr.Dataset({name: describe(array, name, *text) for (name, text), array in named})


def _on(grid: Grid, array: xr.DataArray) -> xr.DataArray:
    """Float32 on the coordinates of ``grid``, so that maps from different files align."""
    level = grid.empty().drop_vars("spatial_ref")
    out = array.reset_coords(drop=True).astype(np.float32)
    if out.ndim:
        return out.transpose(*MAP).assign_coords(grid.coords)
    return out.broadcast_like(level)


def _layers(name: str, velocity: xr.Dataset, geometry: xr.Dataset, grid: Grid) -> xr.Dataset:
    """What the combination needs of one track, on ``grid``."""
    grid.check(velocity, f"velocity of track {name}")
    if set(MAP) <= set(geometry.dims):
        grid.check(geometry, f"geometry of track {name}")
    if {"east", "north", "up"} <= set(geometry.data_vars):
        sight = geometry[["east", "north", "up"]]
    else:
        attrs = geometry.attrs
        if "incidence_angle" in geometry:
            angle = geometry["incidence_angle"]
        else:
            angle = xr.DataArray(attrs.get("incidence_angle_deg", np.nan), attrs={"units": "deg"})
        if "heading_deg" not in attrs or not bool(angle.notnull().any()):
            raise SceneError(
                f"Track {name} states no line of sight: its geometry needs east, north and up, "
                "or incidence_angle and heading_deg; give them in the region file."
            )
        sight = line_of_sight(angle, float(attrs["heading_deg"]))
    layers = {k: _on(grid, sight[k]) for k in ("east", "north", "up")}
    for band in ("velocity", "velocity_error"):
        layers[band] = _on(grid, require(velocity[band], dims=MAP, units="m/yr"))
    reason = velocity.get("reason", xr.zeros_like(velocity["velocity"]))
    layers["reason"] = _on(grid, reason).fillna(_OUTSIDE)
    if "observable" in geometry:
        seen = _on(grid, geometry["observable"]) == 1
        layers["reason"] = layers["reason"].where(seen, _OUTSIDE)
    return xr.Dataset(layers)


@njit(nogil=True, cache=True)
def _combine(
    velocity: np.ndarray,
    error: np.ndarray,
    reason: np.ndarray,
    east: np.ndarray,
    north: np.ndarray,
    up: np.ndarray,
    slope: np.ndarray,
    aspect: np.ndarray,
    min_sensitivity: float,
    gradient_error: float,
    critical: np.ndarray,
    out: np.ndarray,
) -> None:
    """Combine tracks (track, y, x) pixel by pixel into ``out`` (band, y, x)."""
    tracks, rows, columns = velocity.shape
    # Descents one step of the gradient's error away, along the slope and across it.
    fall_east, fall_north = np.empty(5), np.empty(5)
    shares = np.empty(5)
    cc, cv = np.empty(5), np.empty(5)
    for i in range(rows):
        for j in range(columns):
            steepness = math.tan(math.radians(slope[i, j]))
            azimuth = math.radians(aspect[i, j])
            directed = slope[i, j] >= MINIMUM_SLOPE_DEG and np.isfinite(azimuth)
            for m in range(5):
                along = ALONG[m] * gradient_error + steepness
                across = ACROSS[m] * gradient_error
                fall_east[m] = along * math.sin(azimuth) + across * math.cos(azimuth)
                fall_north[m] = along * math.cos(azimuth) - across * math.sin(azimuth)
            seen = best = np.nan
            used = 0
            code = code_used = 0
            cc[:] = 0.0
            cv[:] = 0.0
            vv = ca = cb = aa = ab = bb = av = bv = 0.0
            for k in range(tracks):
                sees = directed and np.isfinite(east[k, i, j])
                if sees:
                    for m in range(5):
                        shares[m] = _share(
                            east[k, i, j], north[k, i, j], up[k, i, j], fall_east[m], fall_north[m]
                        )
                    if not abs(shares[0]) <= abs(seen):
                        seen = shares[0]
                note = int(reason[k, i, j])
                v, sigma = float(velocity[k, i, j]), float(error[k, i, j])
                if not (np.isfinite(v) and sigma > 0.0 and sigma < np.inf):
                    note = note if note > 0 else _OUTSIDE
                elif note == 0 or note == _SUBSETS:
                    if np.isnan(slope[i, j]) or (directed and not sees):
                        note = _OUTSIDE
                    elif not directed or abs(shares[0]) < min_sensitivity:
                        note = _INSENSITIVE
                    else:
                        weight = 1.0 / sigma**2
                        for m in range(5):
                            cc[m] += weight * shares[m] * shares[m]
                            cv[m] += weight * shares[m] * v
                        a = 0.5 * (shares[1] - shares[2]) / STEP
                        b = 0.5 * (shares[3] - shares[4]) / STEP
                        vv += weight * v * v
                        ca += weight * shares[0] * a
                        cb += weight * shares[0] * b
                        aa += weight * a * a
                        ab += weight * a * b
                        bb += weight * b * b
                        av += weight * a * v
                        bv += weight * b * v
                        used += 1
                        code_used = max(code_used, note)
                        if not abs(shares[0]) <= abs(best):
                            best = shares[0]
                        continue
                code = max(code, note)
            out[2, i, j] = best if used else seen
            out[3, i, j] = used
            if used == 0:
                out[0, i, j] = out[1, i, j] = np.nan
                out[4, i, j] = code
                continue
            estimate = cv[0] / cc[0]
            variance = 1.0 / cc[0]
            for m in (1, 3):
                ahead, behind = cv[m] / cc[m], cv[m + 1] / cc[m + 1]
                variance += (0.5 * (ahead - behind) / STEP) ** 2
                variance += CURVATURE * (ahead + behind - 2.0 * estimate) ** 2
            if used > 1:
                # Residuals, less what the shared error of the gradient explains of them.
                ra, rb = estimate * (av - estimate * ca), estimate * (bv - estimate * cb)
                square = estimate * estimate
                naa = 1.0 + square * (aa - ca * ca / cc[0])
                nbb = 1.0 + square * (bb - cb * cb / cc[0])
                nab = square * (ab - ca * cb / cc[0])
                explained = (nbb * ra * ra - 2.0 * nab * ra * rb + naa * rb * rb) / (
                    naa * nbb - nab * nab
                )
                chi_square = vv - estimate * cv[0]
                if chi_square - explained > critical[used - 2]:
                    code_used = _INCONSISTENT
                    variance += (chi_square / (used - 1) - 1.0) / cc[0]
            deviation = math.sqrt(variance)
            if estimate < -UPSLOPE_SIGMAS * deviation:
                code_used = max(code_used, _UPSLOPE)
            out[0, i, j] = estimate
            out[1, i, j] = deviation
            out[4, i, j] = code_used


def observable(
    height: xr.DataArray, sight: xr.Dataset, grid: Grid, *, margin_pixels: int = 1
) -> xr.DataArray:
    """Ground that the radar sees (y, x; uint8): 1 = neither in layover nor in shadow.

    ``height`` (y, x; m) is traced along range, toward the satellite and away from it, with the line
    of sight ``sight`` (``east, north, up``; maps or scalars): a point lies in shadow where ground
    stands above its ray to the satellite, in layover where other ground of its range line is as
    near to the satellite or lies beyond it in reversed order. What is not seen is widened by
    ``margin_pixels``. 0 also where the height is unknown. Computes: a ray may cross the whole map.

    Source
    ------
    Kropatsch & Strobl (1990), doi:10.1109/36.45752.
    """
    from scipy import ndimage

    require(height, dims=MAP, units="m")
    grid.check(height, "height")
    heights = np.ascontiguousarray(height.transpose(*MAP).values, np.float32)
    east, north, up = (
        np.ascontiguousarray(_on(grid, sight[k]).values) for k in ("east", "north", "up")
    )
    known = np.isfinite(heights)
    hidden = np.zeros(heights.shape, np.bool_)
    if known.any():
        low, high = float(np.nanmin(heights)), float(np.nanmax(heights))
        dy, dx = grid.spacing_m
        _trace(heights, east, north, up, dy, dx, low, high, hidden)
    if margin_pixels:
        square = np.ones((3, 3), bool)
        hidden = ndimage.binary_dilation(hidden, square, iterations=margin_pixels)
    out = height.transpose(*MAP).copy(data=(known & ~hidden).astype(np.uint8))
    return describe(out, "observable", "seen by the radar: neither layover nor shadow", "1")


@njit(nogil=True, cache=True)
def _sample(heights: np.ndarray, row: float, column: float) -> float:
    """Bilinear height between pixel centres; NaN beside voids."""
    i, j = min(int(row), heights.shape[0] - 2), min(int(column), heights.shape[1] - 2)
    r, c = row - i, column - j
    above = (1.0 - c) * heights[i, j] + c * heights[i, j + 1]
    below = (1.0 - c) * heights[i + 1, j] + c * heights[i + 1, j + 1]
    height: float = (1.0 - r) * above + r * below
    return height


@njit(nogil=True, cache=True)
def _trace(
    heights: np.ndarray,
    east: np.ndarray,
    north: np.ndarray,
    up: np.ndarray,
    dy: float,
    dx: float,
    low: float,
    high: float,
    hidden: np.ndarray,
) -> None:
    """Mark layover and shadow in ``hidden``.

    ASSUME: over the reach of a ray the line of sight is constant (plane wave, flat Earth). The
    range-direction slope criteria (slope toward the sensor >= incidence; away from it >= 90 deg
    less incidence) are what the first step of a ray tests.
    """
    rows, columns = heights.shape
    if rows < 2 or columns < 2:
        return
    step = min(dx, dy)
    for i in range(rows):
        for j in range(columns):
            level = math.hypot(east[i, j], north[i, j])
            h = heights[i, j]
            if not (level > 0.0 and up[i, j] > 0.0 and np.isfinite(h)):
                continue
            tangent = level / up[i, j]  # of the incidence angle
            down = -north[i, j] / level * step / dy  # rows run south
            right = east[i, j] / level * step / dx
            for toward in (1.0, -1.0):
                row, column, distance = float(i), float(j), 0.0
                while True:
                    row, column = row + toward * down, column + toward * right
                    distance += step
                    if row < 0.0 or column < 0.0 or row > rows - 1 or column > columns - 1:
                        break
                    lays_over, shades = distance * tangent, distance / tangent
                    if toward > 0.0:
                        if h + shades > high and h - lays_over < low:
                            break
                        other = _sample(heights, row, column)
                        if other >= h + shades or other <= h - lays_over:
                            hidden[i, j] = True
                            break
                    else:
                        if h + lays_over > high:
                            break
                        if _sample(heights, row, column) >= h + lays_over:
                            hidden[i, j] = True
                            break
