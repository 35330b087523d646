"""A frozen manifest: the same everywhere, and what differs is named."""

import json
import logging
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from rockglacier import manifest, origins, provenance
from rockglacier.errors import ManifestError

PRODUCT = "S1A_IW_SLC__1SDV_20200707T052647.SAFE"


@pytest.fixture(autouse=True)
def _looked_up_anew():
    provenance.files.cache_clear()


@pytest.fixture
def region(tmp_path):
    """A region's files and settings; its products go to ``results``."""
    return made(tmp_path / "here")


def made(folder):
    for name, content in {
        f"scenes/{PRODUCT}/manifest.safe": "checksums",
        f"scenes/{PRODUCT}/measurement/iw2-vv.tiff": "pixels of one date",
        "scenes/S1A_other.zip": "pixels of another",
        "orbits/S1A_POEORB.EOF": "vectors",
        "dem.tif": "heights",
        "inventory.gpkg": "outlines",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return {
        "name": "Valley", "file": str(folder / "valley.yaml"), "dem": str(folder / "dem.tif"),
        "labels": {"path": str(folder / "inventory.gpkg"), "kinds": {"active": ["A"]}},
        "tracks": {"t1": {"source": "scenes", "path": str(folder / "scenes"),
                          "orbits": str(folder / "orbits"), "looks": [2, 8]}},
        "network": {"months": [7, 8]},
    }  # fmt: skip


def frozen(region, tables=None, **models):
    provenance.files.cache_clear()
    results = Path(region["file"]).parent / "results"
    named = None if tables is None else {"valley": tables}
    told = origins.described({"valley": region}, models, results)
    return manifest.frozen(told, tables=named)


def unlike(wanted, region, **options):
    return manifest.differences(wanted, frozen(region, **options))


def test_it_is_the_same_in_another_place_and_time(region, tmp_path):
    wanted = frozen(region)
    assert set(wanted["files"]["valley"]) == {
        f"scenes/{PRODUCT}", "scenes/S1A_other.zip", "orbits/S1A_POEORB.EOF", "dem.tif",
        "inventory.gpkg",
    }  # fmt: skip
    own = wanted["files"]["valley"][f"scenes/{PRODUCT}"]
    assert (own["files"], own["bytes"], own["sampled"]) == (2, 27, 0)
    there = made(tmp_path / "there" / "deeper")
    os.utime(there["dem"], ns=(1, 1))
    assert frozen(there) == wanted
    assert str(tmp_path) not in json.dumps(wanted["configuration"])


def test_real_data_are_named_below_their_folder(region, monkeypatch):
    folder = Path(region["file"]).parent
    monkeypatch.setenv("ROCKGLACIER_DATA", str(folder / "orbits"))
    found = frozen(region)
    assert "${ROCKGLACIER_DATA}/S1A_POEORB.EOF" in found["files"]["valley"]
    track = found["configuration"]["regions"]["valley"]["tracks"]["t1"]
    assert (track["orbits"], track["path"]) == ("${ROCKGLACIER_DATA}", "scenes")


def _same_size_and_time(path):
    status = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: _same_size_and_time(f / "scenes" / PRODUCT / "measurement" / "iw2-vv.tiff"),
         f"files: valley: scenes/{PRODUCT} has other content: 27 bytes"),
        (lambda f: _same_size_and_time(f / "orbits" / "S1A_POEORB.EOF"),
         "files: valley: orbits/S1A_POEORB.EOF has other content"),
        (lambda f: (f / "scenes" / "S1A_other.zip").unlink(),
         "files: valley: scenes/S1A_other.zip is frozen, but is not here"),
        (lambda f: (f / "scenes" / "S1A_third.zip").touch(),
         "files: valley: scenes/S1A_third.zip is here, but not frozen"),
        (lambda f: (f / "scenes" / PRODUCT / "preview.png").touch(),
         f"files: valley: scenes/{PRODUCT} has other content"),
    ],
    ids=["image", "orbit", "gone", "added", "within"],
)  # fmt: skip
def test_a_changed_source_is_named(region, change, said):
    wanted = frozen(region)
    change(Path(region["file"]).parent)
    [line] = unlike(wanted, region)
    assert line.startswith(said)


def test_settings_models_and_locks_are_named(region, monkeypatch):
    wanted = frozen(region, alps={"folds": 5})
    region["network"]["months"] = [7, 8, 9]
    region["labels"]["kinds"]["clean"] = ["C"]
    locks = manifest.locks()
    assert {"requirements.lock", "envs/figures.yaml"} <= set(locks)
    monkeypatch.setattr(manifest, "locks", lambda: locks | {"requirements.lock": "0" * 64})
    lines = unlike(wanted, region, alps={"folds": 4})
    assert lines == [
        f'locks.requirements.lock is "{"0" * 64}", frozen "{locks["requirements.lock"]}"',
        "configuration.models.alps.folds is 4, frozen 5",
        "configuration.regions.valley.labels.kinds.clean is here, but not frozen",
        "configuration.regions.valley.network.months is [7, 8, 9], frozen [7, 8]",
    ]


@pytest.mark.parametrize("at", [0, 39, 40, 99])
def test_ends_tell_of_large_files(tmp_path, monkeypatch, at):
    """Of 100 bytes, 40 at each end: what changes there is seen, and so is another size."""
    monkeypatch.setattr(manifest, "WHOLE_BYTES", 90)
    monkeypatch.setattr(manifest, "END_BYTES", 40)
    path = tmp_path / "image.tiff"
    content = bytearray(100)
    path.write_bytes(content)
    before = manifest.checksum(path)
    assert before["sampled"] == 1
    content[at] = 1
    path.write_bytes(content)
    provenance.files.cache_clear()
    assert (manifest.checksum(path) != before) == (at != 40)
    path.write_bytes(bytes(101))
    provenance.files.cache_clear()
    assert manifest.checksum(path)["sha256"] != before["sha256"]


