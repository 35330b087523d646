"""A bad scene is rejected with its reason and costs no other date."""

import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from scenes import add_cross

from rockglacier.errors import NetworkError
from rockglacier.sentinel1 import orbit
from rockglacier.sentinel1.scenes import check_scenes
from rockglacier.sentinel1.screening import find_scenes, is_orbit_file, orbit_files

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture
def folder(noisy_scenes, tmp_path):
    """A copy of three products that tests may spoil."""
    shutil.copytree(noisy_scenes.folder, tmp_path / "raw")
    return tmp_path / "raw"


def look(folder, **options):
    return check_scenes(
        find_scenes(folder / "scenes"),
        orbit_files=orbit_files(folder / "orbits", folder / "scenes"),
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


def test_zeros_in_a_zip_that_packs_nothing(folder):
    path = measurement(folder, 1)
    with rasterio.open(path, "r+") as target:
        target.write(np.zeros(target.shape, np.complex64), 1)
    place = product(folder, 1)
    with zipfile.ZipFile(place.with_suffix(".zip"), "w", zipfile.ZIP_STORED) as archive:
        for file in place.rglob("*"):
            archive.write(file, file.relative_to(place.parent))
    shutil.rmtree(place)
    assert "only zeros" in only_flaw(folder, "pixels missing").flaw.found


def edited(path, old, new):
    text = re.sub(old, new, path.read_text(), flags=re.S)
    assert text != path.read_text()
    path.write_text(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<linesPerBurst>200", "<linesPerBurst>2oo"),
        (r"<dcEstimateList.*?</dcEstimateList>", '<dcEstimateList count="0"></dcEstimateList>'),
        (r"<firstValidSample[^>]*>-1", "<firstValidSample>x"),
        (r"<lookBandwidth>[^<]*</lookBandwidth>", ""),
    ],
)
def test_a_garbled_annotation_costs_its_own_date(folder, old, new):
    edited(sorted((product(folder, 1) / "annotation").glob("*.xml"))[0], old, new)
    only_flaw(folder, "unreadable product")


@pytest.mark.parametrize("how", ["broken", "locked", "odd"])
def test_a_member_that_cannot_be_unpacked_costs_its_own_date(folder, how):
    path = product(folder, 1)
    whole = Path(shutil.make_archive(str(path.with_suffix("")), "zip", path.parent, path.name))
    shutil.rmtree(path)
    content = bytearray(whole.read_bytes())
    if how == "odd":
        with zipfile.ZipFile(whole, "a") as archive:
            archive.writestr(".", b"")
        used, _, rejected = look(folder)
        assert used.date.nunique() == 3 and not rejected
        return
    if how == "broken":
        with zipfile.ZipFile(whole) as archive:
            one = next(m for m in archive.infolist() if "annotation/s1a-iw1" in m.filename)
        first = one.header_offset + 30 + len(one.filename) + 200
        for k in range(first, first + 60):
            content[k] ^= 0x5A
    if how == "locked":  # the bit that says so, of every member
        for entry in re.finditer(b"PK\x01\x02", bytes(content)):
            content[entry.start() + 8] |= 1
    whole.write_bytes(content)
    only_flaw(folder, "unreadable product")


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


def test_a_broken_orbit_file_costs_nothing_but_itself(folder, caplog, monkeypatch):
    first = sorted((folder / "orbits").glob("*.EOF"))[0]
    first.write_bytes(first.read_bytes()[:2000])
    other = "S1B_OPER_AUX_POEORB_OPOD_20200101T000000_V20191211T225942_20191213T005942.EOF"
    (folder / "orbits" / other).write_text("<html>503</html>")
    (folder / "orbits" / "listing.EOF").write_text("<html>503</html>")
    read = []
    whole = orbit.read_orbit_file
    monkeypatch.setattr(orbit, "read_orbit_file", lambda p: read.append(p.name) or whole(p))
    used, _, rejected = look(folder)
    assert not rejected and used.date.nunique() == 3
    kinds = used.groupby("date").orbit_kind.first().tolist()
    assert kinds == ["annotation", "AUX_POEORB", "AUX_POEORB"]
    assert "listing.EOF" in caplog.text and first.name in caplog.text
    assert other not in read and len(read) == 6  # of each date its own, and the one without a name


