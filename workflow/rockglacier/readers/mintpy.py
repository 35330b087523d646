"""MintPy's ``inputs/ifgramStack.h5`` with ``geometryGeo.h5`` or ``geometryRadar.h5`` beside it.

Sign: MintPy turns every processor's phase into reference - secondary order with displacement =
-phase wavelength / 4 pi (``ifgram_inversion``; ``prep_aria`` negates), as in this project: phase is
taken as it is. Wavelength: attribute ``WAVELENGTH``. Worked example: ground that moved 10 mm
away shows +2.2656 rad at 55.466 mm. Phase 0 is MintPy's fill. Dates and baselines are the datasets
``date`` and ``bperp``; pairs with ``dropIfgram`` false were dropped in MintPy and stay so.
Angles (deg): ``incidenceAngle`` from the vertical, ``azimuthAngle`` of the vector ground to
satellite, anticlockwise from north; ``shadowMask`` 0 where neither layover nor shadow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rockglacier.conventions import MAP
from rockglacier.errors import SceneError
from rockglacier.grid import Grid
from rockglacier.readers.geometry import azimuth_of, from_azimuth, geometry_dataset
from rockglacier.readers.rasters import cleaned
from rockglacier.readers.stack import (
    SENTINEL1_LOOKS_PER_INDEPENDENT_LOOK,
    FlawedPair,
    Pair,
    Rejected,
    Stack,
    Window,
    day,
    part_of,
    screen,
)

LAYERS = {"phase": "unwrapPhase", "coherence": "coherence", "component": "connectComponent"}
# h5py's chunks cross pairs: keep them until the next pair is read.
CACHE_BYTES, CACHE_SLOTS = 64_000_000, 20_011


def hdf5_file(path: Path) -> Any:
    """The open HDF5 file ``path``; SceneError where it cannot be opened."""
    import h5py

    with readable(path):
        return h5py.File(path, "r", rdcc_nbytes=CACHE_BYTES, rdcc_nslots=CACHE_SLOTS)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn errors of the HDF5 library within the block into SceneError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise SceneError(
            f"{path} cannot be read ({' '.join(str(error).split())}); a whole HDF5 file is needed: "
            "check the path, or make the file again."
        ) from error


def text(value: Any) -> str:
    """An HDF5 attribute or element as text."""
    return value.decode() if isinstance(value, bytes) else str(value)


def map_grid(attrs: Mapping[str, str], shape: tuple[int, int], path: Path) -> Grid | None:
    """The map grid that MintPy's attributes state; None in radar geometry."""
    if "X_FIRST" not in attrs or "Y_FIRST" not in attrs:
        return None
    if "EPSG" in attrs:
        crs = f"EPSG:{int(float(attrs['EPSG']))}"
    elif attrs.get("X_UNIT", "degrees").lower().startswith("deg"):
        crs = "EPSG:4326"
    elif "UTM_ZONE" in attrs:
        zone = attrs["UTM_ZONE"].strip()
        crs = f"EPSG:{(32700 if zone[-1:].upper() == 'S' else 32600) + int(zone.rstrip('NSns'))}"
    else:
        raise SceneError(
            f"{path}: X_UNIT is {attrs.get('X_UNIT')!r} but neither EPSG nor UTM_ZONE is stated; "
            "add the attribute EPSG to the file."
        )
    dx, dy = float(attrs["X_STEP"]), -float(attrs["Y_STEP"])
    return Grid(crs, float(attrs["X_FIRST"]), float(attrs["Y_FIRST"]), dx, dy, shape[1], shape[0])


