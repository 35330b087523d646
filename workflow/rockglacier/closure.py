"""Unwrapping errors: closures that show them, and the whole cycles that repair them.

Motion and atmosphere belong to dates, so they cancel around every closed cycle of pairs. What
remains is noise, and 2 pi times the sum of the cycle's unwrapping errors.

The repair looks, at every pixel, for the whole cycles ``k`` per pair that minimise

    sum_j w_j (phase_j + 2 pi k_j - (A d)_j)^2 + sparsity sum_j |k_j|
        + smoothness sum_j sum_q |k_j - k_j(q)|

over ``k`` and the dates' phases ``d``: all cycles of the network take part, long ones too, each
with its noise. ``q`` runs over the eight neighbours (of the same connected component, where
components are known). A first pass does without neighbours; sweeps with them follow, which fill
weakly observed parts of an error and take back what noise alone had suggested. One step changes
one pair by one cycle; the network is eliminated once per pixel, tiles of pixels at a time.

Sources: errors are sparse and integer, Yunjun et al. 2019 (doi 10.1016/j.cageo.2019.104331);
smoothness between neighbours, Besag 1986 (doi 10.1111/j.2517-6161.1986.tb01412.x); entries of the
inverse, Takahashi et al. 1973.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import xarray as xr

from rockglacier import network
from rockglacier.conventions import MAP, PAIR, describe, require
from rockglacier.errors import DimensionError
from rockglacier.normal_equations import TILE, Plan, add_edge, factor, plan, solve
from rockglacier.phase_noise import TABLE_SIZE, weight_table

TRIPLET = "triplet"
MISSING = -128  # in the field of cycles: no sample, hence no vote

# ASSUME: beside decorrelation every pair carries 0.3 rad (soil moisture, interpolation, filtering)
# that closes in no cycle; coherence alone would make a bright pixel's noise vanish.
EXTRA_VARIANCE = 0.09
# ASSUME: without neighbours an error is believed at odds of 1000 : 1 against noise (2 ln 1000).
FIRST_SPARSITY = 14.0
# ASSUME: with neighbours, one that agrees weighs 3; a sample needs three such to outweigh sparsity.
SPARSITY = 8.0
SMOOTHNESS = 3.0
SWEEPS = 4  # rows and columns that a block needs beyond its edges
# ASSUME: where coherence is unknown, noise is half a radian.
UNKNOWN_VARIANCE = 0.25
# ASSUME: of two pairs the longer holds the error; a fit that trusts pairs by the inverse fourth
# power of their span follows the shortest ones.
TRUST_POWER = 4
MISFIT = 1.5  # weighted squares per degree of freedom above which a second start is worth trying
RIDGE = 1e-9  # keeps dates without pairs and disconnected subsets solvable; cancels in differences
STEPS = 500  # far above what any pixel takes: a bound, not a setting

FASTMATH = {"contract", "nsz", "arcp"}


@numba.njit(nogil=True, cache=True, fastmath=FASTMATH)
def _count_closures(
    phase: np.ndarray,
    cycles: np.ndarray,
    triplets: np.ndarray,
    offset: np.ndarray,
    over: np.ndarray,
    complete: np.ndarray,
    per_triplet: np.ndarray,
) -> None:
    """Closures of (pair, pixel) beyond pi and all closures, per pixel and (n, 2) per triplet."""
    half = np.float32(np.pi)
    two_pi = np.float32(2.0 * np.pi)
    over[:] = 0
    complete[:] = 0
    per_triplet[:] = 0
    for start in range(0, phase.shape[1], 1024):  # a tile's pairs stay in the cache
        stop = min(start + 1024, phase.shape[1])
        for t in range(triplets.shape[0]):
            a, b, c = triplets[t, 0], triplets[t, 1], triplets[t, 2]
            shift = np.float32(offset[t])
            many = 0
            seen = 0
            for p in range(start, stop):
                closure = phase[a, p] + phase[b, p] - phase[c, p] - shift
                closure += two_pi * np.float32(cycles[a, p] + cycles[b, p] - cycles[c, p])
                valid = 1 if closure == closure else 0
                beyond = 1 if abs(closure) > half else 0
                complete[p] += valid
                over[p] += beyond
                seen += valid
                many += beyond
            per_triplet[t, 0] += many
            per_triplet[t, 1] += seen


@numba.njit(nogil=True, cache=True, fastmath=FASTMATH)
def _invert_entries(
    plan: Plan,
    diagonal: np.ndarray,
    off: np.ndarray,
    inverse_diagonal: np.ndarray,
    inverse_off: np.ndarray,
) -> None:
    """Entries of the inverse of a factored matrix, where the factor has entries."""
    for j in range(diagonal.shape[0] - 1, -1, -1):
        begin, end = plan.column[j], plan.column[j + 1]
        inverse_off[begin:end] = 0.0
        for u in range(plan.update[j], plan.update[j + 1]):
            t, a, b = plan.target[u], plan.left[u], plan.right[u]
            for p in range(TILE):
                if t < 0:
                    inverse_off[a, p] -= off[a, p] * inverse_diagonal[~t, p]
                else:
                    inverse_off[a, p] -= off[b, p] * inverse_off[t, p]
                    inverse_off[b, p] -= off[a, p] * inverse_off[t, p]
        for p in range(TILE):
            inverse_diagonal[j, p] = diagonal[j, p]
        for e in range(begin, end):
            for p in range(TILE):
                inverse_diagonal[j, p] -= off[e, p] * inverse_off[e, p]


@numba.njit(nogil=True, cache=True, fastmath=FASTMATH)
def _eliminate(plan: Plan, weight: np.ndarray, diagonal: np.ndarray, off: np.ndarray) -> None:
    """Factor the normal equations of ``weight`` (pair, tile)."""
    edge = np.empty(TILE, np.float64)
    diagonal[:] = RIDGE
    off[:] = 0.0
    for k in range(weight.shape[0]):
        for p in range(TILE):
            edge[p] = weight[k, p]
        add_edge(plan, k, edge, diagonal, off)
    factor(plan, diagonal, off)


@numba.njit(nogil=True, cache=True, fastmath=FASTMATH)
def _fit(
    plan: Plan,
    value: np.ndarray,
    cycles: np.ndarray,
    weight: np.ndarray,
    diagonal: np.ndarray,
    off: np.ndarray,
    x: np.ndarray,
) -> None:
    """Dates' phases ``x`` that fit ``value + 2 pi cycles``."""
    two_pi = np.float32(2.0 * np.pi)
    x[:] = 0.0
    for k in range(value.shape[0]):
        i, j = plan.first[k], plan.second[k]
        for p in range(TILE):
            moment = weight[k, p] * (value[k, p] + two_pi * np.float32(cycles[k, p]))
            x[j, p] += moment
            x[i, p] -= moment
    solve(plan, diagonal, off, x)


