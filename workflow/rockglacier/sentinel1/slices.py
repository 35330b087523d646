"""Which slices of GRD products can be used: one row a date and slice; what is wrong with others.

A pass is delivered in slices that follow one another. A date uses those that touch the area.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rockglacier.errors import SceneError
from rockglacier.readers.stack import Rejected
from rockglacier.sentinel1 import screening
from rockglacier.sentinel1.ground_range import Detected
from rockglacier.sentinel1.orbit import Orbit, choose_orbit
from rockglacier.sentinel1.safe import Safe
from rockglacier.sentinel1.screening import Bounds, Part, flaw

logger = logging.getLogger(__name__)

COLUMNS = [
    *("date", "mission", "absolute_orbit", "relative_orbit", "first_line", "last_line"),
    *("polarisations", "west", "south", "east", "north"),
    *("orbit_kind", "orbit_file", "path", "stem"),
]
# ASSUME: of two products of one pass that share more of the shorter one, one is a copy.
COPY_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class _Part(Part):
    """The image of one product."""

    image: Detected


def check_slices(
    paths: Iterable[str | Path],
    *,
    orbit_files: Sequence[str | Path] = (),
    polarisation: str = "VV",
    area: Sequence[float] | None = None,
    period: Sequence[object] | None = None,
    dem_bounds: Bounds | None = None,
    threads: int = 1,
) -> tuple[pd.DataFrame, list[Rejected]]:
    """Look at the GRD products ``paths``; the slices to use, and what is wrong with others.

    The table has COLUMNS, one row a date and slice that touches ``area`` (west, south, east, north;
    degrees), ascending. A date is rejected where none does, where pixels are missing, cut off or
    zero, whose orbit is unknown, which is of another relative orbit than most, or whose slices
    (within ``area``) the DEM with ``dem_bounds`` (degrees) does not cover. Of a slice that is there
    twice one is rejected: that processed last serves, unless its pixels are flawed. A product
    whose other polarisation cannot be read counts as without.

    Raises
    ------
    NetworkError
        No product touches ``area``; the message says where they lie.
    SceneError
        No date is left; the message lists why.
    """
    paths = list(paths)
    parts, rejected = screening.open_parts(paths, "GRD", polarisation, _read, threads=threads)
    parts = screening.of_one_orbit(parts, area, period, rejected)
    screening.require_touching(parts, area)
    dates = screening.by_date(parts, period)
    table = _table(dates, area, rejected)
    images = {str(part.safe.path): part for part in parts}

    def look(path: str, stem: str, _: pd.DataFrame) -> str:
        return _probe(images[path])

    rejected += screening.flaws_of_dates(table, area, dem_bounds, look, threads=threads)

    def orbit_on(day: pd.DataFrame) -> Orbit:
        return orbit_of([images[path].image for path in day.path], orbit_files)

    table, _ = screening.with_orbits(screening.without(table, rejected), orbit_on, rejected)
    table = screening.without(table, rejected).reset_index(drop=True)
    for one in rejected:
        logger.warning("left out: %s", one.flaw)
    if table.empty:
        raise SceneError(
            f"{len(paths)} product(s) gave no usable date; one or more of IW GRD are needed: add "
            f"products, or mend those left out.{screening.listed(rejected)}"
        )
    return table, rejected


def orbit_of(images: Sequence[Detected], files: Sequence[str | Path]) -> Orbit:
    """The orbit of one date, around its ``images``; their own state vectors where no file fits."""
    vectors = screening.joined([image.orbit for image in images])
    ends = (
        min(image.start for image in images) - screening.MARGIN,
        max(image.stop for image in images) + screening.MARGIN,
    )
    return choose_orbit(files, images[0].mission, *ends, vectors)


def _read(safe: Safe, stem: str) -> _Part:
    image = safe.detected(stem)
    absolute = int(str(safe.manifest["orbit_number"]))
    return _Part(safe, stem, image.start, absolute, safe.relative_orbit, image.ground, image)


def _probe(part: _Part) -> str:
    """What is wrong with the pixels; empty where nothing is."""
    shape = part.image.shape
    return screening.probe(part.safe, part.stem, shape, 2, {"all": slice(0, shape[0])})


def _table(
    dates: dict[pd.Timestamp, list[_Part]],
    area: Sequence[float] | None,
    rejected: list[Rejected],
) -> pd.DataFrame:
    rows = []
    for date, parts in dates.items():
        taken: list[_Part] = []

        def doubled(part: _Part, parts: list[_Part] = parts) -> bool:
            return sum(_shared(part.image, p.image) > COPY_SHARE for p in parts) > 1

        for part in screening.in_order(parts, doubled, _probe):
            same = next((t for t in taken if _shared(part.image, t.image) > COPY_SHARE), None)
            if same is not None:
                path, other = str(part.safe.path), str(same.safe.path)
                rejected.append(screening.twice(path, "slice", date, other))
            else:
                taken.append(part)
        serving = [part for part in taken if screening.touches(part.outline, area)]
        if taken and not serving:
            rejected.append(
                flaw(
                    date, taken[0].safe.path, "outside the area",
                    found=f"{len(taken)} slice(s) beside the area",
                    needed="one that touches the area",
                    remedy="add the slice of that pass over the area, or correct area",
                )
            )  # fmt: skip
        for part in sorted(serving, key=lambda p: p.start):
            image = part.image
            held = screening.polarisations(part, image.polarisation, _probe)
            west, south = image.ground.min(axis=0)
            east, north = image.ground.max(axis=0)
            ends = (str(t.astype("datetime64[us]")) for t in (image.start, image.stop))
            rows.append(
                (date, image.mission, part.absolute_orbit, part.relative_orbit, *ends,
                 " ".join(held), west, south, east, north, "", "", str(part.safe.path), part.stem)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS).astype({"date": "datetime64[ns]"})


def _shared(one: Detected, other: Detected) -> float:
    """Share of the shorter image's time that both hold."""
    overlap = min(one.stop, other.stop) - max(one.start, other.start)
    shorter = min(one.stop - one.start, other.stop - other.start)
    return float(overlap / max(shorter, np.timedelta64(1, "ns")))