def open_mintpy(path: str | Path, *, geometry: str | Path | None = None) -> MintpyStack:
    """Open ``ifgramStack.h5`` and the geometry file beside it (or ``geometry``).

    SceneError where the file is not such a stack, or lies in radar geometry without latitude and
    longitude.
    """
    file = Path(path)
    if file.is_dir():
        file = next(
            (
                p
                for p in (file / "ifgramStack.h5", file / "inputs" / "ifgramStack.h5")
                if p.is_file()
            ),
            file / "ifgramStack.h5",
        )
    with readable(file), hdf5_file(file) as source:
        missing = [n for n in ("unwrapPhase", "date") if n not in source]
        attrs = {str(k): text(v) for k, v in source.attrs.items()}
        if missing or "WAVELENGTH" not in attrs:
            raise SceneError(
                f"{file} lacks {', '.join(missing) or 'the attribute WAVELENGTH'}; MintPy's "
                "ifgramStack.h5 with unwrapPhase and date is needed: load the stack again."
            )
        shape = source["unwrapPhase"].shape
        dates = [[text(d) for d in row] for row in source["date"][:]]
        count = len(dates)
        baselines = source["bperp"][:] if "bperp" in source else np.full(count, np.nan)
        used = source["dropIfgram"][:] if "dropIfgram" in source else np.ones(count, bool)
        layers = tuple(n for n, variable in LAYERS.items() if variable in source)
    candidates, rejected = [], []
    for k in range(count):
        pair = Pair(
            day(dates[k][0]),
            day(dates[k][1]),
            f"{file}[{k}]",
            float(baselines[k]),
            {"index": str(k)},
        )
        if used[k]:
            candidates.append(pair)
        else:
            flaw = FlawedPair(
                pair.path,
                "dropped in MintPy",
                found="dropIfgram is false",
                needed="true",
                remedy="reset it with modify_network.py --reset if the pair is good",
            )
            rejected.append(Rejected(pair.name, flaw))
    kept, undated = screen(candidates)
    grid = map_grid(attrs, shape[1:], file)
    found = find_geometry(file, grid, geometry)
    return MintpyStack(file, found, layers, attrs, kept, [*rejected, *undated], shape[1:], grid)


def find_geometry(file: Path, grid: Grid | None, given: str | Path | None) -> Path | None:
    """The geometry file of ``file``: ``given``, or beside it or in ``inputs``; None for none.

    SceneError where ``given`` does not exist, or a file in radar geometry (``grid`` None) finds no
    latitude and longitude.
    """
    name = "geometryRadar.h5" if grid is None else "geometryGeo.h5"
    places = [Path(given)] if given else [file.with_name(name), file.parent / "inputs" / name]
    found = next((p for p in places if p.is_file()), None)
    if given and found is None:
        raise SceneError(f"{given} does not exist; correct geometry or leave it out.")
    if grid is not None:
        return found
    if found is not None:
        with readable(found), hdf5_file(found) as source:
            if "latitude" in source and "longitude" in source:
                return found
    raise SceneError(
        f"{file} lies in radar geometry, and {found or 'no geometry file beside it'} gives no "
        "latitude and longitude; geometryRadar.h5 with both is needed: load it with "
        "mintpy.load.lookupYFile and lookupXFile, or geocode the stack."
    )


