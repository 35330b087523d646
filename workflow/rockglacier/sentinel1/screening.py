"""What is looked at in every scene before it is used, whether its products are SLC or GRD."""

from __future__ import annotations

import logging
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier.errors import NetworkError, SceneError
from rockglacier.optical.scene import below
from rockglacier.readers.stack import FlawedPair, Rejected
from rockglacier.sentinel1.orbit import Orbit
from rockglacier.sentinel1.safe import MANIFEST, Safe, open_pixels, open_safe

logger = logging.getLogger(__name__)

ORBIT_SUFFIX = ".EOF"
SOURCES = {"SLC": "scenes", "GRD": "grd"}  # of a track, by the type of its products
POLARISATIONS = ("VV", "VH", "HH", "HV")
PROBED_LINES = 5  # of each burst or image, read to tell pixels from zeros
EMPTY_RATIO = 200.0  # real pixels hardly compress; zeros do, beyond this
MARGIN = np.timedelta64(3, "s")  # before the first line and after the last, for the orbit

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Part:
    """What one product holds of a polarisation: a swath of an SLC, the image of a GRD."""

    safe: Safe
    stem: str
    start: np.datetime64  # of the first line
    absolute_orbit: int
    relative_orbit: int
    outline: np.ndarray  # (point, 2): longitude and latitude (degrees) on its ground


AnyPart = TypeVar("AnyPart", bound=Part)


def find_scenes(path: str | Path) -> list[Path]:
    """Products below ``path``: zips, and folders that hold a manifest; or ``path`` itself."""
    place = Path(path)
    if place.is_file() or (place / MANIFEST).is_file():
        return [place]
    files = below(place, "*")
    # A folder that is named as a product counts without a manifest too: it is then said to lack it.
    folders = {f.parent for f in files if f.name == MANIFEST}
    named = {d for f in files for d in f.parents if d.suffix.upper() == ".SAFE" and d != place}
    folders |= {d for d in named if place in d.parents}
    zips = {f for f in files if f.suffix.lower() == ".zip"}
    zips = {f for f in zips if not folders & set(f.parents) and not is_orbit_file(f.stem)}
    return sorted(folders | zips)


def orbit_files(folder: str | Path, scenes: str | Path) -> list[Path]:
    """Orbit files below ``folder``, or where none is given among the products below ``scenes``."""
    place = Path(str(folder or scenes))
    every = [place] if place.is_file() else below(place, "*")
    files = {p for p in every if ORBIT_SUFFIX in p.name.upper()}
    packed = sorted(p for p in files if not is_orbit_file(p))
    if packed:
        logger.warning(
            "%d orbit file(s) are packed and not read (%s, ...): unpack them",
            len(packed),
            packed[0],
        )
    return sorted(files - set(packed))


def is_orbit_file(path: str | Path) -> bool:
    """Whether ``path`` is named as an orbit file, not an annotation."""
    return str(path).upper().endswith(ORBIT_SUFFIX)


def flaw(date: object, path: object, reason: str, **parts: str) -> Rejected:
    """The rejection of ``date`` as a whole, or of a product alone where it is empty."""
    day = pd.Timestamp(str(date)).strftime("%Y%m%d") if date else ""
    return Rejected(day, FlawedPair(str(path), reason, **parts))


def open_parts(
    paths: Iterable[str | Path],
    product: str,
    polarisation: str,
    read: Callable[[Safe, str], AnyPart],
    *,
    threads: int,
) -> tuple[list[AnyPart], list[Rejected]]:
    """What ``read`` makes of each stem of the products ``paths``, and what is wrong with others.

    ``product``: the type that is needed, SLC or GRD.
    """

    def opened(path: str | Path) -> list[AnyPart] | Rejected:
        try:
            safe = open_safe(path)
            if safe.product_type != product:
                return _other_product(path, safe.product_type, product)
            stems = safe.swaths(polarisation)
            if not stems:
                return flaw(
                    "", path, "polarisation missing",
                    found=f"no annotation of {polarisation}",
                    needed=f"an IW {product} with {polarisation}",
                    remedy="download the product with it, or set polarisation",
                )  # fmt: skip
            for stem in stems:  # read here, so that one that lacks them costs its own date only
                safe.calibration(stem), safe.noise(stem)
            found = [read(safe, stem) for stem in stems]
            return _across_180(found) or found
        except SceneError as error:
            return _unreadable(path, str(error))
        except Exception as error:  # what a garbled annotation does to its reader
            return _unreadable(path, f"{path}: {type(error).__name__}: {error}")

    parts: list[AnyPart] = []
    rejected = []
    with ThreadPoolExecutor(threads) as pool:
        for found in pool.map(opened, paths):
            if isinstance(found, Rejected):
                rejected.append(found)
            else:
                parts += found
    return parts, rejected


