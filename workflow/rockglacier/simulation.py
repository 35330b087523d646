"""Stacks of known motion: the forward model that every estimate is measured against.

Truth is made here and noise is added as the sensor would add it; nothing here knows how a stack
will be inverted.

Sources: decorrelation of multilooked pairs, Tough et al. 1995 (Proc. R. Soc. Lond. A 449, 567) and
the Bartlett decomposition of the complex Wishart distribution, Goodman 1963
(doi 10.1214/aoms/1177704250); turbulent delay, Hanssen 2001 (doi 10.1007/0-306-47633-9).
"""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed

from rockglacier.conventions import (
    DATE,
    MAP,
    PAIR,
    SENTINEL1_WAVELENGTH_M,
    YEAR_DAYS,
    X,
    Y,
    describe,
    metres_per_radian,
)
from rockglacier.downslope import line_of_sight, sensitivity
from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid
from rockglacier.io import pair_coordinates
from rockglacier.terrain import terrain

SCENARIOS = ("decor", "atmo", "full", "gaps")

LOOKS = 20
INCIDENCE_DEG = 39.0
HEADING_DEG = -12.0  # ascending, right-looking
SLANT_RANGE_M = 880_000.0

_REPEAT_DAYS = 12
_DATES = 40
_NEIGHBOURS = 3
_BAND = 256  # rows drawn at once: fixed, so that a seed gives one stack whatever the memory

_LONG_TERM, _DECAY_DAYS = 0.4, 120.0

# Streams of random numbers: one per kind and layer, so that scenarios of one seed share their
# noise and any layer can be made alone.
TERRAIN, TONGUES, COHERENCE, NOISE, DELAY, ERRORS, GAPS = range(7)


def stream(seed: int, kind: int, layer: int = 0) -> np.random.Generator:
    """Random numbers of one layer of one kind."""
    return np.random.default_rng([seed, kind, layer])


def simulate_stack(
    scenario: str,
    *,
    height: int = 300,
    width: int = 300,
    seed: int = 0,
    spacing_m: float = 40.0,
) -> xr.Dataset:
    """Unwrapped interferograms of rock glaciers of known velocity, lazy, one layer a chunk.

    40 dates every 12 days, each tied to its next three, and one 1-year pair. ``scenario``:
    ``decor`` decorrelation noise; ``atmo`` also a turbulent delay of 5 mm (standard deviation) on
    every date; ``full`` also errors of whole cycles in blobs in 10 % of the pairs; ``gaps`` is
    ``decor`` with 20 % of the samples missing (NaN).

    Returns
    -------
    Dataset
        ``phase`` (rad), ``coherence`` (pair, y, x; the estimate from ``looks`` looks); geometry
        ``east, north, up, incidence_angle, height``; and the truth: ``velocity`` (m/yr toward the
        satellite), ``stable_ground``, ``tongue`` (0 = none), ``true_coherence`` (pair, y, x),
        ``delay`` (date, y, x; m, apparent displacement toward the satellite) and ``cycles``
        (pair, y, x; whole cycles wrongly added to ``phase``).

    Raises
    ------
    ConfigurationError
        The scenario is unknown.
    """
    if scenario not in SCENARIOS:
        raise ConfigurationError(
            f"Scenario {scenario!r} is unknown; choose one of {', '.join(SCENARIOS)}."
        )
    grid = Grid("EPSG:32632", 640_000.0, 5_200_000.0, spacing_m, spacing_m, width, height)
    dates = np.datetime64("2020-06-05", "ns") + np.arange(_DATES) * np.timedelta64(
        _REPEAT_DAYS, "D"
    )
    first, second = _network()
    days = (second - first) * float(_REPEAT_DAYS)
    shape = grid.shape

    relief = fractal_relief(grid, stream(seed, TERRAIN))
    truth = _tongues(grid, relief, stream(seed, TONGUES))
    at_repeat = da.from_array(_coherence_at_repeat(shape, stream(seed, COHERENCE)), chunks=shape)
    true_coherence = da.stack([at_repeat * _left_after(lag) for lag in days])

    disturbed = scenario in ("atmo", "full")
    delay = _layers(turbulence, _DATES, shape, spacing_m, seed) if disturbed else None
    wrong = set(stream(seed, ERRORS).permutation(len(days))[: round(0.1 * len(days))].tolist())
    cycles = [
        da.from_delayed(delayed(_blobs)(shape, seed, k), shape, dtype=np.int8)
        if scenario == "full" and k in wrong
        else da.zeros(shape, dtype=np.int8, chunks=shape)
        for k in range(len(days))
    ]
    share = 0.2 if scenario == "gaps" else 0.0
    drawn = [
        da.from_delayed(
            delayed(_noisy_sample)(true_coherence[k], seed, k, share),
            (2, *shape),
            dtype=np.float32,
        )
        for k in range(len(days))
    ]
    velocity = da.from_array(truth["velocity"].values, chunks=shape)
    radians = np.float32(1.0 / metres_per_radian(SENTINEL1_WAVELENGTH_M))
    phase = []
    for k in range(len(days)):
        moved = velocity * np.float32(days[k] / YEAR_DAYS)
        if delay is not None:
            moved = moved + delay[second[k]] - delay[first[k]]
        phase.append(radians * moved + drawn[k][0] + np.float32(2.0 * np.pi) * cycles[k])

    pairs = (PAIR, Y, X)
    dataset = xr.Dataset(
        {
            "phase": (pairs, da.stack(phase)),
            "coherence": (pairs, da.stack([layer[1] for layer in drawn])),
            "true_coherence": (pairs, true_coherence),
            "cycles": (pairs, da.stack(cycles)),
        },
        coords={
            **grid.coords,
            **pair_coordinates(dates[first], dates[second]),
            "perpendicular_baseline": (PAIR, np.full(len(days), np.nan)),
            DATE: dates,
        },
        attrs={
            "wavelength_m": SENTINEL1_WAVELENGTH_M,
            "looks": LOOKS,
            "source": f"simulated {scenario}, seed {seed}",
            "crs": grid.crs,
        },
    )
    dataset["delay"] = (
        (DATE, Y, X),
        delay
        if delay is not None
        else da.zeros((_DATES, *shape), dtype=np.float32, chunks=(1, *shape)),
    )
    return _describe_stack(dataset.assign(truth).assign(geometry(relief)))