@numba.njit(nogil=True, cache=True)
def _vote(
    field: np.ndarray,
    component: np.ndarray,
    k: int,
    row: int,
    column: int,
    own: int,
) -> tuple[int, int, int]:
    """Neighbours with more cycles than ``own``, with fewer, and the sum of all differences."""
    above = 0
    below = 0
    apart = 0
    grouped = component.shape[0] > 0
    for i in range(max(0, row - 1), min(field.shape[1], row + 2)):
        for j in range(max(0, column - 1), min(field.shape[2], column + 2)):
            other = field[k, i, j]
            if other == MISSING or (i == row and j == column):
                continue
            if grouped and component[k, i, j] != component[k, row, column]:
                continue
            apart += abs(other - own)
            above += 1 if other > own else -1
            below += 1 if other < own else -1
    return above, below, apart


@numba.njit(nogil=True, cache=True)
def _poll(
    field: np.ndarray,
    component: np.ndarray,
    smoothness: float,
    rows: np.ndarray,
    columns: np.ndarray,
    weight: np.ndarray,
    cycles: np.ndarray,
    up: np.ndarray,
    down: np.ndarray,
    energy: np.ndarray,
) -> None:
    """Cost, in neighbours' votes, of one cycle ``up`` or ``down``, and of the present state."""
    energy[:] = 0.0
    for k in range(cycles.shape[0]):
        for p in range(rows.size):
            if weight[k, p] > 0.0:
                above, below, apart = _vote(field, component, k, rows[p], columns[p], cycles[k, p])
                up[k, p] = -smoothness * above
                down[k, p] = -smoothness * below
                energy[p] += smoothness * apart


