"""An inventory beside the truth: object by object."""

import geopandas
import numpy as np
import pytest
from shapely.geometry import box

from rockglacier.conventions import Kind
from rockglacier.inventory import truth


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
