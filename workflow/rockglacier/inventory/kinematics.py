"""Motion of each object through time: series, yearly velocities and their pattern.

A yearly velocity (rock-glacier velocity, RGV) is that between the same seasons of two years, of one
track and one area (RGIK, Rock glacier velocity; Hu et al. 2025, doi:10.1029/2024RG000847). It needs
both in one subset of dates: what the network's inversion puts between its disconnected subsets is
no motion that anyone saw. A subset that is shorter than a year tells the velocity of its season,
which says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier.ambiguity import LONGEST_DAYS, RATE_CHANGE, SIGNIFICANT
from rockglacier.conventions import (
    DATE,
    MAP,
    YEAR_DAYS,
    Reason,
    VelocitySource,
    Y,
    require,
    years_since,
)
from rockglacier.fusion.labels import rasterised
from rockglacier.grid import Grid
from rockglacier.inventory.patterns import NOT_OBSERVED, Course, course

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

SERIES = [
    "PrimaryID", "track", "date", "subset", "displacement", "displacement_error", "date_error",
    "lasting_error", "downslope", "sensitivity", "observed_share",
]  # fmt: skip
YEARLY = [
    "PrimaryID", "track", "year", "period", "first", "last", "velocity", "velocity_error", "dates",
    "subset",
]  # fmt: skip
YEAR, SEASON = "year", "season"  # what the velocity of a row is of
# Of an object that must be observed on a date: the median of the whole lies within what was seen.
LEAST_SHARE = 0.5
# ASSUME: dates belong together where so many of the pixels that show either lie in one subset at
# both; fewer are the slow ones, which stay coherent and in their cycle.
LINKED_SHARE = 0.7
# ASSUME: where a tenth of an object moves faster than its pairs resolve, so may the rest, unseen.
FAST_SHARE = 0.1
LEAST_SENSITIVITY = 0.2  # of the line of sight for motion down the slope
# ASSUME: neighbouring pixels err alike over some 300 m: so many m2 count as one.
ALIKE_M2 = 300.0**2
NORMAL_MAD = 1.4826
LIKE_OTHERS = 8.0  # independent residuals that what all objects of a track show is worth to one
NEAR_YEAR_DAYS = 20.0  # off a year, of two dates of the same season
LEAST_DATES = 4  # of a season's velocity, and on either side of a gap of a rate that foretells it
POLISHES = 5  # turns of medians over pixels and means over dates; more change nothing
SAMPLES_AT_ONCE = 20_000_000  # pixels times dates in memory


def believed(
    rates: xr.Dataset, joined: xr.Dataset, sensitivity: xr.DataArray, stack: xr.Dataset
) -> xr.Dataset:
    """What of a track's displacement is to be believed: ``usable``, ``fast``, ``rate_error``.

    All (y, x). ``rate_error`` (m/yr): ``velocity_error`` of ``rates``, less what it holds for the
    time that is not observed (``observed_share``).

    ``usable``: where ``rates`` (``velocity.tif`` of the track) has a ``velocity``. ``fast``: motion
    beyond a quarter wavelength in the shortest step between dates, as loss of coherence tells
    (``reason``), or offsets do that are twice their error: the surface ``velocity`` of ``joined``
    (with ``velocity_error``, ``velocity_source``) by the track's ``sensitivity``. Without the
    attribute ``wavelength_m`` of the ``stack`` offsets tell of nothing that is fast.
    """
    usable = rates["velocity"].transpose(*MAP).notnull().values
    fast = np.zeros(usable.shape, bool)
    if "reason" in rates:
        fast |= rates["reason"].transpose(*MAP).values == Reason.ALIASED
    wavelength = stack.attrs.get("wavelength_m")
    if wavelength is not None and "velocity_source" in joined and stack.sizes[DATE] > 1:
        dates = stack[DATE].values
        shortest = float(np.diff(years_since(dates, dates[0])).min())
        speed = np.abs(joined["velocity"].transpose(*MAP).values)
        source = joined["velocity_source"].transpose(*MAP).values
        told = np.isin(source, [VelocitySource.OFFSETS, VelocitySource.BOTH])
        told &= speed > SIGNIFICANT * joined["velocity_error"].transpose(*MAP).values
        toward = speed * np.abs(sensitivity.transpose(*MAP).values)
        fast |= told & (toward * shortest > 0.25 * wavelength)
    error = rates["velocity_error"].transpose(*MAP).values
    if "observed_share" in rates:
        gone = 1.0 - rates["observed_share"].transpose(*MAP).values
        unseen = RATE_CHANGE * gone * np.abs(rates["velocity"].transpose(*MAP).values)
        error = np.sqrt(np.maximum(error**2 - unseen**2, 0.0))
    return xr.Dataset(
        {"usable": (MAP, usable & ~fast), "fast": (MAP, fast), "rate_error": (MAP, error)}
    )


def series(
    objects: GeoDataFrame, stack: xr.Dataset, sensitivity: xr.DataArray, grid: Grid,
    *, track: str, belief: xr.Dataset | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Median displacement of each object (rows, column ``PrimaryID``) on each date: SERIES.

    ``stack`` may be lazy and holds ``displacement`` (date, y, x; m toward the satellite) and, where
    pairs made it, ``subset`` (:func:`rockglacier.inversion.invert`); without that all dates are one
    subset. ``belief``: of :func:`believed`; of objects that are fast there is no series.

    ``subset`` numbers the dates that pairs link for LINKED_SHARE of the object, from 1; 0 where
    less than LEAST_SHARE of it is observed. ``displacement`` is that since the first date of its
    subset, the median of the pixels, each with an offset of its own (:func:`_polished`). Subsets
    are cut where the next whole cycle explains a gap as well (:func:`_sure`).

    ``date_error`` (m) is the standard error of one date: of the departures from the line between
    its neighbours, drawn to those of all objects; ``lasting_error`` (m) what grows with time: what
    pixels that were not seen may have moved otherwise, and the error of the track's rates;
    ``displacement_error`` is that of two dates and of the latter. ``downslope`` (m) is the
    displacement over the median ``sensitivity`` (y, x), NaN where that is too small to tell.
    """
    displacement = require(stack["displacement"], dims=(DATE, *MAP), units="m")
    dates = displacement[DATE].values
    t = years_since(dates, dates[0])
    share = sensitivity.transpose(*MAP).values.ravel()
    fast = np.zeros(share.shape, bool) if belief is None else belief["fast"].values.ravel()
    rate_error = np.zeros(share.shape) if belief is None else belief["rate_error"].values.ravel()
    found = []
    for pixels, values, label in _pixels(objects, stack, belief, grid):
        fast_share = float(fast[pixels].mean()) if pixels.size else 1.0
        one = _moved(values, label, t, fast_share, np.nan_to_num(_median(rate_error[pixels])))
        one.sensitivity = _median(share[pixels])
        found.append(one)
    errors = _date_errors(found, t, grid)
    cycle = 0.5 * float(stack.attrs.get("wavelength_m", np.inf))
    tables: list[pd.DataFrame] = []
    for name, one, error in zip(objects["PrimaryID"], found, errors, strict=True):
        number, moved, lasting = _sure(one, t, error, cycle)
        first = np.array([n > 0 and n not in number[:k] for k, n in enumerate(number)], bool)
        total = np.hypot(np.where(first, 0.0, np.sqrt(2.0) * error), lasting)
        tells = abs(one.sensitivity) >= LEAST_SENSITIVITY
        tables.append(
            pd.DataFrame(
                {
                    "PrimaryID": name, "track": track, "date": dates, "subset": number,
                    "displacement": moved, "displacement_error": np.where(number, total, np.nan),
                    "date_error": np.where(number, error, np.nan), "lasting_error": lasting,
                    "downslope": moved / one.sensitivity if tells else np.full(t.size, np.nan),
                    "sensitivity": one.sensitivity, "observed_share": one.share,
                },
                columns=SERIES,
            )
        )  # fmt: skip
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=SERIES)


