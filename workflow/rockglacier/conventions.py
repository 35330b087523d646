"""Dimensions, units, signs and constants: stated here once, used everywhere.

Signs
-----
Interferogram = reference * conj(secondary), reference earlier. Displacement ``d`` is in metres
along the line of sight, positive toward the satellite, zero at the first date. Hence

    phase = -(4 pi / wavelength) * (d(secondary) - d(reference)).

Line of sight: unit vector from the ground to the satellite, components east, north, up.
Velocity is in metres per year of 365.25 days; downslope velocity is positive downslope.
Missing is NaN. "Not observed" is never "not moving".
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

import numpy as np
import xarray as xr

from rockglacier.errors import DimensionError, UnitsError

# A slip of 0.1 mm in a coordinate would otherwise give an empty array in silence.
xr.set_options(arithmetic_join="exact", keep_attrs=True)  # type: ignore[no-untyped-call]

PAIR = "pair"
DATE = "date"
Y = "y"
X = "x"
MAP = (Y, X)

YEAR_DAYS = 365.25
SPEED_OF_LIGHT_M_S = 299_792_458.0
# Sentinel-1 C-SAR radar frequency 5.405000454334350e9 Hz, product annotation.
SENTINEL1_WAVELENGTH_M = SPEED_OF_LIGHT_M_S / 5.405000454334350e9


UNRESOLVED = -128  # in place of a pair's whole cycles: not to be told, the sample is not used
LOOKS = 20.0  # ASSUME: independent looks of a stack that does not state them


class Reason(IntEnum):
    """Why a pixel has no velocity, or one to be read with care (band ``reason``)."""

    OBSERVED = 0
    OUTSIDE = 1  # outside the stack, layover, shadow or water: no pair has a value
    TOO_FEW_PAIRS = 2  # fewer valid pairs than the inversion needs
    SUBSETS = 3  # solved, but its pairs fall into disconnected subsets (minimum-norm link)
    LOW_TEMPORAL_COHERENCE = 4  # the pairs contradict each other
    ALIASED = 5  # motion between dates may exceed what the phase can resolve
    INSENSITIVE = 6  # the line of sight hardly sees downslope motion, or the ground is level
    INCONSISTENT = 7  # tracks contradict each other
    UPSLOPE = 8  # upslope by more than its error: heave, subsidence or an error, not creep
    CONTRADICTED = 9  # interferometry and offsets contradict each other
    UNDETECTED = 10  # no interferometry, and offsets no larger than their error


class VelocitySource(IntEnum):
    """What tells the velocity of a pixel (band ``velocity_source``)."""

    NONE = 0
    INTERFEROMETRY = 1
    OFFSETS = 2
    BOTH = 3  # their weighted mean


class Kind(IntEnum):
    """What the ground is (bands of ``classes.tif`` and names of its classes)."""

    OTHER = 0
    ACTIVE = 1  # rock glacier that moves over most of its surface
    RESTING = 2  # transitional or relict rock glacier
    DEBRIS_COVERED = 3  # glacier under debris
    CLEAN = 4  # glacier of bare ice, or firn
    ROCK_GLACIER = 5  # of unknown activity: many inventories do not tell it


ROCK_GLACIERS = (Kind.ACTIVE, Kind.RESTING, Kind.ROCK_GLACIER)
KIND_NAMES = {
    Kind.OTHER: "other ground",
    Kind.ACTIVE: "active rock glacier",
    Kind.RESTING: "transitional or relict rock glacier",
    Kind.DEBRIS_COVERED: "debris-covered glacier",
    Kind.CLEAN: "clean glacier",
    Kind.ROCK_GLACIER: "rock glacier of unknown activity",
}


def metres_per_radian(wavelength_m: float) -> float:
    """Displacement toward the satellite (m) per radian of interferometric phase (negative)."""
    return -wavelength_m / (4.0 * np.pi)


def years_since(dates: np.ndarray, origin: np.datetime64) -> np.ndarray:
    """Years (365.25 d) from ``origin`` to each of ``dates`` (datetime64), float64."""
    days = (np.asarray(dates) - np.datetime64(origin)) / np.timedelta64(1, "D")
    return np.asarray(days / YEAR_DAYS, dtype=np.float64)


def require(
    array: xr.DataArray, *, dims: Iterable[str] = (), units: str | None = None
) -> xr.DataArray:
    """Return ``array`` unchanged if it has ``dims`` and states ``units``; raise otherwise.

    Raises
    ------
    DimensionError
        A dimension is absent.
    UnitsError
        The attribute ``units`` is absent or differs.
    """
    missing = [d for d in dims if d not in array.dims]
    name = array.name or "array"
    if missing:
        raise DimensionError(
            f"{name} has dimensions {tuple(map(str, array.dims))} but {', '.join(missing)} "
            "is needed; rename or stack its dimensions before the call."
        )
    if units is not None and array.attrs.get("units") != units:
        raise UnitsError(
            f"{name} states units {array.attrs.get('units')!r} but {units!r} is needed; "
            "convert it and set attrs['units']."
        )
    return array


def describe(array: xr.DataArray, name: str, long_name: str, units: str) -> xr.DataArray:
    """Return ``array`` under ``name`` with ``long_name`` and ``units`` as its only attributes."""
    out = array.rename(name)
    out.attrs = {"long_name": long_name, "units": units}
    return out
