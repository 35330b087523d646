"""Reading and writing products: whole or not at all, and each says what made it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier.conventions import PAIR, X, Y
from rockglacier.errors import SceneError
from rockglacier.grid import Grid

MAXIMUM_FILES = 4000  # per array of a stack; two arrays stay far below a cluster's quota
MINIMUM_ROWS = 64


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write (file or folder); it takes its place on success.

    On an exception the partial product is removed and what stood at ``path`` stays. What a killed
    writer left behind goes when the product is written again: a product has one writer at a time.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = final.with_name(f".partial.{final.name}")
    former = final.with_name(f".former.{final.name}")
    _remove(partial)
    try:
        yield partial
        if final.is_dir():  # a folder cannot be replaced in one step
            final.rename(former)
        partial.replace(final)
    finally:
        _remove(partial)
        _remove(former)


def write_table(table: pd.DataFrame, path: str | Path, *, date_format: str | None = None) -> None:
    """Write ``table`` as CSV, whole or not at all."""
    with atomic(path) as partial:
        table.to_csv(partial, index=False, date_format=date_format)


def stack_rows(layers: int, height: int) -> int:
    """Rows of one chunk of a stack of ``layers``: few files, yet thin enough to bound memory."""
    return min(height, max(MINIMUM_ROWS, -(-layers * height // MAXIMUM_FILES)))


def block_rows(
    height: int, bytes_per_row: float, memory_mb: float, threads: int, *, multiple: int = 1
) -> int:
    """Rows per Dask block so that ``threads`` blocks in flight fit into ``memory_mb``.

    ``multiple`` (the chunk's rows on disk) is kept where memory allows, so that no chunk is read
    twice; there are at least as many blocks as threads where the height allows.
    """
    fit = int(memory_mb * 1e6 / max(1.0, bytes_per_row * threads))
    rows = max(1, min(fit, -(-height // threads)))
    return max(multiple, rows // multiple * multiple) if multiple <= fit else rows


def leaves_its_folder(member: str) -> bool:
    """Whether the name ``member`` of an archive points out of the archive's own folder."""
    parts = PurePosixPath(member.replace("\\", "/"))
    return parts.is_absolute() or ".." in parts.parts or ":" in "".join(parts.parts[:1])


def _encoding(array: xr.DataArray, rows: int | None) -> dict[str, Any]:
    from zarr.codecs import BloscCodec

    encoding: dict[str, Any] = {
        "compressors": (BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle"),)
    }
    if array.dims[-2:] == (Y, X):
        leading = array.shape[:-2]
        if rows is not None:
            encoding["chunks"] = (*leading, min(rows, array.sizes[Y]), array.sizes[X])
        else:
            thin = stack_rows(int(np.prod(leading)), array.sizes[Y])
            blocks = array.chunks[-2] if array.chunks else ()
            # Chunks follow Dask's blocks only where memory forced these to cut a chunk.
            if any(n % thin for n in blocks[:-1]):
                thin = blocks[0]
            encoding["chunks"] = (*(1 for _ in leading), thin, array.sizes[X])
    return encoding


def prepare_dataset(
    dataset: xr.Dataset, path: str | Path, grid: Grid | None, *, rows: int | None = None
) -> None:
    """Write coordinates, attributes and empty arrays of ``dataset`` (Dask-backed) to Zarr.

    A chunk is one layer, or with ``rows`` all layers of so many rows.
    """
    _to_zarr(dataset, path, grid, rows=rows, compute=False)


def _to_zarr(
    dataset: xr.Dataset, path: str | Path, grid: Grid | None, *, rows: int | None, compute: bool
) -> None:
    if grid is not None:
        grid.check(dataset, str(path))
        import rioxarray  # noqa: F401

        dataset = dataset.rio.write_crs(grid.crs).rio.write_transform(grid.transform)
    for name in dataset.variables:
        dataset[name].encoding.clear()
    encoding = {str(n): _encoding(a, rows) for n, a in dataset.data_vars.items() if a.ndim}
    options: dict[str, Any] = {
        "mode": "w",
        "consolidated": False,
        "zarr_format": 3,
        "encoding": encoding,
        "compute": compute,
    }
    dataset.to_zarr(str(path), **options)


def write_dataset(
    dataset: xr.Dataset,
    path: str | Path,
    *,
    grid: Grid | None = None,
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Write a Dataset to Zarr, whole or not at all; Dask computes here.

    Map arrays are cut into bands of full rows, one layer a chunk.
    """
    dataset = dataset.assign_attrs({**dataset.attrs, **(provenance or {})})
    with atomic(path) as partial:
        _to_zarr(dataset, partial, grid, rows=None, compute=True)


def open_dataset(path: str | Path, *, rows: int | None = None) -> xr.Dataset:
    """Open a Zarr product: eager without ``rows``, else in Dask blocks of ``rows`` full rows."""
    if not Path(path).exists():
        raise SceneError(f"{path} does not exist; run the rule that makes it.")
    dataset: xr.Dataset = xr.open_zarr(path, consolidated=False, chunks=None, decode_coords="all")
    if rows is None:
        return dataset.load()
    for name in dataset.coords:
        dataset[name].load()
    chunks = {d: (rows if d == Y else -1) for d in dataset.dims}
    return dataset.assign({n: a.chunk({d: chunks[d] for d in a.dims}) for n, a in dataset.items()})


def chunk_rows(path: str | Path, variable: str) -> int:
    """Rows of a chunk of ``variable`` in the Zarr product ``path``."""
    import zarr

    return int(zarr.open_array(f"{path}/{variable}", mode="r").chunks[-2])


def write_raster(
    dataset: xr.Dataset,
    path: str | Path,
    *,
    grid: Grid,
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Write map variables as the bands of a Cloud-Optimized GeoTIFF (float32, nodata NaN).

    Each band carries its name, ``long_name`` and ``units``; the file carries the provenance.
    """
    import rasterio
    from rasterio.io import MemoryFile
    from rasterio.shutil import copy

    names = [str(n) for n in dataset.data_vars]
    grid.check(dataset, str(path))
    profile = {
        "driver": "GTiff",
        "width": grid.width,
        "height": grid.height,
        "count": len(names),
        "dtype": "float32",
        "crs": grid.crs,
        "transform": grid.transform,
        "nodata": np.nan,
    }
    with atomic(path) as partial, MemoryFile() as memory:
        with memory.open(**profile) as target:
            target.update_tags(**(provenance or {}))
            for band, name in enumerate(names, start=1):
                array = dataset[name].transpose(Y, X)
                target.write(array.values.astype(np.float32), band)
                target.set_band_description(band, name)
                target.update_tags(band, **{k: str(v) for k, v in array.attrs.items()})
                if "units" in array.attrs:
                    target.set_band_unit(band, str(array.attrs["units"]))
        with memory.open() as source, rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS"):
            copy(source, partial, driver="COG", compress="DEFLATE", predictor="YES")


def read_raster(path: str | Path, *, rows: int | None = None) -> xr.Dataset:
    """Read the bands that :func:`write_raster` wrote into a Dataset of named variables.

    Attributes are the file's tags and ``crs``. With ``rows`` in Dask blocks of so many full rows.
    """
    import rasterio

    with rasterio.open(path) as source:
        grid = Grid.of(source)
        dataset = xr.Dataset(attrs=dict(source.tags()) | {"crs": grid.crs})
        if rows is None:
            layers = (source.read(band) for band in source.indexes)
        else:
            import rioxarray

            blocks = {"band": 1, Y: rows, X: -1}
            layers = iter(rioxarray.open_rasterio(path, chunks=blocks).data)  # type: ignore[union-attr]
        for band, name, layer in zip(source.indexes, source.descriptions, layers, strict=True):
            tags = source.tags(band)
            attrs = {k: tags[k] for k in ("long_name", "units") if k in tags}
            dataset[name or f"band_{band}"] = xr.DataArray(
                layer, dims=(Y, X), coords=grid.coords, attrs=attrs
            )
    return dataset


def pair_coordinates(reference: np.ndarray, secondary: np.ndarray) -> dict[str, Any]:
    """Coordinates of the ``pair`` dimension from two arrays of dates."""
    return {
        "reference": (PAIR, np.asarray(reference, dtype="datetime64[ns]")),
        "secondary": (PAIR, np.asarray(secondary, dtype="datetime64[ns]")),
    }
