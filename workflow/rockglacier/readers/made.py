"""Interferograms that this workflow made, one Zarr store a pair, as a stack like any other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from rockglacier import io
from rockglacier.grid import Grid
from rockglacier.readers.stack import Pair, Stack, Window, part_of


def open_made(paths: Sequence[str | Path], planned: str | Path, geometry: str | Path) -> MadeStack:
    """The pairs at ``paths``, in the order of the table ``planned``."""
    table = pd.read_csv(planned, parse_dates=["reference", "secondary"])
    columns = (table[name].to_numpy() for name in ("reference", "secondary"))
    baselines = table["perpendicular_baseline_m"].tolist()
    pairs = [
        Pair(reference, secondary, str(path), baseline)
        for reference, secondary, path, baseline in zip(*columns, paths, baselines, strict=True)
    ]
    return MadeStack(pairs, io.open_dataset(geometry))


class MadeStack(Stack):
    """Pairs on the region's grid."""

    source = "scenes"

    def __init__(self, pairs: list[Pair], geometry: xr.Dataset) -> None:
        import rioxarray  # noqa: F401  (registers .rio)

        first = io.open_dataset(pairs[0].path, rows=10**9)
        grid = Grid.from_coords(first, str(first.rio.crs))
        super().__init__(
            pairs, [], wavelength_m=float(first.attrs["wavelength_m"]),
            looks=float(geometry.attrs["looks"]), native_grid=grid, shape=grid.shape,
        )  # fmt: skip
        self._geometry = geometry

    @property
    def layers(self) -> tuple[str, ...]:
        """Phase, coherence and component."""
        return "phase", "coherence", "component"

    def read(self, index: int, window: Window | None = None) -> xr.Dataset:
        """One pair over ``window``; beyond the grid NaN."""
        import zarr

        window = window or self.whole
        group: Any = zarr.open_group(str(self.pairs.path.iloc[index]), mode="r")
        return xr.Dataset(
            {name: (("y", "x"), part_of(group[name], window, self.shape)) for name in self.layers}
        )

    def geometry(self, window: Window | None = None) -> xr.Dataset:
        """The track's geometry over ``window``."""
        window = window or self.whole
        return xr.Dataset(
            {
                name: (("y", "x"), part_of(values.values, window, self.shape), values.attrs)
                for name, values in self._geometry.data_vars.items()
            },
            attrs=self._geometry.attrs,
        )
