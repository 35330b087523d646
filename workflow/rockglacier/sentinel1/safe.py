"""Sentinel-1 products as downloaded: SAFE folders and zips, read in place.

Whole scenes, slices and single bursts have one shape: a ``manifest.safe`` beside ``annotation/``
and ``measurement/``. What the manifest lists may be absent (of a single burst the other swaths
are); only what is there counts.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from rockglacier.errors import SceneError
from rockglacier.io import leaves_its_folder
from rockglacier.sentinel1.annotation import Swath, read_annotation
from rockglacier.sentinel1.calibration import Noise, Table, read_calibration, read_noise
from rockglacier.sentinel1.ground_range import Detected, read_detected

if TYPE_CHECKING:
    from rasterio import DatasetReader

MANIFEST = "manifest.safe"
# ...-iw2-slc-vv-20200604t022307-..., of annotation and measurement alike; a GRD's swath is iw.
NAME = re.compile(
    r"(?P<mission>s1[a-d])-(?P<swath>iw[123]-slc|iw-grd)-(?P<polarisation>vv|vh|hh|hv)-"
    r"(?P<start>\d{8}t\d{6})-.+"
)
START_WITHIN = np.timedelta64(60, "s")  # of the time in a file's name, cut to whole seconds


# What zipfile raises of a member that is broken, encrypted or packed in a way it does not know.
_UNREADABLE = (
    *(OSError, KeyError, zipfile.BadZipFile, zlib.error, EOFError, ValueError),
    *(RuntimeError, NotImplementedError),
)


@dataclass(frozen=True, eq=False)
class Safe:
    """One product: what its manifest says and which files it holds.

    ``files``: names within the product, with forward slashes; ``place``: where GDAL finds them.
    """

    path: Path
    place: str
    prefix: str  # within the zip; empty for a folder
    files: frozenset[str]

    def read(self, name: str) -> bytes:
        """Content of the file ``name``; SceneError where it cannot be read."""
        try:
            if self.path.is_dir():
                return (self.path / name).read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(self.prefix + name)
        except _UNREADABLE as error:
            raise SceneError(
                f"{self.path}: {name} cannot be read ({error}); a whole product is needed: "
                "download it again."
            ) from error

    @cached_property
    def manifest(self) -> dict[str, object]:
        """Mission, relative orbit, pass, mode, type and times that the manifest states."""
        from xarray_sentinel import esa_safe

        content = self.read(MANIFEST).decode(errors="replace")
        # A product across the node has two orbits: that of its start counts.
        for tag in ("relativeOrbitNumber", "orbitNumber"):
            start = re.search(rf'{tag} type="start">(\d+)<', content)
            if start:
                content = re.sub(rf'({tag} type="stop">)\d+<', rf"\g<1>{start[1]}<", content)
        try:
            stated, _ = esa_safe.parse_manifest_sentinel1.__wrapped__(io.StringIO(content))
        except Exception as error:  # whatever the parser meets
            raise SceneError(
                f"{self.path}: {MANIFEST} is not read as that of a Sentinel-1 product ({error}); "
                "mission, orbits and type are needed: download it again."
            ) from error
        return dict(stated)

    @cached_property
    def processed(self) -> str:
        """When the product was last processed (ISO time), as its manifest states; else empty."""
        content = self.read(MANIFEST).decode(errors="replace")
        return max(re.findall(r'processing [^>]*stop="([^"]+)"', content), default="")

    @property
    def mission(self) -> str:
        """S1A, S1B, S1C or S1D."""
        return f"S1{self.manifest['number']}"

    @property
    def relative_orbit(self) -> int:
        """Relative orbit, 1 to 175."""
        return int(str(self.manifest["relative_orbit_number"]))

    @property
    def product_type(self) -> str:
        """SLC or GRD, or what else it is."""
        return str(self.manifest["product_type"])

    def swaths(self, polarisation: str) -> list[str]:
        """Names (without suffix) of the swaths whose annotation of ``polarisation`` is there.

        Of a GRD the swaths are merged into one.
        """
        found = []
        for file in sorted(self.files):
            folder, _, name = file.rpartition("/")
            stem, _, suffix = name.rpartition(".")
            match = NAME.fullmatch(stem)
            if folder != "annotation" or suffix != "xml" or match is None:
                continue
            if match["polarisation"].upper() == polarisation:
                found.append(stem)
        return found

    def crossed(self, stem: str) -> str:
        """The swath of ``stem`` in the cross polarisation; SceneError where it is not there."""
        own = NAME.fullmatch(stem)
        if own is None:
            raise ValueError(f"{stem!r} is no name of a swath")
        other = {"vv": "VH", "hh": "HV"}[own["polarisation"]]
        pattern = re.compile(rf"\w+-{own['swath']}-.*")
        found = next(filter(pattern.match, self.swaths(other)), None)
        if found is None:
            raise SceneError(
                f"{self.path}: no {other} beside {stem}; the cross polarisation of each date is "
                "needed: take the product out, or set cross_polarisation to false."
            )
        return found

    def annotation(self, stem: str) -> Swath:
        """The annotation of one swath and polarisation of an SLC."""
        name = f"annotation/{stem}.xml"
        found = read_annotation(self.read(name), f"{self.path}/{name}")
        self._check(found, stem, found.bursts[0].start, found.swath)
        return found

    def detected(self, stem: str) -> Detected:
        """The annotation of one polarisation of a GRD."""
        name = f"annotation/{stem}.xml"
        found = read_detected(self.read(name), f"{self.path}/{name}")
        self._check(found, stem, found.start, "IW")
        return found

    def _check(self, found: Swath | Detected, stem: str, start: np.datetime64, swath: str) -> None:
        """SceneError where an annotation tells of another product, swath or polarisation."""
        own = NAME.fullmatch(stem)
        assert own is not None  # of swaths()
        named = np.datetime64(datetime.strptime(own["start"], "%Y%m%dt%H%M%S"), "ns")
        told = {
            "satellite": (found.mission, self.mission),
            "swath": (swath, own["swath"][:3].upper().rstrip("-")),
            "polarisation": (found.polarisation, own["polarisation"].upper()),
        }
        wrong = [f"{what} {a}, not {b}" for what, (a, b) in told.items() if a != b]
        if abs(start - named) > START_WITHIN:
            wrong.append(f"lines from {start}, not {named}")
        if wrong:
            raise SceneError(
                f"{self.path}: annotation/{stem}.xml is that of {'; '.join(wrong)}; files of one "
                "product are needed: download it again."
            )

    def calibration(self, stem: str) -> Table:
        """Digital numbers per amplitude of beta nought, of one swath and polarisation."""
        name = f"annotation/calibration/calibration-{stem}.xml"
        return read_calibration(self.read(name), f"{self.path}/{name}")

    def noise(self, stem: str) -> Noise:
        """Power of thermal noise in squared digital numbers."""
        name = f"annotation/calibration/noise-{stem}.xml"
        return read_noise(self.read(name), f"{self.path}/{name}")

    def measurement(self, stem: str) -> str:
        """Where GDAL opens the pixels of one swath; SceneError where the product lacks them."""
        for suffix in ("tiff", "tif"):
            name = f"measurement/{stem}.{suffix}"
            if name in self.files:
                return f"{self.place}{name}"
        raise SceneError(
            f"{self.path}: no measurement/{stem}.tiff; the pixels are needed: download the whole "
            "product."
        )


@dataclass(frozen=True, eq=False)
class Source:
    """Pixels of one polarisation of a product, and what their digital numbers mean."""

    safe: Safe
    stem: str

    @cached_property
    def beta_nought(self) -> Table:
        """Digital numbers per amplitude of beta nought."""
        return self.safe.calibration(self.stem)

    @cached_property
    def noise(self) -> Noise:
        """Power of thermal noise in squared digital numbers."""
        return self.safe.noise(self.stem)


@contextmanager
def open_pixels(place: str) -> Iterator[DatasetReader]:
    """The measurement at ``place`` (of :meth:`Safe.measurement`), open; it lies on no map."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        source = rasterio.open(place)
    with source:
        yield source


