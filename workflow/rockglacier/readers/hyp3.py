"""ASF HyP3 products, folders or zips as downloaded (``source: hyp3``).

GAMMA (``S1AA_..._INT80_G_ueF_4D09``), burst (``S1_136231_IW2_..._INT80_12E3``) and multi-burst
names; what a name says is not used where the parameter file ``<product>.txt`` states it.

Sign: the older scene is the reference, and positive ``unw_phase`` is movement away from the sensor
(HyP3 InSAR and Burst InSAR product guides), as in this project: phase is taken as it is.
Wavelength: Sentinel-1. Worked example: ground that moved 10 mm away between the dates shows
+2.2656 rad. Phase 0 is HyP3's fill; the unwrapping's reference pixel, set to 0, is lost with it.
Look vectors (rad) point to the sensor: ``lv_theta`` above the horizontal, ``lv_phi`` anticlockwise
from east. Products of one frame differ in extent but share a lattice; the stack's extent is the
median of theirs, so that no pixel is resampled. Zips are read in place.
"""

from __future__ import annotations

import logging
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from rockglacier.conventions import SENTINEL1_WAVELENGTH_M
from rockglacier.errors import SceneError
from rockglacier.grid import Grid
from rockglacier.io import leaves_its_folder
from rockglacier.readers.geometry import from_look_vector, geometry_dataset
from rockglacier.readers.rasters import (
    RasterStack,
    different_grid,
    majority,
    read_headers,
    read_window,
)
from rockglacier.readers.stack import (
    NOT_A_DATE,
    SENTINEL1_LOOKS_PER_INDEPENDENT_LOOK,
    FlawedPair,
    Pair,
    Rejected,
    Window,
    day,
    screen,
)

logger = logging.getLogger(__name__)

PHASE = re.compile(r"(?P<product>.+)_unw_phase(?P<clip>_clip(?:ped)?)?\.tif")
LAYERS = {"coherence": "corr", "component": "conncomp"}
LARGEST_TEXT = 1_000_000  # bytes; a parameter file has about 2,000


@dataclass(frozen=True)
class _Product:
    """One product: its name, where GDAL finds its files, which there are, and its parameters."""

    name: str
    place: str  # what GDAL opens: place + file name
    origin: str  # what a person opens
    files: frozenset[str]
    clip: str
    text: str

    def file(self, layer: str) -> str | None:
        """GDAL path of ``layer``, None where the product lacks it."""
        name = f"{self.name}_{layer}{self.clip}.tif"
        return self.place + name if name in self.files else None


def open_hyp3(path: str | Path) -> RasterStack:
    """Open the products (folders, zips) in the folder ``path``, or a single one.

    SceneError where there is none, or where none can be used.
    """
    products, rejected = _find(Path(path))
    if not products and not rejected:
        raise SceneError(
            f"{path}: no HyP3 product was found; a folder of product folders or zips with "
            "*_unw_phase.tif is needed: check the path."
        )
    candidates = []
    parameters: dict[str, dict[str, str]] = {}
    origin: dict[str, _Product] = {}
    for product in products:
        try:
            parameters[product.origin] = _parameters(product)
            candidates.append(_pair(product, parameters[product.origin]))
        except FlawedPair as flaw:
            rejected.append(Rejected("", flaw))
        origin[product.origin] = product
    candidates, headers, unread = read_headers(candidates)
    rejected += unread
    if not headers:
        raise rejected[0].flaw
    grids = {p.path: h.grid for p, h in zip(candidates, headers, strict=True)}
    lattice = _majority_lattice(list(grids.values()))
    on_lattice = []
    for pair in candidates:
        if lattice.offset(grids[pair.path]) is None:
            unfit = different_grid(pair.path, grids[pair.path], lattice)
            rejected.append(Rejected(pair.name, unfit))
        else:
            on_lattice.append(pair)
    kept, undated = screen(on_lattice)
    rejected += undated
    used = [grids[p.path] for p in kept]
    stated = [parameters[p.path] for p in kept]
    native = _extent(lattice, used) if used else lattice
    return RasterStack(
        "hyp3",
        kept,
        used,
        rejected,
        zero_is_missing=True,
        geometry=partial(
            _geometry,
            [(origin[p.path], grids[p.path]) for p in kept],
            native,
            {
                "heading_deg": _median([_number(s, "heading") for s in stated]),
                "slant_range_m": _median([_number(s, "slantrangecenter") for s in stated]),
            },
        ),
        wavelength_m=SENTINEL1_WAVELENGTH_M,
        looks=_looks(stated),
        native_grid=native,
    )


def _find(path: Path) -> tuple[list[_Product], list[Rejected]]:
    """Products in ``path``, its zips and its folders."""
    if not path.exists():
        raise SceneError(f"{path} does not exist; check the track's path.")
    places = [path] if path.is_file() else [path, *sorted(path.iterdir())]
    products, rejected = [], []
    for place in places:
        try:
            if place.is_dir():
                products += list(_in_folder(place))
            elif place.suffix.lower() == ".zip":
                products += list(_in_zip(place))
        except FlawedPair as flaw:
            rejected.append(Rejected("", flaw))
    return products, rejected


def _in_folder(folder: Path) -> Iterator[_Product]:
    names = frozenset(p.name for p in folder.iterdir())
    for name, clip in _products(names):
        text = folder / f"{name}.txt"
        yield _Product(
            name,
            f"{folder}/",
            str(folder / f"{name}_unw_phase{clip}.tif"),
            names,
            clip,
            text.read_text(errors="replace") if text.is_file() else "",
        )


