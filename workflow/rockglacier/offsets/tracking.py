"""Offsets between two images of one grid, place by place, tile by tile.

A tile is read with as much around it as its chips, their search and the filters reach; its result
is that of the whole image, whatever the tiling.

Source
------
Choice of the chip size: Goldenshluger & Nemirovski (1997), Math. Methods Statist. 6, 135; Katkovnik
(1999), doi:10.1109/78.782208. Screening by neighbours: Lei, Gardner & Agram (2021),
doi:10.3390/rs13040749.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import is_dask_collection
from dask.delayed import delayed

from rockglacier.conventions import MAP, YEAR_DAYS, X, Y, describe
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
from rockglacier.offsets.reasons import Reason

SEARCH_RADIUS = 8  # pixels searched at the coarsest level, at most
COARSE_CHIP = 16  # pixels a side there, at least
FINER_RADIUS = 2  # around what the level above found
RETURN_RADIUS = 2  # around the place that a chip is matched back to
# Places where chips agree within so many deviations are of one motion: the larger chip serves.
AGREEMENT = 2.5


@dataclass(frozen=True)
class Matching:
    """How a pair is matched; lengths in pixels of the images."""

    step: int = 16  # between places
    chips: Sequence[int] = (16, 32, 64)  # sides, ascending, even
    search: int = 6  # radius
    prefilter: Prefilter = "highpass"
    min_correlation: float = 0.3
    min_peak_ratio: float = 1.1
    enough: float = 0.01  # deviation that no larger chip has to lower
    max_return: float | None = 0.3  # forward and backward; None does not match back

    def halo(self, detected: bool) -> int:
        """Pixels around a tile that its places depend on."""
        factor = 2 if detected else 1
        coarse = 2 ** self.levels(factor) / factor
        chip = max(self.chips[-1], COARSE_CHIP * coarse)
        # A chip matched back lies off its place by the offset and is searched anew.
        return int(np.ceil(chip / 2 + 2 * self.search + 4 * coarse)) + REACH + HALF_TAPS + 2

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


def search_radius(
    velocity_m_per_year: float, days: float, pixel_m: float, registration_pixels: float
) -> int:
    """Pixels that the fastest ground moves in so many days, and images as a whole beside that."""
    return int(np.ceil(velocity_m_per_year * days / YEAR_DAYS / pixel_m + registration_pixels))


def track(
    reference: xr.DataArray,
    secondary: xr.DataArray,
    how: Matching,
    *,
    guess: np.ndarray | None = None,
    tile: int = 768,
) -> xr.Dataset:
    """Offsets of ``secondary`` against ``reference`` (y, x; real or complex; NaN where unknown).

    The result lies on places every ``how.step`` pixels, lazily, a Dask task for a tile of about
    ``tile`` pixels: ``east`` and ``north`` (m; positive toward east and north), their errors and
    ``covariance``, ``correlation``, ``peak_ratio``, ``chip`` (pixels) and ``reason``. ``guess``
    (place y, place x, 2; pixels, rows and columns) shifts the search.

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
    halo = how.halo(detected)
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
            y, x = (_window(here, halo, align, size) for here, size in
                    ((here_rows, height), (here_columns, width)))  # fmt: skip
            near = None
            if guess is not None:
                near = guess[top : top + per_tile, left : left + per_tile]
            found = delayed(_match_tile)(
                *(image[y, x] for image in images),
                here_rows - y.start, here_columns - x.start, near, how,
            )  # fmt: skip
            shape = (len(FIELDS), here_rows.size, here_columns.size)
            stripe.append(da.from_delayed(found, shape, np.float32))
        stripes.append(stripe)
    return _dataset(da.block(stripes), reference, rows, columns)


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
    """FIELDS of the places (``rows`` x ``columns``) of one tile, in pixels."""
    factor = 2 if np.iscomplexobj(reference) else 1
    first, second = (prepare(image, how.prefilter) for image in (reference, secondary))
    places = factor * np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    near = np.zeros_like(places)
    if guess is not None:
        near[:] = np.round(factor * guess.reshape(-1, 2))
    lost = np.zeros(places.shape[0], bool)
    levels = how.levels(factor)
    radius = factor * how.search
    sides = factor * np.asarray(how.chips)
    if levels:
        near, radius, lost = _coarse(first, second, places, near, radius, sides[0], levels)
    found = _matched(first, second, places, near, sides, radius, how)
    chosen = _choose(found, how)
    out = np.full((places.shape[0], len(FIELDS)), np.nan, np.float32)
    reason = _reasons(found, chosen, how)
    reason[lost] = Reason.OUTSIDE
    best = found[np.arange(chosen.size), chosen]
    well = reason == Reason.OBSERVED
    if how.max_return is not None and well.any():
        here = np.flatnonzero(well)
        moved = np.round(best[here, : matching.DX + 1]).astype(np.int64)
        back = np.empty((here.size, 6))
        matching.search_places(
            second.values, first.values, places[here] + moved, -moved, sides[chosen[here]],
            RETURN_RADIUS, back,
        )  # fmt: skip
        gap = np.hypot(*(back[:, k] + back[:, 4 + k] + best[here, k] for k in (0, 1)))
        reason[here[~(gap <= factor * how.max_return)]] = Reason.BACKWARD
    out[:, :2] = best[:, :2] / factor
    out[:, 2:5] = best[:, 2:5] / factor**2
    out[:, 5:7] = best[:, [matching.CORRELATION, matching.PEAK_RATIO]]
    out[:, 7] = np.asarray(how.chips)[chosen]
    out[reason != Reason.OBSERVED, :5] = np.nan
    out[:, 8] = reason
    return out.T.reshape(len(FIELDS), rows.size, columns.size)


