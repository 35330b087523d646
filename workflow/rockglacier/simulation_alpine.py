"""The real problem: rock glaciers in an alpine scene, from single-look pixels to unwrapped phase.

Every multilooked pixel holds 20 single looks at their own places. Each look is a circular complex
Gaussian series over the dates whose covariance is a product of physical kernels (each positive
definite, so the product is): decay of the surface, perpendicular baseline, snow, and blocks that
move relative to each other. Deterministic motion adds its phase look by look, so that steep
gradients decorrelate a pixel as they do in nature. The looks are multiplied and summed into
wrapped interferograms, which a real unwrapper then unwraps, errors included.

Sources: Zebker & Villasenor 1992 (doi 10.1109/36.175330), decorrelation by time, baseline and
motion of the scatterers; Hanssen 2001 (doi 10.1007/0-306-47633-9), delays.
"""

from __future__ import annotations

import numba
import numpy as np
import xarray as xr

from rockglacier.conventions import (
    DATE,
    MAP,
    PAIR,
    SENTINEL1_WAVELENGTH_M,
    YEAR_DAYS,
    X,
    Y,
    describe,
    years_since,
)
from rockglacier.downslope import observable
from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid
from rockglacier.io import pair_coordinates
from rockglacier.simulation import (
    COHERENCE,
    DELAY,
    INCIDENCE_DEG,
    LOOKS,
    NOISE,
    SLANT_RANGE_M,
    TONGUES,
    downslope_azimuth,
    geometry,
    smooth_field,
    stream,
    turbulence,
)

SEASON = (7, 8, 9, 10)  # months without snow cover
SHORT_DAYS = 36
YEAR_RANGE_DAYS = (330, 400)

_REPEAT_DAYS = 12
_YEARS = 4
_FINE = (4, 5)  # looks along y and x in one pixel
assert _FINE[0] * _FINE[1] == LOOKS


