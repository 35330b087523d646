"""The place that all displacement is relative to: stable ground, candidates, choice."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from rockglacier.bands import Pairs
from rockglacier.conventions import MAP, PAIR, UNRESOLVED, X, Y, describe, require
from rockglacier.errors import ConfigurationError, NetworkError, SceneError
from rockglacier.grid import Grid

logger = logging.getLogger(__name__)

CANDIDATES = 9
# ASSUME: between two places the atmosphere of a pair differs by about 1 rad (C band, 4 mm) at
# this distance, or at this difference in height.
RADIAN_DISTANCE_M = 10_000.0
RADIAN_HEIGHT_M = 500.0
ASSUMED_STABLE = (
    "no ground known to be stable was given: coherent ground outside moving areas is assumed "
    "stable; slow motion of it would go unnoticed"
)


def polygons(path: str | Path, grid: Grid, *, touched: bool = False) -> xr.DataArray:
    """True where polygons of the vector file at ``path`` cover ``grid`` (y, x).

    A pixel counts by its centre, or with ``touched`` wherever a polygon touches it.

    Raises
    ------
    SceneError
        The file cannot be read, states no CRS or holds no polygon on the grid.
    """
    import geopandas
    from pyogrio.errors import DataSourceError
    from rasterio.features import rasterize

    needed = "polygons in a GeoPackage, Shapefile or GeoJSON are needed"
    try:
        shapes = geopandas.read_file(path)
    except DataSourceError as error:
        found = "is no vector file that can be read" if Path(path).exists() else "does not exist"
        raise SceneError(
            f"{path} {found}; {needed}: correct the path, or convert the file (ogr2ogr)."
        ) from error
    if not isinstance(shapes, geopandas.GeoDataFrame):
        raise SceneError(f"{path} is a table without shapes; {needed}.")
    if shapes.crs is None:
        raise SceneError(f"{path} states no CRS; set it (ogr2ogr -a_srs EPSG:…) and run again.")
    geometries = [g for g in shapes.geometry.to_crs(grid.crs) if g is not None and not g.is_empty]
    if not geometries:
        raise SceneError(
            f"{path} holds no shape; at least one polygon on the region's grid is needed: add it, "
            "or leave the file out of the region's settings."
        )
    covered = np.zeros(grid.shape, np.uint8)
    covered = rasterize(
        geometries, out=covered, transform=grid.transform, all_touched=touched, default_value=1
    )
    if not covered.any():
        raise SceneError(
            f"{path} holds {len(geometries)} shape(s) but none covers a pixel of the region's grid "
            f"(bounds {grid.bounds}, {grid.crs}); give polygons that overlap it."
        )
    return xr.DataArray(covered.astype(bool), dims=MAP, coords=grid.coords, name=Path(path).stem)


def named_ground(
    stable_ground: str | Path | None, moving_areas: str | Path | None, grid: Grid
) -> tuple[xr.DataArray | None, xr.DataArray | None]:
    """:func:`polygons` of the stable ground and of the moving areas; None where none are named."""
    known, moving = (
        polygons(path, grid) if path else None for path in (stable_ground, moving_areas)
    )
    return known, moving


def stable_ground(
    quality: xr.DataArray | None,
    *,
    known: xr.DataArray | None = None,
    moving: xr.DataArray | None = None,
    min_quality: float = 0.7,
) -> xr.DataArray:
    """Ground to fit corrections on (y, x; bool): ``known`` and of good ``quality``, not ``moving``.

    ``quality`` (y, x; 0..1) is mean or temporal coherence; NaN is never stable. Without ``known``
    all coherent ground outside ``moving`` is taken and attribute ``assumption`` says so.
    """
    first = next((a for a in (quality, known, moving) if a is not None), None)
    if first is None:
        raise ConfigurationError(
            "Stable ground needs coherence, polygons of stable ground or moving areas; none is "
            "given: set stable_ground or moving_areas in the region file."
        )
    stable = xr.ones_like(first, dtype=bool)
    if quality is not None:
        stable &= quality >= min_quality
    if known is not None:
        stable &= known
    if moving is not None:
        stable &= ~moving
    stable.attrs = {"long_name": "stable ground", "units": "1"}
    if known is None:
        stable.attrs["assumption"] = ASSUMED_STABLE
    return stable.rename("stable_ground")


def coherence_over(coherence: xr.DataArray, ground: xr.DataArray) -> np.ndarray:
    """Mean of ``coherence`` (pair, y, x; may be lazy) over ``ground`` (y, x; bool), one per pair.

    NaN where a pair shows nothing of that ground.
    """
    means = require(coherence, dims=(PAIR, *MAP)).where(ground).mean(MAP).compute()
    return np.asarray(means.values, dtype=np.float64)


def choose(
    phase: xr.DataArray,
    coherence: xr.DataArray | None,
    grid: Grid,
    *,
    known: xr.DataArray | None = None,
    moving: xr.DataArray | None = None,
    targets: xr.DataArray | None = None,
    height: xr.DataArray | None = None,
    point: tuple[float, float] | None = None,
    min_coherence: float = 0.7,
    window_pixels: int = 5,
) -> dict[str, Any]:
    """Choose the reference window of a stack and record why, as a JSON-able dict.

    ``phase`` (pair, y, x; rad, may be lazy); ``coherence`` (pair, y, x) or its mean (y, x), or
    None; ``known`` stable ground, ``moving`` areas and ``targets`` (y, x; bool; targets default to
    the moving areas, else everything observed); ``height`` (y, x; m); ``point`` (longitude,
    latitude; deg) fixes the window's centre.

    Candidates are windows that lie wholly on allowed, coherent ground, near the targets and at
    their height. Each gets ``expected_error_rad``: the root sum of squares of its ``scatter_rad``
    (median over the other candidates of the RMS over pairs of their phase difference: a moving,
    noisy or wrongly unwrapped candidate disagrees) and of what distance and height add. Fewest
    pairs without phase come first, then the least expected error.

    Raises
    ------
    ConfigurationError
        ``point`` lies off the grid, or no window fits onto the allowed ground.
    NetworkError
        Nothing is observed.
    """
    require(phase, dims=(PAIR, *MAP), units="rad")
    grid.check(phase, "phase")
    if window_pixels < 1 or window_pixels % 2 == 0 or window_pixels > min(grid.shape):
        raise ConfigurationError(
            f"reference.window_pixels is {window_pixels}; an odd number from 1 to "
            f"{min(grid.shape)} is needed."
        )
    share, quality = _observed(phase, coherence)
    if not (share > 0).any():
        raise NetworkError(
            "No pixel of the stack has phase in any pair; see rejected.csv and the source's files."
        )
    if targets is None:
        targets = moving
    aim = share > 0 if targets is None else targets.values & np.ones(grid.shape, bool)
    heights = None if height is None else height.transpose(*MAP).values
    near = _nearness(grid, aim if aim.any() else share > 0, heights)
    notes: list[str] = []
    if point is not None:
        centres, threshold = [_pixel(point, grid, window_pixels)], math.nan
    else:
        allowed = share > 0
        if known is not None:
            allowed &= known.values
        else:
            notes.append(ASSUMED_STABLE)
        if moving is not None:
            allowed &= ~moving.values
        centres, threshold = _candidates(
            share, quality, near, allowed, min_coherence, window_pixels, notes
        )
    half = window_pixels // 2
    windows = [
        {"rows": [r - half, r + half + 1], "columns": [c - half, c + half + 1]} for r, c in centres
    ]
    drawn = xr.Dataset({str(i): _window_phase(phase, w) for i, w in enumerate(windows)}).compute()
    phases = np.stack([drawn[str(i)].values for i in range(len(windows))])
    scatter = _scatter(phases)
    table = []
    for (row, column), window, values, spread in zip(
        centres, windows, phases, scatter, strict=True
    ):
        inside = slice(*window["rows"]), slice(*window["columns"])
        longitude, latitude = _lonlat(grid, row, column)
        entry: dict[str, Any] = {
            **window,
            "longitude": round(longitude, 6),
            "latitude": round(latitude, 6),
            "mean_coherence": None if quality is None else _mean(quality[inside]),
            "height_m": None if heights is None else _mean(heights[inside]),
            "expected_from_place_rad": _number(near[row, column]),
            "scatter_rad": _number(spread),
            "pairs_without_phase": int(np.isnan(values).sum()),
        }
        entry["expected_error_rad"] = _number(
            math.hypot(entry["expected_from_place_rad"] or 0.0, entry["scatter_rad"] or 0.0)
        )
        table.append(entry)
    best = min(
        range(len(table)),
        key=lambda i: (table[i]["pairs_without_phase"], table[i]["expected_error_rad"]),
    )
    names = [
        f"{np.datetime_as_string(a, 'D')}_{np.datetime_as_string(b, 'D')}".replace("-", "")
        for a, b in zip(phase["reference"].values, phase["secondary"].values, strict=True)
    ]
    logger.info(
        "reference at %.5f E, %.5f N: coherence %s, expected error %.2f rad, the best of %d",
        table[best]["longitude"],
        table[best]["latitude"],
        table[best]["mean_coherence"],
        table[best]["expected_error_rad"],
        len(table),
    )
    return {
        **table[best],
        "how": "chosen" if point is None else "given",
        "why": "the point was given"
        if point is not None
        else "fewest pairs without phase, then least expected error among the candidates",
        "min_coherence": {"asked": min_coherence, "used": _number(threshold)},
        "assumptions": notes,
        "candidates": [{**entry, "chosen": i == best} for i, entry in enumerate(table)],
        "phase_rad": dict(zip(names, map(_number, phases[best]), strict=True)),
    }


def reference_phase(
    phase: xr.DataArray,
    reference: Mapping[str, Any],
    *,
    missing: Literal["stop", "drop"] = "stop",
) -> xr.DataArray:
    """Phase (rad) of each pair in the window of ``reference``, to be subtracted: (pair).

    The mean over the window's valid pixels within half a cycle of their median, so that a pixel
    unwrapped into another cycle has no say. A pair without a valid pixel there raises, or with
    ``missing="drop"`` is NaN and so drops out of the stack.

    Raises
    ------
    NetworkError
        Pairs have no valid pixel in the window; they are listed.
    """
    require(phase, dims=(PAIR, *MAP), units="rad")
    out = _window_phase(phase, reference).compute()
    empty = np.flatnonzero(np.isnan(out.values))
    if empty.size:
        listed = ", ".join(
            f"{np.datetime_as_string(out['reference'].values[i], 'D')} to "
            f"{np.datetime_as_string(out['secondary'].values[i], 'D')}"
            for i in empty
        )
        message = (
            f"{empty.size} of {out.size} pairs have no phase in the reference window "
            f"(rows {reference['rows']}, columns {reference['columns']}): {listed}"
        )
        if missing == "stop" or empty.size == out.size:
            raise NetworkError(f"{message}; give another reference.point or drop these pairs.")
        logger.warning("%s; they are dropped", message)
    return describe(out, "reference_phase", "phase in the reference window", "rad")


def window_phase(pairs: Pairs, reference: Mapping[str, Any]) -> xr.DataArray:
    """:func:`reference_phase` of a track's pairs, float32, cycles applied where they are known."""
    rows, columns = slice(*reference["rows"]), slice(*reference["columns"])
    stack = pairs.read(rows, columns, layers=("phase",))
    phase = stack["phase"]
    if "cycles" in stack:
        turned = phase + np.float32(2.0 * np.pi) * stack["cycles"]
        turned = turned.where(stack["cycles"] != UNRESOLVED)
        # Where no cycle is resolved the window keeps what the pair says.
        phase = turned.where(turned.notnull().any(MAP), phase).assign_attrs(phase.attrs)
    own = {"rows": [0, phase.sizes[Y]], "columns": [0, phase.sizes[X]]}
    found = reference_phase(phase, {**reference, **own}).astype(np.float32)
    return found.drop_vars(list(found.coords))


