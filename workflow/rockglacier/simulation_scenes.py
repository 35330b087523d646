"""Bursts of a TOPS radar over real or made-up ground: the truth of the scene engine.

Scatterers on the ground, a satellite on a circular orbit in inertial space, and for each scatterer
the response of a focused point: a band-limited peak where it is abeam, at the Doppler that the
turning antenna had there. Nothing here is shared with the code that geocodes: the orbit is a closed
formula, not the polynomials through state vectors, and the phase of a point follows from its path.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numba
import numpy as np

SPEED_OF_LIGHT = 299_792_458.0
GRAVITY_M3_S2 = 3.986004418e14
EARTH_RATE_RAD_S = 7.292115e-5
ORBIT_RADIUS_M = 7_071_000.0
INCLINATION_RAD = np.radians(98.18)
# Responses reach so many lines and samples to either side of their peak.
REACH_LINES, REACH_SAMPLES = 10, 14
AZIMUTH_BAND, RANGE_BAND = 0.67, 0.88  # shares of the sampling rates
TAPER = 4.0  # of the Kaiser window over the reach


@dataclass(frozen=True, eq=False)
class Pass:
    """A satellite's pass: node and phase of its circular orbit, and where this one lies beside it.

    Seconds count from the moment at which the aimed-at ground is abeam. ``offset_m`` (3,) shifts
    the whole pass in the Earth-fixed frame: a baseline.
    """

    node_rad: float
    phase_rad: float
    offset_m: np.ndarray

    def position(self, seconds: np.ndarray) -> np.ndarray:
        """Earth-fixed position (..., 3; m)."""
        place: np.ndarray = self._turned(self._inertial(seconds, 0), seconds) + self.offset_m
        return place

    def velocity(self, seconds: np.ndarray) -> np.ndarray:
        """Earth-fixed velocity (..., 3; m/s)."""
        moving = self._turned(self._inertial(seconds, 1), seconds)
        place = self._turned(self._inertial(seconds, 0), seconds)
        return moving - EARTH_RATE_RAD_S * np.cross([0.0, 0.0, 1.0], place)

    def _inertial(self, seconds: np.ndarray, derivative: int) -> np.ndarray:
        rate = np.sqrt(GRAVITY_M3_S2 / ORBIT_RADIUS_M**3)
        angle = self.phase_rad + rate * np.asarray(seconds) + 0.5 * np.pi * derivative
        length = ORBIT_RADIUS_M * rate**derivative
        along, up = length * np.cos(angle), length * np.sin(angle)
        cosine, sine = np.cos(self.node_rad), np.sin(self.node_rad)
        tilt = up * np.cos(INCLINATION_RAD)
        return np.stack(
            [along * cosine - tilt * sine, along * sine + tilt * cosine,
             up * np.sin(INCLINATION_RAD)], axis=-1,
        )  # fmt: skip

    def _turned(self, vector: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """From inertial to Earth-fixed axes."""
        turn = EARTH_RATE_RAD_S * np.asarray(seconds)
        cosine, sine = np.cos(turn), np.sin(turn)
        x, y, z = np.moveaxis(vector, -1, 0)
        return np.stack([x * cosine + y * sine, y * cosine - x * sine, z], axis=-1)

    def abeam(self, ground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Seconds at which ``ground`` (n, 3; m) is abeam, and its distance (m) then."""
        seconds = np.zeros(len(ground))
        for _ in range(12):
            gap, speed = ground - self.position(seconds), self.velocity(seconds)
            # The gap closes by speed and its direction turns with the orbit: a secant suffices.
            seconds = seconds + (gap * speed).sum(axis=-1) / (speed**2).sum(axis=-1)
        return seconds, np.linalg.norm(ground - self.position(seconds), axis=-1)

    def ground_at(
        self, seconds: np.ndarray, two_way_s: np.ndarray, target: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude (degrees) of what is abeam at ``seconds``, so far away.

        On the ellipsoid that is raised to the height of ``target`` (3,), to whose side it lies.
        """
        from pyproj import Transformer

        back = Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True)
        height = height_of(target)
        a, b = 6378137.0 + height, 6356752.314245 + height
        place, speed = self.position(seconds), self.velocity(seconds)
        distance = 0.5 * SPEED_OF_LIGHT * two_way_s
        point = np.tile(target, (np.size(two_way_s), 1))
        for _ in range(15):
            gap = point - place
            off = np.stack(
                [
                    (gap * speed).sum(axis=1),
                    (gap**2).sum(axis=1) - distance**2,
                    (point[:, 0] ** 2 + point[:, 1] ** 2) / a**2 + point[:, 2] ** 2 / b**2 - 1.0,
                ],
                axis=1,
            )
            turn = np.stack([speed, 2.0 * gap, 2.0 * point / [a**2, a**2, b**2]], axis=1)
            point = point - np.linalg.solve(turn, off[..., None])[..., 0]
        longitude, latitude, _ = back.transform(*point.T)
        return longitude, latitude

    def incidence_deg(self, two_way_s: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Incidence angle (degrees) so far away, on a sphere through ``target`` (3,)."""
        radius = float(np.linalg.norm(target))
        orbit = float(np.linalg.norm(self.position(np.zeros(1))))
        distance = 0.5 * SPEED_OF_LIGHT * two_way_s
        cosine = (orbit**2 - distance**2 - radius**2) / (2.0 * distance * radius)
        return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))

    def beside(self, target: np.ndarray, perpendicular_m: float) -> Pass:
        """The same pass shifted across its line of sight to ``target`` (3,)."""
        place, speed = (a[0] for a in (self.position(np.zeros(1)), self.velocity(np.zeros(1))))
        across = np.cross(target - place, speed)
        across /= np.linalg.norm(across)
        return replace(self, offset_m=self.offset_m + perpendicular_m * across)