def _unreadable(path: object, found: str) -> Rejected:
    return flaw(
        "", path, "unreadable product", found=found,
        needed="a whole SAFE product", remedy="download it again",
    )  # fmt: skip


def _across_180(parts: Sequence[Part]) -> Rejected | None:
    """The rejection of a product whose ground lies on both sides of 180 degrees east."""
    for part in parts:
        if np.ptp(part.outline[:, 0]) > 180.0:
            return flaw(
                "", part.safe.path, "across 180 degrees east",
                found="longitudes from -180 to 180 degrees within one product",
                needed="scenes on one side of 180 degrees east",
                remedy="take it out: such ground is not supported",
            )  # fmt: skip
    return None


def touches(outline: np.ndarray, area: Sequence[float] | None) -> bool:
    """Whether the hull of ``outline`` (point, 2; degrees) touches ``area``."""
    from shapely import MultiPoint, box

    return area is None or bool(MultiPoint(outline).convex_hull.intersects(box(*area)))


def require_touching(parts: Sequence[Part], area: Sequence[float] | None) -> None:
    """NetworkError where no part touches ``area``; the message says where they lie."""
    if area is None or not parts or any(touches(part.outline, area) for part in parts):
        return
    points = np.concatenate([part.outline for part in parts])
    (west, south), (east, north) = points.min(axis=0), points.max(axis=0)
    raise NetworkError(
        f"no product touches the area {list(area)}: they lie between {west:.3f} and {east:.3f} "
        f"degrees east, {south:.3f} and {north:.3f} degrees north; correct area, or give scenes "
        "over it."
    )


def in_order(
    parts: Iterable[AnyPart], doubled: Callable[[AnyPart], bool], look: Callable[[AnyPart], str]
) -> list[AnyPart]:
    """Parts of one date in the order in which they serve.

    Those processed last come first; of those whose ground another one holds too (``doubled``),
    products of which :func:`probe` finds a part flawed (``look``) come last of all.
    """

    def flawed(part: AnyPart) -> bool:
        try:
            return doubled(part) and bool(look(part))
        except SceneError:
            return True

    found = sorted(parts, key=lambda part: str(part.safe.path))
    found.sort(key=lambda part: part.safe.processed, reverse=True)
    last = {part.safe.path for part in found if flawed(part)}
    return sorted(found, key=lambda part: part.safe.path in last)


def _other_product(path: object, found: str, needed: str) -> Rejected:
    own = SOURCES.get(found)
    remedy = f"give it a track of its own with source: {own}" if own else "take it out"
    return flaw(
        "", path, "other product", found=f"a product of type {found}",
        needed=f"IW {needed}, as source: {SOURCES[needed]} reads", remedy=remedy,
    )  # fmt: skip


def of_one_orbit(
    parts: list[AnyPart],
    area: Sequence[float] | None,
    period: Sequence[object] | None,
    rejected: list[Rejected],
) -> list[AnyPart]:
    """Parts within ``period`` of the relative orbit that most dates over ``area`` are of.

    Those of other orbits are rejected.
    """
    parts = [part for day in by_date(parts, period).values() for part in day]
    near = [part for part in parts if touches(part.outline, area)]
    passes = {(p.relative_orbit, p.absolute_orbit) for p in near or parts}
    if not passes:
        return parts
    most = Counter(relative for relative, _ in sorted(passes)).most_common(1)[0][0]
    seen = set()
    for part in parts:
        if part.relative_orbit != most and part.safe.path not in seen:
            seen.add(part.safe.path)
            rejected.append(
                flaw(
                    part.start, part.safe.path, "other relative orbit",
                    found=f"relative orbit {part.relative_orbit}",
                    needed=f"{most}, as of most dates",
                    remedy="give scenes of another orbit a track of their own",
                )
            )  # fmt: skip
    return [part for part in parts if part.relative_orbit == most]


