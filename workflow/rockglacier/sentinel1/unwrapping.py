"""Unwrapping of interferograms: which ground, by which program, and how tiles are joined.

whirlwind (permissive licence) serves by default; snaphu, whose licence is non-commercial in parts,
by choice. Both minimise statistical costs of phase gradients by network flow. What they fill in
where nothing was observed is taken away again, and components down to the size of a rock glacier
are kept.

Source
------
Chen & Zebker (2001), doi:10.1364/JOSAA.18.000338; of tiles and their joints Chen & Zebker (2002),
doi:10.1109/TGRS.2002.802453.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, describe, require
from rockglacier.errors import ConfigurationError, DimensionError, SceneError

logger = logging.getLogger(__name__)

MOST_COMPONENTS = 255  # numbers of a byte
SNAPHU_COMPONENTS = 32  # that it numbers at most
AGREE_CYCLES = 0.1  # of tiles in their overlap, so that one component goes on in both


def unwrap(
    interferogram: xr.DataArray,
    coherence: xr.DataArray,
    *,
    looks: float,
    method: str = "whirlwind",
    min_coherence: float = 0.2,
    min_component_pixels: int = 30,
    tile_pixels: int = 2000,
    overlap_pixels: int = 200,
) -> xr.Dataset:
    """``phase`` (rad, float32) and ``component`` (uint8, 0: none) of ``interferogram`` (y, x).

    ``interferogram`` is complex, NaN where missing; ``coherence`` is 0..1; ``looks`` are the
    independent looks of both. Ground below ``min_coherence`` is left out (NaN), and so are
    components of fewer than ``min_component_pixels``; beyond 255 components the largest are kept.
    They are numbered by size. Phase and interferogram agree to whole cycles. A map longer than
    ``tile_pixels`` is unwrapped in tiles that share ``overlap_pixels``.

    Raises
    ------
    DimensionError
        The two are of different shape.
    SceneError
        The interferogram is not complex.
    ConfigurationError
        ``method`` is unknown, or its program is not installed.
    """
    require(interferogram, dims=MAP)
    if interferogram.shape != coherence.shape:
        raise DimensionError(
            f"interferogram of {interferogram.shape} and coherence of {coherence.shape} pixels; "
            "both are needed on one grid."
        )
    if interferogram.dtype.kind != "c":
        raise SceneError(
            f"an interferogram of type {interferogram.dtype}; complex values are needed: give the "
            "wrapped interferogram, not its phase."
        )
    program = {"whirlwind": _whirlwind, "snaphu": _snaphu}.get(method)
    if program is None:
        raise ConfigurationError(f"unwrapper is {method!r}; whirlwind or snaphu is needed.")
    image = interferogram.transpose(*MAP).values.astype(np.complex64)
    known = np.isfinite(image) & (image != 0) & np.isfinite(coherence.values)
    if not known.any():
        logger.warning("an interferogram without any observed pixel: nothing is unwrapped")
    use = known & (coherence.values >= min_coherence)
    wrapped = np.angle(image)
    phase = np.full(image.shape, np.nan, np.float32)
    label = np.zeros(image.shape, np.int32)
    tiles = list(_tiles(image.shape, tile_pixels, overlap_pixels))
    found = []
    for tile in tiles:
        part = np.where(use[tile], image[tile], 0).astype(np.complex64)
        quality = np.where(use[tile], np.clip(coherence.values[tile], 0.0, 1.0), 0.0)
        if not use[tile].any():
            found.append((np.full(part.shape, np.nan, np.float32), np.zeros(part.shape, np.int32)))
            continue
        values, numbers = program(part, quality.astype(np.float32), max(1.0, looks), use[tile])
        # The programs may smooth: only their cycles count.
        turns = np.round((values - wrapped[tile]) / (2.0 * np.pi))
        good = use[tile] & np.isfinite(values) & (numbers > 0)
        values = np.where(good, wrapped[tile] + 2.0 * np.pi * turns, np.nan)
        found.append((values.astype(np.float32), np.where(good, numbers, 0).astype(np.int32)))
    _join(tiles, found, phase, label)
    component = _by_size(label, min_component_pixels)
    phase[component == 0] = np.nan
    layers = {
        "phase": (phase, "unwrapped phase, positive away from the satellite", "rad"),
        "component": (component, "connected component of the unwrapping, 0 where none", "1"),
    }
    return xr.Dataset(
        {
            name: describe(
                xr.DataArray(values, dims=MAP, coords=interferogram.coords), name, long_name, units
            )
            for name, (values, long_name, units) in layers.items()
        }
    )


def _tiles(shape: tuple[int, int], size: int, overlap: int) -> Iterator[tuple[slice, slice]]:
    """Windows of about ``size`` pixels a side that share ``overlap`` with their neighbours."""

    def along(length: int) -> list[slice]:
        if length <= size:
            return [slice(0, length)]
        count = -(-(length - overlap) // (size - overlap))
        edges = np.linspace(0, length - overlap, count + 1).round().astype(int)
        return [slice(int(a), int(b) + overlap) for a, b in pairwise(edges)]

    for rows in along(shape[0]):
        for columns in along(shape[1]):
            yield rows, columns


def _whirlwind(
    image: np.ndarray, coherence: np.ndarray, looks: float, use: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    import whirlwind

    phase, label = whirlwind.unwrap(image, coherence, min(looks, 300.0), use, min_size_px=1)
    return phase, label


def _snaphu(
    image: np.ndarray, coherence: np.ndarray, looks: float, use: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    from scipy import ndimage

    try:
        import snaphu
    except ImportError as missing:
        raise ConfigurationError(
            "unwrapper is snaphu, which is not installed: pip install snaphu (its licence is "
            "non-commercial in parts), or choose whirlwind."
        ) from missing
    phase, label = snaphu.unwrap(
        image, coherence, looks, mask=use, min_conncomp_frac=1.0 / image.size
    )
    phase, label = np.asarray(phase), np.asarray(label).astype(np.int32)
    if label.max() >= SNAPHU_COMPONENTS:
        # Of islands beyond those it leaves whole ones without a number; each is one component.
        island, count = ndimage.label(use, np.ones((3, 3)))
        largest = ndimage.maximum(label, island, np.arange(count + 1))
        left_out = (np.asarray(largest)[island] == 0) & use
        label[left_out] = label.max() + island[left_out]
    return phase, label


def _join(
    tiles: list[tuple[slice, slice]],
    found: list[tuple[np.ndarray, np.ndarray]],
    phase: np.ndarray,
    label: np.ndarray,
) -> None:
    """Write the tiles into ``phase`` and ``label``, their components on common cycles.

    Where components of two tiles overlap, the median of their difference tells the cycles between
    them; the largest overlaps come first (a spanning tree), so that each component is set once.
    """
    first = np.cumsum([0, *(int(label.max()) for _, label in found)])
    parent = np.arange(first[-1] + 1)
    cycles = np.zeros(first[-1] + 1)  # of each component, relative to its root

    def root(node: int) -> tuple[int, float]:
        turns = 0.0
        while parent[node] != node:
            turns += cycles[node]
            node = int(parent[node])
        return node, turns

    edges = []
    for i in range(len(tiles)):
        for j in range(i + 1, len(tiles)):
            shared = _shared(tiles[i], tiles[j])
            if shared is None:
                continue
            a, b = (_within(shared, tile) for tile in (tiles[i], tiles[j]))
            numbers = np.stack([found[i][1][a], found[j][1][b]])
            both = (numbers > 0).all(axis=0)
            if not both.any():
                continue
            between = ((found[j][0][b] - found[i][0][a]) / (2.0 * np.pi))[both]
            couples, which = np.unique(numbers[:, both], axis=1, return_inverse=True)
            for k, (p, q) in enumerate(couples.T):
                turns = between[which.ravel() == k]
                whole = float(np.round(np.median(turns)))
                agreeing = int((np.abs(turns - whole) < AGREE_CYCLES).sum())
                edges.append((agreeing, int(first[i] + p), int(first[j] + q), whole))
    for agreeing, p, q, whole in sorted(edges, reverse=True):
        (top, from_p), (other, from_q) = root(p), root(q)
        if top != other and agreeing:
            parent[other] = top
            cycles[other] = from_p - from_q - whole
    for k, (tile, (values, numbers)) in enumerate(zip(tiles, found, strict=True)):
        own = _own(tile, tiles, phase.shape)
        inside = _within(own, tile)
        nodes = np.where(numbers[inside] > 0, numbers[inside] + first[k], 0)
        roots = np.zeros(first[-1] + 1, np.int64)
        turns = np.zeros(first[-1] + 1)
        for node in np.unique(nodes[nodes > 0]).tolist():
            roots[node], turns[node] = root(node)
        phase[own] = values[inside] + 2.0 * np.pi * turns[nodes]
        label[own] = roots[nodes]


def _shared(a: tuple[slice, slice], b: tuple[slice, slice]) -> tuple[slice, slice] | None:
    both = tuple(
        slice(max(p.start, q.start), min(p.stop, q.stop)) for p, q in zip(a, b, strict=True)
    )
    return (both[0], both[1]) if all(s.start < s.stop for s in both) else None


def _within(part: tuple[slice, slice], tile: tuple[slice, slice]) -> tuple[slice, slice]:
    rows, columns = (
        slice(p.start - t.start, p.stop - t.start) for p, t in zip(part, tile, strict=True)
    )
    return rows, columns


def _own(
    tile: tuple[slice, slice], tiles: list[tuple[slice, slice]], shape: tuple[int, int]
) -> tuple[slice, slice]:
    """The part of a tile that no neighbour is nearer to: overlaps are halved."""
    bounds = []
    for axis, length in enumerate(shape):
        here = tile[axis]
        spans = sorted({(t[axis].start, t[axis].stop) for t in tiles})
        k = spans.index((here.start, here.stop))
        start = 0 if k == 0 else (here.start + spans[k - 1][1]) // 2
        stop = length if k == len(spans) - 1 else (spans[k + 1][0] + here.stop) // 2
        bounds.append(slice(start, stop))
    return bounds[0], bounds[1]


def _by_size(label: np.ndarray, least: int) -> np.ndarray:
    """Components numbered by size from 1; those of fewer than ``least`` pixels are 0."""
    numbers, counts = np.unique(label[label > 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] >= least][:MOST_COMPONENTS]
    lookup = np.zeros(int(label.max()) + 1, np.uint8)
    lookup[numbers[order]] = np.arange(1, order.size + 1)
    numbered: np.ndarray = lookup[label]
    return numbered
