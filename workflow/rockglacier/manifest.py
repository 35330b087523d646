"""What the figures of a paper rest on, frozen: scenes, orbits, checksums, locks, configuration.

What the workflow makes itself, such as a simulated landscape, is listed but not compared: it
follows from the configuration and the rest.

Imports only the standard library: Snakemake itself imports this module, and so do jobs.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from rockglacier import provenance
from rockglacier.errors import ManifestError

logger = logging.getLogger(__name__)

ROOT = provenance.LIBRARY.parents[1]
WHOLE_BYTES = 32 * 2**20
END_BYTES = 2**20
HOW = (
    "SHA-256 of a file; of one beyond 32 MiB (sampled) of its size, first and last MiB, which in a "
    "zip hold the checksums of its members, while a SAFE folder's manifest.safe holds those of its "
    "images; of a folder, of the names and checksums of its files."
)
KEYED, PLACED = ("locks", "configuration"), ("files", "scenes")  # by keys, by places
COMPARED = (*KEYED, *PLACED)
# What tables of scenes and pairs tell of them, where they do.
TOLD = (
    "date", "name", "mission", "satellite", "absolute_orbit", "relative_orbit", "orbit",
    "polarisations", "orbit_kind", "orbit_file", "reference", "secondary",
)  # fmt: skip
LISTED = 12  # differences in a message


def checksum(path: Path, but: frozenset[Path] = frozenset()) -> dict[str, Any]:
    """``bytes``, number of ``files``, how many are ``sampled``, and ``sha256``, as HOW says.

    Hidden files are left out, and so is what ``but`` names, with all below it.
    """
    found = provenance.files(path, but)
    folder = path if path.is_dir() else path.parent
    each = [(name, size, _digest(folder / name, size)) for name, size, _ in found]
    whole = each[0][2] if not path.is_dir() and each else _of(json.dumps(each).encode())
    sampled = sum(size > WHOLE_BYTES for _, size, _ in each)
    total = sum(size for _, size, _ in each)
    return {"sha256": whole, "bytes": total, "files": len(each), "sampled": sampled}


def _of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest(file: Path, size: int) -> str:
    with file.open("rb") as content:
        if size <= WHOLE_BYTES:
            return hashlib.file_digest(content, "sha256").hexdigest()
        ends = content.read(END_BYTES)
        content.seek(size - END_BYTES)
        return _of(str(size).encode() + ends + content.read(END_BYTES))


def files_of(sources: Iterable[Mapping[str, Any]], apart: Iterable[str]) -> dict[str, Any]:
    """Checksums of ``sources`` by place; of a folder, of each file or product in it.

    ``sources`` and ``apart`` are those of a region (:func:`origins.described`). What the workflow
    makes has ``made`` beside it; what of that is not there yet is left out.
    """
    found: dict[str, Any] = {}
    for one in sources:
        source = Path(one["path"])
        but = frozenset() if one["made"] else frozenset(map(Path, apart))
        for entry in _entries(source, but):
            name = str(PurePosixPath(one["place"]) / entry.relative_to(source).as_posix())
            found[name] = checksum(entry, but) | ({"made": True} if one["made"] else {})
    return found


def _entries(path: Path, but: frozenset[Path], *, outermost: bool = True) -> list[Path]:
    """Files and products in a folder; of one that holds folders alone, what those hold."""
    if not path.exists():
        return []
    if not path.is_dir():
        return [path]
    inner = sorted(p for p in path.iterdir() if not p.name.startswith(".") and p not in but)
    if outermost or (inner and all(p.is_dir() for p in inner)):
        return [one for p in inner for one in _entries(p, but, outermost=False)]
    return [path]


def scenes_of(tables: Iterable[str | Path]) -> list[dict[str, str]]:
    """What ``tables`` (scenes.csv, pairs.csv, dates.csv) tell of scenes or pairs, each once.

    ``id`` is the name of the product's file or folder.
    """
    found: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for table in tables:
        with Path(table).open(newline="") as content:
            for row in csv.DictReader(content):
                told = {key: row[key] for key in TOLD if row.get(key)}
                if "orbit_file" in told:
                    told["orbit_file"] = Path(told["orbit_file"]).name
                if row.get("path"):
                    told["id"] = Path(row["path"]).name
                found[tuple(told.items())] = told
    return list(found.values())


def locks() -> dict[str, str]:
    """SHA-256 of the files that pin the environment, by their name in the checkout."""
    files = [ROOT / "requirements.lock", *sorted((ROOT / "envs").glob("*.yaml"))]
    return {path.relative_to(ROOT).as_posix(): _of(path.read_bytes()) for path in files}


def code() -> dict[str, str | None]:
    """Version of the package, digest of its library, and the checkout's commit if there is one."""
    names = [path.relative_to(provenance.LIBRARY).with_suffix("") for path in _modules()]
    modules = [".".join(name.parts).removesuffix(".__init__") for name in names]
    return {
        "version": provenance.version(),
        "library": provenance.digest(*(name for name in modules if name != "__init__")),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted": _git("status", "--porcelain", "--untracked-files=no"),
    }


