"""The engine isce2 with a real ISCE2, where there is one: what it makes, and what a date adds."""

from pathlib import Path

import numpy as np
import pytest
from scenes import GRID, copy_product
from workspace import Workspace

from rockglacier import io
from rockglacier.errors import ConfigurationError
from rockglacier.readers.stack import lonlat_bounds
from rockglacier.topsstack import installation

pytestmark = pytest.mark.filterwarnings("ignore:Object at .snakemake_timestamp")

REGION = """\
name: Both engines
area: {area}
dem: {dem}
dem_datum: ellipsoid
tracks:
  theirs: {{source: scenes, path: scenes, engine: isce2}}
  ours: {{source: scenes, path: scenes}}
"""


@pytest.fixture(scope="module")
def both(noisy_scenes, tmp_path_factory):
    """A region of three raw scenes, of which two have been run through both engines."""
    try:
        installation.find()
    except ConfigurationError as error:
        pytest.skip(str(error))
    made = Workspace(tmp_path_factory.mktemp("isce2"))
    west, south, east, north = lonlat_bounds(GRID)
    area = [round(edge, 4) for edge in (west + 0.002, south + 0.002, east - 0.002, north - 0.002)]
    made.write("gamma", REGION.format(area=area, dem=noisy_scenes.folder / "dem.tif"))
    for path in (*noisy_scenes.products[:2], *noisy_scenes.orbits):
        copy_product(path, made.folder / "scenes")
    made.run(*stacks(made), regions="gamma")
    return made


def stacks(workspace):
    folder = workspace.results / "gamma"
    return [str(folder / track / "unwrapped.zarr") for track in ("theirs", "ours")]


def test_both_engines_find_the_same(both):
    theirs, ours = (io.open_dataset(path).isel(pair=0) for path in stacks(both))
    good = (np.minimum(theirs["coherence"].values, ours["coherence"].values) > 0.6) & np.isfinite(
        theirs["phase"].values - ours["phase"].values
    )
    assert good.mean() > 0.5
    turn = np.exp(1j * (theirs["phase"].values - ours["phase"].values)[good])
    left = np.angle(turn * np.exp(-1j * np.angle(turn.sum())))
    assert np.sqrt(np.mean(left**2)) < 0.3
    known = np.isfinite(theirs["coherence"].values) & np.isfinite(ours["coherence"].values)
    medians = [float(np.median(one["coherence"].values[known])) for one in (theirs, ours)]
    assert abs(medians[0] - medians[1]) < 0.03
    # What no DEM tells is missing, not ground at the height of the next pixel.
    seen = io.open_dataset(Path(stacks(both)[0]).with_name("geometry.zarr"))["observable"].values
    assert not np.isfinite(theirs["phase"].values[seen == 0]).any()


def test_another_date_leaves_the_others_as_they_are(both, noisy_scenes):
    stack = stacks(both)[0]
    assert both.planned(stack, regions="gamma") == {}
    copy_product(noisy_scenes.products[2], both.folder / "scenes")
    tables = [str(Path(path).with_name("planned.csv")) for path in stacks(both)]
    both.run(*tables, regions="gamma")
    planned = both.planned(stack, regions="gamma")["gamma"]
    others = [job for job in planned if "20200628" not in job]
    assert sorted(others) == ["stacking the pairs", "what all dates cover"]
    both.run(stack, regions="gamma")
    assert io.open_dataset(stack).sizes["pair"] == 3
