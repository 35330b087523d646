"""Which scenes of a track can be used: one row a burst and date, and what is wrong with the rest.

Scenes are looked at before any pair is formed, so that a bad one costs its own date and no other.
"""

from __future__ import annotations

import logging
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rockglacier.errors import NetworkError, SceneError
from rockglacier.readers.stack import FlawedPair, Rejected
from rockglacier.sentinel1.annotation import Burst, Swath, ground_of_bursts
from rockglacier.sentinel1.orbit import Orbit, choose_orbit, perpendicular_baseline
from rockglacier.sentinel1.safe import MANIFEST, Safe, open_pixels, open_safe

logger = logging.getLogger(__name__)

COLUMNS = [
    *("date", "mission", "absolute_orbit", "relative_orbit", "swath", "burst", "number"),
    *("azimuth_time", "polarisations", "west", "south", "east", "north"),
    *("orbit_kind", "orbit_file", "perpendicular_baseline_m", "path", "stem"),
]
# ASSUME: a burst that fewer than half of the dates hold is not part of the track.
COMMON_SHARE = 0.5
ORBIT_SUFFIX = ".EOF"
POLARISATIONS = ("VV", "VH", "HH", "HV")
PROBED_LINES = 5  # of each burst, read to tell pixels from zeros
EMPTY_RATIO = 200.0  # real pixels hardly compress; zeros do, beyond this
MARGIN = np.timedelta64(3, "s")  # around the first lines of bursts, for the orbit

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class _Part:
    """One swath of one product."""

    safe: Safe
    stem: str
    swath: Swath
    ground: tuple[Bounds, ...]  # of each burst, degrees
    absolute_orbit: int
    relative_orbit: int


def find_scenes(path: str | Path) -> list[Path]:
    """Products below ``path``: zips, and folders that hold a manifest; or ``path`` itself."""
    place = Path(path)
    if place.is_file() or (place / MANIFEST).is_file():
        return [place]
    folders = {manifest.parent for manifest in place.rglob(MANIFEST)}
    zips = {file for file in place.rglob("*.zip") if not folders & set(file.parents)}
    return sorted(folders | zips)


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
    rejected: list[Rejected] = []
    with ThreadPoolExecutor(threads) as pool:
        opened = list(pool.map(lambda path: _opened(path, polarisation), paths))
    parts: list[_Part] = []
    for found in opened:
        if isinstance(found, Rejected):
            rejected.append(found)
        else:
            parts += found
    parts = _of_one_orbit(parts, rejected)
    dates = _by_date(parts, period)
    table = _table(dates, rejected)
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
                _flaw(
                    date, day.path.iloc[0], "missing burst",
                    found=f"no burst {', '.join(lacking)}",
                    needed=f"the {len(common)} bursts that the track uses",
                    remedy="add the neighbouring product of that day, or give an area without them",
                )
            )  # fmt: skip
    table = _without(table, rejected)
    swaths = {(str(part.safe.path), part.stem): part for part in parts}
    with ThreadPoolExecutor(threads) as pool:
        days = [day for _, day in table.groupby("date")]
        for flaw in pool.map(lambda day: _flaw_of_pixels(day, swaths, area, dem_bounds), days):
            rejected += [flaw] if flaw else []
    table = _without(table, rejected)
    table = _with_orbits(table, swaths, orbit_files, rejected)
    table = _without(table, rejected).reset_index(drop=True)
    for one in rejected:
        logger.warning("left out: %s", one.flaw)
    for burst, rows in aside.groupby("burst"):
        logger.info(
            "burst %s is not used: %s", burst,
            "outside the area" if share[burst] >= COMMON_SHARE
            else f"only {rows.date.nunique()} dates hold it",
        )  # fmt: skip
    if table.date.nunique() < 2:
        why = "".join(f"\n  left out: {r.flaw}" for r in rejected[:5])
        raise NetworkError(
            f"{len(opened)} product(s) gave {table.date.nunique()} usable date(s); two or more of "
            f"one relative orbit are needed: add scenes, or mend those left out.{why}"
        )
    return table, aside.reset_index(drop=True), rejected


def _flaw(date: object, path: object, reason: str, **parts: str) -> Rejected:
    day = pd.Timestamp(str(date)).strftime("%Y%m%d") if date else ""
    return Rejected(day, FlawedPair(str(path), reason, **parts))


