"""Outlines on a grid against areas and distances that geometry tells."""

from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
from shapely.geometry import Point, box

from rockglacier import glaciers
from rockglacier.errors import SceneError
from rockglacier.grid import Grid

GRID = Grid("EPSG:32632", 640_000.0, 5_190_000.0, 50.0, 50.0, 80, 60)


def written(path: Path, *shapes: object, crs: str = "EPSG:32632") -> Path:
    geopandas.GeoDataFrame(geometry=list(shapes), crs="EPSG:32632").to_crs(crs).to_file(path)
    return path


def test_share_and_distance_are_those_of_geometry(tmp_path: Path) -> None:
    circle = Point(642_013.0, 5_188_487.0).buffer(600.0)
    found = glaciers.factors(written(tmp_path / "g.gpkg", circle, crs="EPSG:4326"), GRID)
    area = float(found["glacier_share"].sum()) * 50.0**2
    assert area == pytest.approx(circle.area, rel=2e-3)
    x, y = np.meshgrid(GRID.x, GRID.y)
    expected = np.maximum(np.hypot(x - 642_013.0, y - 5_188_487.0) - 600.0, 0.0)
    assert np.abs(found["glacier_distance"].values - expected).max() <= 50.0


def test_a_glacier_beyond_the_grid_counts_as_far_as_it_is(tmp_path: Path) -> None:
    beside = box(637_000.0, 5_186_000.0, 639_000.0, 5_191_000.0)
    found = glaciers.factors(written(tmp_path / "g.gpkg", beside), GRID, reach_m=3000.0)
    assert (found["glacier_share"] == 0.0).all()
    np.testing.assert_allclose(
        found["glacier_distance"].values[5, :30], GRID.x[:30] - 638_975.0, atol=1.0
    )
    assert float(found["glacier_distance"].max()) == 3000.0


def test_no_glacier_near_is_no_error(tmp_path: Path) -> None:
    far = written(tmp_path / "g.gpkg", box(0.0, 0.0, 1000.0, 1000.0))
    found = glaciers.factors(far, GRID, reach_m=1000.0)
    assert (found["glacier_distance"] == 1000.0).all()


def test_what_is_no_outline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="holds Point; polygons are needed"):
        glaciers.factors(written(tmp_path / "p.gpkg", Point(0.0, 0.0)), GRID)
    with pytest.raises(SceneError, match="cannot be read"):
        glaciers.factors(tmp_path / "none.gpkg", GRID)


def test_glaciers_of_the_oetztal_cover_what_the_inventory_says(
    real_data: Callable[[str], Path],
) -> None:
    outlines = real_data("inventory/rgi_glacier_outlines") / "rgi_oetztal_alps.gpkg"
    listed = geopandas.read_file(outlines)
    area = listed.to_crs("EPSG:32632")
    west, south, east, north = area.total_bounds
    grid = Grid("EPSG:32632", west - 500.0, north + 500.0, 40.0, 40.0,
                *(int(side / 40.0) + 25 for side in (east - west, north - south)))  # fmt: skip
    found = glaciers.factors(outlines, grid, reach_m=1000.0)
    covered = float(found["glacier_share"].sum()) * 40.0**2 / 1e6
    assert covered == pytest.approx(float(listed["Area"].sum()), rel=0.02)
