"""The inversion against MintPy and against the truth: speed, accuracy, calibration, memory.

Prints one JSON line per case and ends with 1 where a "must" is missed. Our side is the workflow
itself; both sides run in turn on the same stack, several times, and medians are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import peers
import score
import xarray as xr
from cases import run_cases, workplace
from measure import Measured
from ours import ROOT, Region, make

from rockglacier import io, reference, simulation, simulation_alpine, terrain
from rockglacier.conventions import YEAR_DAYS, Reason
from rockglacier.grid import Grid

SCENES = simulation.SCENARIOS
TRIALS = 1000  # size (pixels a side) at which speed is judged


@dataclass(frozen=True)
class Setting:
    """What the command line asks for."""

    folder: Path
    mintpy: peers.MintPy
    seed: int
    size: int
    repeats: int
    quick: bool

    def region(self, scenario: str, size: int, seed: int, **settings: Any) -> Region:
        """The region of a simulated stack; one stack serves every case that names it."""
        track = {"source": "simulated", "scenario": scenario, "seed": seed}
        track |= {"height": size, "width": size}
        # As in every region of rock glaciers: what is even around them is atmosphere.
        settings = {"corrections": {"local_reference": True}} | settings
        return Region(f"{scenario}_{size}_{seed}", self.folder, track, **settings)


Result = dict[str, Any]


def _verdict(figures: Result, **musts: bool | None) -> Result:
    """``figures`` and which musts were missed; None is not judged here."""
    missed = [name for name, met in musts.items() if met is False]
    unjudged = [name for name, met in musts.items() if met is None]
    return figures | {"missed": missed} | ({"not_judged": unjudged} if unjudged else {})


def _compared(ours: list[Measured], theirs: list[Measured]) -> Result:
    ours_s, peer_s = (median(m.seconds for m in side) for side in (ours, theirs))
    return {
        "ours_s": round(ours_s, 3),
        "peer": "MintPy 1.6.4",
        "peer_s": round(peer_s, 3),
        "ratio": round(peer_s / ours_s, 2),
        "peak_mb": round(max(m.peak_mb for m in ours)),
        "peer_peak_mb": round(max(m.peak_mb for m in theirs)),
    }


def _peer_inputs(setting: Setting, region: Region) -> Path:
    """MintPy's inputs for the region's stack, relative to the reference that we use."""
    folder = setting.folder / "mintpy" / region.name
    if not (folder / "inputs" / "geometryGeo.h5").exists():
        stack = io.open_dataset(region.path("unwrapped.zarr"), rows=10**6)
        place = json.loads(region.path("reference.json").read_text())
        offset = reference.reference_phase(stack["phase"], place).values
        geometry = io.open_dataset(region.path("geometry.zarr"))
        peers.write_mintpy(stack.assign(geometry.data_vars), folder, reference_phase=offset)
    return folder


def _speed(setting: Setting, scenario: str, size: int, weighting: str, weight: str) -> Result:
    region = setting.region(
        scenario,
        size,
        setting.seed,
        inversion={"weighting": weighting},
        unwrapping={
            "resolve_motion": False,
            "max_cycles": 0,
        },  # MintPy's program does not correct either
    )
    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(dir=setting.folder)
    make([region], ["cycles.zarr"])
    cold = region.again("invert_network", "inverted.zarr")
    folder = _peer_inputs(setting, region)
    ours, theirs = [], []
    for _ in range(setting.repeats):
        ours.append(region.again("invert_network", "inverted.zarr"))
        theirs.append(setting.mintpy.invert(folder, weight))
    return _compared(ours, theirs) | {"cold_s": round(cold.seconds, 3), "size": size}


def _judge_speed(setting: Setting, figures: Result, must: float) -> Result:
    judged = setting.size >= TRIALS
    return _verdict(figures, faster=figures["ratio"] >= must if judged else None)


def weighted(setting: Setting) -> Result:
    """Weighted inversion, whole process."""
    figures = _speed(setting, "decor", setting.size, "variance", "var")
    return _judge_speed(setting, figures, 10.0)


def gaps(setting: Setting) -> Result:
    """Weighted inversion where a fifth of the samples is missing, whole process."""
    figures = _speed(setting, "gaps", setting.size, "variance", "var")
    return _judge_speed(setting, figures, 10.0)


def unweighted(setting: Setting) -> Result:
    """Unweighted inversion, whole process."""
    figures = _speed(setting, "decor", setting.size, "uniform", "no")
    return _judge_speed(setting, figures, 3.0)


def memory(setting: Setting) -> Result:
    """Peak memory of the weighted inversion of 300 x 300 pixels."""
    figures = _speed(setting, "decor", 300, "variance", "var")
    return _verdict(figures, memory=figures["peak_mb"] <= figures["peer_peak_mb"])


def same_answer(setting: Setting) -> Result:
    """Largest difference of displacement from MintPy's where weights and rank are the same."""
    import h5py

    figures: Result = {}
    for scenario in ("decor", "gaps"):
        region = setting.region(
            scenario,
            300,
            setting.seed,
            inversion={"weighting": "uniform"},
            unwrapping={"resolve_motion": False, "max_cycles": 0},
        )
        make([region], ["inverted.zarr"])
        folder = _peer_inputs(setting, region)
        setting.mintpy.invert(folder, "no")
        ours = io.open_dataset(region.path("inverted.zarr"))
        with h5py.File(folder / "timeseries.h5") as series:
            theirs = series["timeseries"][:]
        # Full rank: the pairs connect all dates.
        full = (ours["reason"] == Reason.OBSERVED) & ours["displacement"].notnull().all("date")
        difference = np.abs(ours["displacement"].values - theirs)[:, full.values]
        figures[f"{scenario}_difference_mm"] = round(1000.0 * float(difference.max()), 6)
        figures[f"{scenario}_full_rank"] = round(float(full.mean()), 4)
    largest = max(v for k, v in figures.items() if k.endswith("mm"))
    return _verdict(figures, same=largest < 0.01)


