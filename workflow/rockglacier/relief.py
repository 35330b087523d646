"""Shape of the ground: which way it faces, how it bends, how rough and how high above its valley.

Rock glaciers are convex tongues of rough ground below steep walls; glaciers lie in smooth hollows.

Source
------
Curvature: Evans (1980), Z. Geomorph. Suppl. 36, 274: the quadratic surface that fits 3 x 3 heights
best. Ruggedness: Sappington, Longshore & Thompson (2007), doi:10.2193/2005-723.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, describe, require
from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid
from rockglacier.terrain import WIDTH_PER_SIGMA, bridge, terrain

FACTORS = {
    "elevation": ("elevation", "m"),
    "slope": ("slope of steepest descent", "deg"),
    "northness": ("cosine of the aspect, 0 on level ground", "1"),
    "eastness": ("sine of the aspect, 0 on level ground", "1"),
    "profile_curvature": ("curvature down the slope, positive where it is convex", "1/m"),
    "plan_curvature": ("curvature along the contour, positive where it is convex", "1/m"),
    "ruggedness": ("dispersion of the surface's normals around", "1"),
    "relative_relief": ("highest less lowest elevation around", "m"),
    "position": ("elevation over the mean around", "m"),
    "form": ("smoothed elevation over that of a wider Gaussian, positive on convex forms", "m"),
    "margin": ("steepest slope around over the own: a tread beside a front", "deg"),
    "roughness": ("deviation of the elevation from the smoothed one", "m"),
    "bending": ("deviation of the curvature from that around: fronts, ridges, furrows", "1/m"),
}
ROUGH_M = 150.0  # ASSUME: over which roughness is told
BENT_M, EVEN_M = 190.0, 200.0  # ASSUME: over which bending is told, and what it departs from


def factors(
    dem: xr.DataArray,
    grid: Grid,
    *,
    smooth_m: float = 80.0,
    form_m: float = 300.0,
    around_m: float = 500.0,
) -> xr.Dataset:
    """FACTORS (y, x) of ``dem`` (y, x; m) on ``grid``; NaN in its voids.

    Slope, aspect and curvature are those of heights smoothed by a Gaussian of full width
    ``smooth_m`` at half maximum; ruggedness that of the heights as they are, over 3 by 3 pixels;
    relief and position within ``around_m`` (m) of a pixel; form over a Gaussian of full width
    ``form_m``, as wide as a landform, and margin within half of that.

    Raises
    ------
    ConfigurationError
        The grid is in degrees.
    """
    if grid.geographic:
        raise ConfigurationError(
            f"factors of terrain on a grid in degrees ({grid.crs}); metres are needed: give the "
            "region's grid.crs, a UTM zone for instance."
        )
    require(dem, dims=MAP, units="m")
    surface = terrain(dem, grid, smooth_m=smooth_m)
    heights = bridge(dem.transpose(*MAP).values)
    void = np.isnan(dem.transpose(*MAP).values)
    aspect = np.radians(surface["aspect"].values)
    smooth = _smoothed(heights, grid, smooth_m)
    profile, plan = _curvatures(smooth, grid)
    high, low, mean = _around(heights, grid, around_m)
    told = {
        "elevation": heights,
        "slope": surface["slope"].values,
        "northness": np.nan_to_num(np.cos(aspect)),
        "eastness": np.nan_to_num(np.sin(aspect)),
        "profile_curvature": profile,
        "plan_curvature": plan,
        "ruggedness": _ruggedness(heights, grid),
        "relative_relief": high - low,
        "position": heights - mean,
        "form": smooth - _smoothed(heights, grid, form_m),
        "margin": _margin(heights, smooth, grid, 0.5 * form_m),
        "roughness": np.sqrt(_smoothed((heights - smooth) ** 2, grid, ROUGH_M)),
        "bending": _bending(heights, grid),
    }
    out = xr.Dataset(coords=grid.coords)
    for name, (long_name, units) in FACTORS.items():
        values = np.where(void, np.nan, told[name]).astype(np.float32)
        out[name] = describe(xr.DataArray(values, dims=MAP), name, long_name, units)
    return out


def _smoothed(heights: np.ndarray, grid: Grid, smooth_m: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    if smooth_m == 0.0:
        return heights
    sigma = smooth_m / WIDTH_PER_SIGMA / np.array(grid.spacing_m)
    return np.asarray(gaussian_filter(heights, sigma, mode="nearest"))


def _curvatures(heights: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Profile and plan curvature (1/m) of the quadratic surfaces through 3 x 3 heights."""
    from scipy.ndimage import correlate1d

    dy, dx = grid.spacing_m
    mean, slope = np.array([1.0, 1.0, 1.0]) / 3.0, np.array([-1.0, 0.0, 1.0]) / 2.0
    bend = np.array([1.0, -2.0, 1.0])

    def fitted(down: np.ndarray, across: np.ndarray) -> np.ndarray:
        once = correlate1d(heights, down, 0, mode="nearest")
        return np.asarray(correlate1d(once, across, 1, mode="nearest"))

    p, q = fitted(mean, slope) / dx, -fitted(slope, mean) / dy
    r, t = fitted(mean, bend) / dx**2, fitted(bend, mean) / dy**2
    s = -fitted(slope, slope) / (dx * dy)
    steep = p * p + q * q
    with np.errstate(invalid="ignore", divide="ignore"):
        profile = -(p * p * r + 2.0 * p * q * s + q * q * t) / (steep * (1.0 + steep) ** 1.5)
        plan = -(q * q * r - 2.0 * p * q * s + p * p * t) / (steep * np.sqrt(1.0 + steep))
    level = steep < 1e-8
    return np.where(level, 0.0, profile), np.where(level, 0.0, plan)


