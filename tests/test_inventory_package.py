"""The inventory's files: layers, lists of values, styles, and a project with relative paths."""

import json
import os
import shutil
import sqlite3
import subprocess
import warnings
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import geopandas
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from shapely.geometry import box

from rockglacier import io
from rockglacier.conventions import MAP, Kind, describe
from rockglacier.errors import SceneError
from rockglacier.grid import Grid
from rockglacier.inventory import (
    assemble,
    attributes,
    identity,
    kinematics,
    moving,
    package,
    project,
    review,
)

GRID = Grid("EPSG:32632", 650_000.0, 5_190_000.0, 40.0, 40.0, 100, 80)
PERIOD = "2019-2020"


def square(column: int, row: int, size: int):
    west, north = GRID.west + 40.0 * column, GRID.north - 40.0 * row
    return box(west, north - 40.0 * size, west + 40.0 * size, north)


def maps() -> xr.Dataset:
    """A slope down to the south with a fast, a slow and an unseen square."""
    y, x = np.mgrid[: GRID.height, : GRID.width]
    speed = np.full(GRID.shape, 0.002)
    speed[10:20, 10:20], speed[10:20, 40:50], speed[10:20, 70:80] = 0.5, 0.04, np.nan
    speed[20:26, 50:56] = 0.04  # touches the second by a corner: one area in two parts
    values = {
        "elevation": 3000.0 - 10.0 * y, "slope": np.full(GRID.shape, 14.0),
        "northness": np.full(GRID.shape, -1.0), "eastness": np.zeros(GRID.shape),
        "velocity": speed, "velocity_error": np.full(GRID.shape, 0.004),
        "probability": np.full(GRID.shape, 0.8), "technique": np.ones(GRID.shape),
        "p_active": np.where(x < 60, 0.2, 0.75), "p_resting": np.where(x < 60, 0.6, 0.05),
        "glacier_share": np.where((y < 9) & (x < 30), 1.0, 0.0),
    }  # fmt: skip
    return xr.Dataset({n: (MAP, np.asarray(v, float)) for n, v in values.items()})


@pytest.fixture(scope="module")
def objects() -> geopandas.GeoDataFrame:
    outlines = [square(10, 10, 10), square(40, 10, 10), square(70, 10, 10), square(40, 50, 10)]
    return geopandas.GeoDataFrame(geometry=outlines, crs=GRID.crs)


@pytest.fixture(scope="module")
def told(objects) -> pd.DataFrame:
    return attributes.table(objects, maps(), GRID, techniques=["terrain", "motion"], period=PERIOD)


def test_objects_are_described(told: pd.DataFrame) -> None:
    np.testing.assert_allclose(told["area_km2"], 0.16)
    np.testing.assert_allclose(told["length_m"], 400.0)
    np.testing.assert_allclose(told["aspect_deg"], 180.0)
    np.testing.assert_allclose(told["velocity"], [0.5, 0.04, np.nan, 0.002])
    assert list(told["observed_share"]) == [1.0, 1.0, 0.0, 1.0]
    assert list(told["ActiCl"]) == ["Active", "Transitional", "Active uncertain", "Relict"]
    assert list(told["ActiAss"])[2] == "morphological evidence only"
    assert list(told["KinAtt"]) == ["dm/yr-m/yr", "cm/yr-dm/yr", "undefined", "< cm/yr"]
    assert list(told["RelKin"].fillna("")) == [
        "high",
        "high",
        "",
        "medium",
    ]  # errors of 6, 6 and 40 %
    assert told["UpslCon"][0] == "glacier" and told["UpslCon"][1:].isna().all()  # no slope above
    assert list(told["dominant_technique"]) == ["motion"] * 4
    assert told["KinPeriod"][2] == ""  # not observed


@pytest.mark.parametrize(
    ("above_deg", "walls", "connection"),
    [
        (30.0, 0.2, "talus"),
        (30.0, 0.02, None),  # a wall or two
        (25.0, 0.0, "debris-mantled slope"),
        (37.0, 0.0, None),  # may shed rock, or not
        (8.0, 0.0, None),  # no slope
    ],
)
def test_walls_feed_talus_and_gentler_slopes_are_mantled(above_deg, walls, connection) -> None:
    ground = maps()[["elevation", "slope", "glacier_share"]]
    ground["slope"][:] = above_deg
    rng = np.random.default_rng(0)
    ground["slope"].values[rng.random(GRID.shape) < walls] = 48.0
    outline = square(50, 40, 10)
    assert attributes.connection_of(outline, GRID, ground) == connection
    unknown = ground.drop_vars("glacier_share")  # ice may lie above
    assert attributes.connection_of(outline, GRID, unknown) is None