def _estimated(region: Region) -> xr.Dataset:
    """Our velocity, its error and reason, NaN where nothing is claimed."""
    found = io.read_raster(region.path("velocity.tif"))
    claimed = found["reason"].isin([Reason.OBSERVED, Reason.SUBSETS])
    return found[["velocity", "velocity_error"]].where(claimed).assign(reason=found["reason"])


def _errors(region: Region) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Error less the scene's constant, its stated deviation, and the true velocity (m/yr)."""
    estimate = _estimated(region)
    truth = io.open_dataset(region.path("truth.zarr"))["velocity"].values
    error = score.centred(estimate["velocity"].values - truth)
    return error, estimate["velocity_error"].values, truth


def accuracy(setting: Setting) -> Result:
    """Velocity error of the four scenes, one constant removed from each, against MintPy's."""
    seeds = range(setting.seed, setting.seed + (1 if setting.quick else 3))
    figures: Result = {"peer": "MintPy 1.6.4", "seeds": len(seeds)}
    ours, theirs = {}, {}
    for scenario in SCENES:
        regions = [setting.region(scenario, 300, seed) for seed in seeds]
        make(regions, ["velocity.tif"])
        errors, peer_errors, covered, solved = [], [], [], []
        for region in regions:
            folder = _peer_inputs(setting, region)
            setting.mintpy.invert(folder, "var")
            velocity, sigma = setting.mintpy.velocity(folder)
            error, _, truth = _errors(region)
            peer_error = score.centred(velocity - truth)
            covered.append(score.coverage(peer_error, sigma))
            solved.append([np.isfinite(error).mean(), np.isfinite(peer_error).mean()])
            both = np.isfinite(error) & np.isfinite(peer_error)
            errors.append(score.centred(error[both]))
            peer_errors.append(score.centred(peer_error[both]))
        ours[scenario] = 1000.0 * score.rmse(np.concatenate(errors))
        theirs[scenario] = 1000.0 * score.rmse(np.concatenate(peer_errors))
        figures |= {
            f"{scenario}_rmse_mm_yr": round(ours[scenario], 3),
            f"{scenario}_peer_rmse_mm_yr": round(theirs[scenario], 3),
            f"{scenario}_peer_coverage": round(float(np.mean(covered)), 3),
            f"{scenario}_solved_ours_peer": np.mean(solved, axis=0).round(4).tolist(),
        }
    musts = {f"{s}_no_worse": ours[s] <= theirs[s] for s in SCENES}
    figures["full_over_atmo"] = round(ours["full"] / ours["atmo"], 3)
    return _verdict(figures, **musts, corrected=ours["full"] <= 1.1 * ours["atmo"])


