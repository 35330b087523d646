"""What an operator wrote into an inventory is read back, and nothing else."""

import logging
from pathlib import Path

import geopandas
import pandas as pd
import pytest
from shapely.geometry import box

from rockglacier.errors import SceneError
from rockglacier.inventory import review

CRS = "EPSG:32632"
NAMES = ["RGU469100N0108000E", "RGU469200N0108000E", "RGU469300N0108000E"]


def outlines(**fields: list) -> geopandas.GeoDataFrame:
    squares = [box(650_000 + 500 * k, 5_190_000, 650_400 + 500 * k, 5_190_400) for k in range(3)]
    return geopandas.GeoDataFrame({"PrimaryID": NAMES, **fields}, geometry=squares, crs=CRS)


def read(folder: Path, go: geopandas.GeoDataFrame, pm: dict[str, list] | None = None):
    path = folder / "reviewed.gpkg"
    path.unlink(missing_ok=True)
    if pm is not None:
        points = outlines(**pm)
        points["geometry"] = points.representative_point()
        points.to_file(path, layer="PM")
    go.to_file(path, layer="GO")
    return review.read_reviewed(path, CRS)


def test_only_what_is_marked_is_reviewed(tmp_path: Path) -> None:
    assert list(read(tmp_path, outlines())["PrimaryID"]) == NAMES  # no such column: all are
    marked = outlines(status=["auto", "reviewed", "auto"])
    assert list(read(tmp_path, marked)["PrimaryID"]) == NAMES[1:2]
    found = read(tmp_path, marked, {"status": ["auto", "auto", "reviewed"]})
    assert list(found["PrimaryID"]) == NAMES[1:]
    assert list(read(tmp_path, outlines(), {"status": ["reviewed", "auto", "auto"]}).index) == [0]
    assert read(tmp_path, outlines(status=["auto"] * 3)).empty


def test_what_was_drawn_and_not_marked_is_spoken_of(tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        found = read(tmp_path, outlines(status=["reviewed", None, "auto"]))
    assert len(found) == 1 and "1 outlines have no status and are left out" in caplog.text


def test_points_and_outlines_tell_together(tmp_path: Path) -> None:
    go = outlines(status=["auto", "reviewed", "reviewed"], ActiCl=["Active", "Relict", "Active"],
                  Morpho=[None, "simple", None], Landform=[None, None, 1.0])  # fmt: skip
    pm = {"status": ["reviewed", "auto", "reviewed"], "ActiCl": ["Relict", "Active", "Active"],
          "Morpho": ["complex", None, "complex"],
          "Complet": ["", "complete", "uncertain"]}  # fmt: skip
    found = read(tmp_path, go, pm)
    assert list(found["ActiCl"]) == ["Relict", "Relict", "Active"]  # of the layer that is marked
    assert list(found["Morpho"]) == ["complex", "simple", "complex"]
    assert found["Complet"].isna()[0] and list(found["Complet"][1:]) == ["complete", "uncertain"]
    assert list(found["Landform"][2:]) == ["1"]


def test_marked_layers_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    go = outlines(status=["reviewed"] * 3, ActiCl=["Active"] * 3)
    pm = {"status": ["reviewed"] * 3, "ActiCl": ["Active", "Relict", None]}
    with pytest.raises(SceneError, match=f"ActiCl of {NAMES[1]} is Active in GO and Relict in PM"):
        read(tmp_path, go, pm)


def test_values_beyond_the_lists_are_refused(tmp_path: Path) -> None:
    for fields, said in (
        ({"Landform": [3, 1, 1]}, "Landform is 3; allowed are 0, 1, 2"),
        ({"status": ["done"] * 3}, "status is done; allowed are auto, reviewed"),
        ({"RelFr": [5, 1, 0]}, "RelFr is 5; 0 to 2"),
    ):
        with pytest.raises(SceneError, match=said):
            read(tmp_path, outlines(**fields))


def test_of_an_outline_that_was_parted_the_larger_part_keeps_the_name(tmp_path: Path) -> None:
    parted = outlines().assign(PrimaryID=[NAMES[0], NAMES[0], NAMES[2]])
    parted.loc[0, "geometry"] = parted.geometry[0].buffer(-50.0)
    found = read(tmp_path, parted)
    assert pd.isna(found["PrimaryID"][0]) and list(found["PrimaryID"][1:]) == [NAMES[0], NAMES[2]]


def test_a_period_goes_with_the_attribute_that_it_is_of(tmp_path: Path) -> None:
    go = outlines(KinAtt=["dm/yr", None, None], KinPeriod=["2019-2020"] * 3, RelKin=["low"] * 3)
    found = read(tmp_path, go)
    for name in ("KinPeriod", "RelKin"):
        assert list(found[name].notna()) == [True, False, False]


def test_what_is_no_rock_glacier_is_known_at_the_next_review(tmp_path: Path) -> None:
    candidates = outlines().drop(columns="PrimaryID")
    first = read(tmp_path, outlines(Landform=[2, 1, 0], status=["reviewed"] * 3))
    kept = review.reviewed_over(candidates, first)
    assert list(kept["PrimaryID"]) == NAMES[1:] and set(kept["status"]) == {"reviewed"}
    none = review.rejected(first)
    assert list(none["PrimaryID"]) == NAMES[:1]
    path = tmp_path / "second.gpkg"
    kept.to_file(path, layer="GO")
    none.to_file(path, layer=review.REJECTED)
    again = review.reviewed_over(candidates, review.read_reviewed(path, CRS))
    assert sorted(again["PrimaryID"]) == NAMES[1:]
    assert review.rejected(kept) is None and review.rejected(None) is None
    assert isinstance(again, pd.DataFrame) and again.crs == CRS
