"""Trends of series by pymannkendall and SciPy, pixel by pixel, in the peers' own environment.

python snow_peers.py series.npz found.npz prints seconds of the processor per pixel as JSON.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pymannkendall
from scipy.stats import false_discovery_control, theilslopes

CERTAIN = 1e6  # no z of a variance that is there; lags that leave none tell NaN, infinity or more
Side = Callable[[np.ndarray, np.ndarray], "tuple[float, ...]"]


def hamed_rao(values: np.ndarray, years: np.ndarray) -> tuple[float, ...]:
    """z, p and slope of known values one after another: how the test takes gaps."""
    found = pymannkendall.hamed_rao_modification_test(values[np.isfinite(values)])
    return found.z, found.p, found.slope


def original(values: np.ndarray, years: np.ndarray) -> tuple[float, ...]:
    """z, p and slope without serial correlation; the slope knows of gaps."""
    found = pymannkendall.original_test(values)
    return found.z, found.p, found.slope


def slopes(values: np.ndarray, years: np.ndarray) -> tuple[float, ...]:
    """Slope and its interval; knows dates, and no serial correlation."""
    known = np.isfinite(values)
    found = theilslopes(values[known], years[known], alpha=0.95)
    return found.slope, found.low_slope, found.high_slope


def looped(side: Side, values: np.ndarray, years: np.ndarray) -> tuple[np.ndarray, float]:
    """What ``side`` finds (pixel, 3) of ``values`` (pixel, date), and its seconds per pixel."""
    side(values[0], years)
    began = time.process_time()
    found = np.array([side(series, years) for series in values])
    return found, (time.process_time() - began) / len(values)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of variances below zero
    series = np.load(sys.argv[1])
    sides = {"hamed_rao": hamed_rao, "original": original, "slopes": slopes}
    found, seconds = {}, {}
    for name, side in sides.items():
        found[name], seconds[name] = looped(side, series["values"], series["years"])
    z, chance, _ = found["hamed_rao"].T
    told = np.abs(z) < CERTAIN
    found["hamed_rao"][~told] = np.nan
    q = np.full(told.size, np.nan)
    q[told] = false_discovery_control(chance[told])
    np.savez(sys.argv[2], **found, q=q)
    print(json.dumps(seconds))
