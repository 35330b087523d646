"""Wall time and peak memory of a command and of every process it starts.

Run as a program it is the launcher: a small process between the benchmark and the command, because
a process inherits the peak of the one that forked it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """Seconds of wall time, and the peak memory (MiB) of the largest process."""

    seconds: float
    peak_mb: float


def run(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None
) -> Measured:
    """Run ``command`` in ``cwd``; RuntimeError with the end of its output where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "measured.json"
        launcher = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(result)]
        with (Path(folder) / "output.txt").open("w+") as output:
            subprocess.run(
                [*launcher, *map(str, command)],
                cwd=cwd,
                env=env,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=True,
            )
            status, seconds, peak_mb = json.loads(result.read_text())
            if status:
                output.seek(0)
                said = output.read()[-4000:]
                raise RuntimeError(f"{' '.join(map(str, command))} ended with {status}:\n{said}")
    return Measured(seconds, peak_mb)


def _launch(result: str, command: list[str]) -> None:
    began = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    measured = [os.waitstatus_to_exitcode(status), time.monotonic() - began, usage.ru_maxrss / 1024]
    Path(result).write_text(json.dumps(measured))


if __name__ == "__main__":
    _launch(sys.argv[1], sys.argv[2:])
