"""The engine ``geocoded``: scenes of a track to flattened images and interferograms on its grid.

Images lie on a fine grid whose blocks of ``looks`` pixels are the pixels of the region's grid.
Which burst a pixel is taken from is laid down once, by the first date's geometry: where bursts or
swaths overlap the one whose edge is farther. All dates follow it, so that a pair never mixes two
bursts, which see the ground at different Doppler.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from rockglacier import io
from rockglacier.conventions import MAP, Y, describe
from rockglacier.errors import ConfigurationError, SceneError
from rockglacier.grid import Grid
from rockglacier.sentinel1 import geocoding, radiometry
from rockglacier.sentinel1.annotation import SPEED_OF_LIGHT, Burst, Swath
from rockglacier.sentinel1.geocoding import Bistatic
from rockglacier.sentinel1.interferogram import LEAST_SHARE, interfere, multilook
from rockglacier.sentinel1.interferogram import goldstein as filtered
from rockglacier.sentinel1.orbit import Orbit, zero_doppler
from rockglacier.sentinel1.safe import Safe, Source, open_pixels, open_safe
from rockglacier.sentinel1.scenes import orbit_of
from rockglacier.sentinel1.screening import is_orbit_file
from rockglacier.sentinel1.tops import Carrier
from rockglacier.sentinel1.unwrapping import unwrap

NO_BURST = -1
FEWEST_LOOKS = 4.0  # ASSUME: of fewer, unrelated images have a coherence of 0.44 and more
BLOCK_PIXELS = 2_000_000  # of the fine grid that one thread holds at a time


@dataclass(frozen=True, eq=False)
class Acquisition:
    """The bursts of one date, in the order of the track's list, and its orbit."""

    bursts: tuple[BurstSource, ...]
    orbit: Orbit

    @property
    def wavelength_m(self) -> float:
        """Radar wavelength."""
        return self.bursts[0].swath.wavelength_m

    @property
    def heading_deg(self) -> float:
        """Azimuth of flight, clockwise from north."""
        return self.bursts[0].swath.heading_deg


@dataclass(frozen=True, eq=False)
class BurstSource(Source):
    """A burst and where its pixels are read."""

    swath: Swath
    burst: Burst

    def calibrated(self, lines: slice, samples: slice) -> np.ndarray:
        """Amplitude of beta nought (line, sample; complex64); SceneError if it cannot be read."""
        first = self.burst.number * self.swath.lines_per_burst
        at = np.arange(first + lines.start, first + lines.stop)
        scale = self.beta_nought.over(at, np.arange(samples.start, samples.stop))
        values: np.ndarray = self.read(lines, samples) / scale
        return values

    def noise_at(self, place: geocoding.Place) -> np.ndarray:
        """Beta nought of thermal noise at places on the map."""
        line = place.line + self.burst.number * self.swath.lines_per_burst
        scale = self.beta_nought.at(line, place.sample)
        level: np.ndarray = self.noise.at(line, place.sample) / scale**2
        return level

    def read(self, lines: slice, samples: slice) -> np.ndarray:
        """Digital numbers (line, sample; complex64); SceneError where they cannot be read."""
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        first = self.burst.number * self.swath.lines_per_burst
        part = Window.from_slices(
            (first + lines.start, first + lines.stop), (samples.start, samples.stop)
        )
        place = self.safe.measurement(self.stem)
        try:
            with open_pixels(place) as source:
                return np.asarray(source.read(1, window=part), np.complex64)
        except RasterioError as error:
            raise SceneError(
                f"{place}: lines {lines.start} to {lines.stop} of burst {self.burst.number} cannot "
                f"be read ({error}); a whole measurement is needed: download the product again."
            ) from error


def open_acquisition(rows: Sequence[Sequence[str]]) -> Acquisition:
    """The bursts of one date: product, stem, number, orbit file and name, as in ``scenes.csv``.

    Where the annotation is named in place of an orbit file, its state vectors serve.
    """
    swaths: dict[tuple[str, str], tuple[Safe, Swath]] = {}
    bursts = []
    for path, stem, number, _, _ in rows:
        if (path, stem) not in swaths:
            safe = open_safe(path)
            swaths[path, stem] = safe, safe.annotation(stem)
        safe, swath = swaths[path, stem]
        bursts.append(BurstSource(safe, stem, swath, swath.bursts[int(number)]))
    files = [row[3] for row in rows[:1] if is_orbit_file(row[3])]
    orbit = orbit_of([(one.swath, one.burst) for one in bursts], files)
    return Acquisition(tuple(bursts), orbit)


