"""Landsat 8 and 9 scenes as USGS delivers them: folders of single-band TIFFs beside their metadata.

Collection 2 (levels 1 and 2), Collection 1 and what came before are told apart by their metadata:
``*_MTL.txt``, or a STAC item whose assets lie beside it.

Source
------
Landsat 8-9 Collection 2 Level 1 Data Format Control Book, LSDS-1822; for Collection 1, LSDS-1656;
STAC extension landsat 2.0.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import xarray as xr

from rockglacier.optical.scene import Scene, bad_metadata, below, open_raster, shown
from rockglacier.readers.stack import FlawedPair

SOUGHT = "*_MTL.txt, or a STAC item (*.json), beside the bands of a Landsat 8 or 9 scene"
KIND = "Landsat 8 or 9"
PANCHROMATIC, GREEN, SHORTWAVE = "B8", "B3", "B6"
# Digital numbers to surface reflectance (Collection 2 level 2, LSDS-1619), and the bits of the
# quality band that hide it: fill, dilated cloud, cirrus, cloud, shadow. Snow (5) is what is wanted.
SCALE, OFFSET = 2.75e-5, -0.2
HIDING_BITS = (0, 1, 2, 3, 4)
# Bits of the quality band that tell a pixel does not show the ground.
# ASSUME: dilated cloud counts as cloud; cirrus, through which one sees, does not.
UNSEEN_BITS = {2: (0, 1, 3, 4), 1: (0, 4)}  # by collection; LSDS-1822 table 3-2, LSDS-1656
SHADOW_CONFIDENT = 3 << 7  # two bits of Collection 1, both set
# Before there were collections: fill, and two bits of cloud, both set (LSDS-1574, version 1).
FILL_EARLY, CLOUD_EARLY = 1, 3 << 14
# A band's file, by its product's name; crops continue it.
BAND_FILE = re.compile(r"(.+?)_(?:SR_|ST_)?B\d{1,2}(?:[._].*)?\.tif$", re.IGNORECASE)
LEVELS, TIERS = ("L1GS", "L1GT", "L1TP"), ("RT", "T2", "T1")  # ascending: how well they lie


def find_scenes(folder: str | Path) -> list[Path]:
    """Metadata of the scenes in or below ``folder``: MTL files, or STAC items where none is.

    Of bands without metadata the MTL file that is missing: :func:`read_scene` says so.
    """
    texts = below(folder, "*_MTL.txt")
    told = {path.parent for path in texts}
    items = [p for p in below(folder, "*.json") if p.parent not in told and _is_item(p)]
    return texts + items + _missing(folder, texts + items)


def _is_item(path: Path) -> bool:
    """Whether ``path`` is a STAC item, or cannot be read, which is said when it is."""
    try:
        return bool(json.loads(path.read_text()).get("stac_version"))
    except AttributeError:
        return False
    except (ValueError, OSError):
        return True


def _missing(folder: str | Path, found: list[Path]) -> list[Path]:
    """MTL files that should lie beside bands, but do not, nor anything that is ``found``."""
    products: dict[Path, set[str]] = {}
    for file in below(folder, "*.TIF", "*.tif"):
        if match := BAND_FILE.match(file.name):
            products.setdefault(file.parent, set()).add(match[1])
    missing = []
    for place, names in products.items():
        beside = [path.name for path in found if path.parent == place]
        if len(beside) < len(names):  # else each has its own, whatever its name
            alone = [n for n in names if not any(b.startswith(n) for b in beside)]
            missing += [place / f"{name}_MTL.txt" for name in sorted(alone)]
    return missing


def read_scene(path: str | Path) -> Scene:
    """Read the metadata at ``path`` (of :func:`find_scenes`).

    Raises
    ------
    FlawedPair
        They are no metadata of a Landsat 8 or 9 scene, or lack what is needed.
    """
    place = Path(path)
    return _from_item(place) if place.suffix == ".json" else _from_mtl(place)


def _from_mtl(path: Path) -> Scene:
    stated: dict[str, str] = {}
    for line in _text(path).splitlines():
        key, equals, value = line.partition("=")
        # Of a Level-2 product the first says it of the product, later groups of its origin.
        if equals:
            stated.setdefault(key.strip(), value.strip().strip('"'))

    def need(key: str) -> str:
        if stated.get(key):
            return stated[key]
        raise bad_metadata(path, f"no {key}", KIND)

    def number(key: str) -> float:
        text = need(key)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return value
        raise bad_metadata(path, f"{key} is {text!r}, which is no number", KIND)

    names = {
        "B" + re.sub(r"^(ST_)?B", "", key.removeprefix("FILE_NAME_BAND_")): value
        for key, value in stated.items()
        if key.startswith("FILE_NAME_BAND_") and "QUALITY" not in key
    }
    quality = stated.get("FILE_NAME_QUALITY_L1_PIXEL") or stated.get("FILE_NAME_BAND_QUALITY")
    saturation = stated.get("FILE_NAME_QUALITY_L1_RADIOMETRIC_SATURATION")
    return Scene(
        path=path,
        name=stated.get("LANDSAT_PRODUCT_ID") or need("LANDSAT_SCENE_ID"),
        satellite=_satellite(need("SPACECRAFT_ID"), path),
        orbit=f"{int(number('WRS_PATH')):03d}{int(number('WRS_ROW')):03d}",
        time=_time(f"{need('DATE_ACQUIRED')}T{need('SCENE_CENTER_TIME')}", path),
        sun_azimuth_deg=number("SUN_AZIMUTH"),
        sun_elevation_deg=number("SUN_ELEVATION"),
        version=int(number("COLLECTION_NUMBER")) if stated.get("COLLECTION_NUMBER") else 0,
        rank=_rank(stated.get("LANDSAT_PRODUCT_ID") or ""),
        bands={band: file for band, name in names.items() if (file := _beside(path, name))},
        quality=_beside(path, quality) if quality else None,
        surface=_of_surface(stated.get("LANDSAT_PRODUCT_ID") or ""),
        saturation=_beside(path, saturation) if saturation else None,
    )


def _from_item(path: Path) -> Scene:
    try:
        item: dict[str, Any] = json.loads(_text(path))
        properties = item["properties"]
        bands: dict[str, Path] = {}
        quality = saturation = None
        for asset in item["assets"].values():
            file = _beside(path, Path(unquote(urlparse(asset["href"]).path)).name)
            if file is None:
                continue
            match = re.search(r"_(?:SR_|ST_)?(B\d+)$", file.stem)
            if match:
                bands[match[1]] = file
            elif file.stem.endswith("QA_PIXEL"):
                quality = file
            elif file.stem.endswith("QA_RADSAT"):
                saturation = file
        sun = [float(properties[f"view:sun_{name}"]) for name in ("azimuth", "elevation")]
        if not all(map(math.isfinite, sun)):
            raise ValueError(f"sun angles {sun}")
        return Scene(
            path=path,
            name=item["id"],
            satellite=_satellite(properties["platform"], path),
            orbit=f"{int(properties['landsat:wrs_path']):03d}"
            f"{int(properties['landsat:wrs_row']):03d}",
            time=_time(properties["datetime"], path),
            sun_azimuth_deg=sun[0],
            sun_elevation_deg=sun[1],
            version=int(properties.get("landsat:collection_number", 2)),
            rank=_rank(item["id"]),
            bands=bands,
            quality=quality,
            surface=_of_surface(item["id"]),
            saturation=saturation,
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        lacks = f"no {error}" if isinstance(error, KeyError) else f"{error}"
        raise bad_metadata(path, f"a STAC item that cannot be used ({lacks})", KIND) from error


def _text(path: Path) -> str:
    """What stands in the metadata at ``path``."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError as error:
        raise bad_metadata(path, "no such file, though bands lie there", KIND) from error
    except OSError as error:
        raise bad_metadata(path, f"a file that cannot be read ({error.strerror})", KIND) from error