def _margin(heights: np.ndarray, smooth: np.ndarray, grid: Grid, reach_m: float) -> np.ndarray:
    """Steepest slope (degrees) within ``reach_m`` less that of the ``smooth`` heights here."""
    from scipy.ndimage import maximum_filter

    dy, dx = grid.spacing_m
    own, sharp = (
        np.degrees(np.arctan(np.hypot(*np.gradient(h, dy, dx)))) for h in (smooth, heights)
    )
    reach = [max(1, round(reach_m / side)) for side in (dy, dx)]
    down, right = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    disc = (down * dy) ** 2 + (right * dx) ** 2 <= reach_m**2
    return np.asarray(maximum_filter(sharp, footprint=disc, mode="nearest") - own)


def _bending(heights: np.ndarray, grid: Grid) -> np.ndarray:
    """Deviation (1/m) of the sum of both curvatures about its mean around."""
    dy, dx = grid.spacing_m
    down, across = (np.diff(np.pad(heights, pad, "edge"), 2, axis) / side**2 for pad, side, axis in
                    ((((1, 1), (0, 0)), dy, 0), (((0, 0), (1, 1)), dx, 1)))  # fmt: skip
    curvature = -(down + across)
    uneven = curvature - _smoothed(curvature, grid, EVEN_M)
    return np.asarray(np.sqrt(_smoothed(uneven**2, grid, BENT_M)))


def _ruggedness(heights: np.ndarray, grid: Grid) -> np.ndarray:
    """One less the length of the mean unit normal over 3 x 3 pixels."""
    from scipy.ndimage import uniform_filter

    dy, dx = grid.spacing_m
    down, right = np.gradient(heights, dy, dx)
    length = np.sqrt(1.0 + down * down + right * right)
    parts = (uniform_filter(a / length, 3, mode="nearest") for a in (-right, down, 1.0))
    return np.asarray(1.0 - np.sqrt(sum(part * part for part in parts)))


def _around(
    heights: np.ndarray, grid: Grid, around_m: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Highest, lowest and mean of the square that reaches ``around_m`` from a pixel."""
    from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

    size = [2 * max(1, round(around_m / side)) + 1 for side in grid.spacing_m]
    made = (
        f(heights, size, mode="nearest") for f in (maximum_filter, minimum_filter, uniform_filter)
    )
    high, low, mean = (np.asarray(a) for a in made)
    return high, low, mean
