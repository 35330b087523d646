"""Cubes of displacement, whatever holds them: dates, grid and a way to read one date's window."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from rockglacier.errors import ConfigurationError, SceneError
from rockglacier.grid import Grid, crs_name
from rockglacier.readers import mintpy
from rockglacier.readers.flat import map_flat
from rockglacier.readers.geotiff import find_dated
from rockglacier.readers.rasters import different_grid, majority, read_headers, read_window
from rockglacier.readers.stack import Pair, Rejected, Window, day, part_of

AXIS_NAMES = {
    "y": ("y", "lat", "latitude", "northing"),
    "x": ("x", "lon", "longitude", "easting"),
    "time": ("time", "date", "dates", "epoch"),
}
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
NETCDF3_SIGNATURE = b"CDF"

Reader = Callable[[int, Window], np.ndarray]


class Cube(NamedTuple):
    """What a format's opener found; ``read(k, window)`` gives date ``k`` as the file has it."""

    dates: list[np.datetime64]
    paths: list[str]
    grid: Grid | None
    shape: tuple[int, int]
    read: Reader
    units: str | None = None
    baselines: Sequence[float] | None = None
    wavelength_m: float | None = None
    geometry: Callable[[Window], xr.Dataset] | None = None
    lookup: Callable[[], xr.Dataset] | None = None
    rejected: Sequence[Rejected] = ()


def open_cube(
    file: Path,
    *,
    displacement: str | None,
    date_format: str,
    variable: str | None,
    like: Path | None,
    dates: Path | None,
    interleave: str,
) -> Cube:
    """The cube in ``file``, or in the GeoTIFFs of the pattern ``displacement`` under it."""
    if displacement:
        return open_geotiffs(file, displacement, date_format)
    if like:
        if dates is None:
            raise ConfigurationError(
                f"{file} is a flat cube (like is given); dates, a table of its dates, is needed."
            )
        return open_flat(file, like, dates, date_format, interleave)
    if (file / "zarr.json").is_file() or (file / ".zgroup").is_file():
        opened = xr.open_zarr(file, chunks=None, consolidated=False)
        return _labelled(_opened(opened, file, variable), file)
    if file.is_file():
        with file.open("rb") as stream:
            signature = stream.read(8)
        if signature == HDF5_SIGNATURE:
            with mintpy.readable(file):
                return open_hdf5(file, variable)
        if signature.startswith(NETCDF3_SIGNATURE):
            opened = xr.open_dataset(file, engine="scipy", cache=False)
            return _labelled(_opened(opened, file, variable), file)
    raise ConfigurationError(
        f"{file} is no netCDF, HDF5 or Zarr cube; for GeoTIFFs set displacement, a pattern "
        "with {date}; for a flat cube set like and dates."
    )


def open_geotiffs(folder: Path, pattern: str, date_format: str) -> Cube:
    found = find_dated(pattern, folder, date_format)
    if not found:
        raise SceneError(f"{folder / pattern}: no file matches; check displacement and the path.")
    maps = [Pair(date, date, file, files={"phase": file}) for file, date in found]
    maps, headers, rejected = read_headers(maps)
    if not headers:
        raise rejected[0].flaw
    grid = majority([h.grid for h in headers])
    for one, header in zip(maps, headers, strict=True):
        if not grid.coincides(header.grid):
            rejected.append(Rejected("", different_grid(one.path, header.grid, grid)))
    maps = [m for m, h in zip(maps, headers, strict=True) if grid.coincides(h.grid)]
    units = {h.tags["units"] for h in headers if "units" in h.tags}
    paths = [m.path for m in maps]

    def read(k: int, window: Window) -> np.ndarray:
        return read_window(paths[k], grid, window)

    return Cube(
        [m.reference for m in maps],
        paths,
        grid,
        grid.shape,
        read,
        units=units.pop() if len(units) == 1 else None,
        rejected=rejected,
    )


def open_flat(file: Path, like: Path, table: Path, date_format: str, interleave: str) -> Cube:
    grid = Grid.from_raster(like)
    dates = _dates_of(table, date_format)
    values = map_flat(file, bands=len(dates), shape=grid.shape, interleave=interleave)
    return Cube(dates, _paths(file, len(dates)), grid, grid.shape, partial(_array_window, values))


def _array_window(values: Any, k: int, window: Window) -> np.ndarray:
    """``window`` of layer ``k`` of (layer, y, x) ``values``; beyond the edges NaN."""
    return part_of(values, window, values.shape[-2:], k)


def _paths(file: Path, count: int) -> list[str]:
    return [f"{file}[{k}]" for k in range(count)]


def _lines(table: Path) -> list[str]:
    try:
        return [line for line in table.read_text().splitlines() if line.strip()]
    except OSError as error:
        raise SceneError(
            f"{table} cannot be read ({error.strerror}); a table with one line a date is needed."
        ) from error


