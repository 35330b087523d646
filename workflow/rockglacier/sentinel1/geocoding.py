"""Bursts on a map grid: where each pixel lies in the burst, and the burst's pixels there.

For every pixel of the grid the DEM gives a place, the orbit the time at which it is abeam and its
slant range, the annotation the line and sample. There the deramped burst is interpolated, its
carrier put back, and the geometric phase taken away, so that two dates geocoded alike differ by
motion, atmosphere and noise alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from rockglacier.conventions import X, Y
from rockglacier.grid import Grid
from rockglacier.sentinel1.annotation import SPEED_OF_LIGHT, Burst, Swath
from rockglacier.sentinel1.interpolation import AZIMUTH_TAPS, RANGE_TAPS, interpolate
from rockglacier.sentinel1.orbit import Orbit, zero_doppler
from rockglacier.sentinel1.tops import Carrier

DERAMPED_LINES = 128  # at a time, to bound memory
Bistatic = Literal["mid-swath", "none"]


def earth_fixed(grid: Grid, height: np.ndarray) -> np.ndarray:
    """Earth-fixed place (y, x, 3; m) of the grid's pixel centres at ellipsoidal ``height`` (m)."""
    from pyproj import Transformer

    to = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    x, y = np.meshgrid(grid.x, grid.y)
    longitude, latitude = to.transform(x, y)
    fixed = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    places = fixed.transform(longitude, latitude, height.astype(np.float64))
    return np.stack(places, axis=-1)


@dataclass(frozen=True, eq=False)
class Place:
    """Line and sample (fractional) of every map pixel in a burst, and its slant range (m)."""

    line: np.ndarray
    sample: np.ndarray
    slant_range_m: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """Where there is a place at all."""
        known: np.ndarray = np.isfinite(self.line)
        return known


def place_in_burst(
    swath: Swath,
    burst: Burst,
    orbit: Orbit,
    ground: np.ndarray,
    *,
    bistatic: Bistatic = "mid-swath",
) -> Place:
    """Where ``ground`` (y, x, 3; m) lies in ``burst``.

    ``bistatic``: ESA's processor times lines as if all echoes returned from the middle of the
    swath; "mid-swath" undoes that for every range (half the difference of the two-way times),
    "none" takes the lines' times as they are.

    Source: Gisinger et al. (2021), doi:10.1109/TGRS.2019.2961248, section III.
    """
    return locate(swath, burst, orbit, *zero_doppler(orbit, ground), bistatic=bistatic)


def locate(
    swath: Swath,
    burst: Burst,
    orbit: Orbit,
    seconds: np.ndarray,
    slant_range: np.ndarray,
    *,
    bistatic: Bistatic = "mid-swath",
) -> Place:
    """:func:`place_in_burst` of ground abeam at ``seconds`` of ``orbit``, so many metres away."""
    two_way = 2.0 * slant_range / SPEED_OF_LIGHT
    if bistatic == "mid-swath":
        middle = swath.slant_range_time_s + 0.5 * swath.samples_per_burst / swath.range_sampling_hz
        seconds = seconds + 0.5 * (middle - two_way)
    line = (seconds - orbit.seconds(burst.start)) / swath.azimuth_interval_s
    sample = (two_way - swath.slant_range_time_s) * swath.range_sampling_hz
    valid = np.zeros(line.shape, bool)
    lines, samples = burst.valid_lines, burst.valid_samples
    with np.errstate(invalid="ignore"):
        valid = (line >= lines.start) & (line <= lines.stop - 1)
        valid &= (sample >= samples.start) & (sample <= samples.stop - 1)
    return Place(*(np.where(valid, a, np.nan) for a in (line, sample, slant_range)))


def geocode(
    pixels: np.ndarray,
    corner: tuple[int, int],
    place: Place,
    carrier: Carrier,
    wavelength_m: float,
) -> np.ndarray:
    """``pixels`` (line, sample; complex64) of a burst on the map, flattened (complex64).

    ``corner``: line and sample of the first pixel within the burst. Zero pixels, which the burst
    holds outside its valid samples, count as zero, not as missing: ``place`` keeps to the valid.
    """
    return resample(deramp(pixels, corner, carrier), corner, place, carrier, wavelength_m)


def deramp(pixels: np.ndarray, corner: tuple[int, int], carrier: Carrier) -> np.ndarray:
    """``pixels`` (line, sample; complex) of a burst without its azimuth carrier (complex64)."""
    out = np.empty(pixels.shape, np.complex64)
    sample = np.arange(pixels.shape[1], dtype=float)[None, :] + corner[1]
    for top in range(0, pixels.shape[0], DERAMPED_LINES):
        rows = slice(top, top + DERAMPED_LINES)
        line = np.arange(*rows.indices(pixels.shape[0])[:2], dtype=float)[:, None] + corner[0]
        ramp = carrier.phase(*np.broadcast_arrays(line, sample))
        out[rows] = pixels[rows] * np.exp(-1j * ramp).astype(np.complex64)
    return out


def resample(
    flat: np.ndarray,
    corner: tuple[int, int],
    place: Place,
    carrier: Carrier,
    wavelength_m: float,
) -> np.ndarray:
    """What :func:`deramp` made at ``place``, its carrier put back, flattened (complex64)."""
    out = np.full(place.line.shape, np.nan, np.complex64)
    inside = place.inside
    at = place.line[inside], place.sample[inside]
    values = interpolate(flat, at[0] - corner[0], at[1] - corner[1])
    # Two-way path in wavelengths, of which only the fraction counts: phases of 10^8 rad are not
    # told apart in single precision.
    turns = 2.0 * place.slant_range_m[inside] / wavelength_m
    phase = carrier.phase(*at) + 2.0 * np.pi * (turns - np.floor(turns))
    out[inside] = values * np.exp(1j * phase).astype(np.complex64)
    return out


def window(place: Place, lines: int, samples: int) -> tuple[slice, slice] | None:
    """Lines and samples of the burst that interpolation at ``place`` needs; None where none."""
    if not place.inside.any():
        return None
    bounds = []
    for values, taps, size in (
        (place.line, AZIMUTH_TAPS, lines),
        (place.sample, RANGE_TAPS, samples),
    ):
        low, high = np.nanmin(values), np.nanmax(values)
        bounds.append(slice(max(0, int(low) - taps), min(size, int(high) + taps + 1)))
    return bounds[0], bounds[1]


def merged(parts: list[tuple[np.ndarray, np.ndarray]], grid: Grid) -> xr.DataArray:
    """One image of several bursts: where they overlap, the one whose edge is farther.

    ``parts``: image (y, x; complex64) and the distance to the burst's nearest edge (y, x; lines,
    NaN outside).
    """
    image = np.full(grid.shape, np.nan, np.complex64)
    best = np.full(grid.shape, -np.inf, np.float32)
    for values, distance in parts:
        better = np.isfinite(values) & (np.nan_to_num(distance, nan=-np.inf) > best)
        image[better], best[better] = values[better], distance[better]
    return xr.DataArray(image, dims=(Y, X), coords=grid.coords, name="slc")
