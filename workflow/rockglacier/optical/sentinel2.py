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

from rockglacier.errors import SceneError
from rockglacier.optical.scene import Scene, below, open_raster, shown

NEAR_INFRARED, GREEN, SHORTWAVE = "B08", "B03", "B11"
QUANTIFICATION = 10_000.0  # digital numbers per reflectance
OFFSET_SINCE, OFFSET = 400, 1000  # processing baseline from which numbers are so much higher
THIN_CIRRUS = 10  # hides reflectance, though not the ground
METADATA = ("MTD_MSIL1C.xml", "MTD_MSIL2A.xml")
# Classes of the scene classification that do not show the ground: no data, saturated, shadow of
# cloud, cloud. ASSUME: thin cirrus (10), through which one sees, does not hide it.
UNSEEN_CLASSES = (0, 1, 3, 8, 9)


def find_scenes(folder: str | Path) -> list[Path]:
    """Metadata of the products in or below ``folder``."""
    return below(folder, *METADATA)


def read_scene(path: str | Path) -> Scene:
    """Read the metadata at ``path`` (of :func:`find_scenes`) and of the granule below it.

    Raises
    ------
    SceneError
        They are no metadata of a Sentinel-2 product, or lack what is needed.
    """
    place = Path(path)
    product = _parsed(place)
    granules = sorted(place.parent.glob("GRANULE/*/MTD_TL.xml"))
    if len(granules) != 1:
        raise SceneError(
            f"{place}: {len(granules)} granules lie below it; one, with its MTD_TL.xml, is needed: "
            "download the product again."
        )
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
        raise SceneError(f"{place}: its PRODUCT_URI names no tile; download the product again.")
    orbit = int(_text(product, "SENSING_ORBIT_NUMBER", place))
    return Scene(
        path=place,
        name=name,
        satellite=_text(product, "SPACECRAFT_NAME", place),
        orbit=f"R{orbit:03d}_T{tile[1]}",
        time=np.datetime64(_text(granule, "SENSING_TIME", granules[0]).rstrip("Z")[:26], "ns"),
        sun_azimuth_deg=float(_text(granule, "Mean_Sun_Angle/AZIMUTH_ANGLE", granules[0])),
        sun_elevation_deg=90.0 - float(_text(granule, "Mean_Sun_Angle/ZENITH_ANGLE", granules[0])),
        version=int(_text(product, "PROCESSING_BASELINE", place).replace(".", "")),
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
    SceneError
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
    SceneError
        The product is not of level 2A with its scene classification, or lacks the band.
    """
    if not scene.surface or scene.quality is None or "_SCL_" not in scene.quality.name:
        raise SceneError(
            f"{scene.path}: no surface reflectance with its scene classification (SCL); a "
            "Sentinel-2 product of level 2A is needed: download that one."
        )
    image = open_raster(scene.file(band))
    hidden = open_raster(scene.quality).isin((*UNSEEN_CLASSES, THIN_CIRRUS))
    values = shown(image, hidden)
    base = OFFSET if scene.version >= OFFSET_SINCE else 0
    return ((values - np.float32(base)) / np.float32(QUANTIFICATION)).assign_attrs(values.attrs)


def _parsed(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError) as error:
        raise SceneError(
            f"{path} is no XML that can be read ({error}); download it again."
        ) from error


def _text(root: ElementTree.Element, name: str, path: Path) -> str:
    found = root.find(f".//{name}")
    if found is None or not found.text:
        raise SceneError(
            f"{path}: no {name}; the metadata of a Sentinel-2 product are needed: download them "
            "again."
        )
    return found.text.strip()
