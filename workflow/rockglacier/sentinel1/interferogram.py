"""Interferogram and coherence of two flattened images on one grid."""

from __future__ import annotations

import numpy as np

LEAST_SHARE = 0.5  # ASSUME: of a block's pixels that must be known, lest few looks feign coherence


def multilook(values: np.ndarray, looks: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Mean over blocks of ``looks`` (rows, columns) pixels of what is finite, and its share (0..1).

    ``values`` (y, x); rows and columns that fill no block are left out; NaN where nothing is
    finite.
    """
    rows, columns = looks
    height, width = values.shape[0] // rows, values.shape[1] // columns
    blocks = values[: height * rows, : width * columns]
    blocks = blocks.reshape(height, rows, width, columns)
    known = np.isfinite(blocks)
    share = known.mean(axis=(1, 3), dtype=np.float32)
    total = np.where(known, blocks, 0).sum(axis=(1, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / (share * (rows * columns))
    return mean.astype(values.dtype), share


def interfere(
    reference: np.ndarray, secondary: np.ndarray, looks: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Interferogram ``reference * conj(secondary)`` of ``looks`` (complex64), and coherence.

    Both images are (y, x), complex, flattened and on one grid. Where one is missing neither counts;
    NaN where less than LEAST_SHARE of a block is left.
    The coherence of few looks is biased upward: of unrelated images with L independent looks its
    mean is about sqrt(pi / (4 L)) (Touzi et al. 1999, doi:10.1109/36.739146).
    """
    product = reference * secondary.conj()
    known = np.isfinite(product)
    power = (np.where(known, np.abs(image) ** 2, np.nan) for image in (reference, secondary))
    mean, share = multilook(product, looks)
    mean[share < LEAST_SHARE] = np.nan
    first, second = (multilook(p, looks)[0] for p in power)
    with np.errstate(invalid="ignore", divide="ignore"):
        coherence = np.abs(mean) / np.sqrt(first * second)
    return mean.astype(np.complex64), coherence.astype(np.float32)


def goldstein(interferogram: np.ndarray, exponent: float, window: int = 32) -> np.ndarray:
    """``interferogram`` (y, x; complex64) whose spectrum, by overlapping windows, is sharpened.

    The spectrum of each ``window`` is weighted by its magnitude to the power of ``exponent`` (0..1;
    0 leaves it as it is). Missing pixels (NaN) count as zero and stay missing.

    Source: Goldstein & Werner (1998), doi:10.1029/1998GL900033, as whirlwind computes it.
    """
    if exponent == 0.0:
        return interferogram
    import whirlwind

    known = np.isfinite(interferogram)
    image = np.where(known, interferogram, 0).astype(np.complex64)
    smooth = np.asarray(whirlwind.goldstein(image, exponent, window))
    return np.where(known, smooth, np.nan).astype(np.complex64)
