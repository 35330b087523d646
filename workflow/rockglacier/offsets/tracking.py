"""Offsets between two images of one grid, place by place, tile by tile.

A tile is read with as much around it as its chips, their search and the filters reach; its result
is that of the whole image, whatever the tiling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import is_dask_collection
from dask.delayed import delayed

from rockglacier.conventions import MAP, X, Y, describe
from rockglacier.errors import DimensionError
from rockglacier.grid import Grid
from rockglacier.offsets import matching
from rockglacier.offsets.images import (
    HALF_TAPS,
    REACH,
    Prefilter,
    Prepared,
    interpolation_table,
    oversampled,
    prepare,
    slopes,
)
from rockglacier.offsets.planning import search_radius
from rockglacier.offsets.reasons import Reason
from rockglacier.offsets.sizes import SIZE

SEARCH_RADIUS = 8  # pixels searched at the coarsest level, at most
COARSE_CHIP = 16  # pixels a side there, at least
FINER_RADIUS = 2  # around what the level above found
RETURN_RADIUS = 2  # around the place that a chip is matched back to


@dataclass(frozen=True)
class Matching:
    """How a pair is matched; lengths in pixels of the images."""

    step: int = 16  # between places
    chips: Sequence[int] = (16, 32, 64)  # sides, ascending, even
    search: int = 6  # radius
    prefilter: Prefilter = "highpass"
    window: Literal["flat", "tapered"] = "flat"  # tapered chips mix less motion, and are noisier
    min_correlation: float = 0.3
    min_peak_ratio: float = 1.1
    enough: float = 0.01  # deviation that no larger chip has to lower
    max_return: float | None = 0.3  # forward and backward; None does not match back

    @classmethod
    def of_pair(cls, settings: Mapping[str, Any], days: float, pixel_m: float) -> Matching:
        """How images ``days`` apart are matched; ``settings``: keys of ``offsets`` of a region.

        All chip sizes are kept: they tell together, once all pairs are inverted.
        """
        search = search_radius(
            settings["max_velocity_m_per_year"], days, pixel_m, settings["registration_pixels"]
        )
        return cls(
            step=settings["step_pixels"],
            chips=settings["chips"],
            search=search,
            prefilter=settings["prefilter"],
            window=settings["window"],
            min_correlation=settings["min_correlation"],
            min_peak_ratio=settings["min_peak_ratio"],
            enough=0.0,
        )

    def halo(self, detected: bool, guessed: float = 0.0) -> int:
        """Pixels around a tile that its places depend on, where it is ``guessed`` to have moved."""
        factor = 2 if detected else 1
        coarse = 2 ** self.levels(factor) / factor
        chip = max(self.chips[-1], COARSE_CHIP * coarse)
        # A chip matched back lies off its place by the offset and is searched anew.
        reach = chip / 2 + 2 * self.search + 4 * coarse + guessed
        return int(np.ceil(reach)) + REACH + HALF_TAPS + 2

    def levels(self, factor: int) -> int:
        """Times that the images are halved before the search."""
        levels = 0
        while self.search * factor / 2**levels > SEARCH_RADIUS:
            levels += 1
        return levels


def place_centres(size: int, step: int) -> np.ndarray:
    """Index of the first pixel after each place, along an axis of ``size`` pixels."""
    return np.arange(step, size, step)


def place_grid(images: Grid, step: int) -> Grid:
    """The grid of places every ``step`` pixels between ``images``, which are its pixel centres."""
    dx, dy = step * images.dx, step * images.dy
    rows, columns = place_centres(images.height, step).size, place_centres(images.width, step).size
    return Grid(images.crs, images.west + 0.5 * dx, images.north - 0.5 * dy, dx, dy, columns, rows)


def track(
    reference: xr.DataArray,
    secondary: xr.DataArray,
    how: Matching,
    *,
    guess: np.ndarray | None = None,
    tile: int = 768,
) -> xr.Dataset:
    """Offsets of ``secondary`` against ``reference`` (y, x; real or complex; NaN where unknown).

    The result (size, y, x) lies on places every ``how.step`` pixels, lazily, a Dask task for a tile
    of about ``tile`` pixels: ``east`` and ``north`` (m; positive toward east and north), their
    errors and ``covariance``, ``correlation``, ``peak_ratio``, ``chip`` (pixels: ``size``, or the
    smaller one that was enough) and ``reason``. ``guess`` (place y, place x, 2; pixels, rows and
    columns) shifts the search. :func:`rockglacier.offsets.sizes.combined` makes one value of all.

    Raises
    ------
    DimensionError
        The images differ in grid, or are smaller than a chip.
    """
    _require_one_grid(reference, secondary)
    detected = np.iscomplexobj(reference)
    height, width = reference.shape
    if min(height, width) < how.chips[-1] + 2 * how.search:
        raise DimensionError(
            f"The images have {height} x {width} pixels; a chip of {how.chips[-1]} and a search of "
            f"{how.search} on either side need {how.chips[-1] + 2 * how.search}: give larger "
            "images, or smaller chips."
        )
    rows, columns = place_centres(height, how.step), place_centres(width, how.step)
    per_tile = max(1, tile // how.step)
    # Images of coarser levels keep even pixels, whatever the tile.
    align = 2 ** how.levels(2 if detected else 1)
    images = [
        image.data if is_dask_collection(image) else da.from_array(image.values, chunks=tile)
        for image in (reference, secondary)
    ]
    stripes = []
    for top in range(0, rows.size, per_tile):
        stripe = []
        for left in range(0, columns.size, per_tile):
            here_rows = rows[top : top + per_tile]
            here_columns = columns[left : left + per_tile]
            near, guessed = None, 0.0
            if guess is not None:
                near = guess[top : top + per_tile, left : left + per_tile]
                guessed = float(np.abs(near).max())
            halo = how.halo(detected, guessed)
            y, x = (_window(here, halo, align, size) for here, size in
                    ((here_rows, height), (here_columns, width)))  # fmt: skip
            found = delayed(_match_tile)(
                *(image[y, x] for image in images),
                here_rows - y.start, here_columns - x.start, near, how,
            )  # fmt: skip
            shape = (len(FIELDS), len(how.chips), here_rows.size, here_columns.size)
            stripe.append(da.from_delayed(found, shape, np.float32))
        stripes.append(stripe)
    return _dataset(da.block(stripes), reference, rows, columns, how.chips)


def _window(places: np.ndarray, halo: int, align: int, size: int) -> slice:
    start = max(0, int(places[0]) - halo) // align * align
    return slice(start, min(size, int(places[-1]) + halo))


def _require_one_grid(reference: xr.DataArray, secondary: xr.DataArray) -> None:
    for dim in MAP:
        a, b = reference[dim].values, secondary[dim].values
        if a.size != b.size or not np.array_equal(a, b):
            raise DimensionError(
                f"The images lie on different grids: along {dim} {a.size} pixels from {a[0]} and "
                f"{b.size} from {b[0]}; one grid is needed: crop both to what they share."
            )


FIELDS = ("row", "column", "var_row", "var_column", "covariance", "correlation", "peak_ratio",
          "chip", "reason")  # fmt: skip


def _match_tile(
    reference: np.ndarray,
    secondary: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    guess: np.ndarray | None,
    how: Matching,
) -> np.ndarray:
    """FIELDS (field, size, row, column) of the places of one tile, in pixels."""
    factor = 2 if np.iscomplexobj(reference) else 1
    first, second = (prepare(image, how.prefilter) for image in (reference, secondary))
    places = factor * np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    near = np.zeros_like(places)
    if guess is not None:
        near[:] = np.round(factor * guess.reshape(-1, 2))
    lost = np.full(places.shape[0], Reason.OBSERVED, np.uint8)
    ratios = np.full(places.shape[0], np.nan)
    levels = how.levels(factor)
    radius = factor * how.search
    sides = factor * np.asarray(how.chips)
    if levels:
        near, radius, lost, ratios = _coarse(first, second, places, near, radius, sides[0], levels)
    found = _matched(first, second, places, near, ratios, sides, radius, factor, how)
    reason = _reasons(found, how)
    if levels:  # off what the coarser images found, far from the edge of the search
        reason[reason == Reason.SEARCH_EDGE] = Reason.DIVERGED
    reason = np.where(
        (lost != Reason.OBSERVED)[:, None] & (reason != Reason.NO_DATA), lost[:, None], reason
    )
    if how.max_return is not None:
        _match_back(first, second, places, found, sides, factor * how.max_return, factor, reason)
    chip = np.broadcast_to(np.asarray(how.chips, np.float64), reason.shape).copy()
    # A size that a smaller one spared is that one.
    for k in range(1, sides.size):
        spared = found[:, k, matching.STATE] == matching.SPARED
        for of_sizes in (found, reason, chip):
            of_sizes[spared, k] = of_sizes[spared, k - 1]
    out = np.empty((len(FIELDS), sides.size, places.shape[0]), np.float32)
    fields = np.moveaxis(found, -1, 0).transpose(0, 2, 1)
    out[:2] = fields[:2] / factor
    out[2:5] = fields[2:5] / factor**2
    out[5:7] = fields[[matching.CORRELATION, matching.PEAK_RATIO]]
    out[7], out[8] = chip.T, reason.T
    out[:5, reason.T != Reason.OBSERVED] = np.nan
    return out.reshape(len(FIELDS), sides.size, rows.size, columns.size)


def _match_back(
    first: Prepared,
    second: Prepared,
    places: np.ndarray,
    found: np.ndarray,
    sides: np.ndarray,
    most: float,
    thin: int,
    reason: np.ndarray,
) -> None:
    """Enter into ``reason`` (place, size) where matching back misses the place by over ``most``."""
    for k, side in enumerate(sides):
        fitted = found[:, k, matching.STATE] == matching.FOUND
        here = np.flatnonzero(fitted & (reason[:, k] == Reason.OBSERVED))
        moved = np.round(found[here, k, : matching.DX + 1]).astype(np.int64)
        back = np.empty((here.size, 7))
        matching.search_places(
            second.values,
            first.values,
            places[here] + moved,
            -moved,
            int(side),
            RETURN_RADIUS,
            thin,
            back,
        )
        gap = np.hypot(*(back[:, i] + back[:, 4 + i] + found[here, k, i] for i in (0, 1)))
        reason[here[~(gap <= most)], k] = Reason.BACKWARD


def _matched(
    first: Prepared,
    second: Prepared,
    places: np.ndarray,
    near: np.ndarray,
    ratios: np.ndarray,
    sides: np.ndarray,
    radius: int,
    thin: int,
    how: Matching,
) -> np.ndarray:
    """Every chip size at every place, as of :func:`matching.match_places`."""
    out = np.empty((places.shape[0], sides.size, matching.COLUMNS))
    matching.match_places(
        first.values, *slopes(first.values), first.known,
        second.values, oversampled(second.values), second.known, interpolation_table(),
        places, near, ratios, sides, radius, how.min_correlation, how.min_peak_ratio, how.enough,
        thin, how.window == "tapered", out,
    )  # fmt: skip
    return out


def _coarse(
    first: Prepared,
    second: Prepared,
    places: np.ndarray,
    near: np.ndarray,
    radius: int,
    side: int,
    levels: int,
) -> tuple[np.ndarray, int, np.ndarray, np.ndarray]:
    """Guesses from coarser images, the radius left to search around them, and of each place why
    there is none (:class:`rockglacier.offsets.reasons.Reason`) and the ratio of peak and rival.
    """
    out = np.empty((places.shape[0], 7))
    radius = int(np.ceil(radius / 2**levels))
    guess = np.round(near / 2**levels).astype(np.int64)
    lost = np.full(places.shape[0], Reason.OBSERVED, np.uint8)
    ratios = np.full(places.shape[0], np.nan)
    a, b = first.halved(levels), second.halved(levels)
    for level in range(levels, 0, -1):
        chip = max(COARSE_CHIP, int(side) >> level)
        matching.search_places(a[level], b[level], places >> level, guess, chip, radius, 1, out)
        state = out[:, 6].astype(np.uint8)
        if level == levels:
            lost = state
            ratios = out[:, 2] / np.maximum(out[:, 3], 1e-3)
        else:
            bad = (lost == Reason.OBSERVED) & np.isnan(out[:, 0])
            lost[bad] = state[bad]
        known = np.isfinite(out[:, :1])
        guess = 2 * np.where(known, out[:, :2], guess).astype(np.int64)
        radius = FINER_RADIUS
    return guess, radius, lost, ratios


def _reasons(found: np.ndarray, how: Matching) -> np.ndarray:
    """Reason (place, size) of every chip; those that a smaller one spared count as observed."""
    state = found[..., matching.STATE]
    reason = np.where(state == matching.SPARED, Reason.OBSERVED, state).astype(np.uint8)
    fitted = state == matching.FOUND
    reason[fitted & ~(found[..., matching.PEAK_RATIO] >= how.min_peak_ratio)] = Reason.AMBIGUOUS
    reason[fitted & ~(found[..., matching.CORRELATION] >= how.min_correlation)] = (
        Reason.LOW_CORRELATION
    )
    return reason


def _dataset(
    fields: da.Array,
    image: xr.DataArray,
    rows: np.ndarray,
    columns: np.ndarray,
    chips: Sequence[int],
) -> xr.Dataset:
    """Offsets in metres on the map, from FIELDS in pixels."""
    y, x = image[Y].values, image[X].values
    dy, dx = float(y[1] - y[0]), float(x[1] - x[0])
    coords = {SIZE: list(chips), Y: y[rows] - 0.5 * dy, X: x[columns] - 0.5 * dx}
    field = dict(zip(FIELDS, fields, strict=True))
    maps = {
        "east": (field["column"] * dx, "offset toward east", "m"),
        "north": (field["row"] * dy, "offset toward north", "m"),
        "east_error": (da.sqrt(field["var_column"]) * abs(dx), "its standard deviation", "m"),
        "north_error": (da.sqrt(field["var_row"]) * abs(dy), "its standard deviation", "m"),
        "covariance": (field["covariance"] * dx * dy, "covariance of east and north", "m2"),
        "correlation": (field["correlation"], "correlation of chip and place", "1"),
        "peak_ratio": (field["peak_ratio"], "peak over the highest rival", "1"),
        "chip": (field["chip"], "side of the chip", "pixel"),
        "reason": (field["reason"].astype(np.uint8), "why there is no offset, 0: there is", "1"),
    }
    return xr.Dataset(
        {
            name: describe(
                xr.DataArray(data, dims=(SIZE, *MAP), coords=coords), name, long_name, units
            )
            for name, (data, long_name, units) in maps.items()
        },
        attrs={"pixel_x_m": dx, "pixel_y_m": dy},
    )
