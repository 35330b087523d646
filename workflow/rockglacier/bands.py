"""A stack in bands of full rows: read with a margin, worked on in memory, written in place.

Steps that look at neighbours get the rows beyond their band with it, so every band is read once
and no array is taller than memory allows, however large the scene.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from dask.base import compute
from dask.delayed import delayed

from rockglacier import io
from rockglacier.conventions import MAP, PAIR, X, Y
from rockglacier.grid import Grid

logger = logging.getLogger(__name__)


class Band(NamedTuple):
    """Rows of a band (``inner``), with its margin (``wide``), and the band within the latter."""

    inner: slice
    wide: slice
    crop: slice


class Pairs:
    """The pairs of a track that its network uses, read band by band.

    ``stack``: ``unwrapped.zarr``; ``network``: ``network.csv``; ``cycles``: what
    ``correct_unwrapping`` wrote, read along where given.
    """

    def __init__(
        self, stack: str | Path, network: str | Path, cycles: str | Path | None = None
    ) -> None:
        import pandas as pd

        self._stack = xr.open_zarr(stack, consolidated=False, chunks=None, decode_coords="all")
        self._used = np.flatnonzero(pd.read_csv(network, usecols=["used"])["used"])
        self._cycles = None
        if cycles is not None:
            whole = xr.open_zarr(cycles, consolidated=False, chunks=None)["cycles"]
            self._cycles = whole.drop_vars(list(whole.coords))
        self.attrs = self._stack.attrs
        self.height: int = self._stack.sizes[Y]
        self.chunk_rows = io.chunk_rows(stack, "phase")

    def read(
        self,
        rows: slice,
        columns: slice = slice(None),
        *,
        layers: tuple[str, ...] = ("phase", "coherence", "component"),
    ) -> xr.Dataset:
        """Those of ``layers`` that there are, and ``cycles``, in memory."""
        found = self._stack[[name for name in layers if name in self._stack]]
        found = found.isel({Y: rows, X: columns}).load()
        if self._used.size < found.sizes[PAIR]:
            found = found.isel({PAIR: self._used})
        if self._cycles is not None:
            found["cycles"] = self._cycles.isel({Y: rows, X: columns}).load()
        return found  # type: ignore[no-any-return]

    def bands(
        self, *, bytes_per_sample: float, memory_mb: float, threads: int, margin: int = 0
    ) -> tuple[list[Band], int]:
        """Bands of which as many as the threads (returned too) fit into memory at once.

        ``bytes_per_sample``: what the work on a band holds per pixel and pair.
        """
        row_mb = bytes_per_sample * self._used.size * self._stack.sizes[X] / 1e6
        fit = memory_mb / row_mb - 2 * margin
        while threads > 1 and fit / threads < self.chunk_rows:
            threads -= 1
        rows = max(1, int(min(fit / threads, self.height / threads) / self.chunk_rows))
        rows *= self.chunk_rows
        if rows + 2 * margin > memory_mb / row_mb / threads:
            logger.warning(
                "a band of %d rows takes %.0f MB, of %.0f MB given",
                rows, row_mb * (rows + 2 * margin), memory_mb,
            )  # fmt: skip
        return cut(self.height, rows, margin), threads


def cut(height: int, rows: int, margin: int = 0) -> list[Band]:
    """Bands of ``rows`` (the last may be shorter) over ``height``, each with ``margin`` around."""
    bands = []
    for start in range(0, height, rows):
        end = min(start + rows, height)
        low, high = max(0, start - margin), min(height, end + margin)
        bands.append(Band(slice(start, end), slice(low, high), slice(start - low, end - low)))
    return bands


def work(function: Callable[[Band], xr.Dataset], bands: list[Band], *, threads: int) -> xr.Dataset:
    """Results of ``function`` over all bands, one above the other, in memory."""
    parts = _in_threads([delayed(function)(band) for band in bands], threads)
    joined: xr.Dataset = xr.concat(
        parts, dim=Y, data_vars="minimal", coords="minimal", compat="override"
    )
    return joined


def _in_threads(tasks: list[Any], threads: int) -> tuple[Any, ...]:
    found: tuple[Any, ...] = compute(*tasks, scheduler="threads", num_workers=threads)
    return found


def write(
    function: Callable[[Band], xr.Dataset],
    bands: list[Band],
    path: str | Path,
    *,
    grid: Grid,
    threads: int,
    provenance: Mapping[str, str],
    of_all: Callable[[xr.Dataset], xr.Dataset] | None = None,
) -> None:
    """Write the results of ``function`` over all bands to Zarr, whole or not at all.

    Each band is one chunk of every array, all layers together. ``of_all``: maps that only the whole
    region tells, made of what all bands told (read from disk as it is asked for) and written along.
    """
    first = function(bands[0])
    rows = bands[0].inner.stop
    with io.atomic(path) as partial:
        like = first if of_all is None else first.assign(of_all(first))
        _prepare(like, partial, grid, rows, provenance)

        def put(band: Band, made: xr.Dataset | None = None) -> None:
            result = function(band) if made is None else made
            maps = result.drop_vars([n for n, v in result.variables.items() if Y not in v.dims])
            options: dict[str, Any] = {"mode": "r+", "consolidated": False}
            maps.drop_vars(Y).to_zarr(str(partial), region={Y: band.inner}, **options)
            logger.info("rows %d to %d of %d", band.inner.start, band.inner.stop, grid.height)

        put(bands[0], first)
        names = list(first)
        del first, like
        _in_threads([delayed(put)(band) for band in bands[1:]], threads)
        if of_all is not None:
            told = xr.open_zarr(partial, consolidated=False, chunks=None)[names]
            put(cut(grid.height, grid.height)[0], of_all(told))


def _prepare(
    first: xr.Dataset, path: Path, grid: Grid, rows: int, provenance: Mapping[str, str]
) -> None:
    """Empty arrays of the whole grid for what ``first``, the first band's result, holds."""
    import dask.array as da

    whole = xr.Dataset(attrs={**first.attrs, **provenance}, coords=grid.coords)
    for name, array in first.variables.items():
        if Y not in array.dims:
            whole[name] = array
    for name, variable in first.data_vars.items():
        if Y in variable.dims:
            shape = (*variable.shape[:-2], *grid.shape)
            empty = da.empty(shape, dtype=variable.dtype, chunks=shape)
            dims = (*variable.dims[:-2], *MAP)
            whole[name] = xr.Variable(dims, empty, variable.attrs)
    io.prepare_dataset(
        whole.set_coords([n for n in first.coords if n in whole]), path, grid, rows=rows
    )
