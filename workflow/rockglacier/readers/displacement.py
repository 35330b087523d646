"""Displacement that someone else inverted (``source: displacement``).

A GeoTIFF a date (pattern ``{date}``); MintPy's ``timeseries*.h5``; LiCSBAS's ``cum*.h5``; a netCDF,
HDF5 or Zarr cube with time, y and x; or a flat cube with a raster that gives its grid and a table
that gives its dates.

Sign: positive toward the satellite in MintPy and LiCSBAS, as in this project; elsewhere ``sign``
says so (1), or that positive is away from it (-1). Units: as the file states, or ``units``.
Worked example: 10 mm toward the satellite, written as -10 in mm positive away, is +0.010 m.
What comes out is zero at the first date (``conventions``). Pixels that are 0 or missing at every
date are missing: MintPy leaves 0 where it found no solution (its reference pixel goes with them).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier import io
from rockglacier.conventions import DATE, X, Y, describe
from rockglacier.errors import ConfigurationError, NetworkError, SceneError
from rockglacier.grid import Grid
from rockglacier.logs import progress
from rockglacier.readers.assemble import all_outside, rejected_table, within
from rockglacier.readers.cubes import Cube, last_column, open_cube
from rockglacier.readers.geometry import read_geometry
from rockglacier.readers.placement import place
from rockglacier.readers.stack import FlawedPair, Rejected, Source, Window

logger = logging.getLogger(__name__)

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
UNIT_NAMES = {"meter": "m", "metre": "m", "meters": "m", "metres": "m"} | {
    "millimeter": "mm",
    "millimetre": "mm",
    "millimeters": "mm",
    "millimetres": "mm",
    "centimeter": "cm",
    "centimetre": "cm",
    "centimeters": "cm",
    "centimetres": "cm",
}


class DisplacementSeries(Source):
    """Displacement maps of one viewing geometry, unread.

    Attributes
    ----------
    dates
        ``date`` (datetime64, ascending), ``perpendicular_baseline_m``, ``path``.
    wavelength_m
        Radar wavelength, None where it is not stated.
    """

    source = "displacement"

    def __init__(
        self,
        cube: Cube,
        *,
        metres: float,
        wavelength_m: float | None,
        baselines: Sequence[float],
        geometry: Callable[[Window], xr.Dataset],
    ) -> None:
        self.native_grid, self.shape = cube.grid, cube.shape
        self.wavelength_m = wavelength_m
        self._cube, self._metres, self._geometry = cube, metres, geometry
        self.rejected = list(cube.rejected)
        seen: dict[np.datetime64, int] = {}
        for k, date in enumerate(cube.dates):
            if np.isnat(date) or date in seen:
                self.rejected.append(
                    Rejected(
                        "",
                        FlawedPair(
                            cube.paths[k],
                            "date missing" if np.isnat(date) else "duplicated date",
                            found=str(date)[:10],
                            needed="one map for each date",
                            remedy="state its date, or remove it",
                        ),
                    )
                )
            else:
                seen[date] = k
        self._layers = [seen[d] for d in sorted(seen)]
        self.dates = pd.DataFrame(
            {
                "date": np.array(sorted(seen), "datetime64[ns]"),
                "perpendicular_baseline_m": [float(baselines[k]) for k in self._layers],
                "path": [cube.paths[k] for k in self._layers],
            }
        )

    def read(self, index: int, window: Window | None = None) -> xr.DataArray:
        """Displacement (m, toward the satellite) of one date over ``window``, dims (y, x)."""
        values = self._cube.read(self._layers[index], window or self.whole)
        values = values.astype(np.float32) * np.float32(self._metres)
        values[np.isinf(values)] = np.nan
        return describe(xr.DataArray(values, dims=(Y, X)), "displacement", "displacement", "m")

    def geometry(self, window: Window | None = None) -> xr.Dataset:
        """Read the geometry that the source or the track's settings bring."""
        return self._geometry(window or self.whole)

    def lookup(self) -> xr.Dataset:
        """Latitude and longitude of a series in radar geometry."""
        return self._cube.lookup() if self._cube.lookup else super().lookup()


