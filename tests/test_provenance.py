"""A source has changed where one of its files has; nothing else counts."""

import os
import time
from pathlib import Path

import pytest

from rockglacier import provenance
from rockglacier.configuration import source_paths


@pytest.fixture(autouse=True)
def _looked_up_anew():
    provenance.files.cache_clear()
    provenance.state.cache_clear()


def state(*paths, but=()):
    """The state as another process would see it."""
    provenance.files.cache_clear()
    provenance.state.cache_clear()
    return provenance.state(paths, frozenset(but))


@pytest.fixture
def folder(tmp_path):
    inner = tmp_path / "source" / "pairs" / "a"
    inner.mkdir(parents=True)
    (inner / "unw.tif").write_bytes(b"phase")
    (tmp_path / "source" / "dem.tif").write_bytes(b"heights")
    return tmp_path / "source"


def _later(folder):
    status = (folder / "dem.tif").stat()
    os.utime(folder / "dem.tif", ns=(status.st_atime_ns, status.st_mtime_ns + 1000))


@pytest.mark.parametrize(
    "change",
    [
        _later,
        lambda f: (f / "pairs" / "a" / "unw.tif").write_bytes(b"longer phase"),
        lambda f: (f / "pairs" / "a" / "cc.tif").touch(),
        lambda f: (f / "pairs" / "a" / "unw.tif").unlink(),
        lambda f: (f / "pairs" / "a").rename(f / "pairs" / "b"),
    ],
)
def test_what_changes_a_file_changes_the_state(folder, change):
    before = state(folder)
    assert state(folder) == before
    change(folder)
    assert state(folder) != before


def test_hidden_files_and_what_is_set_apart_do_not_count(folder):
    apart = folder / "results", folder / "region.yaml"
    before = state(folder, but=apart)
    (folder / ".snakemake").mkdir()
    (folder / ".snakemake" / "log").touch()
    (folder / "results").mkdir()
    (folder / "results" / "grid.json").touch()
    (folder / "region.yaml").touch()
    assert state(folder, but=apart) == before
    assert state(folder) != before


def test_links_are_followed_but_not_in_a_circle(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)
    (folder / "broken").symlink_to(tmp_path / "nowhere")
    before = state(folder)
    (elsewhere / "cc.tif").touch()
    assert state(folder) != before
    names = [name for name, _, _ in provenance.files(folder)]
    assert "linked/cc.tif" in names and len(names) < 10


def test_the_place_does_not_count_but_a_missing_file_does(folder, tmp_path):
    before = state(folder)
    moved = folder.rename(tmp_path / "moved")
    assert state(moved) == before
    assert state(tmp_path / "absent") != state(moved / "dem.tif")


def test_ten_thousand_files_are_looked_at_quickly(tmp_path):
    for k in range(100):
        (tmp_path / str(k)).mkdir()
        for i in range(100):
            (tmp_path / str(k) / f"{i}.tif").touch()
    start = time.perf_counter()
    assert len(provenance.files(tmp_path)) == 10_000
    state(tmp_path)
    assert time.perf_counter() - start < 5.0


def track(source, path, **keys):
    return {"source": source, "path": str(path), **keys}


def names(found, base):
    return {os.path.relpath(path, base) for path in found}


def test_a_simulated_track_has_no_files():
    assert source_paths({"source": "simulated", "seed": 1}) == []


def test_what_a_track_names_outside_its_folder_is_part_of_it(tmp_path):
    (tmp_path / "pairs").mkdir()
    keys = {
        "unwrapped": "u/{reference}-{secondary}.tif",
        "coherence": "../coherence/{reference}-{secondary}.tif",
        "height": "../dem.tif",
        "parameters": "headers/20200601.par",
        "line_of_sight": {"east": "e.tif", "north": "../n.tif", "up": str(tmp_path / "u.tif")},
        "date_format": "%Y%m%d",
        "baselines": None,
    }
    found = source_paths(track("geotiff", tmp_path / "pairs", **keys))
    assert names(found, tmp_path) == {"pairs", "coherence", "dem.tif", "n.tif", "u.tif"}


def test_what_lies_beside_a_file_is_part_of_it(tmp_path):
    (tmp_path / "cube").touch()
    keys = {"like": "dem.tif", "dates": "../dates.txt", "interleave": "bip", "units": "mm"}
    found = names(source_paths(track("displacement", tmp_path / "cube", **keys)), tmp_path)
    assert found >= {"cube", "dem.tif", "../dates.txt", "geometryGeo.h5", "geometryRadar.h5"}
    (tmp_path / "ifgramStack.h5").touch()
    keys = {"geometry": str(tmp_path / "g" / "geometryGeo.h5")}
    found = names(source_paths(track("mintpy", tmp_path / "ifgramStack.h5", **keys)), tmp_path)
    geometry = {"geometryGeo.h5", "geometryRadar.h5", "inputs/geometryGeo.h5"}
    assert found >= {"ifgramStack.h5", "g/geometryGeo.h5", *geometry}


@pytest.mark.parametrize("given", ["stack", "stack/merged"])
def test_topsstack_is_its_merged_folder_and_what_the_reader_finds_beside_it(tmp_path, given):
    (tmp_path / "stack" / "merged").mkdir(parents=True)
    found = source_paths(track("isce2", tmp_path / given))
    assert names(found, Path(tmp_path / "stack")) == {"merged", "baselines", "reference"}
