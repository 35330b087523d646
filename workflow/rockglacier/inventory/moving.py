"""Moving areas: ground that moves alike, by class of velocity, and what they say of an object.

Sources
-------
Classes of velocity and the kinematic attribute: RGIK, practical InSAR guidelines, and its form in
ESA CCI's inventories (Rouyet et al. 2025, doi:10.5194/essd-17-4125-2025); Bertone et al. (2022),
doi:10.5194/tc-16-2769-2022. Moving areas are told from motion alone, without regard to landforms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rockglacier.conventions import VelocitySource
from rockglacier.grid import Grid

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

# Upper ends of the classes (m/yr), their names, and the kinematic attribute that each means.
EDGES_M_YR = (0.01, 0.03, 0.10, 0.30, 1.00)
CLASSES = ("<1 cm/yr", "1-3 cm/yr", "3-10 cm/yr", "10-30 cm/yr", "30-100 cm/yr", ">100 cm/yr")
KINEMATIC = ("< cm/yr", "cm/yr", "cm/yr-dm/yr", "dm/yr", "dm/yr-m/yr", "m/yr", "> m/yr")
UNDEFINED = "undefined"
TECHNIQUES = tuple(one.name.lower() for one in VelocitySource if one is not VelocitySource.NONE)
FASTEST_M_YR = 3.0  # beyond which the attribute is the last
LEAST_PIXELS = 20  # ASSUME: of a moving area; fewer are noise
SIGMAS = 2.0
DOMINANT = 0.5  # share of an object's observed ground that a class must have to be its own
# ASSUME: least share that is observed, and greatest error beside the class's width, of what is said
# reliably; two errors to both sides then fill the class, or twice it.
RELIABLE = {"high": (0.8, 0.25), "medium": (0.5, 0.5)}
SMOOTH_PIXELS = 3  # window of the median before areas are drawn


def velocity_class(speed: np.ndarray) -> np.ndarray:
    """Number (0..5; -1 where NaN) of the class of CLASSES that ``speed`` (m/yr) falls into."""
    found = np.digitize(np.abs(speed), EDGES_M_YR)
    return np.where(np.isfinite(speed), found, -1)


def moving(speed: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Where ground (y, x) moves: faster than 1 cm/yr and than twice its standard error."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(speed) > np.fmax(EDGES_M_YR[0], SIGMAS * error))


def reliability(number: int, error: float, share: float) -> str:
    """How reliable class ``number`` is: high, medium or low.

    ``error`` of the velocity (m/yr) counts beside the width of the class, that above 1 m/yr being
    told up to FASTEST_M_YR; ``share`` (0..1) of the ground is observed.
    """
    width = np.diff((0.0, *EDGES_M_YR, FASTEST_M_YR))[number]
    for name, (least, most) in RELIABLE.items():
        if share >= least and error <= most * width:
            return name
    return "low"


def technique_of(source: np.ndarray | None) -> str:
    """What tells the velocity of most pixels (VelocitySource; None: interferometry)."""
    if source is None:
        return VelocitySource.INTERFEROMETRY.name.lower()
    count = np.bincount(source[np.isfinite(source)].astype(int), minlength=len(VelocitySource))
    return VelocitySource(int(np.argmax(count))).name.lower()


def moving_areas(
    speed: np.ndarray, error: np.ndarray, grid: Grid, *, source: np.ndarray | None = None
) -> GeoDataFrame:
    """Areas that move, one class each; ``speed`` and ``error`` (y, x; m/yr) down the slope.

    Columns ``VelClass``, ``velocity`` (median, m/yr), ``velocity_error`` (median), ``area_km2``,
    ``pixels``, ``coverage``: share of the area's pixels that are observed, ``technique`` of most of
    them (``source``: VelocitySource, y, x) and ``reliability``. Holes of what was not
    observed are closed where an area surrounds them.
    """
    import geopandas
    from rasterio.features import shapes
    from scipy import ndimage
    from shapely.geometry import shape
    from shapely.ops import unary_union

    around = np.ones((3, 3), bool)
    smooth = _median(np.where(np.isfinite(speed), np.abs(speed), np.nan))
    moves = moving(smooth, error)
    number = np.where(moves, velocity_class(smooth), -1)
    rows = []
    for k in range(1, len(CLASSES)):
        here = ndimage.binary_closing(np.pad(number == k, 1), around)[1:-1, 1:-1]
        here &= (number == k) | ~np.isfinite(speed)
        here |= number == k
        areas, count = ndimage.label(here, around)
        sizes = np.bincount(areas.ravel(), minlength=count + 1)
        small = np.flatnonzero(sizes < LEAST_PIXELS)
        areas[np.isin(areas, small)] = 0
        kept = np.setdiff1d(np.arange(1, count + 1), small)
        if not kept.size:
            continue
        seen = np.where(np.isfinite(speed), areas, 0)
        told = {
            "velocity": ndimage.median(np.abs(speed), seen, kept),
            "velocity_error": ndimage.median(error, seen, kept),
            "pixels": sizes[kept],
            "coverage": np.bincount(seen.ravel(), minlength=count + 1)[kept] / sizes[kept],
        }
        parts: dict[int, list] = {}
        for outline, value in shapes(
            areas.astype(np.int32), mask=areas > 0, transform=grid.transform, connectivity=8
        ):
            parts.setdefault(int(value), []).append(shape(outline).buffer(0))
        for at, one in enumerate(kept):
            values = {name: column[at] for name, column in told.items()}
            rows.append({
                "VelClass": CLASSES[k], **values,
                "technique": technique_of(None if source is None else source[seen == one]),
                "reliability": reliability(k, values["velocity_error"], values["coverage"]),
                "geometry": unary_union(parts[int(one)]),
            })  # fmt: skip
    columns = ["VelClass", "velocity", "velocity_error", "pixels", "coverage", "technique",
               "reliability", "geometry"]  # fmt: skip
    out = geopandas.GeoDataFrame(rows, columns=columns, geometry="geometry", crs=grid.crs)
    out["area_km2"] = out.area / 1e6
    return out


def _median(values: np.ndarray) -> np.ndarray:
    """Median of what is known in a window around each pixel that is known itself."""
    reach = SMOOTH_PIXELS // 2
    padded = np.pad(values, reach, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (SMOOTH_PIXELS, SMOOTH_PIXELS))
    known = np.isfinite(values)
    out = np.full(values.shape, np.nan)
    out[known] = np.nanmedian(windows[known].reshape(-1, SMOOTH_PIXELS**2), axis=1)
    return out


def kinematic_attribute(speed: np.ndarray, error: np.ndarray, front: np.ndarray) -> str:
    """Kinematic attribute of an object from its observed pixels (pixel).

    ``speed``, ``error`` (m/yr); ``front`` (0..1): how near the front a pixel lies. The class that
    holds more than DOMINANT of the pixels tells; where two neighbouring ones do together, the one
    nearer the front; else nothing is told.
    """
    seen = np.isfinite(speed)
    if not seen.any():
        return UNDEFINED
    speed, error, front = speed[seen], error[seen], front[seen]
    number = np.where(moving(speed, error), velocity_class(speed), 0)
    share = np.bincount(number, minlength=len(CLASSES)) / number.size
    best = int(np.argmax(share))
    if share[best] >= DOMINANT:
        return _attribute(best, speed[number == best])
    pairs = share[:-1] + share[1:]
    low = int(np.argmax(pairs))
    if pairs[low] < DOMINANT:
        return UNDEFINED
    middle = [float(np.median(front[number == k])) if share[k] else -1.0 for k in (low, low + 1)]
    told = low + int(np.argmax(middle))
    return _attribute(told, speed[number == told])


def _attribute(number: int, speed: np.ndarray) -> str:
    if number == len(CLASSES) - 1 and float(np.median(np.abs(speed))) > FASTEST_M_YR:
        return KINEMATIC[-1]
    return KINEMATIC[number]