@numba.njit(nogil=True, cache=True, fastmath=FASTMATH)
def _descend(
    plan: Plan,
    value: np.ndarray,
    weight: np.ndarray,
    information: np.ndarray,
    diagonal: np.ndarray,
    off: np.ndarray,
    field: np.ndarray,
    component: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    sparsity: float,
    smoothness: float,
    max_cycles: int,
    scale: np.ndarray,
    cycles: np.ndarray,
    misfit: np.ndarray,
    energy: np.ndarray,
) -> None:
    """Change ``cycles`` (pair, tile), the most profitable pair by one cycle at a time.

    ``misfit`` becomes the weighted squares of the residuals, ``energy`` the whole cost.
    """
    pairs = value.shape[0]
    two_pi = np.float32(2.0 * np.pi)
    four_pi = np.float32(4.0 * np.pi)
    square = np.float32(4.0 * np.pi**2)
    price = np.float32(sparsity)
    x = np.empty((plan.position.size, TILE), np.float64)
    up = np.zeros((pairs, TILE), np.float32)
    down = np.zeros((pairs, TILE), np.float32)
    best = np.empty(TILE, np.float32)
    choice = np.empty(TILE, np.int32)
    if smoothness > 0.0:
        _poll(field, component, smoothness, rows, columns, weight, cycles, up, down, energy)
    for _ in range(STEPS):
        _fit(plan, value, cycles, weight, diagonal, off, x)
        misfit[:] = 0.0
        best[:] = -1e-3
        choice[:] = 0
        for k in range(pairs):
            i, j = plan.first[k], plan.second[k]
            for p in range(TILE):
                own = cycles[k, p]
                w = weight[k, p]
                r = value[k, p] + two_pi * np.float32(own) - np.float32(x[j, p] - x[i, p])
                misfit[p] += w * r * r
                # Squares gained by +-1 cycle once the dates' phases have followed it.
                even = scale[p] * square * information[k, p]
                odd = scale[p] * four_pi * w * r
                more = even + odd + up[k, p] + (price if own >= 0 else -price)
                less = even - odd + down[k, p] + (price if own <= 0 else -price)
                more = more if own < max_cycles else np.float32(0.0)
                less = less if own > -max_cycles else np.float32(0.0)
                cost = min(more, less)
                cost = cost if w > 0.0 else np.float32(0.0)
                choice[p] = (k + 1 if more < less else -k - 1) if cost < best[p] else choice[p]
                best[p] = min(best[p], cost)
        changed = False
        for p in range(rows.size):
            if choice[p] != 0:
                changed = True
                k = abs(choice[p]) - 1
                cycles[k, p] += 1 if choice[p] > 0 else -1
                if smoothness > 0.0:
                    above, below, _apart = _vote(
                        field, component, k, rows[p], columns[p], cycles[k, p]
                    )
                    up[k, p] = -smoothness * above
                    down[k, p] = -smoothness * below
        if not changed:
            break
    if smoothness > 0.0:
        _poll(field, component, smoothness, rows, columns, weight, cycles, up, down, energy)
    else:
        energy[:] = 0.0
    for p in range(TILE):
        energy[p] += scale[p] * misfit[p]
    for k in range(pairs):
        for p in range(TILE):
            energy[p] += price * abs(np.float32(cycles[k, p]))


