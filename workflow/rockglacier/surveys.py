"""Surveyed blocks on rock glaciers: positions become velocities of blocks and of profiles.

The reference that velocities from space are compared with: a block is surveyed again and again,
and moves between two surveys by the mean velocity of that time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rockglacier.conventions import YEAR_DAYS
from rockglacier.errors import SceneError

POSITIONS = ["line", "block", "date", "east", "north", "up"]


def read_positions(
    path: str | Path,
    *,
    date: str,
    block: str,
    line: str,
    east: str,
    north: str,
    up: str,
    crs: str,
) -> pd.DataFrame:
    """Surveyed positions from a table or vector file: POSITIONS, in order of blocks and dates.

    The keywords name its columns, and ``crs`` what ``east``, ``north`` (m) refer to; ``up``: height
    (m). Rows without a position are left out. Attribute ``crs`` of the result is ``crs``.

    Raises
    ------
    SceneError
        The file cannot be read, lacks a column, or holds a block twice on one date.
    """
    import geopandas
    from pyogrio.errors import DataSourceError

    try:
        table = geopandas.read_file(path, ignore_geometry=True)
    except DataSourceError as error:
        raise SceneError(
            f"{path} cannot be read ({error}); a table of positions is needed."
        ) from error
    names = {date: "date", block: "block", line: "line", east: "east", north: "north", up: "up"}
    missing = [name for name in names if name not in table]
    if missing:
        raise SceneError(
            f"{path} has no column {', '.join(missing)} (there: {', '.join(map(str, table))}); "
            "name the columns of the positions."
        )
    out: pd.DataFrame = table[list(names)].rename(columns=names)[POSITIONS]
    out = out.dropna(subset=["east", "north"]).assign(
        date=pd.to_datetime(out["date"]),
        block=out["block"].astype(str),
        line=out["line"].astype(str),
    )
    doubled = out[out.duplicated(["line", "block", "date"])]
    if len(doubled):
        first = doubled.iloc[0]
        raise SceneError(
            f"{path}: block {first.block} of line {first.line} stands there twice on "
            f"{first.date:%Y-%m-%d}; one position a date is needed: remove the other."
        )
    out = out.sort_values(["line", "block", "date"], ignore_index=True)
    out.attrs["crs"] = crs
    return out


def block_velocities(positions: pd.DataFrame, *, position_error_m: float) -> pd.DataFrame:
    """Velocity (m/yr) of every block between consecutive surveys.

    ``positions`` of :func:`read_positions`; ``position_error_m``: standard error of one coordinate
    of one survey. Columns: line, block, start, end, x, y (m, halfway), east, north, up, horizontal,
    total, and error (of one component).
    """
    blocks = positions.groupby(["line", "block"], sort=False)
    before = blocks[["date", "east", "north", "up"]].shift()
    years = (positions["date"] - before["date"]).dt.total_seconds() / (86400.0 * YEAR_DAYS)
    moved = {k: (positions[k] - before[k]) / years for k in ("east", "north", "up")}
    out = pd.DataFrame(
        {
            "line": positions["line"],
            "block": positions["block"],
            "start": before["date"],
            "end": positions["date"],
            "x": 0.5 * (positions["east"] + before["east"]),
            "y": 0.5 * (positions["north"] + before["north"]),
            **moved,
        }
    )
    out["horizontal"] = np.hypot(out["east"], out["north"])
    out["total"] = np.hypot(out["horizontal"], out["up"])
    out["error"] = np.sqrt(2.0) * position_error_m / years
    out = out[before["date"].notna()].reset_index(drop=True)
    out.attrs["crs"] = positions.attrs.get("crs")
    return out


def profile_velocities(
    blocks: pd.DataFrame, *, components: Sequence[str] = ("horizontal", "total")
) -> pd.DataFrame:
    """Mean velocity (m/yr) of each line and year of survey, from :func:`block_velocities`.

    Columns: line, year, start, end, blocks, and of each component its mean and
    ``<component>_error``: the standard error of that mean, as blocks of a line move unlike each
    other. NaN where a single block tells it.
    """
    groups = blocks.assign(year=blocks["end"].dt.year).groupby(["line", "year"])
    out = groups.agg(start=("start", "min"), end=("end", "max"), blocks=("block", "size"))
    for name in components:
        out[name] = groups[name].mean()
        out[f"{name}_error"] = groups[name].sem()
    return out.reset_index()
