"""Inventories become labelled pixels and samples that stand for all ground."""

from collections.abc import Callable
from pathlib import Path

import geopandas
import landscape
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pyproj import Transformer
from shapely.geometry import Point, box
from sklearn.metrics import roc_auc_score

from rockglacier.conventions import Kind
from rockglacier.errors import SceneError
from rockglacier.fusion import labels

KINDS = {"active": ["active"], "resting": ["relict"], "debris_covered": ["dcg"], "clean": ["ice"]}


def test_kinds_names_and_places_come_from_the_columns_named(tmp_path: Path) -> None:
    grid, outlines, _, kind = landscape.make(side=120)
    outlines.assign(rg_id=[f"R{k}" for k in range(len(outlines))]).to_crs("EPSG:4326").to_file(
        tmp_path / "i.gpkg"
    )
    found = labels.read_labels(tmp_path / "i.gpkg", grid, kinds=KINDS, column="type", name="rg_id")
    assert found.crs == grid.crs and found["name"].str.startswith("R").all()
    objects, kinds = labels.rasterised(found, grid)
    assert (kinds == kind).mean() > 0.999
    assert set(objects[kinds > 0]) == set(range(len(found)))


def test_the_layer_is_the_first_that_has_the_columns(tmp_path: Path) -> None:
    grid, outlines, _, _ = landscape.make(side=120)
    path = tmp_path / "i.gpkg"
    area = geopandas.GeoDataFrame({"about": ["x"]}, geometry=[box(*grid.bounds)], crs=grid.crs)
    middles = outlines.assign(geometry=outlines.representative_point(), rank=1)
    area.to_file(path, layer="AOI")
    middles.to_file(path, layer="PM")

    def read(**how):
        return labels.read_labels(path, grid, **{"kinds": KINDS, "column": "type", **how})

    assert read()["point"].all()
    outlines.to_file(path, layer="GO")
    assert not read()["point"].any()  # outlines tell more than points
    assert read(layer="PM")["point"].all() and read(name="rank")["point"].all()
    for how, said in (
        ({"layer": "AOI"}, r"no column 'type' \(there: about\)"),
        ({"column": "kind"}, r"\(there: layer AOI: about; layer PM: type, rank; layer GO: type\)"),
        ({"layer": "MA"}, "layers AOI, PM, GO of outlines or points, none is 'MA'"),
        ({"column": None}, "layers AOI, PM, GO of .* name one by labels.layer"),
    ):
        with pytest.raises(SceneError, match=said):
            read(**how)


def test_objects_of_other_values_are_left_out(tmp_path: Path) -> None:
    grid, outlines, _, _ = landscape.make(side=120)
    outlines.to_file(tmp_path / "i.gpkg")
    found = labels.read_labels(
        tmp_path / "i.gpkg", grid, kinds={"active": ["active"]}, column="type"
    )
    assert (found["kind"] == Kind.ACTIVE).all() and len(found) < len(outlines)


def test_points_stand_for_discs(tmp_path: Path) -> None:
    grid, *_ = landscape.make(side=60)
    middle = geopandas.GeoSeries([Point(601_200.0, 5_198_800.0)], crs=grid.crs).to_crs("EPSG:4326")
    pd.DataFrame({"lon": middle.x, "lat": middle.y}).to_csv(tmp_path / "p.csv", index=False)
    found = labels.read_labels(tmp_path / "p.csv", grid, kinds={"active": []}, radius_m=80.0)
    assert float(found.area[0]) == pytest.approx(np.pi * 80.0**2, rel=0.02)
    assert found["point"].all()


def test_columns_of_a_table_are_mapped_and_rows_off_the_earth_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    grid, *_ = landscape.make(side=60)
    x, y = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(
        [601_200.0, 601_600.0], [5_198_800.0, 5_198_400.0]
    )
    table = pd.DataFrame({
        "POINT_X": [x[0], x[1], y[0], np.nan], "POINT_Y": [y[0], y[1], 98.95, y[0]],
        "state": ["Active", "Relict", "Active", "Active"], "id": ["a", "b", "c", "d"],
    })  # fmt: skip
    table.to_csv(tmp_path / "p.csv", index=False)
    where = {"lon": "POINT_X", "lat": "point_y"}
    kinds = {"active": ["Active"], "resting": ["Relict"]}
    found = labels.read_labels(
        tmp_path / "p.csv", grid, kinds=kinds, column="state", name="id", **where
    )
    assert list(found["name"]) == ["a", "b"]
    assert list(found["kind"]) == [Kind.ACTIVE, Kind.RESTING]
    np.testing.assert_allclose(found.centroid.x, [601_200.0, 601_600.0], atol=0.1)
    assert "2 of 4 rows have no place on Earth" in caplog.text
    with pytest.raises(SceneError, match=r"columns POINT_X, .*; lon and lat are needed: .*lon"):
        labels.read_labels(tmp_path / "p.csv", grid, kinds=kinds, column="state")


