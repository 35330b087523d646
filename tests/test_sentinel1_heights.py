"""Heights above the ellipsoid: what a DEM above the geoid needs, and what happens without it."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from rockglacier.errors import ConfigurationError, SceneError
from rockglacier.grid import Grid
from rockglacier.sentinel1 import heights

UTM = Grid("EPSG:32632", 650_000.0, 5_190_000.0, 40.0, 40.0, 30, 25)  # 11 E, 47 N


def raster(path, west, north, step, values):
    """A raster in degrees."""
    height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", dtype="float32", count=1, width=width, height=height,
        crs="EPSG:4326", transform=Affine(step, 0.0, west, 0.0, -step, north), nodata=-9999.0,
    ) as target:  # fmt: skip
        target.write(values.astype("f4"), 1)
    return path


@pytest.fixture
def dem(tmp_path):
    return raster(tmp_path / "dem.tif", 10.9, 46.95, 2e-3, np.full((100, 150), 2600.0))


def test_a_geoid_is_added(dem, tmp_path):
    """Undulation that grows to the east by 1 m in 0.1 degree, on a grid of its own."""
    longitude = 10.0 + (np.arange(40) + 0.5) * 0.05
    rise = 48.0 + 10.0 * (longitude - 11.0)
    geoid = raster(tmp_path / "geoid.tif", 10.0, 48.0, 0.05, np.tile(rise, (40, 1)))
    found = heights.ellipsoidal(dem, UTM, datum="egm2008", geoid=geoid)
    from pyproj import Transformer

    x, y = np.meshgrid(UTM.x, UTM.y)
    where, _ = Transformer.from_crs(UTM.crs, "EPSG:4326", always_xy=True).transform(x, y)
    assert np.abs(found.values - (2648.0 + 10.0 * (where - 11.0))).max() < 0.02
    plain = heights.ellipsoidal(dem, UTM, datum="ellipsoid")
    assert np.abs(plain.values - 2600.0).max() < 1e-3


def test_a_geoid_that_does_not_reach_the_grid_is_an_error(dem, tmp_path):
    geoid = raster(tmp_path / "far.tif", 80.0, 31.0, 0.05, np.full((40, 40), -30.0))
    with pytest.raises(SceneError, match=r"far\.tif"):
        heights.ellipsoidal(dem, UTM, datum="egm96", geoid=geoid)


def test_a_datum_must_be_named(dem):
    with pytest.raises(ConfigurationError, match=r"dem_datum is None.*ellipsoid, egm96 or egm2008"):
        heights.ellipsoidal(dem, UTM, datum=None)


@pytest.mark.parametrize(
    ("crs", "datum"), [("EPSG:9518", "egm2008"), ("EPSG:4326+5773", "egm96"), ("EPSG:4979", None)]
)
def test_a_datum_that_the_file_contradicts_is_refused(dem, crs, datum):
    with rasterio.open(dem, "r+") as source:
        source.crs = rasterio.CRS.from_user_input(crs)
    stated = datum or "ellipsoid"
    other = "egm96" if stated != "egm96" else "ellipsoid"
    with pytest.raises(ConfigurationError, match=f"states heights above {stated}; set dem_datum"):
        heights.ellipsoidal(dem, UTM, datum=other)
    if stated == "ellipsoid":
        assert np.abs(heights.ellipsoidal(dem, UTM, datum=stated).values - 2600.0).max() < 1e-3


@pytest.mark.parametrize("datum", heights.GEOIDS)
def test_projs_geoid_is_right_or_missing(datum):
    """Never zero: PROJ passes heights on where it lacks the grid. 48 to 52 m at 11 E, 47 N."""
    try:
        rise = heights.undulation(UTM, datum)
    except ConfigurationError as error:
        assert "projsync" in str(error) and datum in str(error)
    else:
        assert ((rise > 47.0) & (rise < 53.0)).all()
