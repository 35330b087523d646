"""The grid of a region: kept where its sources share one, made where they do not."""

import pytest
from rasterio.warp import transform_bounds

from rockglacier.errors import ConfigurationError, DimensionError
from rockglacier.grid import Grid, region_grid

UTM = Grid("EPSG:32632", 640000.0, 5200000.0, 40.0, 40.0, 100, 80)
DEGREES = Grid("EPSG:4326", -99.2, 19.5, 0.001, 0.001, 60, 50)


def extent(grid):
    return transform_bounds(grid.crs, "EPSG:4326", *grid.bounds, densify_pts=21)


@pytest.mark.parametrize("grid", [UTM, DEGREES])
def test_sources_on_one_grid_keep_it(grid):
    assert region_grid([(grid, extent(grid))] * 2) == grid


def test_a_grid_is_found_again_from_its_coordinates(grid):
    assert Grid.from_coords(grid.empty(), grid.crs) == grid


def test_sources_on_two_grids_get_one_that_covers_both():
    found = region_grid([(DEGREES, extent(DEGREES)), (None, (-99.3, 19.4, -99.25, 19.45))])
    assert found.crs == "EPSG:32614" and found.spacing_m == (40.0, 40.0)
    west, south, east, north = extent(found)
    assert west <= -99.3 and south <= 19.4 and east >= -99.14 and north >= 19.5


def test_an_area_crops_to_whole_pixels_of_the_sources():
    area = transform_bounds("EPSG:32632", "EPSG:4326", 640810, 5199010, 641190, 5199390)
    found = region_grid([(UTM, extent(UTM))], area=area)
    assert (found.west - UTM.west) % 40 == 0 and (UTM.north - found.north) % 40 == 0
    left, bottom, right, top = found.bounds
    assert left <= 640810 and right >= 641190 and bottom <= 5199010 and top >= 5199390
    assert found.width <= 12 and found.height <= 12


def test_a_crs_makes_a_grid_of_its_own():
    found = region_grid([(DEGREES, extent(DEGREES))], crs="EPSG:6372", spacing_m=25)
    assert found.crs == "EPSG:6372" and found.dx == 25


def test_a_crs_in_degrees_makes_no_grid_of_metres():
    with pytest.raises(ConfigurationError, match=r"EPSG:4326, in degrees, .* grid of 40 m"):
        Grid.over((10.9, 46.8, 11.0, 46.9), 40.0, "EPSG:4326")


def test_an_area_elsewhere_is_refused():
    with pytest.raises(DimensionError, match="does not touch the sources"):
        region_grid([(UTM, extent(UTM))], area=(7.0, 45.0, 7.1, 45.1))