def test_a_small_file_has_the_checksum_that_everybody_computes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    found = manifest.checksum(tmp_path / "abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert found == {"sha256": known, "bytes": 3, "files": 1, "sampled": 0}


def test_what_the_workflow_makes_is_listed_but_not_compared(region):
    folder = Path(region["file"]).parent
    landscape = folder / "results" / "valley" / "landscape"
    image = landscape / "ascending" / "slc" / "20200707.zarr"
    image.mkdir(parents=True)
    (image / "zarr.json").write_text("pixels")
    region["tracks"]["t2"] = {"source": "geocoded", "path": str(landscape / "ascending")}
    wanted = frozen(region)
    own = wanted["files"]["valley"]["landscape/ascending/slc/20200707.zarr"]
    assert own["made"] and own["bytes"] == 6
    (image / "zarr.json").write_text("others")
    assert unlike(wanted, region) == []
    shutil.rmtree(landscape)  # as on another machine, before the run
    assert unlike(wanted, region) == []
    assert manifest.differences(frozen(region), wanted) == []


def test_places_of_a_landscape_do_not_hang_on_where_results_lie(region, tmp_path, monkeypatch):
    """What :func:`configuration.load` makes of them is as relative as the results."""
    monkeypatch.chdir(tmp_path)
    found = []
    for results in ("results", "elsewhere/products"):
        dem = f"{results}/valley/landscape/dem.tif"
        there = region | {"dem": dem, "glaciers": f"{results}/valley/landscape/none.gpkg"}
        Path(dem).parent.mkdir(parents=True)
        Path(dem).write_text("heights")
        provenance.files.cache_clear()
        found.append(manifest.frozen(origins.described({"valley": there}, {}, results)))
    assert found[0] == found[1]
    assert found[0]["configuration"]["regions"]["valley"]["dem"] == "landscape/dem.tif"
    own = found[0]["files"]["valley"]
    assert own["landscape/dem.tif"]["made"] and "landscape/none.gpkg" not in own


def table(folder, dates):
    """A table of two bursts a date."""
    rows = [
        {"date": date, "mission": "S1A", "relative_orbit": 117, "burst": burst,
         "orbit_kind": "precise", "orbit_file": f"/data/S1A_{date}.EOF",
         "path": f"/data/S1A_{date}.SAFE"}
        for date in dates for burst in ("117_1_IW2", "117_2_IW2")
    ]  # fmt: skip
    folder.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(folder / "scenes.csv", index=False)
    return [folder / "scenes.csv"]


def test_scenes_that_were_used_are_told_once_with_their_orbits(region, tmp_path):
    used = {"t1": table(tmp_path / "a", ["2020-07-07", "2020-07-19"])}
    wanted = frozen(region, tables=used)
    first, second = wanted["scenes"]["valley"]["t1"]
    assert first == {
        "date": "2020-07-07", "mission": "S1A", "relative_orbit": "117", "orbit_kind": "precise",
        "orbit_file": "S1A_2020-07-07.EOF", "id": "S1A_2020-07-07.SAFE",
    }  # fmt: skip
    assert second["date"] == "2020-07-19"
    other = {"t1": table(tmp_path / "b", ["2020-07-07", "2020-07-31"])}
    assert unlike(wanted, region, tables=used) == []
    assert unlike(wanted, region, tables=other) == [
        "scenes: valley: t1: 2020-07-19 S1A_2020-07-19.SAFE S1A_2020-07-19.EOF is frozen, but not "
        "used here",
        "scenes: valley: t1: 2020-07-31 S1A_2020-07-31.SAFE S1A_2020-07-31.EOF is used here, but "
        "not frozen",
    ]
    assert unlike(wanted, region) == []  # before the scenes were looked at


def test_a_run_that_differs_is_refused(region, tmp_path, caplog):
    path = tmp_path / "manifest.json"
    wanted = frozen(region, tables={"t1": []})
    path.write_text(json.dumps(wanted))
    manifest.check(path, frozen(region))
    assert not caplog.records
    _same_size_and_time(Path(region["dem"]))
    with pytest.raises(ManifestError) as refused:
        manifest.check(path, frozen(region))
    assert f"not that of the manifest {path}:\n  files: valley: dem.tif has" in str(refused.value)
    assert "(--config manifest=) to freeze anew" in str(refused.value)
    for k in range(20):
        (Path(region["file"]).parent / "scenes" / f"{k}.zip").touch()
    with pytest.raises(ManifestError, match="and 9 more"):
        manifest.check(path, frozen(region))


def test_other_code_is_told_of_but_not_refused(region, tmp_path, caplog):
    path = tmp_path / "manifest.json"
    wanted = frozen(region, tables={"t1": []})
    wanted["code"] |= {"library": "0123456789ab", "commit": "c0ffee"}
    path.write_text(json.dumps(wanted))
    with caplog.at_level(logging.WARNING):
        manifest.check(path, frozen(region))
    assert "commit c0ffee" in caplog.text and "results may differ" in caplog.text


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), ("no JSON", "cannot be read"), ('{"locks": {}}', "lacks configur")],
)
def test_what_is_no_manifest_is_refused(tmp_path, content, said):
    path = tmp_path / "manifest.json"
    if content:
        path.write_text(content)
    with pytest.raises(ManifestError, match=said):
        manifest.read(path)
