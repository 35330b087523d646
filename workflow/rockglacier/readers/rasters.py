"""Single rasters through GDAL: grid from the header, windows as float with NaN."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import xarray as xr

from rockglacier.conventions import MAP
from rockglacier.errors import DimensionError
from rockglacier.grid import Grid
from rockglacier.readers.stack import FlawedPair, Pair, Rejected, Stack, Window

if TYPE_CHECKING:
    from rasterio import DatasetReader

T = TypeVar("T", bound=Hashable)

LAYERS = ("phase", "coherence", "component")
IN_ZIP = re.compile(r"/vsizip/\{(?P<archive>.+)\}/(?P<member>.+)")
INFLATED = 64_000_000  # bytes; larger members are read in place, piece by piece
OPENERS = 8  # headers are read at once: opening waits for the disk, not for the processor


class Header(NamedTuple):
    """What a raster's header says."""

    grid: Grid
    tags: dict[str, str]


def _unreadable(path: str, error: Exception) -> FlawedPair:
    found = " ".join(str(error).split()).rstrip(".;") or type(error).__name__
    if found.startswith("Read failed"):  # rasterio's; what GDAL said is its cause
        found = "pixels that are cut off or damaged"
        found += f" ({' '.join(str(error.__cause__).split()).rstrip('.;')})" * bool(error.__cause__)
    return FlawedPair(
        path,
        "unreadable",
        found=found,
        needed="a whole raster",
        remedy="download or make the file again",
    )


def _off_map(path: str, error: Exception) -> FlawedPair:
    return FlawedPair(
        path,
        "not on a map grid",
        found=str(error).rstrip("."),
        needed="a north-up raster with a CRS",
        remedy="georeference it",
    )


def read_header(path: str) -> Header:
    """Grid and tags of the raster ``path``; FlawedPair where it cannot be used."""
    import rasterio
    from rasterio.errors import RasterioIOError

    try:
        with rasterio.open(path) as source:
            return Header(Grid.of(source), {**source.tags(), **source.tags(1)})
    except RasterioIOError as error:
        raise _unreadable(path, error) from error
    except DimensionError as error:
        raise _off_map(path, error) from error


@contextmanager
def _whole_open(path: str) -> Iterator[DatasetReader]:
    """The open raster, to be read once; a deflated member of a zip is inflated once, in memory.

    GDAL would inflate it again for every step back. Its checksum is verified on the way.
    """
    import rasterio
    from rasterio.io import MemoryFile

    zipped = IN_ZIP.fullmatch(path)
    if zipped:
        with zipfile.ZipFile(zipped["archive"]) as archive:
            member = archive.getinfo(zipped["member"])
            deflated = member.compress_type != zipfile.ZIP_STORED
            content = archive.read(member) if deflated and member.file_size < INFLATED else None
        if content is not None:
            with MemoryFile(content) as memory, memory.open() as source:
                yield source
            return
    with rasterio.open(path) as source:
        yield source


