"""Rock glaciers of Tibet, known by points: what the shape of the ground tells of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import geopandas
import pandas as pd
import pytest
import xarray as xr
from shapely.geometry import box

from rockglacier import factors as factor_stack
from rockglacier import relief, terrain
from rockglacier.fusion import labels, training, validation
from rockglacier.grid import Grid

AREA = (90.4, 30.1, 90.98, 30.62)  # most of the western Nyainqentanglha and the plain before it
HOW = training.How(bootstraps=0, select=False, folds=4)
UNKNOWN_M, BLOCK_M = 400.0, 2200.0


class Ground(NamedTuple):
    """Grid, factors of its terrain, and the rock glaciers of the inventory."""

    grid: Grid
    factors: xr.Dataset
    known: geopandas.GeoDataFrame

    def judged(self, objects: geopandas.GeoDataFrame) -> dict[str, Any]:
        """Scores of held-out ground of a model that is trained on ``objects``."""
        samples = labels.samples(
            objects, self.grid, self.factors, background=3000, buffer_m=UNKNOWN_M, like="objects"
        )
        told = labels.with_factors(samples, self.factors).to_dataframe()
        held = validation.held_out(
            told, factor_stack.of_techniques(self.factors), HOW, self.factors, objects, self.grid,
            block_m=BLOCK_M,
        )  # fmt: skip
        return validation.scores(
            held.maps, objects, self.grid, held.number, surface=self.factors, block_m=BLOCK_M,
            unknown_m=UNKNOWN_M,
        )  # fmt: skip


@pytest.fixture(scope="module")
def tibet(data_folder: Path) -> Ground:
    """Terrain at 90 m, and the points that lie there."""
    dem = data_folder / "dem/cosipy_nyainqentanglha_srtm90/n30_e090_srtm3.tif"
    points = data_folder / "inventory/se_tibetan_plateau_rock_glacier_points_guo"
    for path in (dem, points):
        if not path.exists():
            pytest.skip(f"real data: {path} is missing")
    grid = Grid.over(AREA, 90.0)
    shape = relief.factors(terrain.elevation(dem, grid), grid, smooth_m=120.0)
    known = labels.read_labels(
        points / "rock_glacier_centroids_49178.csv.gz", grid, kinds={"rock_glacier": []},
        lon="lon", lat="lat", radius_m=100.0,
    )  # fmt: skip
    return Ground(grid, factor_stack.gather(relief=shape), known)


def test_form_tells_them_from_ground_as_high_and_as_steep(tibet: Ground) -> None:
    assert len(tibet.known) > 200 and tibet.known["point"].all()
    alone = validation.height_and_slope(
        tibet.known, tibet.grid, surface=tibet.factors, block_m=BLOCK_M, unknown_m=UNKNOWN_M
    )
    for name, least in (("elevation", 0.64), ("slope", 0.57)):
        assert alone[name]["roc_auc"] > least
        assert alone[name]["matched"]["roc_auc"] == pytest.approx(0.5, abs=0.03)
    found = tibet.judged(tibet.known)
    low, high = found["matched"]["roc_auc_95"]
    assert 0.7 < low < found["matched"]["roc_auc"] < high < 0.9 and high - low < 0.1
    # Outlines hold far more of the points than of the ground.
    objects = found["objects"]
    middles = tibet.known.geometry.centroid.within(box(*tibet.grid.bounds))
    assert objects["hits"] + objects["missed"] == middles.sum()  # the rest reaches in from beyond
    assert objects["recall"] > 1.8 * objects["area_share"] > 0.0


def test_places_drawn_by_chance_are_told_by_nothing(tibet: Ground) -> None:
    """The same number of places as high and as steep, far from any rock glacier."""
    other = labels.samples(
        tibet.known, tibet.grid, tibet.factors, background=2 * len(tibet.known),
        buffer_m=UNKNOWN_M, like="objects", seed=1,
    )  # fmt: skip
    drawn = other[other["object"] == labels.BACKGROUND].sample(len(tibet.known), random_state=1)
    places = geopandas.GeoDataFrame(
        {"name": pd.RangeIndex(len(drawn)).astype(str), "kind": int(tibet.known["kind"].iloc[0]),
         "point": True},
        geometry=geopandas.points_from_xy(drawn["x"], drawn["y"]).buffer(100.0),
        crs=tibet.grid.crs,
    )  # fmt: skip
    found = tibet.judged(places)
    assert found["matched"]["roc_auc"] == pytest.approx(0.5, abs=0.06)


def test_a_row_whose_columns_are_swapped_is_left_out(
    real_data: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    file = real_data("inventory/se_tibetan_plateau_rock_glacier_points_guo") / "per_point.csv"
    grid = Grid.over((95.0, 35.0, 101.0, 41.0), 1000.0)
    found = labels.read_labels(file, grid, kinds={"other": []})
    assert "1 of 34 rows have no place on Earth" in caplog.text
    inside = pd.read_csv(file).query("95 < lon < 101 and 35 < lat < 41")
    assert len(found) == len(inside) >= 5