def open_displacement(
    path: str | Path,
    *,
    displacement: str | None = None,
    units: str | None = None,
    sign: int = 1,
    date_format: str = "%Y%m%d",
    variable: str | None = None,
    like: str | None = None,
    dates: str | None = None,
    interleave: str = "bip",
    baselines: str | None = None,
    wavelength_m: float | None = None,
    height: str | None = None,
    line_of_sight: Mapping[str, str] | None = None,
    incidence_deg: float | None = None,
    heading_deg: float | None = None,
) -> DisplacementSeries:
    """Open a displacement time series; other files are relative to the folder of ``path``.

    ``displacement`` is a pattern with ``{date}`` under the folder ``path``. A flat float32 cube
    needs ``like`` (a raster on its grid) and ``dates`` (a table, one line a date in the cube's
    order; the first text that ``date_format`` reads is the date). ``baselines`` is such a table
    whose last column is the perpendicular baseline (m). ``variable`` names a cube's variable.
    ConfigurationError where a setting is missing or contradicts the file, SceneError where the
    file cannot be read.
    """
    file = Path(path)
    folder = file if displacement else file.parent
    if sign not in (1, -1):
        raise ConfigurationError(f"sign is {sign!r}; 1 or -1 is needed.")
    if not file.exists():
        raise SceneError(f"{file} does not exist; check the track's path.")
    cube = open_cube(
        file,
        displacement=displacement,
        date_format=date_format,
        variable=variable,
        like=folder / like if like else None,
        dates=folder / dates if dates else None,
        interleave=interleave,
    )
    given = {
        **({"height": str(folder / height)} if height else {}),
        **{k: str(folder / v) for k, v in (line_of_sight or {}).items()},
    }
    scalars = {"incidence_deg": incidence_deg, "heading_deg": heading_deg}
    geometry = cube.geometry
    if geometry is None or given:
        if cube.grid is None:
            raise ConfigurationError(
                f"{file} lies in radar geometry; height and line_of_sight "
                "cannot be given on its grid: leave them out."
            )
        geometry = partial(read_geometry, given, cube.grid, scalars=scalars)
    count = len(cube.dates)
    metres = cube.baselines if cube.baselines is not None else [math.nan] * count
    return DisplacementSeries(
        cube,
        metres=sign * METRES[_units(file, units, cube.units)],
        wavelength_m=wavelength_m or cube.wavelength_m,
        baselines=last_column(folder / baselines, count) if baselines else metres,
        geometry=geometry,
    )


def _units(file: Path, given: str | None, stated: str | None) -> str:
    stated = UNIT_NAMES.get((stated or "").strip().lower(), (stated or "").strip().lower()) or None
    if given is None and stated is None:
        raise ConfigurationError(
            f"{file} does not state its units; set units to one of {', '.join(METRES)}."
        )
    if given is not None and stated is not None and given != stated:
        raise ConfigurationError(
            f"units is {given!r} but {file} states {stated!r}; correct one of them."
        )
    units = given or stated or ""
    if units not in METRES:
        raise ConfigurationError(
            f"{file} states displacement in {units!r}; one of {', '.join(METRES)} is needed: "
            "convert it."
        )
    return units


