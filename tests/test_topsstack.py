"""The engine isce2 without ISCE2: command lines, shifts, its DEM, programs that fail."""

import os
import stat
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from affine import Affine

from rockglacier.errors import ConfigurationError, SceneError
from rockglacier.topsstack import commands, elevation, installation, misregistration
from rockglacier.topsstack.misregistration import Shift, combine

ROWS = [
    ["a.SAFE", "IW1", "2020-06-04T17:04:59.500000", "o.EOF"],
    ["a.SAFE", "IW1", "2020-06-04T17:05:02.250000", "o.EOF"],
]


def test_bursts_are_named_by_their_times():
    (command,) = commands.unpack(ROWS, "VV", "reference")
    assert command[0] == "unpack_bursts.py"
    assert command[command.index("--orbit") + 1] == "o.EOF"
    assert command[command.index("--bursts") + 1 :] == [
        "IW1=2020-06-04T17:04:59.500000",
        "IW1=2020-06-04T17:05:02.250000",
    ]
    # Where the annotation serves for the orbit, no orbit file is named.
    (command,) = commands.unpack([[*row[:3], "a.xml"] for row in ROWS], "VV", "reference")
    assert "--orbit" not in command


def test_the_first_date_lies_in_the_folder_reference():
    assert commands.folder_of("20200604", "20200604") == "reference"
    assert commands.folder_of("20200616", "20200604") == "coreg_secondarys/20200616"
    (command,) = commands.interfere("20200604", "20200604", "20200616")
    assert command[1:5] == ["-m", "reference", "-s", "coreg_secondarys/20200616"]


def test_a_date_is_shifted_only_where_overlaps_were_looked_at():
    plain = commands.coregister("20200616", misregistered=False)
    shifted = commands.coregister("20200616", misregistered=True)
    assert all("-a" not in command for command in plain)
    assert all("misreg/azimuth/20200616.txt" in command for command in shifted)


def test_looks_make_about_a_square():
    lines, samples = commands.looks_of(40.0)
    assert (lines, samples) == (3, 11)
    assert commands.looks_of(5.0) == [1, 1]


def test_a_shift_follows_from_earlier_dates():
    """What the pairs show is added to what is known; the better pair weighs more."""
    near, far = Shift(0.010, 0.02, 1000), Shift(0.030, 0.02, 10)
    found = combine([0.001, 0.002], [near, far])
    assert found == pytest.approx((1000 * 0.011 + 10 * 0.032) / 1010)
    assert combine([0.001], [None]) is None and combine([], []) is None


def test_shifts_of_a_chain_are_recovered():
    """Dates with known shifts, noisy pairs of each with the three before."""
    rng = np.random.default_rng(3)
    truth = np.concatenate([[0.0], rng.normal(0.0, 0.01, 19)])
    known = [0.0]
    for k in range(1, truth.size):
        before = range(max(0, k - misregistration.EARLIER_DATES), k)
        shifts = [Shift(truth[k] - truth[e] + rng.normal(0.0, 3e-4), 0.01, 1000) for e in before]
        known.append(combine([known[e] for e in before], shifts))
    assert np.abs(np.array(known) - truth).max() < 1.5e-3
    assert np.array(known).std() > 5e-3


def test_estimates_are_read_as_the_programs_write_them(tmp_path):
    text = "median : 0.0012\nmean : 0.001\nstd : 0.02\ncoherence threshold : 0.85\n"
    (tmp_path / "a.txt").write_text(f"{text}mumber of coherent points : 321\n")
    shift = misregistration.read_shift(tmp_path / "a.txt")
    assert shift == Shift(0.0012, 0.02, 321)
    (tmp_path / "b.txt").write_text("median : nan\nstd : nan\nmumber of coherent points : 0\n")
    assert misregistration.read_shift(tmp_path / "b.txt") is None
    (tmp_path / "c.txt").write_text("median : 1\n")
    with pytest.raises(SceneError, match=r"c\.txt.*coherent points.*run again"):
        misregistration.read_shift(tmp_path / "c.txt")
    misregistration.save_pair(tmp_path / "pair.json", shift, None)
    assert misregistration.load_pair(tmp_path / "pair.json") == (shift, None)


@pytest.fixture
def dem(tmp_path):
    """A DEM whose height tells where it is: metres that grow to the north and east."""
    west, north, step = 11.0, 47.0, 1e-3
    lon = west + (np.arange(60) + 0.5) * step
    lat = north - (np.arange(50) + 0.5) * step
    height = (1000.0 + 1e5 * (lon[None, :] - west) + 1e4 * (north - lat[:, None])).astype("f4")
    height[20:23, 30:33] = -9999.0
    path = tmp_path / "source.tif"
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "nodata": -9999.0}
    with rasterio.open(
        path, "w", crs="EPSG:4326", width=60, height=50, **profile,
        transform=Affine(step, 0.0, west, 0.0, -step, north),
    ) as target:  # fmt: skip
        target.write(height, 1)
    return path


