"""Our side of a benchmark: regions that the workflow itself runs, rule by rule."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from measure import Measured, run

ROOT = Path(__file__).resolve().parents[1]
TRACK = "track"


class Region:
    """A region of one track, its file and its results under ``folder``."""

    def __init__(
        self, name: str, folder: Path, track: dict[str, Any], **settings: dict[str, Any] | str
    ) -> None:
        self.name = name
        self.folder = folder
        self.track = track
        self.settings: dict[str, Any] = dict(settings)
        self.write()

    def write(self) -> None:
        """Write the region's file as it now stands."""
        regions = self.folder / "regions"
        regions.mkdir(parents=True, exist_ok=True)
        content = {"name": self.name, "tracks": {TRACK: self.track}, **self.settings}
        (regions / f"{self.name}.yaml").write_text(yaml.safe_dump(content))

    def path(self, product: str) -> Path:
        """Where ``product`` of the track lies."""
        return self.folder / "results" / self.name / TRACK / product

    def seconds(self, rule: str) -> float:
        """Wall time of the last job of ``rule``: its process, from start to end."""
        with self.path(f"benchmarks/{rule}.tsv").open() as table:
            return float(next(csv.DictReader(table, delimiter="\t"))["s"])

    def again(self, rule: str, product: str) -> Measured:
        """Run ``rule`` once more for ``product``: time of its job, peak of the largest process."""
        whole = make([self], [product], ["--forcerun", rule])
        return Measured(self.seconds(rule), whole.peak_mb)


def make(
    regions: Sequence[Region], products: Sequence[str], options: Sequence[str] = ()
) -> Measured:
    """Run the workflow for ``products`` of the track of every region, all in one folder."""
    folder = regions[0].folder
    targets = [str(region.path(product)) for region in regions for product in products]
    configuration = [
        f"regions={json.dumps([region.name for region in regions])}",
        f"region_folder={folder / 'regions'}",
        f"results={folder / 'results'}",
    ]
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
        *(
            "--directory",
            str(folder),
            "--cores",
            str(os.cpu_count()),
            "--quiet",
            "rules",
            "progress",
            "host",
        ),
        *("--rerun-triggers", "mtime", "params"),
        *options,
        *("--config", *configuration, "--", *targets),
    ]
    return run(command, cwd=folder)
