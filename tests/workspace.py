"""A folder to run the whole workflow in, on small regions of known motion."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
REGION = """\
name: {name}
tracks:
  t1: {{source: simulated, scenario: full, height: 48, width: 40, seed: {seed}}}
"""


@dataclass
class Workspace:
    """A folder with regions and results of its own, and Snakemake to run there."""

    folder: Path
    snakemake: list[str] = field(default_factory=lambda: [sys.executable, "-m", "snakemake"])
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        """Where products go."""
        return self.folder / "results"

    def write(self, region: str, text: str) -> None:
        """Write a region file."""
        (self.folder / f"{region}.yaml").write_text(text)

    def start(self, *options: str, regions: str) -> subprocess.Popen[str]:
        """Start Snakemake on ``regions``; what it prints can be read from ``stdout``."""
        command = [
            *self.snakemake,
            *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(self.folder), *options),
            *("--config", f"regions={regions}", f"region_folder={self.folder}"),
            f"results={self.results}",
        ]
        if "--profile" not in options:
            command += ["--cores", "2"]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *options: str, regions: str = "alpha,beta", check: bool = True) -> str:
        """Run Snakemake on ``regions``; what it printed. Without ``check`` it must fail."""
        with self.start(*options, regions=regions) as running:
            said, _ = running.communicate()
        if check and running.returncode:
            raise AssertionError(f"snakemake ended with {running.returncode}:\n{said[-8000:]}")
        if not check and not running.returncode:
            raise AssertionError("snakemake was expected to fail")
        return said

    def planned(self, *options: str, regions: str = "alpha,beta") -> dict[str, list[str]]:
        """What a run would do, by region: the messages of its jobs."""
        text = self.run("--dry-run", *options, regions=regions)
        found: dict[str, list[str]] = {}
        for region, message in re.findall(r"Job \d+: (\w+)(?:/\w+)?: (.+)", text):
            found.setdefault(region, []).append(message)
        assert found or "Nothing to be done" in text, text
        return found
