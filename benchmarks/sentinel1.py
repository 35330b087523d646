"""Raw Sentinel-1 scenes against the truth: geometry, phase, backscatter, memory, time.

Prints one JSON line per case and ends with 1 where a "must" is missed. What tests measure (case
``bars``) is what they record; the other cases run the workflow or a whole burst.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from cases import run_cases, workplace
from measure import run
from ours import ROOT, sandbox, snakemake

from rockglacier import io

DATA = Path(os.environ.get("ROCKGLACIER_DATA") or ROOT.parent / "shared" / "data")
BARS = {
    "reflectors": "test_simulation_acquisitions.py::test_corner_reflectors_lie_where_they_stand",
    "pair": "test_simulation_acquisitions.py::test_a_pair_shows_the_motion_and_nothing_else",
    "baseline-simulated": "test_simulation_acquisitions.py::test_the_baseline_is_the_one_put_in",
    "backscatter": "test_simulation_acquisitions.py::test_backscatter_is_the_one_put_in",
    "backscatter-grd": "test_sentinel1_detected.py::"
    "test_backscatter_of_detected_images_is_the_one_put_in",
    "reflectors-grd": "test_sentinel1_ground_range.py::test_reflectors_lie_where_they_stand",
    "interpolation": "test_sentinel1_geocoding.py::test_band_limited_noise_is_interpolated",
    "deramp": "test_sentinel1_geometry.py::test_the_carrier_of_real_tops_pixels_is_removed",
    "baselines": "test_sentinel1_geometry.py::"
    "test_perpendicular_baselines_are_those_of_the_far_field_formula",
    "amsterdam": "test_sentinel1_interferogram.py::"
    "test_a_real_pair_is_coherent_and_loses_a_third_by_a_pixel",
    "slopes": "test_sentinel1_radiometry.py::test_gamma_nought_of_slopes_is_level",
}
TONGUES_M_YR = (0.03, 0.30)  # of the bar on what is found


@dataclass(frozen=True)
class Setting:
    """What the command line asks for."""

    folder: Path
    seed: int


Result = dict[str, Any]


def bars(setting: Setting) -> Result:
    """What the tests of the bars record, and which of them fail or are skipped."""
    report = setting.folder / "bars.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--quiet",
        f"--junitxml={report}",
        "-o",
        "junit_family=xunit1",
    ]
    command += [f"tests/{test}" for test in BARS.values()]
    try:
        run(command, cwd=ROOT)
    except RuntimeError:
        if not report.exists():
            raise
    found: Result = {"missed": [], "skipped": []}
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    for name, test in BARS.items():
        for case in cases:
            if str(case.get("name")).partition("[")[0] != test.partition("::")[2]:
                continue
            for state, tags in (("missed", ("failure", "error")), ("skipped", ("skipped",))):
                if any(case.find(tag) is not None for tag in tags) and name not in found[state]:
                    found[state].append(name)
            for one in case.iter("property"):
                key, value = str(one.get("name")), abs(float(str(one.get("value"))))
                values = found.setdefault(name, {})
                values[key] = round(max(value, values.get(key, 0.0)), 5)
    return found


def simulator(setting: Setting) -> Result:
    """Twelve dates of simulated scenes: under three minutes on two cores."""
    folder = setting.folder / "scenes"
    seconds = _workflow(folder, setting.seed, ["raw"])
    return {"seconds": round(seconds, 1), "missed": [] if seconds < 180.0 else ["time"]}


def stack(setting: Setting) -> Result:
    """Raw scenes to velocity: time on two cores, coverage of the truth, tongues that are found."""
    folder = setting.folder / "stack"
    seconds = _workflow(folder, setting.seed, ["velocity.tif"], whole=True)
    track = folder / "results" / "sandbox" / "ascending"
    velocity = io.read_raster(track / "velocity.tif")
    truth = io.open_dataset(track / "truth.zarr")
    off = (velocity["velocity"] - truth["velocity"]).values
    seen = np.isfinite(off)
    off = off - np.median(off[seen & (truth["stable_ground"].values > 0)])
    inside = np.abs(off) <= 1.96 * velocity["velocity_error"].values
    tongues = truth["tongue"].values
    found, sought = [], []
    for one in np.unique(tongues[tongues > 0]):
        here = tongues == one
        rate = float(
            truth["velocity"].values[here][np.argmax(np.abs(truth["velocity"].values[here]))]
        )
        if not TONGUES_M_YR[0] <= abs(rate) * 1.001 <= TONGUES_M_YR[1] * 1.01:
            continue
        sought.append(round(rate, 3))
        usable = here & seen
        moving = np.abs(velocity["velocity"].values) > 3.0 * velocity["velocity_error"].values
        found.append(bool(usable.sum() > 0.5 * here.sum() and moving[usable].mean() > 0.3))
    figures: Result = {
        "seconds": round(seconds, 1),
        "coverage": round(float(inside[seen].mean()), 4),
        "rmse_mm_yr": round(1000.0 * float(np.sqrt(np.mean(off[seen] ** 2))), 2),
        "rmse_of_tongues_mm_yr": round(
            1000.0 * float(np.sqrt(np.mean(off[seen & (tongues > 0)] ** 2))), 2
        ),
        "observed": round(float(seen.mean()), 4),
        "tongues_m_yr": sought,
        "found": found,
    }
    musts = {
        "time": seconds < 360.0,
        "coverage": 0.92 <= figures["coverage"] <= 0.98,
        "tongues": bool(found) and all(found),
    }
    return figures | {"missed": [name for name, met in musts.items() if not met]}


def burst(setting: Setting) -> Result:
    """A full burst of a real product's shape: memory, time per pixel of a half and all, disk."""
    folder = setting.folder / "burst"
    folder.mkdir(parents=True, exist_ok=True)
    source = next((DATA / "sar" / "s1_iw3_slc_subset_azores").glob("*.xml"))
    pace, figures = [], {}
    for share in (0.5, 1.0):
        program = [sys.executable, ROOT / "benchmarks" / "one_burst.py", source, folder, str(share)]
        measured = run(program, cwd=folder)
        said = json.loads((folder / f"said_{share}.json").read_text())
        pace.append(said["seconds"] / said["pixels"])
        figures = said | {"peak_mb": round(measured.peak_mb)}
    figures["time_per_pixel_growth"] = round(pace[1] / pace[0], 3)
    program = [sys.executable, ROOT / "benchmarks" / "one_burst.py", source, folder, "pair"]
    measured = run(program, cwd=folder)
    figures |= json.loads((folder / "said_pair.json").read_text())
    figures |= {"pair_peak_mb": round(measured.peak_mb)}
    musts = {
        "memory": figures["peak_mb"] < 2.5e9 / 2**20,
        "linear": figures["time_per_pixel_growth"] < 1.2,
    }
    return figures | {"missed": [name for name, met in musts.items() if not met]}


def _workflow(folder: Path, seed: int, products: list[str], *, whole: bool = False) -> float:
    """Seconds of the workflow on the sandbox of raw scenes, on two cores."""
    sandbox(folder, "sandbox", seed=seed)
    track = folder / "results" / "sandbox" / "ascending"
    began = time.monotonic()
    snakemake(folder, ["sandbox"], [] if whole else [track / p for p in products], cores=2)
    return time.monotonic() - began


CASES: Mapping[str, Callable[[Setting], Result]] = {
    "bars": bars,
    "simulator": simulator,
    "stack": stack,
    "burst": burst,
}


def main() -> int:
    """Run the cases that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep what is made here")
    asked = parser.parse_args()
    with workplace(asked.folder, "bench-sentinel1-") as folder:
        setting = Setting(folder, asked.seed)
        return run_cases(asked.case, lambda case: CASES[case](setting))


if __name__ == "__main__":
    sys.exit(main())