def test_an_operator_stands_over_the_machine(objects) -> None:
    reviewed = geopandas.GeoDataFrame(
        {"Landform": [1, 2], "Morpho": ["complex", None], "ActiCl": ["Relict", None]},
        geometry=[square(11, 10, 10), square(40, 10, 9)], crs=GRID.crs,
    )  # fmt: skip
    found = review.reviewed_over(objects, reviewed)
    assert list(found["status"]) == ["auto", "auto", "reviewed"]
    assert found.geometry.iloc[2].equals(square(11, 10, 10))
    found = assemble.with_names(found, None)
    told = attributes.table(found, maps(), GRID, techniques=["terrain", "motion"], period=PERIOD)
    layers = assemble.layers(
        found, told, {}, no_areas(), GRID, period=PERIOD, made={"made_by": "x"}
    )
    assert layers["PM"]["ActiCl"][2] == "Relict" and layers["PM"]["Morpho"][2] == "complex"
    assert layers["PM"]["Morpho"][:2].isna().all()  # nobody has looked
    assert layers["GO"]["RelFr"].isna().all()


def no_areas():
    still = np.zeros(GRID.shape)
    return moving.moving_areas(still, still + 0.01, GRID)


def test_reviewed_values_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "reviewed.gpkg"
    layer = geopandas.GeoDataFrame({"Acti.Cl.": ["Very active"]}, geometry=[square(1, 1, 5)],
                                   crs=GRID.crs)  # fmt: skip
    layer.to_file(path, layer="GO")
    with pytest.raises(SceneError, match="ActiCl is Very active; allowed are Active"):
        review.read_reviewed(path, GRID.crs)
    with pytest.raises(SceneError, match="cannot be read"):
        review.read_reviewed(tmp_path / "none.gpkg", GRID.crs)