def assemble_displacement(
    series: DisplacementSeries,
    grid: Grid,
    path: str | Path,
    *,
    on_bad_input: str = "drop",
    period: Sequence[object] | None = None,
    memory_mb: float = 1000.0,
    provenance: Mapping[str, str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write ``series`` on ``grid`` to the Zarr product ``path``; return its dates and its rejects.

    ``displacement`` (date, y, x; m, toward the satellite) is zero at the first date, or at a
    pixel's first observation where it has none then. ``dates``: date, perpendicular_baseline_m,
    valid_share, path. A flawed date is left out, or with ``on_bad_input="stop"`` raised as
    SceneError. NetworkError where fewer than two dates are left; ``path`` then stays as it was.
    """
    if on_bad_input not in ("drop", "stop"):
        raise ConfigurationError(f"on_bad_input is {on_bad_input!r}; drop or stop is needed.")
    rejected = list(series.rejected)
    chosen = np.flatnonzero(within(series.dates, period, ("date",))).tolist()
    if not chosen and len(series.dates):
        found = list(series.dates.date)
        raise all_outside("displacement series", "dates", len(found), found, period)
    while True:
        if on_bad_input == "stop" and rejected:
            raise rejected[0].flaw
        if len(chosen) < 2:
            why = "".join(f"\n  left out: {r.flaw}" for r in rejected[:5])
            raise NetworkError(
                f"displacement series: {len(chosen)} usable date(s) found; at least two are "
                f"needed: check path and period.{why}"
            )
        try:
            shares = _write(series, chosen, grid, path, memory_mb, provenance or {})
            break
        except _FlawedDate as error:
            logger.warning("left out: %s", error.flaw)
            date = series.dates.date.iloc[error.index]
            rejected.append(Rejected(f"{date:%Y%m%d}", error.flaw))
            chosen.remove(error.index)
    dates = series.dates.iloc[chosen].reset_index(drop=True).assign(valid_share=shares)
    return dates[["date", "perpendicular_baseline_m", "valid_share", "path"]], rejected_table(
        rejected
    )


class _FlawedDate(Exception):
    """The date ``index`` cannot be used, so that the series is written anew without it."""

    def __init__(self, index: int, flaw: FlawedPair) -> None:
        super().__init__(str(flaw))
        self.index, self.flaw = index, flaw


def _write(
    series: DisplacementSeries,
    chosen: Sequence[int],
    grid: Grid,
    path: str | Path,
    memory_mb: float,
    provenance: Mapping[str, str],
) -> list[float]:
    """Write the dates ``chosen``; the share of pixels that each observes."""
    import dask.array as da
    import zarr

    placement = place(series, grid)
    table = series.dates.iloc[list(chosen)]
    shape = (len(table), *grid.shape)
    empty = da.zeros(shape, dtype="float32", chunks=(1, *grid.shape))
    name = "displacement"
    baseline = xr.DataArray(table.perpendicular_baseline_m.to_numpy(np.float64), dims=DATE)
    dataset = xr.Dataset(
        {
            name: describe(
                xr.DataArray(empty, dims=(DATE, Y, X)), name, "displacement toward satellite", "m"
            )
        },
        coords={
            DATE: table.date.to_numpy(),
            **grid.coords,
            "perpendicular_baseline": describe(
                baseline, "perpendicular_baseline", "perpendicular baseline", "m"
            ),
        },
        attrs={
            **({"wavelength_m": series.wavelength_m} if series.wavelength_m else {}),
            "source": series.source,
            **provenance,
        },
    )
    counts = np.zeros(len(table), np.int64)
    with io.atomic(path) as partial_path:
        io.prepare_dataset(dataset, partial_path, grid)
        target = zarr.open_array(f"{partial_path}/{name}", mode="r+")
        rows = io.block_rows(
            grid.height,
            12.0 * len(table) * grid.width,
            memory_mb,
            1,
            multiple=io.chunk_rows(partial_path, name),
        )
        tops = range(0, grid.height, rows)
        for top in progress(tops, "rows of displacement, block", len(tops)):
            bottom = min(top + rows, grid.height)
            window = placement.window(top, bottom)
            block = np.empty((len(table), bottom - top, grid.width), np.float32)
            for k, index in enumerate(chosen):
                try:
                    layer = series.read(index, window).to_dataset()
                except FlawedPair as flaw:
                    raise _FlawedDate(index, flaw) from flaw
                block[k] = placement.resample(layer, window, top, bottom)[name].values
            block[:, ~(np.abs(block) > 0.0).any(axis=0)] = np.nan
            seen = np.isfinite(block)
            counts += np.count_nonzero(seen, axis=(1, 2))
            # ASSUME: a pixel that the first date does not observe starts at its first observation.
            first = np.take_along_axis(block, np.argmax(seen, axis=0)[None], axis=0)
            target[:, top:bottom] = block - first
        empty_dates = np.flatnonzero(counts == 0)
        if empty_dates.size:
            index = chosen[int(empty_dates[0])]
            raise _FlawedDate(
                index,
                FlawedPair(
                    str(series.dates.path.iloc[index]),
                    "no valid displacement",
                    found="displacement missing at every pixel of the region",
                    needed="displacement somewhere within the region",
                    remedy="make it again, or check that it covers the area",
                ),
            )
    return [float(c) / (grid.height * grid.width) for c in counts]