def test_samples_stand_for_all_ground_and_keep_their_distance() -> None:
    grid, outlines, factors, kind = landscape.make()
    known = outlines.assign(
        name="", kind=outlines["type"].map({v: int(k) for k, v in landscape.NAMES.items()})
    )
    found = labels.samples(known, grid, factors, per_object=20, background=2000, buffer_m=120.0)
    assert list(found) == labels.SAMPLES
    total = found.groupby("kind")["weight"].sum()
    for one in (Kind.OTHER, *landscape.NAMES):
        assert total[int(one)] == pytest.approx((kind == one).sum(), rel=0.002)
    assert (kind[found["row"], found["column"]] == found["kind"]).all()
    assert not found.duplicated(["row", "column"]).any()
    edge = found["edge"]
    assert (found.loc[edge, "kind"] == Kind.OTHER).all() and (found.loc[edge, "object"] >= 0).all()
    assert found[edge].groupby("object").size().max() == 5  # a quarter of those of an object
    middles = geopandas.points_from_xy(*found.loc[edge, ["x", "y"]].to_numpy().T, crs=grid.crs)
    owners = outlines.geometry.iloc[found.loc[edge, "object"]].reset_index(drop=True)
    assert owners.distance(geopandas.GeoSeries(middles)).max() < 160.0
    ground = found[(found["kind"] == Kind.OTHER) & ~edge]
    places = geopandas.points_from_xy(ground["x"], ground["y"])
    near = geopandas.GeoSeries(places).distance(outlines.union_all())
    assert near.min() > 60.0
    assert found[~edge].groupby("object").size().drop(-1).max() <= 20


def test_around_points_and_like_objects_no_edge_is_sampled() -> None:
    grid, outlines, factors, _ = landscape.make()
    known = outlines.assign(name="", kind=int(Kind.ACTIVE), point=np.arange(len(outlines)) < 10)
    found = labels.samples(known, grid, factors, background=500)
    assert found.loc[found["edge"], "object"].min() == 10
    assert not labels.samples(known, grid, factors, like="objects")["edge"].any()


def test_background_may_be_as_high_and_steep_as_objects_are() -> None:
    grid, outlines, factors, _ = landscape.make()
    known = outlines.assign(name="", kind=int(Kind.ACTIVE))
    high = outlines.centroid.y > np.median(grid.y)
    known = known[high].reset_index(drop=True)
    found = labels.samples(known, grid, factors, background=2000, like="objects")
    means = found.groupby(found["kind"] > 0)["y"].mean()
    assert abs(means[True] - means[False]) < 600.0
    plain = labels.samples(known, grid, factors, background=2000)
    assert plain[plain["kind"] == 0]["y"].mean() < means[False] - 1000.0
    # Neither height nor slope tells them apart any longer; the number asked for is what they weigh.
    for name in ("elevation", "slope"):
        areas = [
            roc_auc_score(of["kind"] > 0, factors[name].values[of["row"], of["column"]],
                          sample_weight=of["weight"])
            for of in (plain, found)
        ]  # fmt: skip
        assert areas[0] > 0.58 and areas[1] == pytest.approx(0.5, abs=0.02)
    assert found[found["kind"] == 0]["weight"].sum() == pytest.approx(2000.0)


def test_ground_of_unknown_height_is_not_sampled() -> None:
    grid, outlines, factors, _ = landscape.make(side=120)
    known = outlines.assign(name="", kind=int(Kind.ROCK_GLACIER), point=False)
    east = xr.DataArray(grid.x > np.median(grid.x), dims="x")
    surface = factors[["elevation", "slope"]].where(east)
    for like in ("region", "objects"):
        found = labels.samples(known, grid, surface, background=500, like=like)
        assert (found["x"] > np.median(grid.x)).all()
        assert set(found["kind"]) == {0, int(Kind.ROCK_GLACIER)}


def test_strata_of_some_ground_leave_out_what_lies_beyond_it() -> None:
    grid, _, factors, kind = landscape.make()
    of = kind == Kind.ACTIVE
    found = labels.strata(factors, of=of)
    for name in ("elevation", "slope"):
        values = factors[name].values
        low, high = values[of].min(), values[of].max()
        assert (found[(values < low) | (values > high)] == -1).all()
    assert (found[of] >= 0).all()
    held = np.bincount(found[of] // labels.FINER, minlength=labels.FINER)
    np.testing.assert_allclose(held, of.sum() / labels.FINER, atol=0.02 * of.sum())
    assert (labels.strata(factors, of=np.zeros(grid.shape, bool)) == -1).all()
    assert (labels.strata(factors) >= 0).all()


def test_bad_inventories_are_named(tmp_path: Path) -> None:
    grid, outlines, factors, _ = landscape.make(side=60)
    outlines.to_file(tmp_path / "i.gpkg")
    with pytest.raises(SceneError, match=r"no column 'class' \(there: type\)"):
        labels.read_labels(tmp_path / "i.gpkg", grid, kinds=KINDS, column="class")
    with pytest.raises(SceneError, match=r"none of .* objects is of a known kind"):
        labels.read_labels(tmp_path / "i.gpkg", grid, kinds={"active": ["x"]}, column="type")
    with pytest.raises(SceneError, match="cannot be read"):
        labels.read_labels(tmp_path / "no.gpkg", grid, kinds=KINDS)
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "a.csv")
    with pytest.raises(SceneError, match="lon and lat are needed"):
        labels.read_labels(tmp_path / "a.csv", grid, kinds=KINDS)
    everywhere = geopandas.GeoDataFrame(
        {"name": [""], "kind": [1]}, geometry=[box(*grid.bounds)], crs=grid.crs
    )
    with pytest.raises(SceneError, match="no ground is far enough"):
        labels.samples(everywhere, grid, factors)


def test_centroids_of_tibet_are_read(real_data: Callable[[str], Path]) -> None:
    folder = real_data("inventory/se_tibetan_plateau_rock_glacier_points_guo")
    from rockglacier.grid import Grid as Map

    grid = Map.over((90.0, 30.0, 91.0, 31.0), 100.0)
    found = labels.read_labels(
        folder / "rock_glacier_centroids_49178.csv.gz", grid, kinds={"active": []}, radius_m=100.0
    )
    assert 540 <= len(found) <= 580
