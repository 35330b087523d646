"""The network of interferograms: dates are its nodes, pairs its edges.

Imports only the standard library, NumPy and pandas: Snakemake itself imports this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

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


def redundancy(reference: object, secondary: object) -> np.ndarray:
    """Pairs that each date takes part in, int64, one per date of :func:`incidence`."""
    dates, first, second = incidence(reference, secondary)
    return np.bincount(np.concatenate([first, second]), minlength=dates.size)


def cycle_rank(reference: object, secondary: object) -> int:
    """Independent cycles of the network: pairs - dates + islands."""
    dates, first, _ = incidence(reference, secondary)
    return int(first.size - dates.size + len(islands(reference, secondary)))


def triplets(reference: object, secondary: object) -> np.ndarray:
    """All closed triplets: indices of the pairs ij, jk, ik with dates i < j < k, int64 (n, 3).

    Their closure is phase[ij] + phase[jk] - phase[ik].
    """
    dates, first, second = incidence(reference, secondary)
    index = {
        (i, j): p for p, (i, j) in enumerate(zip(first.tolist(), second.tolist(), strict=True))
    }
    later: list[list[int]] = [[] for _ in range(dates.size)]
    for i, j in sorted(index):
        later[i].append(j)
    found = [
        (index[i, j], index[j, k], index[i, k])
        for i in range(dates.size)
        for j in later[i]
        for k in later[j]
        if (i, k) in index
    ]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def triplet_counts(reference: object, secondary: object) -> np.ndarray:
    """Triplets that each pair takes part in, int64, one per pair; with 0 no closure checks it."""
    found = triplets(reference, secondary)
    return np.bincount(found.ravel(), minlength=_dates(reference).size)


def _spanning_tree(first: np.ndarray, second: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Pairs of the spanning tree (per island) that takes pairs by ``order`` (Kruskal), bool."""
    forest = _Forest(int(max(first.max(), second.max())) + 1)
    chosen = np.zeros(first.size, dtype=bool)
    for p in order.tolist():
        chosen[p] = forest.join(int(first[p]), int(second[p]))
    return chosen


def _within_months(dates: pd.Series, months: Sequence[int]) -> np.ndarray:
    return np.asarray(dates.dt.month.isin(list(months)), dtype=bool)


def select_pairs(
    pairs: pd.DataFrame,
    *,
    max_temporal_baseline_days: float | None = None,
    max_perpendicular_baseline_m: float | None = None,
    months: Sequence[int] | None = None,
    min_coherence: float = 0.0,
) -> pd.DataFrame:
    """Return ``pairs`` with the columns ``used`` (0/1) and ``why``.

    Baselines and ``months`` (1..12, both dates within them) are limits. Among the pairs that keep
    them, those of ``mean_coherence`` below ``min_coherence`` go too, but for the spanning tree of
    highest coherence of each island: no date is lost and no island is broken for coherence alone.
    A limit cannot judge a baseline or coherence that is unknown (NaN).

    ``pairs`` needs the columns reference, secondary and mean_coherence, and
    perpendicular_baseline_m where its limit is given. NetworkError where no pair remains.

    Source: the spanning tree as in Yunjun et al. (2019), doi:10.1016/j.cageo.2019.104331.
    """
    reference, secondary = pd.to_datetime(pairs["reference"]), pd.to_datetime(pairs["secondary"])
    _, first, second = incidence(reference, secondary)
    days = np.asarray((secondary - reference) / pd.Timedelta(days=1), dtype=np.float64)
    why = np.full(len(pairs), "", dtype=object)

    def leave_out(bad: np.ndarray, reasons: Iterable[str]) -> None:
        for p, reason in zip(np.flatnonzero(bad & (why == "")), reasons, strict=True):
            why[p] = reason

    if months is not None:
        outside = ~(_within_months(reference, months) & _within_months(secondary, months))
        leave_out(outside, ["season"] * int(outside.sum()))
    if max_temporal_baseline_days is not None:
        bad = (days > max_temporal_baseline_days) & (why == "")
        leave_out(bad, [f"{d:g} d > {max_temporal_baseline_days:g} d" for d in days[bad]])
    if max_perpendicular_baseline_m is not None:
        baseline = np.abs(pairs["perpendicular_baseline_m"].to_numpy(np.float64))
        bad = (baseline > max_perpendicular_baseline_m) & (why == "")
        leave_out(bad, [f"{b:.0f} m > {max_perpendicular_baseline_m:g} m" for b in baseline[bad]])
    allowed = why == ""
    if not allowed.any():
        raise NetworkError(
            f"None of {len(pairs)} pairs keeps the limits under network (first: {why[0]}); "
            "relax max_temporal_baseline_days, max_perpendicular_baseline_m or months."
        )
    coherence = pairs["mean_coherence"].to_numpy(np.float64)
    # Ties go to the shorter pair: it is the less likely to hold an unwrapping error.
    order = np.lexsort((days, -np.nan_to_num(coherence)))
    tree = _spanning_tree(first, second, order[allowed[order]])
    low = allowed & (coherence < min_coherence)
    leave_out(
        low & ~tree, [f"coherence {c:.2f} < {min_coherence:g}" for c in coherence[low & ~tree]]
    )
    used = why == ""
    why[used] = "within limits"
    why[used & low] = "spanning tree"
    return pairs.assign(used=used.astype(np.int64), why=why)


