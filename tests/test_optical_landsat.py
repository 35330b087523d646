"""Landsat scenes as they are delivered, and what is wrong with some."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from rockglacier.errors import SceneError
from rockglacier.optical.landsat import find_scenes, open_band, read_scene

CLEAR, CLOUD, SHADOW, FILL, CIRRUS, SNOW = 1 << 6, 1 << 3, 1 << 4, 1, 1 << 2, 1 << 5


def write(
    path: Path,
    values: np.ndarray,
    spacing: float,
    place: tuple[float, float] = (500_000.0, 5_200_000.0),
) -> None:
    height, width = values.shape
    # Pixels of all bands share their outer corner but for the 15 m ones, which lie 7.5 m within.
    corner = place[0] - spacing / 2, place[1] + spacing / 2
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=values.dtype,
        crs="EPSG:32632", transform=Affine(spacing, 0.0, corner[0], 0.0, -spacing, corner[1]),
    ) as target:  # fmt: skip
        target.write(values, 1)


def mtl(stem: str, *, collection: int) -> str:
    quality = {
        2: f'FILE_NAME_QUALITY_L1_PIXEL = "{stem}_QA_PIXEL.TIF"',
        1: f'FILE_NAME_BAND_QUALITY = "{stem}_BQA.TIF"',
    }[collection]
    return f"""GROUP = LANDSAT_METADATA_FILE
  GROUP = PRODUCT_CONTENTS
    LANDSAT_PRODUCT_ID = "{stem}"
    COLLECTION_NUMBER = {collection:02d}
    FILE_NAME_BAND_8 = "{stem}_B8.TIF"
    {quality}
  END_GROUP = PRODUCT_CONTENTS
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "LANDSAT_9"
    WRS_PATH = 193
    WRS_ROW = 27
    DATE_ACQUIRED = 2022-08-04
    SCENE_CENTER_TIME = "10:04:11.1234560Z"
    SUN_AZIMUTH = 146.8
    SUN_ELEVATION = 55.5
  END_GROUP = IMAGE_ATTRIBUTES
END_GROUP = LANDSAT_METADATA_FILE
END
"""


@pytest.fixture(params=["collection 2", "collection 1", "item"])
def scene_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One scene of 20 x 20 panchromatic pixels; its quality in four columns."""
    stem = "LC09_L1TP_193027_20220804_20230402_02_T1"
    pan = np.full((20, 20), 9000, np.uint16)
    pan += np.arange(400, dtype=np.uint16).reshape(20, 20)
    pan[0, :] = 0
    write(tmp_path / f"{stem}_B8.TIF", pan, 15.0)
    if request.param == "collection 1":
        values = [1 << 1, 1 << 4, 3 << 7, 1 << 7]  # clear, cloud, shadow, shadow unlikely
        name, content = f"{stem}_BQA.TIF", mtl(stem, collection=1)
    else:
        values = [CLEAR, CLOUD, SHADOW, CLEAR | SNOW | CIRRUS]
        name, content = f"{stem}_QA_PIXEL.TIF", mtl(stem, collection=2)
    quality = np.repeat(np.array(values, np.uint16), 3)[None].repeat(11, axis=0)
    write(tmp_path / name, quality, 30.0)
    if request.param == "item":
        content = json.dumps(
            {
                "stac_version": "1.0.0",
                "id": stem,
                "properties": {
                    "datetime": "2022-08-04T10:04:11.123456Z", "platform": "landsat-9",
                    "landsat:wrs_path": "193", "landsat:wrs_row": "027",
                    "landsat:collection_number": "02",
                    "view:sun_azimuth": 146.8, "view:sun_elevation": 55.5,
                },
                "assets": {
                    "pan": {"href": f"https://example.org/a/{stem}_B8.TIF"},
                    "qa_pixel": {"href": f"./{stem}_QA_PIXEL.TIF"},
                },
            }
        )  # fmt: skip
        (tmp_path / f"{stem}_stac.json").write_text(content)
    else:
        (tmp_path / f"{stem}_MTL.txt").write_text(content)
    return tmp_path