def _bound(setting: Setting, size: int, seed: int) -> np.ndarray:
    """Cramer-Rao bound of the velocity of every pixel of a simulated stack (m/yr)."""
    stack = simulation.simulate_stack("decor", height=size, width=size, seed=seed)
    days = (stack["secondary"] - stack["reference"]).values / np.timedelta64(1, "D")
    coherence = stack["true_coherence"].values
    wavelength_m = stack.attrs["wavelength_m"]
    return score.velocity_bound(coherence, days / YEAR_DAYS, wavelength_m, simulation.LOOKS)


def coverage(setting: Setting) -> Result:
    """Coverage of the 95 % interval and its score, pooled over seeds, all pixels and by class."""
    size, count = (150, 3) if setting.quick else (300, 20)
    seeds = range(setting.seed, setting.seed + count)
    bounds = {seed: _bound(setting, size, seed) for seed in seeds}
    figures: Result = {"seeds": count}
    musts: dict[str, bool | None] = {}
    for scenario in SCENES:
        regions = [setting.region(scenario, size, seed) for seed in seeds]
        make(regions, ["velocity.tif"])
        parts = [_errors(region) for region in regions]
        error, sigma, truth = (
            np.concatenate([p.ravel() for p in x]) for x in zip(*parts, strict=True)
        )
        difficulty = np.concatenate([bounds[seed].ravel() for seed in seeds])
        shares = {"all": score.coverage(error, sigma)}
        classes = score.class_of(truth)
        for index in np.unique(classes):
            here = classes == index
            shares[score.CLASS_NAMES[index]] = score.coverage(error[here], sigma[here])
        ratio = score.score_ratio(error, sigma, difficulty)
        figures[f"{scenario}_coverage"] = {k: round(v, 4) for k, v in shares.items()}
        figures[f"{scenario}_score_ratio"] = round(ratio, 3)
        figures[f"{scenario}_rmse_mm_yr"] = round(1000.0 * score.rmse(error), 3)
        enough = count >= 20
        musts[f"{scenario}_coverage"] = (
            all(0.92 <= v <= 0.98 for v in shares.values()) if enough else None
        )
        musts[f"{scenario}_score"] = ratio <= 1.3 if enough else None
    return _verdict(figures, **musts)


def bound(setting: Setting) -> Result:
    """Velocity error of ``decor`` over the Cramer-Rao bound of its network."""
    region = setting.region("decor", 300, setting.seed)
    make([region], ["velocity.tif"])
    error, _, _ = _errors(region)
    least = score.rmse(_bound(setting, 300, setting.seed)[np.isfinite(error)])
    ratio = score.rmse(error) / least
    figures = {
        "rmse_mm_yr": round(1000.0 * score.rmse(error), 3),
        "bound_mm_yr": round(1000.0 * least, 3),
        "rmse_over_bound": round(ratio, 3),
    }
    return _verdict(figures, efficient=ratio <= 1.10)


def _alpine_stack(folder: Path, seed: int) -> xr.Dataset:
    """Truth of the alpine stack that lies in ``folder`` as MintPy's files and a DEM; made once."""
    truth = folder / "truth.zarr"
    if not truth.exists():
        grid, height = _alpine_relief(seed)
        scene = simulation_alpine.simulate_alpine(height, grid, seed=seed)
        peers.write_mintpy(scene, folder)
        io.write_raster(height.to_dataset(name="elevation"), folder / "dem.tif", grid=grid)
        names = ["velocity", "tongue", "stable_ground", "aliased", "observable"]
        io.write_dataset(scene[names], truth, grid=grid)
    return io.open_dataset(truth)