def propose_pairs(
    dates: Sequence[object] | np.ndarray,
    perpendicular_baselines: Sequence[float] | np.ndarray,
    *,
    max_temporal_baseline_days: float = 36.0,
    max_perpendicular_baseline_m: float = 200.0,
    months: Sequence[int] | None = None,
    yearly_days: tuple[float, float] | None = (330.0, 400.0),
    min_connections: int = 3,
) -> pd.DataFrame:
    """The small-baseline network to make from acquisitions, before any interferogram exists.

    Pairs within both limits, and pairs about a year apart (``yearly_days``) within the
    perpendicular one. Then the shortest pairs beyond the limits, until they connect all dates
    (spanning tree) and each date has ``min_connections`` where there are dates enough.

    ``perpendicular_baselines``: m, per date, against one common date; NaN where unknown (then the
    limit does not apply). Dates outside ``months`` (1..12) are left out. Returns reference,
    secondary, temporal_baseline_days, perpendicular_baseline_m and why, in order of dates.
    NetworkError where fewer than two dates remain.

    Source: Berardino et al. (2002), doi:10.1109/TGRS.2002.803792.
    """
    time = pd.Series(_dates(dates))
    position = pd.Series(np.asarray(perpendicular_baselines, dtype=np.float64))
    if months is not None:
        inside = _within_months(time, months)
        time, position = time[inside], position[inside]
    if time.nunique() < 2 or time.nunique() < time.size:
        raise NetworkError(
            f"{time.size} acquisitions on {time.nunique()} dates remain; a network needs two dates "
            "or more, each once: widen period or months, or drop the doubles."
        )
    time = time.sort_values()
    position = position[time.index]
    first, second = np.triu_indices(time.size, k=1)
    start, end = time.to_numpy()[first], time.to_numpy()[second]
    days = (end - start) / np.timedelta64(1, "D")
    baseline = position.to_numpy()[second] - position.to_numpy()[first]
    far = np.nan_to_num(np.abs(baseline)) / max_perpendicular_baseline_m
    # ASSUME: both baselines, each in units of its limit, cost coherence alike.
    cost = np.hypot(days / max_temporal_baseline_days, far)

    why = np.full(first.size, "", dtype=object)
    if yearly_days is not None:
        why[(days >= yearly_days[0]) & (days <= yearly_days[1]) & (far <= 1.0)] = "yearly"
    why[(days <= max_temporal_baseline_days) & (far <= 1.0)] = "within limits"
    order = np.lexsort((cost, why == ""))
    why[_spanning_tree(first, second, order) & (why == "")] = "spanning tree"
    connections = np.bincount(np.concatenate([first[why != ""], second[why != ""]]))
    for p in np.argsort(cost, kind="stable"):
        ends = [first[p], second[p]]
        if why[p] == "" and connections[ends].min() < min_connections:
            why[p] = "connections"
            connections[ends] += 1
    chosen = why != ""
    return pd.DataFrame(
        {
            "reference": start[chosen],
            "secondary": end[chosen],
            "temporal_baseline_days": days[chosen],
            "perpendicular_baseline_m": baseline[chosen],
            "why": why[chosen],
        }
    )


def summarise(pairs: pd.DataFrame) -> dict[str, Any]:
    """What a network is like, ready for JSON; of the ``used`` pairs where that column exists."""
    if "used" in pairs:
        pairs = pairs[pairs["used"] == 1]
    reference, secondary = pairs["reference"], pairs["secondary"]
    connections = redundancy(reference, secondary)
    checked = triplet_counts(reference, secondary)
    coherence = pairs.get("mean_coherence", pd.Series(dtype=np.float64)).to_numpy(np.float64)
    known = coherence[np.isfinite(coherence)]
    return {
        "dates": int(connections.size),
        "pairs": len(pairs),
        "pairs_per_date_min": int(connections.min()),
        "pairs_per_date_median": float(np.median(connections)),
        "triplets": int(checked.sum()) // 3,
        "pairs_without_triplet": int((checked == 0).sum()),
        "independent_cycles": cycle_rank(reference, secondary),
        "islands": [
            {"first": _day(d[0]), "last": _day(d[-1]), "dates": len(d)}
            for d in islands(reference, secondary)
        ],
        "mean_coherence": float(known.mean()) if known.size else None,
    }
