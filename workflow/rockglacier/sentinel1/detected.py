"""Backscatter of detected images on ground range (GRD), on the region's grid.

For every pixel of a fine grid the DEM gives a place, the orbit the time at which it is abeam and
its slant range, the annotation line and sample. There the power, calibrated and less thermal noise,
is taken bilinearly. Blocks of ``looks`` fine pixels, no coarser than the image resolves, make one
pixel of the region's grid: their mean holds all of the image's pixels within, so that speckle is
averaged. Each pixel comes from the slice that covers it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, describe
from rockglacier.errors import ConfigurationError, SceneError
from rockglacier.grid import Grid
from rockglacier.sentinel1 import geocoding, radiometry
from rockglacier.sentinel1.ground_range import Detected, place
from rockglacier.sentinel1.interferogram import LEAST_SHARE, multilook
from rockglacier.sentinel1.orbit import Orbit, zero_doppler
from rockglacier.sentinel1.safe import Source, open_pixels, open_safe
from rockglacier.sentinel1.screening import is_orbit_file
from rockglacier.sentinel1.slices import orbit_of

if TYPE_CHECKING:
    from rasterio import DatasetReader

TILE_PIXELS = 1_000_000  # of the fine grid that one thread holds at a time
# Fine pixels may be so many of the image's: twice its spacing is its resolution (20 m by 22 m).
COARSEST = 2.0
MARGIN = 3  # pixels around a window: of interpolation, and to tell borders from dark pixels


@dataclass(frozen=True, eq=False)
class Slice(Source):
    """One product of a date and where its pixels are read."""

    image: Detected

    def power(self, numbers: np.ndarray, lines: slice, samples: slice) -> np.ndarray:
        """Beta nought less thermal noise (float32) of digital ``numbers`` (line, sample).

        NaN in the border that holds no data.
        """
        at = np.arange(lines.start, lines.stop), np.arange(samples.start, samples.stop)
        power: np.ndarray = numbers.astype(np.float32) ** 2
        if not self.image.denoised:
            power -= self.noise.over(*at)
        power /= self.beta_nought.over(*at) ** 2
        power[_border(numbers)] = np.nan
        return power


@dataclass(frozen=True, eq=False)
class Passage:
    """The slices of one date, ascending, and its orbit."""

    slices: tuple[Slice, ...]
    orbit: Orbit

    @property
    def heading_deg(self) -> float:
        """Azimuth of flight, clockwise from north."""
        return self.slices[0].image.heading_deg


def open_passage(rows: Sequence[Sequence[str]]) -> Passage:
    """The slices of one date: product, stem and orbit file, as in ``scenes.csv``.

    Where the annotation is named in place of an orbit file, its state vectors serve.
    """
    slices = []
    for path, stem, _ in rows:
        safe = open_safe(path)
        slices.append(Slice(safe, stem, safe.detected(stem)))
    files = [row[2] for row in rows[:1] if is_orbit_file(row[2])]
    return Passage(tuple(slices), orbit_of([one.image for one in slices], files))


def independent_looks(
    date: Passage, grid: Grid, looks: tuple[int, int], incidence_deg: float
) -> float:
    """Independent looks of ``looks`` fine pixels of one of ``grid``, mean over the swaths."""
    image = date.slices[0].image
    place = grid.subdivided(*looks), looks, incidence_deg, image.heading_deg
    return float(np.mean([radiometry.independent_looks(*place, *bands) for bands in image.bands]))


def check_looks(date: Passage, grid: Grid, looks: tuple[int, int]) -> None:
    """ConfigurationError where ``looks`` pixels of the image between samples would be left out."""
    limit = COARSEST * date.slices[0].image.range_spacing_m
    needed = [math.ceil(size / limit) for size in grid.spacing_m]
    if any(given < least for given, least in zip(looks, needed, strict=True)):
        raise ConfigurationError(
            f"looks is {list(looks)}: pixels of {limit:.0f} m and less are needed, or speckle "
            f"between them is not averaged; set looks to {needed} or more."
        )


def gamma_nought(
    date: Passage,
    grid: Grid,
    height: np.ndarray,
    flattening: np.ndarray,
    looks: tuple[int, int],
    *,
    seen: np.ndarray,
    threads: int = 1,
) -> xr.DataArray:
    """Terrain-flattened gamma nought (y, x; linear power) of one date on the region's ``grid``.

    ``height`` (m above the ellipsoid, NaN where unknown) and ``flattening`` (of
    :func:`radiometry.flattening`) lie on the fine grid of ``looks`` pixels a pixel of ``grid``.
    Noise is taken away in the mean, so that dark ground may come out negative, which further
    averaging needs. NaN where ``seen`` (y, x; bool) is False and where no slice holds data. A
    window of the image and a tile of the fine grid per thread are held in memory.
    """
    fine = grid.subdivided(*looks)
    out = np.full(grid.shape, np.nan, np.float32)
    with ExitStack() as stack:
        sources = [
            (one, stack.enter_context(open_pixels(one.safe.measurement(one.stem))), Lock())
            for one in date.slices
        ]

        def fill(tile: tuple[slice, slice]) -> None:
            rows, columns = (
                slice(part.start * n, part.stop * n) for part, n in zip(tile, looks, strict=True)
            )
            part = fine.part(rows.start, rows.stop, columns.start, columns.stop)
            ground = geocoding.earth_fixed(part, height[rows, columns])
            abeam = zero_doppler(date.orbit, ground)
            beta = np.full(part.shape, np.nan, np.float32)
            for one, source, lock in sources:
                _sample(one, source, lock, *place(one.image, date.orbit, *abeam), beta)
            mean, share = multilook(beta * flattening[rows, columns], looks)
            out[tile] = np.where(share < LEAST_SHARE, np.nan, mean)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, _tiles(grid, looks)))
    array = xr.DataArray(np.where(seen, out, np.nan), dims=MAP, coords=grid.coords)
    return describe(array, "gamma_nought", "terrain-flattened backscatter, linear power", "1")


def _tiles(grid: Grid, looks: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Tiles of ``grid``, square in fine pixels, row by row."""
    rows, columns = (max(1, math.isqrt(TILE_PIXELS) // n) for n in looks)
    for top in range(0, grid.height, rows):
        for left in range(0, grid.width, columns):
            yield (
                slice(top, min(top + rows, grid.height)),
                slice(left, min(left + columns, grid.width)),
            )


def _sample(
    one: Slice,
    source: DatasetReader,
    lock: Lock,
    line: np.ndarray,
    sample: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill what is missing of ``out`` (y, x) with the slice's power at ``line`` and ``sample``."""
    from rasterio.errors import RasterioError
    from rasterio.windows import Window
    from scipy.ndimage import map_coordinates

    lines, samples = one.image.shape
    # Pixels are areas: an image reaches half a pixel beyond the middle of its last.
    inside = (line >= -0.5) & (line <= lines - 0.5) & (sample >= -0.5) & (sample <= samples - 0.5)
    inside &= np.isnan(out)
    if not inside.any():
        return
    places = np.clip(line[inside], 0, lines - 1), np.clip(sample[inside], 0, samples - 1)
    window = [
        slice(max(0, int(at.min()) - MARGIN), min(size, int(at.max()) + MARGIN + 2))
        for at, size in zip(places, (lines, samples), strict=True)
    ]
    try:
        with lock:  # of GDAL, which reads by one thread at a time
            numbers = source.read(1, window=Window.from_slices(*window))
    except RasterioError as error:
        raise SceneError(
            f"{source.name}: lines {window[0].start} to {window[0].stop} cannot be read ({error}); "
            "a whole measurement is needed: download the product again."
        ) from error
    power = one.power(numbers, *window)
    at = [values - part.start for values, part in zip(places, window, strict=True)]
    out[inside] = map_coordinates(power, at, order=1, mode="nearest")


def _border(numbers: np.ndarray) -> np.ndarray:
    """Zeros (line, sample; bool) in blocks of three by three: no data, not a dark pixel."""
    from scipy.ndimage import binary_dilation, binary_erosion

    zero: np.ndarray = numbers == 0
    if not zero.any():
        return zero
    block = np.ones((3, 3), bool)
    inner = binary_erosion(zero, block, border_value=1)
    found: np.ndarray = binary_dilation(inner, block) & zero
    return found
