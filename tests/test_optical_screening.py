"""Scenes are looked at before pairs are formed: a bad one is left out and loses no other."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr

from rockglacier.errors import NetworkError, SceneError
from rockglacier.grid import Grid
from rockglacier.optical import landsat
from rockglacier.optical.screening import check_scenes, onto
from rockglacier.simulation_optical import simulate_landsat

DATES = ("2018-08-04", "2019-08-10", "2020-08-02")


@pytest.fixture(scope="session")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landsat")
    simulate_landsat(folder, size=150, dates=DATES, widths_px=(8.0, 10.0), seed=3)
    return folder


@pytest.fixture
def scenes(delivered: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(delivered, tmp_path / "scenes"))


def scene(folder: Path, date: str) -> Path:
    (found,) = folder.glob(f"*{date}*")
    return found


def band(folder: Path, date: str) -> Path:
    (found,) = scene(folder, date).glob("*_B8.TIF")
    return found


def look(folder: Path, **options: object) -> tuple[list[str], dict[str, str], Grid]:
    """Days that can be used; days that cannot, and why; the lattice."""
    table, rejected, grid = check_scenes(folder, landsat, band="B8", **options)  # type: ignore[arg-type]
    reasons = {one.pair: one.flaw.reason for one in rejected}
    return list(table["date"].dt.strftime("%Y%m%d")), reasons, grid


def rewrite(path: Path, change: object, **profile: object) -> None:
    with rasterio.open(path) as source:
        values, kept = source.read(1), source.profile
    # Written in place, GDAL would remove the metadata beside it.
    beside = path.with_suffix(".new")
    with rasterio.open(beside, "w", **kept | profile) as target:
        target.write(change(values), 1)  # type: ignore[operator]
    beside.replace(path)


def test_good_scenes_are_used_on_their_own_pixels(scenes: Path) -> None:
    used, rejected, grid = look(scenes)
    assert used == ["20180804", "20190810", "20200802"] and rejected == {}
    assert grid == Grid("EPSG:32632", 600_000.0, 5_200_000.0, 15.0, 15.0, 150, 150)


def test_an_area_is_cut_out_in_whole_pixels(scenes: Path) -> None:
    _, _, whole = look(scenes)
    from rockglacier.readers.stack import lonlat_bounds

    west, south, east, north = lonlat_bounds(whole.part(40, 90, 30, 100))
    _, _, grid = look(scenes, area=[west, south, east, north])
    assert whole.offset(grid) is not None and grid.width < 110 and grid.height < 90


def test_flawed_scenes_are_left_out_with_their_reason(scenes: Path) -> None:
    path = band(scenes, "20190810")
    path.write_bytes(path.read_bytes()[:9000])
    used, rejected, _ = look(scenes)
    assert used == ["20180804", "20200802"]
    assert rejected == {"20190810": "band cannot be read"}


@pytest.mark.parametrize("of", ["B8", "QA_PIXEL"])
@pytest.mark.parametrize("left", [0, 0.5, -200])
def test_a_damaged_file_is_named_once_with_what_is_wrong(
    of: str, left: float, scenes: Path
) -> None:
    (file,) = scene(scenes, "20190810").glob(f"*_{of}.TIF")
    whole = file.read_bytes()
    file.write_bytes(whole[: int(left * len(whole)) if left >= 0 else int(left)])
    table, (one,), _ = check_scenes(scenes, landsat, band="B8")
    assert len(table) == 2 and one.pair == "20190810" and one.flaw.path == str(file)
    said = str(one.flaw)
    assert said.count(file.name) == 1 and said.count("again") == 1 and "CRS;" not in said
    assert "failed" in one.flaw.found or "not recognized" in one.flaw.found


def test_bands_without_metadata_are_named_and_lose_no_other(scenes: Path) -> None:
    (metadata,) = scene(scenes, "20190810").glob("*_MTL.txt")
    metadata.unlink()
    table, (one,), _ = check_scenes(scenes, landsat, band="B8")
    assert len(table) == 2 and one.flaw.path == str(metadata)
    assert one.flaw.reason == "metadata cannot be used" and "no such file" in one.flaw.found
    # The same where all scenes lie in one folder.
    flat = scenes.with_name("flat")
    flat.mkdir()
    for file in scenes.rglob("L*"):
        if file.is_file():
            shutil.copy(file, flat / file.name)
    table, (one,), _ = check_scenes(flat, landsat, band="B8")
    assert len(table) == 2 and one.flaw.path == str(flat / metadata.name)


def test_metadata_that_cannot_be_read_lose_no_other(scenes: Path) -> None:
    for date, broken in (("20180804", "MTL.txt"), ("20190810", "stac.json")):
        (metadata,) = scene(scenes, date).glob("*_MTL.txt")
        metadata.rename(metadata.with_name("aside"))
        path = metadata.with_name(metadata.name.replace("MTL.txt", broken))
        if broken == "MTL.txt":
            path.symlink_to("/nowhere")
        else:
            path.write_text('{"stac_version": "1.0')
    table, rejected, _ = check_scenes(scenes, landsat, band="B8")
    assert len(table) == 1
    assert [one.flaw.reason for one in rejected] == ["metadata cannot be used"] * 2
    assert "STAC item that cannot be used (Unterminated" in rejected[1].flaw.found
    assert str(rejected[1].flaw).count(rejected[1].flaw.path) == 1


def test_of_two_scenes_of_one_day_one_serves(scenes: Path) -> None:
    shutil.copytree(scene(scenes, "20190810"), scenes / "again")
    used, rejected, _ = look(scenes)
    assert used == ["20180804", "20190810", "20200802"]
    assert rejected == {"20190810": "duplicate date"}


def renamed(folder: Path, date: str, name: str) -> None:
    """A copy of the scene of ``date`` whose product is called ``name``."""
    copy = Path(shutil.copytree(scene(folder, date), folder / name))
    (metadata,) = copy.glob("*_MTL.txt")
    text = metadata.read_text()
    product = text.split('LANDSAT_PRODUCT_ID = "')[1].split('"')[0]
    metadata.write_text(text.replace(f'PRODUCT_ID = "{product}"', f'PRODUCT_ID = "{name}"'))


@pytest.mark.parametrize(
    "worse",
    [
        "LC08_L1GT_193027_20190810_20230101_02_T1",
        "LC08_L1TP_193027_20190810_20230101_02_RT",
        "LC08_L1TP_193027_20190810_20190101_02_T1",
    ],
)
def test_of_two_scenes_of_one_day_the_better_serves(scenes: Path, worse: str) -> None:
    renamed(scenes, "20190810", worse)
    table, rejected, _ = check_scenes(scenes, landsat, band="B8")
    assert worse not in set(table["name"]) and len(table) == 3
    assert [one.flaw.reason for one in rejected] == ["duplicate date"]
    # Without its band it serves no date, and loses none.
    band(scenes, "20190810_20190810").unlink()
    table, rejected, _ = check_scenes(scenes, landsat, band="B8")
    assert worse in set(table["name"]) and len(table) == 3


def test_declared_nodata_is_not_ground(scenes: Path) -> None:
    for date in ("20180804", "20190810", "20200802"):
        path = band(scenes, date)
        rewrite(
            path, lambda v: np.where(np.arange(150) < 100, v, 65535).astype(v.dtype), nodata=65535
        )
    table, _, _ = check_scenes(scenes, landsat, band="B8")
    assert (table["valid_share"] < 0.67).all()


def test_other_numbers_than_digital_ones_are_refused(scenes: Path) -> None:
    path = band(scenes, "20190810")
    rewrite(path, lambda v: (v / 65535.0).astype(np.float32), dtype="float32")
    _, rejected, _ = check_scenes(scenes, landsat, band="B8")
    (one,) = rejected
    assert one.flaw.found == "values of float32"
    assert one.flaw.needed == "digital numbers as delivered (uint8 or uint16)"


def test_cloud_of_scenes_from_before_the_collections(scenes: Path) -> None:
    (metadata,) = scene(scenes, "20190810").glob("*_MTL.txt")
    text = metadata.read_text().replace("    COLLECTION_NUMBER = 02\n", "")
    metadata.write_text(text.replace("FILE_NAME_QUALITY_L1_PIXEL", "FILE_NAME_BAND_QUALITY"))
    (quality,) = scene(scenes, "20190810").glob("*_QA_PIXEL.TIF")
    bits = np.where(np.arange(75) < 30, 0b1101_0000_0000_0000, 0b0101_0000_0001_0000)
    rewrite(quality, lambda v: np.broadcast_to(bits, v.shape).astype(v.dtype))
    table, _, _ = check_scenes(scenes, landsat, band="B8")
    assert table.set_index("date")["valid_share"]["2019-08-10"] == pytest.approx(0.6, abs=0.01)


def test_folders_that_are_links_are_looked_into(scenes: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for folder in scenes.iterdir():
        (linked / folder.name).symlink_to(folder)
    assert len(check_scenes(linked, landsat, band="B8")[0]) == 3


def test_scenes_of_another_orbit_or_lattice_are_left_out(scenes: Path) -> None:
    (metadata,) = scene(scenes, "20180804").glob("*_MTL.txt")
    metadata.write_text(metadata.read_text().replace("WRS_ROW = 27", "WRS_ROW = 28"))
    rejected = look(scenes)[1]
    assert rejected == {"20180804": "other orbit"}


def test_shifted_pixels_are_left_out(scenes: Path) -> None:
    path = band(scenes, "20190810")
    with rasterio.open(path) as source:
        shifted = source.transform @ source.transform.translation(0.4, 0.0)
    rewrite(path, lambda values: values, transform=shifted)
    used, rejected, _ = look(scenes)
    assert used == ["20180804", "20200802"] and rejected == {"20190810": "other pixels"}


def test_a_scene_in_cloud_is_left_out(scenes: Path) -> None:
    (quality,) = scene(scenes, "20190810").glob("*_QA_PIXEL.TIF")
    rewrite(quality, lambda values: np.full_like(values, 1 << 3))
    assert look(scenes)[1] == {"20190810": "hardly anything is seen"}
    rewrite(band(scenes, "20200802"), np.zeros_like)
    with pytest.raises(NetworkError, match="outside the period"):
        look(scenes, period=["1999-01-01", "1999-12-31"])


def test_no_scene_left_is_an_error_that_lists_why(scenes: Path, tmp_path: Path) -> None:
    for date in DATES:
        band(scenes, date.replace("-", "")).unlink()
    with pytest.raises(SceneError, match=r"of \d scenes none can be used(.|\n)*no file of band B8"):
        look(scenes)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SceneError, match=r"empty: no scene lies .*Needed: \*_MTL.txt, or a STAC"):
        look(empty)
    (empty / "LC08_L1TP_193027_20190810_20190810_02_T1.tar").write_bytes(b"")
    with pytest.raises(SceneError, match=r"1 packed files, such as LC08.*Remedy: unpack them"):
        look(empty)


def test_scenes_of_unlike_extent_share_their_lattice(scenes: Path) -> None:
    path = band(scenes, "20190810")
    with rasterio.open(path) as source:
        shifted = source.transform @ source.transform.translation(-20, 10)
    rewrite(path, lambda values: values, transform=shifted)
    used, rejected, grid = look(scenes)
    assert len(used) == 3 and rejected == {} and grid.shape == (160, 170)
    found = landsat.read_scene(next(scene(scenes, "20190810").glob("*_MTL.txt")))
    image = onto(landsat.open_band(found, "B8"), grid)
    assert image.shape == grid.shape and np.isnan(image.values[:, 150:]).all()
    seen = xr.DataArray(image.values[10:, :150])
    assert float(seen.notnull().mean()) > 0.5
