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

from rockglacier import io
from rockglacier.conventions import DATE, MAP, YEAR_DAYS, describe
from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid
from rockglacier.simulation import DELAY, NOISE, TONGUES, smooth_field, stream, turbulence
from rockglacier.simulation_campaign import CELL_M2, Campaign, Surface, circular, sampled
from rockglacier.simulation_scenes import passing

MARGIN_PIXELS = 12  # of ground around the region's grid
DEM_SPACING_M = 20.0
NOISE_DB = -22.0  # noise-equivalent sigma nought
BASELINE_M = 50.0  # standard deviation
# ASSUME: a third of the signal lasts; the rest decays over 60 days (open debris; twice the decay of
# sparsely vegetated ground, Morishita & Hanssen 2015, doi 10.1109/TGRS.2014.2333814).
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
    ground = wider(grid)
    ground.check(height, "height")
    heights = height.transpose(*MAP).values.astype(np.float64)
    if not np.isfinite(heights).all():
        raise ConfigurationError(
            "the ground of simulated scenes has voids; give a DEM that covers the area and "
            f"{MARGIN_PIXELS} pixels around it, or none."
        )
    surface = Surface(ground, heights)
    relief = surface.relief
    target = surface.target(grid)
    track = passing(target, incidence_deg, ascending=ascending)
    sight = surface.sight(track, grid)
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

    x, y = surface.scattered(rng)
    count = x.size
    power = surface.area_toward(sight, x, y) * 10.0 ** (0.1 * sampled(gamma_db, ground, x, y))
    places = surface.fixed(x, y)
    rate = _rate(tongues, x, y)
    flow = np.zeros(count)
    if ice:
        flow = _rate([ice], x, y)
        fine = ground.subdivided(4, 4)
        grain = ICE_GRAIN_M / fine.spacing_m[0]
        texture = smooth_field(fine.shape, grain, stream(seed, NOISE, 2))
        spread = 10.0 ** (0.1 * ICE_SPREAD_DB * sampled(texture, fine, x, y))
        power = power * np.where(flow > 0.0, spread / spread.mean(), 1.0)
    mirrors = np.array(reflectors, float).reshape(-1, 2)
    if mirrors.size:
        places = np.concatenate([places, surface.fixed(mirrors[:, 0], mirrors[:, 1])])
    campaign = Campaign(
        track, target, ascending, days, baselines, places[:count], seed,
        0.0 if ideal else NOISE_DB,
    )  # fmt: skip
    speckle = _Speckle(count, days, seed, ideal)

    def one_date(k: int) -> None:
        now = places
        if ice and course[k]:
            at_x, at_y = (
                a + flow * course[k] * along for a, along in zip((x, y), ice.along, strict=True)
            )
            now = places.copy()
            now[:count] = surface.fixed(at_x, at_y)
        path = -rate * course[k] + sampled(delay[k], ground, x, y)
        amplitude = speckle.on(k) * np.sqrt(power * 10.0 ** (0.1 * melt[k]))
        if mirrors.size:
            bright = np.sqrt(1e4 * CELL_M2 * 10.0 ** (0.1 * GAMMA_DB))
            amplitude = np.append(amplitude, np.full(len(mirrors), bright, complex))
            path = np.append(path, np.zeros(len(mirrors)))
        campaign.write(folder, k, now, amplitude, path, ground_range=ground_range)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one_date, range(dates)))
    _write_dem(folder / "dem.tif", ground, relief)
    truth = _truth(grid, ground, days, tongues, course, delay, gamma_db, melt, baselines)
    if not ice:
        return truth
    return _with_ice(truth, grid, ice, course, _trend(days, course), relief, sight)


class _Speckle:
    """Complex amplitudes of scatterers: a part that lasts, one that decays, and snow."""

    def __init__(self, count: int, days: list[np.datetime64], seed: int, ideal: bool) -> None:
        self._days, self._seed, self._ideal = days, seed, ideal
        self._lasting = circular(stream(seed, NOISE, 30_000), count)
        self._passing = []
        last = circular(stream(seed, NOISE, 40_000), count)
        for k, day in enumerate(days):
            if k and not ideal:
                lag = (day - days[k - 1]) / np.timedelta64(1, "D")
                kept = np.float32(np.exp(-lag / DECAY_DAYS))
                fresh = circular(stream(seed, NOISE, 40_000 + k), count)
                last = kept * last + np.sqrt(np.float32(1.0) - kept * kept) * fresh
            self._passing.append(last)

    def on(self, k: int) -> np.ndarray:
        """Amplitudes of unit power on date ``k``."""
        if self._ideal:
            return self._lasting
        value = np.sqrt(LASTING) * self._lasting + np.sqrt(1.0 - LASTING) * self._passing[k]
        if _month(self._days[k]) in SNOW_MONTHS:
            fresh = circular(stream(self._seed, NOISE, 50_000 + k), value.size)
            value = np.sqrt(SNOW_COHERENCE) * value + np.sqrt(1.0 - SNOW_COHERENCE) * fresh
        return np.asarray(value)


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
