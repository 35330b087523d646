"""From all pairs of a set of images to one velocity: bias, each chip size, all sizes together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr

from rockglacier import bands, io, logs
from rockglacier.conventions import Y
from rockglacier.errors import SceneError
from rockglacier.offsets import inversion
from rockglacier.offsets.bias import MIN_STABLE, Bias, Model, estimate_bias
from rockglacier.offsets.inversion import Scale, Stack
from rockglacier.offsets.sizes import SIZE, combined, unresolved
from rockglacier.readers.stack import FlawedPair
from rockglacier.velocity import sample_bands

logger = logging.getLogger(__name__)

# ASSUME: deviations of velocities within which chips are of one motion. Those of many pairs agree
# by what all share; closer agreement costs less noise than it saves mixture.
AGREEMENT = 1.5


def biases_of(
    paths: Sequence[str | Path], stable: xr.DataArray, *, model: Model, heading_deg: float
) -> list[list[Bias | None] | FlawedPair]:
    """What ``stable`` ground (y, x) shows of each pair, by chip size; None where it is too little.

    A pair of which no size shows enough is flawed. ``heading_deg``: of the orbit on the map.
    """
    found: list[list[Bias | None] | FlawedPair] = []
    for path in logs.progress(paths, "bias of pair", len(paths)):
        field, why = io.open_dataset(path), ""
        told: list[Bias | None] = []
        for size in range(field.sizes[SIZE]):
            here = field.isel({SIZE: size})
            try:
                told.append(estimate_bias(here, stable, model=model, heading_deg=heading_deg))
            except SceneError as error:
                told.append(None)
                why = str(error)
        flaw = FlawedPair(
            str(path), "too little stable ground", found=why,
            needed="offsets on stable ground", remedy="enlarge stable_ground or the area",
        )  # fmt: skip
        found.append(told if any(told) else flaw)
    return found


@dataclass(frozen=True, eq=False)
class Told:
    """What chips of all sizes tell together, and what made it.

    ``velocity`` (y, x): bands of :func:`inversion.detected`, toward the map's axes; ``weight``
    (size, y, x) of each size that serves and ``scales``, by its number, are what
    :func:`inversion.displacement` takes.
    """

    velocity: xr.Dataset
    weight: xr.DataArray
    scales: dict[int, Scale]


def velocity_of(
    stack: Stack,
    stable: xr.DataArray,
    every: list[bands.Band],
    *,
    chips: np.ndarray,
    step: int,
    window: Literal["flat", "tapered"],
    norm: Literal["l2", "l1"],
    min_pairs: int,
) -> Told:
    """Velocity of all pairs of ``stack``, inverted band by band (``every``).

    ``chips``: sides (pixels) of the sizes in ``stack``; ``step``: pixels between places. A size
    that no pair's stable ground calibrates is left out, with a warning. Where ``stable`` is assumed
    (attribute ``assumption``), what turns out to move calibrates no errors.
    """
    sizes, scales = [], {}
    serving = [k for k in range(len(chips)) if any(told[k] for told in stack.biases)]
    for k in set(range(len(chips))) - set(serving):
        logger.warning(
            "chips of %d pixels are left out: no pair shows enough stable ground", chips[k]
        )
    for k in serving:
        sample = [stack.read(k, band.inner) for band in sample_bands(stable, margin=0)]
        sampled = xr.concat(sample, dim=Y, join="exact")
        scale = inversion.scale_of(sampled)
        variances = inversion.date_variances(
            inversion.invert(sampled, scale, norm=norm, min_pairs=min_pairs), sampled, scale,
            stable.sel(y=sampled["y"]),
        )  # fmt: skip

        def rates(
            band: bands.Band,
            k: int = k,
            scale: Scale = scale,
            variances: dict[str, xr.DataArray] = variances,
        ) -> xr.Dataset:
            """Velocity of a band by chips of one size."""
            read = stack.read(k, band.inner)
            series = inversion.invert(read, scale, norm=norm, min_pairs=min_pairs)
            return inversion.velocities(series, read, scale, variances)

        sizes.append(bands.work(rates, every, threads=1))
        error = float(sizes[-1]["east_error"].where(stable).median())
        logger.info("chips of %d pixels: %.3g m/yr on stable ground", chips[k], error)
        scales[k] = scale
    together = combined(
        xr.concat(sizes, dim=SIZE).assign_coords({SIZE: np.asarray(chips)[serving]}),
        ["correlation", "pair_count", "match_reason", "reason"],
        agreement=AGREEMENT,
    )
    flat = together.drop_dims(SIZE)
    if "assumption" in stable.attrs:
        rest = inversion.without_movers(flat, stable)
        moving = int(stable.sum()) - int(rest.sum())
        logger.info("%d of %d places assumed stable move or touch some", moving, int(stable.sum()))
        stable = rest
    if int(stable.sum()) < MIN_STABLE:
        logger.warning(
            "%d stable places are left, %d are needed: errors are as pairs state them",
            int(stable.sum()), MIN_STABLE,
        )  # fmt: skip
    resolved = unresolved(flat, stable, step=step, window=window)
    told = inversion.detected(
        inversion.calibrated(resolved, stable), inversion.calibrated(flat, stable)
    )
    return Told(told, together["weight"], scales)
