"""The network of interferograms: dates are its nodes, pairs its edges.

Imports only the standard library, NumPy and pandas: Snakemake itself imports this module.
"""

from __future__ import annotations

import numpy as np

from rockglacier.errors import DisconnectedNetworkError, NetworkError


def _dates(values: object) -> np.ndarray:
    return np.atleast_1d(np.asarray(values, dtype="datetime64[ns]"))


def _day(date: np.datetime64) -> str:
    return str(np.datetime_as_string(date, unit="D"))


class _Forest:
    """Disjoint sets of nodes; ``join`` says whether an edge linked two of them."""

    def __init__(self, nodes: int) -> None:
        self.parent = list(range(nodes))

    def root(self, node: int) -> int:
        while self.parent[node] != node:
            self.parent[node] = self.parent[self.parent[node]]
            node = self.parent[node]
        return node

    def join(self, a: int, b: int) -> bool:
        a, b = self.root(a), self.root(b)
        self.parent[max(a, b)] = min(a, b)
        return a != b


def incidence(reference: object, secondary: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dates of a network and, for each pair, the indices of its two dates among them.

    Returns ``dates`` (datetime64, ascending, unique), ``first`` and ``second`` (int64, per pair).
    NetworkError where a pair's dates are equal or swapped, or a pair occurs twice.
    """
    a, b = _dates(reference), _dates(secondary)
    if a.shape != b.shape or a.size == 0:
        raise NetworkError(
            f"{a.size} reference and {b.size} secondary dates were given; "
            "a network needs one of each per pair, and at least one pair."
        )
    swapped = np.flatnonzero(~(a < b))
    if swapped.size:
        k = int(swapped[0])
        raise NetworkError(
            f"pair {_day(a[k])}_{_day(b[k])} has a reference that is not earlier than its "
            "secondary; swap the dates and change the sign of its phase."
        )
    dates, index = np.unique(np.concatenate([a, b]), return_inverse=True)
    first, second = index[: a.size].astype(np.int64), index[a.size :].astype(np.int64)
    _, count = np.unique(first * dates.size + second, return_counts=True)
    if count.max() > 1:
        code = int(np.sort(first * dates.size + second)[np.cumsum(count)[count > 1][0] - 1])
        raise NetworkError(
            f"pair {_day(dates[code // dates.size])}_{_day(dates[code % dates.size])} "
            "occurs more than once; keep one of them."
        )
    return dates, first, second


def islands(reference: object, secondary: object) -> list[list[np.datetime64]]:
    """Sets of dates that pairs connect, each ascending, ordered by their first date.

    A connected network is one island. The order of a pair's dates and duplicates do not matter.
    """
    a, b = _dates(reference), _dates(secondary)
    dates, index = np.unique(np.concatenate([a, b]), return_inverse=True)
    forest = _Forest(dates.size)
    for i, j in zip(index[: a.size].tolist(), index[a.size :].tolist(), strict=True):
        forest.join(i, j)
    groups: dict[int, list[np.datetime64]] = {}
    for node, date in enumerate(dates):
        groups.setdefault(forest.root(node), []).append(date)
    return list(groups.values())


def require_connected(reference: object, secondary: object) -> None:
    """Raise DisconnectedNetworkError, which lists the islands, unless pairs connect all dates."""
    found = islands(reference, secondary)
    if len(found) > 1:
        listed = "; ".join(
            f"{k}: {_day(dates[0])} to {_day(dates[-1])} ({len(dates)} dates)"
            for k, dates in enumerate(found, start=1)
        )
        raise DisconnectedNetworkError(
            f"The network falls into {len(found)} islands ({listed}); one that connects all dates "
            "is needed: add pairs between them, relax the limits under network, or shorten period."
        )