def lay_out(
    first: Acquisition,
    grid: Grid,
    height: np.ndarray,
    *,
    bistatic: Bistatic = "mid-swath",
    threads: int = 1,
) -> xr.DataArray:
    """Index of the burst that each pixel of the fine ``grid`` is taken from (int16, -1: none).

    ``height`` (y, x): metres above the ellipsoid, NaN where unknown.
    """
    out = np.full(grid.shape, NO_BURST, np.int16)

    def block(rows: slice) -> None:
        part = grid.part(rows.start, rows.stop, 0, grid.width)
        seconds, slant_range = zero_doppler(first.orbit, geocoding.earth_fixed(part, height[rows]))
        best = np.full(part.shape, -np.inf)
        for index, one in enumerate(first.bursts):
            place = geocoding.locate(
                one.swath, one.burst, first.orbit, seconds, slant_range, bistatic=bistatic
            )
            inside = _metres_inside(place, one)
            closer = inside > best
            out[rows][closer] = index
            best[closer] = inside[closer]

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(block, _blocks(0, grid.height, grid.width)))
    array = xr.DataArray(out, dims=MAP, coords=grid.coords)
    return describe(array, "burst", "index of the burst a pixel is taken from, -1 for none", "1")


def _metres_inside(place: geocoding.Place, one: BurstSource) -> np.ndarray:
    """Distance (m) to the nearest edge of the burst's valid pixels; -inf outside."""
    lines, samples = one.burst.valid_lines, one.burst.valid_samples
    along = geocoding.GROUND_SPEED_M_S * one.swath.azimuth_interval_s
    across = 0.5 * SPEED_OF_LIGHT / one.swath.range_sampling_hz
    distance = np.minimum(
        along * np.minimum(place.line - lines.start, lines.stop - 1 - place.line),
        across * np.minimum(place.sample - samples.start, samples.stop - 1 - place.sample),
    )
    return np.where(place.inside, distance, -np.inf)


def _blocks(top: int, bottom: int, width: int) -> Iterator[slice]:
    rows = max(1, BLOCK_PIXELS // max(1, width))
    for start in range(top, bottom, rows):
        yield slice(start, min(start + rows, bottom))


def geocode(
    date: Acquisition,
    grid: Grid,
    height: np.ndarray,
    layout: np.ndarray,
    out: np.ndarray,
    *,
    bistatic: Bistatic = "mid-swath",
    threads: int = 1,
) -> None:
    """Fill ``out`` (y, x; complex64; may be a file in memory) with the flattened image of ``date``.

    Burst by burst, as ``layout`` (of :func:`lay_out`) says; NaN elsewhere. One burst is held in
    memory, and a block of the map per thread.
    """
    out[:] = np.nan
    for index, one in enumerate(date.bursts):
        here = layout == index
        if (box := _box(here)) is None:
            continue
        top, bottom, left, right = box
        known = height[top:bottom, left:right]
        lowest, highest = float(np.nanmin(known)), float(np.nanmax(known))
        if not np.isfinite(lowest):
            continue
        need = geocoding.window(
            one.swath, one.burst, date.orbit, grid.part(top, bottom, left, right),
            (lowest, highest), bistatic=bistatic,
        )  # fmt: skip
        if need is None:
            continue
        carrier = Carrier.of(one.swath, one.burst)
        corner = need[0].start, need[1].start
        flat = geocoding.deramp(one.calibrated(*need), corner, carrier)
        resampled = partial(_resampled, one, flat, corner, carrier)
        _fill(out, resampled, date, one, grid, height, here, box, bistatic, threads)


def _resampled(
    one: BurstSource,
    flat: np.ndarray,
    corner: tuple[int, int],
    carrier: Carrier,
    place: geocoding.Place,
    _: tuple[slice, slice],
) -> np.ndarray:
    """The deramped burst ``flat`` at ``place``, flattened."""
    return geocoding.resample(flat, corner, place, carrier, one.swath.wavelength_m)


def _bare(
    one: BurstSource,
    slc: xr.DataArray,
    carrier: Carrier,
    place: geocoding.Place,
    window: tuple[slice, slice],
) -> np.ndarray:
    """The flattened image ``slc`` of ``window``, which lies at ``place``, without its phases."""
    phase = geocoding.phasor(place, carrier, one.swath.wavelength_m)
    values: np.ndarray = slc[window].values * phase.conj()
    return values


def _fill(
    out: np.ndarray,
    values_at: Callable[[geocoding.Place, tuple[slice, slice]], np.ndarray],
    date: Acquisition,
    one: BurstSource,
    grid: Grid,
    height: np.ndarray,
    here: np.ndarray,
    box: tuple[int, int, int, int],
    bistatic: Bistatic,
    threads: int,
) -> None:
    """Write ``values_at`` the places of burst ``one`` into ``out``, within ``box`` where ``here``.

    A block of rows a thread; ``values_at`` takes where the block's pixels lie in the burst, and its
    rows and columns.
    """
    top, bottom, left, right = box

    def block(rows: slice) -> None:
        window = rows, slice(left, right)
        part = grid.part(rows.start, rows.stop, left, right)
        known = np.where(here[window], height[window], np.nan)
        ground = geocoding.earth_fixed(part, known)
        at = geocoding.place_in_burst(one.swath, one.burst, date.orbit, ground, bistatic=bistatic)
        np.copyto(out[window], values_at(at, window), where=at.inside)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(block, _blocks(top, bottom, right - left)))


