"""Offset tracking against OpenPIV and OpenCV on pairs of known motion, and on years of scenes.

Prints one JSON line per case and ends with 1 where a "must" is missed. On pairs all sides match the
same images in the same run, on chips of 32 pixels every 16, with a search of 6 pixels either way.
``rock-glaciers`` runs the workflow on simulated Landsat scenes and ``yahtse`` on real ones;
``large`` matches two files of a full scene's size; ``workers`` compares one worker with two.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr
from cases import run_cases, workplace
from scipy.ndimage import distance_transform_edt, map_coordinates

from rockglacier import io, simulation_pairs
from rockglacier.atmosphere import robust_fit, scatter
from rockglacier.configuration import data_folder
from rockglacier.conventions import YEAR_DAYS
from rockglacier.offsets.reasons import Reason
from rockglacier.offsets.screening import screened
from rockglacier.offsets.sizes import combined
from rockglacier.offsets.tracking import Matching, track
from rockglacier.optical.scene import open_raster, shown
from rockglacier.simulation_optical import simulate_landsat

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
MUST_NMAD, MUST_TRUNK_M = 0.12, 150.0
LANDSAT_PIXEL_M = 15.0
PUBLISHED_OUTLIER_M = 60.0
MUST_MB, MUST_LARGE_MB, MUST_GROWTH, MUST_SPEEDUP = 600, 3000, 1.2, 1.7
LARGE = 10  # times the pair a side
# Ten summers; days differ as the sky allows.
SUMMERS = [f"{year}-08-{day:02d}" for year, day in
           zip(range(2014, 2024), (4, 12, 7, 20, 15, 3, 9, 24, 11, 6), strict=True)]  # fmt: skip
MUST_BIAS, MUST_LIMIT, MUST_FALSE, MUST_COVERAGE = 0.10, 0.30, 0.01, (0.92, 0.98)
NAMED = {"ours": "this project", "opencv": "OpenCV, parabola", "openpiv": "OpenPIV, multipass"}
FAST_TONGUE = 0.5  # m/yr, of which the bias is judged
ROOT = Path(__file__).parents[1]
REGION = """\
name: Simulated rock glaciers
dem: scenes/dem.tif
stable_ground: scenes/stable.gpkg
images:
  landsat: {source: landsat, path: scenes}
offsets: {chips: [12, 16, 20], max_velocity_m_per_year: 3}
"""

Result = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What the command line asks for."""

    folder: Path
    peers: Path  # Python of their environment
    seed: int
    size: int
    figures: Path | None


def _pair(kind: str, moved: xr.Dataset, seed: int) -> xr.Dataset:
    make = {"optical": simulation_pairs.optical_pair, "radar": simulation_pairs.radar_pair}[kind]
    return make(moved, seed=seed)


def _ours(pair: xr.Dataset, how: Matching) -> tuple[xr.Dataset, float]:
    """What our side finds, and how long that took."""
    began = time.perf_counter()
    with dask.config.set(scheduler="threads", num_workers=WORKERS):
        sizes = screened(track(pair["reference"], pair["secondary"], how).compute(), how.search)
        found = combined(sizes, ["reason"])
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
        figures["curve"] = _by_tenth(error[matched], truth[matched], 1)
    else:
        size, rate = np.linalg.norm(error, axis=-1), np.linalg.norm(truth, axis=-1)
        # Of one component, as of the ramps.
        figures["moving"] = _rms(size[matched & (rate > MOVING)] / np.sqrt(2.0))
        figures["stable"] = _rms(size[matched & (rate < STABLE)] / np.sqrt(2.0))
    return figures


def _rms(values: np.ndarray) -> float:
    return round(float(np.sqrt(np.mean(values**2))), 4)


def _by_tenth(error: np.ndarray, truth: np.ndarray, axis: int) -> np.ndarray:
    """Median error along an axis in each tenth of a pixel's fraction."""
    tenth = np.floor(10.0 * (truth[:, axis] % 1.0)).astype(int)
    return np.array([np.median(error[tenth == t, axis]) for t in range(10)])


def _lock(error: np.ndarray, truth: np.ndarray) -> list[float]:
    """Along either axis the largest of these."""
    return [float(np.abs(_by_tenth(error, truth, axis)).max()) for axis in (0, 1)]


