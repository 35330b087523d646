"""Simulated bursts, geocoded by code that knows nothing of how they were made."""

from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr
from numpy.polynomial import polynomial
from pyproj import Transformer
from scipy.optimize import brentq

from rockglacier import simulation_scenes as scenes
from rockglacier.grid import Grid
from rockglacier.sentinel1 import geocoding
from rockglacier.sentinel1.annotation import Band, Burst, Swath
from rockglacier.sentinel1.interferogram import interfere, multilook
from rockglacier.sentinel1.orbit import fit_orbit
from rockglacier.sentinel1.tops import Carrier

WAVELENGTH = 0.0554658
INTERVAL = 2.0555563e-3
SAMPLING = 64.345238e6
EPOCH = np.datetime64("2020-07-01T17:05:00", "ns")
GRID = Grid("EPSG:32632", 644_000.0, 5_189_000.0, 5.0, 10.0, 480, 240)
LOOKS = (4, 8)
TO_EARTH = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True)
TO_FIXED = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)


def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A ridge and a bowl of 400 m."""
    east, north = (x - 645_200.0) / 1000.0, (y - 5_187_800.0) / 1000.0
    return 2600.0 + 250.0 * np.sin(1.7 * east + 0.4) + 150.0 * np.cos(2.1 * north - east)


def motion(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Toward the satellite (m): a tongue of 9 mm."""
    east, north = (x - 645_300.0) / 250.0, (y - 5_187_700.0) / 400.0
    return 0.009 * np.exp(-(east**4) - north**4)


def fixed(x: np.ndarray, y: np.ndarray, up: np.ndarray) -> np.ndarray:
    return np.stack(TO_FIXED.transform(*TO_EARTH.transform(x, y), up), axis=-1)


