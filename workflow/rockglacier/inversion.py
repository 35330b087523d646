"""From a network of interferograms to a displacement time series, pixel by pixel.

Model: ``phase_k = -(4 pi / wavelength) (d(secondary_k) - d(reference_k)) + noise``, solved by
weighted least squares with each pixel's own pairs. Where a pixel's pairs fall into disconnected
subsets, the solution of minimum-norm velocity links them (Berardino et al. 2002,
doi 10.1109/TGRS.2002.803792) and the pixel is flagged.
"""

from __future__ import annotations

from typing import Literal

import numba
import numpy as np
import xarray as xr

from rockglacier.conventions import (
    DATE,
    PAIR,
    UNRESOLVED,
    YEAR_DAYS,
    Reason,
    describe,
    metres_per_radian,
    require,
)
from rockglacier.errors import DimensionError, NetworkError
from rockglacier.normal_equations import (
    TILE,
    Plan,
    add_edge,
    count_subsets,
    factor,
    number_subsets,
    plan,
    solve,
)
from rockglacier.phase_noise import MAXIMUM_PRODUCT, TABLE_SIZE, weight_table

# Weight of the minimum-norm link between consecutive dates, relative to the pixel's mean weight:
# the limit of zero gives the minimum-norm velocity; this bends a full-rank solution by 1e-8.
LINK = 1e-9
ROBUST_ITERATIONS = 15
ROBUST_FLOOR_RAD = 0.02  # residuals below it count as this small (L1 by reweighting)


class Network:
    """The pairs of a stack as graph: dates and the position of each pair's ends among them.

    ``dates`` datetime64, ascending; ``first``, ``second`` int arrays of shape (pair,);
    ``plan`` orders the elimination over pairs and the links between consecutive dates.
    """

    def __init__(self, reference: np.ndarray, secondary: np.ndarray) -> None:
        ends = np.stack([np.asarray(reference), np.asarray(secondary)])
        if ends.size == 0:
            raise NetworkError("A network of no pairs was given; at least one pair is needed.")
        self.dates, index = np.unique(ends, return_inverse=True)
        self.first, self.second = index.reshape(ends.shape).astype(np.int64)
        if np.any(self.first == self.second):
            raise NetworkError("A pair has the same date twice; remove it from the stack.")
        steps = np.arange(self.dates.size - 1)
        self.plan = plan(
            np.concatenate([self.first, steps]),
            np.concatenate([self.second, steps + 1]),
            self.dates.size,
        )

    @property
    def link_weights(self) -> np.ndarray:
        """Relative weight of each link between consecutive dates, proportional to 1 / step^2."""
        step = np.diff(self.dates) / np.timedelta64(1, "D") / YEAR_DAYS
        return np.asarray(LINK * (np.mean(step) / step) ** 2, dtype=np.float64)


