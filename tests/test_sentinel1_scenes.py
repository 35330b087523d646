"""A bad scene is rejected with its reason and costs no other date."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

from rockglacier.errors import NetworkError
from rockglacier.sentinel1.scenes import check_scenes
from rockglacier.sentinel1.screening import find_scenes

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture
def folder(noisy_scenes, tmp_path):
    """A copy of three products that tests may spoil."""
    shutil.copytree(noisy_scenes.folder, tmp_path / "raw")
    return tmp_path / "raw"


def look(folder, **options):
    return check_scenes(
        find_scenes(folder / "scenes"),
        orbit_files=sorted((folder / "orbits").glob("*.EOF")),
        **options,
    )


def product(folder, k):
    return sorted((folder / "scenes").iterdir())[k]


def measurement(folder, k):
    return sorted((product(folder, k) / "measurement").glob("*.tiff"))[0]


def only_flaw(folder, reason, **options):
    """The single rejection, with two dates left."""
    used, _, rejected = look(folder, **options)
    assert used.date.nunique() == 2
    (one,) = rejected
    assert one.flaw.reason == reason
    return one


def test_good_scenes_are_used_and_flagged(folder):
    used, aside, rejected = look(folder)
    assert used.date.nunique() == 3 and used.burst.nunique() >= 4 and aside.empty and not rejected
    assert set(used.orbit_kind) == {"AUX_POEORB"} and set(used.polarisations) == {"VV"}
    assert (used.groupby("date").burst.count() == used.burst.nunique()).all()


def test_a_folder_may_hold_zips(folder):
    whole = look(folder)[0]
    for k in range(3):
        path = product(folder, k)
        with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            for file in path.rglob("*"):
                archive.write(file, file.relative_to(path.parent))
        shutil.rmtree(path)
    used, _, rejected = look(folder)
    assert not rejected
    assert used.drop(columns="path").equals(whole.drop(columns="path"))


def test_a_truncated_zip(folder):
    path = product(folder, 1)
    whole = shutil.make_archive(str(path.with_suffix("")), "zip", path.parent, path.name)
    shutil.rmtree(path)
    with Path(whole).open("r+b") as file:
        file.truncate(50_000)
    one = only_flaw(folder, "unreadable product")
    assert "download it again" in str(one.flaw)


def test_a_measurement_that_is_cut_off(folder):
    with measurement(folder, 1).open("r+b") as file:
        file.truncate(100_000)
    assert only_flaw(folder, "pixels missing").pair == "20200616"


def test_a_measurement_of_too_few_lines(folder):
    path = measurement(folder, 1)
    with rasterio.open(path) as source:
        pixels, profile = source.read(1)[:-7], source.profile
    profile["height"] = len(pixels)
    with rasterio.open(path, "w", **profile) as target:
        target.write(pixels, 1)
    assert "not (" in only_flaw(folder, "pixels missing").flaw.found


@pytest.mark.parametrize("zipped", [False, True])
def test_a_measurement_of_zeros(folder, zipped):
    path = measurement(folder, 1)
    with rasterio.open(path, "r+") as target:
        target.write(np.zeros(target.shape, np.complex64), 1)
    if zipped:
        place = product(folder, 1)
        shutil.make_archive(str(place.with_suffix("")), "zip", place.parent, place.name)
        shutil.rmtree(place)
    assert "only zeros" in only_flaw(folder, "pixels missing").flaw.found


def test_a_measurement_that_is_absent(folder):
    measurement(folder, 1).unlink()
    assert "download the whole product" in only_flaw(folder, "pixels missing").flaw.found


@pytest.mark.parametrize("kind", ["calibration", "noise"])
def test_a_product_without_calibration_or_noise(folder, kind):
    path = next((product(folder, 1) / "annotation" / "calibration").glob(f"{kind}-*iw1*"))
    path.write_text(f"<{kind}></{kind}>")
    found = only_flaw(folder, "unreadable product").flaw.found
    assert path.name in found and "Vector" in found


def test_a_missing_burst(folder):
    for part in ("annotation", "measurement", "annotation/calibration"):
        for file in (product(folder, 2) / part).glob("*iw2*"):
            file.unlink()
    one = only_flaw(folder, "missing burst")
    assert "_IW2" in one.flaw.found and one.pair == "20200628"


def test_bursts_outside_the_area_do_not_count(folder):
    used, _, _ = look(folder)
    area = [used.west.min(), used.south.min(), used.east.max(), used.south.min() + 0.002]
    fewer, aside, rejected = look(folder, area=area)
    assert 0 < fewer.burst.nunique() < used.burst.nunique() and not rejected
    assert set(aside.burst) == set(used.burst) - set(fewer.burst)


def test_without_an_orbit_file_the_annotation_serves_and_is_flagged(folder, caplog):
    sorted((folder / "orbits").glob("*.EOF"))[1].unlink()
    used, _, rejected = look(folder)
    assert not rejected
    kinds = used.groupby("date").orbit_kind.first().tolist()
    assert sorted(kinds) == ["AUX_POEORB", "AUX_POEORB", "annotation"]
    assert "the annotation's own state vectors" in caplog.text


def test_an_unknown_orbit(folder):
    for path in (folder / "orbits").glob("*V20200616*"):
        path.unlink()
    for path in (product(folder, 1) / "annotation").glob("*.xml"):
        text = path.read_text()
        head, tail = text.split("<orbitList", 1)
        rest = tail.split("</orbitList>", 1)[1]
        one = tail.split("</orbit>", 1)[0].split(">", 1)[1] + "</orbit>"
        path.write_text(f'{head}<orbitList count="1">{one}</orbitList>{rest}')
    assert only_flaw(folder, "orbit unknown").pair == "20200616"


def test_a_dem_that_is_too_small_says_by_how_much(folder):
    used, _, _ = look(folder)
    west, south = used.west.min(), used.south.min()
    east, north = used.east.max(), used.north.max()
    with pytest.raises(NetworkError, match=r"DEM too small.*heights for (49|50|51) %"):
        look(folder, dem_bounds=(west, south, 0.5 * (west + east), north))
    area = (west, south, west + 0.4 * (east - west), north)
    used, _, rejected = look(
        folder, dem_bounds=(west, south, 0.5 * (west + east), north), area=area
    )
    assert used.date.nunique() == 3 and not rejected


def test_another_relative_orbit(folder):
    path = product(folder, 1) / "manifest.safe"
    path.write_text(path.read_text().replace(">64<", ">65<"))
    one = only_flaw(folder, "other relative orbit")
    assert "relative orbit 65" in one.flaw.found


def test_a_date_that_is_there_twice(folder):
    path = product(folder, 1)
    shutil.copytree(path, path.with_name(path.name.replace("5151.SAFE", "9999.SAFE")))
    used, _, rejected = look(folder)
    assert used.date.nunique() == 3
    (one,) = rejected
    assert one.flaw.reason == "duplicate date" and "9999" in one.flaw.path


def test_another_polarisation(folder):
    with pytest.raises(NetworkError, match="polarisation missing"):
        look(folder, polarisation="HH")


def test_a_period(folder):
    used, _, _ = look(folder, period=["2020-06-10", None])
    assert used.date.nunique() == 2