def _matched(
    first: Prepared,
    second: Prepared,
    places: np.ndarray,
    near: np.ndarray,
    sides: np.ndarray,
    radius: int,
    how: Matching,
) -> np.ndarray:
    """Every chip size at every place, as of :func:`matching.match_places`."""
    out = np.empty((places.shape[0], sides.size, matching.COLUMNS))
    matching.match_places(
        first.values, *slopes(first.values), first.known,
        second.values, oversampled(second.values), second.known, interpolation_table(),
        places, near, sides, radius, how.min_correlation, how.min_peak_ratio, how.enough,
        out,
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
) -> tuple[np.ndarray, int, np.ndarray]:
    """Guesses from coarser images, the radius left to search around them, and where none is."""
    out = np.empty((places.shape[0], 6))
    radius = int(np.ceil(radius / 2**levels))
    guess = np.round(near / 2**levels).astype(np.int64)
    lost = np.zeros(places.shape[0], bool)
    a, b = first.halved(levels), second.halved(levels)
    for level in range(levels, 0, -1):
        chip = max(COARSE_CHIP, int(side) >> level)
        chips = np.full(places.shape[0], chip)
        matching.search_places(a[level], b[level], places >> level, guess, chips, radius, out)
        lost |= np.isnan(out[:, 0])
        guess = 2 * np.where(lost[:, None], guess, out[:, :2]).astype(np.int64)
        radius = FINER_RADIUS
    return guess, radius, lost


def _choose(found: np.ndarray, how: Matching) -> np.ndarray:
    """Index of the chip size at each place: the largest that agrees with all smaller ones.

    A larger chip has less noise, a smaller one less mixture of motions; as long as they agree
    within the error of the smaller, the mixture is less than that.
    """
    reliable = found[..., matching.STATE] == matching.FOUND
    reliable &= found[..., matching.CORRELATION] >= how.min_correlation
    reliable &= found[..., matching.PEAK_RATIO] >= how.min_peak_ratio
    chosen = np.where(reliable.any(axis=1), reliable.argmax(axis=1), -1)
    for k in range(1, found.shape[1]):
        agrees = reliable[:, k].copy()
        for i in range(k):
            for place, variance in (
                (matching.DY, matching.VAR_Y),
                (matching.DX, matching.VAR_X),
            ):
                off = np.abs(found[:, k, place] - found[:, i, place])
                allowed = AGREEMENT * np.sqrt(found[:, i, variance])
                agrees &= ~reliable[:, i] | (off <= allowed)
        chosen[agrees] = k
    return chosen


def _reasons(found: np.ndarray, chosen: np.ndarray, how: Matching) -> np.ndarray:
    """Reason of every place; of those without a reliable chip, why the largest is none."""
    last = found[:, -1]
    reason = last[:, matching.STATE].astype(np.uint8)  # SPARED ones are observed
    fitted = reason == matching.FOUND
    reason[fitted & ~(last[:, matching.PEAK_RATIO] >= how.min_peak_ratio)] = Reason.AMBIGUOUS
    reason[fitted & ~(last[:, matching.CORRELATION] >= how.min_correlation)] = (
        Reason.LOW_CORRELATION
    )
    reason[chosen >= 0] = Reason.OBSERVED
    return reason


def _dataset(
    fields: da.Array, image: xr.DataArray, rows: np.ndarray, columns: np.ndarray
) -> xr.Dataset:
    """Offsets in metres on the map, from FIELDS in pixels."""
    y, x = image[Y].values, image[X].values
    dy, dx = float(y[1] - y[0]), float(x[1] - x[0])
    coords = {Y: y[rows] - 0.5 * dy, X: x[columns] - 0.5 * dx}
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
            name: describe(xr.DataArray(data, dims=MAP, coords=coords), name, long_name, units)
            for name, (data, long_name, units) in maps.items()
        },
        attrs={"pixel_x_m": dx, "pixel_y_m": dy},
    )