def _opened(path: str | Path, polarisation: str) -> list[_Part] | Rejected:
    """The swaths of one product, or what is wrong with it."""
    try:
        safe = open_safe(path)
        stems = safe.swaths(polarisation)
        if not stems:
            return _flaw(
                "", path, "polarisation missing",
                found=f"no annotation of {polarisation}",
                needed=f"an IW SLC with {polarisation}",
                remedy="download the product with it, or set polarisation",
            )  # fmt: skip
        for stem in stems:  # read here, so that one that lacks them costs its own date only
            safe.calibration(stem), safe.noise(stem)
        absolute = int(str(safe.manifest["orbit_number"]))
        return [
            _Part(
                safe, stem, safe.annotation(stem), ground_of_bursts(
                    safe.read(f"annotation/{stem}.xml"), f"{safe.path}/annotation/{stem}.xml"
                ),
                absolute, safe.relative_orbit,
            )
            for stem in stems
        ]  # fmt: skip
    except SceneError as error:
        return _flaw(
            "", path, "unreadable product", found=str(error),
            needed="a whole SAFE product", remedy="download it again",
        )  # fmt: skip


def _of_one_orbit(parts: list[_Part], rejected: list[Rejected]) -> list[_Part]:
    """Parts of the relative orbit that most dates are of; the others are rejected."""
    passes = {(p.relative_orbit, p.absolute_orbit) for p in parts}
    if not passes:
        return parts
    most = Counter(relative for relative, _ in sorted(passes)).most_common(1)[0][0]
    seen = set()
    for part in parts:
        if part.relative_orbit != most and part.safe.path not in seen:
            seen.add(part.safe.path)
            rejected.append(
                _flaw(
                    part.swath.bursts[0].start, part.safe.path, "other relative orbit",
                    found=f"relative orbit {part.relative_orbit}",
                    needed=f"{most}, as of most dates",
                    remedy="give scenes of another orbit a track of their own",
                )
            )  # fmt: skip
    return [part for part in parts if part.relative_orbit == most]


def _by_date(
    parts: list[_Part], period: Sequence[object] | None
) -> dict[pd.Timestamp, list[_Part]]:
    """Parts by the day on which their pass began: slices across midnight are of one date."""
    first: dict[tuple[str, int], np.datetime64] = {}
    for part in parts:
        key = part.swath.mission, part.absolute_orbit
        first[key] = min(first.get(key, part.swath.bursts[0].start), part.swath.bursts[0].start)
    dates: dict[pd.Timestamp, list[_Part]] = {}
    for part in parts:
        day = pd.Timestamp(first[part.swath.mission, part.absolute_orbit]).normalize()
        begins, ends = (pd.Timestamp(str(p)) if p else None for p in (period or (None, None)))
        if (begins is None or day >= begins) and (ends is None or day <= ends):
            dates.setdefault(day, []).append(part)
    return dict(sorted(dates.items()))


def _table(dates: dict[pd.Timestamp, list[_Part]], rejected: list[Rejected]) -> pd.DataFrame:
    rows = []
    for date, parts in dates.items():
        taken: dict[str, str] = {}
        told = set()
        for part in sorted(parts, key=lambda p: str(p.safe.path)):
            held = [name for name in POLARISATIONS if part.safe.swaths(name)]
            for burst, bounds in zip(part.swath.bursts, part.ground, strict=True):
                path = str(part.safe.path)
                name = burst_name(part.relative_orbit, burst.burst_id, part.swath.swath)
                if name in taken:
                    if path not in told:
                        told.add(path)
                        rejected.append(_double(path, name, date, taken[name]))
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


def _double(path: str, burst: str, date: pd.Timestamp, other: str) -> Rejected:
    return _flaw(
        "", path, "duplicate date",
        found=f"burst {burst} of {date:%Y-%m-%d}, which {other} holds too",
        needed="each burst once a date",
        remedy="remove one of the two products",
    )  # fmt: skip


def _without(table: pd.DataFrame, rejected: list[Rejected]) -> pd.DataFrame:
    """``table`` without the dates that were rejected as a whole."""
    days = {one.pair for one in rejected if one.pair}
    kept: pd.DataFrame = table[~table.date.dt.strftime("%Y%m%d").isin(days)]
    return kept


def _flaw_of_pixels(
    day: pd.DataFrame,
    swaths: dict[tuple[str, str], _Part],
    area: Sequence[float] | None,
    dem_bounds: Bounds | None,
) -> Rejected | None:
    """What is wrong with the pixels of one date, or with the DEM under them."""
    date = day.date.iloc[0]
    if dem_bounds is not None:
        uncovered = _uncovered(day, area, dem_bounds)
        if uncovered:
            return _flaw(date, day.path.iloc[0], "DEM too small", **uncovered)
    for key, rows in day.groupby(["path", "stem"]):
        path, stem = map(str, key)
        part = swaths[path, stem]
        try:
            found = probe(part.safe, part.stem, part.swath, list(rows.number))
        except SceneError as error:
            found = str(error)
        if found:
            return _flaw(
                date, path, "pixels missing", found=found,
                needed="the measurement that the annotation describes",
                remedy="download the product again",
            )  # fmt: skip
    return None


