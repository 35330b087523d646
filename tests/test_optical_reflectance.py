"""Surface reflectance of a day on the region's grid: snow, cloud, shadow, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pyproj import Transformer
from test_optical_landsat import CIRRUS, CLEAR, CLOUD, SNOW, mtl, write
from test_optical_sentinel2 import GRANULE, NAME, PRODUCT
from test_optical_sentinel2 import write as write_jp2

from rockglacier.errors import SceneError
from rockglacier.grid import Grid
from rockglacier.optical import landsat, sentinel2
from rockglacier.optical.reflectance import on_region, snow_index

SIZE = 40  # Landsat pixels of 30 m
REGION = Grid("EPSG:32632", 500_100.0, 5_199_900.0, 40.0, 40.0, 20, 18)
SNOWY, BARE = (0.80, 0.08), (0.12, 0.24)  # green and infrared


def landsat_scene(
    folder: Path,
    quality: np.ndarray,
    level: str = "L2SP",
    day: str = "20220804",
    place: tuple[float, float] = (500_000.0, 5_200_000.0),
) -> Path:
    """A scene whose western half is snow, the rest bare; ``quality`` (row, column)."""
    stem = f"LC09_{level}_193027_{day}_20230402_02_T1"
    rows, columns = quality.shape
    for band, of in (("B3", 0), ("B6", 1)):
        values = np.where(np.arange(columns) < columns // 2, SNOWY[of], BARE[of])
        digital = np.round((values + 0.2) / 2.75e-5).astype(np.uint16)
        write(folder / f"{stem}_SR_{band}.TIF", np.tile(digital, (rows, 1)), 30.0, place)
    write(folder / f"{stem}_QA_PIXEL.TIF", quality.astype(np.uint16), 30.0, place)
    saturated = np.zeros(quality.shape, np.uint16)
    saturated[-10:, -6:] = 1 << 5  # of band 6
    write(folder / f"{stem}_QA_RADSAT.TIF", saturated, 30.0, place)
    text = mtl(stem, collection=2).replace("2022-08-04", f"{day[:4]}-{day[4:6]}-{day[6:]}")
    text = text.replace(
        f'FILE_NAME_BAND_8 = "{stem}_B8.TIF"',
        f'FILE_NAME_BAND_3 = "{stem}_SR_B3.TIF"\n    FILE_NAME_BAND_6 = "{stem}_SR_B6.TIF"\n'
        f'    FILE_NAME_QUALITY_L1_RADIOMETRIC_SATURATION = "{stem}_QA_RADSAT.TIF"',
    )
    path = folder / f"{stem}_MTL.txt"
    path.write_text(text)
    return path


def level_ground(height: float = 2000.0) -> xr.DataArray:
    values = np.full(REGION.shape, height, np.float32)
    return xr.DataArray(values, dims=("y", "x"), coords=REGION.coords, attrs={"units": "m"})


def expected(kind: tuple[float, float]) -> float:
    return (kind[0] - kind[1]) / (kind[0] + kind[1])


def test_snow_is_kept_and_cloud_is_not(tmp_path: Path) -> None:
    quality = np.full((SIZE, SIZE), CLEAR | SNOW)
    quality[:12], quality[12:16] = CLEAR | CLOUD, CLEAR | CIRRUS
    scene = landsat.read_scene(landsat_scene(tmp_path, quality))
    found = snow_index([scene], landsat, level_ground(), REGION)
    assert found.shape == REGION.shape and found.attrs["units"] == "1"
    rows = (5_200_015.0 - found["y"].values) / 30.0  # of the scene
    assert found.values[rows < 15.0].size and np.isnan(found.values[rows < 15.0]).all()
    below = found.values[(rows > 17.0) & (rows < 29.0)]
    columns = (found["x"].values - 499_985.0) / 30.0
    np.testing.assert_allclose(below[:, columns < 19.0], expected(SNOWY), atol=1e-3)
    np.testing.assert_allclose(below[:, columns > 21.5], expected(BARE), atol=1e-3)
    assert np.isnan(found.values[rows > 31.0][:, columns > 35.5]).all()  # saturated


def test_ground_in_shadow_is_left_out(tmp_path: Path) -> None:
    scene = landsat.read_scene(landsat_scene(tmp_path, np.full((SIZE, SIZE), CLEAR)))
    heights = level_ground()
    heights[-2:] = 4000.0  # a wall in the south, where the sun stands 55 degrees high
    found = snow_index([scene], landsat, heights, REGION)
    away = (found["y"].values - heights["y"].values[-2]) / np.cos(np.radians(180.0 - 146.8))
    dark = (away > 0) & (np.degrees(np.arctan2(2000.0, away)) > 57.0)
    middle = found.values[:, 2:6]  # the sun stands in the south-east: the wall reaches there
    assert np.isnan(middle[dark]).all()


def test_of_two_scenes_the_clear_one_serves(tmp_path: Path) -> None:
    scenes = []
    for name, side in (("a", slice(0, SIZE // 2)), ("b", slice(SIZE // 2, SIZE))):
        quality = np.full((SIZE, SIZE), CLEAR | CLOUD)
        quality[side] = CLEAR
        (tmp_path / name).mkdir()
        scenes.append(landsat.read_scene(landsat_scene(tmp_path / name, quality)))
    alone = snow_index(scenes[:1], landsat, level_ground(), REGION)
    both = snow_index(scenes, landsat, level_ground(), REGION)
    assert float(alone.notnull().mean()) < 0.7 < 0.9 < float(both.notnull().mean())


def test_beyond_the_scene_nothing_is_known(tmp_path: Path) -> None:
    scene = landsat.read_scene(landsat_scene(tmp_path, np.full((SIZE, SIZE), CLEAR)))
    image = landsat.open_reflectance(scene, "B3")
    far = Grid("EPSG:32632", 700_000.0, 5_199_900.0, 40.0, 40.0, 10, 10)
    assert on_region(image, far).isnull().all()
    edge = Grid("EPSG:32632", 500_500.0, 5_199_000.0, 40.0, 40.0, 40, 20)
    found = on_region(image, edge)
    assert 0.05 < float(found.notnull().mean()) < 0.3
    # A grid in another zone sees the same ground.
    x, y = Transformer.from_crs("EPSG:32632", "EPSG:32631").transform(500_300.0, 5_199_700.0)
    mean = on_region(image, Grid("EPSG:32631", x - 160.0, y + 160.0, 40.0, 40.0, 8, 8)).values
    np.testing.assert_allclose(mean, SNOWY[0], atol=1e-3)


def test_level_1_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = landsat_scene(tmp_path, np.full((SIZE, SIZE), CLEAR), level="L1TP")
    with pytest.raises(SceneError, match=r"Needed: .* of Collection 2 level 2"):
        landsat.open_reflectance(landsat.read_scene(path), "B3")


@pytest.mark.parametrize("baseline", ["05.10", "03.01"])
def test_sentinel2_of_level_2a(tmp_path: Path, baseline: str) -> None:
    name = NAME.format(level="2A")
    granule = tmp_path / f"{name}.SAFE" / "GRANULE" / "L2A_T32TPS_A028261_20220804T102553"
    base = 1000 if baseline > "04" else 0
    for band, of, spacing, side in (("B03", 0, 10.0, 80), ("B11", 1, 20.0, 40)):
        values = np.full((side, side), round(10_000 * SNOWY[of]) + base, np.uint16)
        place = granule / "IMG_DATA" / f"R{spacing:.0f}m"
        write_jp2(place / f"T32TPS_20220804T101559_{band}_{spacing:.0f}m.jp2", values, spacing)
    classes = np.repeat(np.array([11, 9, 10, 4], np.uint8), 10)[None].repeat(40, axis=0)
    write_jp2(granule / "IMG_DATA" / "R20m" / "T32TPS_20220804T101559_SCL_20m.jp2", classes, 20.0)
    text = PRODUCT.format(level="2A", name=name).replace("05.10", baseline)
    (tmp_path / f"{name}.SAFE" / "MTD_MSIL2A.xml").write_text(text)
    (granule / "MTD_TL.xml").write_text(GRANULE)
    (path,) = sentinel2.find_scenes(tmp_path)
    grid = Grid("EPSG:32632", 600_000.0, 5_200_020.0, 40.0, 40.0, 20, 20)
    ground = xr.DataArray(
        np.zeros(grid.shape, np.float32), dims=("y", "x"), coords=grid.coords, attrs={"units": "m"}
    )
    found = snow_index([sentinel2.read_scene(path)], sentinel2, ground, grid).values
    seen = np.isfinite(found).all(axis=0)
    assert seen.tolist() == [True] * 5 + [False] * 10 + [True] * 5
    np.testing.assert_allclose(found[:, seen], expected(SNOWY), atol=1e-3)
