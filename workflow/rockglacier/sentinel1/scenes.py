"""Which scenes of a track can be used: one row a burst and date, and what is wrong with the rest.

Scenes are looked at before any pair is formed, so that a bad one costs its own date and no other.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rockglacier.errors import NetworkError
from rockglacier.readers.stack import Rejected
from rockglacier.sentinel1 import screening
from rockglacier.sentinel1.annotation import Burst, Swath, ground_of_bursts
from rockglacier.sentinel1.orbit import Orbit, choose_orbit, perpendicular_baseline
from rockglacier.sentinel1.safe import Safe
from rockglacier.sentinel1.screening import Bounds, Part, flaw

logger = logging.getLogger(__name__)

COLUMNS = [
    *("date", "mission", "absolute_orbit", "relative_orbit", "swath", "burst", "number"),
    *("azimuth_time", "polarisations", "west", "south", "east", "north"),
    *("orbit_kind", "orbit_file", "perpendicular_baseline_m", "path", "stem"),
]
# ASSUME: a burst that fewer than half of the dates hold is not part of the track.
COMMON_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class _Part(Part):
    """One swath of one product."""

    swath: Swath
    ground: tuple[np.ndarray, ...]  # of each burst (point, 2): longitude and latitude, degrees

    def names(self) -> list[str]:
        """Names of the bursts."""
        bursts = self.swath.bursts
        return [burst_name(self.relative_orbit, b.burst_id, self.swath.swath) for b in bursts]


def check_scenes(
    paths: Iterable[str | Path],
    *,
    orbit_files: Sequence[str | Path] = (),
    polarisation: str = "VV",
    area: Sequence[float] | None = None,
    period: Sequence[object] | None = None,
    dem_bounds: Bounds | None = None,
    threads: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame, list[Rejected]]:
    """Look at the products ``paths``; the bursts to use, those to leave aside, and what is wrong.

    Both tables have COLUMNS, one row a date and burst, ascending. The first holds, for every date,
    the same bursts: those that touch ``area`` (west, south, east, north; degrees) and that at least
    half of the dates hold; where most dates lack one of these, the set of bursts that keeps most
    bursts in all. A date that lacks one of them is rejected, and so is one whose pixels
    are missing, cut off or zero, whose orbit is unknown, which is of another relative orbit than
    most, or whose bursts (within ``area``) the DEM with ``dem_bounds`` (degrees) does not cover.
    A product whose other polarisation cannot be read counts as without. Of two
    products with one burst the one processed last serves, unless its pixels are flawed.
    Perpendicular baselines (m) refer to the first date, at the middle of the bursts.

    Raises
    ------
    NetworkError
        Fewer than two dates are left, or no product touches ``area``; the message says why.
    """
    paths = list(paths)
    parts, rejected = screening.open_parts(paths, "SLC", polarisation, _read, threads=threads)
    parts = screening.of_one_orbit(parts, area, period, rejected)
    screening.require_touching(parts, area)
    table = _table(screening.by_date(parts, period), rejected)
    near = {
        name
        for part in parts
        for name, ground in zip(part.names(), part.ground, strict=True)
        if screening.touches(ground, area)
    }
    share = table.groupby("burst").date.nunique() / max(1, table.date.nunique())
    common = _common(table[table.burst.isin(near)], share)
    aside = table[~table.burst.isin(common)]
    table = table[table.burst.isin(common)]
    for date, day in table.groupby("date"):
        lacking = sorted(common - set(day.burst))
        if lacking:
            rejected.append(
                flaw(
                    date, day.path.iloc[0], "missing burst",
                    found=f"no burst {', '.join(lacking)}",
                    needed=f"the {len(common)} bursts that the track uses",
                    remedy="add the neighbouring product of that day, or give an area without them",
                )
            )  # fmt: skip
    table = screening.without(table, rejected)
    swaths = {(str(part.safe.path), part.stem): part for part in parts}

    def look(path: str, stem: str, rows: pd.DataFrame) -> str:
        return _probe(swaths[path, stem], list(rows.number))

    rejected += screening.flaws_of_dates(table, area, dem_bounds, look, threads=threads)
    table = _with_orbits(screening.without(table, rejected), swaths, orbit_files, rejected)
    table = screening.without(table, rejected).reset_index(drop=True)
    for one in rejected:
        logger.warning("left out: %s", one.flaw)
    for burst, rows in aside.groupby("burst"):
        logger.info(
            "burst %s is not used: %s", burst,
            "outside the area" if burst not in near
            else f"only {rows.date.nunique()} dates hold it",
        )  # fmt: skip
    if table.date.nunique() < 2:
        raise NetworkError(
            f"{len(paths)} product(s) gave {table.date.nunique()} usable date(s); two or more of "
            f"one relative orbit are needed"
            f"{f' within the period {list(period)}' if period else ''}: add scenes, mend those "
            f"left out{', or widen the period' if period else ''}."
            f"{screening.listed(rejected)}"
        )
    return table, aside.reset_index(drop=True), rejected


def _read(safe: Safe, stem: str) -> _Part:
    swath = safe.annotation(stem)
    name = f"annotation/{stem}.xml"
    ground = ground_of_bursts(safe.read(name), f"{safe.path}/{name}")
    return _Part(
        safe, stem, swath.bursts[0].start, int(str(safe.manifest["orbit_number"])),
        safe.relative_orbit, np.concatenate(ground), swath, ground,
    )  # fmt: skip


def _common(near: pd.DataFrame, share: pd.Series) -> set[str]:
    """The bursts that every date is to hold, of those ``near`` (date, burst; of the area).

    Those that COMMON_SHARE of the dates hold; but where most dates lack one of them, what some
    dates hold or share, so that as many bursts of as many dates as possible are kept.
    """
    held = [frozenset(day.burst) for _, day in near.groupby("date")]
    usual = frozenset(share[share >= COMMON_SHARE].index) & frozenset(near.burst)

    def kept(wanted: frozenset[str]) -> int:
        return sum(wanted <= of_date for of_date in held)

    if usual and kept(usual) >= max(2, 0.5 * len(held)):
        return set(usual)
    every = set(held)
    tried = every | {a & b for a in every for b in every} | {usual}
    tried = {wanted for wanted in tried if wanted}
    best = max(
        tried, default=usual,
        key=lambda wanted: (kept(wanted) >= 2, kept(wanted) * len(wanted), sorted(wanted)),
    )  # fmt: skip
    return set(best if kept(best) >= 2 else usual)


def _table(dates: dict[pd.Timestamp, list[_Part]], rejected: list[Rejected]) -> pd.DataFrame:
    rows = []
    for date, parts in dates.items():
        taken: dict[str, str] = {}
        times = Counter(name for part in parts for name in part.names())

        def doubled(part: _Part, times: Counter[str] = times) -> bool:
            return any(times[name] > 1 for name in part.names())

        serving = set()
        for part in screening.in_order(parts, doubled, lambda p: _probe(p, range(len(p.ground)))):
            held = screening.polarisations(
                part, part.swath.polarisation, lambda p: _probe(p, range(len(p.ground)))
            )
            path = str(part.safe.path)
            for name, burst, ground in zip(
                part.names(), part.swath.bursts, part.ground, strict=True
            ):
                if name in taken:
                    logger.info("burst %s of %s is taken from %s", name, path, taken[name])
                    continue
                taken[name] = path
                serving.add(path)
                (west, south), (east, north) = ground.min(axis=0), ground.max(axis=0)
                rows.append(
                    (date, part.swath.mission, part.absolute_orbit, part.relative_orbit,
                     part.swath.swath, name, burst.number,
                     str(burst.start.astype("datetime64[us]")), " ".join(held),
                     west, south, east, north, "", "", np.nan, path, part.stem)
                )  # fmt: skip
        told = {str(part.safe.path): part.names()[0] for part in reversed(parts)}
        for path in sorted(set(told) - serving):
            name = told[path]
            rejected.append(screening.twice(path, f"burst {name}", date, taken[name]))
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"date": "datetime64[ns]"})
    return table.sort_values(["date", "burst"]).reset_index(drop=True)


def _probe(part: _Part, numbers: Iterable[int]) -> str:
    """What is wrong with the pixels of the bursts ``numbers``; empty where nothing is."""
    swath, each = part.swath, part.swath.lines_per_burst
    pieces = {}
    for number in numbers:
        lines = swath.bursts[number].valid_lines
        pieces[f"burst {number}"] = slice(number * each + lines.start, number * each + lines.stop)
    shape = len(swath.bursts) * each, swath.samples_per_burst
    return screening.probe(part.safe, part.stem, shape, 4, pieces)


def burst_name(relative_orbit: int, burst_id: int, swath: str) -> str:
    """Name of a burst that is the same on every date, as ASF and ESA's burst map write it."""
    return f"{relative_orbit:03d}_{burst_id:06d}_{swath}"