class MintpyStack(Stack):
    """Pairs of one ``ifgramStack.h5``."""

    source = "mintpy"

    def __init__(
        self,
        file: Path,
        geometry_file: Path | None,
        layers: tuple[str, ...],
        attrs: Mapping[str, str],
        pairs: list[Pair],
        rejected: list[Rejected],
        shape: tuple[int, int],
        grid: Grid | None,
    ) -> None:
        super().__init__(
            pairs,
            rejected,
            wavelength_m=float(attrs["WAVELENGTH"]),
            looks=_looks(attrs),
            native_grid=grid,
            shape=shape,
        )
        self._file, self._geometry_file = file, geometry_file
        self._layers, self._attrs = layers, attrs

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that the file holds."""
        return self._layers

    @cached_property
    def _open(self) -> Any:
        return hdf5_file(self._file)

    def read(self, index: int, window: Window | None = None) -> xr.Dataset:
        """Read the layers of one pair."""
        pair = self._pairs[index]
        where = window or self.whole
        k = int(pair.files["index"])
        try:
            layers = {
                name: part_of(self._open[LAYERS[name]], where, self.shape, k)
                for name in self.layers
            }
        except (OSError, RuntimeError) as error:
            raise FlawedPair(
                pair.path,
                "unreadable",
                found=" ".join(str(error).split()),
                needed="a whole file",
                remedy="make the file again",
            ) from error
        return cleaned(layers, zero_is_missing=True)

    def lookup(self) -> xr.Dataset:
        """Latitude and longitude of ``geometryRadar.h5``."""
        return read_lookup(self._geometry_file, self.shape)

    def geometry(self, window: Window | None = None) -> xr.Dataset:
        """Height and line of sight of the geometry file, as far as it has them."""
        return read_geometry_file(
            self._geometry_file, self._attrs, self.shape, window or self.whole
        )


def read_lookup(file: Path | None, shape: tuple[int, int]) -> xr.Dataset:
    """``latitude``, ``longitude`` (degrees, NaN where both are 0) of a geometry file."""
    maps = _maps(file, shape, ("latitude", "longitude"), Window(0, shape[0], 0, shape[1]))
    outside = (maps["latitude"] == 0.0) & (maps["longitude"] == 0.0)
    return xr.Dataset({n: (MAP, np.where(outside, np.nan, v)) for n, v in maps.items()})


def read_geometry_file(
    file: Path | None, attrs: Mapping[str, str], shape: tuple[int, int], window: Window
) -> xr.Dataset:
    """What a geometry file and the attributes ``attrs`` say of ``geometry.zarr``."""
    names = ("height", "incidenceAngle", "azimuthAngle", "shadowMask")
    found = _maps(file, shape, names, window)
    heading = number(attrs, "HEADING")
    maps: dict[str, np.ndarray] = {}
    if "height" in found:
        maps["height"] = found["height"].astype(np.float32)
    if "incidenceAngle" in found and ("azimuthAngle" in found or heading is not None):
        incidence = found["incidenceAngle"]
        azimuth = found.get("azimuthAngle")
        if azimuth is None:
            azimuth = np.full_like(incidence, azimuth_of(heading or 0.0))
        maps |= from_azimuth(incidence, azimuth)
    if "shadowMask" in found:
        maps["observable"] = (found["shadowMask"] == 0).astype(np.uint8)
    middle = Window(shape[0] // 2, shape[0] // 2 + 1, 0, shape[1])
    ranges = _maps(file, shape, ("slantRangeDistance",), middle).get("slantRangeDistance")
    known = ranges[ranges > 0] if ranges is not None else np.empty(0)
    return geometry_dataset(
        maps,
        incidence_deg=number(attrs, "CENTER_INCIDENCE_ANGLE"),
        heading_deg=heading,
        slant_range_m=float(np.median(known)) if known.size else number(attrs, "STARTING_RANGE"),
    )


def _maps(
    file: Path | None, shape: tuple[int, int], names: tuple[str, ...], window: Window
) -> dict[str, np.ndarray]:
    if file is None:
        return {}
    with readable(file), hdf5_file(file) as source:
        present = [n for n in names if n in source]
        for name in present:
            if source[name].shape != shape:
                raise SceneError(
                    f"{file}: {name} has shape {source[name].shape} but the stack has {shape}; "
                    "load both with the same subset and looks."
                )
        return {n: part_of(source[n], window, shape) for n in present}


def number(attrs: Mapping[str, str], key: str) -> float | None:
    try:
        value = float(attrs[key])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _looks(attrs: Mapping[str, str]) -> float | None:
    stated = number(attrs, "NCORRLOOKS")
    if stated:
        return stated
    looks = [number(attrs, key) for key in ("ALOOKS", "RLOOKS")]
    if None in looks or "sen" not in attrs.get("PLATFORM", "").lower():
        return None
    return math.prod(x or 1.0 for x in looks) / SENTINEL1_LOOKS_PER_INDEPENDENT_LOOK
