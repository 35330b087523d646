"""What every reader returns: a stack of interferograms in the project's units and sign.

Whatever its maker's convention, ``read`` returns phase in rad, positive where the ground moved
away from the satellite between reference and secondary (``conventions``), NaN where missing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier.errors import SceneError
from rockglacier.grid import Grid

if TYPE_CHECKING:
    from rockglacier.readers.placement import Placement

# ASSUME: oversampling and windowing leave one independent look in 1.94 of Sentinel-1 IW
# (range 1.33 x azimuth 1.46; MintPy's NCORRLOOKS, Yunjun et al. 2019,
# doi 10.1016/j.cageo.2019.104331).
SENTINEL1_LOOKS_PER_INDEPENDENT_LOOK = 1.94

NOT_A_DATE = np.datetime64("NaT", "ns")


class FlawedPair(SceneError):
    """A pair (or date) that cannot be used; its parts make a line of ``rejected.csv``."""

    def __init__(
        self, path: str | Path, reason: str, *, found: str, needed: str, remedy: str
    ) -> None:
        super().__init__(f"{path}: {reason}. Found: {found}. Needed: {needed}. Remedy: {remedy}.")
        self.path, self.reason = str(path), reason
        self.found, self.needed, self.remedy = found, needed, remedy


class Rejected(NamedTuple):
    """A flaw and the pair (``YYYYMMDD_YYYYMMDD``, or ``""`` where its dates are unknown)."""

    pair: str
    flaw: FlawedPair


class Window(NamedTuple):
    """Rows and columns of a stack's own raster, half open; it may reach beyond the raster."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.bottom - self.top, self.right - self.left


@dataclass(frozen=True)
class Pair:
    """One interferogram as its reader found it: dates, baseline (m) and the files it lies in."""

    reference: np.datetime64
    secondary: np.datetime64
    path: str
    perpendicular_baseline_m: float = math.nan
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``YYYYMMDD_YYYYMMDD``, ``""`` where a date is missing."""
        if np.isnat(self.reference) or np.isnat(self.secondary):
            return ""
        return "_".join(
            str(np.datetime_as_string(d, unit="D")).replace("-", "")
            for d in (self.reference, self.secondary)
        )


class Source(ABC):
    """Anything that lies on a raster of its own and comes onto a region's grid.

    Attributes
    ----------
    source
        The reader's name.
    native_grid
        The map grid it lies on; None in radar geometry.
    shape
        Rows and columns of its own raster.
    rejected
        What was found but cannot be used.
    """

    source: str
    native_grid: Grid | None
    shape: tuple[int, int]
    rejected: list[Rejected]

    @property
    def whole(self) -> Window:
        """The window of the whole raster."""
        return Window(0, self.shape[0], 0, self.shape[1])

    @cached_property
    def placements(self) -> dict[Grid, Placement]:
        """Where the pixels of grids lie on it, as far as ``placement.place`` found out."""
        return {}

    @cached_property
    def lonlat_bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in degrees."""
        if self.native_grid is not None:
            return lonlat_bounds(self.native_grid)
        where = self.lookup()
        west, east = float(where.longitude.min()), float(where.longitude.max())
        return west, float(where.latitude.min()), east, float(where.latitude.max())

    @abstractmethod
    def geometry(self, window: Window | None = None) -> xr.Dataset:
        """What the source says of ``geometry.zarr``, over ``window`` of its own raster."""

    def lookup(self) -> xr.Dataset:
        """``latitude``, ``longitude`` (degrees, NaN where unknown) of pixels in radar geometry."""
        raise SceneError(
            f"{self.source}: latitude and longitude of its pixels were asked for, "
            "but it lies on a map grid already; read it by its native grid."
        )


