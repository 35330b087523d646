"""Pixel lattices: grids of one CRS and spacing whose pixels coincide need no resampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Protocol

import numpy as np

from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid

TOLERANCE_PIXELS = 0.01


class Placed(Protocol):
    """What a region's grid follows from: stacks and displacement series are such."""

    @property
    def native_grid(self) -> Grid | None:
        """The map grid it lies on; None in radar geometry."""

    @property
    def lonlat_bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in degrees."""


@cache
def same_crs(a: str, b: str) -> bool:
    """True where two CRS, as ``Grid.crs`` names them, are one."""
    from rasterio.crs import CRS

    return a == b or bool(CRS.from_user_input(a) == CRS.from_user_input(b))


def offset(grid: Grid, other: Grid) -> tuple[int, int] | None:
    """Row and column of ``other``'s first pixel in ``grid``; None where pixels do not coincide."""
    if not same_crs(grid.crs, other.crs):
        return None
    drift = max(
        abs(other.dx - grid.dx) / grid.dx * max(grid.width, other.width),
        abs(other.dy - grid.dy) / grid.dy * max(grid.height, other.height),
    )
    row, column = (grid.north - other.north) / grid.dy, (other.west - grid.west) / grid.dx
    slip = max(abs(row - round(row)), abs(column - round(column)))
    return (round(row), round(column)) if max(drift, slip) < TOLERANCE_PIXELS else None


def same_grid(a: Grid, b: Grid) -> bool:
    """True where two grids have the same pixels."""
    return a.shape == b.shape and offset(a, b) == (0, 0)


def window_grid(grid: Grid, top: int, bottom: int, left: int, right: int) -> Grid:
    """The grid of rows ``top:bottom`` and columns ``left:right``; it may reach beyond ``grid``."""
    return replace(
        grid,
        west=grid.west + left * grid.dx,
        north=grid.north - top * grid.dy,
        width=right - left,
        height=bottom - top,
    )


def typical_extent(grid: Grid, offsets: Sequence[tuple[int, int, int, int]]) -> Grid:
    """The median of windows (top, bottom, left, right) of ``grid``: what most of them cover."""
    top, bottom, left, right = np.median(np.array(offsets), axis=0)
    return window_grid(grid, round(top), round(bottom), round(left), round(right))


def region_grid(
    stacks: Sequence[Placed],
    *,
    area: tuple[float, float, float, float] | None = None,
    crs: str | None = None,
    spacing_m: float = 40.0,
) -> Grid:
    """The region's grid: the stacks' own lattice where they share one, else UTM at ``spacing_m``.

    Stacks on one lattice keep their pixels, so that nothing is resampled; the grid covers all of
    them, cut to ``area`` (west, south, east, north; degrees). A given ``crs``, different
    lattices or radar geometry make a new grid. ConfigurationError where ``area`` lies outside.
    """
    grids = [s.native_grid for s in stacks]
    bounds = np.array([s.lonlat_bounds for s in stacks])
    covered = (*bounds[:, :2].min(axis=0).tolist(), *bounds[:, 2:].max(axis=0).tolist())
    if area is not None and (
        area[0] >= covered[2]
        or area[2] <= covered[0]
        or area[1] >= covered[3]
        or area[3] <= covered[1]
    ):
        raise ConfigurationError(
            f"area {list(area)} lies outside the stacks, which cover "
            f"{[round(c, 4) for c in covered]} (west, south, east, north; degrees); "
            "correct area or leave it out."
        )
    first = grids[0]
    if crs is None and first is not None:
        placed = [None if grid is None else offset(first, grid) for grid in grids]
        if None not in placed:
            corners = np.array(
                [
                    (at[0], at[0] + g.height, at[1], at[1] + g.width)
                    for at, g in zip(placed, grids, strict=True)
                    if at is not None and g is not None
                ]
            )
            low, high = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
            whole = window_grid(first, low[0], high[1], low[2], high[3])
            return whole if area is None else cut(whole, area)
    west, south, east, north = covered if area is None else area
    return Grid.over((west, south, east, north), spacing_m, crs)


def cut(grid: Grid, area: tuple[float, float, float, float]) -> Grid:
    """The pixels of ``grid`` that touch ``area`` (west, south, east, north; degrees)."""
    from rasterio.warp import transform_bounds

    west, south, east, north = transform_bounds("EPSG:4326", grid.crs, *area, densify_pts=21)
    small = TOLERANCE_PIXELS
    left = max(0, math.floor((west - grid.west) / grid.dx + small))
    right = min(grid.width, math.ceil((east - grid.west) / grid.dx - small))
    top = max(0, math.floor((grid.north - north) / grid.dy + small))
    bottom = min(grid.height, math.ceil((grid.north - south) / grid.dy - small))
    if left >= right or top >= bottom:
        raise ConfigurationError(
            f"area {list(area)} does not touch the stack's grid, which covers {grid.bounds} in "
            f"{grid.crs}; correct area or leave it out."
        )
    return window_grid(grid, top, bottom, left, right)