def _dates_of(table: Path, date_format: str) -> list[np.datetime64]:
    out = []
    for line in _lines(table):
        found = [d for d in (day(t, date_format) for t in re.split(r"[\s,;]+", line)) if d == d]
        if not found:
            raise SceneError(
                f"{table}: line {line!r} holds no date of the form {date_format!r}; one line "
                "a date is needed."
            )
        out.append(found[0])
    return out


def last_column(table: Path, count: int) -> list[float]:
    try:
        values = [float(re.split(r"[\s,;]+", line.strip())[-1]) for line in _lines(table)]
    except ValueError as error:
        raise SceneError(f"{table}: {error}; its last column must be baselines in m.") from error
    if len(values) != count:
        raise SceneError(
            f"{table} has {len(values)} lines but the cube has {count} dates; one each is needed."
        )
    return values


def open_hdf5(file: Path, variable: str | None) -> Cube:
    source = mintpy.hdf5_file(file)
    attrs = {str(k): mintpy.text(v) for k, v in source.attrs.items()}
    if variable is None and "timeseries" in source and "date" in source:
        values = source["timeseries"]
        shape = values.shape[1:]
        grid = mintpy.map_grid(attrs, shape, file)
        beside = mintpy.find_geometry(file, grid, None)
        return Cube(
            [day(mintpy.text(d)[:8]) for d in source["date"][:]],
            _paths(file, values.shape[0]),
            grid,
            shape,
            partial(_array_window, values),
            units=attrs.get("UNIT", "m"),
            baselines=source["bperp"][:] if "bperp" in source else None,
            wavelength_m=mintpy.number(attrs, "WAVELENGTH"),
            geometry=partial(mintpy.read_geometry_file, beside, attrs, shape),
            lookup=partial(mintpy.read_lookup, beside, shape),
        )
    if variable is None and "cum" in source and "imdates" in source:
        values = source["cum"]
        shape = values.shape[1:]
        number = {
            k: float(source[k][()]) for k in ("corner_lat", "corner_lon", "post_lat", "post_lon")
        }
        dx, dy = number["post_lon"], abs(number["post_lat"])
        # LiCSBAS states the centre of the first pixel.
        west, north = number["corner_lon"] - 0.5 * dx, number["corner_lat"] + 0.5 * dy
        return Cube(
            [day(str(int(d))) for d in source["imdates"][:]],
            _paths(file, values.shape[0]),
            Grid("EPSG:4326", west, north, dx, dy, shape[1], shape[0]),
            shape,
            partial(_array_window, values),
            units="mm",
            baselines=source["bperp"][:] if "bperp" in source else None,
        )
    return _labelled(_netcdf4(source, file, variable), file)


class _Labelled(NamedTuple):
    """A variable over time, y and x: its axes decoded, its values unread."""

    values: Any  # indexed by integers and slices, in the order of dims
    dims: tuple[str, ...]
    axes: Mapping[str, np.ndarray]
    attrs: Mapping[str, Any]
    mapping: Mapping[str, Any]  # of the CRS


def _which(names: Mapping[str, int], variable: str | None, file: Path) -> str:
    """The variable over three dimensions: the one asked for, or the only one."""
    cubes = sorted(n for n, dimensions in names.items() if dimensions == 3)
    chosen = [n for n in cubes if variable in (None, n)]
    if len(chosen) != 1:
        raise ConfigurationError(
            f"{file} holds {', '.join(cubes) or 'no variable'} over three dimensions; set variable "
            "to the one that is displacement."
        )
    return chosen[0]


def _opened(dataset: xr.Dataset, file: Path, variable: str | None) -> _Labelled:
    """A variable of a Dataset that xarray opened without reading it."""
    name = _which({str(n): v.ndim for n, v in dataset.variables.items()}, variable, file)
    array = dataset[name]
    dims = tuple(str(d) for d in array.dims)
    mapping = array.attrs.get("grid_mapping", array.encoding.get("grid_mapping", "spatial_ref"))
    return _Labelled(
        array.variable,
        dims,
        {d: dataset[d].values for d in dims if d in dataset},
        array.attrs,
        {**dataset.attrs, **(dataset[mapping].attrs if mapping in dataset.variables else {})},
    )


class _Oriented:
    """An array-like seen as (time, y, x), whatever the order of its dimensions."""

    dtype = np.dtype(np.float32)

    def __init__(self, values: Any, order: Sequence[int]) -> None:
        self.values, self.order = values, order

    def __getitem__(self, index: Sequence[Any]) -> np.ndarray:
        own: list[Any] = [None] * 3
        for axis, part in zip(self.order, index, strict=True):
            own[axis] = part
        values = np.asarray(self.values[tuple(own)], np.float32)
        return values if self.order[1] < self.order[2] else values.T


