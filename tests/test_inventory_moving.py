"""Moving areas by class of velocity, and the kinematic attribute."""

import numpy as np
import pytest

from rockglacier.grid import Grid
from rockglacier.inventory import moving

GRID = Grid("EPSG:32632", 600_000.0, 5_200_000.0, 40.0, 40.0, 60, 50)


def test_classes_are_those_of_rgik() -> None:
    speed = np.array([0.0, 0.009, 0.011, -0.05, 0.2, 0.5, 2.0, np.nan])
    assert list(moving.velocity_class(speed)) == [0, 0, 1, 2, 3, 4, 5, -1]


def fields() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    speed = 0.002 * np.abs(rng.normal(size=GRID.shape))
    speed[5:15, 5:20] = 0.2
    speed[15:25, 5:20] = 0.05
    speed[30:40, 30:40] = 0.6
    speed[34:36, 34:36] = np.nan  # not observed, amid what moves
    speed[45:48, 5:8] = 0.3  # nine pixels are too few
    return speed, np.full(GRID.shape, 0.004)


def test_an_area_is_of_one_class_and_says_what_was_observed() -> None:
    found = moving.moving_areas(*fields(), GRID).sort_values("velocity", ignore_index=True)
    assert list(found["VelClass"]) == ["3-10 cm/yr", "10-30 cm/yr", "30-100 cm/yr"]
    np.testing.assert_allclose(found["velocity"], [0.05, 0.2, 0.6])
    np.testing.assert_allclose(found["area_km2"], [0.24, 0.24, 0.16], rtol=0.15)
    assert found["coverage"].iloc[2] == pytest.approx(0.96, abs=0.01)
    assert found.is_valid.all()


def test_reliability_is_that_of_error_beside_the_class_and_of_what_was_seen() -> None:
    # Classes are 0.2 m/yr wide (10 to 30 cm/yr) and, above 1 m/yr, 2 m/yr.
    assert moving.reliability(3, 0.04, 0.9) == "high"
    assert moving.reliability(3, 0.04, 0.6) == moving.reliability(3, 0.09, 0.9) == "medium"
    assert moving.reliability(3, 0.11, 0.9) == moving.reliability(3, 0.04, 0.4) == "low"
    assert moving.reliability(5, 0.4, 0.9) == "high"
    assert moving.reliability(3, float("nan"), 0.9) == "low"


def test_an_area_is_told_by_what_tells_most_of_it() -> None:
    source = np.full(GRID.shape, 1)
    source[5:15, 5:15] = 2
    source[30:40, 30:33] = 3
    found = moving.moving_areas(*fields(), GRID, source=source).set_index("VelClass")
    told = found.loc[["10-30 cm/yr", "30-100 cm/yr", "3-10 cm/yr"], "technique"]
    assert list(told) == ["offsets", "interferometry", "interferometry"]
    assert set(moving.moving_areas(*fields(), GRID)["technique"]) == {"interferometry"}


def test_what_errors_hide_does_not_move() -> None:
    speed, _ = fields()
    assert moving.moving_areas(speed, np.full(GRID.shape, 0.4), GRID).empty
    unseen = np.full(GRID.shape, np.nan)
    assert moving.moving_areas(unseen, unseen, GRID).empty


def attribute(*parts: tuple[float, int, float]) -> str:
    """Of pixels: speed, how many, and how near the front."""
    speed = np.concatenate([np.full(n, v) for v, n, _ in parts])
    front = np.concatenate([np.full(n, f) for _, n, f in parts])
    return moving.kinematic_attribute(speed, np.full(speed.size, 0.003), front)


def test_the_dominant_class_is_the_attribute() -> None:
    assert attribute((0.2, 60, 0.5), (0.02, 40, 0.5)) == "dm/yr"
    assert attribute((0.002, 90, 0.5), (0.2, 10, 0.5)) == "< cm/yr"
    assert attribute((1.5, 80, 0.5), (0.2, 20, 0.5)) == "m/yr"
    assert attribute((4.0, 80, 0.5), (0.2, 20, 0.5)) == "> m/yr"


def test_of_two_neighbouring_classes_the_one_nearer_the_front_tells() -> None:
    slow_front = attribute((0.05, 40, 0.9), (0.2, 40, 0.2), (0.002, 20, 0.5))
    assert slow_front == "cm/yr-dm/yr"
    assert attribute((0.05, 40, 0.2), (0.2, 40, 0.9), (0.002, 20, 0.5)) == "dm/yr"


def test_without_a_dominant_class_nothing_is_told() -> None:
    parts = [(v, 20, 0.5) for v in (0.002, 0.05, 0.5, 2.0)]
    assert attribute(*parts, (0.02, 5, 0.5)) == moving.UNDEFINED
    nothing = np.full(5, np.nan)
    assert moving.kinematic_attribute(nothing, nothing, np.ones(5)) == moving.UNDEFINED
