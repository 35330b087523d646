"""An inventory beside the truth: object by object."""

import geopandas
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from shapely.geometry import box

from rockglacier.conventions import MAP, Kind
from rockglacier.grid import Grid
from rockglacier.inventory import truth
from rockglacier.simulation_landscape import FINER, Landscape


def squares(lefts: list[float], side: float = 100.0) -> list:
    return [box(x, 0.0, x + side, side) for x in lefts]


def test_each_object_is_judged_by_itself() -> None:
    objects = geopandas.GeoDataFrame(
        {
            "number": [1, 2, 3, 4],
            "kind": [int(k) for k in (Kind.ACTIVE, Kind.ACTIVE, Kind.RESTING, Kind.CLEAN)],
        },
        geometry=squares([0.0, 300.0, 600.0, 900.0]),
        crs="EPSG:32632",
    )
    found = geopandas.GeoDataFrame(
        {
            "observed_share": [0.9, 0.9, 0.1, 0.9],
            "velocity": [0.35, 0.02, 0.5, 0.4],
            "ActiCl": ["Active uncertain", "Transitional", "Active", "Active"],
        },
        geometry=squares([10.0, 310.0, 610.0, 1500.0]),
        crs="EPSG:32632",
    )
    told = truth.compared(found, objects, np.array([0.4, 0.6, 0.0, 5.0]))
    assert (told["found"], told["missed"], told["false"]) == (3, 0, 1)
    assert told["with_velocity"] == 2  # of the third too little was observed
    assert told["activity"]["share"] == 0.5 and told["velocity_class"]["share"] == 0.5
    first, second, third = told["each"]
    assert first["name"] == "1" and first["right_activity"] and first["classes_off"] == 0
    assert second["told_activity"] == "Transitional" and not second["right_activity"]
    assert second["classes_off"] == 3  # 1 to 3 cm/yr instead of 30 to 100
    assert third["found"] and "told_speed" not in third
    assert first["area_km2"] == pytest.approx(0.01)
    nothing = truth.compared(found.iloc[:0], objects, np.zeros(4))
    assert nothing["missed"] == 3 and not any(one["found"] for one in nothing["each"])


def test_patterns_are_judged_where_they_were_told() -> None:
    objects = geopandas.GeoDataFrame(
        {
            "number": [1, 2, 3, 4],
            "kind": int(Kind.ACTIVE),
            "seasonal_share": [0.4, 0.4, 0.4, 0.1],
            "acceleration": [0.0, 0.12, 0.0, 0.0],
        },
        geometry=squares([0.0, 300.0, 600.0, 900.0]),
        crs="EPSG:32632",
    )
    speeds = np.array([0.5, 0.5, 0.5, 0.02])
    assert list(truth.pattern_of(objects, speeds)) == [
        "seasonal", "accelerating", "seasonal", "linear",
    ]  # fmt: skip
    found = objects[["geometry"]].assign(
        observed_share=0.9, velocity=speeds, ActiCl="Active",
        pattern=["seasonal", "step", "not observed", "linear"],
    )  # fmt: skip
    told = truth.compared(found, objects, speeds)
    assert told["pattern"]["share"] == pytest.approx(2 / 3) and told["pattern"]["of"] == 3
    assert told["pattern"]["not_observed"] == 1
    assert told["each"][1]["told_pattern"] == "step"
    assert told["each"][1]["pattern"] == "accelerating"


def test_velocities_are_held_against_what_the_outline_moved() -> None:
    fine = Grid("EPSG:32632", 650_000.0, 5_190_000.0, 10.0, 10.0, 20 * FINER, 10 * FINER)
    number = np.zeros(fine.shape, int)
    number[8:32, 8:32], number[8:32, 48:72] = 1, 2
    east = np.where(number == 1, 0.4, np.where(number == 2, 0.1, 0.0))
    layers = {"number": number, "east": east, "north": 0.0 * east, "up": -0.5 * east}
    ground = xr.Dataset({n: (MAP, v) for n, v in layers.items()})
    table = {"peak_month": [7.0, 7.0], "seasonal_share": [0.5, 0.0], "acceleration": [0.0, 0.0]}
    west, north = fine.west, fine.north
    outlines = [box(west + x, north - 320.0, west + x + 240.0, north - 80.0) for x in (80.0, 480.0)]
    objects = geopandas.GeoDataFrame(table, geometry=outlines, crs=fine.crs)
    landscape = Landscape(fine, ground, objects, 0)
    found = objects[["geometry"]].assign(PrimaryID=["A", "B"])
    layer = np.ones((10, 20))
    sight = xr.Dataset({"east": (MAP, -0.6 * layer), "north": (MAP, 0.0 * layer),
                        "up": (MAP, 0.8 * layer)})  # fmt: skip
    yearly = pd.DataFrame(
        {
            "PrimaryID": ["A", "A", "B"], "track": "t1", "period": ["year", "season", "season"],
            "first": pd.to_datetime(["2019-07-01", "2019-06-01", "2019-07-01"]),
            "last": pd.to_datetime(["2020-09-01", "2019-08-01", "2019-10-01"]),
            "velocity": [-0.4, -0.6, -0.2], "velocity_error": [0.01, 0.01, 0.01],
        }
    )  # fmt: skip
    told = truth.with_true_velocities(yearly, found, landscape, {"t1": sight})
    # The mean rate over a year; half as much again in the middle of summer; no season.
    np.testing.assert_allclose(told["true"], [-0.4, -0.5857, -0.1], atol=0.004)
    scores = truth.velocities(told)
    assert scores["year"]["within_95"]["share"] == 1.0
    assert scores["season"]["within_95"]["share"] == 0.5 and scores["season"]["objects"] == 2
    assert scores["season"]["ratio"] == pytest.approx(0.5 * (0.6 / 0.586 + 2.0), abs=0.01)
