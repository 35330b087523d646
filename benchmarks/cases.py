"""The cases that a command line names: one JSON line each, and whether a "must" is missed."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def workplace(kept: Path | None, prefix: str) -> Iterator[Path]:
    """The folder ``kept``, or a temporary one."""
    # Snakemake marks each folder that a rule makes.
    warnings.filterwarnings("ignore", message=".*snakemake_timestamp")
    folder = (kept or Path(tempfile.mkdtemp(prefix=prefix))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if kept is None:
            shutil.rmtree(folder)


def run_cases(names: Sequence[str], run: Callable[[str], dict[str, Any]]) -> int:
    """Print what ``run`` finds for each name; 1 where something is ``missed``."""
    failed = False
    for name in names:
        result = run(name)
        failed |= bool(result["missed"])
        print(json.dumps({"case": name, **result}), flush=True)
    return int(failed)