def _modules() -> list[Path]:
    return sorted(provenance.LIBRARY.rglob("*.py"))


def _git(*command: str) -> str | None:
    """What git says of the checkout; None where it is none, or there is no git."""
    try:
        said = subprocess.run(
            ["git", "-C", str(ROOT), *command], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.rstrip()


def frozen(
    told: Mapping[str, Any],
    *,
    tables: Mapping[str, Mapping[str, Iterable[str | Path]]] | None = None,
    trained: Iterable[str | Path] = (),
) -> dict[str, Any]:
    """The manifest of the settings and sources that :func:`origins.described` tells.

    ``tables``: of each region, by the name of a track or a set, tables of the scenes it used;
    without them the manifest names no scenes. ``trained``: files of models, for the record.
    """
    found: dict[str, Any] = {
        "checksums": HOW, "code": code(), "locks": locks(), "configuration": told["configuration"],
        "files": {
            region: files_of(sources, told["apart"][region])
            for region, sources in told["sources"].items()
        },
    }  # fmt: skip
    found["models"] = {Path(path).stem: checksum(Path(path)) for path in trained}
    if tables is not None:
        found["scenes"] = {
            region: {name: scenes_of(listed) for name, listed in sets.items()}
            for region, sets in tables.items()
        }
    plain: dict[str, Any] = json.loads(json.dumps(found, default=str))
    return plain


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What of ``found`` is not as the frozen manifest ``wanted`` has it, one line each."""
    lines: list[str] = []
    for part in COMPARED:
        if part in found:
            lines += _unlike(part, wanted.get(part, {}), found[part])
    return lines


def _unlike(key: str, wanted: Any, found: Any) -> Iterator[str]:
    if wanted == found or _is_made(wanted) or _is_made(found):
        return
    if _is_checksum(wanted) and _is_checksum(found):
        yield (
            f"{key} has other content: {found['bytes']} bytes, sha256 {found['sha256'][:12]}…; "
            f"frozen {wanted['bytes']} bytes, {wanted['sha256'][:12]}…"
        )
    elif isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for name in sorted({*wanted, *found}):
            inner = f"{key}: {name}" if key.startswith(PLACED) else f"{key}.{name}"
            if name not in found:
                if not _is_made(wanted[name]):
                    yield f"{inner} is frozen, but is not here"
            elif name not in wanted:
                if not _is_made(found[name]):
                    yield f"{inner} is here, but not frozen"
            else:
                yield from _unlike(inner, wanted[name], found[name])
    elif _are_scenes(wanted) and _are_scenes(found):
        yield from (f"{key}: {_scene(one)} is frozen, but not used here"
                    for one in wanted if one not in found)  # fmt: skip
        yield from (f"{key}: {_scene(one)} is used here, but not frozen"
                    for one in found if one not in wanted)  # fmt: skip
    else:
        yield f"{key} is {json.dumps(found)}, frozen {json.dumps(wanted)}"


def _is_checksum(value: Any) -> bool:
    return isinstance(value, Mapping) and "sha256" in value


def _is_made(value: Any) -> bool:
    return _is_checksum(value) and bool(value.get("made"))


def _are_scenes(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)


def _scene(one: Mapping[str, str]) -> str:
    told = [one[k] for k in ("date", "reference", "secondary", "id", "orbit_file") if k in one]
    return " ".join(dict.fromkeys(told))


def read(path: str | Path) -> dict[str, Any]:
    """The manifest at ``path``; ManifestError where it is none."""
    try:
        found = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ManifestError(
            f"manifest {path} cannot be read ({error}); name one that `snakemake paper_figures` "
            "wrote, or none (--config manifest=)."
        ) from error
    missing = [part for part in COMPARED if part not in found]
    if missing:
        raise ManifestError(
            f"manifest {path} lacks {', '.join(missing)}; name one that `snakemake paper_figures` "
            "wrote, or none (--config manifest=)."
        )
    return dict(found)


def check(path: str | Path, found: Mapping[str, Any]) -> None:
    """Refuse what is not as the manifest at ``path`` has it; other code is told of in the log.

    Raises
    ------
    ManifestError
        Scenes, other files, locks or configuration differ; the message names what.
    """
    wanted = read(path)
    lines = differences(wanted, found)
    if lines:
        shown = lines[:LISTED]
        if len(lines) > LISTED:
            shown.append(f"and {len(lines) - LISTED} more")
        raise ManifestError(
            f"this run is not that of the manifest {path}:\n  " + "\n  ".join(shown) + "\n"
            "Restore what is frozen, or run without it (--config manifest=) to freeze anew."
        )
    if wanted["code"]["library"] != found["code"]["library"]:
        logger.warning(
            "the library is not that of the manifest %s (version %s, commit %s): results may "
            "differ",
            path, wanted["code"]["version"], wanted["code"]["commit"],
        )  # fmt: skip
