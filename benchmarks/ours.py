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
SANDBOX = ROOT / "config" / "regions" / "sandbox_insar.yaml"
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
        content = {"name": self.name, "tracks": {TRACK: self.track}, **self.settings}
        write_region(self.folder, self.name, content)

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
    return snakemake(
        regions[0].folder,
        [region.name for region in regions],
        [region.path(product) for region in regions for product in products],
        ["--rerun-triggers", "mtime", "params", *options],
    )


def snakemake(
    folder: Path,
    regions: Sequence[str],
    targets: Sequence[Path] = (),
    options: Sequence[str] = (),
    *,
    cores: int | None = None,
) -> Measured:
    """Run the workflow in ``folder`` on the files of its ``regions/``, into its ``results/``."""
    configuration = [
        f"regions={json.dumps(list(regions))}",
        f"region_folder={folder / 'regions'}",
        f"results={folder / 'results'}",
    ]
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
        *("--directory", str(folder), "--cores", str(cores or os.cpu_count())),
        *("--quiet", "rules", "progress", "host", *options),
        *("--config", *configuration, "--", *map(str, targets)),
    ]
    return run(command, cwd=folder)


def sandbox(folder: Path, name: str, **settings: Any) -> dict[str, Any]:
    """Write the sandbox of raw scenes as the region ``name``, its track with ``settings``."""
    region: dict[str, Any] = yaml.safe_load(SANDBOX.read_text())
    region["tracks"]["ascending"] |= settings
    write_region(folder, name, region)
    return region


def write_region(folder: Path, name: str, region: dict[str, Any]) -> None:
    """Write a region's file."""
    (folder / "regions").mkdir(parents=True, exist_ok=True)
    (folder / "regions" / f"{name}.yaml").write_text(yaml.safe_dump(region))
