"""Which images to track offsets between: of one season, and one sun, so that shadows lie alike.

Imports only the standard library, NumPy and pandas.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rockglacier.errors import NetworkError

YEAR_DAYS = 365.25


def propose_image_pairs(
    scenes: pd.DataFrame,
    *,
    pair_days: Sequence[float],
    season_days: float,
    connections: int,
    sun_deg: float | None = None,
    months: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Pairs of ``scenes`` (of one orbit; date, sun_azimuth_deg, sun_elevation_deg), in order.

    Dates of a pair lie between ``pair_days`` (least, most) apart and at most ``season_days`` of the
    year, and within ``months``; azimuth and elevation of the sun differ by at most ``sun_deg`` each
    (None, for radar: the sun does not count). Of an image with more than ``connections`` such later
    ones those are taken whose times are spread most evenly, the longest included. Columns:
    reference, secondary, temporal_baseline_days, season_days, and sun_deg where it counts.

    Raises
    ------
    NetworkError
        No pair keeps the limits; the message says how many each of them rules out.
    """
    scenes = scenes.sort_values("date", ignore_index=True)
    date = scenes["date"].to_numpy("datetime64[ns]")
    first, second = np.triu_indices(len(scenes), k=1)
    days = (date[second] - date[first]) / np.timedelta64(1, "D")
    season = np.abs(days - YEAR_DAYS * np.round(days / YEAR_DAYS))
    limits = {
        "pair_days": (days >= pair_days[0]) & (days <= pair_days[1]),
        "season_days": season <= season_days,
    }
    columns = {"temporal_baseline_days": days, "season_days": season}
    if sun_deg is not None:
        turn = _difference(scenes["sun_azimuth_deg"].to_numpy(float), first, second)
        columns["sun_deg"] = np.maximum(
            np.abs((turn + 180.0) % 360.0 - 180.0),
            np.abs(_difference(scenes["sun_elevation_deg"].to_numpy(float), first, second)),
        )
        limits["sun_deg"] = columns["sun_deg"] <= sun_deg
    if months is not None:
        within = scenes["date"].dt.month.isin(months).to_numpy()
        limits["months"] = within[first] & within[second]
    allowed = np.all(list(limits.values()), axis=0)
    if not allowed.any():
        kept = ", ".join(f"{name} {int(keeps.sum())}" for name, keeps in limits.items())
        raise NetworkError(
            f"{len(scenes)} scenes make {days.size} pairs, and none keeps all limits (by limit: "
            f"{kept}); add scenes of one season, or relax {', '.join(limits)}."
        )
    taken = np.zeros(days.size, bool)
    for image in np.unique(first[allowed]):
        later = np.flatnonzero(allowed & (first == image))
        even = np.linspace(later.size - 1, 0, min(connections, later.size))
        taken[later[np.round(even).astype(int)]] = True
    ends = {"reference": date[first[taken]], "secondary": date[second[taken]]}
    return pd.DataFrame(ends | {name: values[taken] for name, values in columns.items()})


def _difference(values: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray(values[second] - values[first])