def test_an_orbit_file_that_is_packed_is_said(folder, caplog):
    first = sorted((folder / "orbits").glob("*.EOF"))[0]
    first.rename(first.with_name(first.name + ".zip"))
    found = orbit_files("", folder)
    assert len(found) == 2 and "packed and not read" in caplog.text
    assert first.with_name(first.name + ".zip") not in find_scenes(folder)


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


def twin(folder):
    """A second product of the second date."""
    path = product(folder, 1)
    copy = path.with_name(path.name.replace("5151.SAFE", "9999.SAFE"))
    shutil.copytree(path, copy)
    return path, copy


def only_twin(folder, which):
    used, _, rejected = look(folder)
    assert used.date.nunique() == 3
    (one,) = rejected
    assert one.flaw.reason == "duplicate date" and one.flaw.path == str(which)
    return used


def test_a_date_that_is_there_twice(folder):
    _, copy = twin(folder)
    only_twin(folder, copy)


def test_of_two_products_the_one_with_pixels_serves(folder):
    path, copy = twin(folder)
    with measurement(folder, 1).open("r+b") as file:
        file.truncate(50_000)
    used = only_twin(folder, path)
    assert str(copy) in set(used.path)


def test_of_two_products_the_one_processed_last_serves(folder):
    path, copy = twin(folder)
    stated = re.search(r'processing [^>]*stop="(\d{4})', (copy / "manifest.safe").read_text())
    edited(copy / "manifest.safe", f'stop="{stated[1]}', 'stop="2031')
    only_twin(folder, path)


def test_a_neighbour_that_repeats_a_swath_is_no_copy(folder):
    path, copy = twin(folder)
    for part in ("annotation", "measurement", "annotation/calibration"):
        for file in (path / part).glob("*iw2*"):
            file.unlink()
    used, _, rejected = look(folder)
    assert used.date.nunique() == 3 and not rejected
    assert {str(path), str(copy)} <= set(used.path)


def test_dates_that_share_some_bursts_use_those(folder):
    shutil.rmtree(product(folder, 2))
    for part in ("annotation", "measurement", "annotation/calibration"):
        for file in (product(folder, 0) / part).glob("*iw2*"):
            file.unlink()
    used, aside, rejected = look(folder)
    assert used.date.nunique() == 2 and not rejected
    assert set(used.swath) == {"IW1"} and set(aside.swath) == {"IW2"}


def test_most_dates_within_the_period_choose_the_orbit(folder):
    for k in (0, 1):
        path = product(folder, k) / "manifest.safe"
        path.write_text(path.read_text().replace(">64<", ">65<"))
    shutil.copytree(product(folder, 2), product(folder, 2).with_name("other.SAFE"))
    with pytest.raises(NetworkError, match="1 usable date"):
        look(folder, period=["2020-06-20", None])
    used, _, _ = look(folder)
    assert used.date.nunique() == 2 and set(used.relative_orbit) == {65}


def test_a_pass_across_the_node_is_of_the_orbit_of_its_start(folder):
    edited(
        product(folder, 1) / "manifest.safe", r'(relativeOrbitNumber type="stop">)64', r"\g<1>65"
    )
    used, _, rejected = look(folder)
    assert used.date.nunique() == 3 and not rejected


def test_an_area_beside_all_scenes_is_told_where_they_lie(folder):
    with pytest.raises(NetworkError, match=r"no product touches .* between 10\.9\d* and 11\.0"):
        look(folder, area=[8.0, 46.8, 8.1, 46.9])