def simulate_alpine(height: xr.DataArray, grid: Grid, *, seed: int = 0) -> xr.Dataset:
    """Four years of a mountain scene with rock glaciers, every 12 days, unwrapped pair by pair.

    ``height`` (y, x; m) is the relief on ``grid``. Pairs are those that a user would order: all up
    to 36 days within July to October, and those of 330 to 400 days between seasons. Computes.

    Returns
    -------
    Dataset
        ``phase`` (rad, unwrapped), ``wrapped``, ``coherence``, ``component`` (0 = none) over
        (pair, y, x); geometry ``east, north, up, incidence_angle, height, observable``; and the
        truth: ``velocity`` (m/yr toward the satellite, mean over years), ``tongue`` (number of the
        rock glacier that covers half the pixel or more, 0 = none), ``stable_ground``, and
        ``aliased`` (moves by more than a quarter wavelength in 12 days: its phase against stable
        ground is resolved only where a gentle gradient leads there).

    Raises
    ------
    DimensionError
        ``height`` does not lie on ``grid``.
    """
    grid.check(height, "height")
    dates = np.datetime64("2018-06-03", "ns") + np.timedelta64(_REPEAT_DAYS, "D") * np.arange(
        round(_YEARS * YEAR_DAYS / _REPEAT_DAYS)
    )
    months = dates.astype("datetime64[M]").astype(int) % 12 + 1
    dates = dates[np.isin(months, SEASON)]
    first, second = _network(dates)
    days = (dates - dates[0]) / np.timedelta64(1, "D")
    baseline = stream(seed, NOISE).normal(0.0, 60.0, dates.size)

    sight = geometry(height)
    seen = observable(height, sight, grid)
    motion = _tongues(height, grid, seen.values == 1, stream(seed, TONGUES))
    course = _seasonal_course(motion["count"], dates, stream(seed, TONGUES, 1))
    surface = _surface(height.values, seen.values == 1, stream(seed, COHERENCE))
    visible = _snow_free_share(height.values, dates, stream(seed, COHERENCE, 1))
    apparent = _delay(height.values, grid, dates.size, seed)
    # ASSUME: the DEM used to flatten the pairs errs by 6 m, over about 100 m.
    dem_error = 6.0 * smooth_field(grid.shape, 2.5, stream(seed, NOISE, 1))
    per_metre = 1.0 / (SLANT_RANGE_M * np.sin(np.radians(INCIDENCE_DEG)))
    apparent += (baseline[:, None, None] * per_metre * dem_error).astype(np.float32)

    wrapped = np.empty((first.size, *grid.shape), np.float32)
    coherence = np.empty_like(wrapped)
    rng = stream(seed, NOISE, 2)
    for row in range(grid.height):
        normals = rng.standard_normal((grid.width, LOOKS, dates.size, 2), np.float32)
        _interfere(
            normals, surface[:, row], visible[:, row], days, baseline, motion["fine"][row],
            course[motion["fine_tongue"][row]], apparent[:, row].T.copy(), first, second,
            wrapped[:, row], coherence[:, row],
        )  # fmt: skip
    phase, component = _unwrap(wrapped, coherence)

    truth = _truth(motion)
    layers = {
        "phase": (phase, "unwrapped interferometric phase", "rad"),
        "wrapped": (wrapped, "wrapped interferometric phase", "rad"),
        "coherence": (coherence, "estimated coherence", "1"),
        "component": (component, "connected component of the unwrapper, 0 = none", "1"),
    }
    coords = {
        **grid.coords,
        **pair_coordinates(dates[first], dates[second]),
        "perpendicular_baseline": (PAIR, baseline[second] - baseline[first]),
        DATE: dates,
    }
    stack = xr.Dataset(
        {
            name: ((PAIR, Y, X), values, {"long_name": long_name, "units": units})
            for name, (values, long_name, units) in layers.items()
        },
        coords=coords,
        attrs={
            "wavelength_m": SENTINEL1_WAVELENGTH_M,
            "looks": LOOKS,
            "source": f"simulated alpine, seed {seed}",
            "crs": grid.crs,
        },
    )
    maps = {
        name: describe(xr.DataArray(values, dims=MAP, coords=grid.coords), name, *text)
        for name, (values, *text) in truth.items()
    }
    return stack.assign(maps).assign(sight).assign(observable=seen)