def _describe_stack(dataset: xr.Dataset) -> xr.Dataset:
    names = {
        "phase": ("unwrapped interferometric phase", "rad"),
        "coherence": ("estimated coherence", "1"),
        "true_coherence": ("coherence that the samples were drawn with", "1"),
        "cycles": ("whole cycles wrongly added to the phase", "1"),
        "delay": ("apparent displacement toward the satellite by the atmosphere", "m"),
    }
    for name, (long_name, units) in names.items():
        dataset[name].attrs = {"long_name": long_name, "units": units}
    return dataset


def _network() -> tuple[np.ndarray, np.ndarray]:
    """Indices of the first and second date of each pair, sorted by the first."""
    pairs = [(i, j) for i in range(_DATES) for j in range(i + 1, min(i + 1 + _NEIGHBOURS, _DATES))]
    year = round(YEAR_DAYS / _REPEAT_DAYS)
    pairs.append(((_DATES - year) // 2, (_DATES - year) // 2 + year))
    first, second = np.array(sorted(pairs)).T
    return first, second


def _layers(make: Any, count: int, shape: tuple[int, int], spacing_m: float, seed: int) -> da.Array:
    layers: da.Array = da.stack(
        [
            da.from_delayed(delayed(make)(shape, spacing_m, seed, k), shape, dtype=np.float32)
            for k in range(count)
        ]
    )
    return layers


def _wavenumbers(shape: tuple[int, int], spacing_m: float) -> np.ndarray:
    """Modulus of the wavenumber (cycles/m) on the half plane of a real transform, float32."""
    ky = np.fft.fftfreq(shape[0], spacing_m).astype(np.float32)
    kx = np.fft.rfftfreq(shape[1], spacing_m).astype(np.float32)
    return np.hypot(ky[:, None], kx[None, :])


def _correlated(
    shape: tuple[int, int], amplitude: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A Gaussian field whose Fourier modes have ``amplitude``; mean 0, deviation 1; periodic."""
    white = rng.standard_normal(shape, dtype=np.float32)
    field = np.fft.irfft2(np.fft.rfft2(white) * amplitude, s=shape).astype(np.float32)
    field -= field.mean(dtype=np.float64)
    field /= field.std(dtype=np.float64)
    return field


def smooth_field(shape: tuple[int, int], pixels: float, rng: np.random.Generator) -> np.ndarray:
    """A Gaussian field correlated over about ``pixels``."""
    k = _wavenumbers(shape, 1.0)
    return _correlated(shape, np.exp(-0.5 * (2.0 * np.pi * 0.5 * pixels * k) ** 2), rng)


def fractal_relief(grid: Grid, rng: np.random.Generator) -> xr.DataArray:
    """Heights (m) of self-affine mountains with a median slope of 20 degrees."""
    # ASSUME: relief is self-affine with Hurst exponent 0.8 between 300 m and 6 km (the spacing of
    # valleys) and smooth below (Turcotte 1997, doi 10.1017/CBO9781139174695).
    k = _wavenumbers(grid.shape, grid.spacing_m[0])
    roll_off = np.exp(-0.5 * (2.0 * np.pi * 100.0 * k) ** 2)
    amplitude = roll_off * np.maximum(k, 1.0 / 6_000.0) ** -1.8
    amplitude[0, 0] = 0.0
    field = _correlated(grid.shape, amplitude, rng)
    gy, gx = np.gradient(field, *grid.spacing_m)
    field *= np.tan(np.radians(20.0)) / np.median(np.hypot(gy, gx))
    heights = xr.DataArray(field + np.float32(2700.0), dims=MAP, coords=grid.coords)
    return describe(heights, "height", "height", "m")


def geometry(relief: xr.DataArray) -> xr.Dataset:
    """Line of sight of an ascending, right-looking radar, and the heights."""
    incidence = xr.full_like(relief, INCIDENCE_DEG, dtype=np.float32)
    name, long_name = "incidence_angle", "incidence angle from the vertical"
    incidence = describe(incidence, name, long_name, "deg")
    sight = line_of_sight(incidence, HEADING_DEG).astype(np.float32)
    return sight.assign(incidence_angle=incidence, height=relief)


def downslope_azimuth(
    relief: xr.DataArray, grid: Grid, smooth_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth of steepest descent (rad) and the line of sight's share of motion along it."""
    ground = terrain(relief, grid, smooth_m=smooth_m)
    share = sensitivity(geometry(relief), ground["slope"], ground["aspect"])
    return np.radians(ground["aspect"].values), share.values


def _tongues(
    grid: Grid, relief: xr.DataArray, rng: np.random.Generator, share: float = 0.1
) -> dict[str, xr.DataArray]:
    """Rock glaciers of 60-250 pixels over ``share`` of the scene, creeping downslope.

    They lie where downslope motion approaches the satellite, so that each has a true downslope
    velocity too.
    """
    azimuth, share_seen = downslope_azimuth(relief, grid, 120.0)
    height, width = grid.shape
    velocity = np.zeros(grid.shape, np.float32)
    tongue = np.zeros(grid.shape, np.int32)
    # Relief of few valleys may not offer enough such slopes: then the best there are serve.
    suited = np.flatnonzero(share_seen >= min(0.15, float(np.nanquantile(share_seen, 0.75))))
    covered = count = 0
    while covered < share * tongue.size:
        row, column = np.unravel_index(int(rng.choice(suited)), grid.shape)
        area = rng.uniform(60.0, 250.0)
        elongation = rng.uniform(2.0, 4.0)
        # ASSUME: the tongue is straight, along the slope at its centre.
        east, south = np.sin(azimuth[row, column]), -np.cos(azimuth[row, column])
        half_length = float(np.sqrt(area * elongation / np.pi))
        half_width = half_length / elongation
        reach = int(np.ceil(half_length)) + 1
        rows = slice(max(0, int(row) - reach), min(height, int(row) + reach + 1))
        columns = slice(max(0, int(column) - reach), min(width, int(column) + reach + 1))
        r, c = np.mgrid[rows, columns] - np.array([row, column])[:, None, None]
        along = c * east + r * south
        across = r * east - c * south
        radius = np.hypot(along / half_length, across / half_width)
        free = (radius < 1.0) & (tongue[rows, columns] == 0)
        # ASSUME: the profile of a creeping body with Glen's exponent 3, 1 - r^4 (Nye 1965,
        # doi 10.3189/S0022143000018670): a plug with narrow margins.
        peak = rng.uniform(0.010, 0.090)
        count += 1
        tongue[rows, columns][free] = count
        velocity[rows, columns][free] = peak * (1.0 - radius[free] ** 4)
        covered += int(free.sum())

    def as_map(values: np.ndarray, name: str, long_name: str, units: str) -> xr.DataArray:
        return describe(xr.DataArray(values, dims=MAP, coords=grid.coords), name, long_name, units)

    return {
        "velocity": as_map(velocity, "velocity", "true velocity toward the satellite", "m/yr"),
        "tongue": as_map(tongue, "tongue", "number of the rock glacier, 0 = none", "1"),
        "stable_ground": as_map(
            (tongue == 0).astype(np.uint8), "stable_ground", "ground that does not move", "1"
        ),
    }


def _coherence_at_repeat(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """True coherence over 12 days, uniform over 0.42 to 0.95, in patches of 600 m."""
    from scipy.special import ndtr

    field: np.ndarray = ndtr(smooth_field(shape, 15.0, rng))
    return (0.42 + 0.53 * field).astype(np.float32)


def _left_after(days: float) -> np.float32:
    """Coherence after ``days``, relative to that after 12 days."""

    # ASSUME: exponential decay over 120 days toward a long-term level of 0.4 of the initial
    # coherence, as sparsely vegetated ground shows (Morishita & Hanssen 2015,
    # doi 10.1109/TGRS.2014.2333814).
    def left(lag: float) -> float:
        return _LONG_TERM + (1.0 - _LONG_TERM) * float(np.exp(-lag / _DECAY_DAYS))

    return np.float32(left(days) / left(_REPEAT_DAYS))


def _noisy_sample(coherence: np.ndarray, seed: int, layer: int, missing_share: float) -> np.ndarray:
    """Phase noise (rad) and estimated coherence of one pair, stacked.

    Both come from one complex Wishart matrix of ``LOOKS`` looks, by its Bartlett factor A: with
    the Cholesky factor of [[1, g], [g, 1]], the interferogram is A11 (g A11 + s A21), s^2 =
    1 - g^2, and the second intensity |g A11 + s A21|^2 + s^2 A22^2.
    """
    rng = stream(seed, NOISE, layer)
    out = np.empty((2, *coherence.shape), np.float32)
    for top in range(0, coherence.shape[0], _BAND):
        g = coherence[top : top + _BAND]
        s = np.sqrt(np.float32(1.0) - g * g)
        real = g * np.sqrt(rng.standard_gamma(LOOKS, g.shape, np.float32))
        half = np.float32(np.sqrt(0.5)) * s
        real += half * rng.standard_normal(g.shape, np.float32)
        imaginary = half * rng.standard_normal(g.shape, np.float32)
        power = real * real + imaginary * imaginary
        rest = s * s * rng.standard_gamma(LOOKS - 1, g.shape, np.float32)
        out[0, top : top + _BAND] = np.arctan2(imaginary, real)
        out[1, top : top + _BAND] = np.sqrt(power / (power + rest))
    if missing_share:
        out[:, stream(seed, GAPS, layer).random(coherence.shape) < missing_share] = np.nan
    return out


def turbulence(
    shape: tuple[int, int], spacing_m: float, seed: int, layer: int, deviation_m: float = 0.005
) -> np.ndarray:
    """Turbulent delay of one date (m), standard deviation ``deviation_m`` over the scene."""
    # ASSUME: the power spectrum falls as k^-8/3 and, below 2 km, as k^-11/3 (two- and
    # three-dimensional turbulence; Treuhaft & Lanyi 1987, doi 10.1029/RS022i002p00251; Hanssen
    # 2001, doi 10.1007/0-306-47633-9, ch. 4.7), flat beyond a von Karman outer scale of 30 km.
    import scipy.fft

    outer_scale_m, inner_scale_m = 30_000.0, 2_000.0
    wide: Any = tuple(scipy.fft.next_fast_len(2 * n, real=True) for n in shape)  # not periodic
    k = _wavenumbers(wide, spacing_m)
    amplitude = (k * k + np.float32(outer_scale_m**-2)) ** np.float32(-8 / 12)
    amplitude *= (1.0 + (k * np.float32(inner_scale_m)) ** 2) ** np.float32(-0.25)
    amplitude[0, 0] = 0.0
    field = _correlated(wide, amplitude, stream(seed, DELAY, layer))[: shape[0], : shape[1]]
    field = field - field.mean(dtype=np.float64)
    field *= deviation_m / field.std(dtype=np.float64)
    return np.asarray(field, np.float32)


def _blobs(shape: tuple[int, int], seed: int, layer: int) -> np.ndarray:
    """Whole cycles (int8) that an unwrapper added by mistake, in connected blobs."""
    # ASSUME: blobs of about 1 km cover 4 % of the scene; one cycle in four of five, else two.
    rng = stream(seed, ERRORS, 1 + layer)
    field = smooth_field(shape, 25.0, rng)
    sizes = np.where(smooth_field(shape, 60.0, rng) > 0.84, 2, 1)
    cycles = np.where(np.abs(field) > 2.05, np.sign(field) * sizes, 0)
    return cycles.astype(np.int8)