def _draw_locks(path: Path, case: str, curves: dict[str, np.ndarray]) -> None:
    """Median error by the fraction of a pixel that the ground moved, of all sides."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for k, (name, curve) in enumerate(curves.items()):
        style = {"color": "black", "lw": 2.0} if name == "ours" else {"color": f"C{k}", "lw": 1.2}
        axes.plot(0.05 + 0.1 * np.arange(10), curve, marker="o", ms=3, label=NAMED[name], **style)
    axes.axhline(0.0, color="0.7", lw=0.8, zorder=0)
    axes.set_xlabel("Fraction of a pixel that the ground moved")
    axes.set_ylabel("Median error (pixels)")
    axes.set_title(f"{case.replace('-', ' ')}: bias toward whole pixels", loc="left", fontsize=9)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=200)


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
    curves = {"ours": figures.pop("curve", None)}
    for name, peer in _peers(setting, file).items():
        judged = _judged(case, peer.pop("offsets"), peer.pop("places"), moved)
        curves[name] = judged.pop("curve", None)
        figures[name] = judged | peer
    if setting.figures and field == "ramp":
        _draw_locks(setting.figures / f"lock_{kind}.png", case, curves)
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


def _run(region: str, regions: Path, folder: Path) -> tuple[Path, float]:
    """Products of a region by the workflow, and the seconds that it took."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--cores", str(WORKERS), "--quiet", "all", "--config"]
    command += [f"regions={region}", f"region_folder={regions}", f"results={folder / 'results'}"]
    subprocess.run(command, check=True, cwd=ROOT, stdout=sys.stderr)
    return folder / "results" / region, time.perf_counter() - began


def rock_glaciers(setting: Setting) -> Result:
    """Ten summers of scenes of narrow tongues, from files to velocity by the workflow."""
    folder = setting.folder / "rock"
    truth = simulate_landsat(folder / "scenes", size=500, dates=SUMMERS, seed=setting.seed)
    (folder / "rock.yaml").write_text(REGION)
    region, seconds = _run("rock", folder, folder)
    figures = _series_judged(
        io.read_raster(region / "offsets" / "landsat" / "velocity.tif"),
        io.read_raster(region / "velocity.tif"), truth,
    )  # fmt: skip
    low, high = MUST_COVERAGE
    missed = [
        name
        for name, holds in {
            "bias": abs(figures["bias"]) <= MUST_BIAS,
            "detection_limit": figures["detection_limit"] <= MUST_LIMIT,
            "false_motion": figures["false_motion"] <= MUST_FALSE,
            "coverage_stable": low <= figures["coverage_stable"] <= high,
            "coverage_tongues": low <= figures["coverage_tongues"] <= high,
        }.items()
        if not holds
    ]
    return figures | {"seconds": round(seconds, 1), "missed": missed}


