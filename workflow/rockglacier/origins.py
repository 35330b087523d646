"""Settings and sources of regions, named so that they are the same on every machine.

A place is told from the folder of real data, from the results, or from the region's file. Imports
as little as :mod:`configuration`: Snakemake itself imports this module.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rockglacier.configuration import DATA, LANDSCAPE, Settings, data_folder, source_paths


def described(
    regions: Mapping[str, Settings], models: Mapping[str, Settings], results: str | Path
) -> dict[str, Any]:
    """What :mod:`manifest` freezes of ``regions`` and ``models``, as plain values.

    ``configuration``: settings as resolved, whose paths are places; of each region ``sources``,
    files and folders with ``path``, ``place`` and whether the workflow has ``made`` them, and
    ``apart``, paths that may lie in them without being part.
    """
    results = Path(results)
    return {
        "configuration": {
            "regions": {name: _settings(keys, results) for name, keys in regions.items()},
            "models": {name: dict(keys) for name, keys in models.items()},
        },
        "sources": {name: _sources(keys, results) for name, keys in regions.items()},
        "apart": {name: [str(results.absolute()), keys["file"]] for name, keys in regions.items()},
    }


def place(path: str | Path, region: Settings, results: Path) -> str:
    """The name of ``path`` that is the same on every machine."""
    path, folder = Path(path).absolute(), Path(region["file"]).parent
    made = results.absolute() / Path(region["file"]).stem / LANDSCAPE
    for base, name in ((made, LANDSCAPE), (results.absolute(), "<results>"), (data_folder(), DATA)):
        if path.is_relative_to(base):
            return f"{name}/{path.relative_to(base).as_posix()}".removesuffix("/.")
    return Path(os.path.relpath(path, folder)).as_posix()


def _settings(region: Settings, results: Path) -> Settings:
    """The settings of a region, whose paths are places."""

    def portable(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(k): portable(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [portable(v) for v in value]
        if isinstance(value, str) and _is_path(value, results):
            return place(value, region, results)
        return value

    return {str(k): portable(v) for k, v in region.items()} | {"file": Path(region["file"]).name}


def _is_path(text: str, results: Path) -> bool:
    """Settings come with absolute paths, but of what is made below ``results``."""
    return Path(text).is_absolute() or Path(text).is_relative_to(results)


def _sources(region: Settings, results: Path) -> list[dict[str, Any]]:
    """Files and folders that a region's settings name, and what readers find beside them."""
    paths = [path for track in region["tracks"].values() for path in source_paths(track)]
    others = {k: v for k, v in region.items() if k not in ("tracks", "file", "name")}
    paths += [Path(text) for text in _texts(others) if _is_path(text, results)]
    return [
        {"path": str(path), "place": place(path, region, results),
         "made": path.is_relative_to(results.absolute())}
        for path in dict.fromkeys(path.absolute() for path in paths)
    ]  # fmt: skip


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value
