"""Folds that a model is judged on: whole blocks of ground, and what lies far enough from them.

Neighbouring pixels are alike, so that a model that has seen one knows the next. Blocks are at least
as long as residuals remember, an object lies in one fold as a whole, and training keeps a distance
from what is judged.

Source
------
Roberts et al. (2017), doi:10.1111/ecog.02881; Valavi et al. (2019), doi:10.1111/2041-210X.13107.
Variogram: Cressie & Hawkins (1980), doi:10.1007/BF01035243 (robust), Cressie (1985),
doi:10.1007/BF01032109 (weights).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rockglacier.errors import RockGlacierError

LAGS = 15  # of the variogram
MOST_SAMPLES = 4000  # whose couples are looked at
LEAST_MEMORY = 0.15  # ASSUME: share of the sill below which what is alike is chance
LEAST_COUPLES = 30  # of a lag that counts


class Variogram(NamedTuple):
    """Half the mean squared difference over distance, and the exponential model that fits it."""

    distance_m: np.ndarray
    semivariance: np.ndarray
    couples: np.ndarray
    nugget: float
    sill: float
    range_m: float  # at which 95 % of the sill are reached; 0 where nothing is remembered
    capped: bool  # the range is the reach, as the sill was not reached within it


def variogram(
    values: np.ndarray, x: np.ndarray, y: np.ndarray, *, reach_m: float, seed: int = 0
) -> Variogram:
    """Variogram of ``values`` (sample) at ``x``, ``y`` (m) up to ``reach_m``.

    RockGlacierError where fewer than three lags have LEAST_COUPLES couples.
    """
    from scipy.optimize import least_squares
    from scipy.spatial import KDTree

    rng = np.random.default_rng(seed)
    known = np.flatnonzero(np.isfinite(values))
    if known.size > MOST_SAMPLES:
        known = rng.choice(known, MOST_SAMPLES, replace=False)
    place = np.column_stack([x[known], y[known]])
    couples = KDTree(place).query_pairs(reach_m, output_type="ndarray")
    apart = np.hypot(*(place[couples[:, 0]] - place[couples[:, 1]]).T)
    root = np.sqrt(np.abs(values[known[couples[:, 0]]] - values[known[couples[:, 1]]]))
    lag = np.minimum((apart / reach_m * LAGS).astype(int), LAGS - 1)
    count = np.bincount(lag, minlength=LAGS)
    good = count >= LEAST_COUPLES
    if good.sum() < 3:
        raise RockGlacierError(
            f"{known.size} samples have too few neighbours within {reach_m:g} m to tell how far "
            "they are alike; give more samples, or a longer reach."
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(lag, root, LAGS) / count
        # Cressie and Hawkins: fourth power of the mean root, freed of its bias.
        half = 0.5 * mean**4 / (0.457 + 0.494 / count)
        distance = np.bincount(lag, apart, LAGS) / count
    distance, half, count = distance[good], half[good], count[good]

    def model(parameters: np.ndarray) -> np.ndarray:
        nugget, part, length = np.exp(parameters)
        return np.asarray(nugget + part * (1.0 - np.exp(-3.0 * distance / length)))

    def misfit(parameters: np.ndarray) -> np.ndarray:
        told = model(parameters)
        return np.asarray(np.sqrt(count) * (half - told) / told)

    top = float(half.max())
    tried = [
        least_squares(misfit, np.log([0.1 * top + 1e-12, top + 1e-12, far]))
        for far in (0.2 * reach_m, 0.6 * reach_m)
    ]
    nugget, part, length = np.exp(min(tried, key=lambda found: found.cost).x)
    remembers = part > LEAST_MEMORY * (nugget + part)
    reach = float(min(length, reach_m)) if remembers else 0.0
    capped = bool(remembers and length > reach_m)
    return Variogram(distance, half, count, float(nugget), float(nugget + part), reach, capped)


class SpatialFolds:
    """Folds of samples by blocks of ground; a splitter as scikit-learn's cross-validation takes it.

    Parameters
    ----------
    x, y
        Places of all samples (m).
    objects
        Number of the object that each sample is of, below 0 for none: an object is of one fold.
    block_m
        Side of a block.
    buffer_m
        Samples nearer to a judged one than this do not train for it.
    folds
        Number of folds; fewer where there are fewer blocks.
    seed
        Of the order in which blocks are dealt.
    """

    def __init__(
        self,
        x: np.ndarray,
        y: np.ndarray,
        objects: np.ndarray,
        *,
        block_m: float,
        buffer_m: float,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.x, self.y, self.objects = np.asarray(x), np.asarray(y), np.asarray(objects)
        self.block_m, self.buffer_m = block_m, buffer_m
        self.folds, self.seed = folds, seed

    def _middles(self) -> tuple[np.ndarray, np.ndarray]:
        """Places of samples; those of an object are its middle."""
        x, y = self.x.astype(float).copy(), self.y.astype(float).copy()
        for one in np.unique(self.objects[self.objects >= 0]):
            here = self.objects == one
            x[here], y[here] = x[here].mean(), y[here].mean()
        return x, y

    def _corners(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.stack([np.floor(x / self.block_m), np.floor(y / self.block_m)], axis=-1)

    def blocks(self) -> np.ndarray:
        """Number of each sample's block, from 0; that of an object's middle for all of it."""
        _, number = np.unique(self._corners(*self._middles()), axis=0, return_inverse=True)
        return np.asarray(number).ravel()

    def assigned(self, kinds: np.ndarray) -> np.ndarray:
        """Fold (from 0) of each sample: blocks are dealt so that folds hold alike many of a kind.

        The rarest kinds are dealt first.
        """
        block = self.blocks()
        names, kind = np.unique(kinds, return_inverse=True)
        count = np.zeros((int(block.max()) + 1, names.size))
        np.add.at(count, (block, kind), 1.0)
        share = count / count.sum(axis=0)
        order = np.random.default_rng(self.seed).permutation(len(share))
        order = order[np.argsort(-share[order].max(axis=1), kind="stable")]
        number = min(self.folds, len(share))
        held = np.zeros((number, names.size))
        fold = np.empty(len(share), int)
        for one in order:
            # The fold that becomes most even by it.
            worth = ((held + share[one]) ** 2).sum(axis=1) - (held**2).sum(axis=1)
            fold[one] = int(np.argmin(worth))
            held[fold[one]] += share[one]
        return np.asarray(fold[block])

    def of_places(self, x: np.ndarray, y: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """Fold of any places (m): that of their block, or of the nearest that holds samples."""
        from scipy.spatial import KDTree

        middles = self._corners(*self._middles())
        there = self._corners(np.asarray(x, float), np.asarray(y, float))
        _, nearest = KDTree(middles).query(there)
        return np.asarray(self.assigned(kinds)[nearest])

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Number of folds."""
        return min(self.folds, int(self.blocks().max()) + 1)

    def split(
        self, X: object, y: np.ndarray, groups: object = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Indices of samples to train on, and to judge, of each fold."""
        from scipy.spatial import KDTree

        fold = self.assigned(np.asarray(y))
        place = np.column_stack([self.x, self.y])
        for one in np.unique(fold):
            judged = np.flatnonzero(fold == one)
            others = np.flatnonzero(fold != one)
            if self.buffer_m > 0.0 and others.size:
                near, _ = KDTree(place[judged]).query(
                    place[others], distance_upper_bound=self.buffer_m
                )
                others = others[~np.isfinite(near)]
            yield others, judged