@numba.njit(nogil=True, cache=True, fastmath=FASTMATH)
def _shortest_first(
    plan: Plan,
    value: np.ndarray,
    weight: np.ndarray,
    trust: np.ndarray,
    max_cycles: int,
    diagonal: np.ndarray,
    off: np.ndarray,
    cycles: np.ndarray,
) -> None:
    """Cycles that agree with a fit in which pairs weigh by ``trust`` too."""
    pairs = value.shape[0]
    trusted = np.empty((pairs, TILE), np.float32)
    x = np.empty((plan.position.size, TILE), np.float64)
    for k in range(pairs):
        for p in range(TILE):
            trusted[k, p] = weight[k, p] * trust[k]
    cycles[:] = 0
    _eliminate(plan, trusted, diagonal, off)
    _fit(plan, value, cycles, trusted, diagonal, off, x)
    for k in range(pairs):
        i, j = plan.first[k], plan.second[k]
        for p in range(TILE):
            turns = np.rint((x[j, p] - x[i, p] - value[k, p]) / (2.0 * np.pi))
            if weight[k, p] > 0.0:
                cycles[k, p] = np.int8(min(max(turns, -max_cycles), max_cycles))


@numba.njit(nogil=True, cache=True)
def _as_neighbours(
    field: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    weight: np.ndarray,
    cycles: np.ndarray,
) -> bool:
    """Set ``cycles`` to the mean of the neighbours' where there are any; True if that differs."""
    differs = False
    for k in range(cycles.shape[0]):
        for p in range(rows.size):
            row, column = rows[p], columns[p]
            total = 0
            count = 0
            for i in range(max(0, row - 1), min(field.shape[1], row + 2)):
                for j in range(max(0, column - 1), min(field.shape[2], column + 2)):
                    other = field[k, i, j]
                    if other != MISSING and not (i == row and j == column):
                        total += other
                        count += 1
            own = field[k, row, column]
            mean = np.int8(np.rint(total / count)) if count > 0 else own
            cycles[k, p] = mean if weight[k, p] > 0.0 else 0
            differs |= weight[k, p] > 0.0 and mean != own
    return differs