def _series_judged(rates: xr.Dataset, joined: xr.Dataset, truth: xr.Dataset) -> Result:
    """Velocities (m/yr) of the workflow against those of the simulation."""
    at = {"y": rates.y, "x": rates.x}
    # Of a place that lies between four pixels, all of which have to be of one tongue.
    number = truth["tongue"].interp(at, method="nearest")
    core = distance_transform_edt(truth["tongue"].values > 0)
    core = truth["tongue"].copy(data=core).interp(at)
    true = {name: truth[name].interp(at) for name in ("east", "north")}
    speed = np.hypot(true["east"], true["north"])
    along = sum(rates[name] * true[name] for name in true) / speed
    seen = rates["east"].notnull() & rates["north"].notnull()
    ratios, weights = [], []
    for k in np.unique(number.values[number.values > 0]):
        width = float(core.where(number == k).max())
        inside = (number == k) & (core >= 0.5 * width) & seen
        if int(inside.sum()) >= 5 and float(speed.where(inside).median()) >= FAST_TONGUE:
            ratios.append(float((along / speed).where(inside).mean()))
            weights.append(2.0 * width)
    stable = (rates["stable_ground"] > 0) & seen
    tongues = (core >= 2.0) & seen
    covered = {
        name: float(np.mean([
            (abs(rates[k] - true[k]) < 1.96 * rates[f"{k}_error"]).where(where).mean()
            for k in ("east", "north")
        ]))
        for name, where in (("stable", stable), ("tongues", tongues))
    }  # fmt: skip
    rest = np.hypot(rates["east"], rates["north"]).where(stable)
    known = joined["velocity"].notnull() & stable
    narrow = np.array(weights) < np.median(weights)
    return {
        "tongues": len(ratios),
        "bias": round(float(np.median(ratios)) - 1.0, 4),
        "bias_narrow": round(float(np.median(np.array(ratios)[narrow])) - 1.0, 4),
        "bias_wide": round(float(np.median(np.array(ratios)[~narrow])) - 1.0, 4),
        "ratio_p10_p90": [round(float(q), 3) for q in np.percentile(ratios, (10, 90))],
        "observed": round(float(seen.mean()), 3),
        "observed_tongues": round(float(seen.where(core >= 2.0).mean()), 3),
        "detection_limit": round(float(rates["detection_limit"].where(stable).median()), 4),
        "stable_speed_p95": round(float(rest.quantile(0.95)), 4),
        "false_motion": round(float(known.sum() / stable.sum()), 4),
        "coverage_stable": round(covered["stable"], 4),
        "coverage_tongues": round(covered["tongues"], 4),
    }


def yahtse(setting: Setting) -> Result:
    """The region ``yahtse``, and its offsets against those that others made of the same pair.

    Those are not the truth: not filtered, and their east has the opposite sign (see their README).
    Robust slopes over ice that moves are compared, and the scatter about them.
    """
    region, seconds = _run("yahtse", ROOT / "config" / "regions", setting.folder / "yahtse")
    rates = io.read_raster(region / "offsets" / "landsat8" / "velocity.tif")
    days = 16.0
    moved = {name: rates[name] * days / YEAR_DAYS for name in ("east", "north")}  # metres
    stable = rates["stable_ground"] > 0
    figures: Result = {"seconds": round(seconds, 1)}
    speed = np.hypot(moved["east"], moved["north"])
    for name in moved:
        rest = moved[name].where(stable).values
        nmad = float(scatter(rest[np.isfinite(rest)][None])[0]) / LANDSAT_PIXEL_M
        figures[f"stable_nmad_{name}_px"] = round(nmad, 4)
        reference = _published(name, rates)
        ice = (speed > 20.0).values & np.isfinite(reference)
        ours, theirs = moved[name].values[ice], reference[ice]
        close = np.abs(ours - theirs) < PUBLISHED_OUTLIER_M
        (slope,) = robust_fit(theirs[close][:, None], ours[close][None])
        figures[f"slope_{name}"] = round(float(slope[0]), 3)
        figures[f"scatter_{name}_m"] = round(float(scatter((ours - theirs * slope[0])[None])[0]), 2)
        figures["places"] = int(ice.sum())
    trunk = speed.sel(x=slice(478_500.0, 481_000.0), y=slice(6_672_000.0, 6_667_500.0))
    figures["trunk_m"] = round(float(trunk.quantile(0.9)), 1)
    missed = [n for n in ("stable_nmad_east_px", "stable_nmad_north_px") if figures[n] > MUST_NMAD]
    return figures | {"missed": missed + (["trunk_m"] if figures["trunk_m"] < MUST_TRUNK_M else [])}


def _published(name: str, rates: xr.Dataset) -> np.ndarray:
    """The published offsets of one component (m in 16 days, positive toward ``name``) at places."""
    folder = data_folder() / "optical" / "carst_yahtse_landsat8"
    raster = io.read_raster(folder / f"2016200_2016216_r32x32_s32x32_{name}xyz.tif")
    values = raster[next(iter(raster))]
    values = values.where(values > -30_000.0) * (-1.0 if name == "east" else 1.0)
    found = values.reindex(y=rates.y, x=rates.x, method="nearest", tolerance=120.0)
    return np.asarray(found.values)


