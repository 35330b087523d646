"""Normal equations of one network, solved for many pixels at once.

Every pixel has the same pairs but its own weights (zero where a pair has no value), so the
sparsity is shared: one elimination order and one list of operations serve all pixels, and each
operation runs over a tile of pixels as one vector. The matrix is

    S = sum_k w_k a_k a_k' + diag(g),     a_k = e(second_k) - e(first_k),

a weighted graph Laplacian over the dates plus a diagonal, factored as L D L'.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

TILE = 128  # pixels per tile: the tile's matrix stays in the second-level cache


class Plan(NamedTuple):
    """Elimination of a network's Laplacian: index arrays for the kernels below.

    Attributes
    ----------
    first, second
        Position, in elimination order, of each edge's two dates.
    entry
        Off-diagonal entry of each edge.
    position
        Position of each date in elimination order.
    column
        ``column[j]:column[j + 1]`` are the off-diagonal entries of column ``j``.
    row
        Row of each off-diagonal entry.
    update, target, left, right
        ``update[j]:update[j + 1]`` are column ``j``'s updates: entry ``target`` loses the product
        of entries ``left`` and ``right``. Targets below zero are diagonals: ``~target``.
    """

    first: np.ndarray
    second: np.ndarray
    entry: np.ndarray
    position: np.ndarray
    column: np.ndarray
    row: np.ndarray
    update: np.ndarray
    target: np.ndarray
    left: np.ndarray
    right: np.ndarray


def plan(first: np.ndarray, second: np.ndarray, dates: int) -> Plan:
    """Plan the elimination of edges ``first[k]``-``second[k]`` between ``dates`` unknowns.

    Order by minimum degree (Tinney & Walker 1967, doi 10.1109/PROC.1967.6011).
    """
    neighbours: list[set[int]] = [set() for _ in range(dates)]
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        neighbours[a].add(b)
        neighbours[b].add(a)
    remaining = set(range(dates))
    order: list[int] = []
    below: list[set[int]] = []
    while remaining:
        date = min(remaining, key=lambda d: (len(neighbours[d]), d))
        remaining.discard(date)
        clique = neighbours[date]
        for other in clique:
            neighbours[other] |= clique
            neighbours[other] -= {other, date}
        order.append(date)
        below.append(clique)
    position = np.empty(dates, np.int64)
    position[order] = np.arange(dates)

    rows = [sorted(int(position[d]) for d in clique) for clique in below]
    column = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    where = {(j, i): int(column[j]) + k for j, r in enumerate(rows) for k, i in enumerate(r)}
    update, target, left, right = [0], [], [], []
    for j, r in enumerate(rows):
        for a in range(len(r)):
            for b in range(a + 1):
                target.append(~r[a] if a == b else where[r[b], r[a]])
                left.append(int(column[j]) + a)
                right.append(int(column[j]) + b)
        update.append(len(target))
    p, q = position[first], position[second]
    entry = [where[min(a, b), max(a, b)] for a, b in zip(p.tolist(), q.tolist(), strict=True)]

    def integers(values: Any) -> np.ndarray:
        return np.asarray(values, dtype=np.int64)

    return Plan(
        integers(p),
        integers(q),
        integers(entry),
        position,
        column,
        integers([i for r in rows for i in r]),
        integers(update),
        integers(target),
        integers(left),
        integers(right),
    )


@numba.njit(nogil=True, cache=True, fastmath={"contract", "nsz", "arcp"})
def add_edge(plan: Plan, k: int, weight: np.ndarray, diagonal: np.ndarray, off: np.ndarray) -> None:
    """Add edge ``k`` of ``weight`` (tile) to the matrix."""
    i, j, e = plan.first[k], plan.second[k], plan.entry[k]
    for p in range(TILE):
        diagonal[i, p] += weight[p]
        diagonal[j, p] += weight[p]
        off[e, p] -= weight[p]


@numba.njit(nogil=True, cache=True, fastmath={"contract", "nsz", "arcp"})
def factor(plan: Plan, diagonal: np.ndarray, off: np.ndarray) -> None:
    """Factor in place: ``off`` becomes L, ``diagonal`` becomes the inverse of D."""
    dates = diagonal.shape[0]
    for j in range(dates):
        for p in range(TILE):
            diagonal[j, p] = 1.0 / diagonal[j, p]
        # Updates use the unscaled column on one side, so they come before its scaling.
        for u in range(plan.update[j], plan.update[j + 1]):
            t, a, b = plan.target[u], plan.left[u], plan.right[u]
            if t < 0:
                t = ~t
                for p in range(TILE):
                    diagonal[t, p] -= off[a, p] * off[b, p] * diagonal[j, p]
            else:
                for p in range(TILE):
                    off[t, p] -= off[a, p] * off[b, p] * diagonal[j, p]
        for e in range(plan.column[j], plan.column[j + 1]):
            for p in range(TILE):
                off[e, p] *= diagonal[j, p]


@numba.njit(nogil=True, cache=True, fastmath={"contract", "nsz", "arcp"})
def solve(plan: Plan, diagonal: np.ndarray, off: np.ndarray, vector: np.ndarray) -> None:
    """Solve in place for ``vector`` (dates in elimination order, tile)."""
    dates = diagonal.shape[0]
    for j in range(dates):
        for e in range(plan.column[j], plan.column[j + 1]):
            i = plan.row[e]
            for p in range(TILE):
                vector[i, p] -= off[e, p] * vector[j, p]
    for j in range(dates - 1, -1, -1):
        for p in range(TILE):
            vector[j, p] *= diagonal[j, p]
        for e in range(plan.column[j], plan.column[j + 1]):
            i = plan.row[e]
            for p in range(TILE):
                vector[j, p] -= off[e, p] * vector[i, p]


@numba.njit(nogil=True, cache=True)
def count_subsets(
    first: np.ndarray, second: np.ndarray, dates: int, valid: np.ndarray, parent: np.ndarray
) -> int:
    """Number of connected subsets that a pixel's ``valid`` pairs form; lone dates do not count."""
    for d in range(dates):
        parent[d] = -1
    subsets = 0
    for k in range(first.size):
        if valid[k] <= 0.0:
            continue
        a, b = first[k], second[k]
        if parent[a] < 0:
            parent[a] = a
            subsets += 1
        if parent[b] < 0:
            parent[b] = b
            subsets += 1
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a != b:
            parent[a] = b
            subsets -= 1
    return subsets


@numba.njit(nogil=True, cache=True)
def number_subsets(parent: np.ndarray, name: np.ndarray, number: np.ndarray) -> None:
    """``number`` of each date's subset: from 1 in order of their first dates, 0 for lone dates.

    ``parent`` (date): as :func:`count_subsets` left it; ``name`` (date): room to work in.
    """
    known = 0
    name[:] = 0
    for d in range(parent.size):
        number[d] = 0
        root = d
        if parent[d] < 0:
            continue
        while parent[root] != root:
            root = parent[root]
        if name[root] == 0:
            known += 1
            name[root] = known
        number[d] = name[root]