class Stack(Source):
    """Interferograms of one viewing geometry, unread.

    Attributes
    ----------
    pairs
        ``reference``, ``secondary`` (datetime64), ``perpendicular_baseline_m``, ``path``.
    wavelength_m, looks
        Radar wavelength; effective independent looks, None where the source does not state them.
    """

    def __init__(
        self,
        pairs: list[Pair],
        rejected: list[Rejected],
        *,
        wavelength_m: float,
        looks: float | None,
        native_grid: Grid | None,
        shape: tuple[int, int],
    ) -> None:
        self._pairs = pairs
        self.rejected = rejected
        self.wavelength_m = wavelength_m
        self.looks = looks
        self.native_grid = native_grid
        self.shape = shape

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row a pair, ordered by date."""
        return pd.DataFrame(
            {
                "reference": np.array([p.reference for p in self._pairs], "datetime64[ns]"),
                "secondary": np.array([p.secondary for p in self._pairs], "datetime64[ns]"),
                "perpendicular_baseline_m": [p.perpendicular_baseline_m for p in self._pairs],
                "path": [p.path for p in self._pairs],
            }
        )

    @property
    @abstractmethod
    def layers(self) -> tuple[str, ...]:
        """What ``read`` returns: ``phase``, then ``coherence``, ``component`` where all have it."""

    @abstractmethod
    def read(self, index: int, window: Window | None = None) -> xr.Dataset:
        """``phase`` (rad), ``coherence`` (0..1) and ``component`` (uint8), as far as there are any.

        Dims (y, x) of ``window`` (default: all); no coordinates. Beyond the raster lies NaN.
        FlawedPair where the files cannot be used.
        """


def lonlat_bounds(grid: Grid) -> tuple[float, float, float, float]:
    """(west, south, east, north) of ``grid`` in degrees, edges curved included."""
    from rasterio.warp import transform_bounds

    west, south, east, north = transform_bounds(grid.crs, "EPSG:4326", *grid.bounds, densify_pts=21)
    return west, south, east, north


def screen(candidates: Iterable[Pair]) -> tuple[list[Pair], list[Rejected]]:
    """Split pairs into usable ones, ascending, and those whose dates rule them out."""
    kept: dict[tuple[np.datetime64, np.datetime64], Pair] = {}
    rejected = []
    for pair in sorted(candidates, key=lambda p: p.path):
        dates = pair.reference, pair.secondary
        if np.isnat(pair.reference) or np.isnat(pair.secondary):
            flaw = FlawedPair(
                pair.path,
                "dates missing",
                found=f"reference {pair.reference}, secondary {pair.secondary}",
                needed="two dates",
                remedy="state both dates in its metadata or name, or remove the file",
            )
        elif pair.reference >= pair.secondary:
            same = pair.reference == pair.secondary
            flaw = FlawedPair(
                pair.path,
                "only one date" if same else "dates swapped",
                found=f"reference {_day(pair.reference)}, secondary {_day(pair.secondary)}",
                needed="a reference earlier than the secondary",
                remedy="remove the file"
                if same
                else "make the pair again in that order, or correct dates, phase sign and baseline",
            )
        elif dates in kept:
            flaw = FlawedPair(
                pair.path,
                "duplicated pair",
                found=f"{pair.name} also in {kept[dates].path}",
                needed="each pair once",
                remedy="remove one of the two",
            )
        else:
            kept[dates] = pair
            continue
        rejected.append(Rejected(pair.name, flaw))
    return [kept[key] for key in sorted(kept)], rejected


def _day(date: np.datetime64) -> str:
    return str(np.datetime_as_string(date, unit="D"))


def day(text: str, date_format: str = "%Y%m%d") -> np.datetime64:
    """The day that ``text`` states, NaT where it states none."""
    from datetime import datetime

    try:
        date = datetime.strptime(text, date_format)
    except ValueError:
        return NOT_A_DATE
    # strptime also reads 2020061 as the first of June: only what it would write is a date.
    same = date.strftime(date_format).lower() == text.lower()
    return np.datetime64(date.date(), "ns") if same else NOT_A_DATE


def part_of(values: Any, window: Window, shape: tuple[int, int], *leading: int) -> np.ndarray:
    """``window`` of array-like ``values`` (..., y, x) of ``shape``, a copy in its own type.

    Beyond the edges lies NaN, or 0 for integers.
    """
    r0, r1 = max(window.top, 0), min(window.bottom, shape[0])
    c0, c1 = max(window.left, 0), min(window.right, shape[1])
    kind = np.dtype(values.dtype).newbyteorder("=")
    out = np.full(window.shape, np.nan if kind.kind == "f" else 0, kind)
    if r0 < r1 and c0 < c1:
        top, left = r0 - window.top, c0 - window.left
        part = values[(*leading, slice(r0, r1), slice(c0, c1))]
        out[top : top + r1 - r0, left : left + c1 - c0] = part
    return out