def probe(safe: Safe, stem: str, swath: Swath, numbers: Iterable[int]) -> str:
    """What is wrong with the pixels of the bursts ``numbers``; empty where nothing is.

    Lines of each burst are read. Of a zip, whose pixels would have to be unpacked up to there, the
    directory's sizes are compared, and pixels are read only where they compress like zeros.
    """
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    place = safe.measurement(stem)
    shape = len(swath.bursts) * swath.lines_per_burst, swath.samples_per_burst
    if safe.path.is_file():
        with zipfile.ZipFile(safe.path) as archive:
            member = archive.getinfo(safe.prefix + place.partition(safe.place)[2])
        if member.file_size < 4 * shape[0] * shape[1]:
            return f"{member.file_size} bytes of {member.filename}, too few for {shape} pixels"
        if member.file_size < EMPTY_RATIO * member.compress_size:
            return ""
    try:
        with open_pixels(place) as source:
            if (source.height, source.width) != shape:
                return f"{(source.height, source.width)} pixels in {place}, not {shape}"
            for number in numbers:
                lines = swath.bursts[number].valid_lines
                first = number * swath.lines_per_burst
                seen = False
                for line in np.linspace(lines.start, lines.stop - 1, PROBED_LINES).astype(int):
                    window = Window(0, first + int(line), shape[1], 1)
                    seen |= bool(np.any(source.read(1, window=window)))
                if not seen:
                    return f"only zeros in burst {number} of {place}"
    except RasterioError as error:
        return f"{place} cannot be read ({error})"
    return ""


def _uncovered(
    day: pd.DataFrame, area: Sequence[float] | None, dem: Bounds
) -> dict[str, str] | None:
    """How much of the bursts (within ``area``) lies beyond the DEM; None where nothing does."""
    west, south, east, north = day.west.min(), day.south.min(), day.east.max(), day.north.max()
    if area is not None:
        west, south = max(west, area[0]), max(south, area[1])
        east, north = min(east, area[2]), min(north, area[3])
    wide = max(0.0, min(east, dem[2]) - max(west, dem[0]))
    high = max(0.0, min(north, dem[3]) - max(south, dem[1]))
    whole = (east - west) * (north - south)
    if whole <= 0.0 or wide * high >= 0.999 * whole:
        return None
    return {
        "found": f"heights for {100.0 * wide * high / whole:.0f} % of {west:.3f} to {east:.3f} "
        f"degrees east, {south:.3f} to {north:.3f} degrees north",
        "needed": "heights under all bursts, or under all of the area",
        "remedy": "give a larger DEM, or an area within it",
    }


def burst_name(relative_orbit: int, burst_id: int, swath: str) -> str:
    """Name of a burst that is the same on every date, as ASF and ESA's burst map write it."""
    return f"{relative_orbit:03d}_{burst_id:06d}_{swath}"


def orbit_of(bursts: Sequence[tuple[Swath, Burst]], files: Sequence[str | Path]) -> Orbit:
    """The orbit of one date, around its ``bursts``."""
    starts = [burst.start for _, burst in bursts]
    ends = min(starts) - MARGIN, max(starts) + 2 * MARGIN
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
    out = table.copy()
    to = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    east = 0.5 * (table.west.min() + table.east.max())
    north = 0.5 * (table.south.min() + table.north.max())
    middle = np.array(to.transform(east, north, 0.0))
    first: Orbit | None = None
    for date, day in table.groupby("date"):
        columns = (day[name].tolist() for name in ("path", "stem", "number"))
        bursts = [
            (swath, swath.bursts[number])
            for path, stem, number in zip(*columns, strict=True)
            for swath in [swaths[path, stem].swath]
        ]
        try:
            orbit = orbit_of(bursts, files)
        except SceneError as error:
            rejected.append(
                _flaw(
                    date, day.path.iloc[0], "orbit unknown", found=str(error),
                    needed="state vectors around the scene",
                    remedy="put the orbit file of that day into the folder of orbits",
                )
            )  # fmt: skip
            continue
        first = orbit if first is None else first
        out.loc[day.index, "orbit_kind"] = orbit.kind
        out.loc[day.index, "orbit_file"] = orbit.path
        baseline = float(perpendicular_baseline(first, orbit, middle[None])[0])
        out.loc[day.index, "perpendicular_baseline_m"] = round(baseline, 2)
    return out
