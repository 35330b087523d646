"""One velocity of the region from interferometry and offsets, by what each can see.

Interferometry loses ground that moves by more than a part of its wavelength between dates; offsets
see nothing slower than their detection limit. Where only one of them sees the ground, it serves;
where both do, each serves where it is known to be good, and between they have to agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, Reason, VelocitySource, describe
from rockglacier.downslope import GRADIENT_ERROR, MINIMUM_SLOPE_DEG, UPSLOPE_SIGMAS
from rockglacier.errors import SceneError
from rockglacier.grid import Grid
from rockglacier.offsets.inversion import crowded, deviation

BANDS = (
    "east", "north", "east_error", "north_error", "correlation", "motion_error", "detection_limit",
    "reason",
)  # fmt: skip


def moving(rates: xr.Dataset, *, sigmas: float) -> xr.DataArray:
    """Where ``rates`` (BANDS; y, x) are of ground that moves: 1, else 0.

    NaN where that is unknown. The speed has to exceed the error that it would have at rest as
    rarely by chance as one component does so many ``sigmas``: its direction is chance's to choose
    too. A place counts with LEAST_PLACES or more that touch it and move, which leaves out most
    errors of single places; those of a whole chip remain.
    """
    speed = np.hypot(*(rates[k].transpose(*MAP).values for k in ("east", "north")))
    with np.errstate(invalid="ignore"):
        beyond = speed > _radius(sigmas) * rates["motion_error"].transpose(*MAP).values
    found = np.where(np.isfinite(speed), crowded(beyond), np.nan).astype(np.float32)
    return rates["east"].transpose(*MAP).copy(data=found).rename("moving")


def _radius(sigmas: float) -> float:
    """Errors that chance exceeds in two dimensions as often as ``sigmas`` in one."""
    from scipy.stats import norm

    return float(np.sqrt(-2.0 * norm.logsf(sigmas) - 2.0 * np.log(2.0)))


def onto_region(rates: xr.Dataset, grid: Grid) -> xr.Dataset:
    """Offset velocities on the region's ``grid``: those of the place around a pixel.

    ``rates`` (y, x) holds BANDS and :func:`moving`, and has attribute ``crs``. Beyond its places
    all is NaN and ``reason`` is OUTSIDE.
    """
    places = Grid.from_coords(rates, str(rates.attrs["crs"]))
    x, y = np.meshgrid(grid.x, grid.y)
    if places.crs != grid.crs:
        from pyproj import Transformer

        x, y = Transformer.from_crs(grid.crs, places.crs, always_xy=True).transform(x, y)
    with np.errstate(invalid="ignore"):
        row = np.floor((places.north - y) / places.dy)
        column = np.floor((x - places.west) / places.dx)
        inside = (row >= 0) & (row < places.height) & (column >= 0) & (column < places.width)
    row, column = (np.where(inside, at, 0).astype(np.intp) for at in (row, column))
    out = {}
    for name in (*BANDS, "moving"):
        values = rates[name].transpose(*MAP).values[row, column].astype(np.float32)
        values = np.where(inside, values, Reason.OUTSIDE if name == "reason" else np.nan)
        out[name] = xr.DataArray(values, dims=MAP, coords=grid.coords, attrs=rates[name].attrs)
    return xr.Dataset(out)


def best(sets: Sequence[xr.Dataset]) -> xr.Dataset:
    """Of several sets of images (:func:`onto_region`), place by place, that which detects least."""
    found = sets[0]
    for other in sets[1:]:
        better = other["detection_limit"].fillna(np.inf) < found["detection_limit"].fillna(np.inf)
        # Where neither sees anything, the one that looked says why.
        looked = (found["reason"] == Reason.OUTSIDE) & (other["reason"] > Reason.OUTSIDE)
        found = other.where(better | looked, found)
    return found


def join(
    downslope: xr.Dataset | None,
    offsets: xr.Dataset,
    terrain: xr.Dataset,
    *,
    offsets_above: float = 1.0,
    insar_below: float = 0.3,
    agree_sigmas: float = 2.0,
) -> xr.Dataset:
    """Velocity along the surface (y, x; m/yr), positive downslope, and what tells it.

    Parameters
    ----------
    downslope
        Of :func:`rockglacier.downslope.downslope_velocity`; None where no track shows motion.
    offsets
        Of :func:`best`: velocity toward true east and north, on the same grid, and where it moves.
    terrain
        ``slope`` and ``aspect`` (deg).
    offsets_above
        Offsets alone serve above this speed (m/yr), where ground is :func:`moving`.
    insar_below
        Else interferometry alone serves below this speed (m/yr), but where offsets are of ground
        that moves faster than that and contradict it: they serve then.
    agree_sigmas
        Else their weighted mean serves where they differ by less than so many errors of the
        difference, and nothing where they differ by more (reason CONTRADICTED).

    Without interferometry, offsets serve where ground is moving; elsewhere it is not observed
    (UNDETECTED), which does not say that it is at rest. Offsets are followed
    along their own direction over the surface; beside interferometry, along the slope. What moves
    up the slope by more than UPSLOPE_SIGMAS errors says so (UPSLOPE), whatever tells it, and of a
    weighted mean the reason is else that of ``downslope``: tracks may contradict each other.

    Returns
    -------
    The bands of ``downslope``, joined, and ``velocity_source``
    (:class:`rockglacier.conventions.VelocitySource`).

    Raises
    ------
    SceneError
        ``offsets`` and ``downslope`` lie on different grids.
    """
    if downslope is None:
        nothing = xr.full_like(offsets["east"], np.nan)
        names = ["velocity", "velocity_error", "sensitivity"]
        downslope = xr.Dataset(dict.fromkeys(names, nothing))
        downslope = downslope.assign(
            track_count=xr.zeros_like(nothing), reason=offsets["reason"].astype(np.float32)
        )
    if downslope["velocity"].shape != offsets["east"].shape:
        raise SceneError(
            f"Interferometry has {downslope['velocity'].shape} pixels but offsets have "
            f"{offsets['east'].shape}; both are needed on the region's grid."
        )
    insar, insar_error = (
        downslope[k].transpose(*MAP).values for k in ("velocity", "velocity_error")
    )
    rate, error, projected, projected_error = along_surface(offsets, terrain)
    with np.errstate(invalid="ignore", divide="ignore"):
        seen = np.isfinite(insar)
        real = offsets["moving"].transpose(*MAP).values > 0.0
        fast = real & (np.abs(rate) > offsets_above)
        far = np.abs(insar - projected) >= agree_sigmas * np.hypot(insar_error, projected_error)
        # Faster than phase can follow, which then shows any slower motion. What chips mix makes
        # offsets too slow, not too fast.
        noise = offsets["motion_error"].transpose(*MAP).values
        faster = np.abs(rate) - np.abs(insar) >= agree_sigmas * np.hypot(insar_error, noise)
        lost = real & (np.abs(rate) > insar_below) & faster & (np.abs(insar) < insar_below)
        slow = seen & ~fast & ~lost & (np.abs(insar) < insar_below)
        between = seen & ~fast & ~lost & ~slow
        both = between & np.isfinite(projected)
        w_insar, w_offsets = insar_error**-2.0, projected_error**-2.0
        mean = (w_insar * insar + w_offsets * projected) / (w_insar + w_offsets)
        mean_error = (w_insar + w_offsets) ** -0.5
    source = np.full(insar.shape, VelocitySource.NONE, np.uint8)
    source[slow | between] = VelocitySource.INTERFEROMETRY
    source[both & ~far] = VelocitySource.BOTH
    source[both & far] = VelocitySource.NONE
    source[fast | lost | (real & ~seen)] = VelocitySource.OFFSETS
    choices = [source == k for k in (1, 2, 3)]
    reason = downslope["reason"].transpose(*MAP).values.copy()
    of_offsets, of_both = (source == k for k in (VelocitySource.OFFSETS, VelocitySource.BOTH))
    reason[of_offsets | (of_both & (reason == Reason.UPSLOPE))] = Reason.OBSERVED
    with np.errstate(invalid="ignore", divide="ignore"):
        aslant = np.hypot(projected_error, _turned(rate, projected, terrain))
        up = of_offsets & (projected < -UPSLOPE_SIGMAS * aslant)
        up |= of_both & (mean < -UPSLOPE_SIGMAS * mean_error)
    reason[up] = Reason.UPSLOPE
    reason[both & far] = Reason.CONTRADICTED
    reason[~seen & np.isfinite(rate) & ~real] = Reason.UNDETECTED
    maps = {
        "velocity": np.select(choices, [insar, rate, mean], np.nan),
        "velocity_error": np.select(choices, [insar_error, error, mean_error], np.nan),
        "velocity_source": source,
        "reason": reason,
    }
    out = downslope.copy()
    like = downslope["velocity"].transpose(*MAP)
    about = {
        "velocity": ("velocity along the surface, positive downslope", "m/yr"),
        "velocity_error": ("standard error of the velocity along the surface", "m/yr"),
        "velocity_source": ("1: interferometry, 2: offsets, 3: both", "1"),
        "reason": ("why there is no velocity, or one to be read with care", "1"),
    }
    for name, values in maps.items():
        out[name] = describe(like.copy(data=values.astype(np.float32)), name, *about[name])
    return out


def along_surface(
    offsets: xr.Dataset, terrain: xr.Dataset
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Velocity along the surface and its error, in the direction of motion and down the slope.

    Four maps (y, x; m/yr), positive downslope. Motion across level ground counts as positive; down
    the slope nothing is told on ground flatter than MINIMUM_SLOPE_DEG.
    """
    a, b = (offsets[k].transpose(*MAP).values.astype(np.float64) for k in ("east", "north"))
    slope = terrain["slope"].transpose(*MAP).values.astype(np.float64)
    azimuth = np.radians(terrain["aspect"].transpose(*MAP).values.astype(np.float64))
    steepness = np.tan(np.radians(slope))
    directed = np.isfinite(azimuth) & (slope >= MINIMUM_SLOPE_DEG)
    fall_east = np.where(directed, steepness * np.sin(azimuth), 0.0)
    fall_north = np.where(directed, steepness * np.cos(azimuth), 0.0)
    speed = np.hypot(a, b)
    rest = speed < 1e-6
    along_east = np.divide(a, speed, out=np.ones_like(a), where=~rest)
    along_north = np.divide(b, speed, out=np.zeros_like(b), where=~rest)

    descent = along_east * fall_east + along_north * fall_north
    stretch = np.sqrt(1.0 + descent**2)
    rate = np.where(descent < 0.0, -1.0, 1.0) * speed * stretch
    error = _along(offsets, along_east, along_north) * stretch
    down_east, down_north = np.sin(azimuth), np.cos(azimuth)
    stretch = np.where(directed, np.sqrt(1.0 + steepness**2), np.nan)
    projected = (a * down_east + b * down_north) * stretch
    return rate, error, projected, _along(offsets, down_east, down_north) * stretch


def _turned(rate: np.ndarray, projected: np.ndarray, terrain: xr.Dataset) -> np.ndarray:
    """What an error of the slope's direction makes of motion across it (y, x; m/yr).

    ``rate`` and ``projected`` of :func:`along_surface`.
    """
    steepness = np.tan(np.radians(terrain["slope"].transpose(*MAP).values.astype(np.float64)))
    across = np.sqrt(np.maximum(rate**2 - projected**2, 0.0))
    return np.asarray(across * GRADIENT_ERROR / steepness)


def _along(offsets: xr.Dataset, east: np.ndarray, north: np.ndarray) -> np.ndarray:
    """Error (y, x; m/yr) along the unit vectors ``east``, ``north`` (y, x)."""
    like = offsets["east"].transpose(*MAP)
    found = deviation(offsets, like.copy(data=east), like.copy(data=north))
    return np.asarray(found.transpose(*MAP).values)
