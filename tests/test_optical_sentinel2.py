"""Sentinel-2 products as they are delivered, and what is wrong with some."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from rockglacier.errors import SceneError
from rockglacier.optical.sentinel2 import find_scenes, open_band, read_scene

NAME = "S2B_MSIL{level}_20220804T101559_N0510_R065_T32TPS_20240701T000000"
PRODUCT = """<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-{level}_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product.xsd">
  <n1:General_Info><Product_Info>
    <PRODUCT_URI>{name}.SAFE</PRODUCT_URI>
    <PROCESSING_BASELINE>05.10</PROCESSING_BASELINE>
    <Datatake><SPACECRAFT_NAME>Sentinel-2B</SPACECRAFT_NAME>
      <SENSING_ORBIT_NUMBER>65</SENSING_ORBIT_NUMBER></Datatake>
  </Product_Info></n1:General_Info>
</n1:Level-{level}_User_Product>
"""
GRANULE = """<?xml version="1.0" encoding="UTF-8"?>
<n1:Level_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Tile_Metadata.xsd">
  <n1:General_Info><SENSING_TIME metadataLevel="Standard">2022-08-04T10:26:40.447Z</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info><Tile_Angles><Mean_Sun_Angle>
    <ZENITH_ANGLE unit="deg">32.5</ZENITH_ANGLE><AZIMUTH_ANGLE unit="deg">151.25</AZIMUTH_ANGLE>
  </Mean_Sun_Angle></Tile_Angles></n1:Geometric_Info>
</n1:Level_Tile_ID>
"""


def write(path: Path, values: np.ndarray, spacing: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = values.shape
    transform = Affine(spacing, 0.0, 600_000.0, 0.0, -spacing, 5_200_020.0)
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", height=height, width=width, count=1, dtype=values.dtype,
        crs="EPSG:32632", transform=transform, QUALITY="100", REVERSIBLE="YES",
    ) as target:  # fmt: skip
        target.write(values, 1)


@pytest.fixture(params=["2A", "1C"])
def product(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One product of 40 x 40 pixels; its scene classification, or cloud mask, in columns."""
    level = request.param
    name = NAME.format(level=level)
    granule = tmp_path / f"{name}.SAFE" / "GRANULE" / "L2A_T32TPS_A028261_20220804T102553"
    values = np.arange(4000, 5600, dtype=np.uint16).reshape(40, 40)
    values[0] = 0
    stem = "T32TPS_20220804T101559"
    if level == "2A":
        write(granule / "IMG_DATA" / "R10m" / f"{stem}_B08_10m.jp2", values, 10.0)
        write(granule / "IMG_DATA" / "R20m" / f"{stem}_B08_20m.jp2", values[:20, :20], 20.0)
        classes = np.repeat(np.array([4, 3, 9, 10], np.uint8), 5)[None].repeat(20, axis=0)
        write(granule / "IMG_DATA" / "R20m" / f"{stem}_SCL_20m.jp2", classes, 20.0)
    else:
        write(granule / "IMG_DATA" / f"{stem}_B08.jp2", values, 10.0)
        cloud = np.repeat(np.array([0, 1, 1, 0], np.uint8), 5)[None].repeat(20, axis=0)
        write(granule / "QI_DATA" / "MSK_CLASSI_B00.jp2", cloud, 20.0)
    folder = tmp_path / f"{name}.SAFE"
    (folder / f"MTD_MSIL{level}.xml").write_text(PRODUCT.format(level=level, name=name))
    (granule / "MTD_TL.xml").write_text(GRANULE)
    return tmp_path


def test_metadata_and_the_finest_band_are_read(product: Path) -> None:
    (path,) = find_scenes(product)
    scene = read_scene(path)
    assert scene.satellite == "Sentinel-2B" and scene.orbit == "R065_T32TPS"
    assert scene.version == 510 and str(scene.time).startswith("2022-08-04T10:26:40.447")
    assert (scene.sun_azimuth_deg, scene.sun_elevation_deg) == (151.25, 57.5)
    image = open_band(scene)
    assert image.shape == (40, 40) and image.attrs["crs"] == "EPSG:32632"
    assert float(image.x[1] - image.x[0]) == 10.0


def test_cloud_and_what_is_missing_are_not_shown(product: Path) -> None:
    image = open_band(read_scene(find_scenes(product)[0])).values
    assert np.isnan(image[0]).all() and np.isnan(image[:, 10:30]).all()
    assert np.isfinite(image[1:, :10]).all() and np.isfinite(image[1:, 30:]).all()
    assert image[1, 0] == 4040.0


def test_a_product_without_its_parts_says_what_is_missing(product: Path) -> None:
    (path,) = find_scenes(product)
    with pytest.raises(SceneError, match=r"no file of band B04 beside it \(there: B08\)"):
        open_band(read_scene(path), "B04")
    text = path.read_text()
    path.write_text(text.replace("SENSING_ORBIT_NUMBER", "ORBIT"))
    with pytest.raises(SceneError, match="no SENSING_ORBIT_NUMBER"):
        read_scene(path)
    path.write_text(text[:300])
    with pytest.raises(SceneError, match="no XML that can be read"):
        read_scene(path)
    path.write_text(text)
    next(path.parent.rglob("MTD_TL.xml")).unlink()
    with pytest.raises(SceneError, match="0 granules"):
        read_scene(path)


def test_a_product_without_its_metadata_is_named(product: Path) -> None:
    (path,) = find_scenes(product)
    path.unlink()
    assert find_scenes(product) == [path]
    with pytest.raises(SceneError, match=r"MTD_MSIL\d.\.xml: metadata cannot .*No such file"):
        read_scene(path)


def test_numbers_that_are_none_are_named(product: Path) -> None:
    (path,) = find_scenes(product)
    path.write_text(path.read_text().replace(">65<", ">x<"))
    with pytest.raises(SceneError, match=r"no number or time \(invalid literal.*'x'"):
        read_scene(path)