@numba.njit(nogil=True, cache=True, fastmath={"contract", "nsz", "arcp", "reassoc"})
def _invert(
    phase: np.ndarray,
    product: np.ndarray,
    cycles: np.ndarray,
    reference_phase: np.ndarray,
    table: np.ndarray,
    plan: Plan,
    first: np.ndarray,
    second: np.ndarray,
    links: np.ndarray,
    robust: bool,
    min_pairs: int,
    scale: float,
    displacement: np.ndarray,
    subset: np.ndarray,
    quality: np.ndarray,
) -> None:
    """Invert (pair, pixel): ``displacement``, ``subset`` (date, pixel), ``quality`` (6, pixel)."""
    pairs, pixels = phase.shape
    dates = plan.position.size
    weight = np.empty((pairs, TILE), np.float32)
    robust_weight = np.empty(TILE, np.float64)
    observed = np.empty((pairs, TILE), np.float32)
    diagonal = np.empty((dates, TILE), np.float64)
    off = np.empty((plan.row.size, TILE), np.float64)
    x = np.zeros((dates, TILE), np.float64)
    rhs = np.empty((dates, TILE), np.float64)  # apart from x, which residuals still need
    edge = np.empty(TILE, np.float64)
    mean = np.empty(TILE, np.float64)
    count = np.empty(TILE, np.int64)
    cosine = np.empty(TILE, np.float64)
    sine = np.empty(TILE, np.float64)
    squares = np.empty(TILE, np.float64)
    misfit = np.empty(TILE, np.float64)
    degree = np.empty((dates, TILE), np.int32)
    valid = np.empty(pairs, np.float32)
    parent = np.empty(dates, np.int64)
    every = np.ones(pairs, np.float32)
    whole = count_subsets(first, second, dates, every, parent)
    name = np.empty(dates, np.int64)
    number = np.empty(dates, np.int64)
    whole_number = np.empty(dates, np.int64)
    number_subsets(parent, name, whole_number)
    top = np.float32(MAXIMUM_PRODUCT)
    has_product = product.shape[0] > 0
    has_cycles = cycles.shape[0] > 0
    start = plan.position[0]
    two_pi = 2.0 * np.pi
    for p0 in range(0, pixels, TILE):
        n = min(TILE, pixels - p0)
        count[:] = 0
        mean[:] = 0.0
        degree[:] = 0
        for k in range(pairs):
            a, b = first[k], second[k]
            for p in range(n):
                value = phase[k, p0 + p] - reference_phase[k]
                good = value == value and not (has_cycles and cycles[k, p0 + p] == UNRESOLVED)
                q = product[k, p0 + p] if has_product else np.float32(0.0)
                q = min(max(q, np.float32(0.0)), top) if good else np.float32(0.0)
                w = table[int(q * np.float32(TABLE_SIZE - 1) + np.float32(0.5))]
                weight[k, p] = w if good else np.float32(0.0)
                observed[k, p] = value if good else np.float32(0.0)
            if has_cycles:
                for p in range(n):
                    if weight[k, p] > 0.0:
                        observed[k, p] += np.float32(two_pi * cycles[k, p0 + p])
            for p in range(n, TILE):
                weight[k, p] = 0.0
                observed[k, p] = 0.0
            for p in range(TILE):
                g = 1 if weight[k, p] > 0.0 else 0
                count[p] += g
                degree[a, p] += g
                degree[b, p] += g
                mean[p] += weight[k, p]
        for p in range(TILE):
            mean[p] = mean[p] / count[p] if count[p] > 0 else 1.0
        iterations = ROBUST_ITERATIONS if robust else 1
        for iteration in range(iterations):
            diagonal[:] = 0.0
            off[:] = 0.0
            for p in range(TILE):
                diagonal[start, p] = mean[p]  # fixes the first date at zero
            solution_known = iteration > 0
            rhs[:] = 0.0
            for k in range(pairs):
                i, j = plan.first[k], plan.second[k]
                for p in range(TILE):
                    w = float(weight[k, p])
                    if solution_known:
                        r = abs(observed[k, p] - (x[j, p] - x[i, p]))
                        w = w / max(r, ROBUST_FLOOR_RAD)
                    robust_weight[p] = w
                add_edge(plan, k, robust_weight, diagonal, off)
                for p in range(TILE):
                    moment = robust_weight[p] * observed[k, p]
                    rhs[j, p] += moment
                    rhs[i, p] -= moment
            for d in range(dates - 1):
                for p in range(TILE):
                    edge[p] = links[d] * mean[p]
                add_edge(plan, pairs + d, edge, diagonal, off)
            factor(plan, diagonal, off)
            solve(plan, diagonal, off, rhs)
            x[:] = rhs
        cosine[:] = 0.0
        sine[:] = 0.0
        squares[:] = 0.0
        misfit[:] = 0.0
        for k in range(pairs):
            i, j = plan.first[k], plan.second[k]
            for p in range(n):
                r = np.float32(observed[k, p] - (x[j, p] - x[i, p]))
                if weight[k, p] > 0.0:
                    cosine[p] += np.cos(r)
                    sine[p] += np.sin(r)
                    squares[p] += r * r
                    misfit[p] += weight[k, p] * r * r
        for p in range(n):
            pixel = p0 + p
            subsets = 0
            reason = 0
            if count[p] == 0:
                reason = 1
            elif count[p] < min_pairs:
                reason = 2
            elif count[p] == pairs:
                subsets = whole
                number[:] = whole_number
            else:
                for k in range(pairs):
                    valid[k] = weight[k, p]
                subsets = count_subsets(first, second, dates, valid, parent)
                number_subsets(parent, name, number)
            if subsets > 1:
                reason = 3
            solved = count[p] >= max(min_pairs, 1)
            redundancy = count[p] + subsets
            for d in range(dates):
                redundancy -= 1 if degree[d, p] > 0 else 0
                displacement[d, pixel] = (
                    scale * x[plan.position[d], p] if solved and degree[d, p] > 0 else np.nan
                )
                subset[d, pixel] = number[d] if solved else 0
            c = max(count[p], 1)
            length = np.sqrt(cosine[p] ** 2 + sine[p] ** 2) / c
            quality[0, pixel] = length if solved else np.nan
            quality[1, pixel] = np.sqrt(squares[p] / c) if solved else np.nan
            quality[2, pixel] = misfit[p] / redundancy if solved and redundancy > 0 else np.nan
            quality[3, pixel] = count[p]
            quality[4, pixel] = subsets
            quality[5, pixel] = reason


QUALITY = {
    "temporal_coherence": ("temporal coherence of the inversion", "1"),
    "residual_rms": ("root mean square of the pairs' residual phase", "rad"),
    "variance_factor": ("variance of residuals over the variance that coherence predicts", "1"),
    "pair_count": ("valid pairs", "1"),
    "subset_count": ("connected subsets of valid pairs; above 1 linked by minimum norm", "1"),
    "reason": ("reason code, see conventions.Reason", "1"),
}