class _Scaled:
    """An HDF5 dataset as its CF attributes say it reads."""

    def __init__(self, dataset: Any, attrs: Mapping[str, Any]) -> None:
        self.dataset = dataset
        self.fill = attrs.get("_FillValue", attrs.get("missing_value"))
        self.scale = float(attrs.get("scale_factor", 1.0))
        self.offset = float(attrs.get("add_offset", 0.0))

    def __getitem__(self, index: Any) -> np.ndarray:
        stored = self.dataset[index]
        values = stored.astype(np.float32) * np.float32(self.scale) + np.float32(self.offset)
        if self.fill is not None:
            values[stored == self.fill] = np.nan
        return np.asarray(values)


def _netcdf4(source: Any, file: Path, variable: str | None) -> _Labelled:
    """A variable of a netCDF-4 file, whose axes are HDF5 dimension scales."""

    def attrs_of(thing: Any) -> dict[str, Any]:
        out = {}
        for key in set(thing.attrs) - {"DIMENSION_LIST", "REFERENCE_LIST"}:
            value = thing.attrs[key]
            value = value[0] if np.ndim(value) == 1 and len(value) == 1 else value
            out[key] = mintpy.text(value) if isinstance(value, bytes) else value
        return out

    name = _which({n: d.ndim for n, d in source.items() if hasattr(d, "ndim")}, variable, file)
    dataset = source[name]
    attrs = attrs_of(dataset)
    references = dataset.attrs.get("DIMENSION_LIST", [])
    scales = [source[r[0]] for r in references if len(r)]
    if len(scales) != 3:
        raise SceneError(
            f"{file}: {name} has no coordinates (dimension scales); a netCDF-4 cube with time, y "
            "and x is needed: write it with xarray or another netCDF tool."
        )
    dims = tuple(s.name.rsplit("/", 1)[-1] for s in scales)
    axes = {
        d: xr.decode_cf(xr.Dataset({d: (d, s[:], attrs_of(s))}))[d].values
        for d, s in zip(dims, scales, strict=True)
    }
    mapping = attrs.get("grid_mapping", "spatial_ref")
    of_crs = attrs_of(source[mapping]) if mapping in source else {}
    return _Labelled(_Scaled(dataset, attrs), dims, axes, attrs, {**attrs_of(source), **of_crs})


def _labelled(cube: _Labelled, file: Path) -> Cube:
    axis = {}
    for role, names in AXIS_NAMES.items():
        found = [d for d in cube.dims if d.lower() in names and d in cube.axes]
        if len(found) != 1:
            raise SceneError(
                f"{file} has dimensions {cube.dims}; one with coordinates named "
                f"{' or '.join(names)} is needed for {role}: rename it."
            )
        axis[role] = found[0]
    x, y = cube.axes[axis["x"]].astype(float), cube.axes[axis["y"]].astype(float)
    steps = np.diff(x), np.diff(y)
    if any(s.size == 0 or not np.allclose(s, s.mean(), rtol=1e-3) or s.mean() == 0 for s in steps):
        raise SceneError(f"{file}: x and y are not evenly spaced; regrid it.")
    dx, dy = float(np.mean(steps[0])), float(np.mean(steps[1]))
    if dx < 0:
        raise SceneError(f"{file}: x descends; flip it, so that it runs from west to east.")
    upward = dy > 0
    named = cube.mapping
    crs = named.get("crs_wkt") or named.get("spatial_ref") or named.get("crs") or named.get("epsg")
    if crs is None and axis["x"].lower().startswith("lon"):
        crs = "EPSG:4326"
    if crs is None:
        raise SceneError(f"{file} states no CRS; add a grid_mapping (rio.write_crs) and run again.")
    north = float(y.max()) + 0.5 * abs(dy)
    grid = Grid(crs_name(str(crs)), float(x[0]) - 0.5 * dx, north, dx, abs(dy), x.size, y.size)
    times = np.asarray(cube.axes[axis["time"]])
    if times.dtype.kind == "M":
        dates = [np.datetime64(t, "D").astype("datetime64[ns]") for t in times]
    else:
        dates = [day(re.sub(r"\D", "", mintpy.text(t))[:8]) for t in times]
    order = [cube.dims.index(axis[r]) for r in ("time", "y", "x")]

    def read(k: int, window: Window) -> np.ndarray:
        if upward:
            height = grid.height
            window = window._replace(top=height - window.bottom, bottom=height - window.top)
        out = part_of(_Oriented(cube.values, order), window, grid.shape, k)
        return out[::-1] if upward else out

    wavelength = cube.mapping.get("wavelength_m", cube.attrs.get("wavelength_m"))
    return Cube(
        dates,
        _paths(file, len(dates)),
        grid,
        grid.shape,
        read,
        units=str(cube.attrs["units"]) if "units" in cube.attrs else None,
        wavelength_m=float(wavelength) if wavelength is not None else None,
    )