def test_the_dem_says_where_its_pixels_are_centred(dem, tmp_path):
    """ISCE2's corner is a centre; heights agree with the source; voids and margins have some."""
    target = tmp_path / "dem.wgs84"
    bounds = (11.01, 46.96, 11.05, 46.99)
    elevation.prepare(dem, bounds, target, "dem/dem.wgs84", datum="ellipsoid", geoid=None)
    root = ElementTree.parse(f"{target}.xml").getroot()
    start, delta = {}, {}
    for axis in ("coordinate1", "coordinate2"):
        values = {
            one.get("name"): one.findtext("value")
            for one in root.find(f"component[@name='{axis}']").iter("property")
        }
        start[axis], delta[axis] = float(values["startingvalue"]), float(values["delta"])
    with rasterio.open(f"{target}.vrt") as view:
        heights = view.read(1)
        edge = view.transform
    assert start["coordinate1"] == pytest.approx(edge.c + edge.a / 2, abs=1e-9)
    assert start["coordinate2"] == pytest.approx(edge.f + edge.e / 2, abs=1e-9)
    assert np.isfinite(heights).all() and heights.min() > 900.0
    rows = start["coordinate2"] + delta["coordinate2"] * np.arange(heights.shape[0])
    columns = start["coordinate1"] + delta["coordinate1"] * np.arange(heights.shape[1])
    assert columns[0] < 11.01 - 0.1 and rows[0] > 46.99 + 0.1  # the margin
    expected = 1000.0 + 1e5 * (columns[None, :] - 11.0) + 1e4 * (47.0 - rows[:, None])
    inner = ((rows > 46.985) & (rows < 46.995))[:, None] & ((columns > 11.01) & (columns < 11.02))
    assert np.abs(heights - expected)[inner].max() < 3.0  # a pixel is 100 m high


def install(folder, program, text):
    """A folder like topsStack's with one program, and a Python that says it has ISCE2."""
    (folder / "stack" / "topsStack").mkdir(parents=True)
    (folder / "stack" / "topsStack" / "stackSentinel.py").write_text("")
    (folder / "stack" / "topsStack" / program).write_text(text)
    return installation.Installation(folder / "stack" / "topsStack", sys.executable, folder)


def test_a_program_that_fails_is_named_with_what_it_said(tmp_path):
    isce2 = install(tmp_path, "topo.py", "import sys; print('no such orbit'); sys.exit(3)")
    output = tmp_path / "log.txt"
    with pytest.raises(SceneError, match=r"topo\.py ended with 3(?s:.*)no such orbit"):
        isce2.run([["topo.py", "-m", "x"]], tmp_path, output, threads=2, seconds=60)
    assert "+ topo.py -m x" in output.read_text()


def test_a_program_that_waits_for_ever_is_stopped(tmp_path):
    isce2 = install(tmp_path, "topo.py", "import time; time.sleep(60)")
    with pytest.raises(SceneError, match="ran beyond 1 s"):
        isce2.run([["topo.py"]], tmp_path, tmp_path / "log.txt", threads=1, seconds=1)


def test_programs_find_each_other_and_the_jobs_threads(tmp_path):
    text = "import os, sys; print(sys.argv[1], os.environ['OMP_NUM_THREADS'], os.environ['PATH'])"
    isce2 = install(tmp_path, "topo.py", text)
    output = tmp_path / "log.txt"
    isce2.run([["topo.py", commands.THREADS]], tmp_path, output, threads=3, seconds=60)
    said = output.read_text().splitlines()[-1]
    assert said.startswith("3 1 ") and str(tmp_path / "stack" / "topsStack") in said
    assert str(tmp_path / "applications") in said


def test_without_isce2_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ISCE_STACK", raising=False)
    with pytest.raises(ConfigurationError, match=r"stackSentinel\.py on PATH.*--sdm conda"):
        installation.find()
    folder = tmp_path / "stack" / "topsStack"
    folder.mkdir(parents=True)
    (folder / "stackSentinel.py").write_text("")
    monkeypatch.setenv("ISCE_STACK", str(tmp_path / "stack"))
    with pytest.raises(ConfigurationError, match="no python3 on PATH imports isce"):
        installation.find()
    # A python3 that does is found, further down the path than one that does not.
    for name, body in (("a", "exit 1"), ("b", "echo /opt/isce")):
        (tmp_path / name).mkdir()
        python = tmp_path / name / "python3"
        python.write_text(f"#!/bin/sh\n{body}\n")
        python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", os.pathsep.join(str(tmp_path / name) for name in "ab"))
    found = installation.find()
    assert found.python == str(tmp_path / "b" / "python3") and str(found.home) == "/opt/isce"