@numba.njit(nogil=True, cache=True, fastmath=FASTMATH)
def _decode(
    phase: np.ndarray,
    coherence: np.ndarray,
    component: np.ndarray,
    reference_phase: np.ndarray,
    table: np.ndarray,
    plan: Plan,
    trust: np.ndarray,
    pixels: np.ndarray,
    sparsity: float,
    smoothness: float,
    max_cycles: int,
    field: np.ndarray,
    result: np.ndarray,
) -> None:
    """Whole cycles of ``pixels`` (flat indices) of a block, from ``field`` into ``result``.

    All of (pair, y, x). Without ``smoothness`` neighbours in ``field`` have no say.
    """
    pairs, _, width = phase.shape
    dates = plan.position.size
    value = np.zeros((pairs, TILE), np.float32)
    weight = np.zeros((pairs, TILE), np.float32)
    information = np.empty((pairs, TILE), np.float32)
    cycles = np.zeros((pairs, TILE), np.int8)
    trial = np.zeros((pairs, TILE), np.int8)
    diagonal = np.empty((dates, TILE), np.float64)
    off = np.empty((plan.row.size, TILE), np.float64)
    spare_diagonal = np.empty((dates, TILE), np.float64)
    spare_off = np.empty((plan.row.size, TILE), np.float64)
    scale = np.empty(TILE, np.float32)
    freedom = np.empty(TILE, np.float32)
    misfit = np.empty(TILE, np.float32)
    trial_misfit = np.empty(TILE, np.float32)
    doubtful = np.zeros(TILE, np.bool_)
    energy = np.empty(TILE, np.float32)
    trial_energy = np.empty(TILE, np.float32)
    one = np.float32(1.0)
    for start in range(0, pixels.size, TILE):
        tile = pixels[start : start + TILE]
        rows, columns = tile // width, tile % width
        n = tile.size
        weight[:] = 0.0
        for k in range(pairs):
            for p in range(n):
                v = phase[k, rows[p], columns[p]] - reference_phase[k]
                c = coherence[k, rows[p], columns[p]]
                c = min(max(c, np.float32(0.0)), np.float32(0.999)) if c == c else np.float32(0.0)
                w = table[int(c * np.float32(TABLE_SIZE - 1) + np.float32(0.5))]
                valid = v == v
                value[k, p] = v if valid else np.float32(0.0)
                weight[k, p] = w if valid else np.float32(0.0)
                cycles[k, p] = field[k, rows[p], columns[p]] if valid else 0
        _eliminate(plan, weight, diagonal, off)
        _invert_entries(plan, diagonal, off, spare_diagonal, spare_off)
        freedom[:] = 0.0
        for k in range(pairs):
            i, j, e = plan.first[k], plan.second[k], plan.entry[k]
            for p in range(TILE):
                w = weight[k, p]
                spread = spare_diagonal[i, p] + spare_diagonal[j, p] - 2.0 * spare_off[e, p]
                left = np.float32(min(max(0.0, 1.0 - w * spread), 1.0)) if w > 0.0 else one - one
                information[k, p] = w * left
                freedom[p] += left
        scale[:] = 1.0
        _descend(
            plan, value, weight, information, diagonal, off, field, component, rows, columns,
            sparsity, smoothness, max_cycles, scale, cycles, misfit, energy,
        )  # fmt: skip
        # One pair at a time may end in a hollow: try another start, keep what costs less.
        if smoothness > 0.0:
            again = _as_neighbours(field, rows, columns, weight, trial)
            doubtful[:] = True
        else:
            again = False
            for p in range(n):
                doubtful[p] = misfit[p] > MISFIT * freedom[p]
                again |= doubtful[p]
            if again:
                _shortest_first(
                    plan, value, weight, trust, max_cycles, spare_diagonal, spare_off, trial
                )
        if again:
            _descend(
                plan, value, weight, information, diagonal, off, field, component, rows, columns,
                sparsity, smoothness, max_cycles, scale, trial, trial_misfit, trial_energy,
            )  # fmt: skip
            for p in range(n):
                if doubtful[p] and trial_energy[p] < energy[p]:
                    misfit[p] = trial_misfit[p]
                    cycles[:, p] = trial[:, p]
        # Where the pairs still contradict each other, noise is larger than coherence says: what
        # is not significant against the noise found is taken back.
        again = False
        for p in range(n):
            if misfit[p] > freedom[p] > 0.5:
                scale[p] = freedom[p] / misfit[p]
                again = True
        if again:
            _descend(
                plan, value, weight, information, diagonal, off, field, component, rows, columns,
                sparsity, smoothness, max_cycles, scale, cycles, misfit, energy,
            )  # fmt: skip
        for k in range(pairs):
            for p in range(n):
                if weight[k, p] > 0.0:
                    result[k, rows[p], columns[p]] = cycles[k, p]


@numba.njit(nogil=True, cache=True)
def _unsettled(field: np.ndarray) -> np.ndarray:
    """True (y, x) where a neighbour has other cycles than the pixel, in any pair."""
    pairs, height, width = field.shape
    found = np.zeros((height, width), np.bool_)
    for k in range(pairs):
        for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
            for i in range(height - down):
                for j in range(max(0, -right), width - max(0, right)):
                    a, b = field[k, i, j], field[k, i + down, j + right]
                    if a != b and a != MISSING and b != MISSING:
                        found[i, j] = True
                        found[i + down, j + right] = True
    return found


