"""Which candidates are objects, learnt from held-out maps of ground whose objects are known.

What a candidate is worth is how alike it is to a true object (intersection over union), foretold
from its traits by ridge regression. A map is made by models that did not see its ground, else its
likely ground would look likelier than that of the regions to be mapped; folds are those of that
map. Hysteresis (:func:`outlines.labelled`) serves where no outlines are known, but points.

Source
------
Learning from held-out predictions of a first model: Wolpert (1992),
doi:10.1016/S0893-6080(05)80023-1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rockglacier.conventions import ROCK_GLACIERS
from rockglacier.fusion.labels import BACKGROUND, rasterised
from rockglacier.grid import Grid
from rockglacier.inventory.candidates import Candidates, apart, candidates, numbered
from rockglacier.inventory.outlines import HOLE_KM2, LEAST_KM2

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

SAME = 0.5  # intersection over union from which a candidate is the object
RIDGE = 1.0  # of standardised traits
LEAST_OBJECTS = 10  # ASSUME: fewer teach nothing of five traits


@dataclass(frozen=True)
class Judge:
    """Worth of candidates by their traits, of which those beyond 0 are objects."""

    middle: tuple[float, ...]
    spread: tuple[float, ...]
    weight: tuple[float, ...]
    base: float

    def worth(self, traits: np.ndarray) -> np.ndarray:
        """Foretold likeness to an object, less what an object needs (candidate)."""
        standard = (traits - np.array(self.middle)) / np.array(self.spread)
        return np.asarray(standard @ np.array(self.weight) + self.base)

    def labelled(
        self, probability: np.ndarray, grid: Grid, *, least_km2: float = LEAST_KM2,
        hole_km2: float = HOLE_KM2,
    ) -> np.ndarray:  # fmt: skip
        """Number (y, x; from 1, 0: none) of the object of each pixel of ``probability``."""
        found = candidates(probability, grid, least_km2=least_km2, hole_km2=hole_km2)
        return chosen(found, self.worth(found.traits))


class Known(NamedTuple):
    """Candidates of a held-out map, and the objects that they are like."""

    found: Candidates
    likeness: np.ndarray  # intersection over union with the object that it is most like (candidate)
    like: np.ndarray  # number of that object (candidate)
    fold: np.ndarray  # (candidate)
    fold_of_object: np.ndarray  # (object)


def chosen(found: Candidates, worth: np.ndarray) -> np.ndarray:
    """Number (y, x; from 1, 0: none) of the candidate worth more than 0 that each pixel is of."""
    return numbered(found, apart(found, worth, np.flatnonzero(worth > 0.0)))


def known(probability: np.ndarray, fold: np.ndarray, labels: GeoDataFrame, grid: Grid) -> Known:
    """Candidates of held-out ``probability`` (y, x) and what they are, from outlines ``labels``.

    ``fold`` (y, x): of the model that told a pixel; an object is of one fold.
    """
    outlined = ~labels["point"].to_numpy(bool)
    glacier = labels["kind"].isin([int(kind) for kind in ROCK_GLACIERS]).to_numpy() & outlined
    at, _ = rasterised(labels, grid)
    at = np.where(np.isin(at, np.flatnonzero(glacier)), at, BACKGROUND).ravel()
    rows, number = np.unique(at[at != BACKGROUND], return_inverse=True)
    size = np.bincount(number, minlength=rows.size)
    first = np.array([np.flatnonzero(at == row)[0] for row in rows], dtype=int)
    found = candidates(probability, grid)
    likeness, like = np.zeros(len(found)), np.zeros(len(found), int)
    of_fold = np.zeros(len(found), int)
    folds = fold.ravel()
    for k, pixels in enumerate(found.pixels):
        of_fold[k] = np.bincount(folds[pixels]).argmax()
        own = np.searchsorted(rows, at[pixels][at[pixels] != BACKGROUND])
        if own.size:
            shared = np.bincount(own, minlength=rows.size)
            alike = shared / (size + pixels.size - shared)
            like[k] = int(alike.argmax())
            likeness[k] = alike[like[k]]
    return Known(found, likeness, like, of_fold, folds[first])


def learn(parts: Sequence[Known], *, without: int | None = None) -> Judge | None:
    """What candidates of held-out maps of regions teach, those of fold ``without`` left out.

    None where fewer than LEAST_OBJECTS objects are known. An object needs what is worth most:
    that of highest F1 where each fold is judged by what the others teach.
    """
    taught = [np.flatnonzero(part.fold != without) for part in parts]
    wanted = sum(int((part.fold_of_object != without).sum()) for part in parts)
    traits = np.concatenate([p.found.traits[rows] for p, rows in zip(parts, taught, strict=True)])
    alike = np.concatenate([p.likeness[rows] for p, rows in zip(parts, taught, strict=True)])
    fold = np.concatenate([p.fold[rows] for p, rows in zip(parts, taught, strict=True)])
    if wanted < LEAST_OBJECTS or np.count_nonzero(alike >= SAME) < LEAST_OBJECTS:
        return None
    told = np.zeros(alike.size)
    for one in np.unique(fold):
        rest = fold != one if (fold != one).any() else fold == one
        told[fold == one] = _ridge(traits[rest], alike[rest]).worth(traits[fold == one])
    ends = np.cumsum([rows.size for rows in taught])[:-1]
    least = _least(parts, taught, np.split(told, ends), wanted)
    whole = _ridge(traits, alike)
    return Judge(whole.middle, whole.spread, whole.weight, whole.base - least)


def judged_by_others(part: Known) -> np.ndarray | None:
    """Worth of each candidate by what other folds teach; None where one has too few objects."""
    worth = np.zeros(len(part.found))
    for one in np.unique(part.fold):
        judge = learn([part], without=int(one))
        if judge is None:
            return None
        here = part.fold == one
        worth[here] = judge.worth(part.found.traits[here])
    return worth


def _ridge(traits: np.ndarray, alike: np.ndarray) -> Judge:
    from sklearn.linear_model import Ridge

    middle, spread = traits.mean(axis=0), np.fmax(traits.std(axis=0), 1e-9)
    fitted = Ridge(alpha=RIDGE).fit((traits - middle) / spread, alike)
    return Judge(tuple(middle.tolist()), tuple(spread.tolist()), tuple(fitted.coef_.tolist()),
                 float(fitted.intercept_))  # fmt: skip


def _least(
    parts: Sequence[Known], rows: Sequence[np.ndarray], worth: Sequence[np.ndarray], wanted: int
) -> float:
    """The worth (by ``rows`` of each part) from where on candidates make up the highest F1."""
    told: list[tuple[float, bool]] = []
    for part, own, value in zip(parts, rows, worth, strict=True):
        every = np.full(len(part.found), -np.inf)
        every[own] = value
        seen: set[int] = set()
        for row in apart(part.found, every, own):
            hit = bool(part.likeness[row] >= SAME) and int(part.like[row]) not in seen
            if hit:
                seen.add(int(part.like[row]))
            told.append((float(every[row]), hit))
    value, hits = (np.array(column) for column in zip(*sorted(told, reverse=True), strict=True))
    score = 2.0 * np.cumsum(hits) / (np.arange(1, hits.size + 1) + wanted)
    best = int(np.argmax(score))
    below = value[best + 1] if best + 1 < value.size else value[best] - 1e-6
    return float(0.5 * (value[best] + below))
