"""Geocoded images of a track that this workflow made elsewhere, looked at before they are used."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import xarray as xr

from rockglacier import io
from rockglacier.errors import SceneError
from rockglacier.grid import Grid
from rockglacier.readers.stack import Rejected
from rockglacier.sentinel1.screening import flaw, listed, without

logger = logging.getLogger(__name__)

GEOMETRY = ("east", "north", "up", "incidence_angle", "height", "observable")


def image_of(folder: str | Path, date: str) -> Path:
    """Where the image of ``date`` (YYYYMMDD) lies."""
    return Path(folder) / "slc" / f"{date}.zarr"


def geometry_grid(folder: str | Path) -> Grid:
    """The grid that the images of ``folder`` were geocoded for; SceneError as below."""
    import rioxarray  # noqa: F401

    geometry = _open_geometry(folder)
    return Grid.from_coords(geometry, str(geometry.rio.crs))


def _open_geometry(folder: str | Path) -> xr.Dataset:
    path = Path(folder) / "geometry.zarr"
    try:
        return io.open_dataset(path)
    except (OSError, ValueError, KeyError, SceneError) as error:
        raise SceneError(
            f"{path} cannot be read ({error}); the folder of a track that was geocoded by this "
            "workflow is needed: slc/, geometry.zarr, layout.zarr and scenes.csv."
        ) from error


def read_geometry(folder: str | Path, grid: Grid) -> xr.Dataset:
    """Line of sight, height and what is observable (y, x) of the track, on ``grid``.

    Raises
    ------
    SceneError
        The folder holds no geometry of a track, or one on another grid.
    """
    path, geometry = Path(folder) / "geometry.zarr", _open_geometry(folder)
    missing = [n for n in GEOMETRY if n not in geometry] + [
        n for n in ("looks",) if n not in geometry.attrs
    ]
    if missing:
        raise SceneError(f"{path} lacks {', '.join(missing)}; copy the whole folder of the track.")
    _on_grid(geometry, path, grid)
    return geometry


def look_at(
    folder: str | Path, grid: Grid, looks: Sequence[int], *, period: Sequence[str] | None
) -> tuple[pd.DataFrame, list[Rejected]]:
    """Dates that can be used, with their baselines, and what is wrong with the others.

    Raises
    ------
    SceneError
        There is no table of scenes, or no date is left.
    """
    path = Path(folder) / "scenes.csv"
    try:
        table = pd.read_csv(path, parse_dates=["date"])
    except (OSError, ValueError) as error:
        raise SceneError(
            f"{path} cannot be read ({error}); a table with date and perpendicular_baseline_m is "
            "needed, as this workflow writes beside its images."
        ) from error
    table = table.groupby("date", as_index=False).first().sort_values("date")
    if period:
        table = table[table["date"].between(pd.Timestamp(period[0]), pd.Timestamp(period[1]))]
    fine = grid.subdivided(*looks)
    rejected = []
    for date in table["date"]:
        place = image_of(folder, date.strftime("%Y%m%d"))
        try:
            _check_image(place, fine)
        except SceneError as error:
            logger.warning("%s", error)
            rejected.append(
                flaw(
                    date, place, "unreadable image", found=str(error),
                    needed="a geocoded image on the fine grid", remedy="geocode the date again",
                )
            )  # fmt: skip
    used = without(table, rejected)
    if len(used) < 2:
        raise SceneError(
            f"{folder}: {len(used)} of {len(table)} dates can be used; two at least are needed."
            f"{listed(rejected)}"
        )
    return used, rejected


def _check_image(path: Path, fine: Grid) -> None:
    try:
        image = io.open_dataset(path, rows=max(1, fine.height))
        slc = image["slc"]
    except (OSError, ValueError, KeyError, SceneError) as error:
        raise SceneError(
            f"{path} is no geocoded image ({error}); geocode the date again."
        ) from error
    if "wavelength_m" not in slc.attrs:
        raise SceneError(f"{path} states no wavelength_m; geocode the date again.")
    _on_grid(image, path, fine)


def _on_grid(dataset: xr.Dataset, path: Path, grid: Grid) -> None:
    import rioxarray  # noqa: F401

    own = Grid.from_coords(dataset, str(dataset.rio.crs))
    if own != grid:
        raise SceneError(
            f"{path} lies on {own.height} x {own.width} pixels of {own.dx:g} in {own.crs} from "
            f"{own.west:g}, {own.north:g}; the region's are {grid.height} x {grid.width} of "
            f"{grid.dx:g} in {grid.crs} from {grid.west:g}, {grid.north:g}: set area, grid and "
            "looks as where it was geocoded."
        )