def _network(dates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of both dates of every pair of season dates."""
    lag = (dates[None, :] - dates[:, None]) / np.timedelta64(1, "D")
    low, high = YEAR_RANGE_DAYS
    first, second = np.nonzero(((lag > 0) & (lag <= SHORT_DAYS)) | ((lag >= low) & (lag <= high)))
    return first, second


def _tongues(
    height: xr.DataArray, grid: Grid, seen: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Rock glaciers along flow lines: velocity and number of every single look.

    ``fine`` and ``fine_tongue`` have shape (y, x, look); ``coarse`` (y, x) is the number of the
    tongue that covers half of a pixel's looks or more.
    """
    from scipy.ndimage import binary_dilation
    from scipy.spatial import cKDTree

    azimuth, share = downslope_azimuth(height, grid, 200.0)
    rows, columns = grid.shape
    fine = np.zeros((rows * _FINE[0], columns * _FINE[1]), np.float32)
    number = np.zeros(fine.shape, np.int32)
    taken = ~seen
    # ASSUME: rock glaciers lie where the track can see them (|C| >= 0.2), else no estimate from
    # it could be judged; speeds along the line of sight are spread evenly in their logarithm.
    suited = np.flatnonzero(np.abs(share) >= 0.2)
    count = attempts = 0
    while (number > 0).mean() < 0.09 and attempts < 4000:
        attempts += 1
        row, column = np.unravel_index(int(rng.choice(suited)), grid.shape)
        area = rng.uniform(60.0, 250.0)
        width = min(10.0, np.sqrt(area / rng.uniform(2.0, 9.0)))
        line = _flow_line(float(row), float(column), azimuth, area / width)
        if line is None:
            continue
        low = np.maximum(np.floor(line.min(axis=0) - width).astype(int), 0)
        high = np.minimum(np.ceil(line.max(axis=0) + width).astype(int) + 1, grid.shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        window = tuple(slice(a * n, b * n) for a, b, n in zip(low, high, _FINE, strict=True))
        at = np.mgrid[window].reshape(2, -1).T
        place = (at + 0.5) / np.array(_FINE) - 0.5  # in pixels, centres at whole numbers
        across, nearest = cKDTree(line).query(place)
        along = nearest / (len(line) - 1) * (area / width)
        inside = (across < 0.5 * width).reshape(number[window].shape)
        touched = inside.reshape(high[0] - low[0], _FINE[0], high[1] - low[1], _FINE[1])
        covers = touched.any(axis=(1, 3))
        if (taken[box] & binary_dilation(covers)).any():
            continue
        count += 1
        # ASSUME: across, the profile of a creeping body with Glen's exponent 3 (Nye 1965,
        # doi 10.3189/S0022143000018670); along, slow at the root, abrupt at the front.
        speed = np.exp(rng.uniform(np.log(0.02), np.log(1.5)))
        speed *= np.sign(np.median(share[tuple(np.round(line).astype(int).T)]))
        profile = 1.0 - (across / (0.5 * width)) ** 4
        profile *= _rise((along + 0.5) / (0.25 * area / width)) * _rise(
            (area / width - along + 0.5) / 1.5
        )
        fine[window][inside] = (speed * profile).reshape(inside.shape)[inside]
        number[window][inside] = count
        taken[box] |= covers

    def looks(values: np.ndarray) -> np.ndarray:
        cut = values.reshape(rows, _FINE[0], columns, _FINE[1]).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(cut.reshape(rows, columns, LOOKS))

    fine_tongue = looks(number)
    largest = fine_tongue.max(axis=2)
    half = (fine_tongue == largest[:, :, None]).mean(axis=2) >= 0.5
    return {
        "fine": looks(fine),
        "fine_tongue": fine_tongue,
        "coarse": np.where(half, largest, 0),
        "count": np.asarray(count),
    }


def _rise(x: np.ndarray) -> np.ndarray:
    """Smooth step from 0 at ``x`` <= 0 to 1 at ``x`` >= 1."""
    t = np.clip(x, 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


def _flow_line(row: float, column: float, azimuth: np.ndarray, length: float) -> np.ndarray | None:
    """Points (row, column) down the slope over ``length`` pixels; None where it leaves the map."""
    step = 0.25
    points = [(row, column)]
    for _ in range(round(length / step)):
        if not (0.0 <= row <= azimuth.shape[0] - 1 and 0.0 <= column <= azimuth.shape[1] - 1):
            return None
        direction = azimuth[round(row), round(column)]
        row, column = row - step * np.cos(direction), column + step * np.sin(direction)
        points.append((row, column))
    line = np.array(points)
    # A line that runs into a hollow turns back on itself: its ends lie close together.
    straight = np.hypot(*(line[-1] - line[0])) / length
    inside = (line >= 0.0).all() and (line <= np.array(azimuth.shape) - 1.0).all()
    return line if inside and straight > 0.7 else None


def _seasonal_course(count: np.ndarray, dates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Displacement of each tongue per unit of its mean velocity (yr), shape (1 + count, date)."""
    # ASSUME: speed varies over the year by 20-30 % about its mean and peaks about 1 September
    # (Wirz et al. 2016, doi 10.5194/esurf-4-103-2016).
    years = years_since(dates, np.datetime64("2018-01-01"))
    amplitude = rng.uniform(0.2, 0.3, (int(count), 1))
    peak = rng.normal(244.0 / YEAR_DAYS, 15.0 / YEAR_DAYS, (int(count), 1))
    swing = amplitude / (2.0 * np.pi) * np.sin(2.0 * np.pi * (years - peak))
    moved = years + swing
    return np.vstack([np.zeros(dates.size), moved - moved[:, :1]])


def _surface(height: np.ndarray, seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Coherence of an instant, its lasting share, shape (2, y, x)."""
    from scipy.special import expit, ndtr

    # ASSUME: rock and debris keep 0.4 to 0.7 of their coherence over years and lose the rest over
    # 40 days; grass below about 2150 m keeps a fifth of that.
    grass = expit((2150.0 - height) / 60.0)
    lasting = (0.4 + 0.3 * ndtr(smooth_field(height.shape, 10.0, rng))) * (1.0 - 0.8 * grass)
    instant = 0.75 + 0.22 * ndtr(smooth_field(height.shape, 10.0, rng))
    return np.stack([np.where(seen, instant, 0.0), lasting]).astype(np.float32)


def _snow_free_share(height: np.ndarray, dates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Share of each pixel's power that comes from snow-free ground, shape (date, y, x)."""
    from scipy.special import expit

    # ASSUME: melt-out on 5 June at 2300 m and 6 days later per 100 m; lasting snow from 5 November
    # and 4 days earlier per 100 m; 8 days from year to year; patches over about 5 days.
    above = (height - 2300.0) / 100.0
    share = np.zeros((dates.size, *height.shape), np.float32)
    years = dates.astype("datetime64[Y]")
    day = (dates - years) / np.timedelta64(1, "D")
    for year in np.unique(years):
        melt, onset = 156.0 + rng.normal(0.0, 8.0), 309.0 + rng.normal(0.0, 8.0)
        for k in np.flatnonzero(years == year):
            share[k] = expit((day[k] - melt - 6.0 * above) / 5.0) * expit(
                (onset - 4.0 * above - day[k]) / 5.0
            )
    return share


def _delay(height: np.ndarray, grid: Grid, dates: int, seed: int) -> np.ndarray:
    """Apparent displacement toward the satellite by the atmosphere (m), shape (date, y, x)."""
    # ASSUME: turbulence of 4 mm over the scene; stratification of 10 mm per km of height and date,
    # levelling off over a scale height of 3 km (Doin et al. 2009,
    # doi 10.1016/j.jappgeo.2009.03.010).
    rng = stream(seed, DELAY, dates)
    level = 3.0 * np.exp(-(height - height.mean()) / 3000.0)
    strength = rng.normal(0.0, 0.010, dates)
    spacing = grid.spacing_m[0]
    return np.stack(
        [
            turbulence(grid.shape, spacing, seed, k, 0.004) + strength[k] * level
            for k in range(dates)
        ]
    ).astype(np.float32)


# ASSUME: distributed scatterers lose coherence linearly with the baseline, all of it at 5 km
# (Sentinel-1 IW); blocks of a moving tongue move relative to each other by a normal deviate of
# 10 % of its motion, so that 12 days at 1 m/yr keep three quarters and a year at 10 cm/yr
# nothing, in line with the intervals found useful by Strozzi et al. 2020 (doi 10.3390/rs12030559).
CRITICAL_BASELINE_M = 5000.0
DECAY_DAYS = 40.0
BLOCK_SHARE = 0.10


@numba.njit(nogil=True, cache=True)
def _interfere(
    normals: np.ndarray,
    surface: np.ndarray,
    visible: np.ndarray,
    days: np.ndarray,
    baseline: np.ndarray,
    velocity: np.ndarray,
    course: np.ndarray,
    apparent: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    wrapped: np.ndarray,
    coherence: np.ndarray,
) -> None:
    """One row of multilooked pairs from single looks.

    ``normals`` (x, look, date, 2); ``velocity`` (x, look); ``course`` (x, look, date);
    ``apparent`` (x, date); ``surface`` (2, x), ``visible`` (date, x); outputs (pair, x).
    """
    columns, looks, dates, _ = normals.shape
    per_metre = 4.0 * np.pi / SENTINEL1_WAVELENGTH_M
    covariance = np.empty((dates, dates))
    moved = np.empty((looks, dates))
    signal = np.empty((looks, dates), np.complex128)
    power = np.empty(dates)
    for x in range(columns):
        for look in range(looks):
            for d in range(dates):
                moved[look, d] = velocity[x, look] * course[x, look, d]
        for i in range(dates):
            for j in range(i + 1):
                lasting = surface[1, x]
                decay = np.exp(-abs(days[i] - days[j]) / DECAY_DAYS)
                kernel = surface[0, x] * (lasting + (1.0 - lasting) * decay)
                kernel *= max(0.0, 1.0 - abs(baseline[i] - baseline[j]) / CRITICAL_BASELINE_M)
                kernel *= np.sqrt(visible[i, x] * visible[j, x])
                apart = 0.0
                for look in range(looks):
                    apart += moved[look, i] - moved[look, j]
                spread = BLOCK_SHARE * per_metre * apart / looks
                kernel *= np.exp(-0.5 * spread * spread)
                covariance[i, j] = kernel if i != j else 1.0
        for i in range(dates):  # Cholesky, in place
            for j in range(i + 1):
                total = covariance[i, j]
                for m in range(j):
                    total -= covariance[i, m] * covariance[j, m]
                if i == j:
                    covariance[i, i] = np.sqrt(max(total, 1e-12))
                else:
                    covariance[i, j] = total / covariance[j, j]
        power[:] = 0.0
        for look in range(looks):
            for d in range(dates):
                real = imaginary = 0.0
                for m in range(d + 1):
                    real += covariance[d, m] * normals[x, look, m, 0]
                    imaginary += covariance[d, m] * normals[x, look, m, 1]
                # Phase of a single-look pixel is -4 pi R / wavelength; approach shortens R.
                turn = per_metre * moved[look, d]
                rotated = complex(real, imaginary) * complex(np.cos(turn), np.sin(turn))
                signal[look, d] = rotated
                power[d] += real * real + imaginary * imaginary
        for k in range(first.size):
            i, j = first[k], second[k]
            total_signal = complex(0.0, 0.0)
            for look in range(looks):
                total_signal += signal[look, i] * signal[look, j].conjugate()
            turn = per_metre * (apparent[x, i] - apparent[x, j])
            total_signal *= complex(np.cos(turn), np.sin(turn))
            wrapped[k, x] = np.arctan2(total_signal.imag, total_signal.real)
            coherence[k, x] = abs(total_signal) / np.sqrt(power[i] * power[j])


def _unwrap(wrapped: np.ndarray, coherence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unwrapped phase (float32) and connected components (uint8), pair by pair."""
    try:
        import whirlwind
    except ImportError as missing:
        raise ConfigurationError(
            "Simulating an alpine stack needs a phase unwrapper; install whirlwind-insar."
        ) from missing
    phase = np.empty_like(wrapped)
    component = np.empty(wrapped.shape, np.uint8)
    for k in range(len(wrapped)):
        # A rock glacier of 60 pixels must not be lost as too small.
        values, labels = whirlwind.unwrap(
            np.exp(1j * wrapped[k]).astype(np.complex64), coherence[k], float(LOOKS), min_size_px=20
        )
        phase[k], component[k] = values, np.minimum(labels, 255)
    return phase, component


def _truth(motion: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, str, str]]:
    velocity = motion["fine"].mean(axis=2).astype(np.float32)
    still = (motion["fine_tongue"] == 0).all(axis=2)
    fastest = SENTINEL1_WAVELENGTH_M / 4.0 * YEAR_DAYS / _REPEAT_DAYS
    return {
        "velocity": (velocity, "true mean velocity toward the satellite", "m/yr"),
        "tongue": (motion["coarse"].astype(np.int32), "number of the rock glacier, 0 = none", "1"),
        "stable_ground": (still.astype(np.uint8), "ground that does not move", "1"),
        "aliased": (
            (np.abs(velocity) > fastest).astype(np.uint8),
            "moves by more than a quarter wavelength in 12 days",
            "1",
        ),
    }