@pytest.fixture(scope="module")
def written(objects, told, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inventory")
    source = np.full(GRID.shape, 1)
    source[:, :30] = 2
    areas = moving.moving_areas(
        maps()["velocity"].values, maps()["velocity_error"].values, GRID, source=source
    )
    dates = {"interferometry": pd.to_datetime(["2019-06-03", "2020-09-01"]), "offsets": []}
    layers = assemble.layers(
        assemble.with_names(review.reviewed_over(objects, None), None), told, {}, areas, GRID,
        period=PERIOD, made={"made_by": "rockglacier"}, windows=assemble.windows_of(dates),
    )  # fmt: skip
    package.write(layers, folder / "inventory.gpkg")
    project.write(
        folder / "inventory.qgz", title="Alps & more", crs=GRID.crs, package="inventory.gpkg",
        layers=["PM", "GO", "MA", "AOI"], rasters=[("probability.tif", "probability")],
        extent=GRID.bounds,
    )  # fmt: skip
    P = describe(maps()["probability"].assign_coords(GRID.coords), "probability", "P", "1")
    io.write_raster(P.astype("float32").to_dataset(name="probability"),
                    folder / "probability.tif", grid=GRID)  # fmt: skip
    return folder


def test_layers_open_without_a_warning(written: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = {
            name: geopandas.read_file(written / "inventory.gpkg", layer=name)
            for name in ("AOI", "PM", "MA", "GO")
        }
    assert all(layer.crs == "EPSG:4326" and layer.is_valid.all() for layer in found.values())
    assert set(found["PM"]["PrimaryID"]) == set(found["GO"]["PrimaryID"])
    assert set(found["MA"]["VelClass"]) == {"30-100 cm/yr", "3-10 cm/yr"}
    names = found["GO"]["PrimaryID"]
    assert names.str.fullmatch(r"RGU\d{6}N\d{7}E").all() and names.is_unique
    assert (found["GO"]["pattern"] == "not observed").all()


def test_a_moving_area_tells_its_object_technique_window_and_reliability(written: Path) -> None:
    areas = geopandas.read_file(written / "inventory.gpkg", layer="MA").set_index("VelClass")
    objects = geopandas.read_file(written / "inventory.gpkg", layer="GO")
    fast, slow = areas.loc["30-100 cm/yr"], areas.loc["3-10 cm/yr"]
    assert fast["PrimaryID"] == objects["PrimaryID"][objects["velocity"] == 0.5].item()
    assert slow["PrimaryID"] in set(objects["PrimaryID"])  # 100 of 136 pixels
    assert (slow["technique"], fast["technique"]) == ("interferometry", "offsets")
    assert (slow["first_date"], slow["last_date"]) == ("2019-06-03", "2020-09-01")
    assert pd.isna(fast["first_date"])  # of offsets no date is known
    assert list(areas["reliability"]) == ["high", "high"]
    far = assemble._held_by(objects[:1].to_crs(GRID.crs).translate(2000.0).to_frame("geometry"),
                            objects.to_crs(GRID.crs))  # fmt: skip
    assert far == [None]


def test_windows_of_both_techniques_are_those_of_all_their_dates() -> None:
    first, second = pd.to_datetime(["2019-06-03", "2020-09-01"]), pd.to_datetime(["2017-08-01"])
    found = assemble.windows_of({"interferometry": first, "offsets": second})
    assert found["both"] == ("2017-08-01", "2020-09-01")
    assert found["offsets"] == ("2017-08-01", "2017-08-01")
    assert assemble.windows_of({"interferometry": [], "offsets": []}) == {}


def test_a_layer_holds_the_one_type_of_geometry_that_it_declares(written: Path) -> None:
    database = sqlite3.connect(written / "inventory.gpkg")
    declared = dict(
        database.execute("SELECT table_name, geometry_type_name FROM gpkg_geometry_columns")
    )
    database.close()
    assert set(declared) == {"AOI", "PM", "MA", "GO"}  # nothing was rejected
    for name in declared:
        kind = package.GEOMETRY[name]
        assert declared[name] == kind.upper()
        found = geopandas.read_file(written / "inventory.gpkg", layer=name)
        assert set(found.geom_type) == {kind}
    areas = geopandas.read_file(written / "inventory.gpkg", layer="MA").geometry
    assert sorted(len(one.geoms) for one in areas) == [1, 2]


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="no ogrinfo (gdal-bin)")
def test_gdal_reads_the_package_without_a_word_of_warning(written: Path) -> None:
    command = ["ogrinfo", "-al", "-so", written / "inventory.gpkg"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stderr == "" and "Warning" not in found.stdout
    for name, kind in (("MA", "Multi Polygon"), ("GO", "Multi Polygon"), ("PM", "Point")):
        assert f"Layer name: {name}\nGeometry: {kind}\n" in found.stdout
    assert "status: String (0.0), domain name=status" in found.stdout


def test_fields_have_lists_and_layers_styles(written: Path) -> None:
    database = sqlite3.connect(written / "inventory.gpkg")
    columns = dict(
        database.execute(
            "SELECT column_name, constraint_name FROM gpkg_data_columns WHERE table_name = 'PM'"
        )
    )
    assert columns["ActiCl"] == "acticl"
    allowed = {
        row[0]
        for row in database.execute(
            "SELECT value FROM gpkg_data_column_constraints WHERE constraint_name = 'acticl'"
        )
    }
    assert allowed == set(package.LISTS["ActiCl"])
    styles = database.execute("SELECT f_table_name, styleQML FROM layer_styles").fetchall()
    assert {name for name, _ in styles} == {"AOI", "PM", "MA", "GO"}
    for name, text in styles:
        root = ElementTree.fromstring(text.partition("\n")[2])
        values = {c.get("value") for c in root.iter("category")}
        # "" is what has no value.
        assert values == {*package.STYLES[name][1], ""} if name in package.STYLES else not values
    database.close()


def test_the_project_names_files_beside_it(written: Path) -> None:
    with zipfile.ZipFile(written / "inventory.qgz") as archive:
        [name] = archive.namelist()
        root = ElementTree.fromstring(archive.read(name).decode().partition("\n")[2])
    sources = [node.text for node in root.iter("datasource")]
    assert sources[0] == "./inventory.gpkg|layername=PM" and "./probability.tif" in sources
    assert root.findtext("properties/Paths/Absolute") == "false"
    assert root.findtext("title") == "Alps & more"


QGIS = "/usr/bin/python3"  # QGIS's packages serve the system's Python alone
OPENED = """
import json, sys
from qgis.core import QgsApplication, QgsMapLayerType, QgsProject
application = QgsApplication([], False)
application.initQgis()
project = QgsProject.instance()
told = {"read": project.read(sys.argv[1]), "crs": project.crs().authid()}
told["relative"] = int(project.filePathStorage()) == 1
layers = [node.layer() for node in project.layerTreeRoot().findLayers()]
told["layers"] = [layer and layer.name() for layer in layers]
told["valid"] = [bool(layer and layer.isValid()) for layer in layers]
told["placed"] = [layer and layer.crs().authid() for layer in layers]
told["sources"] = [layer and layer.source() for layer in layers]
vectors = [one for one in project.mapLayers().values() if one.type() == QgsMapLayerType.VectorLayer]
told["types"] = {one.name(): one.renderer().type() for one in vectors}
told["lists"] = {
    one.name(): [f.name() for f in one.fields() if f.editorWidgetSetup().type() == "ValueMap"]
    for one in vectors
}
print(json.dumps(told))
"""


def qgis_is_there() -> bool:
    if not Path(QGIS).exists():
        return False
    command = [QGIS, "-c", "import qgis.core"]
    return subprocess.run(command, capture_output=True, check=False, env=bare()).returncode == 0


def bare() -> dict[str, str]:
    """The environment without this Python's packages and without a screen."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "GDAL", "PROJ"))}
    return {**kept, "QT_QPA_PLATFORM": "offscreen"}


def test_qgis_opens_the_project_wherever_its_folder_lies(written: Path, tmp_path: Path) -> None:
    if not qgis_is_there():
        pytest.skip(f"{QGIS} cannot import qgis.core (python3-qgis)")
    moved = shutil.copytree(written, tmp_path / "elsewhere")
    command = [QGIS, "-c", OPENED, moved / "inventory.qgz"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=bare())
    assert "Warning" not in found.stderr
    told = json.loads(found.stdout)
    assert told["read"] and told["relative"] and told["crs"] == GRID.crs
    assert told["layers"] == ["PM", "GO", "MA", "AOI", "probability"] and all(told["valid"])
    assert told["placed"] == ["EPSG:4326"] * 4 + [GRID.crs]
    assert all(source.startswith(str(moved)) for source in told["sources"])
    drawn = "categorizedSymbol"
    assert told["types"] == {"PM": drawn, "GO": drawn, "MA": drawn, "AOI": "singleSymbol"}
    assert {"ActiCl", "status", "Morpho", "KinAtt"} <= set(told["lists"]["PM"])
    assert {*told["lists"]["PM"], "OutType", "Landform"} <= set(told["lists"]["GO"])
    assert told["lists"]["MA"] == ["VelClass", "technique", "reliability"]


def test_names_last_while_outlines_shift(objects) -> None:
    first = assemble.with_names(review.reviewed_over(objects, None), None)
    shifted = first.assign(geometry=first.translate(60.0, 40.0).buffer(30.0)).drop(
        columns="PrimaryID"
    )
    away = shifted.iloc[:1].translate(0.0, -1500.0).to_frame("geometry")
    fresh = geopandas.GeoDataFrame(
        pd.concat([shifted.iloc[1:], away]),
        geometry="geometry", crs=GRID.crs,
    ).reset_index(drop=True)  # fmt: skip
    again = assemble.with_names(fresh, first)
    assert list(again["PrimaryID"][:3]) == list(first["PrimaryID"][1:])
    told = identity.changes(again, first, watched=("ActiCl",))
    assert sorted(told["change"]) == ["changed", "changed", "changed", "gone", "new"]


def test_series_and_yearly_velocities_of_objects(objects) -> None:
    named = assemble.with_names(objects.iloc[:2].reset_index(drop=True), None)
    dates = np.datetime64("2019-07-01", "ns") + np.arange(0, 480, 12) * np.timedelta64(1, "D")
    years = (dates - dates[0]) / np.timedelta64(1, "D") / 365.25
    rng = np.random.default_rng(0)
    share = np.full(GRID.shape, 0.5)
    moved = 0.5 * maps()["velocity"].values * years[:, None, None]
    moved = moved + rng.normal(0.0, 0.002, moved.shape)
    moved[:, 10:20, 40:48] = np.nan  # a fifth is left of the second
    layers = xr.DataArray(moved, dims=("date", *MAP), coords={"date": dates}, attrs={"units": "m"})
    stack = xr.Dataset({"displacement": layers})
    sensitivity = xr.DataArray(share, dims=MAP)
    found = kinematics.series(named, stack, sensitivity, GRID, track="ascending")
    one, two = named["PrimaryID"]
    assert found.loc[found["PrimaryID"] == two, "displacement"].isna().all()
    own = found[found["PrimaryID"] == one]
    np.testing.assert_allclose(own["downslope"], 0.5 * years, atol=0.003)
    told = kinematics.yearly(found)
    assert list(told["PrimaryID"]) == [one] and list(told["year"]) == [2020]
    assert list(told["period"]) == ["year"]
    off = told["velocity"].iloc[0] - 0.25
    assert abs(off) < 3.0 * told["velocity_error"].iloc[0] < 0.01
    track, course = kinematics.patterns(found)[one]
    assert track == "ascending" and course.pattern == "linear"
    assert course.rate == pytest.approx(0.5, abs=0.01)
    assert kinematics.patterns(found)[two][1].pattern == "not observed"


def test_rock_glaciers_of_unknown_activity_stay_uncertain() -> None:
    unseen = {"observed_share": 0.0}
    told = attributes.activity_of(unseen, {Kind.ACTIVE: 0.5, Kind.RESTING: 0.02})
    assert told == ("Active uncertain", "morphological evidence only")
    for kinds in ({Kind.ROCK_GLACIER: 0.8}, {Kind.ROCK_GLACIER: 0.6, Kind.ACTIVE: 0.3}):
        assert attributes.activity_of(unseen, kinds)[0] == "Uncertain"
