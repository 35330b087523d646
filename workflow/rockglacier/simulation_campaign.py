"""Passes of a simulated radar satellite over ground: from scatterers to products as ESA's.

What lies on the ground, how it moves and how bright it is comes from elsewhere; here are the
surface between pixels, the swaths and bursts of a track, and the files of each date.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.polynomial import polynomial

from rockglacier.grid import Grid
from rockglacier.simulation import NOISE, stream
from rockglacier.simulation_ground_range import detected
from rockglacier.simulation_safe import (
    Burst,
    Flight,
    SwathImage,
    write_ground_range,
    write_orbit,
    write_product,
)
from rockglacier.simulation_scenes import (
    AZIMUTH_BAND,
    GRAVITY_M3_S2,
    ORBIT_RADIUS_M,
    RANGE_BAND,
    REACH_LINES,
    REACH_SAMPLES,
    SPEED_OF_LIGHT,
    Beam,
    Pass,
    expose,
    height_of,
)

WAVELENGTH_M = SPEED_OF_LIGHT / 5.405000454334350e9
INTERVAL_S = 2.0555563e-3
SAMPLING_HZ = 64.345238e6
PRF_HZ = 1717.128973878037
STEERING_DEG_S = {"IW1": 1.590368784, "IW2": 0.979863325}
LINES, PERIOD_LINES, INVALID_LINES = 200, 132, 6  # of a shortened burst
EDGE_SAMPLES = 16
OVERLAP_SAMPLES = 300  # of the two swaths
CELL_M2 = 43.0  # of the map, per scatterer: two in a resolution cell of 4.2 m by 21 m
BETA_NOUGHT = 237.0  # digital numbers per amplitude, as ESA scales IW
GEOLOCATION_POINTS = 11
OVERPASS = np.timedelta64(17 * 3600 + 5 * 60, "s")  # of the day


class Surface:
    """Ground between the pixels of ``ground``: heights (y, x; m above the ellipsoid)."""

    def __init__(self, ground: Grid, heights: np.ndarray) -> None:
        from pyproj import Transformer
        from scipy.interpolate import RectBivariateSpline

        self.ground = ground
        self.relief = RectBivariateSpline(-ground.y, ground.x, heights)
        self._to_lonlat = Transformer.from_crs(ground.crs, "EPSG:4326", always_xy=True)
        self._to_fixed = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)

    def fixed(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Earth-fixed places (n, 3; m) of the surface at map coordinates."""
        up = self.relief(-y, x, grid=False)
        return np.stack(self._to_fixed.transform(*self._to_lonlat.transform(x, y), up), axis=-1)

    def target(self, grid: Grid) -> np.ndarray:
        """The place (3,) amid ``grid``."""
        return np.asarray(self.fixed(grid.x.mean(keepdims=True), grid.y.mean(keepdims=True))[0])

    def sight(self, track: Pass, grid: Grid) -> np.ndarray:
        """Unit vector east, north, up from amid ``grid`` to the satellite."""
        middle = self._to_lonlat.transform(float(grid.x.mean()), float(grid.y.mean()))
        return _sight(track, self.target(grid), *middle)

    def scattered(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Map coordinates of scatterers, uniform over the map: one in CELL_M2."""
        west, south, east, north = self.ground.bounds
        inset = 2.0 * self.ground.dx
        count = int((east - west - 2 * inset) * (north - south - 2 * inset) / CELL_M2)
        x = rng.uniform(west + inset, east - inset, count)
        return x, rng.uniform(south + inset, north - inset, count)

    def area_toward(self, sight: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Of the surface over a cell of the map the area (m2) toward the radar.

        That is cell / cos(slope) cos(incidence).
        """
        slope_x = self.relief(-y, x, dy=1, grid=False)
        slope_y = -self.relief(-y, x, dx=1, grid=False)
        facing = np.maximum(0.0, sight[2] - slope_x * sight[0] - slope_y * sight[1])
        return np.asarray(CELL_M2 * facing)


class Campaign:
    """Passes of one track over ``places`` (n, 3), which tell where swaths and bursts lie.

    ``noise_db``: noise-equivalent sigma nought; 0 for none.
    """

    def __init__(
        self,
        track: Pass,
        target: np.ndarray,
        ascending: bool,
        days: Sequence[np.datetime64],
        baselines: np.ndarray,
        places: np.ndarray,
        seed: int,
        noise_db: float,
    ) -> None:
        self._track, self._target, self._ascending = track, target, ascending
        self._days, self._baselines = days, baselines
        self._seed, self._noise_db = seed, noise_db
        self._layout = _Layout(track, *track.abeam(places))

    def write(
        self,
        folder: Path,
        k: int,
        places: np.ndarray,
        amplitude: np.ndarray,
        path_m: np.ndarray,
        *,
        ground_range: bool = False,
    ) -> None:
        """Write date ``k``: ``scenes/*.SAFE``, ``orbits/*.EOF``, and GRD where wanted.

        ``amplitude`` (n,) is complex; ``path_m`` (n, one way) adds to the path to each place.
        """
        passed = self._track.beside(self._target, self._baselines[k])
        epoch = (self._days[k] + OVERPASS).astype("datetime64[ns]")
        flight = _flight(passed, epoch, k, self._ascending)
        images = self._layout.images(
            passed, epoch, *passed.abeam(places), amplitude, path_m, flight,
            stream(self._seed, NOISE, 20_000 + k), self._noise_db, fixed_height=self._target,
        )  # fmt: skip
        write_product(folder / "scenes", flight, images)
        if ground_range:
            for number, image in enumerate(detected(images, passed, self._target, epoch), start=1):
                write_ground_range(folder / "ground_range", flight, image, number)
        write_orbit(folder / "orbits", flight)


class _Layout:
    """Where the two swaths and their bursts lie in time and range: the same on every date."""

    def __init__(self, track: Pass, seconds: np.ndarray, distance: np.ndarray) -> None:
        near = 2.0 * (distance.min() - 40.0) / SPEED_OF_LIGHT
        far = 2.0 * (distance.max() + 40.0) / SPEED_OF_LIGHT
        total = int((far - near) * SAMPLING_HZ)
        half = total // 2
        first = half + OVERLAP_SAMPLES // 2, total - half + OVERLAP_SAMPLES // 2
        starts = near, near + (half - OVERLAP_SAMPLES // 2) / SAMPLING_HZ
        middle = starts[1] + 0.5 * first[1] / SAMPLING_HZ
        span = float(seconds.max() - seconds.min()) / INTERVAL_S
        count = max(
            2, int(np.ceil((span + PERIOD_LINES / 2 - (LINES - PERIOD_LINES)) / PERIOD_LINES))
        )
        lead = float(seconds.min()) / INTERVAL_S - INVALID_LINES - PERIOD_LINES / 2
        speed = float(np.linalg.norm(track.velocity(np.zeros(1))))
        self.swaths = []
        for index, (name, steering) in enumerate(STEERING_DEG_S.items()):
            samples = first[index]
            since = np.arange(samples) / SAMPLING_HZ
            fm_rate = np.array([-2330.0 + 60.0 * index, 4.0e5])
            centroid = np.array([12.0 - 25.0 * index, 3.0e5])
            k_a = polynomial.polyval(since, fm_rate)
            f_dc = polynomial.polyval(since, centroid)
            k_s = 2.0 * speed / WAVELENGTH_M * np.radians(steering)
            centre = -f_dc / k_a
            fits = [
                polynomial.polyfit(since, values, 3)
                for values in (k_a * k_s / (k_a - k_s), centre - centre[samples // 2])
            ]
            # Bursts of the swaths take turns.
            begin = lead + index * PERIOD_LINES / 2
            lines = [round(begin + k * PERIOD_LINES) * INTERVAL_S for k in range(count)]
            beams = [
                Beam(
                    round(start, 6), LINES, samples, INTERVAL_S, starts[index], SAMPLING_HZ,
                    WAVELENGTH_M, fits[0], centroid, fits[1], middle,
                )
                for start in lines
            ]  # fmt: skip
            self.swaths.append((name, steering, fm_rate, centroid, beams))

    def images(
        self,
        track: Pass,
        epoch: np.datetime64,
        seconds: np.ndarray,
        distance: np.ndarray,
        amplitude: np.ndarray,
        path: np.ndarray,
        flight: Flight,
        rng: np.random.Generator,
        noise_db: float,
        *,
        fixed_height: np.ndarray,
    ) -> list[SwathImage]:
        """Digital numbers of all bursts of one date."""
        energy = _energy(AZIMUTH_BAND, REACH_LINES) * _energy(RANGE_BAND, REACH_SAMPLES)
        speed = float(np.linalg.norm(track.velocity(np.zeros(1))))
        pixel_m2 = 0.5 * SPEED_OF_LIGHT / SAMPLING_HZ * ground_speed(speed) * INTERVAL_S
        scale = BETA_NOUGHT / np.sqrt(energy * pixel_m2)
        found = []
        for name, steering, fm_rate, centroid, beams in self.swaths:
            theta = _incidence(beams[0], fixed_height, track)
            # Noise is stated as sigma nought; in digital numbers it is the same at all ranges.
            noise = 0.0
            if noise_db < 0.0:
                noise = (
                    BETA_NOUGHT**2
                    * 10.0 ** (0.1 * noise_db)
                    / float(np.sin(np.radians(theta.mean())))
                )
            bursts = []
            for k, beam in enumerate(beams):
                pixels = scale * expose(beam, seconds, distance, amplitude, path)
                if noise:
                    parts = rng.normal(0.0, np.sqrt(0.5 * noise), (2, *pixels.shape))
                    pixels = pixels + parts[0] + 1j * parts[1]
                start = epoch + np.timedelta64(round(beam.start_s * 1e9), "ns")
                since = (start - flight.node_time) / np.timedelta64(1, "ns") * 1e-9
                bursts.append(
                    Burst(
                        start, since + 0.5 * LINES * INTERVAL_S, 1000 + k, pixels,
                        slice(INVALID_LINES, LINES - INVALID_LINES),
                        slice(EDGE_SAMPLES, beam.samples - EDGE_SAMPLES),
                    )
                )  # fmt: skip
            found.append(
                SwathImage(
                    name, beams[0].range_start_s, SAMPLING_HZ, INTERVAL_S, WAVELENGTH_M, steering,
                    PRF_HZ, fm_rate, centroid, BETA_NOUGHT, theta, noise, tuple(bursts),
                    _geolocation(track, beams, theta, fixed_height), height_of(fixed_height),
                )
            )  # fmt: skip
        return found


def sampled(field: np.ndarray, ground: Grid, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``field`` of ``ground`` between pixel centres, bilinear."""
    from scipy.ndimage import map_coordinates

    rows = (ground.north - y) / ground.dy - 0.5
    columns = (x - ground.west) / ground.dx - 0.5
    return np.asarray(map_coordinates(field, [rows, columns], order=1, mode="nearest"))


def circular(rng: np.random.Generator, count: int) -> np.ndarray:
    """Circular Gaussian numbers of unit power (complex64)."""
    parts = rng.standard_normal((2, count), np.float32) * np.float32(np.sqrt(0.5))
    return np.asarray(parts[0] + 1j * parts[1], np.complex64)


def _sight(track: Pass, target: np.ndarray, longitude: float, latitude: float) -> np.ndarray:
    """Unit vector east, north, up from ``target`` to the satellite when it is abeam."""
    place = track.position(np.zeros(1))[0] - target
    place /= np.linalg.norm(place)
    lam, phi = np.radians(longitude), np.radians(latitude)
    axes = np.array(
        [
            [-np.sin(lam), np.cos(lam), 0.0],
            [-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)],
            [np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)],
        ]
    )
    return np.asarray(axes @ place)


def _energy(band: float, reach: int) -> float:
    """Sum of squares of a response over samples."""
    from rockglacier.simulation_scenes import _response

    return float(sum(_response(float(k), reach, band) ** 2 for k in range(-reach, reach + 1)))


def ground_speed(orbital_m_s: float) -> float:
    """Speed (m/s) of the zero-Doppler footprint of a satellite of ``orbital_m_s``."""
    return orbital_m_s * 6_371_000.0 / ORBIT_RADIUS_M


def _incidence(beam: Beam, target: np.ndarray, track: Pass) -> np.ndarray:
    """Incidence angle (degrees) per sample on a sphere through the target."""
    since = np.arange(beam.samples) / beam.range_sampling_hz
    return track.incidence_deg(beam.range_start_s + since, target)


def _geolocation(
    track: Pass, beams: list[Beam], theta: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """Sample, lateness (s), longitude, latitude and incidence of points at the target's height.

    One row for the first line of each burst and one for the very last.
    """
    sample = np.linspace(0, beams[0].samples - 1, GEOLOCATION_POINTS).round()
    starts = [beam.start_s for beam in beams]
    starts.append(starts[-1] + (LINES - 1) * INTERVAL_S)
    rows = []
    for start in starts:
        two_way = beams[0].range_start_s + sample / SAMPLING_HZ
        middle = beams[0].bistatic_middle_s
        late = 0.5 * (two_way - (two_way if middle is None else middle))
        longitude, latitude = track.ground_at(start + late, two_way, target)
        incidence = theta[sample.astype(int)]
        rows.append(np.stack([sample, late, longitude, latitude, incidence], axis=1))
    return np.array(rows)


def _flight(track: Pass, epoch: np.datetime64, k: int, ascending: bool) -> Flight:
    """Vectors every 10 s over five minutes around the scene."""
    clock = np.arange(-150.0, 151.0, 10.0)
    rate = np.sqrt(GRAVITY_M3_S2 / ORBIT_RADIUS_M**3)
    since_node = (track.phase_rad % (2.0 * np.pi)) / rate
    place, speed = track.position(np.zeros(1))[0], track.velocity(np.zeros(1))[0]
    up = place / np.linalg.norm(place)
    east = np.cross([0.0, 0.0, 1.0], up)
    east /= np.linalg.norm(east)
    heading = np.degrees(np.arctan2(speed @ east, speed @ np.cross(up, east)))
    absolute = 32861 + 175 * k
    return Flight(
        "S1A", absolute, (absolute - 73) % 175 + 1, ascending, float(heading),
        epoch - np.timedelta64(round(since_node * 1e9), "ns"),
        epoch + (clock * 1e9).astype("timedelta64[ns]"),
        track.position(clock), track.velocity(clock),
    )  # fmt: skip
