"""What readers of optical scenes share: a scene, and a raster read in blocks."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, X, Y
from rockglacier.errors import DimensionError
from rockglacier.grid import Grid
from rockglacier.readers.stack import FlawedPair

CHUNK = 1024  # pixels a side
KINDS = ("uint8", "uint16")


@dataclass(frozen=True, eq=False)
class Scene:
    """One scene: what its metadata say, and where its bands lie."""

    path: Path  # of the metadata
    name: str
    satellite: str
    orbit: str  # and the place along it: scenes of one are seen from one direction
    time: np.datetime64  # of the scene's middle, UTC
    sun_azimuth_deg: float
    sun_elevation_deg: float
    version: int  # of the processing
    rank: tuple[int | str, ...]  # of two of one day and version that of higher rank serves
    bands: Mapping[str, Path]
    quality: Path | None
    surface: bool = False  # whether bands are surface reflectance, of the atmosphere corrected
    saturation: Path | None = None

    def file(self, band: str) -> Path:
        """The file of ``band``; FlawedPair where there is none."""
        if band in self.bands:
            return self.bands[band]
        held = ", ".join(sorted(self.bands)) or "none"
        raise FlawedPair(
            self.path, "band cannot be read",
            found=f"no file of band {band} beside it (there: {held})",
            needed=f"the file of band {band}", remedy="download the band, or name another",
        )  # fmt: skip


def bad_metadata(path: Path, found: str, of: str) -> FlawedPair:
    """What is wrong with the metadata at ``path``; ``of`` what scenes they have to be."""
    return FlawedPair(
        path, "metadata cannot be used", found=found, needed=f"the metadata of a {of} scene",
        remedy="download the scene's metadata again",
    )  # fmt: skip


def open_raster(file: Path) -> xr.DataArray:
    """Values (y, x; lazy) of the first band of ``file``: whole numbers, 0 where declared nodata.

    Attribute ``crs``. FlawedPair where it cannot be read, or holds other numbers than whole ones
    from 0 to 65535, as digital numbers and quality bands are.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # an error in what follows
            with rasterio.open(file) as source:
                if source.crs is None:
                    source.read(1)  # a file that is cut off lost its CRS and values: say the latter
                grid, kind = Grid.of(source), source.dtypes[0]
        if kind not in KINDS:
            raise FlawedPair(
                file, "band cannot be read", found=f"values of {kind}",
                needed=f"digital numbers as delivered ({' or '.join(KINDS)})",
                remedy="use the band as the provider delivers it",
            )  # fmt: skip
        if min(grid.shape) < 2:
            raise unreadable(file, f"{grid.height} x {grid.width} pixels")
        blocks = da.map_blocks(
            _read, file=str(file), chunks=da.core.normalize_chunks(CHUNK, grid.shape),
            dtype=np.uint16, meta=np.empty((0, 0), np.uint16),
        )  # fmt: skip
    except (RasterioError, DimensionError) as error:
        raise unreadable(file, error) from error
    return xr.DataArray(blocks, dims=MAP, coords=grid.coords, attrs={"crs": grid.crs})


def _read(*, file: str, block_info: Mapping[None, Any] | None = None) -> np.ndarray:
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    assert block_info is not None
    rows, columns = block_info[None]["array-location"]
    try:
        with rasterio.open(file) as source:
            values = source.read(1, window=Window.from_slices(rows, columns)).astype(np.uint16)
            if source.nodata is not None:
                values[values == source.nodata] = 0
            return np.asarray(values)
    except RasterioError as error:
        raise unreadable(Path(file), error) from error


def unreadable(file: Path, error: Exception | str) -> FlawedPair:
    """What is wrong with a band's ``file``, which is named but once."""
    # Rasterio says no more than that reading failed: what GDAL said is the cause.
    said = str(getattr(error, "__cause__", None) or error).replace(str(file), file.name)
    for named in (f"{file.name}, ", f"'{file.name}' "):
        said = said.removeprefix(named)
    return FlawedPair(
        file, "band cannot be read", found=said.rstrip("."),
        needed="a whole band, north up, with its CRS", remedy="download it again",
    )  # fmt: skip


def below(folder: str | Path, *patterns: str) -> list[Path]:
    """Files in or below ``folder`` whose names match one of ``patterns``, links followed."""
    found = []
    for place, _, names in os.walk(folder, followlinks=True):
        found += [Path(place, name) for name in names if any(map(partial(fnmatch, name), patterns))]
    return sorted(found)


def shown(image: xr.DataArray, hidden: xr.DataArray | None) -> xr.DataArray:
    """Digital numbers ``image`` (y, x) as float32: NaN where they are zero, and where ``hidden``.

    ``hidden`` (y, x; bool) may lie on coarser pixels; beyond them nothing is seen.
    """
    values = image.astype(np.float32).where(image > 0)
    if hidden is not None:
        spacing = abs(float(hidden[X][1] - hidden[X][0]))
        near = hidden.reindex({Y: image[Y], X: image[X]}, method="nearest", tolerance=spacing)
        values = values.where(~near.fillna(True).astype(bool))
    return values.assign_attrs(crs=image.attrs["crs"])
