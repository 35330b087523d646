"""Terrain and glaciers of the Karakoram, Tibet and the Alps: factors against what is known of ice.

Glaciers lie where an inventory says, in hollows that are smoother and gentler than the ground
beside them; the sun favours southern slopes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import geopandas
import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.features import geometry_mask
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry

from rockglacier import glaciers, relief, sunlight, terrain
from rockglacier.grid import Grid
from rockglacier.inventory.attributes import connection_of

# Area (degrees), DEM, outlines, and the inventory's columns of area, lowest, median and highest
# height, aspect and slope.
REGIONS: dict[str, tuple[tuple[float, float, float, float], str, str, tuple[str, ...]]] = {
    "karakoram": (
        (76.06, 35.58, 76.75, 35.92), "oggm_srtm_90m/baltoro_karakoram_srtm90.tif",
        "baltoro_karakoram.gpkg", ("AREA", "Elev_min", "Elev_med", "Elev_max", "Aspect", "Slope"),
    ),
    "hunza": (
        (74.942, 36.364, 74.998, 36.437), "oggm_srtm_90m/rgi60-14.03439_karakoram_srtm90.tif",
        "rgi60_14.03439_karakoram.gpkg", ("Area", "Zmin", "Zmed", "Zmax", "Aspect", "Slope"),
    ),
    "tibet": (
        (90.55, 30.42, 90.72, 30.52), "cosipy_nyainqentanglha_srtm90/n30_e090_srtm3.tif",
        "zhadang_tibet_rgi6.gpkg", ("Area", "Zmin", "Zmed", "Zmax", "Aspect", "Slope"),
    ),
    "alps": (
        (10.64, 46.74, 11.06, 46.97), "oggm_srtm_90m/oetztal_alps_srtm90.tif",
        "rgi_oetztal_alps.gpkg", ("Area", "Zmin", "Zmed", "Zmax", "Aspect", "Slope"),
    ),
}  # fmt: skip
RING_M = 1000.0


class Ground(NamedTuple):
    """Factors of a region, its glaciers, ground beside them (bool), and what is listed of them."""

    grid: Grid
    factors: xr.Dataset
    ice: xr.DataArray
    beside: xr.DataArray
    listed: geopandas.GeoDataFrame


@pytest.fixture(scope="module", params=list(REGIONS))
def ground(request: pytest.FixtureRequest, data_folder: Path) -> Ground:
    """One of REGIONS on a grid of 90 m."""
    area, dem, outlines, columns = REGIONS[request.param]
    for folder in ("dem", "inventory/rgi_glacier_outlines"):
        if not (data_folder / folder).is_dir():
            pytest.skip(f"real data: {data_folder / folder} is missing")
    grid = Grid.over(area, 90.0)
    path = data_folder / "inventory" / "rgi_glacier_outlines" / outlines
    found = relief.factors(terrain.elevation(data_folder / "dem" / dem, grid), grid)
    found = found.merge(glaciers.factors(path, grid), join="exact")
    ice = found["glacier_share"] > 0.9
    beside = (found["glacier_distance"] > 0.0) & (found["glacier_distance"] < RING_M)
    listed = geopandas.read_file(path).to_crs(grid.crs)
    names = dict(zip(columns, ("area", "low", "middle", "high", "aspect", "slope"), strict=True))
    listed = listed.rename(columns=names).astype(dict.fromkeys(names.values(), float))
    return Ground(grid, found, ice, beside, listed)


def of(ground: Ground, name: str, where: xr.DataArray) -> np.ndarray:
    values = ground.factors[name].where(where).values
    return np.asarray(values[np.isfinite(values)])


def test_glaciers_are_as_large_and_as_high_as_the_inventory_says(ground: Ground) -> None:
    listed = ground.listed
    covered = float(ground.factors["glacier_share"].sum()) * 90.0**2 / 1e6
    assert covered == pytest.approx(float(listed["area"].sum()), rel=0.03)
    height = of(ground, "elevation", ground.ice)
    # Another DEM gave the inventory its heights; highest crests lie on the outline, not within.
    low, high = listed["low"].min(), listed["high"].max()
    assert height.min() == pytest.approx(low, abs=60.0)
    assert height.max() == pytest.approx(high, abs=0.04 * (high - low) + 60.0)


def test_slope_aspect_and_height_of_glaciers_are_those_of_the_inventory(ground: Ground) -> None:
    off = []
    for one in ground.listed.itertuples():
        inside = geometry_mask(
            [one.geometry], ground.grid.shape, ground.grid.transform, invert=True
        )
        mean = {n: float(np.nanmean(ground.factors[n].values[inside]))
                for n in ("northness", "eastness", "slope")}  # fmt: skip
        aspect = np.degrees(np.arctan2(mean["eastness"], mean["northness"]))
        middle = float(np.nanmedian(ground.factors["elevation"].values[inside]))
        turned = (aspect - one.aspect + 180.0) % 360.0 - 180.0
        off.append((turned, mean["slope"] - one.slope, middle - one.middle))
    turned, slope, height = np.abs(off).T
    # Of one glacier of the Alps that was parted later the inventory states the whole's.
    assert np.median(turned) < 12.0 and (turned < 15.0).mean() > 0.85
    assert np.median(slope) < 1.1 and (slope < 1.5).mean() > 0.9
    assert np.median(height) < 25.0 and height.max() < 40.0


def test_distances_grow_from_the_outlines_by_a_metre_a_metre(ground: Ground) -> None:
    distance = ground.factors["glacier_distance"]
    assert (distance.where(ground.ice, 0.0) == 0.0).all()
    step = np.hypot(*np.gradient(distance.values, 90.0))
    away = (distance.values > 300.0) & (distance.values < 4000.0)
    assert away.any()
    assert np.median(step[away]) == pytest.approx(1.0, abs=0.03)
    assert float(distance.max()) <= 5000.0


# Where the file names one glacier of many, what lies beside it is ice, too.
@pytest.mark.parametrize("ground", ["karakoram", "alps"], indirect=True)
def test_ice_is_smoother_and_gentler_than_the_ground_beside_it(ground: Ground) -> None:
    for name in ("slope", "ruggedness", "relative_relief", "roughness"):
        ice, beside = (of(ground, name, where) for where in (ground.ice, ground.beside))
        assert np.median(ice) < 0.85 * np.median(beside), name
    # It lies in hollows, beneath walls.
    assert np.median(of(ground, "position", ground.ice)) < np.median(
        of(ground, "position", ground.beside)
    )


def test_outlines_part_what_ice_feeds_from_what_slopes_feed(
    real_data: Callable[[str], Path],
) -> None:
    """Discs below the lowest point of 20 glaciers of the Alps, and a rock glacier far from ice."""
    path = real_data("inventory/rgi_glacier_outlines") / "rgi_oetztal_alps.gpkg"
    grid = Grid.over(REGIONS["alps"][0], 40.0)
    dem = terrain.elevation(real_data("dem/oggm_srtm_90m") / "oetztal_alps_srtm90.tif", grid)
    maps = relief.factors(dem, grid).merge(glaciers.factors(path, grid), join="exact")
    heights = maps["elevation"].values

    def lowest(shape: BaseGeometry, but: np.ndarray) -> tuple[Point, np.ndarray]:
        inside = geometry_mask([shape], grid.shape, grid.transform, invert=True) & ~but
        row, column = np.unravel_index(np.argmin(np.where(inside, heights, np.inf)), grid.shape)
        return Point(grid.x[column], grid.y[row]), inside

    found: dict[float, list[str]] = {150.0: [], 400.0: [], 900.0: []}
    for outline in geopandas.read_file(path).to_crs(grid.crs).geometry:
        end, ice = lowest(outline, np.zeros(grid.shape, bool))
        for far, connections in found.items():
            place, _ = lowest(end.buffer(far + 40.0), ice)
            below = place.buffer(120.0).difference(outline)
            connections.append(connection_of(below, grid, maps))
    assert set(found[150.0]) == {"glacier"}
    assert found[400.0].count("glacier forefield") >= 18
    assert found[900.0].count("glacier") == 0 and found[900.0].count("glacier forefield") <= 3
    blocks = geopandas.read_file(
        real_data("insitu/hochebenkar_rock_glacier_kinematics") / "Steine_32632.gpkg"
    )
    hochebenkar = blocks.to_crs(grid.crs).union_all().convex_hull.buffer(40.0)
    # Walls above it are few at 90 m: talus or not, but no ice.
    assert connection_of(hochebenkar, grid, maps) in ("talus", None)


def test_the_sun_favours_southern_slopes_of_the_alps(data_folder: Path) -> None:
    path = data_folder / "dem" / REGIONS["alps"][1]
    if not path.is_file():
        pytest.skip(f"real data: {path} is missing")
    grid = Grid.over((10.93, 46.78, 11.06, 46.87), 90.0)
    dem = terrain.elevation(path, grid)
    surface = terrain.terrain(dem, grid, smooth_m=80.0)
    year, summer = sunlight.potential_radiation(surface, grid, (sunlight.YEAR, [6, 7, 8]))
    steep = (surface["slope"] > 20.0) & (surface["slope"] < 35.0)
    south = steep & (np.cos(np.radians(surface["aspect"])) < -0.8)
    north = steep & (np.cos(np.radians(surface["aspect"])) > 0.8)
    for months, least in ((year, 1.9), (summer, 1.15)):
        assert float(months.where(south).median()) > least * float(months.where(north).median())
    assert float(summer.where(north).median()) > 1.5 * float(year.where(north).median())
    # Level ground at 47 degrees north, without clouds: about 200 W/m2 over the year.
    level = float(year.where(surface["slope"] < 8.0).median())
    assert 150.0 < level < 260.0


def test_debris_lies_on_the_low_and_gentle_parts_of_a_glacier(
    real_data: Callable[[str], Path],
) -> None:
    folder = real_data("dem/liligo_karakoram_30m")
    with rasterio.open(folder / "srtm_dem_30m.tif") as source:
        grid = Grid.of(source)
    dem = terrain.elevation(folder / "srtm_dem_30m.tif", grid)
    assert 0.75 < float(dem.isnull().mean()) < 0.82  # beyond the catchment nothing is known
    found = relief.factors(dem, grid)
    assert all((found[name].isnull() == dem.isnull()).all() for name in found)
    masks = {}
    for name in ("glacier", "debris"):
        with rasterio.open(folder / f"{name}Mask_30m.tif") as source:
            masks[name] = source.read(1) == 1.0
    clean = masks["glacier"] & ~masks["debris"]
    slope, height = (found[name].values for name in ("slope", "elevation"))
    assert np.nanmedian(height[masks["debris"]]) < np.nanmedian(height[clean]) - 200.0
    assert np.nanmedian(slope[masks["debris"]]) < np.nanmedian(slope[clean])
