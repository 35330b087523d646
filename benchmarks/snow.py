"""Trends of the snow index against pymannkendall and SciPy, which are looped over pixels.

Prints one JSON line per case and ends with 1 where a "must" is missed. Both sides get the same
series. Ours are a map, of which the peers get the first pixels. Seconds are those of the processor,
of one thread, per pixel and without compilation.

Where definitions differ, sides are compared where they agree. pymannkendall's test of Hamed & Rao
takes values one after another, whatever lies between, and its residuals rest on a line over them
counted from 1: so does ours here, by ``memory="lags"``. Its original test and SciPy's slope know of
no serial correlation, so that the z that the workflow tells, which does, is compared with theirs
where the first lag of the ranks, without its bias, is not significant. Where lags leave no variance
pymannkendall tells NaN, infinity or what rounding makes of it, and we NaN.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cases import run_cases, workplace
from scipy.stats import norm, rankdata

from rockglacier import trend

PEERS = Path(__file__).with_name("snow_peers.py")
SIZE = 500
MUST_DIFFERENCE = 1e-11  # rounding, also of variances that lags nearly undo
MUST_SPEEDUP = 50.0
STEP = 0.01  # of the index, so that values tie
MEMORY, RATE = 0.6, 0.02  # at most: from a value to the next; of the index per year


@dataclass(frozen=True)
class Series:
    """``years``: decimal; ``missing``: share of values; ``pixels`` that peers see."""

    years: np.ndarray
    missing: float
    pixels: int


@dataclass(frozen=True)
class Setting:
    """What the command line asks for."""

    folder: Path
    peers: Path  # Python of their environment
    seed: int
    size: int


Result = dict[str, Any]
MELT_SEASONS = np.arange(2013.0, 2025.0)
CLEAR_DATES = 2013.0 + np.cumsum(np.tile([16.0, 48.0, 32.0], 40)) / 365.25
CASES = {
    "yearly": Series(MELT_SEASONS, 0.0, 3000),
    "gaps": Series(MELT_SEASONS, 0.15, 3000),
    "dates": Series(CLEAR_DATES, 0.0, 2000),
}


def simulate(series: Series, pixels: int, seed: int) -> np.ndarray:
    """Anomalies (pixel, date) that remember the value before, some with a trend, in steps."""
    rng = np.random.default_rng(seed)
    memory = rng.uniform(0.0, MEMORY, pixels)
    out = rng.normal(size=(series.years.size, pixels))
    for date in range(1, len(out)):
        out[date] = memory * out[date - 1] + np.sqrt(1.0 - memory**2) * out[date]
    rate = rng.uniform(-RATE, RATE, pixels) * (rng.random(pixels) < 0.3)
    out = 0.08 * out + rate * (series.years - series.years[0])[:, None]
    out = STEP * np.rint(out / STEP)
    out[rng.random(out.shape) < series.missing] = np.nan
    return np.ascontiguousarray(out.T)


def one_after_another(values: np.ndarray) -> np.ndarray:
    """Known ``values`` (pixel, date) first, in their order."""
    order = np.argsort(~np.isfinite(values), axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1)


def ours(values: np.ndarray, years: np.ndarray, **how: Any) -> tuple[trend.Slope, float]:
    """What we find of ``values`` (pixel, date), and seconds per pixel: the best of three."""
    stack = np.ascontiguousarray(values.T)[:, None]
    trend.theil_sen(stack[:, :, :2], years, **how)  # compiles, once
    seconds = []
    for _ in range(3):
        began = time.process_time()
        found = trend.theil_sen(stack, years, **how)
        seconds.append(time.process_time() - began)
    return trend.Slope(*(part[0] for part in found)), min(seconds) / len(values)


def remembers(values: np.ndarray, years: np.ndarray, rate: float) -> bool:
    """Whether the first lag of the ranks without their line is significant, its bias undone."""
    known = np.isfinite(values)
    rank = rankdata((values - rate * years)[known])
    rank -= rank.mean()
    n, whole = rank.size, rank @ rank
    return bool(whole > 0.0 and (n * (rank[1:] @ rank[:-1]) / whole + 2.0) / (n - 4.0) > n**-0.5)


def largest(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference, of numbers beyond one relative; infinite where one side alone tells."""
    if (np.isfinite(found) != np.isfinite(wanted)).any():
        return float("inf")
    return float(np.nanmax(np.abs(found - wanted) / np.fmax(np.abs(wanted), 1.0), initial=0.0))


