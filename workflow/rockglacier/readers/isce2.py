"""ISCE2 topsStack's ``merged`` folder (``source: isce2``), in radar geometry.

``interferograms/<reference>_<secondary>/filt_fine.unw`` (amplitude, phase), its ``.conncomp``, and
``fine.cor``, the coherence of the two images, or else ``filt_fine.cor``, that of filtered phase;
``geom_reference/{lat,lon,hgt,los,shadowMask}.rdr``; each with its ``.xml``.

Sign: topsStack forms reference * conj(secondary) (``generateIgram``), as this project: phase is
taken as it is. Wavelength: ``reference/IW*.xml`` beside ``merged``, else Sentinel-1's. Worked
example: ground that moved 10 mm away shows +2.2656 rad. Phase 0 is missing. ``los.rdr`` holds
incidence (deg, from the vertical) and the azimuth of the vector ground to satellite (deg,
anticlockwise from north). ``shadowMask`` is 0 where neither layover nor shadow. Dates are stated by
folder names only. Pixels are geocoded through ``lat`` and ``lon``.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, SENTINEL1_WAVELENGTH_M
from rockglacier.errors import SceneError
from rockglacier.readers.flat import AXES, map_flat
from rockglacier.readers.geometry import from_azimuth, geometry_dataset
from rockglacier.readers.rasters import cleaned, majority
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

TYPES = {"float": "f4", "double": "f8", "byte": "u1", "short": "i2", "int": "i4", "cfloat": "c8"}
LAYERS = {
    "phase": ("filt_fine.unw", "fine.unw"),
    "coherence": ("fine.cor", "filt_fine.cor"),
    "component": ("filt_fine.unw.conncomp", "fine.unw.conncomp"),
}
PAIR_FOLDER = re.compile(r"(\d{8})[_-](\d{8})")


class _Image(NamedTuple):
    """What an image's ``.xml`` states."""

    path: str
    shape: tuple[int, int]
    bands: int
    dtype: str
    interleave: str

    def band(self, number: int) -> np.ndarray:
        """Band ``number`` (-1: the last), (y, x), unread."""
        mapped = map_flat(
            self.path,
            bands=self.bands,
            shape=self.shape,
            dtype=self.dtype,
            interleave=self.interleave,
        )
        band: np.ndarray = mapped[number]
        return band


