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

from rockglacier import downslope
from rockglacier.conventions import MAP, describe
from rockglacier.grid import Grid
from rockglacier.sentinel1.annotation import SPEED_OF_LIGHT, Burst, Swath
from rockglacier.sentinel1.interpolation import AZIMUTH_TAPS, RANGE_TAPS, interpolate
from rockglacier.sentinel1.orbit import Orbit, zero_doppler
from rockglacier.sentinel1.tops import Carrier

GROUND_SPEED_M_S = 6800.0  # of the footprint, to weigh lines against samples
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

    ``bistatic``: ESA's processor times lines as if all echoes returned from the middle of swath
    IW2; "mid-swath" undoes that for every range (half the difference of the two-way times, as the
    geolocation grid states it), "none" takes the lines' times as they are.

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
    line, sample = _anywhere(swath, burst, orbit, seconds, slant_range, bistatic=bistatic)
    valid = np.zeros(line.shape, bool)
    lines, samples = burst.valid_lines, burst.valid_samples
    with np.errstate(invalid="ignore"):
        valid = (line >= lines.start) & (line <= lines.stop - 1)
        valid &= (sample >= samples.start) & (sample <= samples.stop - 1)
    return Place(*(np.where(valid, a, np.nan) for a in (line, sample, slant_range)))


def _anywhere(
    swath: Swath,
    burst: Burst,
    orbit: Orbit,
    seconds: np.ndarray,
    slant_range: np.ndarray,
    *,
    bistatic: Bistatic,
) -> tuple[np.ndarray, np.ndarray]:
    """Line and sample, within the burst or not."""
    two_way = 2.0 * slant_range / SPEED_OF_LIGHT
    if bistatic == "mid-swath":
        offset, slope = swath.lag
        seconds = seconds - offset - slope * two_way
    line = (seconds - orbit.seconds(burst.start)) / swath.azimuth_interval_s
    sample = (two_way - swath.slant_range_time_s) * swath.range_sampling_hz
    return line, sample


def geometry(orbit: Orbit, heading_deg: float, grid: Grid, height: xr.DataArray) -> xr.Dataset:
    """``geometry.zarr`` of a track on ``grid``: line of sight, incidence, height, what is seen.

    ``height`` (y, x): metres above the ellipsoid. East, north and up are those of the ellipsoid.
    """
    from pyproj import Transformer

    ground = earth_fixed(grid, height.values)
    seconds, slant_range = zero_doppler(orbit, ground)
    sight = (orbit.position(seconds) - ground) / slant_range[..., None]
    to = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    x, y = np.meshgrid(grid.x, grid.y)
    longitude, latitude = (np.radians(a) for a in to.transform(x, y))
    sine, cosine = np.sin(longitude), np.cos(longitude)
    east = -sine * sight[..., 0] + cosine * sight[..., 1]
    outward = cosine * sight[..., 0] + sine * sight[..., 1]
    north = -np.sin(latitude) * outward + np.cos(latitude) * sight[..., 2]
    up = np.cos(latitude) * outward + np.sin(latitude) * sight[..., 2]
    maps = {
        "east": (east, "line of sight, ground to satellite, east", "1"),
        "north": (north, "line of sight, ground to satellite, north", "1"),
        "up": (up, "line of sight, ground to satellite, up", "1"),
        "incidence_angle": (
            np.degrees(np.arccos(np.clip(up, -1.0, 1.0))),
            "incidence angle, from the vertical",
            "degrees",
        ),
        "height": (height.values, "height above the ellipsoid", "m"),
    }
    dataset = xr.Dataset(
        {
            name: describe(
                xr.DataArray(np.asarray(values, np.float32), dims=MAP, coords=grid.coords),
                name, long_name, units,
            )
            for name, (values, long_name, units) in maps.items()
        }
    )  # fmt: skip
    dataset.attrs = {
        "slant_range_m": float(np.nanmean(slant_range)),
        "incidence_angle_deg": float(dataset["incidence_angle"].mean()),
        "heading_deg": heading_deg,
    }
    return dataset.assign(
        observable=downslope.observable(height, dataset[["east", "north", "up"]], grid)
    )


def geocode(
    pixels: np.ndarray,
    corner: tuple[int, int],
    place: Place,
    carrier: Carrier,
    wavelength_m: float,
) -> np.ndarray:
    """``pixels`` (line, sample; complex64) of a burst on the map, flattened (complex64).

    ``corner``: line and sample of the first pixel within the burst. NaN where all pixels that the
    kernel meets are zero: the burst holds nothing there.
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
    values[values == 0] = np.nan  # no echo is: pixels that are missing in the burst
    out[inside] = values * phasor(place, carrier, wavelength_m)[inside]
    return out


def phasor(place: Place, carrier: Carrier, wavelength_m: float) -> np.ndarray:
    """Carrier times the conjugate of the geometric phase (y, x; complex64), NaN outside.

    Without it a flattened image is the deramped burst again, as it was interpolated.
    """
    out = np.full(place.line.shape, np.nan, np.complex64)
    inside = place.inside
    # Two-way path in wavelengths, of which only the fraction counts: phases of 10^8 rad are not
    # told apart in single precision.
    turns = 2.0 * place.slant_range_m[inside] / wavelength_m
    phase = carrier.phase(place.line[inside], place.sample[inside])
    phase = phase + 2.0 * np.pi * (turns - np.floor(turns))
    out[inside] = np.exp(1j * phase).astype(np.complex64)
    return out


def window(
    swath: Swath,
    burst: Burst,
    orbit: Orbit,
    grid: Grid,
    heights: tuple[float, float],
    *,
    bistatic: Bistatic = "mid-swath",
) -> tuple[slice, slice] | None:
    """Lines and samples of ``burst`` that its image on ``grid`` needs; None where none.

    ``heights``: the lowest and the highest (m) on the grid. Neither line nor sample has an extreme
    within the box of ground that they span, so that its edges tell.
    """
    rows, columns = grid.shape
    edges = [(0, 1, 0, columns), (rows - 1, rows, 0, columns)]
    edges += [(0, rows, 0, 1), (0, rows, columns - 1, columns)]
    line, sample = [], []
    for edge in edges:
        part = grid.part(*edge)
        for height in heights:
            ground = earth_fixed(part, np.full(part.shape, height))
            at = _anywhere(swath, burst, orbit, *zero_doppler(orbit, ground), bistatic=bistatic)
            line.append(at[0].ravel())
            sample.append(at[1].ravel())
    bounds = []
    for values, taps, valid in (
        (np.concatenate(line), AZIMUTH_TAPS, burst.valid_lines),
        (np.concatenate(sample), RANGE_TAPS, burst.valid_samples),
    ):
        low = max(valid.start, int(np.floor(np.min(values))) - taps)
        high = min(valid.stop, int(np.ceil(np.max(values))) + taps + 1)
        if low >= high:
            return None
        bounds.append(slice(low, high))
    return bounds[0], bounds[1]
