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

Sources: errors are sparse and whole, Yunjun et al. 2019 (doi 10.1016/j.cageo.2019.104331);
descent with neighbours, Besag 1986 (doi 10.1111/j.2517-6161.1986.tb01412.x); entries of an inverse
from the factor, Takahashi et al. 1973, as in Erisman & Tinney 1975 (doi 10.1145/360680.360704).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import xarray as xr

from rockglacier import network
from rockglacier.conventions import LOOKS, MAP, PAIR, describe, require
from rockglacier.errors import DimensionError
from rockglacier.normal_equations import TILE, Plan, add_edge, factor, plan, solve
from rockglacier.phase_noise import MAXIMUM_PRODUCT, TABLE_SIZE, UNKNOWN_VARIANCE, weight_table

TRIPLET = "triplet"
MISSING = -128  # in the field of cycles: no sample, hence no vote

# ASSUME: beside decorrelation every pair carries 0.3 rad (soil moisture, interpolation, filtering)
# that closes in no cycle; else coherence would make a bright pixel's noise vanish.
EXTRA_VARIANCE = 0.09
# ASSUME: an error counts as 100 times less likely than none (2 ln 100) before neighbours are asked.
# Then a majority of them decides where the phase does not, and sparsity only breaks ties. Chosen on
# simulated stacks: of clean samples, fewer than 1 in 10 000 change even in pure noise.
FIRST_SPARSITY = 9.0
SPARSITY = 2.0
SMOOTHNESS = 3.0
SWEEPS = 4  # also the rows and columns that a block needs beyond its edges
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
    """Closures of (pair, pixel) beyond pi and all closures, per pixel and (triplet, 2)."""
    half = np.float32(np.pi)
    two_pi = np.float32(2.0 * np.pi)
    over[:] = 0
    complete[:] = 0
    per_triplet[:] = 0
    for start in range(0, phase.shape[1], 1024):  # all pairs of so many pixels fit into the cache
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


class _Stack(NamedTuple):
    """A block: ``phase``, ``product`` (pair, y, x), ``component`` (the same, or none of them)."""

    phase: np.ndarray
    product: np.ndarray
    component: np.ndarray
    reference_phase: np.ndarray
    table: np.ndarray  # weight (1/rad^2) over equal steps of the coherence product
    trust: np.ndarray  # of each pair, by its span


class _Prior(NamedTuple):
    """What speaks for and against cycles before the phase does."""

    field: np.ndarray  # present cycles (pair, y, x), MISSING where there is no sample
    quiet: np.ndarray  # pairs without any cycle or gap in the field: their votes need no count
    sparsity: float
    smoothness: float
    max_cycles: int


class _Tile(NamedTuple):
    """Samples of a tile of pixels: (pair, TILE), and the pixels' rows and columns."""

    rows: np.ndarray
    columns: np.ndarray
    value: np.ndarray
    weight: np.ndarray  # zero where there is no sample
    information: np.ndarray  # weight of a pair's cycle once the dates' phases follow it
    diagonal: np.ndarray
    off: np.ndarray


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
def _load(
    stack: _Stack,
    field: np.ndarray,
    plan: Plan,
    tile: _Tile,
    cycles: np.ndarray,
    freedom: np.ndarray,
    spare_diagonal: np.ndarray,
    spare_off: np.ndarray,
) -> None:
    """Fill a tile from its pixels; ``freedom`` becomes the degrees of freedom of each."""
    value, weight, information = tile.value, tile.weight, tile.information
    top = np.float32(MAXIMUM_PRODUCT)
    zero, one = np.float32(0.0), np.float32(1.0)
    weight[:] = 0.0
    for k in range(value.shape[0]):
        for p in range(tile.rows.size):
            row, column = tile.rows[p], tile.columns[p]
            v = stack.phase[k, row, column] - stack.reference_phase[k]
            q = stack.product[k, row, column]
            q = min(max(q, zero), top) if q == q else zero
            w = stack.table[int(q * np.float32(TABLE_SIZE - 1) + np.float32(0.5))]
            valid = v == v
            value[k, p] = v if valid else zero
            weight[k, p] = w if valid else zero
            cycles[k, p] = field[k, row, column] if valid else 0
    _eliminate(plan, weight, tile.diagonal, tile.off)
    _invert_entries(plan, tile.diagonal, tile.off, spare_diagonal, spare_off)
    freedom[:] = 0.0
    for k in range(value.shape[0]):
        i, j, e = plan.first[k], plan.second[k], plan.entry[k]
        for p in range(TILE):
            w = weight[k, p]
            spread = spare_diagonal[i, p] + spare_diagonal[j, p] - 2.0 * spare_off[e, p]
            left = np.float32(min(max(0.0, 1.0 - w * spread), 1.0)) if w > zero else one - one
            information[k, p] = w * left
            freedom[p] += left