def _write_pair(folder: Path, pair: xr.Dataset, times: int) -> list[Path]:
    """Two single-band files of ``pair`` laid side by side so many times, in blocks."""
    import rasterio
    from rasterio.windows import Window

    size = pair.sizes["y"]
    profile = {
        "driver": "GTiff", "dtype": "uint16", "count": 1, "crs": "EPSG:32632",
        "height": times * size, "width": times * size, "tiled": True, "compress": "deflate",
        "transform": rasterio.transform.from_origin(500_000.0, 5_200_000.0, 15.0, 15.0),
    }  # fmt: skip
    paths = [folder / f"{name}_{times}.tif" for name in ("reference", "secondary")]
    for path in paths:
        numbers = np.rint(10.0 * pair[path.stem.split("_")[0]].values).astype(np.uint16)
        with rasterio.open(path, "w", **profile) as target:
            for i in range(times):
                for j in range(times):
                    target.write(numbers, 1, window=Window(j * size, i * size, size, size))
    return paths


def _match_files(paths: list[Path], workers: int) -> tuple[float, float, int]:
    """Seconds, peak memory (MB) and places of one pair of files; in a process of its own."""
    images = [shown(open_raster(path), None) for path in paths]
    with dask.config.set(scheduler="threads", num_workers=workers):
        part = [image.isel(y=slice(0, 400), x=slice(0, 400)) for image in images]
        track(*part, MATCHING["optical"]).compute()  # compiles, or loads what is compiled
        began = time.perf_counter()
        found = combined(screened(track(*images, MATCHING["optical"]).compute(), 6), ["reason"])
        seconds = time.perf_counter() - began
    peak = _peak_mb()
    return seconds, peak, int(found["reason"].size)


def _peak_mb() -> float:
    """Most memory that this process held; that of getrusage counts its parent's too."""
    status = Path("/proc/self/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024.0


def _in_process(paths: list[Path], workers: int) -> tuple[float, float, int]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_match_files, paths, workers).result()


def large(setting: Setting) -> Result:
    """Peak memory, and time per place, of the pair and of one a hundred times its size."""
    pair = _pair("optical", simulation_pairs.displacement("ramp", setting.size), setting.seed)
    seconds, peak, places = _in_process(_write_pair(setting.folder, pair, 1), WORKERS)
    much, most, many = _in_process(_write_pair(setting.folder, pair, LARGE), WORKERS)
    growth = (much / many) / (seconds / places)
    missed = [
        name
        for name, holds in {
            "peak_mb": peak <= MUST_MB,
            "large_mb": most <= MUST_LARGE_MB,
            "growth": growth <= MUST_GROWTH,
        }.items()
        if not holds
    ]
    return {
        "peak_mb": round(peak), "large_mb": round(most), "seconds": round(seconds, 2),
        "large_seconds": round(much, 1), "places": places, "large_places": many,
        "time_per_place_growth": round(growth, 3), "missed": missed,
    }  # fmt: skip


def workers(setting: Setting) -> Result:
    """How much faster two workers are than one: the best of three runs each."""
    pair = _pair("optical", simulation_pairs.displacement("ramp", setting.size), setting.seed)
    paths = _write_pair(setting.folder, pair, 1)
    times = {n: min(_in_process(paths, n)[0] for _ in range(3)) for n in (1, 2)}
    speedup = times[1] / times[2]
    return {
        "one_s": round(times[1], 2), "two_s": round(times[2], 2), "speedup": round(speedup, 2),
        "missed": ["speedup"] if speedup < MUST_SPEEDUP else [],
    }  # fmt: skip


CASES = {"rock-glaciers": rock_glaciers, "yahtse": yahtse, "large": large, "workers": workers}
NAMES = [*MUSTS, *CASES]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--peers", type=Path, required=True, help="Python with OpenPIV and OpenCV")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=SIZE, help="pixels a side")
    parser.add_argument("--folder", type=Path, help="keep what is made here")
    parser.add_argument("--figures", type=Path, help="draw lock curves into this folder")
    arguments = parser.parse_args()
    with workplace(arguments.folder, "offsets_") as folder:
        setting = Setting(
            folder, arguments.peers.absolute(), arguments.seed, arguments.size, arguments.figures
        )

        def run(case: str) -> Result:
            return CASES[case](setting) if case in CASES else accuracy(setting, case)

        return run_cases(arguments.case, run)


if __name__ == "__main__":
    sys.exit(main())