@dataclass
class Radar:
    """Two overlapping bursts of a short swath, as annotation and as the simulation's beams."""

    track: scenes.Pass
    near_m: float

    def __post_init__(self) -> None:
        clock = np.arange(-90.0, 91.0, 10.0)
        times = EPOCH + (clock * 1e9).astype("timedelta64[ns]")
        orbit = xr.Dataset(
            {
                "position": (("axis", "azimuth_time"), self.track.position(clock).T),
                "velocity": (("axis", "azimuth_time"), self.track.velocity(clock).T),
            },
            coords={"azimuth_time": times},
        )
        self.range_start = 2.0 * self.near_m / scenes.SPEED_OF_LIGHT
        lines, samples = 120, 760
        fm_rate, centroid = np.array([-2300.0, 4.0e5]), np.array([12.0, 3.0e5])

        def at_each_time(name: str, values: np.ndarray) -> xr.Dataset:
            return xr.Dataset(
                {
                    "t0": ("azimuth_time", np.full(2, self.range_start)),
                    name: (("azimuth_time", "degree"), np.tile(values, (2, 1))),
                },
                coords={"azimuth_time": EPOCH + np.array([-1, 1]) * np.timedelta64(1, "s")},
            )

        starts = np.array([-100.0, -20.0]) * INTERVAL
        valid = np.where((np.arange(lines) >= 12) & (np.arange(lines) < lines - 12), 20, -1)
        bursts = tuple(
            Burst(k, k, EPOCH + np.timedelta64(round(start * 1e9), "ns"), EPOCH, valid,
                  np.where(valid >= 0, samples - 20, -1))
            for k, start in enumerate(starts)
        )  # fmt: skip
        self.swath = Swath(
            "simulated", "S1A", "IW1", "VV", 0.0, scenes.SPEED_OF_LIGHT / WAVELENGTH, SAMPLING,
            self.range_start, INTERVAL, 1.590368784, 1717.0, lines, samples, bursts, orbit,
            at_each_time("data_dc_polynomial", centroid),
            at_each_time("azimuth_fm_rate_polynomial", fm_rate),
            Band(0.88 * SAMPLING), Band(0.67 / INTERVAL), (0.0, 0.0),
        )  # fmt: skip
        # k_t and eta_ref as the text of ESA's note defines them, as polynomials over the swath.
        since = np.arange(samples) / SAMPLING
        k_a, f_dc = polynomial.polyval(since, fm_rate), polynomial.polyval(since, centroid)
        speed = float(np.linalg.norm(self.track.velocity(np.zeros(1))))
        k_s = 2.0 * speed / WAVELENGTH * np.radians(1.590368784)
        centre = -f_dc / k_a
        fit = [
            polynomial.polyfit(since, values, 3)
            for values in (k_a * k_s / (k_a - k_s), centre - centre[samples // 2])
        ]
        self.beams = [
            scenes.Beam(start, lines, samples, INTERVAL, self.range_start, SAMPLING, WAVELENGTH,
                        fit[0], centroid, fit[1])
            for start in starts
        ]  # fmt: skip

    def geocoded(self, bursts: list[np.ndarray]) -> np.ndarray:
        """Both bursts on the map, merged."""
        x, y = np.meshgrid(GRID.x, GRID.y)
        ground = geocoding.earth_fixed(GRID, height(x, y))
        ends = EPOCH - np.timedelta64(2, "s"), EPOCH + np.timedelta64(2, "s")
        orbit = fit_orbit(self.swath.orbit, *ends, "annotation", "simulated")
        image = np.full(GRID.shape, np.nan, np.complex64)
        inside = np.full(GRID.shape, -np.inf)
        for burst, pixels in zip(self.swath.bursts, bursts, strict=True):
            place = geocoding.place_in_burst(self.swath, burst, orbit, ground, bistatic="none")
            carrier = Carrier.of(self.swath, burst)
            values = geocoding.geocode(pixels, (0, 0), place, carrier, WAVELENGTH)
            edge = np.minimum(place.line - 12, 107 - place.line)
            closer = np.isfinite(values) & (edge > inside)
            image[closer], inside[closer] = values[closer], edge[closer]
        return image


@pytest.fixture(scope="module")
def passes() -> tuple[np.ndarray, scenes.Pass]:
    target = fixed(*np.array([[645_200.0], [5_187_800.0], [2600.0]]))[0]
    return target, scenes.passing(target, 39.0, ascending=False)


def test_the_pass_sees_its_target_from_where_it_should(passes) -> None:
    target, track = passes
    place, speed = track.position(np.zeros(1))[0], track.velocity(np.zeros(1))[0]
    assert abs((target - place) @ speed) / np.linalg.norm(speed) < 1e-3
    assert 690e3 < np.linalg.norm(place) - 6.37e6 < 715e3
    assert 7_300 < np.linalg.norm(speed) < 7_700
    step = 1e-3
    moved = track.position(np.array([-step, step]))
    assert np.allclose((moved[1] - moved[0]) / (2 * step), speed, atol=1e-3)

    def ahead(seconds: float) -> float:
        at = np.array([seconds])
        return float((target + 500.0 - track.position(at)[0]) @ track.velocity(at)[0])

    when, _ = track.abeam(target[None] + 500.0)
    assert when[0] == pytest.approx(brentq(ahead, -5, 5, xtol=1e-13), abs=1e-9)


def test_interferometric_phase_is_that_of_the_motion(passes) -> None:
    """Bars: 0.1 rad after one constant, no ramp beyond 0.2 rad, no jump at the seam beyond 0.1."""
    target, track = passes
    rng = np.random.default_rng(3)
    count = 300_000
    x = rng.uniform(GRID.x[0] - 60, GRID.x[-1] + 60, count)
    y = rng.uniform(GRID.y[-1] - 60, GRID.y[0] + 60, count)
    ground = fixed(x, y, height(x, y))
    amplitude = rng.normal(size=count) + 1j * rng.normal(size=count)
    near = float(track.abeam(ground)[1].min()) - 60.0
    images = []
    for perpendicular, moved in [(0.0, 0.0), (60.0, 1.0)]:
        radar = Radar(track.beside(target, perpendicular), near)
        bursts = [
            scenes.illuminate(beam, radar.track, ground, amplitude, -moved * motion(x, y))
            for beam in radar.beams
        ]
        images.append(radar.geocoded(bursts))
    seen, coherence = interfere(*images, LOOKS)
    columns, rows = np.meshgrid(GRID.x, GRID.y)
    expected, _ = multilook(np.exp(-4j * np.pi / WAVELENGTH * motion(columns, rows)), LOOKS)
    left = seen * expected.conj()
    good = np.isfinite(left) & (coherence > 0.5)
    assert good.mean() > 0.5
    assert np.nanmedian(coherence) > 0.9
    left = left * np.exp(-1j * np.angle(left[good].sum()))
    phase = np.where(good, np.angle(left), np.nan)
    assert np.sqrt(np.nanmean(phase**2)) < 0.1
    at = np.argwhere(good)
    design = np.column_stack([np.ones(len(at)), at / np.array(good.shape)])
    slope = np.linalg.lstsq(design, phase[good], rcond=None)[0]
    assert np.abs(slope[1:]).max() < 0.2
    by_row = np.nanmean(phase, axis=1)
    smooth = np.convolve(np.nan_to_num(by_row), np.ones(5) / 5, "valid")
    assert np.abs(np.diff(smooth)).max() < 0.1