def by_date(
    parts: list[AnyPart], period: Sequence[object] | None
) -> dict[pd.Timestamp, list[AnyPart]]:
    """Parts by the day on which their pass began: slices across midnight are of one date."""
    first: dict[tuple[str, int], np.datetime64] = {}
    for part in parts:
        key = part.safe.mission, part.absolute_orbit
        first[key] = min(first.get(key, part.start), part.start)
    dates: dict[pd.Timestamp, list[AnyPart]] = {}
    for part in parts:
        day = pd.Timestamp(first[part.safe.mission, part.absolute_orbit]).normalize()
        begins, ends = (pd.Timestamp(str(p)) if p else None for p in (period or (None, None)))
        if (begins is None or day >= begins) and (ends is None or day <= ends):
            dates.setdefault(day, []).append(part)
    return dict(sorted(dates.items()))


def twice(path: str, what: str, date: pd.Timestamp, other: str) -> Rejected:
    """The rejection of the product ``path``, whose ``what`` the product ``other`` holds too."""
    return flaw(
        "", path, "duplicate date",
        found=f"{what} of {date:%Y-%m-%d}, which {other} holds too",
        needed=f"each {what.split()[0]} once a date",
        remedy="remove one of the two products",
    )  # fmt: skip


def without(table: pd.DataFrame, rejected: list[Rejected]) -> pd.DataFrame:
    """``table`` without the dates that were rejected as a whole."""
    days = {one.pair for one in rejected if one.pair}
    kept: pd.DataFrame = table[~table.date.dt.strftime("%Y%m%d").isin(days)]
    return kept


def flaws_of_dates(
    table: pd.DataFrame,
    area: Sequence[float] | None,
    dem: Bounds | None,
    look: Callable[[str, str, pd.DataFrame], str],
    *,
    threads: int,
) -> list[Rejected]:
    """Dates whose ground lies beyond the DEM, or whose pixels are not there.

    ``look`` tells, of a product, a stem and their rows, what :func:`probe` found.
    """

    def flawed(day: pd.DataFrame) -> Rejected | None:
        beyond = _flaw_of_ground(day, area, dem) if dem is not None else None
        return beyond or _flaw_of_pixels(day, look)

    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(flawed, [day for _, day in table.groupby("date")])
        return [one for one in found if one]


def _flaw_of_ground(
    day: pd.DataFrame, area: Sequence[float] | None, dem: Bounds
) -> Rejected | None:
    """What part of one date (within ``area``) lies beyond the DEM; None where nothing does."""
    west, south, east, north = day.west.min(), day.south.min(), day.east.max(), day.north.max()
    if area is not None:
        west, south = max(west, area[0]), max(south, area[1])
        east, north = min(east, area[2]), min(north, area[3])
    wide = max(0.0, min(east, dem[2]) - max(west, dem[0]))
    high = max(0.0, min(north, dem[3]) - max(south, dem[1]))
    whole = (east - west) * (north - south)
    if whole <= 0.0 or wide * high >= 0.999 * whole:
        return None
    return flaw(
        day.date.iloc[0], day.path.iloc[0], "DEM too small",
        found=f"heights for {100.0 * wide * high / whole:.0f} % of {west:.3f} to {east:.3f} "
        f"degrees east, {south:.3f} to {north:.3f} degrees north",
        needed="heights under all scenes, or under all of the area",
        remedy="give a larger DEM, or an area within it",
    )  # fmt: skip


