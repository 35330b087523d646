"""What reruns is what changed among the files that a track is read from."""

import os
import re
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from scenes import GRID, add_cross, copy_product
from shapely import Point
from stack_formats import Scene, write_geotiffs
from workspace import Workspace

from rockglacier import io
from rockglacier.grid import Grid
from rockglacier.readers.stack import lonlat_bounds

pytestmark = pytest.mark.filterwarnings("ignore:Object at .snakemake_timestamp")


AFTER_READING = {
    *("the grid", "reading the stack", "the network", "inverting the network", "velocity"),
    "downslope velocity",
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A region run to its velocity, on GeoTIFFs in sub-folders beside its file and products."""
    made = Workspace(tmp_path_factory.mktemp("pairs"))
    grid = Grid("EPSG:32632", 640000.0, 5200000.0, 40.0, 40.0, 37, 29)
    write_geotiffs(made.folder / "2020" / "june", Scene(grid))
    made.write("alpha", PAIRS)
    made.run(velocity_of(made), regions="alpha")
    return made


def velocity_of(workspace):
    """The region's velocity as a target: figures are of no concern here."""
    return str(workspace.results / "alpha" / "velocity.tif")


PAIRS = """\
name: Pairs in sub-folders
tracks:
  t1:
    source: geotiff
    path: .
    unwrapped: "**/{reference}-{secondary}_unw.tif"
    coherence: "**/{reference}-{secondary}_cc.tif"
    wavelength_m: 0.0554658
    phase_sign: 1
"""


def test_files_that_stay_rerun_nothing(pairs):
    """Neither what Snakemake itself leaves there, nor a hidden file, nor the region's own file."""
    (pairs.folder / "2020" / "june" / ".hidden").write_text("of no concern")
    file = pairs.folder / "alpha.yaml"
    file.write_text(file.read_text() + "# a comment\n")
    assert pairs.planned(velocity_of(pairs), regions="alpha") == {}


def test_a_file_overwritten_in_place_reruns_the_reader(pairs):
    """Same name and size: the folder's own time of change stays."""
    file = next((pairs.folder / "2020" / "june").glob("*_unw.tif"))
    before, status = pairs.folder.stat().st_mtime_ns, file.stat()
    file.write_bytes(file.read_bytes())
    try:
        assert pairs.folder.stat().st_mtime_ns == before
        planned = pairs.planned(velocity_of(pairs), regions="alpha")
    finally:
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert set(planned["alpha"]) >= AFTER_READING
    assert pairs.planned(velocity_of(pairs), regions="alpha") == {}


def test_a_pair_added_in_a_sub_folder_reruns_the_reader(pairs):
    scene = Scene(Grid("EPSG:32632", 640000.0, 5200000.0, 40.0, 40.0, 37, 29), pairs=((0, 3),))
    folder = pairs.folder / "2020" / "june"
    present = set(folder.iterdir())
    write_geotiffs(folder, scene)
    try:
        planned = pairs.planned(velocity_of(pairs), regions="alpha")
    finally:
        for file in set(folder.iterdir()) - present:
            file.unlink()
    assert set(planned["alpha"]) >= AFTER_READING


SCENES = """\
name: Gamma
area: {area}
dem: {dem}
dem_datum: ellipsoid
moving_areas: moving.gpkg
tracks:
  t1: {{source: scenes, path: scenes, looks: [2, 4]}}
images:
  radar: {{source: slc, track: t1, offsets: {{chips: [24]}}}}
"""


@pytest.fixture(scope="module")
def scenes_run(noisy_scenes, tmp_path_factory):
    """A region of three raw scenes, of which two have been run through to the stack."""
    folder = tmp_path_factory.mktemp("scenes")
    made = Workspace(folder)
    bounds = lonlat_bounds(GRID)
    area = [round(bounds[0] + 0.002, 4), round(bounds[1] + 0.002, 4)]
    area += [round(bounds[2] - 0.002, 4), round(bounds[3] - 0.002, 4)]
    made.write("gamma", SCENES.format(area=area, dem=noisy_scenes.folder / "dem.tif"))
    for path in (*noisy_scenes.products[:2], *noisy_scenes.orbits):
        copy_product(path, folder / "scenes")
    add_cross(folder / "scenes" / noisy_scenes.products[0].name)
    moving = noisy_scenes.truth["tongue"]
    outlines = [Point(x, y).buffer(400.0) for x, y in _middles(moving)]
    gpd.GeoDataFrame(geometry=outlines, crs=GRID.crs).to_file(folder / "moving.gpkg")
    made.run(stack_of(made), regions="gamma")
    return made


def _middles(tongue):
    """Middle of each rock glacier."""
    for number in range(1, int(tongue.max()) + 1):
        rows, columns = np.nonzero(tongue.values == number)
        if rows.size:
            yield float(tongue.x[columns].mean()), float(tongue.y[rows].mean())


def stack_of(workspace):
    """The stack as a target: ``--until`` may stop at a checkpoint, by the order of a set."""
    return str(workspace.results / "gamma" / "t1" / "unwrapped.zarr")


def test_another_date_makes_itself_and_its_pairs_and_nothing_else(scenes_run, noisy_scenes):
    stack = stack_of(scenes_run)
    assert scenes_run.planned(stack, regions="gamma") == {}
    copy_product(noisy_scenes.products[2], scenes_run.folder / "scenes")
    scenes_run.run(str(Path(stack).with_name("planned.csv")), regions="gamma")
    planned = scenes_run.planned(stack, regions="gamma")["gamma"]
    assert sorted(planned) == [
        "geocoding 20200628",
        "interferogram 20200604 to 20200628",
        "interferogram 20200616 to 20200628",
        "stacking the pairs",
    ]


def test_offsets_between_the_images_of_a_track(scenes_run):
    """A job a pair; ground that does not move is found at rest, within its errors."""
    region = scenes_run.results / "gamma"
    velocity = region / "offsets" / "radar" / "velocity.tif"
    said = scenes_run.run(str(velocity), regions="gamma")
    assert len(re.findall(r"Job \d+: gamma/radar: offsets 2020", said)) == 3
    assert re.findall(r"Job \d+: gamma/t1: (.+)", said) == ["geocoding 20200628"]
    rates = io.read_raster(velocity)
    assert rates["east"].notnull().mean() > 0.3
    for name in ("east", "north"):
        z = rates[name] / rates[f"{name}_error"]
        z = z.where((rates["stable_ground"] > 0) & z.notnull(), drop=True)
        assert 0.85 < float((np.abs(z) < 1.96).where(z.notnull()).mean()) < 1.0
    assert scenes_run.planned(str(velocity), regions="gamma") == {}


def test_months_of_the_year_remake_factors_but_not_images(scenes_run):
    factors = scenes_run.results / "gamma" / "backscatter.zarr"
    scenes_run.run(str(factors), regions="gamma")
    count = io.open_dataset(factors)["count"].values
    assert count.max() == 3 and (count[0] == count.max()).mean() > 0.5
    assert (count[1] == 0).all()  # none of the three dates lies in July to September
    path = scenes_run.folder / "gamma.yaml"
    text = path.read_text()
    path.write_text(text + "backscatter: {snow_free_months: [6, 7]}\n")
    planned = scenes_run.planned(str(factors), regions="gamma")["gamma"]
    path.write_text(text)
    assert sorted(planned) == ["backscatter of all tracks", "backscatter through time"]


def test_cross_polarised_backscatter_is_made_of_the_dates_that_hold_it(scenes_run):
    """VH in which an amplitude counts twice is a quarter of VV, noise taken away from both."""
    path = scenes_run.folder / "gamma.yaml"
    text = path.read_text()
    path.write_text(text.replace("looks: [2, 4]", "looks: [2, 4], cross_polarisation: true"))
    track = scenes_run.results / "gamma" / "t1"
    planned = scenes_run.planned(str(track / "backscatter_cross.zarr"), regions="gamma")["gamma"]
    assert sorted(planned) == [
        "cross-polarised backscatter of 20200604",
        "cross-polarised backscatter through time",
    ]
    both = [str(track / kind / "20200604.tif") for kind in ("backscatter", "backscatter_cross")]
    scenes_run.run(*both, regions="gamma")
    path.write_text(text)
    plain, cross = (io.read_raster(path)["gamma_nought"].values for path in both)
    seen = np.isfinite(plain)
    assert seen.mean() > 0.5 and (np.isfinite(cross) == seen).all()
    assert np.abs(cross - plain / 4.0)[seen].max() < 1e-5 * np.nanmax(np.abs(plain))


def test_a_filter_remakes_pairs_but_not_images(scenes_run):
    path = scenes_run.folder / "gamma.yaml"
    text = path.read_text()
    path.write_text(text.replace("looks: [2, 4]", "looks: [2, 4], goldstein: 0.5"))
    planned = scenes_run.planned(stack_of(scenes_run), regions="gamma")["gamma"]
    path.write_text(text)
    assert {job for job in planned if job.startswith("interferogram")} >= {
        "interferogram 20200604 to 20200616"
    }
    assert not {"geocoding 20200604", "geocoding 20200616"} & set(planned)
    assert not [job for job in planned if job.startswith(("looking", "line of sight"))]


def test_a_product_that_was_replaced_is_geocoded_again(scenes_run):
    path = next((scenes_run.folder / "scenes").glob("*20200616*/measurement/*.tiff"))
    before = path.stat()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    # The scenes are looked at first; what they show then decides.
    stack = stack_of(scenes_run)
    scenes_run.run(str(Path(stack).with_name("planned.csv")), regions="gamma")
    planned = scenes_run.planned(stack, regions="gamma")["gamma"]
    assert "geocoding 20200616" in planned
    assert not any(job in planned for job in ("geocoding 20200604", "geocoding 20200628"))


def test_removed_images_are_not_made_again(scenes_run):
    stack = stack_of(scenes_run)
    scenes_run.run(stack, regions="gamma")
    track = Path(stack).parent
    assert len(list((track / "slc").iterdir())) == 3
    scenes_run.run("clean_slc", regions="gamma")
    assert not (track / "slc").exists()
    assert scenes_run.planned(stack, regions="gamma") == {}
