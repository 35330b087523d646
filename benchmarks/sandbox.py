"""The main job against the whole truth: simulated landscapes, every block of ground held out once.

Prints one JSON line per case and ends with 1 where a "must" is missed. ``held-out`` pools seeds:
objects, pixels, the best technique alone, motion, and labels that were dealt anew; intervals are of
a bootstrap of blocks of ground, alike for both sides. ``transfer`` maps another mountain range with
the model of the first seed. These are made without the track of raw scenes and without figures, and
those that ``--folder`` holds are only scored; ``main`` is the main job as it is, timed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import measure
import numpy as np
import xarray as xr
from cases import run_cases, workplace

from rockglacier import evaluation, io
from rockglacier.conventions import MAP, ROCK_GLACIERS, Kind
from rockglacier.fusion import training, validation
from rockglacier.fusion.labels import rasterised
from rockglacier.fusion.selection import Limits
from rockglacier.grid import Grid

ROOT = Path(__file__).parents[1]
REGION = (ROOT / "config" / "regions" / "sandbox.yaml").read_text()
SEEDS = (0, 1, 2, 3, 4)
# The Karakoram beside the Baltoro: another seed, other mountains, no training.
BALTORO = {
    "Sandbox, a simulated landscape of known truth (Ötztal Alps)": "Baltoro, for transfer",
    "[10.79, 46.755, 11.06, 46.94]": "[76.15, 35.65, 76.38, 35.84]",
    "oetztal_alps_srtm90.tif": "baltoro_karakoram_srtm90.tif",
}
BLOCK_M = 2000.0  # of ground that is drawn anew as one
SIZES_KM2 = (0.05, 0.1, 0.2)  # between classes of size
MUSTS = {
    "object_f1": 0.80, "macro_f1": 0.70, "pr_auc": 0.80, "over_best": 0.05, "activity": 0.85,
    "velocity_class": 0.75, "velocity_class_within_one": 0.98,
}  # fmt: skip
MOST_CALIBRATION, MOST_SECONDS = 0.05, 900.0
CHANCE = 3.0  # times the prevalence that labels dealt anew may reach

Result = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What the command line asks for."""

    folder: Path
    seeds: Sequence[int]
    transfer_seed: int


def _region(
    setting: Setting, name: str, text: str, products: Sequence[str], models: Result | None = None
) -> Path:
    """The folder of ``products`` of the region ``text``, made if they are not there."""
    results, files = setting.folder / "results", setting.folder / "regions"
    files.mkdir(exist_ok=True)
    path = files / f"{name}.yaml"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    wanted = [results / name / product for product in products]
    if not all(one.exists() for one in wanted):
        _run(setting.folder, wanted, name, results, files, models)
    return results / name


def _run(
    folder: Path, targets: Sequence[Path], region: str, results: Path, files: Path,
    models: Result | None = None,
) -> float:  # fmt: skip
    """Seconds that the workflow takes for ``targets``, or for all, of ``region``."""
    own = {"regions": region, "results": str(results), "region_folder": str(files)}
    # In a file: a command line's nested values would all be text.
    config = folder / f"{region}_config.yaml"
    config.write_text(json.dumps({**own, "models": models} if models else own))
    command = [
        sys.executable, "-m", "snakemake", *targets, "--snakefile", ROOT / "Snakefile",
        "--directory", folder, "--cores", "2", "--quiet", "progress", "rules",
        "--configfile", config,
    ]  # fmt: skip
    return measure.run(command, cwd=folder).seconds


def main_job(setting: Setting) -> Result:
    """The region ``sandbox`` as it is, anew, and its inventory beside the truth."""
    folder = setting.folder / "main"
    folder.mkdir()
    seconds = _run(folder, [], "sandbox", folder, ROOT / "config" / "regions")
    truth = json.loads((folder / "sandbox" / "truth.json").read_text())
    found = {name: truth[name] for name in ("found", "missed", "false")}
    missed = ["seconds"] if seconds > MOST_SECONDS else []
    return {"seconds": round(seconds), **found, "missed": missed}


def _seeded(setting: Setting, seed: int) -> Path:
    name = f"sandbox_{seed}"
    text = _text(seed).replace("model: sandbox", f"model: {name}")
    how = {"regions": [name], "select": False, "bootstraps": 10}
    products = ["evaluation.json", "truth.json", "held_out.tif", "labels.gpkg", "samples.zarr"]
    return _region(setting, name, text, products, {name: how})


def _text(seed: int) -> str:
    """The region file of the sandbox with another seed, without its track of raw scenes."""
    text, count = re.subn(r"  piece:.*?\n(?=\S)", "", REGION, flags=re.S)
    if not count or "landscape:\n" not in text:
        raise RuntimeError("config/regions/sandbox.yaml holds no track 'piece', or no landscape.")
    return text.replace("landscape:\n", f"landscape:\n  seed: {seed}\n", 1)