class _Closures:
    """Triplets of a stack's network and the closure that its reference phase brings along."""

    def __init__(self, phase: xr.DataArray, reference_phase: xr.DataArray | None) -> None:
        require(phase, dims=(PAIR,), units="rad")
        self.pairs = phase.sizes[PAIR]
        offset = np.zeros(self.pairs) if reference_phase is None else reference_phase.values
        if offset.shape != (self.pairs,):
            raise DimensionError(
                f"reference_phase has shape {offset.shape} but the phase has {self.pairs} pairs; "
                "give one value per pair."
            )
        self.reference_phase = offset.astype(np.float32)
        self.triplets = network.triplets(phase["reference"].values, phase["secondary"].values)
        a, b, c = self.triplets.T
        self.offset = (offset[a] + offset[b] - offset[c]).astype(np.float32)

    def count(
        self, phase: np.ndarray, cycles: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Closures beyond pi and all closures of (pair, …): two maps, and (triplet, 2)."""
        flat = np.ascontiguousarray(phase, np.float32).reshape(self.pairs, -1)
        whole = np.zeros(flat.shape, np.int8) if cycles is None else cycles.reshape(flat.shape)
        over = np.empty(flat.shape[1], np.int16)
        complete = np.empty(flat.shape[1], np.int16)
        per_triplet = np.empty((len(self.triplets), 2), np.int64)
        _count_closures(flat, whole, self.triplets, self.offset, over, complete, per_triplet)
        return over.reshape(phase.shape[1:]), complete.reshape(phase.shape[1:]), per_triplet


def closure_phase(phase: xr.DataArray, triplet: Any) -> xr.DataArray:
    """Closure of one ``triplet`` (row of :func:`network.triplets`), rad, NaN where a pair lacks.

    A multiple of 2 pi, but for noise. ``phase`` (pair, …), rad.
    """
    require(phase, dims=(PAIR,), units="rad")
    ij, jk, ik = (phase.isel({PAIR: int(p)}, drop=True).reset_coords(drop=True) for p in triplet)
    return describe(ij + jk - ik, "closure_phase", "closure of a triplet of pairs", "rad")


def closure_count(
    phase: xr.DataArray,
    *,
    reference_phase: xr.DataArray | None = None,
    cycles: xr.DataArray | None = None,
) -> xr.Dataset:
    """Number of triplets whose closure exceeds pi, at every pixel: a map of unwrapping errors.

    Returns ``closure_count`` (y, x) and ``triplet_count`` (y, x), the triplets without a missing
    sample, which alone count.
    ``phase`` (pair, y, x; rad), less ``reference_phase`` (pair; rad), plus whole ``cycles`` (pair,
    y, x). Both int16. Source: Yunjun et al. 2019 (doi 10.1016/j.cageo.2019.104331), T_int.
    """
    closures = _Closures(phase, reference_phase)

    def block(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return closures.count(*(np.ascontiguousarray(np.moveaxis(a, -1, 0)) for a in arrays))[:2]

    inputs = [phase, *([] if cycles is None else [cycles])]
    over, complete = xr.apply_ufunc(
        block,
        *inputs,
        input_core_dims=[[PAIR]] * len(inputs),
        output_core_dims=[[], []],
        dask="parallelized",
        output_dtypes=[np.int16, np.int16],
        keep_attrs=False,
    )
    return xr.Dataset(
        {
            "closure_count": _describe_count(over),
            "triplet_count": describe(
                complete, "triplet_count", "triplets of pairs without a missing sample", "1"
            ),
        }
    )


def _describe_count(count: xr.DataArray, when: str = "") -> xr.DataArray:
    return describe(count, "closure_count", f"triplets whose closure exceeds pi{when}", "1")


def closure_share(
    phase: xr.DataArray, *, reference_phase: xr.DataArray | None = None
) -> xr.DataArray:
    """Share of pixels at which each triplet's closure exceeds pi (triplet,); NaN: it is nowhere
    complete.

    Arguments as for :func:`closure_count`. Coordinates ``first``, ``middle``, ``last``: its dates.
    """
    import dask.array as da

    closures = _Closures(phase, reference_phase)
    stack = phase.transpose(PAIR, *MAP).data

    def block(values: np.ndarray) -> np.ndarray:
        return closures.count(values)[2][:, :, np.newaxis, np.newaxis]

    if isinstance(stack, da.Array):
        _require_whole_pairs(stack)
        grid = tuple((1,) * n for n in stack.numblocks[1:])
        expanded = stack[:, np.newaxis]
        counts = expanded.map_blocks(
            lambda values: block(values[:, 0]),
            dtype=np.int64,
            chunks=((len(closures.triplets),), (2,), *grid),
        ).sum(axis=(2, 3))
    else:
        counts = block(stack)[:, :, 0, 0]
    total = xr.DataArray(counts, dims=(TRIPLET, "of"))
    share = total[:, 0] / total[:, 1].where(total[:, 1] > 0)
    ij, jk, _ = closures.triplets.T
    dates = {
        "first": (TRIPLET, phase["reference"].values[ij]),
        "middle": (TRIPLET, phase["secondary"].values[ij]),
        "last": (TRIPLET, phase["secondary"].values[jk]),
    }
    share = share.assign_coords(dates)
    return describe(share, "closure_share", "share of pixels whose closure exceeds pi", "1")


def _require_whole_pairs(stack: Any) -> None:
    if stack.numblocks[0] > 1:
        raise DimensionError(
            f"{PAIR} is cut into {stack.numblocks[0]} Dask chunks but closures need all pairs of a "
            f"pixel at once; chunk the stack by rows: .chunk({{{PAIR!r}: -1}})."
        )


class _Corrector:
    """What one block needs to find its cycles."""

    def __init__(
        self,
        closures: _Closures,
        phase: xr.DataArray,
        looks: float | None,
        has_coherence: bool,
        has_component: bool,
        max_cycles: int,
    ) -> None:
        dates, first, second = network.incidence(
            phase["reference"].values, phase["secondary"].values
        )
        self.closures = closures
        self.max_cycles = max_cycles
        self.has_coherence, self.has_component = has_coherence, has_component
        self.plan = plan(first, second, dates.size)
        if has_coherence:
            variance = 1.0 / weight_table(looks)
        else:
            variance = np.full(TABLE_SIZE, UNKNOWN_VARIANCE)
        self.table = (1.0 / (variance + EXTRA_VARIANCE)).astype(np.float32)
        span = (dates[second] - dates[first]) / np.timedelta64(1, "D")
        self.trust = ((span.min() / span) ** TRUST_POWER).astype(np.float32)

    def __call__(self, *layers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cycles (pair, y, x) and the counts of closures (y, x) before and after."""
        from scipy.ndimage import binary_dilation

        remaining = [np.ascontiguousarray(a) for a in layers]
        phase = remaining.pop(0).astype(np.float32, copy=False)
        coherence = remaining.pop(0).astype(np.float32, copy=False) if self.has_coherence else phase
        absent = np.empty((0, *phase.shape[1:]), np.uint8)
        component = remaining.pop(0) if self.has_component else absent

        def decode(
            active: np.ndarray, field: np.ndarray, sparsity: float, smoothness: float
        ) -> np.ndarray:
            result = field.copy()
            _decode(
                phase, coherence, component, self.closures.reference_phase, self.table, self.plan,
                self.trust, np.flatnonzero(active), sparsity, smoothness, self.max_cycles, field,
                result,
            )  # fmt: skip
            return result

        missing = ~np.isfinite(phase) | ~np.isfinite(self.closures.reference_phase)[:, None, None]
        field = np.where(missing, np.int8(MISSING), np.int8(0))
        result = decode(np.any(~missing, axis=0), field, FIRST_SPARSITY, 0.0)
        active = _unsettled(result)
        for _ in range(SWEEPS):
            if not active.any():
                break
            field = result
            result = decode(active, field, SPARSITY, SMOOTHNESS)
            active = binary_dilation((result != field).any(axis=0), np.ones((3, 3), bool))
        result[missing] = 0
        before, _, _ = self.closures.count(phase)
        after, _, _ = self.closures.count(phase, result)
        worse = after > before  # closures are the one judge that needs no model of noise
        result[:, worse] = 0
        return result, before, np.minimum(before, after)


def correct_cycles(
    phase: xr.DataArray,
    coherence: xr.DataArray | None = None,
    *,
    reference_phase: xr.DataArray | None = None,
    looks: float = 20.0,
    component: xr.DataArray | None = None,
    max_cycles: int = 3,
) -> xr.Dataset:
    """Whole cycles to add to each sample so that the pairs of a pixel agree.

    Parameters
    ----------
    phase
        (pair, y, x), rad, unwrapped; coordinates ``reference`` and ``secondary`` on ``pair``. NaN
        is missing. Dask chunks must hold all pairs; a block needs about 20 bytes per sample.
    coherence
        (pair, y, x), 0..1; tells, with ``looks`` (effective independent looks), each sample's
        noise. Without it all samples count as equally noisy.
    reference_phase
        (pair,), rad, subtracted from every pixel; errors of a whole pair against the reference
        are found like all others.
    component
        (pair, y, x), labels of connected components (0 = none): only pixels of one component
        support each other.
    max_cycles
        Largest correction of a sample.

    Returns
    -------
    Dataset of ``cycles`` (pair, y, x; int8; corrected phase = phase + 2 pi cycles; 0 where
    missing), ``closure_count`` and ``closure_count_before`` (y, x; int16). ``closure_count`` is
    nowhere above ``closure_count_before``. Pairs in no cycle cannot be checked by closure.

    Raises
    ------
    DimensionError, UnitsError
        ``phase`` lacks its dimensions, is not in rad or is chunked along pairs; partners differ in
        shape.
    NetworkError
        A pair's dates are swapped or a pair occurs twice.
    """
    import dask.array as da

    closures = _Closures(require(phase, dims=(PAIR, *MAP)), reference_phase)
    named = [a for a in (phase, coherence, component) if a is not None]
    for partner in named[1:]:
        if partner.sizes != phase.sizes:
            raise DimensionError(
                f"{partner.name} has sizes {dict(partner.sizes)} but the phase has "
                f"{dict(phase.sizes)}; both must come from one stack."
            )
    corrector = _Corrector(
        closures, phase, looks, coherence is not None, component is not None, max_cycles
    )
    layers = [a.transpose(PAIR, *MAP).data for a in named]
    if any(isinstance(a, da.Array) for a in layers):
        cycles, before, after = _by_blocks(corrector, layers)
    else:
        cycles, before, after = corrector(*layers)
    coords = {n: phase[n] for n in phase.coords if set(phase[n].dims) <= {PAIR, *MAP}}
    dataset = xr.Dataset(
        {
            "cycles": ((PAIR, *MAP), cycles),
            "closure_count_before": (MAP, before),
            "closure_count": (MAP, after),
        },
        coords=coords,
    )
    return dataset.assign(
        cycles=describe(dataset["cycles"], "cycles", "whole cycles to add to the phase", "1"),
        closure_count=_describe_count(dataset["closure_count"], " after correction"),
        closure_count_before=_describe_count(dataset["closure_count_before"], " before correction"),
    )


def _by_blocks(corrector: _Corrector, layers: list[Any]) -> tuple[Any, ...]:
    """Apply to Dask blocks that see ``SWEEPS`` pixels of their neighbours."""
    import dask.array as da

    blocks = next(a for a in layers if isinstance(a, da.Array)).chunks
    _require_whole_pairs(da.empty(tuple(map(sum, blocks)), chunks=blocks))
    depth = {axis: SWEEPS if len(blocks[axis]) > 1 else 0 for axis in (1, 2)}
    wide = [
        da.overlap.overlap(da.asarray(a).rechunk(blocks), depth=depth, boundary="none")
        for a in layers
    ]
    found = da.apply_gufunc(
        lambda *arrays: tuple(
            np.moveaxis(a, 0, -1) if a.ndim == 3 else a
            for a in corrector(*(np.moveaxis(v, -1, 0) for v in arrays))
        ),
        ",".join(["(p)"] * len(wide)) + "->(p),(),()",
        *(da.moveaxis(a, 0, -1) for a in wide),
        output_dtypes=[np.int8, np.int16, np.int16],
    )
    cycles = da.overlap.trim_internal(da.moveaxis(found[0], -1, 0), depth, boundary="none")
    maps = {axis - 1: pixels for axis, pixels in depth.items()}
    return cycles, *(da.overlap.trim_internal(a, maps, boundary="none") for a in found[1:])
