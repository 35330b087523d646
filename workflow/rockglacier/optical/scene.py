"""What readers of optical scenes share: a scene, and a raster read in blocks."""

from __future__ import annotations

import os
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
from rockglacier.errors import SceneError
from rockglacier.grid import Grid

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
        """The file of ``band``; SceneError where there is none."""
        if band in self.bands:
            return self.bands[band]
        held = ", ".join(sorted(self.bands)) or "none"
        raise SceneError(
            f"{self.path}: no file of band {band} beside it (there: {held}); download the band, "
            "or name another."
        )


def open_raster(file: Path) -> xr.DataArray:
    """Values (y, x; lazy) of the first band of ``file``: whole numbers, 0 where declared nodata.

    Attribute ``crs``. SceneError where it cannot be read, or holds other numbers than whole ones
    from 0 to 65535, as digital numbers and quality bands are.
    """
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(file) as source:
            grid, kind = Grid.of(source), source.dtypes[0]
        if kind not in KINDS:
            raise SceneError(
                f"{file} holds {kind}; digital numbers as delivered ({' or '.join(KINDS)}) are "
                "needed: use the band as the provider delivers it."
            )
        blocks = da.map_blocks(
            _read, file=str(file), chunks=da.core.normalize_chunks(CHUNK, grid.shape),
            dtype=np.uint16, meta=np.empty((0, 0), np.uint16),
        )  # fmt: skip
    except RasterioError as error:
        raise unreadable(str(file), error) from error
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
        raise unreadable(file, error) from error


def unreadable(file: str, error: Exception) -> SceneError:
    return SceneError(
        f"{file} cannot be read ({error}); a whole band is needed: download it again."
    )


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
