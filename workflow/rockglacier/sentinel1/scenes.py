"""Which scenes of a track can be used: one row a burst and date, and what is wrong with the rest.

Scenes are looked at before any pair is formed, so that a bad one costs its own date and no other.
"""

from __future__ import annotations

import logging
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
    ground: tuple[Bounds, ...]  # of each burst, degrees


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
    half of the dates hold. A date that lacks one of them is rejected, and so is one whose pixels
    are missing, cut off or zero, whose orbit is unknown, which is of another relative orbit than
    most, or whose bursts (within ``area``) the DEM with ``dem_bounds`` (degrees) does not cover.
    Perpendicular baselines (m) refer to the first date, at the middle of the bursts.

    Raises
    ------
    NetworkError
        Fewer than two dates are left; the message lists why.
    """
    paths = list(paths)
    parts, rejected = screening.open_parts(paths, "SLC", polarisation, _read, threads=threads)
    parts = screening.of_one_orbit(parts, rejected)
    table = _table(screening.by_date(parts, period), rejected)
    inside = np.ones(len(table), bool)
    if area is not None:
        west, south, east, north = area
        inside &= (table.east > west) & (table.west < east)
        inside &= (table.north > south) & (table.south < north)
    share = table.groupby("burst").date.nunique() / max(1, table.date.nunique())
    common = set(share[share >= COMMON_SHARE].index) & set(table.burst[inside])
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
            "outside the area" if share[burst] >= COMMON_SHARE
            else f"only {rows.date.nunique()} dates hold it",
        )  # fmt: skip
    if table.date.nunique() < 2:
        raise NetworkError(
            f"{len(paths)} product(s) gave {table.date.nunique()} usable date(s); two or more of "
            f"one relative orbit are needed: add scenes, or mend those left out."
            f"{screening.listed(rejected)}"
        )
    return table, aside.reset_index(drop=True), rejected


def _read(safe: Safe, stem: str) -> _Part:
    swath = safe.annotation(stem)
    name = f"annotation/{stem}.xml"
    return _Part(
        safe, stem, swath.bursts[0].start, int(str(safe.manifest["orbit_number"])),
        safe.relative_orbit, swath, ground_of_bursts(safe.read(name), f"{safe.path}/{name}"),
    )  # fmt: skip


def _table(dates: dict[pd.Timestamp, list[_Part]], rejected: list[Rejected]) -> pd.DataFrame:
    rows = []
    for date, parts in dates.items():
        taken: dict[str, str] = {}
        told = set()
        for part in sorted(parts, key=lambda p: str(p.safe.path)):
            held = [name for name in screening.POLARISATIONS if part.safe.swaths(name)]
            for burst, bounds in zip(part.swath.bursts, part.ground, strict=True):
                path = str(part.safe.path)
                name = burst_name(part.relative_orbit, burst.burst_id, part.swath.swath)
                if name in taken:
                    if path not in told:
                        told.add(path)
                        rejected.append(screening.twice(path, f"burst {name}", date, taken[name]))
                    continue
                taken[name] = path
                rows.append(
                    (date, part.swath.mission, part.absolute_orbit, part.relative_orbit,
                     part.swath.swath, name, burst.number,
                     str(burst.start.astype("datetime64[us]")), " ".join(held), *bounds,
                     "", "", np.nan, path, part.stem)
                )  # fmt: skip
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
    swath = bursts[0][0]
    return choose_orbit(files, swath.mission, *ends, swath.orbit)


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
