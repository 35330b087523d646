"""The readers by name: what a track's ``source`` opens."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

from rockglacier.errors import ConfigurationError
from rockglacier.readers.stack import Stack

READERS = {name: f"open_{name}" for name in ("geotiff", "hyp3", "licsar", "isce2", "mintpy")}


def open_stack(source: str, path: str | Path, **options: Any) -> Stack:
    """Open the interferograms in ``path`` with the reader ``source``; values stay unread.

    ``options`` are the reader's own (``readers.<source>.open_<source>``). ConfigurationError for
    an unknown reader or option, SceneError where nothing usable is found.
    """
    if source not in READERS:
        raise ConfigurationError(
            f"source {source!r} is no reader of interferograms; {', '.join(READERS)} are."
        )
    reader = getattr(importlib.import_module(f"rockglacier.readers.{source}"), READERS[source])
    parameters = inspect.signature(reader).parameters
    known = [n for n in parameters if n != "path"]
    unknown = sorted(set(options) - set(known))
    needed = [n for n in known if parameters[n].default is inspect.Parameter.empty]
    missing = sorted(set(needed) - set(options))
    if unknown or missing:
        raise ConfigurationError(
            f"source {source} "
            + (f"does not take {', '.join(unknown)}" if unknown else f"needs {', '.join(missing)}")
            + f"; it takes {', '.join(known) or 'only path'}."
        )
    stack: Stack = reader(path, **options)
    return stack