def compare(setting: Setting, name: str) -> Result:
    """Both sides on one kind of series."""
    kind = CASES[name]
    pixels = max(kind.pixels, setting.size**2)
    values, years = simulate(kind, pixels, setting.seed), kind.years
    sample = values[: kind.pixels]
    enough = np.isfinite(sample).sum(axis=1) >= trend.MIN_DATES
    peers, seconds = _peers(setting, sample[enough], years)
    told, ours_s = ours(values, years)
    in_order = np.arange(1.0, years.size + 1.0)
    lags, lags_s = ours(one_after_another(values), in_order, memory="lags")
    told, lags = (trend.Slope(*(part[: kind.pixels] for part in side)) for side in (told, lags))
    untold = all(np.isnan(part[~enough]).all() for side in (told, lags) for part in side)
    told, lags = (trend.Slope(*(part[enough] for part in side)) for side in (told, lags))
    z, p, _ = peers["hamed_rao"].T
    z_original, _, rate_original = peers["original"].T
    pairs = zip(sample[enough], peers["slopes"][:, 0], strict=True)
    free = np.array([not remembers(series, years, rate) for series, rate in pairs])
    differences = {
        "slope": largest(told.rate, peers["slopes"][:, 0]),
        "z": largest(lags.z, z),
        "p": largest(2.0 * norm.sf(np.abs(lags.z)), p),
        "q": largest(trend.false_discovery(lags.z), peers["q"]),
        "z_original": largest(told.z[free], z_original[free]),
    }
    if np.ptp(np.diff(years)) == 0.0:  # of irregular dates pymannkendall knows nothing
        differences["slope_pymannkendall"] = largest(told.rate, rate_original)
    # Rate, error and z of ours, by either memory, are a slope with interval and a test of theirs.
    slowest = max(ours_s, lags_s)
    speedup = (seconds["hamed_rao"] + seconds["slopes"]) / slowest
    missed = [key for key, off in differences.items() if not off <= MUST_DIFFERENCE]
    missed += ["speedup"] if speedup < MUST_SPEEDUP else []
    missed += [] if untold else ["too_few_dates"]
    return {
        "dates": years.size, "map_pixels": pixels, "pixels": int(enough.sum()),
        "too_few_dates": int((~enough).sum()), "no_variance": int((~np.isfinite(z)).sum()),
        "without_memory": int(free.sum()),
        **{f"{key}_difference": float(f"{off:.1e}") for key, off in differences.items()},
        "ours_us": round(1e6 * ours_s, 2), "ours_lags_us": round(1e6 * lags_s, 2),
        "pymannkendall_us": round(1e6 * seconds["hamed_rao"], 1),
        "original_us": round(1e6 * seconds["original"], 1),
        "scipy_us": round(1e6 * seconds["slopes"], 1),
        "speedup": round(speedup, 1),
        "speedup_pymannkendall": round(seconds["hamed_rao"] / slowest, 1), "missed": missed,
    }  # fmt: skip


def _peers(
    setting: Setting, values: np.ndarray, years: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """What the peers find of ``values`` (pixel, date), and their seconds per pixel."""
    given, found = (setting.folder / f"{name}.npz" for name in ("series", "found"))
    np.savez(given, values=values, years=years)
    command = [str(setting.peers), str(PEERS), str(given), str(found)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    with np.load(found) as file:
        return dict(file), json.loads(said.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--peers", type=Path, required=True, help="Python with pymannkendall")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=SIZE, help="pixels a side of the map")
    parser.add_argument("--folder", type=Path, help="keep what is made here")
    asked = parser.parse_args()
    with workplace(asked.folder, "bench-snow-") as folder:
        setting = Setting(folder, asked.peers.absolute(), asked.seed, asked.size)
        return run_cases(asked.case, lambda case: compare(setting, case))


if __name__ == "__main__":
    sys.exit(main())