@numba.njit(nogil=True, cache=True, fastmath=FASTMATH)
def _fit(
    plan: Plan,
    value: np.ndarray,
    weight: np.ndarray,
    diagonal: np.ndarray,
    off: np.ndarray,
    cycles: np.ndarray,
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
    field: np.ndarray, component: np.ndarray, k: int, row: int, column: int, own: int
) -> tuple[int, int, int]:
    """Neighbours above ``own`` less all others, those below less all others, sum of differences."""
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
    prior: _Prior,
    component: np.ndarray,
    tile: _Tile,
    cycles: np.ndarray,
    up: np.ndarray,
    down: np.ndarray,
    energy: np.ndarray,
) -> None:
    """Cost, in neighbours' votes, of one cycle ``up`` or ``down``, and of the present state."""
    field = prior.field
    for k in range(cycles.shape[0]):
        for p in range(tile.rows.size):
            if tile.weight[k, p] <= 0.0:
                continue
            row, column = tile.rows[p], tile.columns[p]
            if prior.quiet[k] and cycles[k, p] == 0:
                high = min(field.shape[1], row + 2) - max(0, row - 1)
                wide = min(field.shape[2], column + 2) - max(0, column - 1)
                up[k, p] = prior.smoothness * (high * wide - 1)
                down[k, p] = up[k, p]
            else:
                above, below, apart = _vote(field, component, k, row, column, cycles[k, p])
                up[k, p] = -prior.smoothness * above
                down[k, p] = -prior.smoothness * below
                energy[p] += prior.smoothness * apart


@numba.njit(nogil=True, cache=True, fastmath=FASTMATH)
def _descend(
    plan: Plan,
    tile: _Tile,
    prior: _Prior,
    component: np.ndarray,
    scale: np.ndarray,
    cycles: np.ndarray,
    misfit: np.ndarray,
    energy: np.ndarray,
) -> None:
    """Change ``cycles`` (pair, tile), the most profitable pair by one cycle at a time.

    ``scale`` multiplies all weights. ``misfit`` becomes the weighted squares of the residuals,
    ``energy`` the whole cost.
    """
    value, weight, information = tile.value, tile.weight, tile.information
    pairs = value.shape[0]
    two_pi = np.float32(2.0 * np.pi)
    four_pi = np.float32(4.0 * np.pi)
    square = np.float32(4.0 * np.pi**2)
    price = np.float32(prior.sparsity)
    top = np.int8(prior.max_cycles)
    x = np.empty((plan.position.size, TILE), np.float64)
    up = np.zeros((pairs, TILE), np.float32)
    down = np.zeros((pairs, TILE), np.float32)
    best = np.empty(TILE, np.float32)
    choice = np.empty(TILE, np.int32)
    if prior.smoothness > 0.0:
        _poll(prior, component, tile, cycles, up, down, energy)
    for _ in range(STEPS):
        _fit(plan, value, weight, tile.diagonal, tile.off, cycles, x)
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
                # Squares that one cycle more or less adds once the dates' phases have followed it.
                even = scale[p] * square * information[k, p]
                odd = scale[p] * four_pi * w * r
                more = even + odd + up[k, p] + (price if own >= 0 else -price)
                less = even - odd + down[k, p] + (price if own <= 0 else -price)
                more = more if own < top else np.float32(0.0)
                less = less if own > -top else np.float32(0.0)
                cost = min(more, less)
                cost = cost if w > 0.0 else np.float32(0.0)
                choice[p] = (k + 1 if more < less else -k - 1) if cost < best[p] else choice[p]
                best[p] = min(best[p], cost)
        changed = False
        for p in range(tile.rows.size):
            if choice[p] != 0:
                changed = True
                k = abs(choice[p]) - 1
                cycles[k, p] += 1 if choice[p] > 0 else -1
                if prior.smoothness > 0.0:
                    above, below, _apart = _vote(
                        prior.field, component, k, tile.rows[p], tile.columns[p], cycles[k, p]
                    )
                    up[k, p] = -prior.smoothness * above
                    down[k, p] = -prior.smoothness * below
        if not changed:
            break
    energy[:] = 0.0
    if prior.smoothness > 0.0:
        _poll(prior, component, tile, cycles, up, down, energy)
    for p in range(TILE):
        energy[p] += scale[p] * misfit[p]
    for k in range(pairs):
        for p in range(TILE):
            energy[p] += price * abs(np.float32(cycles[k, p]))


