"""Interpolation and geocoding of bursts, against signals made by another formula."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyproj import Transformer
from scipy.optimize import brentq
from test_sentinel1_geometry import azores, of_annotation, parsed, stated_points  # noqa: F401

from rockglacier.grid import Grid
from rockglacier.sentinel1 import geocoding, interpolation
from rockglacier.sentinel1.annotation import SPEED_OF_LIGHT
from rockglacier.sentinel1.tops import Carrier


def test_band_limited_noise_is_interpolated(record_property: Callable[[str, object], None]) -> None:
    """Bars of this step: amplitude to 1.2 %, phase to 0.02 rad (root mean square)."""
    rng = np.random.default_rng(0)
    size = 384
    spectrum = rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))
    frequency = np.fft.fftfreq(size)
    spectrum[np.abs(frequency) > 0.5 * 0.67] = 0.0
    spectrum[:, np.abs(frequency) > 0.5 * 0.88] = 0.0
    image = np.fft.ifft2(spectrum)
    image /= np.sqrt(np.mean(np.abs(image) ** 2))
    line, sample = rng.uniform(20, size - 20, (2, 3000))
    along = np.exp(2j * np.pi * np.outer(line, frequency))
    across = np.exp(2j * np.pi * np.outer(sample, frequency))
    true = np.einsum("pl,lp->p", along, spectrum @ across.T)
    true /= np.sqrt(np.mean(np.abs(np.fft.ifft2(spectrum)) ** 2)) * size**2
    found = interpolation.interpolate(image, line, sample)
    amplitude = float(np.sqrt(np.mean((np.abs(found) - np.abs(true)) ** 2)))
    phase = float(np.sqrt(np.mean(np.angle(found * true.conj()) ** 2)))
    record_property("amplitude", amplitude)
    record_property("phase_rad", phase)
    assert amplitude < 0.012 and phase < 0.02


def test_beyond_the_image_nothing_is_made_up() -> None:
    image = np.ones((64, 64), np.complex64)
    image[30, 30] = np.nan
    line, sample = np.array([1.0, 40.0, 32.0, -5.0, np.nan]), np.full(5, 33.0)
    found = interpolation.interpolate(image, line, sample)
    assert np.isfinite(found).tolist() == [False, True, False, False, False]


def test_zeros_are_missing(azores: Path) -> None:  # noqa: F811
    """What the processor left empty is no dark ground."""
    swath = parsed(next(azores.glob("*.xml")))
    rng = np.random.default_rng(0)
    pixels = (rng.normal(size=(60, 80)) + 1j * rng.normal(size=(60, 80))).astype(np.complex64)
    pixels[:30] = 0.0
    line, sample = (a.astype(float) for a in np.mgrid[12:48, 30:50])
    place = geocoding.Place(line, sample, np.full(line.shape, 8.5e5))
    carrier = Carrier.of(swath, swath.bursts[4])
    found = geocoding.geocode(pixels, (0, 0), place, carrier, swath.wavelength_m)
    taps = interpolation.AZIMUTH_TAPS // 2
    assert np.isnan(found[line < 30 - taps]).all() and np.isfinite(found[line >= 30]).all()


@pytest.mark.parametrize("bistatic", ["mid-swath", "none"])
def test_a_corner_reflector_lies_where_it_stands(azores: Path, bistatic: str) -> None:  # noqa: F811
    annotation = next(azores.glob("*.xml"))
    swath = parsed(annotation)
    track = of_annotation(swath)
    ground, times, two_way = stated_points(annotation)
    burst = swath.bursts[4]
    into = (times - burst.start) / np.timedelta64(1, "s") / swath.azimuth_interval_s
    near = int(np.argmin(np.abs(into - 700) + 1e5 * np.abs(two_way - np.median(two_way))))
    to = Transformer.from_crs("EPSG:4978", "EPSG:32626", always_xy=True)
    east, north, up = to.transform(*ground[near])
    target = np.array(
        Transformer.from_crs("EPSG:32626", "EPSG:4978", always_xy=True).transform(east, north, up)
    )

    def ahead(seconds: float) -> float:
        return float((target - track.position(seconds)) @ track.velocity(seconds))

    abeam = brentq(ahead, -20.0, 20.0, xtol=1e-12)
    distance = float(np.linalg.norm(target - track.position(abeam)))
    delay = 2.0 * distance / SPEED_OF_LIGHT
    offset, slope = swath.lag
    stated = abeam - (offset + slope * delay if bistatic == "mid-swath" else 0.0)
    line0 = (stated - float(track.seconds(burst.start))) / swath.azimuth_interval_s
    sample0 = (delay - swath.slant_range_time_s) * swath.range_sampling_hz
    corner = int(line0) - 40, int(sample0) - 60
    line = np.arange(80)[:, None] + corner[0]
    sample = np.arange(120)[None, :] + corner[1]
    carrier = Carrier.of(swath, burst)
    turn = (
        carrier.phase(np.array([line0 + 0.5]), np.array([sample0]))
        - carrier.phase(np.array([line0 - 0.5]), np.array([sample0]))
    )[0]
    # A focused point: its spectrum is centred on the Doppler that the antenna had there.
    pixels = np.sinc(0.88 * (sample - sample0)) * np.sinc(0.67 * (line - line0))
    pixels = (
        pixels
        * np.exp(1j * turn * (line - line0))
        * np.exp(-4j * np.pi * distance / swath.wavelength_m)
    )
    grid = Grid("EPSG:32626", east - 40.5, north + 40.5, 1.0, 1.0, 81, 81)
    places = geocoding.earth_fixed(grid, np.full(grid.shape, up))
    place = geocoding.place_in_burst(swath, burst, track, places, bistatic=bistatic)
    found = geocoding.geocode(
        pixels.astype(np.complex64), corner, place, carrier, swath.wavelength_m
    )
    row, column = np.unravel_index(int(np.argmax(np.abs(found))), found.shape)
    # A pixel of 14 m by 3.4 m on the ground: well below a tenth of it in either direction.
    power = np.abs(found) ** 2
    power[power < 0.5 * power.max()] = 0.0
    rows, columns = np.indices(power.shape)
    assert (rows * power).sum() / power.sum() == pytest.approx(40.0, abs=0.3)
    assert (columns * power).sum() / power.sum() == pytest.approx(40.0, abs=0.2)
    assert abs(row - 40) <= 1 and abs(column - 40) <= 1
    assert abs(np.angle(found[40, 40])) < 0.02
    assert abs(found[40, 40]) == pytest.approx(1.0, abs=0.01)
