"""A mountain landscape with every kind of ground: the one truth that all simulated sensors see.

On given relief lie rock glaciers that move and that rest, glaciers under debris and of bare ice,
and what is mistaken for them: talus, bedrock, meadows, landslides, late snow. Each has a form, a
motion with its seasons, a roughness that radar sees, a brightness, its own days of snow. How they
differ was taken from what is published before anything was mapped from it, and kinds overlap as
published ranges do; where no source names a number ASSUME says so.

Sources
-------
Sizes: Sun et al. (2024), doi:10.5194/essd-16-5703-2024, mean 0.14 km2 on slopes of 10 to 25
degrees. Rates: Cusicanqui et al. (2025), doi:10.5194/tc-19-2559-2025, mean 0.37 m/yr;
Kellerer-Pirklbauer et al. (2024), Environmental Research Letters 19, 034022, 0.04 to 6.2 m/yr, and
faster in late summer and autumn; activity after RGIK (2023), doi:10.51363/unifr.srr.2023.002. Form:
convex with steep fronts, glaciers under debris concave and downwasting: Haeberli et al. (2024),
doi:10.5194/tc-18-1669-2024. Coherence: Morishita & Hanssen (2015), doi:10.1109/TGRS.2014.2333814.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from rockglacier import io
from rockglacier.conventions import MAP, YEAR_DAYS, Kind, describe
from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid
from rockglacier.simulation import smooth_field, stream
from rockglacier.terrain import terrain

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

FINER = 4  # pixels of truth in one of the region's grid, down and across
# Streams of random numbers.
PLACES, FORMS, NATURES, WEATHER = 60, 61, 62, 63
STEP_M = 20.0  # along a flow line
APART_M = 80.0  # least ground between objects
SMOOTH_M = 200.0  # of the relief that tells which way things flow
# ASSUME: the air is -1 degree C where 45 % of the ground is lower, the limit of permafrost in the
# Alps; snow outlasts the summer on the highest 15 %.
PERMAFROST_SHARE, FIRN_SHARE, PERMAFROST_AIR_C = 0.45, 0.85, -1.0
LAPSE_K_M = -0.0065
STATION_M = 2000.0  # height of the station


class Cover(IntEnum):
    """What lies on the ground."""

    MEADOW = 0
    TALUS = 1
    BEDROCK = 2
    ACTIVE = 3
    RESTING = 4
    DEBRIS_COVERED = 5
    CLEAN = 6
    LANDSLIDE = 7
    SNOWBED = 8  # talus where snow stays long


KIND_OF = {
    Cover.ACTIVE: Kind.ACTIVE,
    Cover.RESTING: Kind.RESTING,
    Cover.DEBRIS_COVERED: Kind.DEBRIS_COVERED,
    Cover.CLEAN: Kind.CLEAN,
}
LABELS = {
    Cover.ACTIVE: "active",
    Cover.RESTING: "transitional or relict",
    Cover.DEBRIS_COVERED: "debris-covered glacier",
    Cover.CLEAN: "glacier",
    Cover.LANDSLIDE: "landslide",
}


@dataclass(frozen=True)
class Nature:
    """Of one cover: means, and how far objects and places of it differ (standard deviations).

    ``gamma``: gamma nought of snow-free ground (dB); ``winter``: what dry snow adds (dB);
    ``moisture``: variation by weather (dB); ``lasting``: share of the radar's signal that lasts;
    ``decay``: days over which the rest is lost; ``ndsi``: snow index without snow; ``fading``: its
    trend (1/yr); ``green`` and ``infrared``: reflectance; ``snow``: days that snow stays longer
    than on level ground around.
    """

    gamma: tuple[float, float, float]
    winter: float
    moisture: float
    lasting: tuple[float, float, float]
    decay: float
    ndsi: tuple[float, float, float]
    fading: tuple[float, float]
    green: float
    infrared: float
    snow: tuple[float, float, float]


# ASSUME: backscatter of alpine covers; rough, blocky ground is brighter than turf by some dB, wet
# ice is dark in summer and bright in winter. Bare ground has an index of -0.2 to -0.6 (LANDSAT
# series of snow-free summers), ice 0.4 to 0.6, and debris with ice in it lies between.
NATURE_OF: dict[Cover, Nature] = {
    Cover.MEADOW: Nature(
        (-11.5, 1.0, 0.9), 0.5, 1.0, (0.25, 0.06, 0.06), 25.0, (-0.55, 0.04, 0.05), (0.0, 0.002),
        0.07, 0.30, (0.0, 0.0, 6.0),
    ),
    Cover.TALUS: Nature(
        (-9.0, 1.2, 1.2), 0.0, 0.4, (0.55, 0.08, 0.08), 120.0, (-0.33, 0.05, 0.06), (0.0, 0.003),
        0.13, 0.18, (3.0, 0.0, 8.0),
    ),
    Cover.BEDROCK: Nature(
        (-10.0, 1.5, 1.5), 0.0, 0.3, (0.75, 0.08, 0.08), 250.0, (-0.30, 0.05, 0.06), (0.0, 0.002),
        0.12, 0.16, (-6.0, 0.0, 9.0),
    ),
    Cover.ACTIVE: Nature(
        (-8.0, 0.9, 1.0), 0.0, 0.4, (0.50, 0.07, 0.08), 90.0, (-0.28, 0.05, 0.05), (-0.002, 0.004),
        0.15, 0.19, (8.0, 5.0, 7.0),
    ),
    Cover.RESTING: Nature(
        (-9.0, 0.9, 1.0), 0.0, 0.6, (0.45, 0.08, 0.08), 80.0, (-0.40, 0.06, 0.06), (0.0, 0.003),
        0.11, 0.23, (3.0, 5.0, 7.0),
    ),
    Cover.DEBRIS_COVERED: Nature(
        (-9.0, 1.0, 1.2), 1.0, 0.8, (0.12, 0.04, 0.04), 12.0, (-0.12, 0.08, 0.08), (-0.012, 0.008),
        0.16, 0.18, (10.0, 6.0, 8.0),
    ),
    Cover.CLEAN: Nature(
        (-14.0, 1.2, 1.0), 6.0, 1.5, (0.02, 0.01, 0.01), 4.0, (0.50, 0.06, 0.06), (-0.010, 0.008),
        0.45, 0.40, (40.0, 10.0, 8.0),
    ),
    Cover.LANDSLIDE: Nature(
        (-9.8, 1.0, 1.2), 0.3, 0.8, (0.35, 0.08, 0.08), 50.0, (-0.42, 0.06, 0.06), (0.003, 0.005),
        0.12, 0.22, (-3.0, 5.0, 7.0),
    ),
    Cover.SNOWBED: Nature(
        (-9.0, 1.2, 1.2), 0.0, 0.4, (0.55, 0.08, 0.08), 120.0, (-0.33, 0.05, 0.06), (-0.004, 0.004),
        0.14, 0.18, (35.0, 12.0, 8.0),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Habit:
    """Where objects of a cover lie, how large they are and how they move.

    ``slope_deg``: least and most; ``height``: mean and deviation (m) above the limit of permafrost,
    or that of firn where ``by_firn``; ``length_m``: median, and deviation of its logarithm;
    ``aspect``: length over width, least and most; ``shade``: how much more often on shady slopes;
    ``rate``: median (m/yr) and deviation of its logarithm, ``rates`` the least and the most;
    ``peak_month``: when it moves fastest.
    """

    count: int
    least: int
    slope_deg: tuple[float, float]
    height: tuple[float, float]
    by_firn: bool
    length_m: tuple[float, float]
    aspect: tuple[float, float]
    shade: float
    rate: tuple[float, float]
    rates: tuple[float, float]
    peak_month: float


HABITS: dict[Cover, Habit] = {
    Cover.CLEAN: Habit(
        10, 8, (6.0, 24.0), (80.0, 130.0), True, (1700.0, 0.30), (1.6, 2.6), 1.5, (10.0, 0.6),
        (3.0, 40.0), 6.5,
    ),
    Cover.DEBRIS_COVERED: Habit(
        10, 8, (3.0, 14.0), (-200.0, 160.0), True, (1700.0, 0.30), (2.5, 4.0), 1.0, (3.0, 0.7),
        (0.3, 20.0), 6.5,
    ),
    Cover.ACTIVE: Habit(
        32, 25, (8.0, 28.0), (150.0, 130.0), False, (620.0, 0.30), (1.6, 3.0), 1.5, (0.30, 0.8),
        (0.10, 3.0), 9.3,
    ),
    Cover.RESTING: Habit(
        20, 15, (7.0, 26.0), (-60.0, 130.0), False, (560.0, 0.30), (1.4, 2.6), 1.3, (0.02, 0.9),
        (0.001, 0.095), 9.3,
    ),
    Cover.LANDSLIDE: Habit(
        10, 5, (14.0, 34.0), (-250.0, 250.0), False, (520.0, 0.35), (1.0, 2.2), 1.0, (0.08, 0.8),
        (0.02, 0.5), 5.5,
    ),
    Cover.SNOWBED: Habit(
        14, 5, (5.0, 30.0), (250.0, 200.0), False, (260.0, 0.30), (0.8, 2.0), 2.0, (0.0, 0.0),
        (0.0, 0.0), 9.0,
    ),
}  # fmt: skip
RELICT_SHARE = 0.5  # ASSUME: of rock glaciers at rest; they do not move at all
ACCELERATING_SHARE, ACCELERATION_YR = 0.2, 0.12  # of rock glaciers; of the rate, a year
SEASONAL_SHARE = (0.1, 0.5)  # of the rate, as the amplitude of its yearly course
DOWNWASTING_M_YR = (0.3, 1.0)  # of glaciers under debris


@dataclass(frozen=True)
class Landscape:
    """The truth.

    ``ground`` (y, x; of a grid FINER than the region's): ``cover``, ``number`` of the object (row
    of ``objects`` + 1, 0: none), ``height`` (m), ``east``, ``north``, ``up`` (m/yr, at the mean
    rate), and what :class:`Nature` names. ``objects``: one row each.
    """

    grid: Grid
    ground: xr.Dataset
    objects: GeoDataFrame
    seed: int

    def course(self, dates: np.ndarray, origin: np.datetime64) -> np.ndarray:
        """Years of motion at the mean rate (date, object + 1) from ``origin``; 0 of no object."""
        years = (dates - origin) / np.timedelta64(1, "D") / YEAR_DAYS
        start = (origin - origin.astype("datetime64[Y]")) / np.timedelta64(1, "D") / YEAR_DAYS
        table = self.objects
        phase = 2.0 * np.pi * ((table["peak_month"].to_numpy() - 0.5) / 12.0)
        share = table["seasonal_share"].to_numpy() / (2.0 * np.pi)
        t = years[:, None]

        def gone(t: np.ndarray) -> np.ndarray:
            return np.asarray(
                t
                + share * np.sin(2.0 * np.pi * (t + start) - phase)
                + 0.5 * table["acceleration"].to_numpy() * t * t
            )

        moved = gone(t) - gone(np.zeros((1, 1)))
        return np.concatenate([np.zeros((len(years), 1)), moved], axis=1)

    def median_speeds(self) -> np.ndarray:
        """Median speed (m/yr) over each object."""
        from scipy.ndimage import median

        speed = np.sqrt(sum(self.ground[n].values ** 2 for n in ("east", "north", "up")))
        rows = np.arange(1, len(self.objects) + 1)
        return np.asarray(median(speed, self.ground["number"].values, rows))

    def snow(self, date: np.datetime64) -> np.ndarray:
        """Share of each pixel (y, x) under snow on ``date``."""
        day = date.astype("datetime64[D]")
        year = int(day.astype("datetime64[Y]").astype(int)) + 1970
        of_year = float((day - np.datetime64(f"{year}-01-01")) / np.timedelta64(1, "D")) + 1.0
        rng = stream(self.seed, WEATHER, year)
        # ASSUME: snow goes 8 days earlier or later from year to year, 4 days from place to place.
        late, early = rng.normal(0.0, 8.0), rng.normal(0.0, 8.0)
        place = 4.0 * broad_field(self.grid.shape, 30.0, rng)
        gone = self.ground["snow_gone"].values + late + place
        come = self.ground["snow_come"].values + early
        left = 1.0 / (1.0 + np.exp(np.clip((of_year - gone) / 5.0, -30.0, 30.0)))
        new = 1.0 / (1.0 + np.exp(np.clip((come - of_year) / 3.0, -30.0, 30.0)))
        return np.asarray(np.maximum(left, new), np.float32)


def broad_field(shape: tuple[int, int], pixels: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth field over many ``pixels`` of the fine grid, even within FINER of them."""
    coarse = smooth_field((-(-shape[0] // FINER), -(-shape[1] // FINER)), pixels / FINER, rng)
    finer = np.repeat(np.repeat(coarse, FINER, axis=0), FINER, axis=1)
    return np.asarray(finer[: shape[0], : shape[1]])


def make(
    grid: Grid,
    heights: np.ndarray,
    *,
    seed: int = 0,
    habits: Mapping[Cover, Habit] | None = None,
) -> Landscape:
    """A landscape on the region's ``grid``.

    ``heights`` (y, x; m, without voids): relief on the grid FINER than that. ``habits``: objects to
    place, HABITS by default.

    Raises
    ------
    ConfigurationError
        The relief has voids, or no place for as many objects as are needed.
    """
    fine = grid.subdivided(FINER, FINER)
    if heights.shape != fine.shape or not np.isfinite(heights).all():
        raise ConfigurationError(
            f"the relief under the landscape is of {heights.shape} pixels, some of them void or "
            f"not; {fine.shape} pixels of known height are needed: choose an area that the DEM "
            "covers, or no DEM."
        )
    heights = heights.astype(np.float64)
    levels = _levels(heights)
    cover = _covers(heights, fine, levels, stream(seed, FORMS, 1))
    placing = _Placing(heights[2::FINER, 2::FINER], grid, fine, levels, stream(seed, PLACES))
    found: list[_Body] = []
    for one, habit in (HABITS if habits is None else habits).items():
        bodies = placing.place(one, habit)
        if len(bodies) < habit.least:
            raise ConfigurationError(
                f"the relief (seed {seed}) has place for {len(bodies)} of "
                f"{habit.least} objects of {one.name.lower()}; enlarge area, or take another seed."
            )
        found += bodies
    shape = fine.shape
    number = np.zeros(shape, np.int16)
    flow = np.zeros((3, *shape), np.float32)
    forms = stream(seed, FORMS, 2)
    for k, body in enumerate(found, start=1):
        here = body.inside
        window = body.window
        number[window][here] = k
        cover[window][here] = body.cover
        heights[window] += body.form(fine, forms)
        for layer, values in zip(flow, body.motion(), strict=True):
            layer[window] += values
    relief = heights.astype(np.float32)
    ground = _natures(cover, number, len(found), fine, stream(seed, NATURES))
    ground |= _snow_days(relief, fine, levels, ground.pop("snow"))
    layers: dict[str, np.ndarray] = {
        "cover": cover, "number": number, "height": relief, "east": flow[0], "north": flow[1],
        "up": flow[2], **ground,
    }  # fmt: skip
    dataset = xr.Dataset(coords=fine.coords)
    for name, values in layers.items():
        long_name, units = _MEANINGS[name]
        dataset[name] = describe(xr.DataArray(values, dims=MAP), name, long_name, units)
    return Landscape(fine, dataset, _table(found, number, fine), seed)


_MEANINGS = {
    "cover": ("what lies on the ground: " + ", ".join(f"{c.value} {c.name}" for c in Cover), "1"),
    "number": ("number of the object, 0: none", "1"),
    "height": ("height", "m"),
    "east": ("mean velocity toward east", "m/yr"),
    "north": ("mean velocity toward north", "m/yr"),
    "up": ("mean velocity upward", "m/yr"),
    "gamma": ("gamma nought of snow-free ground", "dB"),
    "winter": ("what dry snow adds to it", "dB"),
    "moisture": ("its variation by weather", "dB"),
    "lasting": ("share of the radar signal that lasts", "1"),
    "decay": ("days over which the rest is lost", "d"),
    "ndsi": ("snow index without snow", "1"),
    "fading": ("trend of that", "1/yr"),
    "green": ("green reflectance without snow", "1"),
    "infrared": ("near-infrared reflectance without snow", "1"),
    "snow_gone": ("day of the year on which half of the snow is gone", "d"),
    "snow_come": ("day of the year on which snow comes to stay", "d"),
}


@dataclass(frozen=True)
class _Levels:
    permafrost: float
    firn: float


def _levels(heights: np.ndarray) -> _Levels:
    low, high = np.quantile(heights, (PERMAFROST_SHARE, FIRN_SHARE))
    return _Levels(float(low), float(high))


def air_temperature(heights: np.ndarray, limit_m: float) -> np.ndarray:
    """Mean annual air temperature (degrees C) where permafrost begins at ``limit_m``."""
    return np.asarray(PERMAFROST_AIR_C + LAPSE_K_M * (heights - limit_m))


def permafrost_limit(landscape: Landscape) -> float:
    """Height (m) above which there is permafrost."""
    return _levels(landscape.ground["height"].values).permafrost


def _covers(
    heights: np.ndarray, fine: Grid, levels: _Levels, rng: np.random.Generator
) -> np.ndarray:
    """Meadow below, talus above, bedrock where it is steep; edges fray over some 100 m."""
    smooth = gaussian_filter(heights, 2.0)
    slope = np.degrees(np.arctan(np.hypot(*np.gradient(smooth, *fine.spacing_m))))
    frayed = smooth_field(fine.shape, 15.0, rng)
    cover = np.full(fine.shape, int(Cover.TALUS), np.int8)
    cover[heights + 90.0 * frayed < levels.permafrost - 120.0] = Cover.MEADOW
    cover[slope + 4.0 * frayed > 38.0] = Cover.BEDROCK
    return cover


@dataclass(eq=False)
class _Body:
    """One object: its place in a ``window`` of the fine grid and what it does there."""

    cover: Cover
    window: tuple[slice, slice]
    radius: np.ndarray  # 1 at the margin, less within
    along: np.ndarray  # 0 at the head, 1 at the front
    across_m: float  # half of its width
    east: np.ndarray  # direction down the flow line, horizontal
    north: np.ndarray
    fall: np.ndarray  # drop per horizontal metre along it
    length_m: float
    rate: float
    seasonal_share: float
    acceleration: float
    peak_month: float
    sinking: float

    @property
    def inside(self) -> np.ndarray:
        """Where it lies."""
        return self.radius < 1.0

    def motion(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """East, north and up (m/yr): along the surface, 1 - r^4 of Glen's exponent 3 across."""
        profile = self.rate * np.clip(1.0 - self.radius**4, 0.0, 1.0)
        level = profile / np.sqrt(1.0 + self.fall**2)
        sinking = self.sinking * np.clip(1.0 - self.radius**2, 0.0, 1.0)
        return level * self.east, level * self.north, -level * self.fall - sinking

    def form(self, fine: Grid, rng: np.random.Generator) -> np.ndarray:
        """Heights (m) that the object adds to the relief."""
        shape = self.radius.shape
        within = np.clip(1.0 - self.radius, 0.0, 1.0)
        edge_m = within * self.across_m  # about the distance from the margin

        def rising(height: float, over_m: float) -> np.ndarray:
            return height * np.tanh(1.5 * edge_m / over_m)

        run = self.along * self.length_m
        rough = gaussian_filter(rng.standard_normal(shape), 2.0) * 7.0  # deviation about 1
        if self.cover in (Cover.ACTIVE, Cover.RESTING):
            active = self.cover is Cover.ACTIVE
            thick = rng.uniform(15.0, 32.0) if active else rng.uniform(9.0, 22.0)
            ridges = rng.uniform(1.0, 2.5) if active else rng.uniform(0.3, 1.2)
            bow = run - 0.25 * self.across_m * self.radius**2
            waves = ridges * np.sin(2.0 * np.pi * bow / rng.uniform(35.0, 60.0))
            # Thin at the root, thickest toward the front.
            grown = np.clip(0.25 + 1.2 * self.along, 0.0, 1.0)
            body = rising(thick, 1.4 * thick) * grown
            waves = waves * np.clip(within / 0.3, 0.0, 1.0) * grown
            return np.asarray(body + waves + 0.4 * rough * (within > 0))
        if self.cover is Cover.DEBRIS_COVERED:
            hollow = -rng.uniform(6.0, 14.0) * np.clip(within * 1.6, 0.0, 1.0)
            hummocks = 3.0 * gaussian_filter(rng.standard_normal(shape), 4.0) * 14.0
            moraine = rng.uniform(6.0, 16.0) * np.exp(-(((self.radius - 1.08) / 0.10) ** 2))
            return np.asarray(hollow + hummocks * np.clip(within / 0.2, 0.0, 1.0) + moraine)
        if self.cover is Cover.CLEAN:
            return np.asarray(-4.0 * np.clip(within * 1.6, 0.0, 1.0))
        if self.cover is Cover.LANDSLIDE:
            deep = rng.uniform(5.0, 12.0)
            lobe = deep * (2.0 * self.along - 1.0) * np.clip(within / 0.35, 0.0, 1.0)
            return np.asarray(lobe + 1.5 * rough * np.clip(within / 0.2, 0.0, 1.0))
        return np.zeros(shape)


class _Placing:
    """Looks for ground that suits objects, one after the other, none over another."""

    def __init__(
        self, heights: np.ndarray, grid: Grid, fine: Grid, levels: _Levels,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self._grid, self._fine, self._levels, self._rng = grid, fine, levels, rng
        smooth = xr.DataArray(heights.astype(np.float32), dims=MAP, coords=grid.coords)
        found = terrain(describe(smooth, "elevation", "elevation", "m"), grid, smooth_m=SMOOTH_M)
        self._slope = found["slope"].values
        self._azimuth = np.radians(np.nan_to_num(found["aspect"].values))
        self._heights = heights
        self._taken = np.zeros(fine.shape, bool)
        self._warp = broad_field(fine.shape, 12.0, rng)

    def place(self, cover: Cover, habit: Habit) -> list[_Body]:
        """As many objects as there is place for, up to ``habit.count``."""
        level = self._levels.firn if habit.by_firn else self._levels.permafrost
        off = (self._heights - level - habit.height[0]) / habit.height[1]
        low, high = habit.slope_deg
        shade = 0.5 * (1.0 + np.cos(self._azimuth))  # 1 on northern slopes
        weight = np.exp(-0.5 * off**2) * (1.0 + (habit.shade - 1.0) * shade)
        weight = weight * ((self._slope > low) & (self._slope < high))
        if not weight.sum():
            return []
        tries = self._rng.choice(weight.size, 60 * habit.count, p=(weight / weight.sum()).ravel())
        bodies: list[_Body] = []
        for flat in tries:
            if len(bodies) == habit.count:
                break
            row, column = np.unravel_index(int(flat), weight.shape)
            body = self._body(cover, habit, float(row), float(column))
            if body is not None:
                bodies.append(body)
        return bodies

    def _body(self, cover: Cover, habit: Habit, row: float, column: float) -> _Body | None:
        rng = self._rng
        length = habit.length_m[0] * float(np.exp(rng.normal(0.0, habit.length_m[1])))
        half = 0.5 * length / rng.uniform(*habit.aspect)
        line = self._flow_line(row, column, length - half, habit.slope_deg)
        if line is None:
            return None
        reach = half + APART_M + 60.0
        x, y = line[:, 0], line[:, 1]
        west, south, east, north = self._fine.bounds
        if not (
            west + reach < x.min() and x.max() < east - reach
            and south + reach < y.min() and y.max() < north - reach
        ):  # fmt: skip
            return None
        d = self._fine.dx
        if self._taken[((north - y) / d).astype(int), ((x - west) / d).astype(int)].any():
            return None
        rows = slice(int((north - y.max() - reach) / d), int((north - y.min() + reach) / d))
        columns = slice(int((x.min() - reach - west) / d), int((x.max() + reach - west) / d))
        window = rows, columns
        east_of, north_of = np.meshgrid(self._fine.x[columns], self._fine.y[rows])
        distance, nearest = cKDTree(line[:, :2]).query(np.stack([east_of, north_of], axis=-1))
        along = nearest / max(1, len(line) - 1)
        # Narrower at the head; margins wander by a tenth.
        width = half * (0.65 + 0.35 * np.clip(2.0 * along, 0.0, 1.0))
        radius = distance / (width * (1.0 + 0.10 * self._warp[window]))
        near = distance < width * 1.15 + APART_M
        if (self._taken[window] & near).any():
            return None
        self._taken[window] |= distance < width * 1.15
        heading = np.unwrap(line[:, 2])
        heading = gaussian_filter(heading, 2.0, mode="nearest")[nearest]
        fall = gaussian_filter(line[:, 3], 2.0, mode="nearest")[nearest]
        rate, acceleration, sinking = self._rates(cover, habit)
        return _Body(
            cover, window, radius, along, half, np.sin(heading), np.cos(heading), fall,
            length, rate, rng.uniform(*SEASONAL_SHARE), acceleration, habit.peak_month, sinking,
        )  # fmt: skip

    def _rates(self, cover: Cover, habit: Habit) -> tuple[float, float, float]:
        rng = self._rng
        if habit.rate[0] == 0.0 or (cover is Cover.RESTING and rng.random() < RELICT_SHARE):
            return 0.0, 0.0, 0.0
        rate = float(np.clip(habit.rate[0] * np.exp(rng.normal(0.0, habit.rate[1])), *habit.rates))
        grows = cover is Cover.ACTIVE and rng.random() < ACCELERATING_SHARE
        sinking = rng.uniform(*DOWNWASTING_M_YR) if cover is Cover.DEBRIS_COVERED else 0.0
        return rate, ACCELERATION_YR if grows else 0.0, sinking

    def _flow_line(
        self, row: float, column: float, length: float, slopes: tuple[float, float]
    ) -> np.ndarray | None:
        """Points (x, y, heading, fall) down the slope; None where it turns, flattens or leaves."""
        step = STEP_M / self._grid.dx
        points = []
        height, width = self._heights.shape
        for _ in range(max(3, int(length / STEP_M))):
            if not (1.0 <= row <= height - 2.0 and 1.0 <= column <= width - 2.0):
                return None
            at = [[row], [column]]
            east = map_coordinates(np.sin(self._azimuth), at, order=1)[0]
            north = map_coordinates(np.cos(self._azimuth), at, order=1)[0]
            slope = map_coordinates(self._slope, at, order=1)[0]
            heading = float(np.arctan2(east, north))
            x = self._grid.west + (column + 0.5) * self._grid.dx
            y = self._grid.north - (row + 0.5) * self._grid.dy
            points.append((x, y, heading, float(np.tan(np.radians(slope)))))
            row, column = row - step * np.cos(heading), column + step * np.sin(heading)
        line = np.array(points)
        straight = np.hypot(*(line[-1, :2] - line[0, :2])) / (STEP_M * (len(line) - 1))
        mean = np.degrees(np.arctan(line[:, 3].mean()))
        if straight < 0.75 or not slopes[0] <= mean <= slopes[1]:
            return None
        return line


def _natures(
    cover: np.ndarray, number: np.ndarray, count: int, fine: Grid, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """What :class:`Nature` names, of each pixel."""
    names = list(Nature.__dataclass_fields__)
    patch = 1 + count + (smooth_field(fine.shape, 60.0, rng) > 0.0)  # of ground without objects
    which = np.where(number > 0, number, patch)
    out = {}
    for name in names:
        table = np.array([np.ravel(getattr(NATURE_OF[c], name)) for c in Cover], np.float32)
        values = table[cover, 0]
        if table.shape[1] > 1:
            own = rng.standard_normal(count + 3).astype(np.float32)
            values = values + table[cover, 1] * own[which]
        if table.shape[1] > 2:
            # Places differ over some 60 m.
            values = values + table[cover, 2] * smooth_field(fine.shape, 6.0, rng)
        out[name] = values.astype(np.float32)
    out["lasting"] = np.clip(out["lasting"], 0.0, 0.95)
    out["ndsi"] = np.clip(out["ndsi"], -0.8, 0.9)
    return out


def _snow_days(
    heights: np.ndarray, fine: Grid, levels: _Levels, longer: np.ndarray
) -> dict[str, np.ndarray]:
    """Days of the year on which snow goes and comes.

    ASSUME: snow goes on 10 June at the limit of permafrost, 8 days later per 100 m above it (Alps,
    MODIS climatologies), some two weeks earlier on sunny slopes and later in hollows.
    """
    smooth = gaussian_filter(heights, 4.0)
    down_south, down_east = np.gradient(-smooth, *fine.spacing_m)
    sunny = down_south / np.sqrt(1.0 + down_south**2 + down_east**2)
    hollow = gaussian_filter(heights, 15.0) - smooth
    above = heights - levels.permafrost
    gone = 161.0 + 0.08 * above - 28.0 * sunny + 1.2 * np.clip(hollow, -8.0, 8.0) + longer
    come = 302.0 - 0.045 * above + 8.0 * sunny
    return {"snow_gone": gone.astype(np.float32), "snow_come": come.astype(np.float32)}


def _table(bodies: list[_Body], number: np.ndarray, fine: Grid) -> GeoDataFrame:
    """One row an object: its outline, kind, motion and size."""
    import geopandas
    from rasterio.features import shapes
    from shapely.geometry import shape
    from shapely.ops import unary_union

    parts: dict[int, list] = {}
    for outline, value in shapes(number, mask=number > 0, transform=fine.transform):
        parts.setdefault(int(value), []).append(shape(outline))
    rows = []
    for k, body in enumerate(bodies, start=1):
        whole = unary_union(parts[k])
        largest = max(getattr(whole, "geoms", [whole]), key=lambda part: part.area)
        activity = ""
        if body.cover in (Cover.ACTIVE, Cover.RESTING):
            activity = "active" if body.cover is Cover.ACTIVE else "transitional"
            activity = "relict" if body.rate < 0.01 else activity
        rows.append({
            "number": k, "cover": int(body.cover), "kind": int(KIND_OF.get(body.cover, Kind.OTHER)),
            "type": LABELS.get(body.cover, "late snow"), "activity": activity, "rate": body.rate,
            "seasonal_share": body.seasonal_share, "acceleration": body.acceleration,
            "peak_month": body.peak_month, "geometry": largest.simplify(0.7 * fine.dx),
        })  # fmt: skip
    table = pd.DataFrame(rows)
    return geopandas.GeoDataFrame(table, geometry="geometry", crs=fine.crs)


def save(
    landscape: Landscape, ground: Path, objects: Path, *, provenance: Mapping[str, str]
) -> None:
    """Keep the truth: a Zarr store and a GeoPackage."""
    dataset = landscape.ground.assign_attrs(seed=landscape.seed)
    io.write_dataset(dataset, ground, grid=landscape.grid, provenance=provenance)
    with io.atomic(objects) as partial:
        landscape.objects.to_file(partial, driver="GPKG", layer="objects")


def load(ground: str | Path, objects: str | Path) -> Landscape:
    """Read what :func:`save` wrote."""
    import geopandas
    import rioxarray  # noqa: F401

    dataset = io.open_dataset(ground)
    grid = Grid.from_coords(dataset, str(dataset.rio.crs))
    return Landscape(grid, dataset, geopandas.read_file(objects), int(dataset.attrs["seed"]))


def deliver(landscape: Landscape, folder: Path, *, seed: int) -> None:
    """Write what people know of the ground before they map it, into ``folder``.

    ``dem.tif`` (20 m, with errors), ``inventory.gpkg`` (what experts outlined: type and activity),
    ``glaciers.gpkg`` (outlines like RGI's, years old) and ``air_temperature.csv`` of a station.
    """
    fine, rng = landscape.grid, stream(seed, WEATHER, 1)
    heights = landscape.ground["height"].values
    rows, columns = heights.shape[0] // 2, heights.shape[1] // 2
    mean = heights[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).mean(axis=(1, 3))
    # ASSUME: a DEM of 20 m errs by 2 m over some 60 m, as Copernicus GLO-30 does on slopes.
    mean = mean + 2.0 * smooth_field(mean.shape, 3.0, rng) + 0.5 * rng.standard_normal(mean.shape)
    grid = Grid(fine.crs, fine.west, fine.north, 2 * fine.dx, 2 * fine.dy, columns, rows)
    dem = xr.DataArray(mean.astype(np.float32), dims=MAP, coords=grid.coords)
    described = describe(dem, "elevation", "height above the WGS84 ellipsoid", "m")
    io.write_raster(described.to_dataset(), folder / "dem.tif", grid=grid)
    known = landscape.objects[landscape.objects["cover"] != Cover.SNOWBED]
    inventory = known[["number", "type", "activity", "geometry"]]
    with io.atomic(folder / "inventory.gpkg") as partial:
        inventory.to_file(partial, driver="GPKG", layer="inventory")
    ice = known[known["cover"].isin([Cover.CLEAN, Cover.DEBRIS_COVERED])]
    # ASSUME: outlines are 20 years old and 20 m off; one glacier under debris in five was missed.
    seen = (ice["cover"] == Cover.CLEAN) | (rng.random(len(ice)) < 0.8)
    outlines = ice.loc[seen, ["geometry"]].assign(
        rgi_id=[f"G{k:04d}" for k in range(int(seen.sum()))]
    )
    east, north = rng.normal(0.0, 20.0, 2)
    outlines["geometry"] = outlines.buffer(25.0).translate(east, north)
    with io.atomic(folder / "glaciers.gpkg") as partial:
        outlines.to_file(partial, driver="GPKG", layer="glaciers")
    months = pd.date_range("2015-01-01", "2021-12-01", freq="MS")
    warm = air_temperature(np.array(STATION_M), permafrost_limit(landscape))
    course = -9.0 * np.cos(2.0 * np.pi * (months.month.to_numpy() - 1.0) / 12.0)
    series = warm + course + rng.normal(0.0, 1.2, months.size)
    table = pd.DataFrame({"date": months, "temperature_degC": series.round(2)})
    io.write_table(table, folder / "air_temperature.csv", date_format="%Y-%m-%d")
