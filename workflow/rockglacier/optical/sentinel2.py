"""Sentinel-2 products as Copernicus delivers them: SAFE folders, level 1C or 2A.

Source
------
Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import xarray as xr

from rockglacier.optical.scene import Scene, bad_metadata, below, open_raster, shown
from rockglacier.readers.stack import FlawedPair

NEAR_INFRARED, GREEN, SHORTWAVE = "B08", "B03", "B11"
QUANTIFICATION = 10_000.0  # digital numbers per reflectance
OFFSET_SINCE, OFFSET = 400, 1000  # processing baseline from which numbers are so much higher
THIN_CIRRUS = 10  # hides reflectance, though not the ground
METADATA = ("MTD_MSIL1C.xml", "MTD_MSIL2A.xml")
SOUGHT = " or ".join(METADATA) + " in the SAFE folder of a Sentinel-2 product"
KIND = "Sentinel-2"
# Classes of the scene classification that do not show the ground: no data, saturated, shadow of
# cloud, cloud. ASSUME: thin cirrus (10), through which one sees, does not hide it.
UNSEEN_CLASSES = (0, 1, 3, 8, 9)


def find_scenes(folder: str | Path) -> list[Path]:
    """Metadata of the products in or below ``folder``.

    Of granules without them those that are missing: :func:`read_scene` says so.
    """
    found = below(folder, *METADATA)
    products = sorted({path.parents[2] for path in below(folder, "MTD_TL.xml")})
    told = {path.parent for path in found}
    missing = [p / METADATA["MSIL2A" in p.name] for p in products if p not in told]
    return found + missing


def read_scene(path: str | Path) -> Scene:
    """Read the metadata at ``path`` (of :func:`find_scenes`) and of the granule below it.

    Raises
    ------
    FlawedPair
        They are no metadata of a Sentinel-2 product, or lack what is needed.
    """
    place = Path(path)
    product = _parsed(place)
    granules = sorted(place.parent.glob("GRANULE/*/MTD_TL.xml"))
    if len(granules) != 1:
        raise FlawedPair(
            place, "metadata cannot be used", found=f"{len(granules)} granules below it",
            needed="one, with its MTD_TL.xml", remedy="download the product again",
        )  # fmt: skip
    granule = _parsed(granules[0])
    images = granules[0].parent / "IMG_DATA"
    # Level 2A holds a band in several resolutions: the finest serves.
    bands: dict[str, Path] = {}
    for file in sorted(images.rglob("*.jp2"), key=lambda f: f.parent.name, reverse=True):
        if match := re.search(r"_(B\d[\dA])(?:_\d+m)?$", file.stem):
            bands[match[1]] = file
    classes = sorted(images.rglob("*_SCL_20m.jp2"))
    cloud = granules[0].parent / "QI_DATA" / "MSK_CLASSI_B00.jp2"
    quality = classes[0] if classes else cloud if cloud.exists() else None
    name = _text(product, "PRODUCT_URI", place).removesuffix(".SAFE")
    tile = re.search(r"_T(\d\d[A-Z]{3})", name)
    if tile is None:
        raise bad_metadata(place, "a PRODUCT_URI that names no tile", KIND)
    try:
        orbit = int(_text(product, "SENSING_ORBIT_NUMBER", place))
        time = np.datetime64(_text(granule, "SENSING_TIME", granules[0]).rstrip("Z")[:26], "ns")
        azimuth = float(_text(granule, "Mean_Sun_Angle/AZIMUTH_ANGLE", granules[0]))
        zenith = float(_text(granule, "Mean_Sun_Angle/ZENITH_ANGLE", granules[0]))
        version = int(_text(product, "PROCESSING_BASELINE", place).replace(".", ""))
    except ValueError as error:
        raise bad_metadata(place, f"no number or time ({error})", KIND) from error
    return Scene(
        path=place,
        name=name,
        satellite=_text(product, "SPACECRAFT_NAME", place),
        orbit=f"R{orbit:03d}_T{tile[1]}",
        time=time,
        sun_azimuth_deg=azimuth,
        sun_elevation_deg=90.0 - zenith,
        version=version,
        rank=(name.rpartition("_")[2],),  # when it was made
        bands=bands,
        quality=quality,
        surface=place.name == METADATA[1],
    )


def open_band(scene: Scene, band: str = NEAR_INFRARED) -> xr.DataArray:
    """Digital numbers (y, x; float32, lazy) of one band; NaN where there are none, and in cloud.

    Clouds are those of the scene classification (level 2A), else of the cloud mask where there is
    one.

    Raises
    ------
    FlawedPair
        The scene lacks the band, or its file cannot be read.
    """
    image = open_raster(scene.file(band))
    hidden = None
    if scene.quality is not None:
        quality = open_raster(scene.quality)
        classified = "_SCL_" in scene.quality.name
        hidden = quality.isin(UNSEEN_CLASSES) if classified else quality == 1
    return shown(image, hidden).rename(band)


def open_reflectance(scene: Scene, band: str) -> xr.DataArray:
    """Surface reflectance (y, x; float32, lazy) of one band; NaN where clouds hide it.

    Raises
    ------
    FlawedPair
        The product is not of level 2A with its scene classification, or lacks the band.
    """
    if not scene.surface or scene.quality is None or "_SCL_" not in scene.quality.name:
        raise FlawedPair(
            scene.path, "no surface reflectance",
            found="no surface reflectance with its scene classification (SCL)",
            needed="a Sentinel-2 product of level 2A", remedy="download that one",
        )  # fmt: skip
    image = open_raster(scene.file(band))
    hidden = open_raster(scene.quality).isin((*UNSEEN_CLASSES, THIN_CIRRUS))
    values = shown(image, hidden)
    base = OFFSET if scene.version >= OFFSET_SINCE else 0
    return ((values - np.float32(base)) / np.float32(QUANTIFICATION)).assign_attrs(values.attrs)


def _parsed(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError) as error:
        said = getattr(error, "strerror", None) or error
        raise bad_metadata(path, f"no XML that can be read ({said})", KIND) from error


def _text(root: ElementTree.Element, name: str, path: Path) -> str:
    found = root.find(f".//{name}")
    if found is None or not found.text:
        raise bad_metadata(path, f"no {name}", KIND)
    return found.text.strip()
