"""The two engines on the same simulated scenes: phase, coherence, time. Needs ISCE2.

Prints one JSON line, writes its table into a document, and ends with 1 where a "must" is missed.
Both run through the workflow on one core, unfiltered, with looks of about the same ground.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from cases import workplace
from ours import sandbox, snakemake, write_region

from rockglacier import io
from rockglacier.errors import ConfigurationError
from rockglacier.topsstack import installation

ENGINES = ("geocoded", "isce2")
RADAR_LOOKS = (3, 11)  # 42 m by 41 m of level ground; a pixel of the grid has 40 m
COHERENT = 0.6
MUST_RMS_RAD, MUST_COHERENCE = 0.3, 0.03
# Rules that run once a date or once a pair, of each engine. What NESD adds is told apart.
RULES = {
    ("geocoded", "date"): ("geocode_scene",),
    ("isce2", "date"): ("isce2_unpack", "isce2_baseline", "isce2_coregister", "isce2_merge_date"),
    ("isce2", "date, NESD"): ("isce2_overlap", "isce2_misregister_pair", "isce2_misregister"),
    ("geocoded", "pair"): ("interfere_pair",),
    ("isce2", "pair"): (
        *("isce2_interfere", "isce2_merge_pair", "isce2_filter_pair", "isce2_unwrap_pair"),
    ),
}


def main() -> int:
    """Compare, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dates", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep what is made here")
    parser.add_argument("--document", type=Path, help="write the table into this file")
    asked = parser.parse_args()
    try:
        isce2 = installation.find()
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    with workplace(asked.folder, "engines-") as folder:
        results = make(folder, asked.seed, asked.dates)
        pairs = compare(results)
        times = {" per ".join(key): seconds(results, *key) for key in RULES}
    worst = max(pair["phase_rms_rad"] for pair in pairs.values())
    apart = max(
        abs(pair["coherence_geocoded"] - pair["coherence_isce2"]) for pair in pairs.values()
    )
    figures: dict[str, Any] = {
        "case": "engines", "isce2": isce2.version(), "pairs": len(pairs),
        "worst_phase_rms_rad": worst, "worst_coherence_difference": round(apart, 4),
        "seconds": times,
        "missed": [
            *(["phase"] if not worst < MUST_RMS_RAD else []),
            *(["coherence"] if not apart < MUST_COHERENCE else []),
        ],
    }  # fmt: skip
    print(json.dumps(figures))
    if asked.document:
        write(asked.document, table(pairs, times, isce2.version()))
    return int(bool(figures["missed"]))


def make(folder: Path, seed: int, dates: int) -> Path:
    """Simulate scenes and run both engines on them; the folder of the region's results."""
    region = sandbox(folder, "simulated", seed=seed, dates=dates)
    raw = folder / "results" / "simulated" / "ascending" / "raw"
    snakemake(folder, ["simulated"], [raw], cores=1)
    common = {"source": "scenes", "path": str(raw / "scenes"), "orbits": str(raw / "orbits")}
    region |= {"dem": str(raw / "dem.tif"), "dem_datum": "ellipsoid"}
    region["tracks"] = {
        engine: common | {"engine": engine, "radar_looks": list(RADAR_LOOKS)} for engine in ENGINES
    }
    write_region(folder, "engines", region)
    results = folder / "results" / "engines"
    for engine in ENGINES:
        snakemake(folder, ["engines"], [results / engine / "unwrapped.zarr"], cores=1)
    return results


def compare(results: Path) -> dict[str, dict[str, float]]:
    """Phase and coherence of each pair, where both engines find it coherent."""
    stacks = [io.open_dataset(results / engine / "unwrapped.zarr") for engine in ENGINES]
    names = [_names(stack) for stack in stacks]
    found = {}
    for name in sorted(set(names[0]) & set(names[1])):
        ours, theirs = (s.isel(pair=n.index(name)) for s, n in zip(stacks, names, strict=True))
        coherence = [one["coherence"].values for one in (ours, theirs)]
        turn = np.exp(1j * (ours["phase"].values - theirs["phase"].values))
        good = np.isfinite(turn) & (np.minimum(*coherence) >= COHERENT)
        left = np.angle(turn[good] * np.exp(-1j * np.angle(turn[good].sum())))
        both = np.isfinite(coherence[0]) & np.isfinite(coherence[1])
        medians = [float(np.median(one[both])) for one in coherence]
        found[name] = {
            "phase_rms_rad": round(float(np.sqrt(np.mean(left**2))), 4),
            "compared": round(float(good.mean()), 3),
            "coherence_geocoded": round(medians[0], 3),
            "coherence_isce2": round(medians[1], 3),
        }
    return found


def _names(stack: xr.Dataset) -> list[str]:
    ends = [stack[end].values.astype("datetime64[D]") for end in ("reference", "secondary")]
    return [f"{first} {second}" for first, second in zip(*ends, strict=True)]


def seconds(results: Path, engine: str, what: str) -> float:
    """Seconds that the jobs of the rules took, over the number of dates or pairs."""
    total, count = 0.0, set()
    for rule in RULES[engine, what]:
        for file in (results / engine / "benchmarks").glob(f"{rule}_[0-9]*.tsv"):
            with file.open(newline="") as rows:
                total += sum(float(row["s"]) for row in csv.DictReader(rows, delimiter="\t"))
            dates = re.findall(r"\d{8}", file.stem)
            count.add(tuple(dates) if what == "pair" else dates[-1])
    return round(total / max(1, len(count)), 1)


def table(pairs: dict[str, dict[str, float]], times: dict[str, float], version: str) -> str:
    """The comparison in words and numbers."""
    lines = [
        f"ISCE2 {version}; {len(pairs)} pairs of simulated scenes, unfiltered; phase compared where"
        f" both find a coherence of {COHERENT} and more, after one constant a pair.",
        "",
        "| Pair | phase, RMS (rad) | compared | coherence `geocoded` | coherence `isce2` |",
        "|---|---|---|---|---|",
    ]
    for name, one in pairs.items():
        lines.append(
            f"| {name} | {one['phase_rms_rad']:.3f} | {100 * one['compared']:.0f} % "
            f"| {one['coherence_geocoded']:.3f} | {one['coherence_isce2']:.3f} |"
        )
    lines += ["", "| Jobs | s, on one core |", "|---|---|"]
    lines += [f"| `{key.partition(' ')[0]}`{key.partition(' ')[2] and ', '}"
              f"{key.partition(' ')[2]} | {value} |" for key, value in times.items()]  # fmt: skip
    return "\n".join(lines)


def write(document: Path, text: str) -> None:
    """Put ``text`` between the document's marks."""
    whole = document.read_text()
    begin, end = "<!-- engines -->", "<!-- end -->"
    head, _, rest = whole.partition(begin)
    _, _, tail = rest.partition(end)
    document.write_text(f"{head}{begin}\n{text}\n{end}{tail}")


if __name__ == "__main__":
    sys.exit(main())
