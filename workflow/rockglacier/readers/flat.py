"""Flat binary rasters (no header), mapped rather than read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rockglacier.readers.stack import FlawedPair

AXES = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}  # of (band, row, column) on disk


def map_flat(
    path: str | Path,
    *,
    bands: int,
    shape: tuple[int, int],
    dtype: str = "float32",
    interleave: str = "bsq",
) -> np.ndarray:
    """The file's values as (band, row, column), unread; FlawedPair where its size differs."""
    kind = np.dtype(dtype)
    size = (bands, *shape)
    expected = int(np.prod(size)) * kind.itemsize
    try:
        found = Path(path).stat().st_size
    except OSError as error:
        raise FlawedPair(
            path,
            "missing",
            found=str(error.strerror),
            needed="the file",
            remedy="check the path, or make the file again",
        ) from error
    if found != expected:
        raise FlawedPair(
            path,
            "truncated" if found < expected else "different shape",
            found=f"{found} bytes",
            needed=f"{expected} bytes ({bands} bands of {shape[0]} x {shape[1]} {kind.name})",
            remedy="make the file again, or correct its size, type and number of bands",
        )
    on_disk = AXES[interleave]
    mapped = np.memmap(path, kind, "r", shape=tuple(size[a] for a in on_disk))
    return np.transpose(mapped, np.argsort(on_disk))