def test_an_area_in_the_empty_corner_of_a_burst_needs_it_not(folder):
    used, _, _ = look(folder)
    one = used.iloc[0]
    corner = [one.west, one.south, one.west + 2e-4, one.south + 2e-4]
    assert one.west < corner[2] and one.south < corner[3]  # within its bounds
    with pytest.raises(NetworkError, match="no product touches"):
        look(folder, area=[corner[0] - 0.1, corner[1] - 0.1, *corner[2:]])


def test_scenes_across_180_degrees_are_refused_with_that_reason(folder):
    for path in (product(folder, 1) / "annotation").glob("*.xml"):
        shifted = re.sub(
            r"<longitude>([^<]+)<",
            lambda m: f"<longitude>{(float(m[1]) - 10.99) % 360.0 - 180.0}<",
            path.read_text(),
        )
        path.write_text(shifted)
    one = only_flaw(folder, "across 180 degrees east")
    assert "not supported" in one.flaw.remedy


@pytest.mark.parametrize("harm", ["absent", "cut"])
def test_a_cross_polarisation_that_cannot_be_read_is_none(folder, harm):
    for k in range(3):
        add_cross(product(folder, k))
    for path in sorted((product(folder, 1) / "measurement").glob("*-vh-*")):
        if harm == "absent":
            path.unlink()
        else:
            with path.open("r+b") as file:
                file.truncate(50_000)
    used, _, rejected = look(folder)
    assert not rejected
    held = used.groupby("date").polarisations.first().tolist()
    assert held == ["VV VH", "VV", "VV VH"]


def test_another_polarisation(folder):
    with pytest.raises(NetworkError, match="polarisation missing"):
        look(folder, polarisation="HH")


def test_a_period(folder):
    used, _, _ = look(folder, period=["2020-06-10", None])
    assert used.date.nunique() == 2


def test_folders_may_be_links(folder, tmp_path_factory):
    away = tmp_path_factory.mktemp("away")
    for path in [product(folder, 0), *folder.glob("orbits")]:
        shutil.move(path, away / path.name)
        path.symlink_to(away / path.name)
    used, _, rejected = look(folder)
    assert used.date.nunique() == 3 and not rejected
    assert set(used.orbit_kind) == {"AUX_POEORB"}


def test_a_folder_without_its_manifest_is_named(folder):
    (product(folder, 1) / "manifest.safe").unlink()
    only_flaw(folder, "unreadable product")


@pytest.mark.parametrize("between", ["dates", "swaths"])
def test_annotations_of_another_product_are_refused(folder, between):
    one = next(product(folder, 1).glob("annotation/*-iw1-*.xml"))
    other = next(product(folder, 0).glob("annotation/*-iw1-*.xml"))
    if between == "swaths":
        other = next(product(folder, 1).glob("annotation/*-iw2-*.xml"))
    shutil.copy(other, one)
    told = str(only_flaw(folder, "unreadable product").flaw)
    assert "is that of" in told and one.stem in told


def test_a_vector_that_lacks_a_number_makes_a_broken_orbit_file(folder, caplog):
    path = sorted(folder.glob("**/*.EOF"))[0]
    vectors = path.read_text()
    path.write_text(vectors.replace("<X unit", "<Q unit", 1) if "<X unit" in vectors
                    else vectors.replace("<X", "<Q", 1))  # fmt: skip
    used, _, rejected = look(folder)
    assert not rejected and used.perpendicular_baseline_m.notna().all()
    assert "annotation" in set(used.orbit_kind)


def test_an_orbit_file_of_any_case_serves(folder):
    for path in sorted(folder.glob("**/*.EOF")):
        path.rename(path.with_suffix(".eof"))
    used, _, _ = look(folder)
    assert set(used.orbit_kind) == {"AUX_POEORB"}
    assert all(map(is_orbit_file, used.orbit_file))


def test_a_period_without_scenes_is_named(folder):
    with pytest.raises(NetworkError, match=r"within the period \['2019-01-01', '2019-12-31'\]"):
        look(folder, period=["2019-01-01", "2019-12-31"])