def yearly(found: pd.DataFrame) -> pd.DataFrame:
    """Velocities (m/yr, toward the satellite) of each object, track and year: YEARLY.

    Where a subset has dates within 20 days of a year apart, ``period`` is "year": the median rate
    between such dates by the year of the later. Of other subsets it is "season": the mean rate from
    ``first`` to ``last`` date by least squares, which the rest of the year may not share.
    """
    rows = []
    keys = ["PrimaryID", "track", "subset"]
    for which, part in found[found["subset"] > 0].groupby(keys):
        ordered = part.sort_values("date")
        told = _between_years(ordered) or _of_season(ordered)
        rows += [{**dict(zip(keys, which, strict=True)), **one} for one in told]
    return pd.DataFrame(rows, columns=YEARLY).sort_values(
        ["PrimaryID", "track", "first"], ignore_index=True
    )


def patterns(found: pd.DataFrame) -> dict[str, tuple[str, Course]]:
    """Track and course (down the slope) of each object: of the track that sees its motion best."""
    out: dict[str, tuple[str, Course]] = {}
    for name, own in found.groupby("PrimaryID"):
        tracks = {
            track: part.dropna(subset=["downslope"]).sort_values("date")
            for track, part in own.groupby("track")
        }
        best = max(tracks, key=lambda t: _weight(tracks[t]))
        part = tracks[best]
        if part.empty:
            out[str(name)] = "", Course(NOT_OBSERVED)
            continue
        dates = part["date"].to_numpy()
        start = np.datetime64(f"{pd.Timestamp(dates[0]).year}-01-01")
        seen_by = float(part["sensitivity"].abs().iloc[0])
        told = course(
            years_since(dates, start), part["downslope"].to_numpy(float),
            subset=part["subset"].to_numpy(), noise=float(part["date_error"].iloc[0]) / seen_by,
        )  # fmt: skip
        out[str(name)] = str(best), told
    return out


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else np.nan