def open_safe(path: str | Path) -> Safe:
    """Open the product at ``path``: a SAFE folder, its ``manifest.safe``, or a zip that holds one.

    Raises
    ------
    SceneError
        There is none, the zip is broken, or names within it point elsewhere.
    """
    place = Path(path)
    if place.name == MANIFEST:
        place = place.parent
    if place.is_dir():
        names = frozenset(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file())
        if MANIFEST not in names:
            raise SceneError(
                f"{place}: no {MANIFEST}; the folder of a SAFE product is needed: give the folder "
                "whose name ends with .SAFE."
            )
        return Safe(place, f"{place.absolute()}/", "", names)
    if not place.exists():
        raise SceneError(f"{place} does not exist; check the track's path.")
    try:
        with zipfile.ZipFile(place) as archive:
            members = [m for m in archive.namelist() if not m.endswith("/")]
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise SceneError(
            f"{place}: {error}; a whole zip of a SAFE product is needed: download it again."
        ) from error
    for member in members:
        if leaves_its_folder(member):
            raise SceneError(
                f"{place}: the zip holds {member!r}, a path out of its own folder; paths within it "
                "are needed: download the product again from its source."
            )
    tops = sorted({m.removesuffix(MANIFEST) for m in members if PurePosixPath(m).name == MANIFEST})
    if len(tops) != 1:
        raise SceneError(
            f"{place}: {len(tops)} {MANIFEST} in the zip; the zip of one SAFE product is needed."
        )
    names = frozenset(m.removeprefix(tops[0]) for m in members if m.startswith(tops[0]))
    # Braces let GDAL take any file name for the archive, but for one that holds a brace.
    name = str(place.absolute())
    inside = name if set("{}") & set(name) else f"{{{name}}}"
    return Safe(place, f"/vsizip/{inside}/{tops[0]}", tops[0], names)


def cross_polarised(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """``rows`` that begin with product and stem, of the cross polarisation of the same products.

    SceneError where a product has none.
    """
    crossed = {(path, stem): open_safe(path).crossed(stem) for path, stem, *_ in rows}
    return [[path, crossed[path, stem], *rest] for path, stem, *rest in rows]