@numba.njit(nogil=True, cache=True, fastmath=FASTMATH)
def _shortest_first(
    plan: Plan,
    tile: _Tile,
    trust: np.ndarray,
    max_cycles: int,
    diagonal: np.ndarray,
    off: np.ndarray,
    cycles: np.ndarray,
) -> None:
    """Cycles that agree with a fit in which pairs weigh by ``trust`` too."""
    pairs = cycles.shape[0]
    trusted = np.empty((pairs, TILE), np.float32)
    x = np.empty((plan.position.size, TILE), np.float64)
    for k in range(pairs):
        for p in range(TILE):
            trusted[k, p] = tile.weight[k, p] * trust[k]
    cycles[:] = 0
    _eliminate(plan, trusted, diagonal, off)
    _fit(plan, tile.value, trusted, diagonal, off, cycles, x)
    for k in range(pairs):
        i, j = plan.first[k], plan.second[k]
        for p in range(TILE):
            turns = np.rint((x[j, p] - x[i, p] - tile.value[k, p]) / (2.0 * np.pi))
            if tile.weight[k, p] > 0.0:
                cycles[k, p] = np.int8(min(max(turns, -max_cycles), max_cycles))


@numba.njit(nogil=True, cache=True)
def _as_neighbours(prior: _Prior, tile: _Tile, cycles: np.ndarray) -> bool:
    """Set ``cycles`` to the mean of the neighbours' where there are any; True if that differs."""
    field = prior.field
    differs = False
    for k in range(cycles.shape[0]):
        cycles[k] = 0
        if prior.quiet[k]:
            continue
        for p in range(tile.rows.size):
            row, column = tile.rows[p], tile.columns[p]
            if tile.weight[k, p] <= 0.0:
                continue
            total = 0
            count = 0
            for i in range(max(0, row - 1), min(field.shape[1], row + 2)):
                for j in range(max(0, column - 1), min(field.shape[2], column + 2)):
                    other = field[k, i, j]
                    if other != MISSING and not (i == row and j == column):
                        total += other
                        count += 1
            own = field[k, row, column]
            cycles[k, p] = np.int8(np.rint(total / count)) if count > 0 else own
            differs |= cycles[k, p] != own
    return differs


