"""COMET LiCSAR frames (``source: licsar``), as the portal or LiCSBAS's GEOC folder lays them out.

Sign: displacement toward the satellite = -unw wavelength / 4 pi (LiCSBAS ``LiCSBAS13_sb_inv``),
as in this project: phase is taken as it is. Wavelength: Sentinel-1. Worked example: ground that
moved 10 mm away between the dates shows +2.2656 rad. ``*.geo.unw.tif`` 0 is missing;
``*.geo.cc.tif`` is 0..1 in floats, or 0..255 in bytes, which come as 0..1.
``*.geo.{E,N,U}.tif`` is the unit vector ground to satellite (E > 0 seen from the east), 0 outside.
Dates are stated by folder and file names only; both must agree. Looks are not stated.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from rockglacier.conventions import SENTINEL1_WAVELENGTH_M
from rockglacier.errors import SceneError
from rockglacier.readers.geometry import read_geometry
from rockglacier.readers.rasters import RasterStack, different_grid, majority, read_headers
from rockglacier.readers.stack import FlawedPair, Pair, Rejected, day, screen

FOLDERS = (".", "interferograms", "GEOC")
METADATA_FOLDERS = (".", "metadata", "GEOC")
MAPS = {"height": "hgt", "east": "E", "north": "N", "up": "U"}
PAIR_FOLDER = re.compile(r"(\d{8})_(\d{8})")


def open_licsar(path: str | Path) -> RasterStack:
    """Open the frame in the folder ``path``.

    SceneError where no pair is found, or none can be used.
    """
    frame = Path(path)
    folders = sorted(
        f
        for inside in FOLDERS
        if (frame / inside).is_dir()
        for f in (frame / inside).iterdir()
        if f.is_dir() and PAIR_FOLDER.fullmatch(f.name)
    )
    if not folders:
        raise SceneError(
            f"{frame}: no folder of a pair (YYYYMMDD_YYYYMMDD) was found in it, in interferograms "
            "or in GEOC; a LiCSAR frame is needed: check the path."
        )
    baselines = _baselines(frame)
    candidates, rejected = [], []
    for folder in folders:
        try:
            candidates.append(_pair(folder, baselines))
        except FlawedPair as flaw:
            rejected.append(Rejected(folder.name, flaw))
    candidates, headers, unread = read_headers(candidates)
    rejected += unread
    if not headers:
        raise rejected[0].flaw
    grid = majority([h.grid for h in headers])
    usable = []
    for pair, header in zip(candidates, headers, strict=True):
        if grid.coincides(header.grid):
            usable.append(pair)
        else:
            unfit = different_grid(pair.path, header.grid, grid)
            rejected.append(Rejected(pair.name, unfit))
    kept, undated = screen(usable)
    maps = {
        name: str(file)
        for name, suffix in MAPS.items()
        if (file := _metadata(frame, f"*.geo.{suffix}.tif"))
    }
    if not {"east", "north", "up"} <= set(maps):
        maps = {k: v for k, v in maps.items() if k == "height"}
    stated = _stated(frame)
    return RasterStack(
        "licsar",
        kept,
        [grid] * len(kept),
        rejected + undated,
        coherence_of_bytes=True,
        zero_is_missing=True,
        geometry=partial(
            read_geometry,
            maps,
            grid,
            scalars={
                "incidence_deg": stated.get("avg_incidence_angle"),
                "heading_deg": stated.get("heading"),
                "slant_range_m": stated.get("centre_range_m"),
            },
            zero_is_missing=True,
        ),
        wavelength_m=SENTINEL1_WAVELENGTH_M,
        looks=None,
        native_grid=grid,
    )


def _pair(folder: Path, baselines: dict[np.datetime64, float]) -> Pair:
    found = PAIR_FOLDER.fullmatch(folder.name)
    first, second = found.groups() if found else ("", "")
    pair = Pair(day(first), day(second), str(folder))
    files = {}
    for layer, suffix in (("phase", "geo.unw.tif"), ("coherence", "geo.cc.tif")):
        file = folder / f"{folder.name}.{suffix}"
        if not file.is_file():
            there = ", ".join(sorted(f.name for f in folder.glob(f"*.{suffix}"))) or "none"
            raise FlawedPair(
                folder,
                "layer missing",
                found=f"{there} for {file.name}",
                needed=f"{file.name}, named as its folder",
                remedy="download the pair again",
            )
        files[layer] = str(file)
    ends = [baselines.get(d, math.nan) for d in (pair.reference, pair.secondary)]
    return replace(
        pair, path=files["phase"], files=files, perpendicular_baseline_m=ends[1] - ends[0]
    )


def _metadata(frame: Path, pattern: str) -> Path | None:
    found = (f for inside in METADATA_FOLDERS for f in sorted((frame / inside).glob(pattern)))
    return next(found, None)


def _baselines(frame: Path) -> dict[np.datetime64, float]:
    """Perpendicular baseline (m) of each date against the frame's one reference date.

    Lines are ``reference date baseline days``, or the older nine columns that end with the
    baselines of both dates.
    """
    file = _metadata(frame, "baselines")
    out: dict[np.datetime64, float] = {}
    for words in (line.split() for line in file.read_text().splitlines()) if file else ():
        try:
            if len(words) == 4:
                out.setdefault(day(words[0]), 0.0)
                out[day(words[1])] = float(words[2])
            elif len(words) == 9:
                out[day(words[1])] = float(words[7])
                out[day(words[2])] = float(words[8])
        except ValueError:  # a heading
            continue
    return out


def _stated(frame: Path) -> dict[str, float]:
    """Numbers in ``metadata.txt`` (``key=value``)."""
    file = _metadata(frame, "metadata.txt")
    out = {}
    for line in file.read_text().splitlines() if file else ():
        key, _, value = line.partition("=")
        try:
            out[key.strip()] = float(value)
        except ValueError:
            continue
    return out