def _weight(part: pd.DataFrame) -> float:
    """How well a track sees an object: its dates, by how much of the motion it sees."""
    return float(len(part) * part["sensitivity"].abs().mean()) if len(part) else 0.0


@dataclass
class _Moved:
    """Motion of one object (date): subset, displacement (m) since its first date, observed share.

    ``lasting`` (m): its standard error that is alike on all dates and grows with time; ``scatter``
    (m): of the pixels on a date; ``pixels``: how many the object has.
    """

    subset: np.ndarray
    displacement: np.ndarray
    share: np.ndarray
    lasting: np.ndarray
    scatter: float
    pixels: int
    sensitivity: float = np.nan


def _pixels(
    objects: GeoDataFrame, stack: xr.Dataset, belief: xr.Dataset | None, grid: Grid
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pixels of each object (place in the map), their displacement and subset (date, pixel).

    Objects are read together, a date at a time, as many as SAMPLES_AT_ONCE allows.
    """
    at, _ = rasterised(objects.assign(kind=0), grid)
    flat = at.ravel()
    order = np.argsort(flat, kind="stable")
    edges = np.searchsorted(flat[order], np.arange(len(objects) + 1))
    inside = [order[a:b] for a, b in pairwise(edges)]
    usable = None if belief is None else belief["usable"].values.ravel()
    dates = stack.sizes[DATE]
    start = 0
    while start < len(inside):
        end, pixels = start, 0
        while end < len(inside) and (
            end == start or (pixels + inside[end].size) * dates <= SAMPLES_AT_ONCE
        ):
            pixels += inside[end].size
            end += 1
        some = np.concatenate(inside[start:end])
        rows = slice(0, 0) if not some.size else slice(
            int(some.min()) // grid.width, int(some.max()) // grid.width + 1
        )  # fmt: skip
        within = some - rows.start * grid.width
        values = np.full((dates, some.size), np.nan, np.float32)
        label = np.zeros((dates, some.size), np.int16)
        for d in range(dates):
            layer = stack.isel({DATE: d, Y: rows})
            values[d] = layer["displacement"].transpose(*MAP).values.ravel()[within]
            if "subset" in stack:
                label[d] = layer["subset"].transpose(*MAP).values.ravel()[within]
            else:
                label[d] = 1
        label[~np.isfinite(values)] = 0
        if usable is not None:
            label[:, ~usable[some]] = 0
        cuts = np.cumsum([one.size for one in inside[start:end]])[:-1]
        yield from zip(
            inside[start:end], np.split(values, cuts, axis=1), np.split(label, cuts, axis=1),
            strict=True,
        )  # fmt: skip
        start = end


def _moved(
    values: np.ndarray, label: np.ndarray, t: np.ndarray, fast: float, drift: float
) -> _Moved:
    """Motion of an object from the displacement of its pixels and their subsets (date, pixel).

    ``t``: years; ``fast``: share of its pixels that move faster than pairs resolve; ``drift``
    (m/yr): error that its pixels' rates share.
    """
    dates, pixels = values.shape
    share = (label > 0).mean(axis=1) if pixels else np.zeros(dates)
    moved, lasting = np.full(dates, np.nan), np.full(dates, np.nan)
    number = np.zeros(dates, int) if fast >= FAST_SHARE else _linked(label, share)
    scatter = []
    for name in range(1, number.max(initial=0) + 1):
        own = np.flatnonzero(number == name)
        # Each pixel shows the motion between the dates of its largest subset.
        names = np.unique(label[own][label[own] > 0])
        count = np.stack([(label[own] == one).sum(axis=0) for one in names])
        main = names[np.argmax(count, axis=0)]
        shown = np.where(label[own] == main, values[own], np.nan)[:, count.max(axis=0) > 1]
        known = np.isfinite(shown).any(axis=1)
        number[own[~known]] = 0  # dates that are alone
        own, shown = own[known], shown[known]
        if own.size:
            moved[own], rest = _polished(shown)
            lasting[own] = np.hypot(_of_unseen(shown, t[own], pixels), drift * (t[own] - t[own[0]]))
            scatter.append(rest)
    return _Moved(number, moved, share, lasting, float(np.median(scatter or [np.nan])), pixels)


def _linked(label: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Subset of each date of an object by the subsets of its pixels ``label`` (date, pixel).

    ``share`` (date): of the object that is observed. From 1; 0 where that is too little.
    """
    number = np.zeros(share.size, int)
    latest: list[int] = []  # date of each subset so far
    for d in np.flatnonzero(share >= LEAST_SHARE).tolist():
        seen = label[d] > 0
        linked = [
            float((seen & (label[d] == label[last])).sum() / (seen | (label[last] > 0)).sum())
            for last in latest
        ]
        k = int(np.argmax(linked)) if linked else 0
        if not linked or linked[k] < LINKED_SHARE:
            k = len(latest)
            latest.append(d)
        latest[k] = d
        number[d] = k + 1
    return number


def _polished(shown: np.ndarray) -> tuple[np.ndarray, float]:
    """Motion (date; m) since the first date of ``shown`` (date, pixel; NaN where unknown).

    Each pixel has an offset of its own, the median of all is their motion; by turns, so that dates
    of fewer pixels compare. Also the scatter (m) of the pixels about it, on the median date.
    """
    moved = np.zeros(len(shown))
    offset = np.nanmean(shown, axis=0)
    for _ in range(POLISHES):
        moved = np.nanmedian(shown - offset, axis=1)
        offset = np.nanmean(shown - moved[:, None], axis=0)
    left = np.abs(shown - offset - moved[:, None])
    return moved - moved[0], NORMAL_MAD * float(np.median(np.nanmedian(left, axis=1)))


def _of_unseen(shown: np.ndarray, t: np.ndarray, pixels: int) -> np.ndarray:
    """Standard error (date; m) of the motion since the first date from pixels that are not seen.

    ``shown`` (date, pixel), of an object of so many ``pixels``, at ``t`` (years).
    """
    out = np.zeros(t.size)
    since = 0  # the date after the latest gap
    for d in range(1, t.size):
        after_gap = (t[d] - t[d - 1]) * YEAR_DAYS > LONGEST_DAYS
        together = np.isfinite(shown[d] - shown[since]).any()
        before = since if together and not after_gap else d - 1
        run = shown[d] - shown[before]
        run = run[np.isfinite(run)]
        out[d] = out[before] + _unseen(run, run.size / pixels)
        since = d if after_gap else since
    return out


def _unseen(values: np.ndarray, share: float) -> float:
    """Standard error (m) of the median of an object of which ``values`` are a ``share``.

    Those not seen may be the least or the most: the median lies evenly between what follows.
    """
    if not values.size:
        return float(np.inf)
    low, high = max(0.0, 1.0 - 0.5 / share), min(1.0, 0.5 / share)
    return float(np.ptp(np.quantile(values, [low, high])) / np.sqrt(12.0))


def _date_errors(found: list[_Moved], t: np.ndarray, grid: Grid) -> list[float]:
    """Standard error (m) of one date of each object, from how dates depart from their neighbours.

    Departures of three dates each are half as many independent ones. Where no object has any, the
    scatter of the pixels over the independent parts of the object tells.
    """
    near = LONGEST_DAYS / YEAR_DAYS
    squares, count = np.zeros(len(found)), np.zeros(len(found))
    for k, one in enumerate(found):
        for name in np.unique(one.subset[one.subset > 0]):
            own = np.flatnonzero(one.subset == name)
            time, moved = t[own], one.displacement[own]
            before, after = np.diff(time)[:-1], np.diff(time)[1:]
            a = after / (before + after)  # weight of the date before
            off = moved[1:-1] - a * moved[:-2] - (1.0 - a) * moved[2:]
            close = (before <= near) & (after <= near)
            squares[k] += float((off**2 / (1.0 + a**2 + (1.0 - a) ** 2))[close].sum())
            count[k] += int(close.sum())
    known = count > 0
    if not known.any():
        parts = [max(1.0, one.pixels * grid.spacing_m[0] * grid.spacing_m[1] / ALIKE_M2)
                 for one in found]  # fmt: skip
        return [float(1.253 * one.scatter / np.sqrt(2.0 * n))
                for one, n in zip(found, parts, strict=True)]  # fmt: skip
    common = float(np.average(squares[known] / count[known], weights=np.minimum(count[known], 20)))
    common = min(common, 2.0 * float(np.median(squares[known] / count[known])))
    worth = 0.5 * count
    own_variance = squares / np.maximum(count, 1)
    return [float(v) for v in np.sqrt(
        (worth * own_variance + LIKE_OTHERS * common) / (worth + LIKE_OTHERS)
    )]  # fmt: skip


def _sure(
    one: _Moved, t: np.ndarray, error: float, cycle: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Subset, displacement and what was not seen, subsets cut at gaps of unsure whole cycles.

    Over a gap longer than LONGEST_DAYS the dates around it foretell the motion by their rate. The
    next cycle (``cycle``, m: half a wavelength) must lie further from it than RATE_CHANGE of that
    and SIGNIFICANT standard errors; pairs across such gaps err alike, and closures do not show it.
    """
    number = np.zeros_like(one.subset)
    moved, lasting = one.displacement.copy(), one.lasting.copy()
    pieces: list[np.ndarray] = []
    for name in np.unique(one.subset[one.subset > 0]):
        own = np.flatnonzero(one.subset == name)
        gaps = np.flatnonzero(np.diff(t[own]) * YEAR_DAYS > LONGEST_DAYS) + 1
        parts = np.split(own, gaps)
        kept = parts[0]
        latest = parts[0]
        for part in parts[1:]:
            if _foretold(latest, part, t, one.displacement, error, cycle):
                kept = np.concatenate([kept, part])
            else:
                pieces.append(kept)
                kept = part
            latest = part
        pieces.append(kept)
    for k, own in enumerate(sorted(pieces, key=lambda piece: int(piece[0])), start=1):
        number[own] = k
        moved[own] -= moved[own[0]]
        lasting[own] -= lasting[own[0]]
    return number, moved, lasting


def _foretold(
    before: np.ndarray, after: np.ndarray, t: np.ndarray, moved: np.ndarray, error: float,
    cycle: float,
) -> bool:  # fmt: skip
    """Whether only what was seen over the gap fits the rate of the dates ``before`` and ``after``.

    True too where too few dates tell a rate: nothing speaks against it then.
    """
    if min(before.size, after.size) < LEAST_DATES:
        return True
    centred = [(t[own] - t[own].mean(), moved[own]) for own in (before, after)]
    squares = sum(float(time @ time) for time, _ in centred)
    rate = sum(float(time @ value) for time, value in centred) / squares
    gap = t[after[0]] - t[before[-1]]
    off = abs(moved[after[0]] - moved[before[-1]] - rate * gap)
    doubt = SIGNIFICANT * error * np.hypot(gap / np.sqrt(squares), np.sqrt(2.0))
    return bool(off + RATE_CHANGE * abs(rate) * gap + doubt < cycle)


def _between_years(part: pd.DataFrame) -> list[dict[str, object]]:
    """Rows of the velocity between the same days of successive years, of one subset."""
    dates = part["date"].to_numpy()
    days = dates.astype("datetime64[D]").astype(int)
    moved = part["displacement"].to_numpy()
    lag = days[None, :] - days[:, None]
    first, second = np.nonzero(np.abs(lag - YEAR_DAYS) <= NEAR_YEAR_DAYS)
    rate = (moved[second] - moved[first]) / (lag[first, second] / YEAR_DAYS)
    year = part["date"].dt.year.to_numpy()[second]
    rows: list[dict[str, object]] = []
    for one in np.unique(year):
        these = year == one
        used = np.unique(np.concatenate([first[these], second[these]]))
        spread = NORMAL_MAD * float(np.median(np.abs(rate[these] - np.median(rate[these]))))
        # Of n dates a year each is good for one rate, however many pairs they make.
        pairs = max(1.0, min(float(these.sum()), used.size / 2.0))
        two = float(part["date_error"].iloc[0]) * np.sqrt(2.0)
        lasting = part["lasting_error"].to_numpy()
        grown = float(np.median(np.abs(lasting[second[these]] - lasting[first[these]])))
        error = np.hypot(1.253 * max(spread, two) / np.sqrt(pairs), grown)
        rows.append(
            {"year": int(one), "period": YEAR, "first": dates[used[0]], "last": dates[used[-1]],
             "velocity": float(np.median(rate[these])), "velocity_error": float(error),
             "dates": int(used.size)}
        )  # fmt: skip
    return rows


def _of_season(part: pd.DataFrame) -> list[dict[str, object]]:
    """The row of the mean velocity of a subset that shows no year; none of too few dates."""
    dates, moved = part["date"].to_numpy(), part["displacement"].to_numpy()
    if dates.size < LEAST_DATES:
        return []
    t = years_since(dates, dates[0])
    centred = t - t.mean()
    squares = float(centred @ centred)
    rate = float(centred @ moved) / squares
    left = moved - moved.mean() - rate * centred
    scatter = np.sqrt(float(left @ left) / (dates.size - 2))
    noise = max(float(part["date_error"].iloc[0]), scatter)
    lasting = float(centred @ part["lasting_error"].to_numpy()) / squares
    error = np.hypot(noise / np.sqrt(squares), lasting)
    middle = pd.Timestamp(dates[0] + (dates[-1] - dates[0]) // 2)
    return [
        {"year": int(middle.year), "period": SEASON, "first": dates[0], "last": dates[-1],
         "velocity": rate, "velocity_error": float(error), "dates": int(dates.size)}
    ]  # fmt: skip
