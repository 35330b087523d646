"""Candidates of objects: ground beyond any of many probabilities, of which the best are kept.

A probability that is right for one object cuts a faint one to pieces, and lets a clear one spread.
So ground beyond each of many is a candidate, told by its traits: how likely it is, how it stands
out from what surrounds it, how large and how compact it is. Of candidates that share ground one is
kept, that of most worth (:mod:`rockglacier.fusion.objects`).

Source
------
Regions of all thresholds and choice among nested ones: Matas et al. (2004),
doi:10.1016/j.imavis.2004.02.006.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid
from rockglacier.inventory.outlines import HOLE_KM2, LEAST_KM2, smoothed_log_odds

LEVELS = np.arange(-4.5, 4.75, 0.5)  # log odds, of 1 to 99 %
MOST_KM2 = 5.0  # ASSUME: no rock glacier is larger; nor need its surroundings be looked at
RING_M = 80.0  # width of what surrounds a candidate, a pixel away from it
TRAITS = ("mean", "top", "contrast", "log_area", "solidity")


class Candidates(NamedTuple):
    """Ground of each candidate (numbers of pixels, row by row) and its TRAITS (candidate, trait).

    ``mean`` and ``top`` of its log odds; ``contrast``: how far the mean lies above that of what
    surrounds it; ``log_area``: of its km2; ``solidity``: share of its convex hull.
    """

    pixels: list[np.ndarray]
    traits: np.ndarray
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.pixels)


def candidates(
    probability: np.ndarray, grid: Grid, *, least_km2: float = LEAST_KM2, hole_km2: float = HOLE_KM2
) -> Candidates:
    """Candidates in a map of ``probability`` (y, x; NaN is none): of any of LEVELS, holes filled.

    ConfigurationError where the grid is in degrees.
    """
    if grid.geographic:
        raise ConfigurationError(
            f"outlines on a grid in degrees ({grid.crs}) have no area; give grid.crs in metres."
        )
    odds = smoothed_log_odds(probability, grid)
    pixels, traits = [], []
    for level in LEVELS:
        for own, told in _beyond(odds, float(level), grid, least_km2, hole_km2):
            pixels.append(own)
            traits.append(told)
    return Candidates(pixels, np.array(traits).reshape(-1, len(TRAITS)), grid.shape)


def _beyond(
    odds: np.ndarray, level: float, grid: Grid, least_km2: float, hole_km2: float
) -> Iterator[tuple[np.ndarray, list[float]]]:
    """Pixels and traits of each part of the ground whose log ``odds`` pass ``level``."""
    from scipy import ndimage
    from skimage.measure import label, regionprops
    from skimage.morphology import remove_small_holes

    pixel_km2 = grid.spacing_m[0] * grid.spacing_m[1] / 1e6
    around = np.ones((3, 3), bool)
    inside = ndimage.binary_closing(np.pad(odds >= level, 1), around)[1:-1, 1:-1]
    inside = ndimage.binary_opening(inside, around)
    if holes := int(hole_km2 / pixel_km2):
        inside = remove_small_holes(inside, max_size=holes)
    wide = 1 + max(1, round(RING_M / min(grid.spacing_m)))
    for part in regionprops(label(inside, connectivity=2)):
        if not least_km2 <= part.area * pixel_km2 <= MOST_KM2:
            continue
        window = tuple(slice(max(0, s.start - wide), s.stop + wide) for s in part.slice)
        own = np.zeros(odds[window].shape, bool)
        here = tuple(part.coords[:, k] - window[k].start for k in (0, 1))
        own[here] = True
        ring = ndimage.binary_dilation(own, iterations=wide) & ~ndimage.binary_dilation(own)
        values, beside = (one[np.isfinite(one)] for one in (odds[window][own], odds[window][ring]))
        contrast = values.mean() - beside.mean() if beside.size else 0.0
        traits = [float(values.mean()), float(values.max()), float(contrast),
                  float(np.log(part.area * pixel_km2)), float(part.solidity)]  # fmt: skip
        yield np.ravel_multi_index(part.coords.T, odds.shape), traits


def apart(found: Candidates, worth: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """Rows of candidates, those of most ``worth`` (candidate) first, no two of which share ground.

    ``among``: rows that may be chosen from; else all.
    """
    rows = np.arange(len(found)) if among is None else np.asarray(among)
    taken = np.zeros(found.shape[0] * found.shape[1], bool)
    kept = []
    for row in rows[np.argsort(-worth[rows], kind="stable")]:
        if not taken[found.pixels[row]].any():
            taken[found.pixels[row]] = True
            kept.append(row)
    return np.array(kept, dtype=int)


def numbered(found: Candidates, rows: np.ndarray) -> np.ndarray:
    """Number (y, x; from 1, 0: none) of the candidate of ``rows`` that each pixel is of."""
    number = np.zeros(found.shape[0] * found.shape[1], np.int32)
    for k, row in enumerate(rows, start=1):
        number[found.pixels[row]] = k
    return number.reshape(found.shape)