def _flaw_of_pixels(
    day: pd.DataFrame, look: Callable[[str, str, pd.DataFrame], str]
) -> Rejected | None:
    """What is wrong with the pixels of one date."""
    for key, rows in day.groupby(["path", "stem"]):
        path, stem = map(str, key)
        try:
            found = look(path, stem, rows)
        except SceneError as error:
            found = str(error)
        if found:
            return flaw(
                day.date.iloc[0], path, "pixels missing", found=found,
                needed="the measurement that the annotation describes",
                remedy="download the product again",
            )  # fmt: skip
    return None


def probe(
    safe: Safe, stem: str, shape: tuple[int, int], pixel_bytes: int, pieces: Mapping[str, slice]
) -> str:
    """What is wrong with the pixels of the named ``pieces`` (lines); empty where nothing is.

    Lines of each are read. Of a zip, whose pixels would have to be unpacked up to there, the
    directory's sizes are compared, and pixels are read only where they compress like zeros, or not
    at all; what else is zero is missing in the images.
    """
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    place = safe.measurement(stem)
    if safe.path.is_file():
        with zipfile.ZipFile(safe.path) as archive:
            member = archive.getinfo(safe.prefix + place.partition(safe.place)[2])
        if member.file_size < pixel_bytes * shape[0] * shape[1]:
            return f"{member.file_size} bytes of {member.filename}, too few for {shape} pixels"
        packed = member.compress_type != zipfile.ZIP_STORED
        if packed and member.file_size < EMPTY_RATIO * member.compress_size:
            return ""
    try:
        with open_pixels(place) as source:
            if (source.height, source.width) != shape:
                return f"{(source.height, source.width)} pixels in {place}, not {shape}"
            for name, lines in pieces.items():
                seen = False
                for line in np.linspace(lines.start, lines.stop - 1, PROBED_LINES).astype(int):
                    window = Window(0, int(line), shape[1], 1)
                    seen |= bool(np.any(source.read(1, window=window)))
                if not seen:
                    return f"only zeros in {name} of {place}"
    except RasterioError as error:
        return f"{place} cannot be read ({error})"
    return ""


def polarisations(part: AnyPart, own: str, look: Callable[[AnyPart], str]) -> list[str]:
    """Polarisations that the product of ``part`` (of ``own``) holds.

    The other one counts where it can be read and :func:`probe` (``look``) finds nothing wrong.
    """
    held = [name for name in POLARISATIONS if part.safe.swaths(name)]
    other = {"VV": "VH", "HH": "HV"}.get(own)
    if other in held:
        try:
            stem = part.safe.crossed(part.stem)
            part.safe.calibration(stem), part.safe.noise(stem)
            found = look(replace(part, stem=stem))
        except SceneError as error:
            found = str(error)
        if found:
            logger.warning("%s: %s is not used: %s", part.safe.path, other, found)
            held.remove(other)
    return held


def joined(orbits: Sequence[xr.Dataset]) -> xr.Dataset:
    """State vectors of several annotations of one pass as one."""
    together: xr.Dataset = xr.concat(orbits, dim="azimuth_time")
    return together.drop_duplicates("azimuth_time").sortby("azimuth_time")


def with_orbits(
    table: pd.DataFrame, orbit_on: Callable[[pd.DataFrame], Orbit], rejected: list[Rejected]
) -> tuple[pd.DataFrame, dict[pd.Timestamp, Orbit]]:
    """``table`` with kind and file of each date's orbit, and the orbits, ``orbit_on`` its rows."""
    out, orbits = table.copy(), {}
    for date, day in table.groupby("date"):
        try:
            orbit = orbit_on(day)
        except SceneError as error:
            rejected.append(
                flaw(
                    date, day.path.iloc[0], "orbit unknown", found=str(error),
                    needed="state vectors around the scene",
                    remedy="put the orbit file of that day into the folder of orbits",
                )
            )  # fmt: skip
            continue
        orbits[pd.Timestamp(str(date))] = orbit
        out.loc[day.index, "orbit_kind"] = orbit.kind
        out.loc[day.index, "orbit_file"] = orbit.path
    return out, orbits


def listed(rejected: list[Rejected]) -> str:
    """The first of what was left out, for the message of a track that is left empty."""
    return "".join(f"\n  left out: {one.flaw}" for one in rejected[:5])
