"""Where a region's pixels lie in a stack's own raster: found once, used for all pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from rockglacier.conventions import MAP
from rockglacier.errors import SceneError
from rockglacier.grid import Grid
from rockglacier.readers.stack import Source, Window

# ASSUME: between grid nodes this far apart a map projection is straight to 0.01 pixel.
NODE_PIXELS = 16
MARGIN_PIXELS = 2
MOST_SAMPLES = 16


@dataclass(frozen=True)
class Placement:
    """Rows and columns of a stack's raster for each pixel of a region's grid.

    Either ``corner``, the (row, column) of the region's first pixel where both share a lattice, so
    that values are copied; or ``rows`` and ``columns`` (float32, region's shape, NaN outside),
    where pixel centres are whole numbers. ``folded`` marks layover, where known.
    ``samples`` a side are averaged where the stack's pixels are finer than the region's.
    """

    shape: tuple[int, int]
    native_shape: tuple[int, int]
    corner: tuple[int, int] | None = None
    rows: np.ndarray | None = None
    columns: np.ndarray | None = None
    folded: np.ndarray | None = None
    samples: int = 1

    def window(self, top: int, bottom: int) -> Window:
        """What the region's rows ``top:bottom`` need of the stack's raster."""
        if self.corner is not None:
            row, column = self.corner
            return Window(row + top, row + bottom, column, column + self.shape[1])
        if self.rows is None or self.columns is None:
            raise AssertionError
        limits = []
        for index, size in zip((self.rows, self.columns), self.native_shape, strict=True):
            part = index[top:bottom]
            seen = part[np.isfinite(part)]
            low, high = (seen.min(), seen.max()) if seen.size else (0.0, -1.0)
            reach = MARGIN_PIXELS + self.samples
            limits += [
                min(max(math.floor(low) - reach, 0), size),
                min(max(math.ceil(high) + reach + 1, 0), size) if seen.size else 0,
            ]
        if limits[0] >= limits[1] or limits[2] >= limits[3]:
            return Window(0, 1, 0, 1)
        return Window(*limits)

    def resample(self, layers: xr.Dataset, window: Window, top: int, bottom: int) -> xr.Dataset:
        """``layers`` read over ``window`` on the region's rows ``top:bottom`` (dims y, x).

        Phase is interpolated bilinearly between neighbours that differ by less than pi from the
        nearest, so that no jump of the unwrapping is smeared; other floats bilinearly, integers
        by the nearest pixel. A pixel whose nearest neighbour is missing is missing.
        """
        if self.corner is not None:
            return layers
        from rockglacier.readers.resampling import interpolate, nearest

        if self.rows is None or self.columns is None:
            raise AssertionError
        rows = self.rows[top:bottom] - np.float32(window.top)
        columns = self.columns[top:bottom] - np.float32(window.left)
        out = {}
        for name, array in layers.items():
            values = np.ascontiguousarray(array.values)
            if values.dtype.kind == "f":
                jump = math.pi if name == "phase" else math.inf
                found = interpolate(values, rows, columns, self.samples, jump)
            else:
                found = nearest(values, rows, columns)
            out[name] = (MAP, found, array.attrs)
        return xr.Dataset(out, attrs=layers.attrs)


def place(stack: Source, grid: Grid) -> Placement:
    """Where the pixels of ``grid`` lie in ``stack``'s raster, found once; SceneError if nowhere."""
    if grid not in stack.placements:
        stack.placements[grid] = _place(stack, grid)
    return stack.placements[grid]


def _place(stack: Source, grid: Grid) -> Placement:
    native = stack.native_grid
    if native is not None:
        corner = native.offset(grid)
        if corner is not None:
            return Placement(grid.shape, stack.shape, corner=corner)
        rows, columns = _on_map(native, grid)
        folded = None
    else:
        from rockglacier.readers.resampling import invert_lookup

        x, y = _on_region(stack.lookup(), grid)
        rows, columns, folded = invert_lookup(x, y, grid.shape)
    if not np.isfinite(rows).any():
        raise SceneError(
            f"{stack.source} stack of {stack.shape[0]} x {stack.shape[1]} pixels does not touch "
            f"the region's grid, {grid.bounds} in {grid.crs}; correct area, or remove the track."
        )
    return Placement(
        grid.shape,
        stack.shape,
        rows=rows,
        columns=columns,
        folded=folded,
        samples=_samples(rows, columns),
    )


def _on_map(native: Grid, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Fractional rows and columns of ``native`` at the pixel centres of ``grid``."""
    from rasterio.warp import transform

    j = np.append(np.arange(0, grid.width - 1, NODE_PIXELS), max(grid.width - 1, 1))
    i = np.append(np.arange(0, grid.height - 1, NODE_PIXELS), max(grid.height - 1, 1))
    x, y = np.meshgrid(grid.west + (j + 0.5) * grid.dx, grid.north - (i + 0.5) * grid.dy)
    found_x, found_y = transform(grid.crs, native.crs, x.ravel(), y.ravel())
    columns = ((np.reshape(found_x, x.shape) - native.west) / native.dx) - 0.5
    rows = ((native.north - np.reshape(found_y, x.shape)) / native.dy) - 0.5
    dense_rows, dense_columns = (
        _between_nodes(nodes, i, j, grid.shape) for nodes in (rows, columns)
    )
    outside = (
        (dense_rows < -0.5)
        | (dense_rows > native.height - 0.5)
        | (dense_columns < -0.5)
        | (dense_columns > native.width - 0.5)
    )
    dense_rows[outside] = np.nan
    dense_columns[outside] = np.nan
    return dense_rows, dense_columns


def _between_nodes(
    nodes: np.ndarray, i: np.ndarray, j: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Values at all pixels of ``shape``, linear between ``nodes`` at rows ``i``, columns ``j``."""
    across = np.stack([np.interp(np.arange(shape[1]), j, row) for row in nodes]).astype(np.float32)
    down = np.arange(shape[0])
    k = np.clip(np.searchsorted(i, down, side="right") - 1, 0, i.size - 2)
    weight = ((down - i[k]) / (i[k + 1] - i[k])).astype(np.float32)[:, None]
    out: np.ndarray = across[k]
    out *= np.float32(1.0) - weight
    out += across[k + 1] * weight
    return out


def _on_region(lookup: xr.Dataset, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Fractional columns and rows of ``grid`` at latitudes and longitudes of a lookup (float32).

    The projection is evaluated on nodes a few hundred metres apart and linear between them.
    """
    from rasterio.warp import transform
    from scipy.ndimage import map_coordinates

    from rockglacier.readers.stack import lonlat_bounds

    west, south, east, north = lonlat_bounds(grid)
    edge = 0.05 * max(east - west, north - south)
    west, south, east, north = west - edge, south - edge, east + edge, north + edge
    count = int(np.clip(math.ceil(max(east - west, north - south) / 0.003), 2, 1024))
    lon, lat = np.linspace(west, east, count + 1), np.linspace(south, north, count + 1)
    node_lon, node_lat = np.meshgrid(lon, lat)
    x, y = transform("EPSG:4326", grid.crs, node_lon.ravel(), node_lat.ravel())
    node_x = ((np.reshape(x, node_lon.shape) - grid.west) / grid.dx) - 0.5
    node_y = ((grid.north - np.reshape(y, node_lon.shape)) / grid.dy) - 0.5
    shape = lookup.longitude.shape
    out_x, out_y = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for top in range(0, shape[0], 256):  # in bands: the lookup may be large
        band = slice(top, top + 256)
        at = np.stack(
            [
                (lookup.latitude.values[band] - south) / (north - south) * count,
                (lookup.longitude.values[band] - west) / (east - west) * count,
            ]
        )
        off = ~((at >= 0.0) & (at <= count)).all(axis=0)
        at[:, off] = 0.0
        for out, nodes in ((out_x, node_x), (out_y, node_y)):
            out[band] = map_coordinates(nodes, at, order=1)
            out[band][off] = np.nan
    return out_x, out_y


def _samples(rows: np.ndarray, columns: np.ndarray) -> int:
    """Samples a side within a pixel of the region: the stack's pixels that fit into it."""
    steps = [
        float(np.nanmedian(np.hypot(np.diff(a, axis=0)[:, :-1], np.diff(a, axis=1)[:-1])))
        for a in (rows, columns)
        if min(a.shape) > 1
    ]
    known = [s for s in steps if math.isfinite(s)]
    return int(np.clip(round(max(known, default=1.0)), 1, MOST_SAMPLES))