def _alpine_relief(seed: int) -> tuple[Grid, xr.DataArray]:
    """Relief of 8 km by 8 km about Hochebenkar in the Oetztal Alps; fractal without the data."""
    data = Path(os.environ.get("ROCKGLACIER_DATA") or ROOT.parent / "shared" / "data")
    path = data / "dem" / "oggm_srtm_90m" / "oetztal_alps_srtm90.tif"
    grid = Grid("EPSG:32632", 646_320.0, 5_192_040.0, 40.0, 40.0, 200, 200)
    if path.exists():
        return grid, terrain.elevation(path, grid)
    stream = simulation.stream(seed, simulation.TERRAIN)
    return grid, simulation.fractal_relief(grid, stream)


def alpine(setting: Setting) -> Result:
    """The real problem: what is claimed about aliased, stable and moving pixels."""
    seeds = range(setting.seed, setting.seed + (1 if setting.quick else 3))
    folders = {seed: setting.folder / f"alpine_{seed}" for seed in seeds}
    truths = [_alpine_stack(folder, seed) for seed, folder in folders.items()]
    regions = [
        Region(
            folder.name,
            setting.folder,
            {"source": "mintpy", "path": str(folder / "inputs" / "ifgramStack.h5")},
            dem=str(folder / "dem.tif"),
            corrections={"local_reference": True},
        )
        for folder in folders.values()
    ]
    whole = make(regions, ["velocity.tif"])
    estimates = [_estimated(region) for region in regions]

    def pooled(datasets: list[xr.Dataset], name: str) -> np.ndarray:
        return np.concatenate([d[name].values.ravel() for d in datasets])

    velocity = pooled(estimates, "velocity")
    reach = score.NORMAL_95 * pooled(estimates, "velocity_error")
    claimed = np.isfinite(velocity) & np.isfinite(reach)
    true = pooled(truths, "velocity")
    seen = pooled(truths, "observable") == 1
    tongue = (pooled(truths, "tongue") > 0) & seen
    stable = (pooled(truths, "stable_ground") == 1) & seen
    aliased = (pooled(truths, "aliased") == 1) & seen
    # Confidently slow: even the upper end of the interval lies in a slower class than the truth.
    slow = claimed & (score.class_of(np.abs(velocity) + reach) < score.class_of(true))
    moving = claimed & (np.abs(velocity) > np.maximum(0.01, reach))
    near = np.abs(score.class_of(velocity) - score.class_of(true)) <= 1
    covered = np.abs(velocity - true) <= reach

    def share(what: np.ndarray, among: np.ndarray) -> float | None:
        return round(float(what[among].mean()), 4) if among.any() else None

    by_class = {}
    for index, name in enumerate(score.CLASS_NAMES):
        here = tongue & (score.class_of(true) == index)
        by_class[name] = {
            "pixels": int(here.sum()),
            "observed": share(claimed, here),
            "within_one": share(near, here & claimed),
        }
    figures: Result = {
        "ours_s": round(whole.seconds, 1),
        "seeds": len(seeds),
        "aliased_slow": share(slow, aliased),
        "stable_moving": share(moving, stable & claimed),
        "class_within_one": share(near, tongue & claimed),
        "aliased_pixels": int(aliased.sum()),
        "tongue_observed": share(claimed, tongue),
        "stable_observed": share(claimed, stable),
        "tongue_coverage": share(covered, tongue & claimed),
        "stable_coverage": share(covered, stable & claimed),
        "tongue_by_class": by_class,
    }
    # Without any pixel observed there is nothing to be right about.
    return _verdict(
        figures,
        aliased=figures["aliased_slow"] is None or figures["aliased_slow"] <= 0.02,
        stable=figures["stable_moving"] is not None and figures["stable_moving"] <= 0.01,
        classes=figures["class_within_one"] is not None and figures["class_within_one"] >= 0.85,
    )


