"""Which scenes of a set can be used, on which lattice they lie, and what is wrong with others."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import xarray as xr

from rockglacier.conventions import X, Y
from rockglacier.errors import SceneError
from rockglacier.grid import COINCIDE_PIXELS, Grid, covering
from rockglacier.optical.catalogue import Reader
from rockglacier.optical.scene import Scene, below
from rockglacier.readers.assemble import all_outside, within
from rockglacier.readers.stack import FlawedPair, Rejected

logger = logging.getLogger(__name__)

COLUMNS = ["date", "time", "name", "satellite", "orbit", "sun_azimuth_deg", "sun_elevation_deg"]
COLUMNS += ["valid_share", "path"]
PACKED = ("*.tar", "*.tar.gz", "*.tgz", "*.zip")


def check_scenes(
    folder: str | Path,
    source: Reader,
    *,
    band: str,
    area: Sequence[float] | None = None,
    period: Sequence[object] | None = None,
    min_valid_share: float = 0.05,
) -> tuple[pd.DataFrame, list[Rejected], Grid]:
    """Look at the scenes below ``folder``: those to use, what is wrong with others, their lattice.

    The table has COLUMNS, one row a date, ascending. The lattice covers what scenes show of
    ``area`` (west, south, east, north; degrees), in their own pixels. A scene is rejected whose
    metadata or ``band`` cannot be read, that is of another orbit or lattice than most, is there
    twice, or shows less than ``min_valid_share`` of ``area``, or of itself without one.

    Raises
    ------
    SceneError
        No scene is left; the message lists why.
    NetworkError
        All lie outside ``period``.
    """
    rejected: list[Rejected] = []
    scenes = _within_period(folder, source, period, rejected)
    count = len(scenes) + len(rejected)
    opened = {}
    for scene in _of_most(scenes, rejected):
        try:
            image = source.open_band(scene, band)
            opened[scene] = image, Grid.from_coords(image, image.attrs["crs"])
        except FlawedPair as error:
            rejected.append(Rejected(f"{_day(scene):%Y%m%d}", error))
    opened = {scene: opened[scene] for scene in _once(list(opened), rejected)}
    lattice = _lattice({scene: grid for scene, (_, grid) in opened.items()}, area, rejected)
    rows = []
    if lattice is not None:
        known = [s for s in opened if lattice.offset(opened[s][1]) is not None]
        within_area, of = (lattice, "the area") if area is not None else (None, "the scene")
        for scene in known:
            share = _share(scene, opened[scene][0], within_area)
            if isinstance(share, Rejected):
                rejected.append(share)
            elif share < min_valid_share:
                rejected.append(
                    _flaw(
                        scene, "hardly anything is seen",
                        found=f"{100 * share:.1f} % of {of} without cloud",
                        needed=f"{100 * min_valid_share:g} % or more",
                        remedy="leave the scene out, or lower min_valid_share",
                    )
                )  # fmt: skip
            else:
                rows.append(_row(scene, share))
    for one in rejected:
        logger.warning("left out: %s", one.flaw)
    if not rows or lattice is None:
        why = "".join(f"\n  left out: {one.flaw}" for one in rejected[:5])
        raise SceneError(
            f"{folder}: of {count} scenes none can be used; scenes as the provider delivers "
            f"them are needed, each with its metadata: add some, or mend those left out.{why}"
        )
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values("date", ignore_index=True)
    return table, rejected, lattice


def check_reflectance(
    folder: str | Path, source: Reader, grid: Grid, *, period: Sequence[object] | None = None
) -> tuple[pd.DataFrame, list[Rejected]]:
    """Look at the scenes of surface reflectance below ``folder``: those over ``grid``, and flaws.

    The table has COLUMNS but valid_share, one row a scene, by date; of one orbit and day the scene
    of the highest rank serves. A scene is rejected whose metadata or bands cannot be read, and that
    is no surface reflectance; scenes beside ``grid`` are left aside.

    Raises
    ------
    SceneError
        No scene is left; the message lists why.
    NetworkError
        All lie outside ``period``.
    """
    rejected: list[Rejected] = []
    scenes = _within_period(folder, source, period, rejected)
    count = len(scenes) + len(rejected)
    good, beside = [], 0
    for scene in scenes:
        try:
            bands = [source.open_reflectance(scene, b) for b in (source.GREEN, source.SHORTWAVE)]
            own = Grid.from_coords(bands[0], bands[0].attrs["crs"])
        except FlawedPair as error:
            rejected.append(Rejected(f"{_day(scene):%Y%m%d}", error))
            continue
        if _overlap(own, grid):
            good.append(scene)
        else:
            beside += 1
    kept = _once(good, rejected)
    for one in rejected:
        logger.warning("left out: %s", one.flaw)
    if not kept:
        raise SceneError(
            f"{folder}: none of {count} scenes can be used ({beside} lie beside the region); "
            "surface reflectance over the region is needed."
            + "".join(f"\n  left out: {one.flaw}" for one in rejected[:5])
        )
    table = pd.DataFrame([_row(scene, float("nan")) for scene in kept], columns=COLUMNS)
    return table.drop(columns="valid_share"), rejected


def _overlap(one: Grid, other: Grid) -> bool:
    """Whether two grids share ground."""
    from rasterio.warp import transform_bounds

    west, south, east, north = transform_bounds(other.crs, one.crs, *other.bounds, densify_pts=21)
    left, bottom, right, top = one.bounds
    return bool(west < right and east > left and south < top and north > bottom)


def onto(image: xr.DataArray, lattice: Grid) -> xr.DataArray:
    """``image`` (y, x; lazy) on ``lattice``, with which its pixels coincide; NaN beyond it."""
    tolerance = 2 * COINCIDE_PIXELS * lattice.dx
    return image.reindex({Y: lattice.y, X: lattice.x}, method="nearest", tolerance=tolerance)


def _within_period(
    folder: str | Path, source: Reader, period: Sequence[object] | None, rejected: list[Rejected]
) -> list[Scene]:
    """Scenes below ``folder`` within ``period``; NetworkError where all lie outside.

    SceneError where there are none at all.
    """
    paths = source.find_scenes(folder)
    if not paths:
        packed = below(folder, *PACKED)
        held = f"{len(packed)} packed files, such as {packed[0].name}" if packed else "none"
        cure = "unpack them" if packed else "put scenes there as the provider delivers them"
        raise SceneError(
            f"{folder}: no scene lies in or below it. Found: {held}. Needed: {source.SOUGHT}. "
            f"Remedy: {cure}, or correct the path."
        )
    scenes = _read(paths, source, rejected)
    days = pd.DataFrame({"date": [_day(scene) for scene in scenes]}, dtype="datetime64[ns]")
    inside = within(days, period, ["date"])
    if scenes and not inside.any():
        raise all_outside(str(folder), "scenes", len(scenes), list(days["date"]), period)
    return [scene for scene, used in zip(scenes, inside, strict=True) if used]


def _read(paths: Sequence[Path], source: Reader, rejected: list[Rejected]) -> list[Scene]:
    found = []
    for path in paths:
        try:
            found.append(source.read_scene(path))
        except FlawedPair as error:
            rejected.append(Rejected("", error))
    return sorted(found, key=lambda scene: (scene.time, scene.name))


def _of_most(scenes: list[Scene], rejected: list[Rejected]) -> list[Scene]:
    """Scenes of the orbit that most are of; the others are rejected."""
    if not scenes:
        return scenes
    most = Counter(scene.orbit for scene in scenes).most_common(1)[0][0]
    for scene in scenes:
        if scene.orbit != most:
            rejected.append(
                _flaw(
                    scene, "other orbit", found=f"orbit {scene.orbit}",
                    needed=f"{most}, as of most scenes",
                    remedy="give scenes of another orbit an entry of their own under images",
                )
            )  # fmt: skip
    return [scene for scene in scenes if scene.orbit == most]


def _once(scenes: list[Scene], rejected: list[Rejected]) -> list[Scene]:
    """One scene a day and orbit: that of the highest rank; the others are rejected."""
    kept: dict[tuple[pd.Timestamp, str], Scene] = {}
    for scene in sorted(scenes, key=lambda s: (s.version, s.rank, s.name), reverse=True):
        other = kept.setdefault((_day(scene), scene.orbit), scene)
        if other is not scene:
            rejected.append(
                _flaw(
                    scene, "duplicate date", found=f"the date of {other.path}",
                    needed="each date once", remedy="remove one of the two scenes",
                )
            )  # fmt: skip
    return sorted(kept.values(), key=lambda scene: (scene.time, scene.name))


def _lattice(
    grids: dict[Scene, Grid], area: Sequence[float] | None, rejected: list[Rejected]
) -> Grid | None:
    """The pixels of most scenes, over all that they show of ``area``; others are rejected."""
    if not grids:
        return None
    agree = {s: [t for t in grids if grids[s].offset(grids[t]) is not None] for s in grids}
    first = max(grids, key=lambda s: len(agree[s]))
    for scene in grids:
        if scene not in agree[first]:
            at = grids[scene]
            rejected.append(
                _flaw(
                    scene, "other pixels",
                    found=f"{at.dx:g} m in {at.crs} from {at.west:.1f}, {at.north:.1f}",
                    needed=f"pixels that coincide with those of {first.path}",
                    remedy="resample the scene, or give it an entry of its own under images",
                )
            )  # fmt: skip
    whole = covering([grids[first], *(grids[scene] for scene in agree[first])])
    assert whole is not None  # they agree
    return whole if area is None else whole.crop((area[0], area[1], area[2], area[3]))


def _share(scene: Scene, image: xr.DataArray, lattice: Grid | None) -> float | Rejected:
    """Share of ``lattice``, else of itself, that ``scene`` shows; every pixel is read for it."""
    try:
        return float((image if lattice is None else onto(image, lattice)).notnull().mean())
    except FlawedPair as error:
        return Rejected(f"{_day(scene):%Y%m%d}", error)


def _flaw(scene: Scene, reason: str, **parts: str) -> Rejected:
    return Rejected(f"{_day(scene):%Y%m%d}", FlawedPair(scene.path, reason, **parts))


def _day(scene: Scene) -> pd.Timestamp:
    return pd.Timestamp(scene.time).normalize()


def _row(scene: Scene, share: float) -> dict[str, object]:
    return {
        "date": _day(scene),
        "time": pd.Timestamp(scene.time),
        "name": scene.name,
        "satellite": scene.satellite,
        "orbit": scene.orbit,
        "sun_azimuth_deg": scene.sun_azimuth_deg,
        "sun_elevation_deg": scene.sun_elevation_deg,
        "valid_share": share,
        "path": str(scene.path),
    }
