"""A bad GRD product is rejected with its reason and costs no other date."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from scenes import copy_product

from rockglacier.errors import NetworkError, SceneError
from rockglacier.sentinel1.scenes import check_scenes
from rockglacier.sentinel1.screening import find_scenes
from rockglacier.sentinel1.slices import check_slices

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture
def folder(noisy_scenes, tmp_path):
    """A copy of three dates, two slices each, that tests may spoil."""
    for name in ("ground_range", "orbits"):
        shutil.copytree(noisy_scenes.folder / name, tmp_path / name)
    return tmp_path


def look(folder, **options):
    return check_slices(
        find_scenes(folder / "ground_range"),
        orbit_files=sorted((folder / "orbits").glob("*.EOF")),
        **options,
    )


def product(folder, k):
    return sorted((folder / "ground_range").glob("*.SAFE"))[k]


def measurement(folder, k):
    return next((product(folder, k) / "measurement").glob("*.tiff"))


def only_flaw(folder, reason, dates=2, **options):
    """The single rejection, with so many dates left."""
    used, rejected = look(folder, **options)
    assert used.date.nunique() == dates
    (one,) = rejected
    assert one.flaw.reason == reason
    return one


def test_good_products_are_used_and_flagged(folder):
    used, rejected = look(folder)
    assert used.date.nunique() == 3 and len(used) == 6 and not rejected
    assert set(used.orbit_kind) == {"AUX_POEORB"} and set(used.polarisations) == {"VV"}
    assert (used.first_line < used.last_line).all()


def test_a_folder_may_hold_zips(folder):
    whole, _ = look(folder)
    for path in find_scenes(folder / "ground_range"):
        shutil.make_archive(str(path.with_suffix("")), "zip", path.parent, path.name)
        shutil.rmtree(path)
    used, rejected = look(folder)
    assert not rejected
    assert used.drop(columns="path").equals(whole.drop(columns="path"))


def test_a_truncated_zip(folder):
    path = product(folder, 2)
    whole = shutil.make_archive(str(path.with_suffix("")), "zip", path.parent, path.name)
    shutil.rmtree(path)
    with Path(whole).open("r+b") as file:
        file.truncate(20_000)
    # The other slice of that date still serves.
    one = only_flaw(folder, "unreadable product", dates=3)
    assert "download it again" in str(one.flaw)


def test_a_measurement_that_is_cut_off(folder):
    with measurement(folder, 2).open("r+b") as file:
        file.truncate(60_000)
    assert only_flaw(folder, "pixels missing").pair == "20200616"


def test_a_measurement_of_too_few_lines(folder):
    path = measurement(folder, 2)
    with rasterio.open(path) as source:
        pixels, profile = source.read(1)[:-7], source.profile
    profile["height"] = len(pixels)
    with rasterio.open(path, "w", **profile) as target:
        target.write(pixels, 1)
    assert "not (" in only_flaw(folder, "pixels missing").flaw.found


@pytest.mark.parametrize("zipped", [False, True])
def test_a_measurement_of_zeros(folder, zipped):
    with rasterio.open(measurement(folder, 2), "r+") as target:
        target.write(np.zeros(target.shape, np.uint16), 1)
    if zipped:
        place = product(folder, 2)
        shutil.make_archive(str(place.with_suffix("")), "zip", place.parent, place.name)
        shutil.rmtree(place)
    assert "only zeros" in only_flaw(folder, "pixels missing").flaw.found


@pytest.mark.parametrize("kind", ["calibration", "noise"])
def test_a_product_without_calibration_or_noise(folder, kind):
    path = next((product(folder, 2) / "annotation" / "calibration").glob(f"{kind}-*"))
    path.write_text(f"<{kind}></{kind}>")
    assert path.name in only_flaw(folder, "unreadable product", dates=3).flaw.found


def test_without_an_orbit_file_the_annotation_serves_and_is_flagged(folder, caplog):
    sorted((folder / "orbits").glob("*.EOF"))[1].unlink()
    used, rejected = look(folder)
    assert not rejected
    kinds = used.groupby("date").orbit_kind.first().tolist()
    assert sorted(kinds) == ["AUX_POEORB", "AUX_POEORB", "annotation"]
    assert "the annotation's own state vectors" in caplog.text


def test_an_unknown_orbit(folder):
    next((folder / "orbits").glob("*V20200616*")).unlink()
    for k in (2, 3):
        path = next((product(folder, k) / "annotation").glob("*.xml"))
        first = re.compile("(<orbitList.*?</orbit>).*</orbitList>", re.S)
        path.write_text(first.sub(r"\1</orbitList>", path.read_text()))
    assert only_flaw(folder, "orbit unknown").pair == "20200616"


def test_another_relative_orbit(folder):
    path = product(folder, 2) / "manifest.safe"
    path.write_text(path.read_text().replace(">64<", ">65<"))
    one = only_flaw(folder, "other relative orbit")
    assert "relative orbit 65" in one.flaw.found


def test_a_slice_that_is_there_twice(folder):
    path = product(folder, 2)
    shutil.copytree(path, path.with_name(path.name.replace("5151.SAFE", "9999.SAFE")))
    one = only_flaw(folder, "duplicate date", dates=3)
    assert "9999" in one.flaw.path and "slice of 2020-06-16" in one.flaw.found
    used, _ = look(folder)
    assert len(used) == 6


def test_a_dem_that_is_too_small_says_by_how_much(folder):
    used, _ = look(folder)
    west, south, east, north = used.west.min(), used.south.min(), used.east.max(), used.north.max()
    half = (west, south, 0.5 * (west + east), north)
    with pytest.raises(SceneError, match=r"DEM too small.*heights for (49|50|51) %"):
        look(folder, dem_bounds=half)
    area = (west, south, west + 0.4 * (east - west), north)
    used, rejected = look(folder, dem_bounds=half, area=area)
    assert used.date.nunique() == 3 and not rejected


def test_slices_beside_the_area_are_left_aside(folder):
    used, _ = look(folder)
    first = used[used.path == str(product(folder, 0))].iloc[0]
    # The satellite flies north: the first slice lies south of the second.
    area = [first.west, first.south, first.east, first.south + 0.002]
    fewer, rejected = look(folder, area=area)
    assert len(fewer) == 3 and not rejected and set(fewer.first_line) < set(used.first_line)


def test_a_date_that_sees_nothing_of_the_area(folder):
    shutil.rmtree(product(folder, 2))
    used, _ = look(folder)
    area = [used.west.min(), used.south.min(), used.east.max(), used.south.min() + 0.002]
    assert only_flaw(folder, "outside the area", area=area).pair == "20200616"


def test_beside_the_outline_is_outside_though_within_its_bounds(folder):
    used, _ = look(folder)
    first = used[used.path == str(product(folder, 0))].iloc[0]
    # The track leans to the west: its bounds have empty corners.
    corner = [first.west, first.south, first.west + 1e-3, first.south + 1e-3]
    with pytest.raises(NetworkError, match="no product touches"):
        look(folder, area=corner)


def test_products_of_the_other_type_name_the_source_to_set(folder, noisy_scenes):
    slc = noisy_scenes.products[0]
    copy_product(slc, folder / "ground_range")
    one = only_flaw(folder, "other product", dates=3)
    assert "type SLC" in one.flaw.found and "source: scenes" in one.flaw.remedy
    with pytest.raises(NetworkError, match=r"type GRD.*source: grd"):
        check_scenes(noisy_scenes.ground_range)


def test_another_polarisation(folder):
    with pytest.raises(SceneError, match="polarisation missing"):
        look(folder, polarisation="HH")


def test_a_period(folder):
    used, _ = look(folder, period=["2020-06-10", None])
    assert used.date.nunique() == 2