def hyp3(setting: Setting) -> Result:
    """HyP3-shaped zips to velocity, whole process, against smallbaselineApp.py."""
    size, count = setting.size, 60
    zips = setting.folder / f"hyp3_{size}_{setting.seed}"
    scene = simulation.simulate_stack("atmo", height=size, width=size, seed=setting.seed)
    short = np.flatnonzero((scene["secondary"] - scene["reference"]).dt.days < 100)[:count]
    scene = scene.isel(pair=short)
    baselines = np.random.default_rng(setting.seed).normal(0.0, 60.0, scene.sizes["date"])
    ends = (np.searchsorted(scene["date"], scene[e]) for e in ("secondary", "reference"))
    secondary, first = ends
    scene["perpendicular_baseline"] = ("pair", baselines[secondary] - baselines[first])
    if not zips.exists():
        with io.atomic(zips) as partial:
            peers.write_hyp3(scene, partial)
    region = Region(
        zips.name,
        setting.folder,
        {"source": "hyp3", "path": str(zips)},
        unwrapping={"resolve_motion": False, "max_cycles": 0},
        corrections={"height": True, "dem_error": True},
    )
    ours, theirs = [], []
    truth = scene["velocity"].values
    folder = setting.folder / "mintpy" / region.name
    for _ in range(setting.repeats):
        shutil.rmtree(setting.folder / "results" / region.name, ignore_errors=True)
        ours.append(make([region], ["velocity.tif"]))
        place = json.loads(region.path("reference.json").read_text())
        centre = (sum(place["rows"]) // 2, sum(place["columns"]) // 2)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        theirs.append(setting.mintpy.from_zips(zips, folder, centre))
    error = _estimated(region)["velocity"].values - truth
    peer_error = peers.read_velocity(folder / "velocity.h5")[0] - truth
    both = np.isfinite(error) & np.isfinite(peer_error)
    figures = _compared(ours, theirs) | {
        "size": size,
        "rmse_mm_yr": round(1000.0 * score.rmse(score.centred(error[both])), 3),
        "peer_rmse_mm_yr": round(1000.0 * score.rmse(score.centred(peer_error[both])), 3),
    }
    return _judge_speed(setting, figures, 3.0)


def large(setting: Setting) -> Result:
    """3000 x 3000 x 115: peak memory of pairs to velocity, and time per pixel at two sizes."""
    sizes = (300, 600) if setting.quick else (1500, 3000)
    rules = (
        "select_network",
        "choose_reference",
        "correct_unwrapping",
        "invert_network",
        "correct_displacement",
        "estimate_velocity",
    )
    figures: Result = {}
    seconds, peaks = [], []
    for size in sizes:
        folder = setting.folder / f"large_{size}"
        track = {"source": "simulated", "scenario": "decor", "seed": setting.seed}
        region = Region("large", folder, track | {"height": size, "width": size})
        make([region], ["unwrapped.zarr", "geometry.zarr", "pairs.csv"])
        whole = make([region], ["velocity.tif"])
        parts = {rule: round(region.seconds(rule), 1) for rule in rules}
        seconds.append(sum(parts.values()))
        peaks.append(whole.peak_mb)
        figures |= {f"seconds_{size}": parts, f"peak_mb_{size}": round(whole.peak_mb)}
        shutil.rmtree(folder)
    growth = seconds[1] / seconds[0] / (sizes[1] / sizes[0]) ** 2
    figures |= {
        "ours_s": round(seconds[1], 1),
        "peak_mb": round(peaks[1]),
        "time_per_pixel_growth": round(growth, 3),
    }
    if setting.quick:
        return _verdict(figures, memory=None, linear=None)
    return _verdict(figures, memory=peaks[1] <= 3e9 / 2**20, linear=growth <= 1.2)


CASES: Mapping[str, Callable[[Setting], Result]] = {
    "weighted": weighted,
    "gaps": gaps,
    "unweighted": unweighted,
    "same-answer": same_answer,
    "accuracy": accuracy,
    "bound": bound,
    "coverage": coverage,
    "alpine": alpine,
    "hyp3": hyp3,
    "memory": memory,
    "large": large,
}


def main() -> int:
    """Run the cases that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--peer", type=Path, default=ROOT / ".peers" / "mintpy-1.6.4")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=TRIALS, help="pixels a side where speed counts")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small and once: a look, no verdict")
    parser.add_argument("--folder", type=Path, help="keep stacks and results here")
    asked = parser.parse_args()
    size, repeats = (300, 1) if asked.quick else (asked.size, asked.repeats)
    with workplace(asked.folder, "bench-inversion-") as folder:
        mintpy = peers.MintPy(asked.peer)
        setting = Setting(folder, mintpy, asked.seed, size, repeats, asked.quick)
        return run_cases(asked.case, lambda case: CASES[case](setting))


if __name__ == "__main__":
    sys.exit(main())