def _properties(path: Path) -> dict[str, str]:
    """Names (lower case, no blanks) and values of an ISCE2 ``.xml`` file, the first of each."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise FlawedPair(
            path,
            "metadata missing" if isinstance(error, OSError) else "unreadable",
            found=str(error),
            needed="the image's .xml file",
            remedy="copy it beside the image, or process the pair again",
        ) from error
    out: dict[str, str] = {}
    for node in root.iter("property"):
        value = node.findtext("value")
        if value is not None:
            out.setdefault(node.get("name", "").lower().replace(" ", ""), value.strip())
    return out


def _image(path: Path) -> _Image:
    stated = _properties(path.with_name(f"{path.name}.xml"))
    try:
        kind = np.dtype(TYPES[stated.get("data_type", "float").lower()])
        order: Literal[">", "<"] = ">" if stated.get("byte_order", "l")[:1] in "bB" else "<"
        interleave = stated.get("scheme", "bip").lower()
        if interleave not in AXES:
            raise ValueError(f"scheme {interleave!r}")
        return _Image(
            str(path),
            (int(stated["length"]), int(stated["width"])),
            int(stated.get("number_bands", "1")),
            kind.newbyteorder(order).str,
            interleave,
        )
    except (KeyError, ValueError) as error:
        raise FlawedPair(
            path,
            "unreadable metadata",
            found=f"{type(error).__name__}: {error}",
            needed="width, length, data_type and scheme in its .xml file",
            remedy="process the pair again",
        ) from error


def open_isce2(path: str | Path, *, pairs: Collection[str] | None = None) -> Isce2Stack:
    """Open the folder ``merged``, or the one that holds it.

    ``pairs``: names of the folders to read, all where None. SceneError where pairs or the lookup
    are missing.
    """
    merged = Path(path)
    if (merged / "merged").is_dir():
        merged = merged / "merged"
    folders = (
        sorted((merged / "interferograms").iterdir())
        if (merged / "interferograms").is_dir()
        else []
    )
    found = [
        (folder, dates)
        for folder in folders
        if folder.is_dir()
        and (dates := PAIR_FOLDER.fullmatch(folder.name))
        and (pairs is None or folder.name in pairs)
    ]
    if not found:
        raise SceneError(
            f"{merged}: no interferograms/<date>_<date> was found; topsStack's merged folder is "
            "needed: check the path."
        )
    baselines = _baselines(merged.parent / "baselines")
    candidates, rejected = [], []
    images: dict[str, dict[str, _Image]] = {}
    for folder, dates in found:
        first, second = (day(d) for d in dates.groups())
        try:
            layers = _layers(folder)
        except FlawedPair as flaw:
            rejected.append(Rejected(Pair(first, second, str(folder)).name, flaw))
            continue
        metres = baselines.get(second, math.nan) - baselines.get(first, math.nan)
        pair = Pair(first, second, str(folder), metres)
        images[pair.path] = layers
        candidates.append(pair)
    if not candidates:
        raise rejected[0].flaw
    shape = majority([images[p.path]["phase"].shape for p in candidates])
    usable = []
    for pair in candidates:
        odd = [i for i in images[pair.path].values() if i.shape != shape]
        if not odd:
            usable.append(pair)
            continue
        unfit = FlawedPair(
            odd[0].path,
            "different shape within the stack",
            found=f"{odd[0].shape[0]} x {odd[0].shape[1]} pixels",
            needed=f"{shape[0]} x {shape[1]} pixels",
            remedy="process the pair again with the looks of the others",
        )
        rejected.append(Rejected(pair.name, unfit))
    kept, undated = screen(usable)
    return Isce2Stack(merged, kept, rejected + undated, images, shape)


def _layers(folder: Path) -> dict[str, _Image]:
    out = {}
    for layer, names in LAYERS.items():
        file = next((folder / n for n in names if (folder / n).is_file()), None)
        if file is not None:
            out[layer] = _image(file)
        elif layer != "component":
            raise FlawedPair(
                folder / names[0],
                "layer missing",
                found="no such file",
                needed=f"{names[0]} for each pair",
                remedy="run the unwrapping of this pair",
            )
    return out


def _baselines(folder: Path) -> dict[np.datetime64, float]:
    """Perpendicular baseline (m) of each date against the stack's reference date.

    ``baselines/<reference>_<date>/<reference>_<date>.txt`` states it for each swath; their mean.
    """
    out: dict[np.datetime64, float] = {}
    for file in sorted(folder.glob("*/*.txt")):
        dates = PAIR_FOLDER.fullmatch(file.stem)
        values = re.findall(r"Bperp \(average\):\s*(\S+)", file.read_text())
        if dates and values:
            out.setdefault(day(dates[1]), 0.0)
            out[day(dates[2])] = math.fsum(map(float, values)) / len(values)
    return out


class Isce2Stack(Stack):
    """Pairs of topsStack in radar geometry."""

    source = "isce2"

    def __init__(
        self,
        merged: Path,
        pairs: list[Pair],
        rejected: list[Rejected],
        images: dict[str, dict[str, _Image]],
        shape: tuple[int, int],
    ) -> None:
        self._folder = merged / "geom_reference"
        self._images = images
        radar = _radar(merged.parent / "reference")
        super().__init__(
            pairs,
            rejected,
            wavelength_m=radar.get("radarwavelength", SENTINEL1_WAVELENGTH_M),
            looks=self._looks(shape),
            native_grid=None,
            shape=shape,
        )
        self._slant_range_m = radar.get("startingrange")

    def _looks(self, shape: tuple[int, int]) -> float | None:
        """Effective independent looks from the sizes of a full and a multilooked image."""
        full = next((f for f in sorted(self._folder.glob("*.rdr.full.xml"))), None)
        if full is None:
            return None
        stated = _properties(full)
        looks = (int(stated["length"]) // shape[0]) * (int(stated["width"]) // shape[1])
        return looks / SENTINEL1_LOOKS_PER_INDEPENDENT_LOOK

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that every pair has."""
        return tuple(n for n in LAYERS if all(n in self._images[p.path] for p in self._pairs))

    def read(self, index: int, window: Window | None = None) -> xr.Dataset:
        """Read the layers of one pair; the phase is the last band of ``.unw``."""
        images = self._images[self._pairs[index].path]
        where = window or self.whole
        layers = {n: part_of(images[n].band(-1), where, self.shape) for n in self.layers}
        return cleaned(layers, zero_is_missing=True)

    def _map(self, name: str, band: int, window: Window) -> np.ndarray | None:
        path = self._folder / name
        if not path.is_file():
            return None
        image = _image(path)
        if image.shape != self.shape:
            raise SceneError(
                f"{path} has {image.shape} pixels but the interferograms have {self.shape}; "
                "geometry multilooked as they are is needed: run the merge step again."
            )
        return part_of(image.band(band), window, self.shape)

    def lookup(self) -> xr.Dataset:
        """Latitude and longitude of ``lat.rdr`` and ``lon.rdr``; SceneError without them."""
        latitude, longitude = (self._map(f"{n}.rdr", 0, self.whole) for n in ("lat", "lon"))
        if latitude is None or longitude is None:
            raise SceneError(
                f"{self._folder} lacks lat.rdr or lon.rdr; both are needed to geocode the stack: "
                "run topsStack's merge step for the geometry."
            )
        outside = (latitude == 0.0) & (longitude == 0.0)
        return xr.Dataset(
            {
                "latitude": (MAP, np.where(outside, np.nan, latitude)),
                "longitude": (MAP, np.where(outside, np.nan, longitude)),
            }
        )

    def geometry(self, window: Window | None = None) -> xr.Dataset:
        """Height, line of sight and shadow of ``geom_reference``, as far as it has them."""
        where = window or self.whole
        maps: dict[str, np.ndarray] = {}
        height, shadow = self._map("hgt.rdr", 0, where), self._map("shadowMask.rdr", 0, where)
        incidence, azimuth = (self._map("los.rdr", band, where) for band in (0, -1))
        if height is not None:
            maps["height"] = height.astype(np.float32)
        if incidence is not None and azimuth is not None:
            maps |= from_azimuth(incidence, azimuth)
        if shadow is not None:
            maps["observable"] = (shadow == 0).astype(np.uint8)
        return geometry_dataset(maps, slant_range_m=self._slant_range_m)


def _radar(folder: Path) -> dict[str, float]:
    """Wavelength (m) and the mean starting range (m) of the sub-swaths in ``IW*.xml``."""
    swaths = [_properties(f) for f in sorted(folder.glob("IW*.xml"))]
    out = {}
    for key in ("radarwavelength", "startingrange"):
        values = [float(s[key]) for s in swaths if key in s]
        if values:
            out[key] = math.fsum(values) / len(values)
    return out