def _box(here: np.ndarray) -> tuple[int, int, int, int] | None:
    """First and last row and column (the last excluded) where ``here``; None where nowhere."""
    rows, columns = (np.flatnonzero(here.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


@contextmanager
def baseband(
    slc: xr.DataArray,
    date: Acquisition,
    grid: Grid,
    height: np.ndarray,
    layout: np.ndarray,
    *,
    bistatic: Bistatic = "mid-swath",
    threads: int = 1,
    scratch: str | Path | None = None,
) -> Iterator[xr.DataArray]:
    """The flattened image ``slc`` of :func:`geocode` (y, x) without its phases, as offsets need it.

    What is left is the deramped burst as it was interpolated: its spectrum is narrow, so that it
    can be oversampled before it is detected. It lies in a file of ``scratch`` as long as the
    context. The other arguments are those that made ``slc``.
    """
    with tempfile.TemporaryFile(dir=scratch) as file:
        out = np.memmap(file, np.complex64, "w+", shape=grid.shape)
        out[:] = np.nan
        for index, one in enumerate(date.bursts):
            here = layout == index
            if (box := _box(here)) is None:
                continue
            bare = partial(_bare, one, slc, Carrier.of(one.swath, one.burst))
            _fill(out, bare, date, one, grid, height, here, box, bistatic, threads)
        yield describe(_on_file(out, grid), "baseband", "deramped image on the map", "1")


@contextmanager
def geocoded(
    date: Acquisition,
    grid: Grid,
    height: np.ndarray,
    layout: np.ndarray,
    *,
    bistatic: Bistatic = "mid-swath",
    threads: int = 1,
    scratch: str | Path | None = None,
) -> Iterator[xr.Dataset]:
    """``slc/<date>.zarr`` by :func:`geocode`, in a file of ``scratch`` as long as the context."""
    with tempfile.TemporaryFile(dir=scratch) as file:
        image = np.memmap(file, np.complex64, "w+", shape=grid.shape)
        geocode(date, grid, height, layout, image, bistatic=bistatic, threads=threads)
        yield as_dataset(image, grid, date)


def independent_looks(
    date: Acquisition, grid: Grid, looks: tuple[int, int], incidence_deg: float
) -> float:
    """Independent looks of ``looks`` fine pixels of one of ``grid``, mean over the bursts.

    ConfigurationError where they are too few: their coherence would be that of noise.
    """
    fine = grid.subdivided(*looks)
    found = float(
        np.mean(
            [
                radiometry.independent_looks(
                    fine, looks, incidence_deg, date.heading_deg,
                    one.swath.range_band, one.swath.azimuth_band,
                )
                for one in date.bursts
            ]
        )
    )  # fmt: skip
    if found < FEWEST_LOOKS:
        raise ConfigurationError(
            f"looks is {list(looks)}: {found:.1f} independent looks, of which coherence cannot be "
            f"told; {FEWEST_LOOKS:.0f} or more are needed: raise looks, or grid.spacing_m."
        )
    return found


def gamma_nought(
    slc: xr.DataArray,
    date: Acquisition,
    grid: Grid,
    layout: xr.Dataset,
    height: np.ndarray,
    looks: tuple[int, int],
    *,
    seen: np.ndarray,
    bistatic: Bistatic = "mid-swath",
) -> xr.DataArray:
    """Terrain-flattened gamma nought (y, x; linear power) of one date on the region's ``grid``.

    Power of the fine image ``slc`` less that of thermal noise, times the flattening of ``layout``
    (of the same fine grid), averaged over ``looks``; ``height`` (y, x) is that of ``grid``. Noise
    is taken away in the mean, so that dark ground may come out negative, which further averaging
    needs. NaN where ``seen`` (y, x; bool) is False.
    """
    place_of = geocoding.earth_fixed(grid, height)
    noise = np.full(grid.shape, np.nan, np.float32)
    centre = layout["burst"].values[looks[0] // 2 :: looks[0], looks[1] // 2 :: looks[1]]
    for index, one in enumerate(date.bursts):
        here = centre[: grid.height, : grid.width] == index
        if here.any():
            place = geocoding.place_in_burst(
                one.swath, one.burst, date.orbit, place_of, bistatic=bistatic
            )
            noise[here] = one.noise_at(place)[here]
    return flattened(slc, grid, layout["flattening"], looks, noise=noise, seen=seen)


def flattened(
    slc: xr.DataArray,
    grid: Grid,
    flattening: xr.DataArray,
    looks: tuple[int, int],
    *,
    noise: np.ndarray | float,
    seen: np.ndarray,
) -> xr.DataArray:
    """The same where ``noise`` (y, x; beta nought, linear) is known."""
    noise = np.broadcast_to(np.asarray(noise, np.float32), grid.shape)
    out = np.empty(grid.shape, np.float32)
    for band, fine in _bands(slc, looks):
        factor = flattening.isel(fine).values
        power = np.abs(slc.isel(fine).values) ** 2
        mean, share = multilook(power * factor, looks)
        mean[share < LEAST_SHARE] = np.nan
        flat, _ = multilook(factor, looks)
        out[band] = mean - noise[band] * flat
    array = xr.DataArray(np.where(seen, out, np.nan), dims=MAP, coords=grid.coords)
    return describe(array, "gamma_nought", "terrain-flattened backscatter, linear power", "1")


def as_dataset(image: np.ndarray, fine: Grid, date: Acquisition) -> xr.Dataset:
    """``slc/<date>.zarr``: the image on its grid, read in bands where it lies in a file."""
    slc = _on_file(image, fine)
    slc = describe(slc, "slc", "flattened single-look image, beta nought amplitude", "1")
    slc.attrs |= {"wavelength_m": date.wavelength_m, "orbit": date.orbit.kind}
    return slc.to_dataset()


def _on_file(image: np.ndarray, fine: Grid) -> xr.DataArray:
    """``image`` on its grid, lazily, in bands of rows."""
    import dask.array as da

    rows = io.stack_rows(1, fine.height)
    blocks = da.from_array(image, chunks=(rows, fine.width))
    return xr.DataArray(blocks, dims=MAP, coords=fine.coords)


def unwrapped_pair(
    reference: xr.DataArray,
    secondary: xr.DataArray,
    grid: Grid,
    looks: tuple[int, int],
    *,
    seen: np.ndarray,
    independent_looks: float,
    goldstein: float,
    unwrapper: str,
    min_coherence: float,
) -> xr.Dataset:
    """Phase (rad), coherence and component (y, x) of two images on the fine grid.

    ``seen`` (y, x; bool): ground in neither layover nor shadow; the rest is NaN.
    """
    product, coherence = _interfered(reference, secondary, looks)
    product[~seen] = np.nan
    coherence[~seen] = np.nan
    if goldstein:
        product = filtered(product, goldstein)
    found = unwrap(
        xr.DataArray(product, dims=MAP, coords=grid.coords),
        xr.DataArray(coherence, dims=MAP, coords=grid.coords),
        looks=independent_looks,
        method=unwrapper,
        min_coherence=min_coherence,
    )
    kept = xr.DataArray(coherence, dims=MAP, coords=grid.coords)
    found["coherence"] = describe(kept, "coherence", "coherence", "1")
    return found.assign_attrs(wavelength_m=reference.attrs["wavelength_m"])


def _interfered(
    reference: xr.DataArray, secondary: xr.DataArray, looks: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Interferogram and coherence of two Dask-backed images, a band of their chunks at a time."""
    height, width = (size // n for size, n in zip(reference.shape, looks, strict=True))
    product = np.empty((height, width), np.complex64)
    coherence = np.empty((height, width), np.float32)
    for band, fine in _bands(reference, looks):
        product[band], coherence[band] = interfere(
            reference.isel(fine).values, secondary.isel(fine).values, looks
        )
    return product, coherence


def _bands(image: xr.DataArray, looks: tuple[int, int]) -> Iterator[tuple[slice, dict[str, slice]]]:
    """Rows of the region's grid and of the fine ``image``, about as many as its chunks hold."""
    height = image.shape[0] // looks[0]
    chunk = image.chunks[0][0] if image.chunks else image.shape[0]
    rows = max(1, chunk // looks[0])
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        yield slice(top, bottom), {Y: slice(top * looks[0], bottom * looks[0])}
