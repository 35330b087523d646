"""Multi-temporal speckle filter: detail of many dates, radiometry of each.

Source
------
Quegan & Yu (2001), doi:10.1109/36.964973, for dates whose speckle is unlike.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Filtered(NamedTuple):
    """Filtered power (date, y, x) and the pixels (date, y, x) that its local means rest on."""

    power: np.ndarray
    pixels: np.ndarray


def quegan_yu(power: np.ndarray, window: int) -> Filtered:
    """Filter ``power`` (date, y, x; linear, NaN where missing) over ``window`` pixels a side (odd).

    Every date is its local mean times the mean over dates of what pixels stand out of theirs:
    ``J_k = <I_k> / N sum_i I_i / <I_i>``. Through time it changes as ``<I_k>`` does, so speckle
    leaves a squared coefficient of variation of 1 / (looks x pixels). NaN where ``power`` is, and
    where a local mean is not positive.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"a window of an odd number of pixels is needed, not {window}")
    mean, pixels = np.empty_like(power), np.empty(power.shape, np.float32)
    for date, image in enumerate(power):
        mean[date], pixels[date] = _local_mean(image, window)
    mean = np.where(mean > 0.0, mean, np.nan)
    ratio = power / mean
    known = np.isfinite(ratio)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        texture = np.where(known, ratio, 0.0).sum(axis=0) / np.where(count > 0, count, np.nan)
    return Filtered(np.where(known, mean * texture, np.nan).astype(power.dtype), pixels)


def _local_mean(image: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the known pixels around each one, and their number."""
    from scipy.ndimage import uniform_filter

    known = np.isfinite(image)
    share = uniform_filter(known.astype(np.float64), window, mode="constant")
    total = uniform_filter(np.where(known, image, 0.0).astype(np.float64), window, mode="constant")
    pixels = np.rint(share * window**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(pixels > 0, total / share, np.nan)
    return mean, pixels