def _window_phase(phase: xr.DataArray, window: Mapping[str, Any]) -> xr.DataArray:
    """Robust mean phase (pair) in a window, lazy where ``phase`` is."""
    here = phase.transpose(PAIR, *MAP)[:, slice(*window["rows"]), slice(*window["columns"])]
    out: xr.DataArray = xr.apply_ufunc(
        _robust_mean,
        here.chunk({PAIR: -1, Y: -1, X: -1}) if here.chunks else here,
        input_core_dims=[list(MAP)],
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    return out


def _robust_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last two axes of what lies within pi of the median; NaN where all is NaN."""
    flat = values.reshape(*values.shape[:-2], -1).astype(np.float64)
    some = np.isfinite(flat).any(axis=-1)
    out = np.full(some.shape, np.nan)
    flat = flat[some]
    if flat.size:
        median = np.nanmedian(flat, axis=-1, keepdims=True)
        # An even count can put the median between two cycles: then neither is preferred.
        close = np.abs(flat - median) <= np.pi
        usable = np.where(close.any(axis=-1, keepdims=True), close, np.isfinite(flat))
        out[some] = np.nanmean(np.where(usable, flat, np.nan), axis=-1)
    return out


def _observed(
    phase: xr.DataArray, coherence: xr.DataArray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Share of pairs with phase, and mean coherence of those pairs (y, x), in one pass."""
    valid = phase.notnull()
    share = valid.mean(PAIR).astype(np.float32)
    if coherence is None:
        return share.transpose(*MAP).values, None
    require(coherence, dims=MAP)
    if PAIR in coherence.dims:
        total = coherence.where(valid).sum(PAIR)
        coherence = (total / valid.sum(PAIR)).where(share > 0)
    both = xr.Dataset({"share": share, "coherence": coherence}).transpose(*MAP).compute()
    return both["share"].values, both["coherence"].values


def _nearness(grid: Grid, targets: np.ndarray, heights: np.ndarray | None) -> np.ndarray:
    """Phase error (rad) to expect from distance and height to the middle of the targets."""
    rows, columns = np.nonzero(targets)
    dy, dx = grid.spacing_m
    away_y = (np.arange(grid.height) - np.median(rows)) * dy / RADIAN_DISTANCE_M
    away_x = (np.arange(grid.width) - np.median(columns)) * dx / RADIAN_DISTANCE_M
    square = away_y[:, None] ** 2 + away_x[None, :] ** 2
    if heights is not None and np.isfinite(heights[targets]).any():
        rise = heights - np.nanmedian(heights[targets])
        square = square + (rise / RADIAN_HEIGHT_M) ** 2
    return np.asarray(np.sqrt(square), np.float32)


def _candidates(
    share: np.ndarray,
    quality: np.ndarray | None,
    near: np.ndarray,
    allowed: np.ndarray,
    min_coherence: float,
    size: int,
    notes: list[str],
) -> tuple[list[tuple[int, int]], float]:
    """Centres (row, column) of the most promising windows, and the coherence they had to reach."""
    from scipy import ndimage

    whole = ndimage.minimum_filter(allowed & np.isfinite(near), size, mode="constant", cval=False)
    if not whole.any():
        raise ConfigurationError(
            f"No window of {size} x {size} pixels lies wholly on observed ground that may serve "
            f"as reference ({int(allowed.sum())} pixels may); widen stable_ground, shrink "
            "moving_areas, lower reference.window_pixels or give reference.point."
        )
    coverage = ndimage.uniform_filter(share, size)
    # ASSUME: a window observed in clearly fewer pairs than the best one is no reference.
    whole &= coverage >= 0.9 * coverage[whole].max()
    cost, threshold = near.astype(np.float64) ** 2, min_coherence
    if quality is not None:
        mean = ndimage.uniform_filter(np.nan_to_num(quality, nan=0.0), size)
        best = float(mean[whole].max())
        if best < min_coherence:
            threshold = 0.95 * best
            notes.append(
                f"no window reaches the coherence {min_coherence:.2f}; relaxed to {threshold:.2f}, "
                f"95 % of the best window's"
            )
            logger.warning("reference: %s", notes[-1])
        whole &= mean >= threshold
        cost += (1.0 - mean**2) / (2.0 * np.maximum(mean, 1e-3) ** 2)  # one look: pessimistic
    cost = np.where(whole, cost, np.inf)
    # Apart by three windows or a twentieth of the scene, so that candidates differ.
    apart = max(3 * size, min(share.shape) // 20)
    centres: list[tuple[int, int]] = []
    while len(centres) < CANDIDATES:
        row, column = divmod(int(np.argmin(cost)), cost.shape[1])
        if not np.isfinite(cost[row, column]):
            break
        centres.append((row, column))
        cost[max(0, row - apart) : row + apart + 1, max(0, column - apart) : column + apart + 1] = (
            np.inf
        )
    return centres, threshold


def _scatter(phases: np.ndarray) -> np.ndarray:
    """Per candidate (candidate, pair): median over the others of the RMS phase difference (rad)."""
    count = len(phases)
    out = np.full(count, np.nan)
    for i in range(count):
        square = (phases - phases[i]) ** 2
        common = np.isfinite(square)
        mean = np.where(common, square, 0.0).sum(axis=1) / np.maximum(common.sum(axis=1), 1)
        others = common.any(axis=1) & (np.arange(count) != i)
        if others.any():
            out[i] = np.median(np.sqrt(mean[others]))
    return out


def _pixel(point: tuple[float, float], grid: Grid, size: int) -> tuple[int, int]:
    """Row and column of a longitude and latitude, a whole window inside the grid."""
    from pyproj import Transformer

    x, y = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True).transform(*point)
    row, column = (grid.north - y) / grid.dy, (x - grid.west) / grid.dx
    half = size // 2
    if not (
        half <= math.floor(row) < grid.height - half
        and half <= math.floor(column) < grid.width - half
    ):
        raise ConfigurationError(
            f"reference.point {point} falls on row {row:.0f}, column {column:.0f}, but its window "
            f"must lie within the grid of {grid.height} x {grid.width} pixels; give [longitude, "
            "latitude] inside the region."
        )
    return math.floor(row), math.floor(column)


def _lonlat(grid: Grid, row: int, column: int) -> tuple[float, float]:
    from pyproj import Transformer

    to = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    longitude, latitude = to.transform(float(grid.x[column]), float(grid.y[row]))
    return float(longitude), float(latitude)


def _number(value: float) -> float | None:
    """A number fit for JSON: four decimals, None for NaN."""
    return round(float(value), 4) if math.isfinite(value) else None


def _mean(values: np.ndarray) -> float | None:
    """Mean of the finite values, None where there is none."""
    finite = values[np.isfinite(values)]
    return _number(finite.mean()) if finite.size else None