def height_of(place: np.ndarray) -> float:
    """Height (m) of ``place`` (3,; Earth-fixed m) above the ellipsoid."""
    from pyproj import Transformer

    back = Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True)
    return float(back.transform(*place)[2])


def passing(target: np.ndarray, incidence_deg: float, *, ascending: bool) -> Pass:
    """The pass of a right-looking satellite that sees ``target`` (3,; m) at ``incidence_deg``."""
    from scipy.optimize import least_squares

    up = target / np.linalg.norm(target)
    latitude = np.arcsin(up[2])
    phase = np.arcsin(np.clip(np.sin(latitude) / np.sin(INCLINATION_RAD), -1.0, 1.0))
    phase = phase if ascending else np.pi - phase

    def off(unknown: np.ndarray) -> np.ndarray:
        tried = Pass(float(unknown[0]), float(unknown[1]), np.zeros(3))
        place, speed = tried.position(np.zeros(1))[0], tried.velocity(np.zeros(1))[0]
        sight = place - target
        length = np.linalg.norm(sight)
        right = float(np.cross(speed, place) @ sight) < 0.0  # the ground lies to the right
        angle = np.degrees(np.arccos(np.clip(sight @ up / length, -1.0, 1.0)))
        miss = (angle if right else -angle) - incidence_deg
        return np.array([(sight @ speed) / length / 100.0, miss])

    nodes = np.linspace(-np.pi, np.pi, 721)
    first = min(nodes, key=lambda node: float(np.sum(off(np.array([node, phase])) ** 2)))
    found = least_squares(off, [first, phase], x_scale=1e-3, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    return Pass(float(found.x[0]), float(found.x[1]), np.zeros(3))


@dataclass(frozen=True, eq=False)
class Beam:
    """Timing and Doppler of one burst; polynomials of the two-way time past ``range_start_s``."""

    start_s: float  # of the first line, on the pass's clock
    lines: int
    samples: int
    azimuth_interval_s: float
    range_start_s: float
    range_sampling_hz: float
    wavelength_m: float
    doppler_rate_hz_s: np.ndarray  # k_t, polynomial in s
    centroid_hz: np.ndarray
    reference_s: np.ndarray  # eta_ref
    # Two-way time of the middle of IW2, from where the processor takes all echoes to return when
    # it times lines (Gisinger et al. 2021, doi:10.1109/TGRS.2019.2961248); None: exact times.
    bistatic_middle_s: float | None = None

    def doppler(self, line: np.ndarray, two_way_s: np.ndarray) -> np.ndarray:
        """Doppler (Hz) at which points at ``line`` were seen."""
        from numpy.polynomial.polynomial import polyval

        since = two_way_s - self.range_start_s
        eta = (line - 0.5 * self.lines) * self.azimuth_interval_s - polyval(since, self.reference_s)
        return np.asarray(
            polyval(since, self.doppler_rate_hz_s) * eta + polyval(since, self.centroid_hz)
        )


def illuminate(
    beam: Beam, track: Pass, ground: np.ndarray, amplitude: np.ndarray, path_m: np.ndarray | float
) -> np.ndarray:
    """Burst (line, sample; complex64) of scatterers at ``ground`` (n, 3; Earth-fixed m).

    ``amplitude`` (n,) is complex; ``path_m`` (n, one way) is what motion away from the satellite
    and delay of the air add to each path.
    """
    return expose(beam, *track.abeam(ground), amplitude, path_m)


def expose(
    beam: Beam,
    seconds: np.ndarray,
    distance: np.ndarray,
    amplitude: np.ndarray,
    path_m: np.ndarray | float,
) -> np.ndarray:
    """:func:`illuminate` of scatterers that are abeam at ``seconds``, ``distance`` (m) away."""
    two_way = 2.0 * distance / SPEED_OF_LIGHT
    if beam.bistatic_middle_s is not None:
        seconds = seconds + 0.5 * (beam.bistatic_middle_s - two_way)
    line = (seconds - beam.start_s) / beam.azimuth_interval_s
    sample = (two_way - beam.range_start_s) * beam.range_sampling_hz
    turn = 2.0 * np.pi * beam.doppler(line, two_way) * beam.azimuth_interval_s
    turns = 2.0 * (distance + path_m) / beam.wavelength_m
    value = amplitude * np.exp(-2j * np.pi * (turns - np.floor(turns)))
    image = np.zeros((beam.lines, beam.samples), np.complex128)
    _add(image, line, sample, turn, value.astype(np.complex128))
    return image.astype(np.complex64)


@numba.njit(nogil=True, cache=True)
def _response(distance: float, reach: int, band: float) -> float:
    """Band-limited peak, tapered by a Kaiser window that ends at ``reach``."""
    share = distance / reach
    if abs(share) >= 1.0:
        return 0.0
    x = np.pi * band * distance
    peak = np.sin(x) / x if abs(x) > 1e-9 else 1.0
    # The Bessel function of the Kaiser window, by its series.
    argument = 0.25 * TAPER * TAPER * (1.0 - share * share)
    term, window, whole, full = 1.0, 1.0, 1.0, 1.0
    for k in range(1, 20):
        term *= argument / (k * k)
        window += term
        whole *= 0.25 * TAPER * TAPER / (k * k)
        full += whole
    return peak * window / full


@numba.njit(nogil=True, cache=True)
def _add(
    image: np.ndarray, line: np.ndarray, sample: np.ndarray, turn: np.ndarray, value: np.ndarray
) -> None:
    lines, samples = image.shape
    across = np.empty(2 * REACH_SAMPLES + 1)
    for p in range(line.size):
        row, column = int(np.floor(line[p])), int(np.floor(sample[p]))
        if not (-REACH_LINES <= row < lines + REACH_LINES):
            continue
        if not (-REACH_SAMPLES <= column < samples + REACH_SAMPLES):
            continue
        for j in range(across.size):
            across[j] = _response(column - REACH_SAMPLES + j - sample[p], REACH_SAMPLES, RANGE_BAND)
        for i in range(2 * REACH_LINES + 1):
            y = row - REACH_LINES + i
            if not 0 <= y < lines:
                continue
            away = y - line[p]
            weight = value[p] * _response(away, REACH_LINES, AZIMUTH_BAND)
            weight *= np.exp(1j * turn[p] * away)
            for j in range(across.size):
                x = column - REACH_SAMPLES + j
                if 0 <= x < samples:
                    image[y, x] += weight * across[j]
