"""Outlines of objects from a map of probability, by two thresholds, and polygons of any objects.

Which ground is an object's is better learnt where outlines are known (:mod:`fusion.objects`).

Source
------
Hysteresis: Canny (1986), doi:10.1109/TPAMI.1986.4767851. Objects that touch are parted along the
valleys between their summits of probability: watershed by flooding, Vincent & Soille (1991),
doi:10.1109/34.87344.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid
from rockglacier.terrain import WIDTH_PER_SIGMA

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

SUMMIT = 0.15  # ASSUME: a summit stands so much above the saddle to the next, else both are one
SMOOTH_M = 60.0  # full width of the Gaussian that log odds are smoothed by
FLOOR = 1e-5  # of a probability
# ASSUME: RGIK's least area of a rock glacier, and holes that are none (km2).
LEAST_KM2, HOLE_KM2 = 0.01, 0.005


@dataclass(frozen=True)
class Shape:
    """How a map becomes outlines."""

    low: float  # probability that ground of an object has
    high: float  # that it has somewhere
    least_km2: float = LEAST_KM2
    hole_km2: float = HOLE_KM2


def labelled(probability: np.ndarray, grid: Grid, shape: Shape) -> np.ndarray:
    """Number (y, x; from 1, 0: none) of the object of each pixel; NaN is none.

    Ground of ``shape.low`` or more that touches some of ``shape.high``; ragged edges smoothed,
    holes filled, and parted between summits.

    Raises
    ------
    ConfigurationError
        The grid is in degrees, or the probabilities are not in order.
    """
    from scipy import ndimage
    from skimage.morphology import local_maxima, reconstruction, remove_small_holes
    from skimage.segmentation import watershed

    if grid.geographic:
        raise ConfigurationError(
            f"outlines on a grid in degrees ({grid.crs}) have no area; give grid.crs in metres."
        )
    if not 0.0 < shape.low <= shape.high <= 1.0:
        raise ConfigurationError(
            f"probabilities {shape.low:g} (edge) and {shape.high:g} (core) are not in order."
        )
    P = _smoothed(probability, grid)
    pixel_km2 = grid.spacing_m[0] * grid.spacing_m[1] / 1e6
    around = np.ones((3, 3), bool)
    inside = ndimage.binary_closing(np.pad(shape.low <= P, 1), around)[1:-1, 1:-1]
    inside = ndimage.binary_opening(inside, around)
    holes = int(shape.hole_km2 / pixel_km2)
    if holes:
        inside = remove_small_holes(inside, max_size=holes)
    number, count = ndimage.label(inside, around)
    if not count:
        return np.zeros(P.shape, np.int32)
    top = ndimage.maximum(P, number, np.arange(1, count + 1))
    inside &= np.isin(number, 1 + np.flatnonzero(top >= shape.high))
    height = np.where(inside, P, 0.0)
    # Summits that a flood SUMMIT below them does not join to a higher one.
    flooded = reconstruction(np.maximum(height - SUMMIT, 0.0), height)
    summits, _ = ndimage.label(local_maxima(flooded, allow_borders=True) & inside, around)
    number = watershed(-height, summits, mask=inside)
    area = np.bincount(number.ravel())
    kept = np.flatnonzero(area * pixel_km2 >= shape.least_km2)
    kept = kept[kept > 0]
    new = np.zeros(area.size, np.int32)
    new[kept] = np.arange(1, kept.size + 1)
    return np.asarray(new[number])


def smoothed_log_odds(probability: np.ndarray, grid: Grid) -> np.ndarray:
    """Log odds of ``probability`` averaged over neighbours that are known; -inf where NaN."""
    from scipy.ndimage import gaussian_filter

    known = np.isfinite(probability)
    odds = np.clip(np.where(known, probability, 0.5), FLOOR, 1.0 - FLOOR)
    sigma = SMOOTH_M / WIDTH_PER_SIGMA / np.array(grid.spacing_m)
    total = gaussian_filter(np.where(known, np.log(odds / (1.0 - odds)), 0.0), sigma)
    share = gaussian_filter(known.astype(float), sigma)
    return np.where(known, total / np.fmax(share, FLOOR), -np.inf)


def _smoothed(probability: np.ndarray, grid: Grid) -> np.ndarray:
    """``probability`` of smoothed log odds; 0 where NaN."""
    return np.asarray(1.0 / (1.0 + np.exp(-smoothed_log_odds(probability, grid))))


def outlines(number: np.ndarray, grid: Grid) -> GeoDataFrame:
    """Polygon of each object of :func:`labelled`, in its order; column ``number``.

    Corners of pixels are cut within half a pixel; polygons are valid.
    """
    import geopandas
    from rasterio.features import shapes
    from shapely.geometry import shape
    from shapely.ops import unary_union

    parts: dict[int, list] = {}
    for outline, value in shapes(
        number.astype(np.int32), mask=number > 0, transform=grid.transform, connectivity=8
    ):
        parts.setdefault(int(value), []).append(shape(outline).buffer(0))
    half = 0.5 * max(grid.spacing_m)
    found = []
    for key in sorted(parts):
        whole = unary_union(parts[key])
        smooth = whole.simplify(half).buffer(half, join_style="round").buffer(-2.0 * half)
        smooth = smooth.buffer(half).simplify(0.1 * half)
        found.append(smooth.buffer(0) if not smooth.is_empty else whole)
    return geopandas.GeoDataFrame({"number": sorted(parts)}, geometry=found, crs=grid.crs)
