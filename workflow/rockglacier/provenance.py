"""What made a product: version, parameters, sources, and a digest of the code."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).parent


def version() -> str:
    """The version of this package, as installed or as ``pyproject.toml`` states it."""
    try:
        return metadata.version("rockglacier")
    except metadata.PackageNotFoundError:
        import tomllib

        project = LIBRARY.parents[1] / "pyproject.toml"
        return str(tomllib.loads(project.read_text())["project"]["version"])


@cache
def _read(module: str) -> tuple[str, tuple[str, ...]]:
    """Digest of ``module`` (dotted, without the package), and the library modules it imports."""
    tree = ast.parse(_source(module).read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rockglacier"):
            parent = (node.module or "").removeprefix("rockglacier").lstrip(".")
            names = [".".join(filter(None, (parent, alias.name))) for alias in node.names]
            found |= {name for name in (parent, *names) if name and _exists(name)}
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(sorted(found))


def _source(module: str) -> Path:
    path = LIBRARY.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _exists(module: str) -> bool:
    return _source(module).exists()


def digest(*modules: str) -> str:
    """Digest of library modules and of all that they import, comments and layout aside.

    Rules carry it as a parameter: Snakemake does not watch what a script imports.
    """
    seen: set[str] = set()
    queue = list(modules)
    while queue:
        module = queue.pop()
        if module not in seen:
            seen.add(module)
            queue += _read(module)[1]
    code = "".join(_read(module)[0] for module in sorted(seen))
    return hashlib.sha256(code.encode()).hexdigest()[:12]


@cache
def files(path: Path, but: frozenset[Path] = frozenset()) -> tuple[tuple[str, int, int], ...]:
    """Name below ``path``, size (bytes) and time of change (ns) of each file there, by name.

    ``path`` is a folder or a file; nothing where it does not exist. Hidden files are left out, and
    so is what ``but`` names, with all below it. Looked up once a process.
    """
    try:
        status = path.stat()
    except OSError:
        return ()
    if not path.is_dir():
        return ((path.name, status.st_size, status.st_mtime_ns),)
    return tuple(sorted(_below(path, "", but, frozenset())))


def _below(
    folder: Path, prefix: str, but: frozenset[Path], within: frozenset[tuple[int, int]]
) -> Iterator[tuple[str, int, int]]:
    """Files below ``folder``, links followed, but not into one of the folders ``within``."""
    try:
        status = folder.stat()
        with os.scandir(folder) as found:
            entries = [e for e in found if not e.name.startswith(".") and Path(e.path) not in but]
    except OSError:  # gone in the meantime, or locked: the reader will say so
        return
    here = (status.st_dev, status.st_ino)
    if here in within:
        return
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _below(Path(entry.path), f"{name}/", but, within | {here})
            continue
        try:
            status = entry.stat()
        except OSError:
            continue
        yield name, status.st_size, status.st_mtime_ns


@cache
def state(paths: tuple[Path, ...], but: frozenset[Path] = frozenset()) -> str:
    """Digest of the names, sizes and times of all :func:`files` of ``paths``.

    Rules carry it as a parameter: of a folder Snakemake watches only when its top level changed.
    """
    found = [files(path, but) for path in paths]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:12]


def record(
    *, parameters: Mapping[str, Any] | None = None, sources: Iterable[str | Path] = ()
) -> dict[str, str]:
    """Attributes that say what made a product; every writer attaches them."""
    return {
        "made_by": f"rockglacier {version()}",
        "parameters": json.dumps(parameters or {}, default=str, sort_keys=True),
        "sources": json.dumps([str(s) for s in sources]),
    }
