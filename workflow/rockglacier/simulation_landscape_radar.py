"""What a radar satellite sees of a landscape: geocoded images of a track, as they are kept here.

Each fine pixel is one independent look: a lasting part and one that decays, sooner where blocks are
turned by motion, both hidden by snow; bright as the cover is, darker under wet snow, and varied by
weather. Its phase is its way through the atmosphere and along the line of sight, that of terrain
taken away but for what the DEM errs by. Nothing here is shared with the code that reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy.ndimage import gaussian_filter, zoom

from rockglacier import io
from rockglacier.conventions import MAP, SENTINEL1_WAVELENGTH_M, YEAR_DAYS, describe
from rockglacier.downslope import line_of_sight, observable
from rockglacier.grid import Grid
from rockglacier.simulation import DELAY, NOISE, smooth_field, stream, turbulence
from rockglacier.simulation_landscape import FINER, Landscape, broad_field

INCIDENCE_DEG = 39.0
HEADING_DEG = {"ascending": -12.0, "descending": -168.0}
SLANT_RANGE_M = 880_000.0
NOISE_DB = -22.0  # noise-equivalent sigma nought
BASELINE_M = 50.0  # standard deviation
DEM_ERROR_M = 3.0
# ASSUME: 5 mm of turbulence over the scene and 10 mm per km of height and date, one way.
TURBULENCE_M, STRATIFIED_M_KM = 0.005, 0.010
TURN_M = 0.3  # ASSUME: of motion, over which blocks turn so far that their echo is another
SNOW_LOSS = 0.85  # ASSUME: of the signal's coherent part, under snow
WET_DB = -3.0  # of wet snow (Nagler & Rott 2000, doi:10.1109/36.842004)
WET_MONTHS = (4, 5, 6, 7, 8)


def image_track(
    landscape: Landscape,
    grid: Grid,
    folder: Path,
    *,
    direction: str,
    dates: Sequence[str],
    seed: int = 0,
) -> None:
    """Write ``slc/<date>.zarr``, ``geometry.zarr``, ``layout.zarr``, ``scenes.csv`` to ``folder``.

    ``grid`` is the region's, of which ``landscape`` is FINER; ``direction``: ascending or
    descending. Dates are YYYY-MM-DD.
    """
    track = list(HEADING_DEG).index(direction)
    fine, ground = landscape.grid, landscape.ground
    sight = {
        str(name): float(values)
        for name, values in line_of_sight(
            describe(xr.DataArray(INCIDENCE_DEG), "incidence_angle", "incidence angle", "deg"),
            HEADING_DEG[direction],
        ).items()
    }
    days = [np.datetime64(date) for date in dates]
    baseline = stream(seed, NOISE, 1000 + track).normal(0.0, BASELINE_M, len(days))
    facing = np.sqrt(_facing(ground["height"].values, fine, sight)).astype(np.float32)
    _write_geometry(folder, grid, fine, landscape, sight)
    toward = sum(np.float32(sight[name]) * ground[name].values for name in ("east", "north", "up"))
    number = ground["number"].values
    course = landscape.course(np.array(days), days[0])
    # Metres to radians of a one-way path.
    radians = 4.0 * np.pi / SENTINEL1_WAVELENGTH_M
    off = DEM_ERROR_M * smooth_field(fine.shape, 10.0, stream(seed, NOISE, 2000 + track))
    off = (off / (SLANT_RANGE_M * np.sin(np.radians(INCIDENCE_DEG)))).astype(np.float32)
    speed = np.sqrt(sum(ground[n].values ** 2 for n in ("east", "north", "up")))
    speckle = Speckle(ground["lasting"].values, ground["decay"].values, speed, days, seed, track)
    noise = 10.0 ** (0.1 * NOISE_DB) / np.sin(np.radians(INCIDENCE_DEG))

    def delayed(k: int) -> np.ndarray:
        return delay_m(landscape, grid, seed, track, k)

    # The delays of the next date are made while one is written.
    with ThreadPoolExecutor(2) as pool:
        coming = pool.submit(delayed, 0)
        written = None
        for k, day in enumerate(days):
            delay = coming.result()
            if k + 1 < len(days):
                coming = pool.submit(delayed, k + 1)
            snow = landscape.snow(day)
            decibel = gamma_db(landscape, day, snow, seed) * np.float32(0.05 * np.log(10.0))
            path = toward * course[k].astype(np.float32)[number] - delay
            path -= np.float32(baseline[k]) * off
            path *= np.float32(radians)
            image = speckle.on(k, snow)
            image *= np.exp(decibel) * facing
            image *= np.cos(path) + np.complex64(1j) * np.sin(path)
            image += np.float32(np.sqrt(noise)) * _circular(
                stream(seed, NOISE, 3000 + 500 * track + k), fine.shape
            )
            if written:
                written.result()
            written = pool.submit(_write_image, folder, fine, day, image, noise)
        if written:
            written.result()
    table = pd.DataFrame({
        "date": dates, "satellite": "S1A", "perpendicular_baseline_m": np.round(baseline, 2),
    })  # fmt: skip
    io.write_table(table, folder / "scenes.csv")


def _write_image(
    folder: Path, fine: Grid, day: np.datetime64, image: np.ndarray, noise: float
) -> None:
    slc = xr.DataArray(image, dims=MAP, coords=fine.coords)
    slc = describe(slc, "slc", "flattened single-look image, beta nought amplitude", "1")
    slc.attrs |= {
        "wavelength_m": SENTINEL1_WAVELENGTH_M, "orbit": "simulated", "noise_beta_nought": noise,
    }  # fmt: skip
    name = str(day.astype("datetime64[D]")).replace("-", "")
    io.write_dataset(slc.to_dataset(), folder / "slc" / f"{name}.zarr", grid=fine)


def _write_geometry(
    folder: Path, grid: Grid, fine: Grid, landscape: Landscape, sight: dict[str, float]
) -> None:
    heights = landscape.ground["height"].values
    mean = heights.reshape(grid.height, FINER, grid.width, FINER).mean(axis=(1, 3))
    height = describe(
        xr.DataArray(mean.astype(np.float32), dims=MAP, coords=grid.coords),
        "height", "height above the ellipsoid", "m",
    )  # fmt: skip
    incidence = xr.full_like(height, INCIDENCE_DEG)
    geometry = xr.Dataset({
        **{
            name: describe(xr.full_like(height, value), name, f"line of sight, {name}", "1")
            for name, value in sight.items()
        },
        "incidence_angle": describe(
            incidence, "incidence_angle", "incidence angle from the vertical", "deg"
        ),
        "height": height,
    })  # fmt: skip
    geometry["observable"] = observable(height, geometry, grid)
    geometry.attrs["looks"] = float(FINER * FINER)
    io.write_dataset(geometry, folder / "geometry.zarr", grid=grid)
    # Who flattens knows the relief but roughly.
    flat = 1.0 / _facing(gaussian_filter(heights, 1.5), fine, sight)
    layout = xr.Dataset({
        "flattening": describe(
            xr.DataArray(flat.astype(np.float32), dims=MAP, coords=fine.coords),
            "flattening", "gamma nought over beta nought", "1",
        )
    })  # fmt: skip
    io.write_dataset(layout, folder / "layout.zarr", grid=fine)


def _facing(heights: np.ndarray, fine: Grid, sight: dict[str, float]) -> np.ndarray:
    """Area of the surface toward the radar over that of the map."""
    south, east = np.gradient(heights, *fine.spacing_m)
    toward = np.maximum(0.05, sight["up"] - sight["east"] * east + sight["north"] * south)
    return np.asarray(toward)


def delay_m(landscape: Landscape, grid: Grid, seed: int, track: int, k: int) -> np.ndarray:
    """Delay of one date (m, one way along the line of sight) on the fine grid."""
    rng = stream(seed, DELAY, 100_000 + 1000 * track + k)
    rough = turbulence(grid.shape, grid.spacing_m[0], seed, 1000 * (track + 1) + k, TURBULENCE_M)
    heights = landscape.ground["height"].values
    level = (heights - heights.mean()) / 1000.0
    fine = zoom(rough, FINER, order=1, mode="nearest", grid_mode=True)
    return np.asarray(fine + rng.normal(0.0, STRATIFIED_M_KM) * level, np.float32)


def gamma_db(landscape: Landscape, day: np.datetime64, snow: np.ndarray, seed: int) -> np.ndarray:
    """Gamma nought of one date (y, x; dB)."""
    ground = landscape.ground
    number = int(day.astype("datetime64[D]").astype(int))
    rng = stream(seed, NOISE, 100_000 + number)  # the weather is that of both tracks
    month = int(day.astype("datetime64[M]").astype(int)) % 12 + 1
    weather = rng.normal() + 0.5 * broad_field(landscape.grid.shape, 60.0, rng)
    gamma = ground["gamma"].values + ground["moisture"].values * np.float32(weather)
    if month in WET_MONTHS:
        return np.asarray(gamma + np.float32(WET_DB) * snow)
    return np.asarray(gamma + ground["winter"].values * snow)


class Speckle:
    """Complex amplitudes of unit power, date after date.

    ``lasting`` and ``decay`` (d): of :class:`simulation_landscape.Nature`; ``speed``: m/yr.
    """

    def __init__(
        self,
        lasting: np.ndarray,
        decay: np.ndarray,
        speed: np.ndarray,
        days: Sequence[np.datetime64],
        seed: int,
        track: int,
    ) -> None:
        self._days, self._seed, self._track = days, seed, track
        self._shape = lasting.shape
        # What lasts is turned away too, where the ground moves.
        self._turning = (speed / YEAR_DAYS / TURN_M).astype(np.float32)
        self._losing = (1.0 / decay + self._turning).astype(np.float32)
        self._shares = np.sqrt(lasting), np.sqrt(1.0 - lasting)
        self._lasting, self._passing = self._fresh(0, 0), self._fresh(0, 1)

    def _fresh(self, k: int, part: int) -> np.ndarray:
        kind = 10_000 + 1000 * (4 * self._track + part) + k
        return _circular(stream(self._seed, NOISE, kind), self._shape)

    def on(self, k: int, snow: np.ndarray) -> np.ndarray:
        """Amplitudes on date ``k``; dates must come one after the other."""
        if k:
            lag = np.float32((self._days[k] - self._days[k - 1]) / np.timedelta64(1, "D"))
            moving = self._turning > 0.0
            fresh = self._fresh(k, 0)
            self._lasting[moving] = _aged(
                self._lasting[moving], fresh[moving], self._turning[moving], lag
            )
            self._passing = _aged(self._passing, self._fresh(k, 1), self._losing, lag)
        value = self._shares[0] * self._lasting + self._shares[1] * self._passing
        if snow.max() > 0.01:
            lost = np.float32(SNOW_LOSS) * snow
            value = np.sqrt(1.0 - lost) * value + np.sqrt(lost) * self._fresh(k, 2)
        return np.asarray(value, np.complex64)


def _aged(old: np.ndarray, fresh: np.ndarray, loss: np.ndarray, lag: np.float32) -> np.ndarray:
    """``old`` amplitudes after ``lag`` days, of which ``loss`` a day gives way to ``fresh``."""
    kept = np.exp(-lag * loss)
    return np.asarray(kept * old + np.sqrt(1.0 - kept * kept) * fresh)


def _circular(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Circular Gaussian numbers of unit power (complex64)."""
    parts = rng.standard_normal((*shape, 2), np.float32) * np.float32(np.sqrt(0.5))
    return np.asarray(parts.view(np.complex64)[..., 0])
