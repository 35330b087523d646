"""A region without anything that moves: its terrain becomes factors, and no more is asked for."""

import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from workspace import Workspace

from rockglacier import io
from rockglacier.factors import of_techniques

pytestmark = pytest.mark.filterwarnings("ignore:Object at .snakemake_timestamp")

REGION = """\
name: Alpha
area: [11.005, 46.905, 11.035, 46.925]
dem: dem.tif
grid: {spacing_m: 60}
factors: true
"""
EAST_M, NORTH_M = 652_000.0, 5_198_500.0  # of the DEM's corner, zone 32


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """A slope of 20 degrees that falls to the south, run through."""
    made = Workspace(tmp_path_factory.mktemp("ground"))
    made.write("alpha", REGION)
    rows = np.arange(160)[:, None] * 30.0
    heights = np.broadcast_to(3000.0 - np.tan(np.radians(20.0)) * rows, (160, 160))
    with rasterio.open(
        made.folder / "dem.tif", "w", driver="GTiff", width=160, height=160, count=1,
        dtype="float32", crs="EPSG:32632", transform=Affine(30.0, 0.0, EAST_M, 0.0, -30.0, NORTH_M),
    ) as target:  # fmt: skip
        target.write(heights.astype(np.float32), 1)
    made.run(regions="alpha")
    return made


def test_its_factors_are_those_of_its_slope(ground):
    found = io.open_dataset(ground.results / "alpha" / "factors.zarr").load()
    assert set(of_techniques(found)) == {"terrain"}
    inner = found.isel(y=slice(8, -8), x=slice(8, -8))
    np.testing.assert_allclose(inner["slope"], 20.0, atol=0.2)
    np.testing.assert_allclose(inner["northness"], -1.0, atol=0.01)
    expected = 3000.0 - np.tan(np.radians(20.0)) * (NORTH_M - 15.0 - inner["y"])
    np.testing.assert_allclose(inner["elevation"], expected + 0.0 * inner["elevation"], atol=1.0)


def test_it_says_that_no_motion_was_observed(ground):
    region = ground.results / "alpha"
    summary = json.loads((region / "summary.json").read_text())
    assert summary["tracks"] == summary["offsets"] == {}
    assert summary["downslope"] == {"observed_share": 0.0}
    assert not (region / "velocity.tif").exists() and (region / "figures/factors.png").exists()
    assert ground.planned(regions="alpha") == {}