def test_a_scene_says_when_and_where_it_was_taken(scene_folder: Path) -> None:
    (path,) = find_scenes(scene_folder)
    scene = read_scene(path)
    assert scene.name.startswith("LC09") and scene.satellite == "LANDSAT_9"
    assert scene.orbit == "193027"
    assert scene.time == np.datetime64("2022-08-04T10:04:11.123456")
    assert (scene.sun_azimuth_deg, scene.sun_elevation_deg) == (146.8, 55.5)
    assert set(scene.bands) == {"B8"}


def test_fill_cloud_and_shadow_are_not_ground(scene_folder: Path) -> None:
    (path,) = find_scenes(scene_folder)
    image = open_band(read_scene(path)).compute()
    assert image.shape == (20, 20) and image.dtype == np.float32
    assert image[0].isnull().all()
    # Three quality pixels a value, from 7.5 m outside: columns of six panchromatic pixels.
    seen = image[5].notnull().values
    assert seen[:5].all() and not seen[6:17].any() and seen[18:].all()


def test_without_its_quality_only_fill_is_left_out(scene_folder: Path) -> None:
    for file in scene_folder.glob("*QA*"):
        file.unlink()
    (path,) = find_scenes(scene_folder)
    assert open_band(read_scene(path))[1:].notnull().all()


def test_bad_scenes_say_what_is_wrong(scene_folder: Path) -> None:
    (path,) = find_scenes(scene_folder)
    with pytest.raises(SceneError, match="no file of band B4"):
        open_band(read_scene(path), "B4")
    for satellite in ("LANDSAT_9", "landsat-9"):
        path.write_text(path.read_text().replace(satellite, "LANDSAT_5"))
    with pytest.raises(SceneError, match="Landsat 8 or 9"):
        read_scene(path)
    path.write_text(path.read_text().replace("LANDSAT_5", "LANDSAT_8"))
    path.write_text(path.read_text().replace("WRS_PATH", "OLD").replace("wrs_path", "old"))
    with pytest.raises(SceneError, match=r"(?i)wrs_path"):
        read_scene(path)


@pytest.mark.parametrize("found", ["oops", "NaN"])
def test_numbers_that_are_none_are_named(found: str, scene_folder: Path) -> None:
    (path,) = find_scenes(scene_folder)
    text = path.read_text()
    if path.suffix == ".json":
        item = json.loads(text)
        item["properties"]["view:sun_azimuth"] = found
        path.write_text(json.dumps(item))
    else:
        path.write_text(text.replace("SUN_AZIMUTH = 146.8", f"SUN_AZIMUTH = {found}"))
    with pytest.raises(SceneError, match=r"(sun|SUN|oops).*again"):
        read_scene(path)


def test_a_band_that_is_cut_off_is_named(scene_folder: Path) -> None:
    (path,) = find_scenes(scene_folder)
    band = next(scene_folder.glob("*_B8.TIF"))
    band.write_bytes(band.read_bytes()[:-200])
    with pytest.raises(SceneError, match=r"_B8.TIF: band cannot be read. .* download it again"):
        open_band(read_scene(path)).compute()


def test_scenes_from_before_the_collections(real_data: Callable[[str], Path]) -> None:
    scenes = [read_scene(p) for p in find_scenes(real_data("optical/carst_yahtse_landsat8"))]
    assert [str(s.time)[:10] for s in scenes] == ["2016-07-18", "2016-08-03"]
    assert {s.orbit for s in scenes} == {"063018"}
    assert all(s.version == 0 and s.quality is None for s in scenes)
    first, second = (open_band(scene) for scene in scenes)
    assert first.shape == (1087, 1698) and first.attrs["crs"] == "EPSG:32607"
    assert np.array_equal(first["x"], second["x"])