@dataclass(frozen=True)
class Blocks:
    """Hits, false and missed objects (block, 3) of each side, in one order of blocks."""

    counts: dict[str, np.ndarray]

    @classmethod
    def of(cls, evaluations: Sequence[Result]) -> Blocks:
        sides = sorted(set.intersection(*(set(e["sides"]) for e in evaluations)))
        found: dict[str, dict[tuple[int, int, int], np.ndarray]] = {side: {} for side in sides}
        for k, document in enumerate(evaluations):
            for side in sides:
                objects = document["sides"][side]["objects"]
                told = [(one["place"], 0 if one["found"] else 2) for one in objects["each"]]
                told += [(place, 1) for place in objects["false_places"]]
                for (x, y), what in told:
                    block = k, int(x // BLOCK_M), int(y // BLOCK_M)
                    found[side].setdefault(block, np.zeros(3))[what] += 1.0
        every = sorted(set().union(*(set(of) for of in found.values())))
        return cls({
            side: np.array([of.get(block, np.zeros(3)) for block in every])
            for side, of in found.items()
        })  # fmt: skip

    def f1(self, side: str) -> tuple[float, float, float]:
        """F1 of objects and its 95 % interval."""
        own = self.counts[side]
        rows = np.random.default_rng(0).integers(0, len(own), (2000, len(own)))
        drawn = [_f1(own[r], r) for r in rows]
        low, high = np.nanquantile(drawn, (0.025, 0.975))
        return _f1(own, rows[0]), float(low), float(high)

    def difference(self, side: str, other: str) -> tuple[float, float, float]:
        return evaluation.paired_bootstrap(_f1, self.counts[side], self.counts[other])


def _f1(counts: np.ndarray, _: np.ndarray) -> float:
    hits, false, missed = counts.sum(axis=0)
    return float(2.0 * hits / (2.0 * hits + false + missed)) if hits else 0.0


def _pixels(folders: Sequence[Path], map_name: str) -> Result:
    """Scores of the maps of all regions as one."""
    kinds = [int(kind) for kind in Kind]
    matrix, truth, told = np.zeros((len(kinds), len(kinds))), [], []
    for folder in folders:
        grid = Grid.load(folder / "grid.json")
        labels = geopandas.read_file(folder / "labels.gpkg")
        _, kind = rasterised(labels, grid)
        maps = io.read_raster(folder / map_name)
        P = maps["probability"].transpose(*MAP).values
        named = maps if "kind" in maps else io.read_raster(folder / "classes.tif")
        seen = np.isfinite(P)
        matrix += evaluation.confusion(kind[seen], named["kind"].values[seen].astype(int), kinds)
        truth.append(np.isin(kind[seen], [int(k) for k in ROCK_GLACIERS]))
        told.append(P[seen])
    found = evaluation.agreement(matrix)
    found |= evaluation.foretold(np.concatenate(truth), np.concatenate(told))
    names = ("macro_f1", "overall_accuracy", "balanced_accuracy", "kappa", "pr_auc", "prevalence",
             "roc_auc", "brier", "calibration_error")  # fmt: skip
    return {name: round(found[name], 4) for name in names}


def _recalls(rows: Sequence[Result], key: str, edges: Sequence[float]) -> Result:
    """Found of all, by classes of ``key`` between ``edges``."""
    which = np.digitize([row[key] for row in rows], edges)
    bounds = [0.0, *edges, np.inf]
    return {
        f"{bounds[k]:g} to {bounds[k + 1]:g}": "{} of {}".format(
            sum(row["found"] for row, one in zip(rows, which, strict=True) if one == k),
            int((which == k).sum()),
        )
        for k in range(len(bounds) - 1)
    }


def _motion(truths: Sequence[Result]) -> Result:
    """Shares of objects of the inventories whose motion is told right, with intervals."""
    rows = [row for truth in truths for row in truth["each"] if "told_speed" in row]
    tests: dict[str, Callable[[Result], bool]] = {
        "activity": lambda row: row["right_activity"],
        "velocity_class": lambda row: row["classes_off"] == 0,
        "velocity_class_within_one": lambda row: row["classes_off"] <= 1,
    }
    out: Result = {"with_velocity": len(rows)}
    for name, right in tests.items():
        hits = sum(right(row) for row in rows)
        out[name] = round(hits / max(1, len(rows)), 4)
        out[f"{name}_95"] = [round(v, 3) for v in evaluation.wilson(hits, len(rows))]
    return out


def _at_chance(folder: Path) -> Result:
    """What held-out maps are worth where kinds of objects were dealt anew among places."""
    product = {folder.name: io.open_dataset(folder / "samples.zarr")}
    samples, techniques = training.read_samples(product)
    how = training.How(limits=Limits(), bootstraps=0, select=False)
    rng = np.random.default_rng(0)
    grid, labels = Grid.load(folder / "grid.json"), geopandas.read_file(folder / "labels.gpkg")
    factors = io.open_dataset(folder / "factors.zarr", rows=min(256, grid.height))
    kinds = samples["kind"].to_numpy().copy()
    block = np.floor(samples[["x", "y"]].to_numpy() / BLOCK_M).astype(int)
    names, of = np.unique(block, axis=0, return_inverse=True)
    # Samples keep their neighbours: whole blocks change places.
    here = np.argsort(of.ravel(), kind="stable")
    kinds[here] = kinds[np.argsort(rng.permutation(len(names))[of.ravel()], kind="stable")]
    dealt = samples.assign(kind=kinds)
    told = validation.held_out(
        dealt, validation.alone(techniques)[validation.FUSION], how, factors, labels, grid,
        block_m=json.loads((folder / "evaluation.json").read_text())["block_m"],
    )  # fmt: skip
    _, truth = rasterised(labels, grid)
    P = told.maps["probability"].transpose(*MAP).values
    seen = np.isfinite(P)
    is_glacier = np.isin(truth[seen], [int(k) for k in ROCK_GLACIERS])
    found = evaluation.foretold(is_glacier, P[seen])
    return {name: round(found[name], 4) for name in ("pr_auc", "prevalence", "roc_auc")}


def held_out(setting: Setting) -> Result:
    """All seeds as one."""
    folders = [_seeded(setting, seed) for seed in setting.seeds]
    evaluations, truths = (
        [json.loads((folder / name).read_text()) for folder in folders]
        for name in ("evaluation.json", "truth.json")
    )
    blocks = Blocks.of(evaluations)
    f1 = {side: blocks.f1(side) for side in blocks.counts}
    alone = {side: value for side, value in f1.items() if side != validation.FUSION}
    best = max(alone, key=lambda side: alone[side][0])
    over = blocks.difference(validation.FUSION, best)
    every = [
        {**own, **{k: row[k] for k in ("speed",)}}
        for document, truth in zip(evaluations, truths, strict=True)
        for own in document["sides"][validation.FUSION]["objects"]["each"]
        for row in truth["each"] if row["name"] == own["name"]
    ]  # fmt: skip
    pixels, motion, chance = (
        _pixels(folders, "held_out.tif"),
        _motion(truths),
        _at_chance(folders[0]),
    )
    whole, low, high = f1[validation.FUSION]
    result: Result = {
        "seeds": list(setting.seeds), "object_f1": round(whole, 4),
        "object_f1_95": [round(low, 3), round(high, 3)],
        "objects": blocks.counts[validation.FUSION].sum(axis=0).astype(int).tolist(),
        "best_alone": best, "best_alone_f1": round(alone[best][0], 4),
        "over_best": round(over[0], 4), "over_best_95": [round(v, 3) for v in over[1:]],
        **pixels, **motion, "labels_dealt_anew": chance,
        "recall_by_kind": {
            kind: _recalls([r for r in every if r["kind"] == kind], "area_km2", [])["0 to inf"]
            for kind in sorted({row["kind"] for row in every})
        },
        "recall_by_km2": _recalls(every, "area_km2", SIZES_KM2),
        "recall_by_m_yr": _recalls(every, "speed", (0.01, 0.03, 0.1, 0.3, 1.0)),
    }  # fmt: skip
    missed = [name for name, least in MUSTS.items() if result[name] < least]
    missed += ["calibration_error"] if result["calibration_error"] > MOST_CALIBRATION else []
    missed += ["chance"] if chance["pr_auc"] > CHANCE * chance["prevalence"] else []
    return result | {"missed": missed}


def transfer(setting: Setting) -> Result:
    """Another range with the model of the first seed; labels serve scores alone."""
    _seeded(setting, setting.seeds[0])
    text = _text(setting.transfer_seed)
    for old, new in BALTORO.items():
        if old not in text:
            raise RuntimeError(f"config/regions/sandbox.yaml no longer holds {old!r}.")
        text = text.replace(old, new)
    model = setting.folder / "results" / "models" / f"sandbox_{setting.seeds[0]}.skops"
    text = text.replace("model: sandbox", f"model_file: {model}")
    folder = _region(setting, "baltoro", text, ["truth.json", "probability.tif", "labels.gpkg"])
    truth = json.loads((folder / "truth.json").read_text())
    return {
        "seed": setting.transfer_seed,
        **{name: truth[name] for name in ("found", "missed", "false")},
        "object_f1": round(truth["f1"], 4), "object_f1_95": [round(v, 3) for v in truth["f1_95"]],
        **_pixels([folder], "probability.tif"), **_motion([truth]),
        "recall_by_m_yr": _recalls(truth["each"], "speed", (0.01, 0.03, 0.1, 0.3, 1.0)),
        "missed": [],
    }  # fmt: skip


CASES = {"main": main_job, "held-out": held_out, "transfer": transfer}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--transfer-seed", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep what is made here")
    arguments = parser.parse_args()
    with workplace(arguments.folder, "sandbox_") as folder:
        setting = Setting(folder, arguments.seeds, arguments.transfer_seed)
        with xr.set_options(keep_attrs=True):
            return run_cases(arguments.case, lambda case: CASES[case](setting))


if __name__ == "__main__":
    sys.exit(main())