def invert(
    phase: xr.DataArray,
    product: xr.DataArray | None = None,
    *,
    wavelength_m: float,
    looks: float | None = None,
    weights: np.ndarray | None = None,
    reference_phase: xr.DataArray | None = None,
    cycles: xr.DataArray | None = None,
    norm: Literal["l2", "l1"] = "l2",
    min_pairs: int = 3,
) -> xr.Dataset:
    """Displacement time series of every pixel from its own pairs, by weighted least squares.

    Parameters
    ----------
    phase
        (pair, y, x), rad, unwrapped; coordinates ``reference`` and ``secondary`` on ``pair``.
        NaN is missing.
    product
        (pair, y, x) from :func:`rockglacier.phase_noise.coherence_product`. With ``looks``
        (effective independent looks), a pair weighs the inverse of its phase variance
        (:func:`rockglacier.phase_noise.phase_variance`). Without either, all pairs weigh the same.
    weights
        In place of ``looks``: weights over the product, as of
        :func:`rockglacier.phase_noise.weight_table`.
    reference_phase
        (pair,), rad, subtracted from every pixel.
    cycles
        (pair, y, x), whole cycles (2 pi) to add; UNRESOLVED samples are not used.
    norm
        "l1" minimises the sum of absolute residuals, by iterative reweighting.
    min_pairs
        Pixels with fewer valid pairs are NaN.

    Returns
    -------
    Dataset of ``displacement`` (date, y, x; m, positive toward the satellite, zero at the first
    date of the pixel, NaN at dates that none of its pairs observes), ``subset`` (date, y, x; int16:
    which connected subset of the pixel's pairs a date belongs to, numbered from 1 by their first
    dates, 0 where displacement is NaN; motion between subsets is unknown), ``temporal_coherence``
    (Pepe & Lanari 2006, doi 10.1109/TGRS.2006.873207), ``residual_rms`` (rad),
    ``variance_factor`` (weighted squared residuals per degree of freedom: 1 where coherence and
    looks tell the noise), ``pair_count``, ``subset_count`` and ``reason``.

    Raises
    ------
    DimensionError, UnitsError
        ``phase`` lacks its dimension or is not in rad; partners have another shape.
    NetworkError
        There are no pairs, or one has the same date twice.
    """
    require(phase, dims=(PAIR,), units="rad")
    for partner in (product, cycles):
        if partner is not None and partner.sizes != phase.sizes:
            raise DimensionError(
                f"{partner.name} has sizes {dict(partner.sizes)} but the phase has "
                f"{dict(phase.sizes)}; both must come from one stack."
            )
    network = Network(phase["reference"].values, phase["secondary"].values)
    pairs, dates = phase.sizes[PAIR], network.dates.size
    offset = np.zeros(pairs) if reference_phase is None else reference_phase.values
    weighted = product is not None and (looks is not None or weights is not None)
    table = weight_table(looks if weighted else None) if weights is None else weights
    scale = metres_per_radian(wavelength_m)

    def block(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        layers = [np.moveaxis(a, -1, 0) for a in arrays]
        shape = layers[0].shape[1:]
        flat = [np.ascontiguousarray(a).reshape(pairs, -1) for a in layers]
        values = flat.pop(0).astype(np.float32, copy=False)
        absent = np.empty((0, values.shape[1]), np.float32)
        worth = flat.pop(0).astype(np.float32, copy=False) if weighted else absent
        whole = flat.pop(0) if cycles is not None else absent.astype(np.int8)
        out = np.empty((dates, values.shape[1]), np.float32)
        subset = np.empty((dates, values.shape[1]), np.int16)
        quality = np.empty((len(QUALITY), values.shape[1]), np.float32)
        _invert(
            values, worth, whole, offset.astype(np.float32), table, network.plan,
            network.first, network.second, network.link_weights,
            norm == "l1", min_pairs, scale, out, subset, quality,
        )  # fmt: skip
        return (
            np.moveaxis(out.reshape(dates, *shape), 0, -1),
            np.moveaxis(subset.reshape(dates, *shape), 0, -1),
            *(q.reshape(shape) for q in quality),
        )

    inputs = [phase, *([product] if weighted else []), *([] if cycles is None else [cycles])]
    results = xr.apply_ufunc(
        block,
        *inputs,
        input_core_dims=[[PAIR]] * len(inputs),
        output_core_dims=[[DATE], [DATE], *([[]] * len(QUALITY))],
        dask="parallelized",
        output_dtypes=[np.float32, np.int16, *([np.float32] * len(QUALITY))],
        dask_gufunc_kwargs={"output_sizes": {DATE: dates}},
        keep_attrs=False,
    )
    displacement = results[0].transpose(DATE, ...).assign_coords({DATE: network.dates})
    displacement = describe(
        displacement, "displacement", "displacement toward the satellite since the first date", "m"
    )
    subset = results[1].transpose(DATE, ...).assign_coords({DATE: network.dates})
    subset = describe(subset, "subset", "connected subset of the pixel's pairs, 0 for none", "1")
    named = zip(QUALITY.items(), results[2:], strict=True)
    maps = {name: describe(array, name, *text) for (name, text), array in named}
    return xr.Dataset({"displacement": displacement, "subset": subset, **maps}).assign_attrs(
        wavelength_m=wavelength_m
    )


def solved(reason: xr.DataArray) -> xr.DataArray:
    """True where the inversion has a solution, minimum-norm links included."""
    return (reason == Reason.OBSERVED) | (reason == Reason.SUBSETS)