def _in_zip(path: Path) -> Iterator[_Product]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            for member in members:
                if leaves_its_folder(member):
                    raise FlawedPair(
                        path,
                        "unsafe path in the zip",
                        found=repr(member),
                        needed="paths within the zip's own folder",
                        remedy="download the product again from its source",
                    )
            folders: dict[str, set[str]] = {}
            for member in members:
                folder, _, name = member.rpartition("/")
                folders.setdefault(folder, set()).add(name)
            for folder, names in folders.items():
                inside = f"{folder}/" if folder else ""
                for name, clip in _products(frozenset(names)):
                    text = ""
                    if f"{name}.txt" in names:
                        with archive.open(f"{inside}{name}.txt") as stream:
                            text = stream.read(LARGEST_TEXT).decode(errors="replace")
                    # The braces let GDAL take any file name for the archive.
                    place = f"/vsizip/{{{path.absolute()}}}/{inside}"
                    yield _Product(name, place, str(path), frozenset(names), clip, text)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise FlawedPair(
            path,
            "unreadable zip",
            found=str(error),
            needed="a whole zip",
            remedy="download the product again",
        ) from error


def _products(names: frozenset[str]) -> list[tuple[str, str]]:
    """Names of the products among file ``names``, each with the suffix of its clipped files."""
    found: dict[str, str] = {}
    for name in sorted(names):
        match = None if name.startswith(".") else PHASE.fullmatch(name)
        if match and found.get(match["product"]) != "":
            found[match["product"]] = match["clip"] or ""
    return sorted(found.items())


def _parameters(product: _Product) -> dict[str, str]:
    """The parameter file, keys in lower case without blanks."""
    if not product.text:
        raise FlawedPair(
            product.origin,
            "metadata missing",
            found=f"no {product.name}.txt",
            needed="the product's parameter file",
            remedy="unpack or download the whole product again",
        )
    lines = (line.partition(":") for line in product.text.splitlines())
    return {k.lower().replace(" ", ""): v.strip() for k, separator, v in lines if separator}


def _pair(product: _Product, stated: Mapping[str, str]) -> Pair:
    files = {"phase": product.file("unw_phase"), **{n: product.file(x) for n, x in LAYERS.items()}}
    if files["coherence"] is None:
        raise FlawedPair(
            product.origin,
            "layer missing",
            found=f"no {product.name}_corr{product.clip}.tif",
            needed="unw_phase and corr",
            remedy="unpack or download the whole product again",
        )
    return Pair(
        _acquired(stated.get("referencegranule", "")),
        _acquired(stated.get("secondarygranule", "")),
        product.origin,
        _number(stated, "baseline"),
        {name: file for name, file in files.items() if file},
    )


def _acquired(granules: str) -> np.datetime64:
    """The day of the first of ``granules`` (scenes or bursts, separated by commas)."""
    days = re.findall(r"_(\d{8})T\d{6}_", granules)
    return day(min(days)) if days else NOT_A_DATE


def _number(stated: Mapping[str, str], key: str) -> float:
    try:
        return float(stated[key])
    except (KeyError, ValueError):
        return math.nan


def _looks(stated: list[dict[str, str]]) -> float | None:
    looks = [_number(s, "rangelooks") * _number(s, "azimuthlooks") for s in stated]
    known = [x for x in looks if math.isfinite(x)]
    return float(np.median(known)) / SENTINEL1_LOOKS_PER_INDEPENDENT_LOOK if known else None


def _majority_lattice(grids: list[Grid]) -> Grid:
    """A grid of the lattice that most lie on, whatever their extents."""
    groups: list[list[Grid]] = []
    for grid in grids:
        for group in groups:
            if group[0].offset(grid) is not None:
                group.append(grid)
                break
        else:
            groups.append([grid])
    return majority(max(groups, key=len))


def _extent(lattice: Grid, grids: list[Grid]) -> Grid:
    """The median of the extents of ``grids``, which coincide with ``lattice``."""
    windows = []
    for grid in grids:
        row, column = lattice.offset(grid) or (0, 0)
        windows.append((row, row + grid.height, column, column + grid.width))
    top, bottom, left, right = np.median(windows, axis=0)
    return lattice.part(round(top), round(bottom), round(left), round(right))


def _geometry(
    products: list[tuple[_Product, Grid]],
    native: Grid,
    scalars: Mapping[str, float | None],
    window: Window,
) -> xr.Dataset:
    """Heights and look vectors of the first product that has them, gaps filled by the next.

    ASSUME: baselines of a few hundred metres turn the line of sight by less than 0.0005 rad.
    """
    maps: dict[str, np.ndarray] = {}
    for layers in (("dem",), ("lv_theta", "lv_phi")):
        merged: list[np.ndarray] = []
        for product, grid in products:
            paths = [p for p in (product.file(layer) for layer in layers) if p]
            if len(paths) < len(layers):
                continue
            row, column = native.offset(grid) or (0, 0)
            part = Window(*(w - o for w, o in zip(window, (row, row, column, column), strict=True)))
            try:
                found = [read_window(p, grid, part) for p in paths]
            except FlawedPair as flaw:
                logger.warning("%s", flaw)
                continue
            empty = np.isnan(found[0])
            if len(layers) == 2:
                empty |= (found[0] == 0.0) & (found[1] == 0.0)  # outside the scene
                found[0][empty] = np.nan
            gaps = ~empty if not merged else np.isnan(merged[0]) & ~empty
            merged = merged or [np.full_like(f, np.nan) for f in found]
            for into, values in zip(merged, found, strict=True):
                into[gaps] = values[gaps]
            if not gaps.any() or not np.isnan(merged[0]).any():
                break
        if merged:
            maps |= {"height": merged[0]} if len(layers) == 1 else from_look_vector(*merged)
    return geometry_dataset(maps, **scalars)


def _median(values: list[float]) -> float | None:
    known = [v for v in values if math.isfinite(v)]
    return float(np.median(known)) if known else None