def read_window(path: str, grid: Grid, window: Window, *, fill: float = np.nan) -> np.ndarray:
    """The first band of ``path``, which must lie on ``grid``, over ``window`` of that grid.

    Scaled as the file states, NaN where it has no data and beyond its edges; float32. With a
    ``fill`` other than NaN the file's own type stays.
    """
    from rasterio.errors import RasterioIOError
    from rasterio.windows import Window as RasterWindow

    r0, r1 = max(window.top, 0), min(window.bottom, grid.height)
    c0, c1 = max(window.left, 0), min(window.right, grid.width)
    try:
        with _whole_open(path) as source:
            found = Grid.of(source)
            if not grid.coincides(found):
                raise different_grid(path, found, grid)
            kind = np.dtype(np.float32 if np.isnan(fill) else source.dtypes[0])
            if r0 >= r1 or c0 >= c1:
                return np.full(window.shape, fill, kind)
            values: np.ndarray = source.read(1, window=RasterWindow(c0, r0, c1 - c0, r1 - r0))
            nodata, scale, shift = source.nodata, source.scales[0], source.offsets[0]
    except (RasterioIOError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _unreadable(path, error) from error
    except DimensionError as error:
        raise _off_map(path, error) from error
    missing = values == nodata if nodata is not None and not np.isnan(nodata) else None
    values = values.astype(kind, copy=False)
    if np.isnan(fill) and (scale, shift) != (1.0, 0.0):
        values = values * np.float32(scale) + np.float32(shift)
    if missing is not None:
        values[missing] = fill
    if values.shape == window.shape:
        return values
    out = np.full(window.shape, fill, kind)
    top, left = r0 - window.top, c0 - window.left
    out[top : top + r1 - r0, left : left + c1 - c0] = values
    return out


def read_headers(
    pairs: Sequence[Pair],
) -> tuple[list[Pair], list[Header], list[Rejected]]:
    """Headers of the phase of ``pairs``; those that cannot be opened are set apart."""

    def header(pair: Pair) -> Header | FlawedPair:
        try:
            return read_header(pair.files["phase"])
        except FlawedPair as flaw:
            return flaw

    with ThreadPoolExecutor(OPENERS) as pool:
        found = list(zip(pairs, pool.map(header, pairs), strict=True))
    good = [(pair, h) for pair, h in found if isinstance(h, Header)]
    bad = [Rejected(pair.name, h) for pair, h in found if isinstance(h, FlawedPair)]
    return [pair for pair, _ in good], [h for _, h in good], bad


def majority(values: Sequence[T]) -> T:
    """The most common: the odd one out is the flawed one, first in the list or not."""
    return Counter(values).most_common(1)[0][0]


def different_grid(path: str, found: Grid, needed: Grid) -> FlawedPair:
    """The flaw of a raster that does not lie on its stack's grid."""

    def words(grid: Grid) -> str:
        return (
            f"{grid.height} x {grid.width} pixels of {grid.dx:.10g} x {grid.dy:.10g} from "
            f"({grid.west:.10g}, {grid.north:.10g}) in {grid.crs}"
        )

    if found.crs != needed.crs:
        what = "CRS"
    else:
        what = "shape" if found.shape != needed.shape else "position or spacing"
    return FlawedPair(
        path,
        f"different {what} within the stack",
        found=words(found),
        needed=words(needed),
        remedy="warp it to the grid of the others (gdalwarp -t_srs -te -ts)",
    )


class RasterStack(Stack):
    """Pairs whose layers are one-band rasters on one pixel lattice, each perhaps a part of it."""

    def __init__(
        self,
        source: str,
        pairs: list[Pair],
        grids: Sequence[Grid],
        rejected: list[Rejected],
        *,
        phase_sign: int = 1,
        coherence_of_bytes: bool = False,
        zero_is_missing: bool,
        geometry: Callable[[Window], xr.Dataset],
        wavelength_m: float,
        looks: float | None,
        native_grid: Grid,
    ) -> None:
        super().__init__(
            pairs,
            rejected,
            wavelength_m=wavelength_m,
            looks=looks,
            native_grid=native_grid,
            shape=native_grid.shape,
        )
        self.source = source
        self._grids = grids
        self._grid = native_grid
        self._sign = phase_sign
        self._of_bytes = coherence_of_bytes
        self._zero_is_missing = zero_is_missing
        self._geometry = geometry

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that every pair has."""
        return tuple(n for n in LAYERS if all(n in p.files for p in self._pairs))

    def read(self, index: int, window: Window | None = None) -> xr.Dataset:
        """Read the layers of one pair."""
        grid = self._grids[index]
        row, column = self._grid.offset(grid) or (0, 0)
        w = window or self.whole
        part = Window(w.top - row, w.bottom - row, w.left - column, w.right - column)
        files = self._pairs[index].files
        layers = {
            name: read_window(files[name], grid, part, fill=0 if name == "component" else np.nan)
            for name in self.layers
        }
        if self._of_bytes and "coherence" in layers:
            layers["coherence"] = _from_bytes(files["coherence"], layers["coherence"])
        return cleaned(layers, sign=self._sign, zero_is_missing=self._zero_is_missing)

    def geometry(self, window: Window | None = None) -> xr.Dataset:
        """Read the geometry that the source brings."""
        return self._geometry(window or self.whole)


def _from_bytes(path: str, coherence: np.ndarray) -> np.ndarray:
    """Coherence 0..1 from a raster of bytes 0..255; floats stay as they are."""
    import rasterio

    with rasterio.open(path) as source:
        return coherence / np.float32(255.0) if source.dtypes[0] == "uint8" else coherence


def cleaned(
    layers: Mapping[str, np.ndarray], *, sign: int = 1, zero_is_missing: bool
) -> xr.Dataset:
    """Layers of one pair (``phase``, ``coherence``, ``component``; y, x) in the project's sign.

    Phase that is exactly 0 is missing where the source says so (``zero_is_missing``) or where
    coherence is 0 or missing as well; coherence is missing where it is 0 and phase is missing.
    """
    phase = layers["phase"].astype(np.float32, copy=False)
    coherence = layers.get("coherence")
    missing = phase == 0.0 if zero_is_missing or coherence is not None else None
    data = {"phase": (MAP, phase)}
    if coherence is not None:
        coherence = coherence.astype(np.float32, copy=False)
        empty = ~(np.abs(coherence) > 0.0)
        if not zero_is_missing:
            missing &= empty
        data["coherence"] = (MAP, coherence)
    if missing is not None:
        phase[missing] = np.nan
    phase[np.isinf(phase)] = np.nan
    if coherence is not None:
        coherence[empty & np.isnan(phase)] = np.nan
    if sign < 0:
        np.negative(phase, out=phase)
    if "component" in layers:
        data["component"] = (MAP, np.nan_to_num(layers["component"]).clip(0, 255).astype("u1"))
    return xr.Dataset(data)