def _of_surface(product: str) -> bool:
    """Whether ``product`` holds surface reflectance (L2SP, L2SR)."""
    return bool(re.search(r"_L2S[PR]_", product))


def _rank(product: str) -> tuple[int | str, ...]:
    """Ground control, tier and day of processing of a ``product``: the higher the better."""
    parts = product.split("_")
    level = next((LEVELS.index(p) for p in parts if p in LEVELS), -1)
    tier = next((TIERS.index(p) for p in parts if p in TIERS), -1)
    days = [p for p in parts if re.fullmatch(r"\d{8}", p)]
    return level, tier, days[-1] if days else ""


def _satellite(stated: str, path: Path) -> str:
    name = stated.upper().replace("-", "_")
    if name not in ("LANDSAT_8", "LANDSAT_9"):
        raise FlawedPair(
            path, "other satellite", found=f"a scene of {stated}", needed=KIND,
            remedy="take the scene out of the folder",
        )  # fmt: skip
    return name


def _time(text: str, path: Path) -> np.datetime64:
    try:
        return np.datetime64(text.rstrip("Z")[:26], "ns")
    except ValueError as error:
        raise bad_metadata(path, f"{text!r}, which is no time", KIND) from error


def _beside(path: Path, name: str) -> Path | None:
    """The file ``name`` beside ``path``; or the one whose name continues it, as crops' do."""
    exact = path.parent / Path(name).name
    if exact.exists():
        return exact
    like = [p for p in path.parent.glob(f"{exact.stem}[._]*") if p.suffix.lower() == ".tif"]
    return like[0] if len(like) == 1 else None


