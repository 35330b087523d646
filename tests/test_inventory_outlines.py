"""Outlines against discs whose area is known: touching ones, holes, crumbs; names that last."""

import geopandas
import numpy as np
import pytest
from shapely.affinity import scale, translate
from shapely.geometry import Point

from rockglacier.errors import ConfigurationError
from rockglacier.grid import Grid
from rockglacier.inventory import identity
from rockglacier.inventory.outlines import Shape, labelled, outlines

GRID = Grid("EPSG:32632", 640_000.0, 5_190_000.0, 20.0, 20.0, 150, 120)
SHAPE = Shape(low=0.5, high=0.7)
X, Y = np.meshgrid(GRID.x, GRID.y)


def hill(east: float, north: float, radius: float, top: float = 0.95) -> np.ndarray:
    """Probability that falls to a half at ``radius`` (m) from a place."""
    away = np.hypot(X - 640_000.0 - east, Y - 5_190_000.0 + north)
    return np.asarray(np.clip(top - (top - 0.5) * away / radius, 0.0, 1.0))


def test_an_outline_is_the_disc_that_was_put_in() -> None:
    found = outlines(labelled(hill(1200.0, 1000.0, 300.0), GRID, SHAPE), GRID)
    (disc,) = found.geometry
    assert disc.is_valid and disc.geom_type == "Polygon"
    truth = Point(641_200.0, 5_189_000.0).buffer(300.0)
    assert disc.intersection(truth).area / disc.union(truth).area > 0.93
    assert disc.area == pytest.approx(truth.area, rel=0.04)


def test_objects_that_touch_are_parted_between_their_summits() -> None:
    both = np.maximum(hill(900.0, 1000.0, 300.0), hill(1400.0, 1000.0, 300.0))
    number = labelled(both, GRID, SHAPE)
    assert number.max() == 2
    east = [float(X[number == k].mean()) - 640_000.0 for k in (1, 2)]
    assert sorted(east) == pytest.approx([900.0, 1400.0], abs=40.0)
    shapes = outlines(number, GRID).geometry
    assert shapes[0].intersection(shapes[1]).area < 0.02 * shapes[0].area


def test_one_object_with_a_ripple_stays_one() -> None:
    ripple = hill(1200.0, 1000.0, 400.0) + 0.03 * np.sin(X / 60.0)
    assert labelled(ripple, GRID, SHAPE).max() == 1


def test_holes_are_filled_and_crumbs_and_hillocks_are_none() -> None:
    P = hill(1200.0, 1000.0, 300.0)
    P[np.hypot(X - 641_200.0, Y - 5_189_000.0) < 30.0] = 0.0
    P = np.maximum(P, hill(400.0, 400.0, 40.0))  # too small
    P = np.maximum(P, hill(2400.0, 1800.0, 200.0, top=0.65))  # nowhere likely
    number = labelled(P, GRID, SHAPE)
    assert number.max() == 1
    assert len(outlines(number, GRID).geometry[0].interiors) == 0
    assert labelled(np.full(GRID.shape, np.nan), GRID, SHAPE).max() == 0


def test_thresholds_out_of_order_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="not in order"):
        labelled(hill(0.0, 0.0, 1.0), GRID, Shape(low=0.8, high=0.7))


def test_identifiers_are_those_of_the_field() -> None:
    assert identity.primary_id(-109.2526, 38.4455) == "RGU384455N1092526W"
    assert identity.primary_id(7.5, -0.25) == "RGU002500S0075000E"


def test_a_shifted_or_grown_outline_keeps_its_name() -> None:
    discs = [Point(640_500.0 + 900.0 * k, 5_189_000.0).buffer(200.0) for k in range(3)]
    first = geopandas.GeoDataFrame(geometry=discs, crs=GRID.crs)
    first["PrimaryID"] = identity.named(first)
    assert first["PrimaryID"].str.len().eq(18).all() and first["PrimaryID"].is_unique
    moved = [translate(discs[0], 80.0, 40.0), scale(discs[1], 1.5, 1.5)]
    moved.append(Point(643_900.0, 5_188_000.0).buffer(150.0))
    now = geopandas.GeoDataFrame({"ActiCl": ["Active"] * 3}, geometry=moved, crs=GRID.crs)
    now["PrimaryID"] = identity.named(now, first.to_crs("EPSG:4326"))
    assert list(now["PrimaryID"][:2]) == list(first["PrimaryID"][:2])
    assert now["PrimaryID"][2] not in set(first["PrimaryID"])
    told = identity.changes(now, first.assign(ActiCl="Active"), watched=("ActiCl",))
    kinds = dict(zip(told["PrimaryID"], told["change"], strict=True))
    assert kinds == {
        now["PrimaryID"][2]: "new", first["PrimaryID"][2]: "gone", now["PrimaryID"][1]: "changed"
    }  # fmt: skip
    again = identity.changes(now, now.assign(ActiCl="Relict"), watched=("ActiCl",))
    assert set(again["what"]) == {"ActiCl Relict to Active"}


def test_of_two_halves_the_larger_keeps_the_name() -> None:
    whole = Point(641_000.0, 5_189_000.0).buffer(300.0)
    name = "RGU470000N0110000E"
    former = geopandas.GeoDataFrame({"PrimaryID": [name]}, geometry=[whole], crs=GRID.crs)
    west = whole.intersection(translate(whole, -150.0))
    parts = geopandas.GeoDataFrame(geometry=[whole.difference(west), west], crs=GRID.crs)
    names = identity.named(parts, former)
    assert names[1] == name and names[0] != names[1]
