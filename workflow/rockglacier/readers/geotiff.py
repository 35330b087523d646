"""GeoTIFF pairs found by a file-name pattern (``source: geotiff``).

Sign: the region's file states it. ``phase_sign: 1`` where phase grows as the ground moves away
from the satellite, displacement = -phase wavelength / 4 pi (GAMMA, ISCE2, SNAP with the earlier
date as reference), ``-1`` where it grows toward it (ARIA, ROI_PAC order later-earlier).
Wavelength: ``wavelength_m``, a GAMMA ``parameters`` file, or the tag ``WAVELENGTH_METRES``.
Worked example: ground that moved 10 mm away shows +2.2656 rad at 55.466 mm with sign 1.

Dates come from the tags ``FIRST_DATE``/``SECOND_DATE`` (PyRate) where the file has them, else from
its name. Phase in radians; a tag ``DATA_UNITS`` that says otherwise rules the pair out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from rockglacier.errors import ConfigurationError, SceneError
from rockglacier.readers import gamma
from rockglacier.readers.geometry import read_geometry
from rockglacier.readers.rasters import (
    Header,
    RasterStack,
    different_grid,
    majority,
    read_headers,
)
from rockglacier.readers.stack import NOT_A_DATE, FlawedPair, Pair, Rejected, day, screen

DATE_TAGS = (
    ("FIRST_DATE", "SECOND_DATE"),
    ("REFERENCE_DATE", "SECONDARY_DATE"),
    ("MASTER_DATE", "SLAVE_DATE"),
)
DIRECTIVES = {"Y": r"\d{4}", "y": r"\d{2}", "j": r"\d{3}", "b": r"[A-Za-z]{3}", "B": r"[A-Za-z]+"}


class _Pattern:
    """A file name with ``{reference}``, ``{secondary}`` or ``{date}`` and wildcards."""

    def __init__(self, pattern: str, folder: Path, date_format: str) -> None:
        self.text = str(Path(folder) / pattern)
        digits = re.sub(
            r"%([a-zA-Z])",
            lambda m: DIRECTIVES.get(m[1], r"\d{2}"),
            re.escape(date_format).replace("\\%", "%"),
        )
        expression, seen = "", set()
        for part in re.split(r"(\{\w+\}|\*\*/|\*|\?)", self.text):
            if part.startswith("{"):
                name = part[1:-1]
                if name not in ("reference", "secondary", "date"):
                    raise ConfigurationError(
                        f"pattern {pattern!r} holds {part}; "
                        "{reference} and {secondary} (or {date}) are needed: rename it."
                    )
                expression += f"(?P={name})" if name in seen else f"(?P<{name}>{digits})"
                seen.add(name)
            else:
                wild = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
                expression += wild.get(part, re.escape(part))
        self.names = seen
        self.expression = re.compile(expression)
        # Without wildcards a file of the right form whose dates cannot be read is one of the stack.
        any_text = expression.replace(f">{digits})", ">[^/]*?)")
        self.undated = re.compile("(?!)" if re.search(r"[*?]", Path(pattern).name) else any_text)

    def find(self) -> list[tuple[str, dict[str, str]]]:
        """Files that match, each with the dates that its name states, as text."""
        files = _glob(re.sub(r"\{\w+\}", "*", self.text))
        matches = [(f, self.expression.fullmatch(f) or self.undated.fullmatch(f)) for f in files]
        return [(f, m.groupdict()) for f, m in matches if m]

    def fill(self, dates: Mapping[str, str]) -> str:
        """The one file of a pair whose dates are ``dates``; FlawedPair where there is not one."""
        name = self.text.format(**dates)
        found = _glob(name)
        if len(found) != 1:
            raise FlawedPair(
                name,
                "layer missing" if not found else "layer ambiguous",
                found=f"{len(found)} files",
                needed="one file for each pair",
                remedy="add the file, correct the pattern, or remove the pair",
            )
        return found[0]


def _glob(pattern: str) -> list[str]:
    """Files that match a path with ``*``, ``?`` and ``**/``, sorted."""
    parts = [p if p == "**" else re.sub(r"\*+", "*", p) for p in Path(pattern).parts]
    fixed = next((k for k, p in enumerate(parts) if re.search(r"[*?]", p)), len(parts))
    base, rest = Path(*parts[:fixed]), parts[fixed:]
    if not rest:
        return [str(base)] if base.is_file() else []
    literal = [re.sub(r"\[", "[[]", p) for p in rest]
    return sorted(str(p) for p in base.glob("/".join(literal)))


def find_dated(
    pattern: str, folder: str | Path, date_format: str
) -> list[tuple[str, np.datetime64]]:
    """Files of a pattern with ``{date}`` and the date in each name (NaT where it is none)."""
    how = _Pattern(pattern, Path(folder), date_format)
    if how.names != {"date"}:
        raise ConfigurationError(f"pattern {pattern!r} needs {{date}} and no other name in braces.")
    return [(f, day(d["date"], date_format)) for f, d in how.find()]


def open_geotiff(
    path: str | Path = ".",
    *,
    unwrapped: str,
    coherence: str | None = None,
    component: str | None = None,
    baselines: str | None = None,
    date_format: str = "%Y%m%d",
    wavelength_m: float | None = None,
    phase_sign: int = 1,
    parameters: str | None = None,
    height: str | None = None,
    line_of_sight: Mapping[str, str] | None = None,
    incidence_deg: float | None = None,
    heading_deg: float | None = None,
) -> RasterStack:
    """Open pairs whose files follow patterns with ``{reference}`` and ``{secondary}``.

    Patterns are relative to the folder ``path``. ``baselines`` are GAMMA files, one a pair;
    ``parameters`` is a GAMMA ``.par`` file of one date (wavelength, looks, angles);
    ``height`` (m) and ``line_of_sight`` (``east``, ``north``, ``up``) are rasters on the same grid.
    ConfigurationError where settings contradict the files, SceneError where no pair is found.
    """
    folder = Path(path)
    if phase_sign not in (1, -1):
        raise ConfigurationError(f"phase_sign is {phase_sign!r}; 1 or -1 is needed.")
    pattern = _Pattern(unwrapped, folder, date_format)
    if pattern.names != {"reference", "secondary"}:
        raise ConfigurationError(
            f"unwrapped {unwrapped!r} needs {{reference}} and {{secondary}}, each at least once."
        )
    others = {
        name: _Pattern(text, folder, date_format)
        for name, text in (("coherence", coherence), ("component", component))
        if text
    }
    radar = gamma.read_parameters(folder / parameters) if parameters else {}
    found = pattern.find()
    if not found:
        raise SceneError(
            f"{pattern.text}: no file matches; check path, pattern and date_format {date_format!r}."
        )
    candidates, rejected = [], []
    baseline = _Pattern(baselines, folder, date_format) if baselines else None
    for file, dates in found:
        pair = Pair(
            day(dates["reference"], date_format),
            day(dates["secondary"], date_format),
            file,
            files={"phase": file},
        )
        try:
            files = {"phase": file, **{n: p.fill(dates) for n, p in others.items()}}
            metres = (
                gamma.perpendicular_baseline(baseline.fill(dates), gamma.look_angle(radar))
                if baseline
                else math.nan
            )
        except FlawedPair as flaw:
            rejected.append(Rejected(pair.name, flaw))
            continue
        candidates.append(replace(pair, files=files, perpendicular_baseline_m=metres))
    if baseline and candidates and all(math.isnan(c.perpendicular_baseline_m) for c in candidates):
        raise ConfigurationError(
            f"baselines {baselines!r}: no perpendicular baseline was found in these files; GAMMA "
            "base_perp tables, or .base.par files with parameters (look angle), are needed."
        )
    candidates, headers, unread = read_headers(candidates)
    grid = majority([h.grid for h in headers]) if headers else None
    usable = []
    for pair, header in zip(candidates, headers, strict=True):
        unfit = _tag_flaw(pair.path, header)
        if unfit is None and grid is not None and not grid.coincides(header.grid):
            unfit = different_grid(pair.path, header.grid, grid)
        if unfit is None:
            usable.append(_tagged(pair, header))
        else:
            rejected.append(Rejected(pair.name, unfit))
    kept, undated = screen(usable)
    rejected += unread + undated
    if grid is None:
        raise rejected[0].flaw
    maps = {
        **({"height": str(folder / height)} if height else {}),
        **{k: str(folder / v) for k, v in (line_of_sight or {}).items()},
    }
    scalars = {
        "incidence_deg": _first(incidence_deg, gamma.number(radar, "incidence_angle")),
        "heading_deg": _first(heading_deg, gamma.number(radar, "heading")),
        "slant_range_m": gamma.number(radar, "center_range_slc"),
    }
    return RasterStack(
        "geotiff",
        kept,
        [grid] * len(kept),
        rejected,
        phase_sign=phase_sign,
        zero_is_missing=False,
        geometry=partial(read_geometry, maps, grid, scalars=scalars),
        wavelength_m=_wavelength(wavelength_m, radar, headers),
        looks=gamma.independent_looks(radar),
        native_grid=grid,
    )


def _first(*values: float | None) -> float | None:
    return next((v for v in values if v is not None), None)


def _tagged(pair: Pair, header: Header) -> Pair:
    """The pair with the dates that its tags state, where they state any."""
    for first, second in DATE_TAGS:
        if first in header.tags or second in header.tags:
            return replace(
                pair,
                reference=_tag_date(header.tags.get(first, "")),
                secondary=_tag_date(header.tags.get(second, "")),
            )
    return pair


def _tag_date(text: str) -> np.datetime64:
    digits = re.sub(r"\D", "", text)[:8]
    return day(digits) if len(digits) == 8 else NOT_A_DATE


def _tag_flaw(path: str, header: Header) -> FlawedPair | None:
    units = header.tags.get("DATA_UNITS", header.tags.get("units", "radians")).strip().lower()
    if units.startswith("rad"):
        return None
    return FlawedPair(
        path,
        "phase not in radians",
        found=f"units {units!r} in its tags",
        needed="radians",
        remedy="convert it (degrees times pi/180) and correct the tag",
    )


def _wavelength(given: float | None, radar: Mapping[str, str], headers: list[Header]) -> float:
    tags = [float(h.tags["WAVELENGTH_METRES"]) for h in headers if "WAVELENGTH_METRES" in h.tags]
    stated = {
        "wavelength_m": given,
        "parameters": gamma.wavelength(radar),
        "the tag WAVELENGTH_METRES": float(np.median(tags)) if tags else None,
    }
    values = {k: v for k, v in stated.items() if v is not None}
    if not values:
        raise ConfigurationError(
            "the radar wavelength is stated nowhere; set wavelength_m (Sentinel-1: 0.055465763)."
        )
    if max(values.values()) > 1.01 * min(values.values()):
        raise ConfigurationError(
            "the radar wavelength is stated differently: "
            + ", ".join(f"{v:.6g} m by {k}" for k, v in values.items())
            + "; correct wavelength_m or the file."
        )
    return next(iter(values.values()))