def open_band(scene: Scene, band: str = PANCHROMATIC) -> xr.DataArray:
    """Digital numbers (y, x; float32, lazy) of one band; NaN where there are none, and in cloud.

    Clouds and their shadows are left out where the scene has its quality band.

    Raises
    ------
    FlawedPair
        The scene lacks the band, or its file cannot be read.
    """
    image = open_raster(scene.file(band))
    hidden = None if scene.quality is None else _hidden(scene)
    return shown(image, hidden).rename(band)


def _hidden(scene: Scene) -> xr.DataArray:
    """Where the quality band does not see the ground."""
    assert scene.quality is not None
    quality = open_raster(scene.quality)
    if scene.version == 0:
        return ((quality & FILL_EARLY) != 0) | ((quality & CLOUD_EARLY) == CLOUD_EARLY)
    collection = min(scene.version, 2)
    unseen = sum(1 << bit for bit in UNSEEN_BITS[collection])
    hidden = (quality & unseen) != 0
    if collection == 1:
        hidden |= (quality & SHADOW_CONFIDENT) == SHADOW_CONFIDENT
    return hidden


def open_reflectance(scene: Scene, band: str) -> xr.DataArray:
    """Surface reflectance (y, x; float32, lazy) of one band; NaN where it is hidden or saturated.

    Snow is kept; clouds, their shadows and cirrus are not.

    Raises
    ------
    FlawedPair
        The scene is no level 2 of Collection 2 with its quality band, or lacks the band.
    """
    if not scene.surface or scene.quality is None:
        raise FlawedPair(
            scene.path, "no surface reflectance",
            found="no surface reflectance with its quality band (QA_PIXEL)",
            needed="a Landsat product of Collection 2 level 2", remedy="download that one",
        )  # fmt: skip
    image = open_raster(scene.file(band))
    hidden = (open_raster(scene.quality) & sum(1 << bit for bit in HIDING_BITS)) != 0
    if scene.saturation is not None:
        hidden |= (open_raster(scene.saturation) & (1 << (int(band[1:]) - 1))) != 0
    values = shown(image, hidden)
    return (values * np.float32(SCALE) + np.float32(OFFSET)).assign_attrs(values.attrs)