@numba.njit(nogil=True, cache=True, fastmath=FASTMATH)
def _decode(
    stack: _Stack, plan: Plan, prior: _Prior, pixels: np.ndarray, result: np.ndarray
) -> None:
    """Whole cycles of ``pixels`` (flat indices of a block) into ``result`` (pair, y, x)."""
    pairs, _, width = stack.phase.shape
    dates, entries = plan.position.size, plan.row.size
    value = np.zeros((pairs, TILE), np.float32)
    weight = np.zeros((pairs, TILE), np.float32)
    information = np.empty((pairs, TILE), np.float32)
    diagonal = np.empty((dates, TILE), np.float64)
    off = np.empty((entries, TILE), np.float64)
    spare_diagonal = np.empty((dates, TILE), np.float64)
    spare_off = np.empty((entries, TILE), np.float64)
    cycles = np.zeros((pairs, TILE), np.int8)
    trial = np.zeros((pairs, TILE), np.int8)
    scale = np.empty(TILE, np.float32)
    freedom = np.empty(TILE, np.float32)
    misfit = np.empty(TILE, np.float32)
    trial_misfit = np.empty(TILE, np.float32)
    energy = np.empty(TILE, np.float32)
    trial_energy = np.empty(TILE, np.float32)
    doubtful = np.zeros(TILE, np.bool_)
    for start in range(0, pixels.size, TILE):
        chosen = pixels[start : start + TILE]
        n = chosen.size
        tile = _Tile(
            chosen // width, chosen % width, value, weight, information, diagonal, off
        )  # fmt: skip
        cycles[:] = 0
        _load(stack, prior.field, plan, tile, cycles, freedom, spare_diagonal, spare_off)
        scale[:] = 1.0
        _descend(plan, tile, prior, stack.component, scale, cycles, misfit, energy)
        # One pair at a time may end in a hollow: try another start and keep what costs less.
        doubtful[:] = False
        if prior.smoothness > 0.0:
            doubtful[:n] = _as_neighbours(prior, tile, trial)
        else:
            for p in range(n):
                doubtful[p] = misfit[p] > MISFIT * freedom[p]
            if np.any(doubtful):
                _shortest_first(
                    plan, tile, stack.trust, prior.max_cycles, spare_diagonal, spare_off, trial
                )
        if np.any(doubtful):
            _descend(plan, tile, prior, stack.component, scale, trial, trial_misfit, trial_energy)
            for p in range(n):
                if doubtful[p] and trial_energy[p] < energy[p]:
                    misfit[p] = trial_misfit[p]
                    cycles[:, p] = trial[:, p]
        # Where pairs still contradict each other, noise is larger than coherence says: what is not
        # significant against the noise found is taken back.
        noisy = False
        for p in range(n):
            if misfit[p] > freedom[p] > 0.5:
                scale[p] = freedom[p] / misfit[p]
                noisy = True
        if noisy:
            _descend(plan, tile, prior, stack.component, scale, cycles, misfit, energy)
        for k in range(pairs):
            for p in range(n):
                if weight[k, p] > 0.0:
                    result[k, tile.rows[p], tile.columns[p]] = cycles[k, p]


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
        self.ends = phase["reference"].values, phase["secondary"].values
        self.triplets = network.triplets(*self.ends)
        a, b, c = self.triplets.T
        self.offset = (offset[a] + offset[b] - offset[c]).astype(np.float32)

    def span_cycles(self) -> bool:
        """True where every cycle of the network is a sum of triplets: they check all there is."""
        sums = np.zeros((len(self.triplets), self.pairs))
        np.put_along_axis(sums, self.triplets, np.array([[1.0, 1.0, -1.0]]), axis=1)
        return int(np.linalg.matrix_rank(sums.T @ sums)) == network.cycle_rank(*self.ends)

    def count(
        self, phase: np.ndarray, cycles: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Closures beyond pi and all closures of (pair, y, x): two maps, and (triplet, 2)."""
        flat = np.ascontiguousarray(phase, np.float32).reshape(self.pairs, -1)
        whole = np.zeros(flat.shape, np.int8) if cycles is None else cycles.reshape(flat.shape)
        over = np.empty(flat.shape[1], np.int16)
        complete = np.empty(flat.shape[1], np.int16)
        per_triplet = np.empty((len(self.triplets), 2), np.int64)
        _count_closures(flat, whole, self.triplets, self.offset, over, complete, per_triplet)
        return over.reshape(phase.shape[1:]), complete.reshape(phase.shape[1:]), per_triplet


def closure_phase(phase: xr.DataArray, triplet: Any) -> xr.DataArray:
    """Closure of one ``triplet`` (row of :func:`network.triplets`), rad, NaN where a pair lacks.

    A multiple of 2 pi, but for noise. ``phase`` (pair, y, x), rad.
    """
    require(phase, dims=(PAIR,), units="rad")
    ij, jk, ik = (phase.isel({PAIR: int(p)}, drop=True).reset_coords(drop=True) for p in triplet)
    return describe(ij + jk - ik, "closure_phase", "closure of a triplet of pairs", "rad")


def _describe_count(count: xr.DataArray, when: str = "") -> xr.DataArray:
    return describe(count, "closure_count", f"triplets whose closure exceeds pi{when}", "1")


def closure_count(
    phase: xr.DataArray, *, reference_phase: xr.DataArray | None = None
) -> xr.Dataset:
    """Number of triplets whose closure exceeds pi, at every pixel: a map of unwrapping errors.

    ``phase`` (pair, y, x), rad, less ``reference_phase`` (pair; rad). Returns ``closure_count`` and
    ``triplet_count`` (y, x; int16): triplets without a missing sample, which alone count. No
    triplet is held for more than a row of pixels.

    Source: Yunjun et al. 2019 (doi 10.1016/j.cageo.2019.104331), number of non-zero ambiguities.
    """
    closures = _Closures(phase, reference_phase)

    def block(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return closures.count(np.moveaxis(values, -1, 0))[:2]

    over, complete = xr.apply_ufunc(
        block,
        phase,
        input_core_dims=[[PAIR]],
        output_core_dims=[[], []],
        dask="parallelized",
        output_dtypes=[np.int16, np.int16],
        keep_attrs=False,
    )
    complete = describe(complete, "triplet_count", "triplets without a missing sample", "1")
    return xr.Dataset({"closure_count": _describe_count(over), "triplet_count": complete})


def closure_share(
    phase: xr.DataArray, *, reference_phase: xr.DataArray | None = None
) -> xr.DataArray:
    """Share of pixels at which each triplet's closure exceeds pi (triplet,).

    Arguments as for :func:`closure_count`. Coordinates ``first``, ``middle`` and ``last`` are the
    triplet's dates. NaN where no pixel has all three pairs.
    """
    import dask.array as da

    closures = _Closures(phase, reference_phase)
    samples = phase.transpose(PAIR, *MAP).data
    if isinstance(samples, da.Array):
        _require_whole_pairs(samples)
        counts = samples[:, np.newaxis].map_blocks(
            lambda block: closures.count(block[:, 0])[2][:, :, np.newaxis, np.newaxis],
            dtype=np.int64,
            chunks=((len(closures.triplets),), (2,), *((1,) * n for n in samples.numblocks[1:])),
        )
        counts = counts.sum(axis=(2, 3))
    else:
        counts = closures.count(samples)[2]
    total = xr.DataArray(counts, dims=(TRIPLET, "of"))
    reference, secondary = closures.ends
    ij, jk, _ = closures.triplets.T
    share = (total[:, 0] / total[:, 1].where(total[:, 1] > 0)).assign_coords(
        first=(TRIPLET, reference[ij]),
        middle=(TRIPLET, secondary[ij]),
        last=(TRIPLET, secondary[jk]),
    )
    return describe(share, "closure_share", "share of pixels whose closure exceeds pi", "1")


def _require_whole_pairs(samples: Any) -> None:
    if samples.numblocks[0] > 1:
        raise DimensionError(
            f"{PAIR} is cut into {samples.numblocks[0]} Dask chunks but closures need all pairs of "
            f"a pixel at once; chunk the stack by rows: .chunk({{{PAIR!r}: -1}})."
        )


class _Corrector:
    """What one block needs to find its cycles."""

    def __init__(
        self,
        closures: _Closures,
        *,
        looks: float,
        has_product: bool,
        has_component: bool,
        max_cycles: int,
    ) -> None:
        dates, first, second = network.incidence(*closures.ends)
        self.closures = closures
        self.max_cycles = max_cycles
        self.has_product, self.has_component = has_product, has_component
        self.plan = plan(first, second, dates.size)
        self.every_cycle = closures.span_cycles()
        known = 1.0 / weight_table(looks)
        variance = known if has_product else np.full(TABLE_SIZE, UNKNOWN_VARIANCE)
        self.table = (1.0 / (variance + EXTRA_VARIANCE)).astype(np.float32)
        span = (dates[second] - dates[first]) / np.timedelta64(1, "D")
        self.trust = ((span.min() / span) ** TRUST_POWER).astype(np.float32)

    def __call__(self, *layers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cycles (pair, y, x) and the counts of closures (y, x) before and after."""
        from scipy.ndimage import binary_dilation

        remaining = [np.ascontiguousarray(a) for a in layers]
        phase = remaining.pop(0).astype(np.float32, copy=False)
        product = remaining.pop(0).astype(np.float32, copy=False) if self.has_product else phase
        none = np.empty((0, *phase.shape[1:]), np.uint8)
        stack = _Stack(
            phase,
            product,
            remaining.pop(0) if self.has_component else none,
            self.closures.reference_phase,
            self.table,
            self.trust,
        )

        def decode(
            active: np.ndarray, field: np.ndarray, sparsity: float, smoothness: float
        ) -> np.ndarray:
            quiet = np.array([not self.has_component and not layer.any() for layer in field])
            prior = _Prior(field, quiet, sparsity, smoothness, self.max_cycles)
            result = field.copy()
            _decode(stack, self.plan, prior, np.flatnonzero(active), result)
            return result

        before, complete, _ = self.closures.count(phase)
        closed = (before == 0) & (complete == len(self.closures.triplets)) & self.every_cycle
        missing = ~np.isfinite(phase) | ~np.isfinite(self.closures.reference_phase)[:, None, None]
        field = np.where(missing, np.int8(MISSING), np.int8(0))
        result = decode(~closed, field, FIRST_SPARSITY, 0.0)
        active = _unsettled(result)
        for _ in range(SWEEPS):
            if not active.any():
                break
            field = result
            result = decode(active, field, SPARSITY, SMOOTHNESS)
            active = binary_dilation((result != field).any(axis=0), np.ones((3, 3), bool))
        result[missing] = 0
        after = before
        if result.any():
            after, _, _ = self.closures.count(phase, result)
            # Closures judge without a model of noise: no pixel may get worse by them.
            result[:, after > before] = 0
            after = np.minimum(before, after)
        return result, before, after


def correct_cycles(
    phase: xr.DataArray,
    product: xr.DataArray | None = None,
    *,
    reference_phase: xr.DataArray | None = None,
    looks: float = LOOKS,
    component: xr.DataArray | None = None,
    max_cycles: int = 3,
) -> xr.Dataset:
    """Whole cycles to add to each sample so that the pairs of a pixel agree.

    Parameters
    ----------
    phase
        (pair, y, x), rad, unwrapped; coordinates ``reference`` and ``secondary`` on ``pair``. NaN
        is missing. Dask chunks must hold all pairs; a block takes about 60 bytes per sample.
    product
        (pair, y, x), from :func:`rockglacier.phase_noise.coherence_product`; tells, with ``looks``
        (effective independent looks), each sample's noise. Without it all samples count alike.
    reference_phase
        (pair,), rad, subtracted from every pixel; an error of a whole pair against the reference
        is found like any other.
    component
        (pair, y, x), labels of connected components (0 = none): only pixels of one component
        support each other.
    max_cycles
        Largest correction of a sample.

    Returns
    -------
    Dataset of ``cycles`` (pair, y, x; int8; corrected phase = phase + 2 pi cycles; 0 where
    missing), ``closure_count`` and ``closure_count_before`` (y, x; int16). ``closure_count`` is
    nowhere above ``closure_count_before``. Pairs in no cycle cannot be checked by closure; errors
    of several pairs that add up to none around every cycle cannot be told either.

    Raises
    ------
    DimensionError, UnitsError
        ``phase`` lacks its dimensions, is not in rad or is chunked along pairs; partners differ in
        size.
    NetworkError
        A pair's dates are swapped or a pair occurs twice.
    """
    import dask.array as da

    closures = _Closures(require(phase, dims=(PAIR, *MAP)), reference_phase)
    arrays = [a for a in (phase, product, component) if a is not None]
    for partner in arrays[1:]:
        if partner.sizes != phase.sizes:
            raise DimensionError(
                f"{partner.name} has sizes {dict(partner.sizes)} but the phase has "
                f"{dict(phase.sizes)}; both must come from one stack."
            )
    corrector = _Corrector(
        closures,
        looks=looks,
        has_product=product is not None,
        has_component=component is not None,
        max_cycles=max_cycles,
    )
    layers = [a.transpose(PAIR, *MAP).data for a in arrays]
    lazy = any(isinstance(a, da.Array) for a in layers)
    cycles, before, after = _by_blocks(corrector, layers) if lazy else corrector(*layers)
    dataset = xr.Dataset(
        {
            "cycles": ((PAIR, *MAP), cycles),
            "closure_count_before": (MAP, before),
            "closure_count": (MAP, after),
        },
        coords=phase.coords,
    )
    return dataset.assign(
        cycles=describe(dataset["cycles"], "cycles", "whole cycles to add to the phase", "1"),
        closure_count=_describe_count(dataset["closure_count"], " after correction"),
        closure_count_before=_describe_count(dataset["closure_count_before"], " before correction"),
    )


def _by_blocks(corrector: _Corrector, layers: list[Any]) -> tuple[Any, ...]:
    """Apply to Dask blocks that see ``SWEEPS`` pixels of their neighbours."""
    import dask.array as da

    samples = next(a for a in layers if isinstance(a, da.Array))
    _require_whole_pairs(samples)
    depth = {axis: SWEEPS if samples.numblocks[axis] > 1 else 0 for axis in (1, 2)}
    wide = [
        da.overlap.overlap(da.asarray(a).rechunk(samples.chunks), depth=depth, boundary="none")
        for a in layers
    ]

    def block(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        cycles, *maps = corrector(*(np.moveaxis(a, -1, 0) for a in arrays))
        return np.moveaxis(cycles, 0, -1), *maps

    cycles, *maps = da.apply_gufunc(
        block,
        ",".join(["(p)"] * len(wide)) + "->(p),(),()",
        *(da.moveaxis(a, 0, -1) for a in wide),
        output_dtypes=[np.int8, np.int16, np.int16],
    )
    flat = {axis - 1: pixels for axis, pixels in depth.items()}
    return (
        da.overlap.trim_internal(da.moveaxis(cycles, -1, 0), depth, boundary="none"),
        *(da.overlap.trim_internal(a, flat, boundary="none") for a in maps),
    )
