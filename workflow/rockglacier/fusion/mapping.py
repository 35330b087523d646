"""From factors to maps: probability of each kind of ground, its doubt, and who told it.

Where no technique saw anything nothing is told; where some did, how many is told along.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import xarray as xr

from rockglacier.bands import cut
from rockglacier.conventions import KIND_NAMES, MAP, ROCK_GLACIERS, Kind, describe
from rockglacier.errors import SceneError
from rockglacier.factors import CLIMATE, OUTLINES, TERRAIN
from rockglacier.fusion.training import Fitted, Trained, rock_glacier

logger = logging.getLogger(__name__)

BAND = (0.05, 0.95)  # of models of resampled ground
NAMES = {kind: f"p_{kind.name.lower()}" for kind in Kind}
# Techniques that look at the ground; what is known of every place (relief, climate) is none.
EVERYWHERE = (TERRAIN, CLIMATE, OUTLINES)


def probabilities(
    factors: xr.Dataset, trained: Trained, *, fold: np.ndarray | None = None,
    of_folds: Sequence[Trained] = (),
) -> xr.Dataset:  # fmt: skip
    """Maps (y, x) of what ``trained`` tells of ``factors`` (y, x; in memory).

    ``probability`` of rock glaciers of any activity with its band ``probability_low`` and
    ``probability_high`` (5 to 95 % of models of resampled ground), ``p_<kind>`` of each kind,
    ``kind`` (:class:`Kind`; the likeliest, of those beside other ground where rock glaciers pass
    the threshold), ``valid_techniques``: how many saw the ground, and ``technique``: the number,
    in the model's order, of the one that speaks most for rock glaciers or against them.

    With ``fold`` (y, x) each place is told by the model ``of_folds`` of that number, which never
    saw it; without a band.

    Raises
    ------
    SceneError
        A factor of the model is not there.
    """
    missing = [n for t in (of_folds or [trained]) for n in t.factors if n not in factors]
    if missing:
        raise SceneError(
            f"the model needs {', '.join(dict.fromkeys(missing))}, which the region has not "
            f"(there: {', '.join(map(str, factors))}); add their sources, or train a model "
            "without them."
        )
    shape = tuple(factors.sizes[d] for d in MAP)
    maps = {name: np.full(shape, np.nan) for name in _descriptions()}
    if fold is None:
        _fill(maps, np.ones(shape, bool), factors, trained, trained.others)
    else:
        for number, own in enumerate(of_folds):
            _fill(maps, fold == number, factors, own, ())
    out = xr.Dataset(coords={d: factors[d] for d in MAP})
    for name, (long_name, units) in _descriptions().items():
        array = xr.DataArray(maps[name].astype(np.float32), dims=MAP)
        out[name] = describe(array, name, long_name, units)
    return out


def whole(
    factors: xr.Dataset, trained: Trained, *, rows: int, fold: np.ndarray | None = None,
    of_folds: Sequence[Trained] = (),
) -> xr.Dataset:  # fmt: skip
    """:func:`probabilities` of ``factors`` that may be lazy, ``rows`` at a time."""
    height = factors.sizes[MAP[0]]
    parts = []
    for band in cut(height, min(rows, height)):
        here = factors.isel({MAP[0]: band.inner}).load()
        part = None if fold is None else fold[band.inner]
        parts.append(probabilities(here, trained, fold=part, of_folds=of_folds))
        logger.info("rows %d to %d of %d", band.inner.start, band.inner.stop, height)
    joined: xr.Dataset = xr.concat(parts, dim=MAP[0], join="exact")
    return joined


def _descriptions() -> dict[str, tuple[str, str]]:
    low, high = (f"{100.0 * share:.0f} %" for share in BAND)
    kinds = ", ".join(f"{int(kind)} {name}" for kind, name in KIND_NAMES.items())
    return {
        "probability": ("probability of rock glaciers", "1"),
        "probability_low": (f"{low} of models of resampled ground", "1"),
        "probability_high": (f"{high} of models of resampled ground", "1"),
        **{NAMES[kind]: (f"probability of {KIND_NAMES[kind]}", "1") for kind in Kind},
        "kind": (f"kind of ground: {kinds}", "1"),
        "valid_techniques": ("techniques that saw the ground", "1"),
        "technique": ("technique that speaks most for rock glaciers or against, by number", "1"),
    }  # fmt: skip


def _fill(
    maps: dict[str, np.ndarray], here: np.ndarray, factors: xr.Dataset, trained: Trained,
    others: Sequence[Fitted],
) -> None:  # fmt: skip
    """Tell of the pixels ``here`` (y, x; bool)."""
    if not here.any():
        return
    X = np.stack([factors[n].transpose(*MAP).values[here] for n in trained.factors], axis=1)
    X = X.astype(np.float64)
    P = trained.probabilities(X)[0]
    saw = trained.model.saw(X)
    told = saw.any(axis=1)
    glacier = rock_glacier(P)
    maps["probability"][here] = np.where(told, glacier, np.nan)
    if others:
        many = rock_glacier(trained.probabilities(X, models=others))
        for name, values in zip(
            ("probability_low", "probability_high"), np.quantile(many, BAND, axis=0), strict=True
        ):
            maps[name][here] = np.where(told, values, np.nan)
    for kind in Kind:
        maps[NAMES[kind]][here] = np.where(told, P[:, kind], np.nan)
    maps["kind"][here] = np.where(told, kinds_of(P, trained.even), np.nan)
    names = list(trained.model.techniques_)
    looks = [k for k, name in enumerate(names) if name not in EVERYWHERE]
    maps["valid_techniques"][here] = saw[:, looks].sum(axis=1)
    speaks = trained.model.speaks(X, ROCK_GLACIERS)
    maps["technique"][here] = np.where(told, np.argmax(np.abs(speaks), axis=1), np.nan)


def kinds_of(P: np.ndarray, even: float) -> np.ndarray:
    """Kind (sample) of probabilities (sample, kind): rock glacier where that passes ``even``.

    Else the likeliest of the other kinds.
    """
    glacier = list(ROCK_GLACIERS)
    rest = [kind for kind in Kind if kind not in glacier]
    of_glacier = np.array(glacier)[np.argmax(P[:, glacier], axis=1)]
    of_rest = np.array(rest)[np.argmax(P[:, rest], axis=1)]
    return np.asarray(np.where(rock_glacier(P) >= even, of_glacier, of_rest))
