"""Offset tracking against OpenPIV and OpenCV on pairs of known motion: accuracy, locking, time.

Prints one JSON line per case and ends with 1 where a "must" is missed. All sides match the same
images in the same run, on chips of 32 pixels every 16, with a search of 6 pixels either way.
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

import dask
import numpy as np
import xarray as xr
from cases import run_cases, workplace
from scipy.ndimage import map_coordinates

from rockglacier import simulation_pairs
from rockglacier.offsets.screening import screened
from rockglacier.offsets.tracking import Matching, Reason, track

PEERS = Path(__file__).with_name("offset_peers.py")
SIZE = 1500
WORKERS = 2
EDGE = 2  # rows of places left out along the edges, where some sides have none
# Places that move, and that do not (pixels); errors beyond a pixel are not matches.
MOVING, STABLE, MISMATCH = 0.3, 0.05, 1.0
MATCHING = {
    "optical": Matching(chips=(16, 32)),
    "radar": Matching(chips=(32,), prefilter="wallis"),
}
# Largest error (pixels) by case: RMSE along x and lock of ramps; RMSE of moving and stable places.
MUSTS = {
    "optical-ramp": {"rmse_x": 0.010, "lock": 0.010},
    "radar-ramp": {"rmse_x": 0.040, "lock": 0.015},
    "optical-tongues": {"moving": 0.034, "stable": 0.019},
    "radar-tongues": {"moving": 0.100, "stable": 0.053},
}
MUST_SECONDS = 2.5
MUST_VALID = 0.97

Result = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What the command line asks for."""

    folder: Path
    peers: Path  # Python of their environment
    seed: int
    size: int


def _pair(kind: str, moved: xr.Dataset, seed: int) -> xr.Dataset:
    make = {"optical": simulation_pairs.optical_pair, "radar": simulation_pairs.radar_pair}[kind]
    return make(moved, seed=seed)


def _ours(pair: xr.Dataset, how: Matching) -> tuple[xr.Dataset, float]:
    """What our side finds, and how long that took."""
    began = time.perf_counter()
    with dask.config.set(scheduler="threads", num_workers=WORKERS):
        found = screened(track(pair["reference"], pair["secondary"], how).compute(), how.search)
    return found, time.perf_counter() - began


def _judged(case: str, offsets: np.ndarray, places: np.ndarray, moved: xr.Dataset) -> Result:
    """Figures of ``offsets`` (place y, place x, 2; rows, columns) at ``places`` (rows, columns)."""
    truth = np.stack([map_coordinates(moved[name].values, places, order=1)
                      for name in ("rows", "columns")], -1)  # fmt: skip
    inner = (slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    error, truth = (offsets - truth)[inner], truth[inner]
    valid = np.isfinite(error).all(axis=-1)
    matched = valid & (np.abs(error) < MISMATCH).all(axis=-1)
    figures: Result = {
        "valid": round(float(valid.mean()), 4),
        "mismatched": round(float((valid & ~matched).mean()), 5),
    }
    if case.endswith("ramp"):
        for axis, name in enumerate("yx"):
            figures[f"rmse_{name}"] = _rms(error[matched][:, axis])
        figures["lock"] = round(max(_lock(error[matched], truth[matched])), 4)
    else:
        size, rate = np.linalg.norm(error, axis=-1), np.linalg.norm(truth, axis=-1)
        # Of one component, as of the ramps.
        figures["moving"] = _rms(size[matched & (rate > MOVING)] / np.sqrt(2.0))
        figures["stable"] = _rms(size[matched & (rate < STABLE)] / np.sqrt(2.0))
    return figures


def _rms(values: np.ndarray) -> float:
    return round(float(np.sqrt(np.mean(values**2))), 4)


def _lock(error: np.ndarray, truth: np.ndarray) -> list[float]:
    """Along either axis the largest median error in any tenth of a pixel's fraction."""
    tenth = np.floor(10.0 * (truth % 1.0)).astype(int)
    return [
        max(abs(float(np.median(error[tenth[:, k] == t, k]))) for t in range(10)) for k in (0, 1)
    ]


def accuracy(setting: Setting, case: str) -> Result:
    """One field on one kind of image."""
    kind, field = case.split("-")
    moved = simulation_pairs.displacement("ramp" if field == "ramp" else "tongues", setting.size)
    pair = _pair(kind, moved, setting.seed)
    how = MATCHING[kind]
    _ours(pair.isel(y=slice(0, 400), x=slice(0, 400)), how)  # compiles, once
    found, seconds = _ours(pair, how)
    rows = -found["y"].values
    places = np.stack(np.meshgrid(rows, found["x"].values, indexing="ij"))
    offsets = np.stack([-found["north"].values, found["east"].values], -1)
    figures = _judged(case, offsets, places, moved)
    z = _deviations(found, moved, places)
    figures |= {
        "ours_s": round(seconds, 2),
        "places": int(found["reason"].size),
        "observed": int((found["reason"] == Reason.OBSERVED).sum()),
        "z_deviation": round(float(z.std()), 3),
        "coverage": round(float((np.abs(z) < 1.96).mean()), 4),
    }
    file = setting.folder / "pair.npz"
    images = [np.abs(pair[name].values) for name in ("reference", "secondary")]
    np.savez(file, reference=images[0], secondary=images[1])
    for name, peer in _peers(setting, file).items():
        judged = _judged(case, peer.pop("offsets"), peer.pop("places"), moved)
        figures[name] = judged | peer
    missed = [name for name, most in MUSTS[case].items() if figures[name] > most]
    missed += ["time"] if seconds > MUST_SECONDS and setting.size == SIZE else []
    missed += ["valid"] if field == "ramp" and figures["valid"] < MUST_VALID else []
    return figures | {"missed": missed}


def _deviations(found: xr.Dataset, moved: xr.Dataset, places: np.ndarray) -> np.ndarray:
    """Errors over their stated deviations."""
    parts = []
    for name, axis, sign in (("north", "rows", -1.0), ("east", "columns", 1.0)):
        truth = sign * map_coordinates(moved[axis].values, places, order=1)
        parts.append((found[name].values - truth) / found[f"{name}_error"].values)
    z = np.concatenate([part.ravel() for part in parts])
    return np.asarray(z[np.isfinite(z)])


def _peers(setting: Setting, file: Path) -> dict[str, Result]:
    """What OpenPIV and OpenCV find in the images of ``file``, each timed in its own process."""
    found: dict[str, Result] = {}
    for name in ("opencv", "openpiv"):
        out = setting.folder / f"{name}.npz"
        said = subprocess.run(
            [setting.peers, PEERS, name, file, out], check=True, capture_output=True, text=True
        )
        values = np.load(out)
        found[name] = json.loads(said.stdout.splitlines()[-1])
        found[name] |= {"offsets": values["offsets"], "places": values["places"]}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs="+", choices=list(MUSTS), default=list(MUSTS))
    parser.add_argument("--peers", type=Path, required=True, help="Python with OpenPIV and OpenCV")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=SIZE, help="pixels a side")
    parser.add_argument("--folder", type=Path, help="keep what is made here")
    arguments = parser.parse_args()
    with workplace(arguments.folder, "offsets_") as folder:
        setting = Setting(folder, arguments.peers.absolute(), arguments.seed, arguments.size)
        return run_cases(arguments.case, lambda case: accuracy(setting, case))


if __name__ == "__main__":
    sys.exit(main())
