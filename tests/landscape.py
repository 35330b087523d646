"""A map of known kinds and of factors that tell them apart in part, for tests of the fusion.

Objects are discs on a plain; each technique's factor has a mean of its own for every kind, shared
noise that is alike over some pixels, and gaps.
"""

import geopandas
import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter
from shapely.geometry import Point

from rockglacier.conventions import MAP, Kind, describe
from rockglacier.grid import Grid

SIDE, PIXEL_M = 240, 40.0
NAMES = {
    Kind.ACTIVE: "active",
    Kind.RESTING: "relict",
    Kind.DEBRIS_COVERED: "dcg",
    Kind.CLEAN: "ice",
}
# Mean of each factor by kind, in the order of NAMES, in deviations of what else it varies by.
MEANS = {
    "slope": ("terrain", (1.0, 0.8, -1.0, -0.5)),
    "speed": ("velocity", (2.5, 0.3, 2.5, 2.0)),
    "mean": ("backscatter", (1.2, 1.5, 0.5, -2.0)),
    "melt": ("snow", (0.5, 0.2, 1.2, 3.5)),
    "chance": ("snow", (0.0, 0.0, 0.0, 0.0)),
}  # fmt: skip


def make(
    seed: int = 0, *, gaps: float = 0.15, side: int = SIDE
) -> tuple[Grid, geopandas.GeoDataFrame, xr.Dataset, np.ndarray]:
    """Grid, outlines with column ``type``, factors with their techniques, and the kind (y, x)."""
    rng = np.random.default_rng(seed)
    grid = Grid("EPSG:32632", 600_000.0, 5_200_000.0, PIXEL_M, PIXEL_M, side, side)
    outlines, types, kind = [], [], np.zeros(grid.shape, int)
    x, y = np.meshgrid(grid.x, grid.y)
    wanted = [Kind.ACTIVE] * 22 + [Kind.RESTING] * 14 + [Kind.DEBRIS_COVERED] * 8 + [Kind.CLEAN] * 8
    for one in wanted:
        for _ in range(500):
            radius = rng.uniform(4.0, 8.0) * PIXEL_M
            centre = (rng.uniform(*grid.bounds[::2]), rng.uniform(*grid.bounds[1::2]))
            near = np.hypot(x - centre[0], y - centre[1])
            if (kind[near < radius + 6 * PIXEL_M] == 0).all():
                break
        else:
            continue
        kind[near < radius] = one
        outlines.append(Point(centre).buffer(radius))
        types.append(NAMES[one])
    labels = geopandas.GeoDataFrame({"type": types}, geometry=outlines, crs=grid.crs)
    out = xr.Dataset(coords=grid.coords)
    for name, (technique, means) in MEANS.items():
        field = gaussian_filter(rng.normal(size=grid.shape), 3.0)
        values = 0.8 * field / field.std() + 0.6 * rng.normal(size=grid.shape)
        for one, mean in zip(NAMES, means, strict=True):
            values = values + mean * (kind == one)
        # A technique has the same gaps in all of its factors.
        own = np.random.default_rng([seed, len(technique)])
        gap = gaussian_filter(own.normal(size=grid.shape), 6.0)
        if technique != "terrain":
            values[gap > np.quantile(gap, 1.0 - gaps)] = np.nan
        out[name] = describe(xr.DataArray(values.astype(np.float32), dims=MAP), name, name, "1")
        out[name].attrs["technique"] = technique
    height = xr.DataArray((2000.0 + 0.05 * (y - y.min())).astype(np.float32), dims=MAP)
    out["elevation"] = describe(height, "elevation", "elevation", "m")
    out["elevation"].attrs["technique"] = "terrain"
    return grid, labels, out, kind