def orbit_of(bursts: Sequence[tuple[Swath, Burst]], files: Sequence[str | Path]) -> Orbit:
    """The orbit of one date, around its ``bursts``."""
    starts = [burst.start for _, burst in bursts]
    ends = min(starts) - screening.MARGIN, max(starts) + 2 * screening.MARGIN
    vectors = screening.joined([swath.orbit for swath, _ in bursts])
    return choose_orbit(files, bursts[0][0].mission, *ends, vectors)


def _with_orbits(
    table: pd.DataFrame,
    swaths: dict[tuple[str, str], _Part],
    files: Sequence[str | Path],
    rejected: list[Rejected],
) -> pd.DataFrame:
    """``table`` with the orbit of each date and its baseline against the first."""
    from pyproj import Transformer

    if table.empty:
        return table

    def orbit_on(day: pd.DataFrame) -> Orbit:
        columns = (day[name].tolist() for name in ("path", "stem", "number"))
        bursts = [
            (swath, swath.bursts[number])
            for path, stem, number in zip(*columns, strict=True)
            for swath in [swaths[path, stem].swath]
        ]
        return orbit_of(bursts, files)

    out, orbits = screening.with_orbits(table, orbit_on, rejected)
    to = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    east = 0.5 * (table.west.min() + table.east.max())
    north = 0.5 * (table.south.min() + table.north.max())
    middle = np.array(to.transform(east, north, 0.0))
    for date, orbit in orbits.items():
        first = next(iter(orbits.values()))
        baseline = float(perpendicular_baseline(first, orbit, middle[None])[0])
        out.loc[out.date == date, "perpendicular_baseline_m"] = round(baseline, 2)
    return out
