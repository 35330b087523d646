"""Raw Sentinel-1 scenes of creeping rock glaciers, on real or made-up mountains, and their truth.

Scatterers lie on the surface, move with it, lose coherence with time and snow, and are seen through
an atmosphere by a satellite that comes back every few days on a slightly different path. What the
radar records is made by ``simulation_scenes``, written by ``simulation_safe``; the code that will
process it takes no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.polynomial import polynomial

from rockglacier import io
from rockglacier.conventions import DATE, MAP, YEAR_DAYS, describe
from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid
from rockglacier.simulation import DELAY, NOISE, TONGUES, smooth_field, stream, turbulence
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
    passing,
)

WAVELENGTH_M = SPEED_OF_LIGHT / 5.405000454334350e9
INTERVAL_S = 2.0555563e-3
SAMPLING_HZ = 64.345238e6
PRF_HZ = 1717.128973878037
STEERING_DEG_S = {"IW1": 1.590368784, "IW2": 0.979863325}
LINES, PERIOD_LINES, INVALID_LINES = 200, 132, 6  # of a shortened burst
EDGE_SAMPLES = 16
OVERLAP_SAMPLES = 300  # of the two swaths
MARGIN_PIXELS = 12  # of ground around the region's grid
DEM_SPACING_M = 20.0
CELL_M2 = 43.0  # of the map, per scatterer: two in a resolution cell of 4.2 m by 21 m
BETA_NOUGHT = 237.0  # digital numbers per amplitude, as ESA scales IW
NOISE_DB = -22.0  # noise-equivalent sigma nought
BASELINE_M = 50.0  # standard deviation
# ASSUME: a third of the signal lasts; the rest decays over 60 days (open debris; twice the decay of
# sparsely vegetated ground, Morishita & Hanssen 2015, doi 10.1109/TGRS.2014.2305490).
LASTING, DECAY_DAYS = 0.33, 60.0
SNOW_MONTHS, SNOW_COHERENCE = (11, 12, 1, 2, 3, 4, 5), 0.25
MELT_MONTHS, MELT_DB = (5, 6), -3.0
GAMMA_DB, GAMMA_SPREAD_DB = -9.0, 1.5
RATES_M_YR = (0.03, 0.08, 0.15, 0.30)  # toward or away from the satellite, at the middle
SEASONAL_SHARE = 0.3  # of the rate, as the amplitude of its yearly change
HALF_LENGTH_M, HALF_WIDTH_M = 280.0, 115.0  # of a tongue: 0.1 km2
ICE_HALF_LENGTH_M, ICE_HALF_WIDTH_M = 650.0, 380.0  # of a glacier
# ASSUME: crevasses and debris, which move with the ice; its speckle is lost to shear.
ICE_SPREAD_DB, ICE_GRAIN_M = 4.0, 25.0
GEOLOCATION_POINTS = 11


@dataclass(frozen=True, eq=False)
class _Tongue:
    """A straight tongue: its middle, direction (unit, down the slope) and rate (m/yr, signed)."""

    x: float
    y: float
    along: tuple[float, float]
    rate: float
    half_length_m: float = HALF_LENGTH_M
    half_width_m: float = HALF_WIDTH_M

    def radius(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """1 at the margin, less within."""
        east, north = x - self.x, y - self.y
        along = east * self.along[0] + north * self.along[1]
        across = east * self.along[1] - north * self.along[0]
        return np.hypot(along / self.half_length_m, across / self.half_width_m)


def wider(grid: Grid) -> Grid:
    """The ground that must be known around ``grid``."""
    m = MARGIN_PIXELS
    return grid.part(-m, grid.height + m, -m, grid.width + m)


def simulate_scenes(
    folder: Path,
    *,
    grid: Grid,
    height: xr.DataArray,
    first_date: str = "2020-06-04",
    dates: int = 12,
    interval_days: int = 12,
    incidence_deg: float = 39.0,
    ascending: bool = True,
    seed: int = 0,
    ideal: bool = False,
    reflectors: Sequence[tuple[float, float]] = (),
    ground_range: bool = False,
    ice_m_per_year: float = 0.0,
    threads: int = 1,
) -> xr.Dataset:
    """Write ``scenes/*.SAFE``, ``orbits/*.EOF`` and ``dem.tif`` into ``folder``; return the truth.

    ``height`` (y, x; m above the ellipsoid, without voids) lies on :func:`wider` of the region's
    ``grid``. ``ideal``: neither noise nor loss of coherence nor atmosphere. ``reflectors``: x and y
    (of the grid's CRS) of corner reflectors, 40 dB above the ground around. ``ground_range``: the
    same scenes are written as GRD too, ``ground_range/*.SAFE``, two slices a date.
    ``ice_m_per_year``: horizontal speed amid a glacier on the gentlest slope, whose scatterers are
    carried along the surface, with crevasses (beside the truth's ``gamma_nought``); 0 for none.

    The truth lies on ``grid``: ``displacement`` (date, y, x; m, positive toward the satellite, zero
    at the first date), ``delay`` (date, y, x; m, one way along the line of sight), ``velocity``
    (m/yr, its trend), ``tongue``, ``stable_ground``, ``gamma_nought`` (date, y, x; linear), and
    ``perpendicular_baseline`` (date; m, positive where it is seen from farther above).

    Two swaths overlap in range, three bursts each in azimuth. Lines are timed as ESA's processor
    does, as if all echoes returned from the middle of IW2.
    """
    from pyproj import Transformer
    from scipy.interpolate import RectBivariateSpline

    ground = wider(grid)
    ground.check(height, "height")
    heights = height.transpose(*MAP).values.astype(np.float64)
    if not np.isfinite(heights).all():
        raise ConfigurationError(
            "the ground of simulated scenes has voids; give a DEM that covers the area and "
            f"{MARGIN_PIXELS} pixels around it, or none."
        )
    relief = RectBivariateSpline(-ground.y, ground.x, heights)
    to_lonlat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    to_fixed = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)

    def fixed(x: np.ndarray, y: np.ndarray, up: np.ndarray) -> np.ndarray:
        return np.stack(to_fixed.transform(*to_lonlat.transform(x, y), up), axis=-1)

    middle_x, middle_y = float(grid.x.mean()), float(grid.y.mean())
    middle = np.array([middle_x]), np.array([middle_y])
    target = fixed(*middle, relief(-middle[1], middle[0], grid=False))[0]
    track = passing(target, incidence_deg, ascending=ascending)
    sight = _sight(track, target, *to_lonlat.transform(middle_x, middle_y))
    ice = _glacier(grid, relief, ice_m_per_year) if ice_m_per_year else None
    tongues = _tongues(grid, relief, sight, stream(seed, TONGUES), ice)
    days = [
        np.datetime64(first_date) + np.timedelta64(k * interval_days, "D") for k in range(dates)
    ]
    course = np.array([_course(day, days[0]) for day in days])
    rng = stream(seed, NOISE, 10_000)
    baselines = stream(seed, NOISE, 10_001).normal(0.0, BASELINE_M, dates)
    baselines[0] = 0.0
    delay = np.zeros((dates, *ground.shape), np.float32)
    if not ideal:
        delay = _delays(heights, ground, dates, seed)
    gamma_db = GAMMA_DB + GAMMA_SPREAD_DB * smooth_field(ground.shape, 8.0, stream(seed, NOISE, 1))
    melt = np.array([MELT_DB if _month(day) in MELT_MONTHS and not ideal else 0.0 for day in days])

    # Scatterers, uniform over the map; each stands for its share of the surface.
    west, south, east, north = ground.bounds
    inset = 2.0 * ground.dx
    count = int((east - west - 2 * inset) * (north - south - 2 * inset) / CELL_M2)
    x = rng.uniform(west + inset, east - inset, count)
    y = rng.uniform(south + inset, north - inset, count)
    up = relief(-y, x, grid=False)
    slope_x = relief(-y, x, dy=1, grid=False)
    slope_y = -relief(-y, x, dx=1, grid=False)
    # Of the surface over a map cell the area toward the radar: cell / cos(slope) cos(incidence).
    facing = np.maximum(0.0, sight[2] - slope_x * sight[0] - slope_y * sight[1])
    power = CELL_M2 * facing * 10.0 ** (0.1 * _sampled(gamma_db, ground, x, y))
    places = fixed(x, y, up)
    rate = _rate(tongues, x, y)
    flow = np.zeros(count)
    if ice:
        flow = _rate([ice], x, y)
        fine = ground.subdivided(4, 4)
        grain = ICE_GRAIN_M / fine.spacing_m[0]
        texture = smooth_field(fine.shape, grain, stream(seed, NOISE, 2))
        spread = 10.0 ** (0.1 * ICE_SPREAD_DB * _sampled(texture, fine, x, y))
        power = power * np.where(flow > 0.0, spread / spread.mean(), 1.0)
    mirrors = np.array(reflectors, float).reshape(-1, 2)
    if mirrors.size:
        mirror_up = relief(-mirrors[:, 1], mirrors[:, 0], grid=False)
        places = np.concatenate([places, fixed(mirrors[:, 0], mirrors[:, 1], mirror_up)])

    _, distance = track.abeam(places[:count])
    layout = _Layout(track, track.abeam(places[:count])[0], distance)
    epoch_time = np.timedelta64(17 * 3600 + 5 * 60, "s")
    speckle = _Speckle(count, days, seed, ideal)

    def one_date(k: int) -> None:
        shifted = track.beside(target, baselines[k])
        now = places
        if ice and course[k]:
            at_x, at_y = (
                a + flow * course[k] * along for a, along in zip((x, y), ice.along, strict=True)
            )
            now = places.copy()
            now[:count] = fixed(at_x, at_y, relief(-at_y, at_x, grid=False))
        when, away = shifted.abeam(now)
        path = -rate * course[k] + _sampled(delay[k], ground, x, y)
        amplitude = speckle.on(k) * np.sqrt(power * 10.0 ** (0.1 * melt[k]))
        if mirrors.size:
            bright = np.sqrt(1e4 * CELL_M2 * 10.0 ** (0.1 * GAMMA_DB))
            amplitude = np.append(amplitude, np.full(len(mirrors), bright, complex))
            path = np.append(path, np.zeros(len(mirrors)))
        epoch = (days[k] + epoch_time).astype("datetime64[ns]")
        flight = _flight(shifted, epoch, k, ascending)
        images = layout.images(
            shifted, epoch, when, away, amplitude, path, flight,
            stream(seed, NOISE, 20_000 + k), 0.0 if ideal else NOISE_DB, fixed_height=target,
        )  # fmt: skip
        write_product(folder / "scenes", flight, images)
        if ground_range:
            for number, image in enumerate(detected(images, shifted, target, epoch), start=1):
                write_ground_range(folder / "ground_range", flight, image, number)
        write_orbit(folder / "orbits", flight)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one_date, range(dates)))
    _write_dem(folder / "dem.tif", ground, relief)
    truth = _truth(grid, ground, days, tongues, course, delay, gamma_db, melt, baselines)
    if not ice:
        return truth
    return _with_ice(truth, grid, ice, course, _trend(days, course), relief, sight)


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


class _Speckle:
    """Complex amplitudes of scatterers: a part that lasts, one that decays, and snow."""

    def __init__(self, count: int, days: list[np.datetime64], seed: int, ideal: bool) -> None:
        self._days, self._seed, self._ideal = days, seed, ideal
        self._lasting = _circular(stream(seed, NOISE, 30_000), count)
        self._passing = []
        last = _circular(stream(seed, NOISE, 40_000), count)
        for k, day in enumerate(days):
            if k and not ideal:
                lag = (day - days[k - 1]) / np.timedelta64(1, "D")
                kept = np.float32(np.exp(-lag / DECAY_DAYS))
                fresh = _circular(stream(seed, NOISE, 40_000 + k), count)
                last = kept * last + np.sqrt(np.float32(1.0) - kept * kept) * fresh
            self._passing.append(last)

    def on(self, k: int) -> np.ndarray:
        """Amplitudes of unit power on date ``k``."""
        if self._ideal:
            return self._lasting
        value = np.sqrt(LASTING) * self._lasting + np.sqrt(1.0 - LASTING) * self._passing[k]
        if _month(self._days[k]) in SNOW_MONTHS:
            fresh = _circular(stream(self._seed, NOISE, 50_000 + k), value.size)
            value = np.sqrt(SNOW_COHERENCE) * value + np.sqrt(1.0 - SNOW_COHERENCE) * fresh
        return np.asarray(value)


def _circular(rng: np.random.Generator, count: int) -> np.ndarray:
    """Circular Gaussian numbers of unit power (complex64)."""
    parts = rng.standard_normal((2, count), np.float32) * np.float32(np.sqrt(0.5))
    return np.asarray(parts[0] + 1j * parts[1], np.complex64)


def _month(day: np.datetime64) -> int:
    return int(day.astype("datetime64[M]").astype(int)) % 12 + 1


def _course(day: np.datetime64, first: np.datetime64) -> float:
    """Years of motion from ``first`` to ``day`` at the mean rate, faster in September."""

    def since(date: np.datetime64) -> float:
        years = float((date - np.datetime64("2000-09-15")) / np.timedelta64(1, "D")) / YEAR_DAYS
        return years + SEASONAL_SHARE / (2.0 * np.pi) * float(np.sin(2.0 * np.pi * years))

    return since(day) - since(first)


def _trend(days: list[np.datetime64], course: np.ndarray) -> float:
    """Years of motion a year, of the line through all dates."""
    years = np.array([(d - days[0]) / np.timedelta64(1, "D") for d in days]) / YEAR_DAYS
    return float(np.polyfit(years, course, 1)[0]) if len(days) > 1 else 1.0


def _sampled(field: np.ndarray, ground: Grid, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``field`` of ``ground`` between pixel centres, bilinear."""
    from scipy.ndimage import map_coordinates

    rows = (ground.north - y) / ground.dy - 0.5
    columns = (x - ground.west) / ground.dx - 0.5
    return np.asarray(map_coordinates(field, [rows, columns], order=1, mode="nearest"))


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


def _glacier(grid: Grid, relief: object, rate: float) -> _Tongue:
    """A glacier where ground is gentlest over its size, flowing the way that it falls there."""
    from scipy.ndimage import gaussian_filter

    size = 0.5 * ICE_HALF_LENGTH_M / np.array(grid.spacing_m)
    heights = gaussian_filter(relief(-grid.y, grid.x), size)  # type: ignore[operator]
    down_y, down_x = np.gradient(-heights, grid.dy, grid.dx)
    steep = np.hypot(down_x, down_y)
    edge = np.ceil(ICE_HALF_LENGTH_M / np.array(grid.spacing_m)).astype(int)
    steep[: edge[0]] = steep[-edge[0] :] = np.inf
    steep[:, : edge[1]] = steep[:, -edge[1] :] = np.inf
    row, column = np.unravel_index(np.argmin(steep), steep.shape)
    if not np.isfinite(steep[row, column]):
        raise ConfigurationError(
            f"a glacier of {2 * ICE_HALF_LENGTH_M:.0f} m needs more ground than {grid.width} x "
            f"{grid.height} pixels of {grid.dx} m; enlarge area, or set ice_m_per_year to 0."
        )
    along = np.array([down_x[row, column], -down_y[row, column]]) / steep[row, column]
    return _Tongue(
        float(grid.x[column]), float(grid.y[row]), (float(along[0]), float(along[1])), rate,
        ICE_HALF_LENGTH_M, ICE_HALF_WIDTH_M,
    )  # fmt: skip


def _tongues(
    grid: Grid,
    relief: object,
    sight: np.ndarray,
    rng: np.random.Generator,
    ice: _Tongue | None,
) -> list[_Tongue]:
    """Tongues down slopes whose motion the satellite sees, apart from each other and ``ice``."""
    spline: object = relief
    west, south, east, north = grid.bounds
    reach = 1.2 * HALF_LENGTH_M
    tongues: list[_Tongue] = []
    best: list[tuple[float, float, float, tuple[float, float]]] = []
    for _ in range(4000):
        x, y = rng.uniform(west + reach, east - reach), rng.uniform(south + reach, north - reach)
        fall_x = -float(spline(-y, x, dy=1, grid=False))  # type: ignore[operator]
        fall_y = float(spline(-y, x, dx=1, grid=False))  # type: ignore[operator]
        steep = float(np.hypot(fall_x, fall_y))
        if not 0.2 < steep < 0.7:
            continue
        if ice and np.hypot(x - ice.x, y - ice.y) < ICE_HALF_LENGTH_M + HALF_LENGTH_M:
            continue
        along = fall_x / steep, fall_y / steep
        # Downslope unit vector . line of sight.
        seen = (along[0] * sight[0] + along[1] * sight[1] - steep * sight[2]) / np.hypot(1.0, steep)
        best.append((float(seen), x, y, along))
    for seen, x, y, along in sorted(best, key=lambda item: -abs(item[0])):
        if len(tongues) == len(RATES_M_YR):
            break
        if all(np.hypot(x - t.x, y - t.y) > 2.2 * HALF_LENGTH_M for t in tongues):
            rate = RATES_M_YR[len(tongues)] * float(np.sign(seen))
            tongues.append(_Tongue(x, y, along, rate))
    return tongues


def _rate(tongues: list[_Tongue], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rate (m/yr) of ``tongues`` at places: 1 - r^4 of Glen's exponent 3."""
    rate = np.zeros(np.shape(x))
    for tongue in tongues:
        radius = tongue.radius(x, y)
        rate += tongue.rate * np.maximum(0.0, 1.0 - radius**4)
    return rate


def _delays(heights: np.ndarray, ground: Grid, dates: int, seed: int) -> np.ndarray:
    """One-way slant delay of each date (m): turbulence, and stratification by height."""
    # ASSUME: turbulence of 4 mm over the scene; 10 mm per km of height and date (as in
    # ``simulation_alpine``).
    strength = stream(seed, DELAY, 100_000).normal(0.0, 0.010, dates)
    level = (heights - heights.mean()) / 1000.0
    spacing = ground.spacing_m[0]
    return np.stack(
        [
            turbulence(ground.shape, spacing, seed, k, 0.004) + strength[k] * level
            for k in range(dates)
        ]
    ).astype(np.float32)


def _with_ice(
    truth: xr.Dataset,
    grid: Grid,
    ice: _Tongue,
    course: np.ndarray,
    trend: float,
    relief: object,
    sight: np.ndarray,
) -> xr.Dataset:
    """``truth`` with the flow of the ice: ``ice_east`` and ``ice_north``, and what radar sees."""
    spline: object = relief
    x, y = np.meshgrid(grid.x, grid.y)
    flow = _rate([ice], x, y)
    slope_x = spline(-y, x, dy=1, grid=False)  # type: ignore[operator]
    slope_y = -spline(-y, x, dx=1, grid=False)  # type: ignore[operator]
    climb = ice.along[0] * slope_x + ice.along[1] * slope_y
    seen = flow * (ice.along[0] * sight[0] + ice.along[1] * sight[1] + climb * sight[2])
    at_rest = truth["stable_ground"].where(flow == 0.0, 0).astype(np.uint8)
    out = truth.assign(
        displacement=truth["displacement"] + (seen * course[:, None, None]).astype(np.float32),
        velocity=truth["velocity"] + (seen * trend).astype(np.float32),
        stable_ground=at_rest,
    )
    for name in ("displacement", "velocity", "stable_ground"):
        out[name].attrs = truth[name].attrs
    for name, toward in zip(("east", "north"), ice.along, strict=True):
        values = xr.DataArray(
            (flow * toward * trend).astype(np.float32), dims=MAP, coords=grid.coords
        )
        out[f"ice_{name}"] = describe(
            values, f"ice_{name}", f"true velocity of ice toward the map's {name}", "m/yr"
        )
    return out


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


def _write_dem(path: Path, ground: Grid, relief: object) -> None:
    west, south, east, north = ground.bounds
    inset = ground.dx
    fine = Grid(
        ground.crs, west + inset, north - inset, DEM_SPACING_M, DEM_SPACING_M,
        int((east - west - 2 * inset) / DEM_SPACING_M),
        int((north - south - 2 * inset) / DEM_SPACING_M),
    )  # fmt: skip
    heights = relief(-fine.y, fine.x)  # type: ignore[operator]
    dem = describe(
        xr.DataArray(heights, dims=MAP, coords=fine.coords),
        "elevation", "height above the WGS84 ellipsoid", "m",
    )  # fmt: skip
    io.write_raster(dem.to_dataset(), path, grid=fine)


def _truth(
    grid: Grid,
    ground: Grid,
    days: list[np.datetime64],
    tongues: list[_Tongue],
    course: np.ndarray,
    delay: np.ndarray,
    gamma_db: np.ndarray,
    melt: np.ndarray,
    baselines: np.ndarray,
) -> xr.Dataset:
    m = MARGIN_PIXELS
    inner = (slice(m, m + grid.height), slice(m, m + grid.width))
    x, y = np.meshgrid(grid.x, grid.y)
    rate = _rate(tongues, x, y)
    label = np.zeros(grid.shape, np.int32)
    for number, tongue in enumerate(tongues, start=1):
        label[tongue.radius(x, y) < 1.0] = number
    trend = _trend(days, course)
    gamma = 10.0 ** (0.1 * (gamma_db[inner][None] + melt[:, None, None]))
    layers = {
        "displacement": (
            rate * course[:, None, None],
            "true displacement toward the satellite",
            "m",
        ),
        "delay": (delay[(slice(None), *inner)], "one-way delay along the line of sight", "m"),
        "gamma_nought": (gamma, "true backscatter", "1"),
        "velocity": (rate * trend, "true velocity toward the satellite", "m/yr"),
        "tongue": (label, "number of the rock glacier, 0 = none", "1"),
        "stable_ground": ((label == 0).astype(np.uint8), "ground that does not move", "1"),
    }
    coords = {DATE: np.array(days, "datetime64[ns]"), **grid.coords}
    dataset = xr.Dataset(
        {
            name: describe(
                xr.DataArray(
                    values if values.dtype.kind in "iu" else values.astype(np.float32),
                    dims=(DATE, *MAP) if np.ndim(values) == 3 else MAP,
                    coords=coords if np.ndim(values) == 3 else grid.coords,
                ),
                name, long_name, units,
            )
            for name, (values, long_name, units) in layers.items()
        }
    )  # fmt: skip
    dataset["perpendicular_baseline"] = describe(
        xr.DataArray(baselines, dims=DATE), "perpendicular_baseline",
        "true perpendicular baseline", "m",
    )  # fmt: skip
    return dataset
