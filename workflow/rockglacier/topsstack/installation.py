"""An ISCE2 that is installed: where its topsStack lies, and how its programs are run."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rockglacier.errors import ConfigurationError, SceneError

logger = logging.getLogger(__name__)

Command = list[str]

THREADS = "{threads}"  # in a command: those of the job
MARK = "stackSentinel.py"  # of topsStack's folder
PROBE = "import isce, isceobj, numpy, osgeo.gdal, os; print(os.path.dirname(isce.__file__))"
LAST_LINES = 12  # of a program's output, shown where it fails


@dataclass(frozen=True)
class Installation:
    """Folder of topsStack's programs, the Python that imports ISCE2, and ISCE2's own folder."""

    programs: Path
    python: str
    home: Path

    def run(
        self, commands: Sequence[Command], folder: Path, output: Path, *, threads: int, seconds: int
    ) -> None:
        """Run ``commands`` in ``folder`` one after the other; what they print goes to ``output``.

        Raises
        ------
        SceneError
            One ended with an error, or took longer than ``seconds``: programs that start others
            may wait for ever for one that died.
        """
        for command in commands:
            name, *arguments = (word.replace(THREADS, str(threads)) for word in command)
            own = Path(__file__).parent / name
            program = own if own.exists() else self.programs / name
            began = time.monotonic()
            with output.open("ab") as log:
                log.write(f"\n+ {' '.join([name, *arguments])}\n".encode())
                log.flush()
                start = log.tell()
                try:
                    ended = subprocess.run(
                        [self.python, program, *arguments], cwd=folder, stdout=log,
                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                        env=self._environment(threads), timeout=seconds, check=False,
                    ).returncode  # fmt: skip
                except subprocess.TimeoutExpired:
                    ended = None
            if ended != 0:
                with output.open("rb") as log:
                    log.seek(start)
                    said = log.read().decode(errors="replace").splitlines()[-LAST_LINES:]
                what = f"ended with {ended}" if ended is not None else f"ran beyond {seconds} s"
                raise SceneError(
                    f"ISCE2's {name} {what} in {folder}; all it said is in {output}, at last:\n  "
                    + "\n  ".join(said)
                )
            logger.info("%s: %.0f s", name, time.monotonic() - began)

    def version(self) -> str:
        """ISCE2's version."""
        command = [self.python, "-c", "import isce; print(isce.__version__)"]
        environment = self._environment(1)
        asked = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return asked.stdout.split()[-1]

    def _environment(self, threads: int) -> dict[str, str]:
        """The variables that topsStack's programs need, which its package does not set.

        Programs that start processes of their own would each start as many threads, and those
        wait for each other busily: forty times slower where cores are shared.
        """
        applications = self.home / "applications"
        path = [self.programs, applications, Path(self.python).parent]
        modules = [self.programs.parent, self.home.parent, applications, self.home / "components"]
        variables = dict(os.environ)
        for name, places in (("PATH", path), ("PYTHONPATH", modules)):
            variables[name] = os.pathsep.join([*map(str, places), variables.get(name, "")])
        variables |= {"ISCE_HOME": str(self.home), "ISCE_STACK": str(self.programs.parent)}
        variables |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
        return variables


def of_job(log: str | Path, *, threads: int, minutes: int) -> Callable[[Sequence[Command]], None]:
    """What runs commands for the job whose log is ``<track>/logs/<name>.log``.

    In ``<track>/isce2``, as long as the job may; what they print goes beside the log, to ``.txt``.
    """
    return partial(
        find().run,
        folder=Path(log).parents[1] / "isce2",
        output=Path(log).with_suffix(".txt").absolute(),
        threads=threads,
        seconds=60 * minutes,
    )


def find() -> Installation:
    """The ISCE2 of the job's environment: topsStack on PATH, below ISCE_STACK or in conda's prefix.

    ConfigurationError where there is none.
    """
    places = [Path(found).parent for found in [shutil.which(MARK)] if found]
    places += [Path(root) / "topsStack" for root in [os.environ.get("ISCE_STACK")] if root]
    places.append(Path(sys.prefix) / "share" / "isce2" / "topsStack")
    programs = next((place for place in places if (place / MARK).is_file()), None)
    if programs is None:
        raise ConfigurationError(
            f"engine isce2: no {MARK} on PATH, below ISCE_STACK or in {sys.prefix}; ISCE2 2.6 is "
            "needed: run with --sdm conda, or install it (conda-forge: isce2)."
        )
    for python in _pythons():
        asked = subprocess.run(
            [python, "-c", PROBE], capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if asked.returncode == 0:
            return Installation(programs, python, Path(asked.stdout.split()[-1]))
    raise ConfigurationError(
        f"engine isce2: topsStack lies in {programs}, but no python3 on PATH imports isce, numpy "
        "and osgeo.gdal; the one that ISCE2 was installed for is needed: put it on PATH, with "
        "PYTHONPATH as ISCE2's installation says."
    )


def _pythons() -> Iterator[str]:
    """Interpreters to ask: this one, then each ``python3`` on PATH."""
    seen = {sys.executable}
    yield sys.executable
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        place = str(Path(folder) / "python3")
        if place not in seen and os.access(place, os.X_OK):
            seen.add(place)
            yield place
