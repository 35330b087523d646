"""Raw Sentinel-1 scenes of a part of a landscape, of the same truth as what every sensor sees.

Scatterers lie on the landscape, as bright as its covers, move with its objects and lose coherence
as its blocks turn and snow falls; what a radar records of them is made by ``simulation_campaign``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from rockglacier.conventions import MAP
from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid
from rockglacier.simulation import NOISE, stream
from rockglacier.simulation_campaign import Campaign, Surface
from rockglacier.simulation_landscape import Landscape
from rockglacier.simulation_landscape_radar import (
    BASELINE_M,
    HEADING_DEG,
    NOISE_DB,
    Speckle,
    delay_m,
    gamma_db,
)
from rockglacier.simulation_scenes import passing

LEAST_M = 1500.0  # a side: less makes no two bursts
TRACK = len(HEADING_DEG)  # whose random numbers no other track has


def record_scenes(
    landscape: Landscape,
    grid: Grid,
    folder: Path,
    *,
    area: tuple[float, float, float, float],
    first_date: str,
    dates: int,
    interval_days: int,
    incidence_deg: float,
    ascending: bool,
    seed: int = 0,
    threads: int = 1,
) -> None:
    """Write ``scenes/*.SAFE`` and ``orbits/*.EOF`` of ``area`` (lon, lat) into ``folder``.

    ``grid`` is the region's, of which ``landscape`` is FINER.

    Raises
    ------
    ConfigurationError
        What lies of the area within the landscape is too small.
    """
    part = landscape.grid.crop(area)
    if min(part.height, part.width) * min(part.spacing_m) < LEAST_M:
        raise ConfigurationError(
            f"raw scenes of {part.height * part.dy:.0f} x {part.width * part.dx:.0f} m; at least "
            f"{LEAST_M:.0f} m within the landscape are needed either way: enlarge the track's area."
        )
    here = landscape.grid.window(part)
    ground = landscape.ground.isel(dict(zip(MAP, here, strict=True)))
    surface = Surface(part, ground["height"].values.astype(np.float64))
    target = surface.target(part)
    track = passing(target, incidence_deg, ascending=ascending)
    sight = surface.sight(track, part)
    days = [
        np.datetime64(first_date) + np.timedelta64(k * interval_days, "D") for k in range(dates)
    ]
    x, y = surface.scattered(stream(seed, NOISE, 60_000))
    at = ((part.north - y) / part.dy).astype(int), ((x - part.west) / part.dx).astype(int)
    places, area_m2 = surface.fixed(x, y), surface.area_toward(sight, x, y)
    of = {name: ground[name].values[at] for name in ("east", "north", "up", "number")}
    of |= {name: ground[name].values[at] for name in ("lasting", "decay")}
    toward = sum(sight[k] * of[name] for k, name in enumerate(("east", "north", "up")))
    speed = np.sqrt(of["east"] ** 2 + of["north"] ** 2 + of["up"] ** 2)
    course = landscape.course(np.array(days), days[0])
    baselines = stream(seed, NOISE, 60_001).normal(0.0, BASELINE_M, dates)
    campaign = Campaign(track, target, ascending, days, baselines, places, seed, NOISE_DB)
    speckle = Speckle(of["lasting"], of["decay"], speed, days, seed, TRACK)

    def told(k: int) -> tuple[np.ndarray, np.ndarray]:
        """Amplitude, and what adds to the path, of each scatterer."""
        snow = landscape.snow(days[k])
        bright = gamma_db(landscape, days[k], snow, seed)[here][at]
        amplitude = speckle.on(k, snow[here][at]) * np.sqrt(area_m2 * 10.0 ** (0.1 * bright))
        late = delay_m(landscape, grid, seed, TRACK, k)[here][at]
        return amplitude, late - toward * course[k][of["number"]]

    with ThreadPoolExecutor(threads) as pool:
        # Speckle ages from date to date: made one after the other, recorded at once.
        written = [pool.submit(campaign.write, folder, k, places, *told(k)) for k in range(dates)]
        for one in written:
            one.result()
