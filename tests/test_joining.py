"""Interferometry and offsets become one velocity, by what each can see."""

import numpy as np
import pytest
import xarray as xr

from rockglacier.conventions import Reason, VelocitySource
from rockglacier.grid import Grid
from rockglacier.joining import best, join, moving, onto_region

GRID = Grid("EPSG:32632", 600_000.0, 5_200_000.0, 40.0, 40.0, 6, 3)
NAN = np.nan


def on_grid(values: object, units: str = "m/yr", grid: Grid = GRID) -> xr.DataArray:
    array = np.broadcast_to(np.asarray(values, np.float32), grid.shape).copy()
    return xr.DataArray(array, dims=("y", "x"), coords=grid.coords, attrs={"units": units})


def offsets(east: object, error: object = 0.1, grid: Grid = GRID) -> xr.Dataset:
    return xr.Dataset(
        {
            "east": on_grid(east, grid=grid),
            "north": on_grid(np.where(np.isnan(east), NAN, 0.0), grid=grid),
            "east_error": on_grid(error, grid=grid),
            "north_error": on_grid(error, grid=grid),
            "correlation": on_grid(0.0, "1", grid),
            "motion_error": on_grid(error, grid=grid),
            "detection_limit": on_grid(2.45 * np.asarray(error), grid=grid),
            "reason": on_grid(np.where(np.isnan(east), 1.0, 0.0), "1", grid),
        },
        attrs={"crs": grid.crs},
    ).pipe(lambda rates: rates.assign(moving=moving(rates, sigmas=3.0)))


def insar(velocity: object, error: float = 0.02) -> xr.Dataset:
    known = np.isfinite(velocity)
    return xr.Dataset(
        {
            "velocity": on_grid(velocity),
            "velocity_error": on_grid(np.where(known, error, NAN)),
            "sensitivity": on_grid(0.6, "1"),
            "track_count": on_grid(known, "1"),
            "reason": on_grid(np.where(known, Reason.OBSERVED, Reason.ALIASED), "1"),
        }
    )


def slope(degrees: float = 0.0, aspect: float = 90.0) -> xr.Dataset:
    return xr.Dataset({"slope": on_grid(degrees, "deg"), "aspect": on_grid(aspect, "deg")})


def test_each_serves_where_it_is_good() -> None:
    #         fast   slow  agree  contradict  lost, fast  lost, slow
    seen = [0.20, 0.05, 0.60, 0.60, NAN, NAN]
    moved = [1.50, 0.20, 0.50, 0.95, 0.80, 0.20]
    found = join(insar(seen), offsets(moved), slope(10.0))
    source = found["velocity_source"].values[0].astype(int).tolist()
    assert source == [2, 1, 3, 0, 2, 0]
    reason = found["reason"].values[0].astype(int).tolist()
    assert reason[:3] == [Reason.OBSERVED] * 3
    assert reason[3:] == [Reason.CONTRADICTED, Reason.OBSERVED, Reason.UNDETECTED]
    down = 1.0 / np.cos(np.radians(10.0))
    velocity = found["velocity"].values[0]
    np.testing.assert_allclose(velocity[[0, 4]], np.array([1.5, 0.8]) * down, rtol=1e-6)
    assert velocity[1] == pytest.approx(0.05)
    assert 0.5 < velocity[2] < 0.6 and np.isnan(velocity[[3, 5]]).all()
    error = found["velocity_error"].values[0]
    assert error[2] < 0.02 and error[1] == pytest.approx(0.02)
    assert error[0] == pytest.approx(0.1 * down) and np.isnan(error[[3, 5]]).all()


def test_phase_that_lost_cycles_gives_way_to_offsets() -> None:
    #       lost  agrees  slow offsets  not significant
    found = join(
        insar([0.05, 0.28, 0.05, 0.05, NAN, NAN]),
        offsets([0.8, 0.4, 0.25, 0.8, 0.8, 0.8], error=[0.1, 0.1, 0.02, 0.5, 0.1, 0.1]),
        slope(10.0),
    )
    source = found["velocity_source"].values[0].astype(int).tolist()
    assert source[:4] == [2, 1, 1, 1]


def test_offsets_below_their_error_are_not_rest() -> None:
    found = join(None, offsets([0.0, 0.2, 0.4, NAN, 3.0, -3.0]), slope(10.0))
    assert found["reason"].values[0].astype(int).tolist() == [
        Reason.UNDETECTED, Reason.UNDETECTED, Reason.OBSERVED,
        Reason.OUTSIDE, Reason.OBSERVED, Reason.UPSLOPE,
    ]  # fmt: skip
    assert np.isnan(found["velocity"].values[0, :2]).all()
    assert found["velocity"].values[0, 4] > 3.0 > 0.0 > found["velocity"].values[0, 5]


def test_motion_across_the_slope_is_not_stretched() -> None:
    found = join(None, offsets([3.0] * 6), slope(30.0, aspect=0.0))
    np.testing.assert_allclose(found["velocity"], 3.0, rtol=1e-6)


def test_motion_up_the_slope_says_so_whatever_tells_it() -> None:
    #       fast   slow, lost  both, agree  both, its own sight only  insar alone  down
    seen = [NAN, NAN, -0.50, -0.50, -0.10, 0.60]
    moved = [-2.0, -0.5, -0.45, 0.1, NAN, 0.5]
    tracks = insar(seen, error=0.15)
    tracks["reason"][:, 2:5] = Reason.UPSLOPE
    found = join(tracks, offsets(moved, error=[0.1, 0.1, 0.1, 0.3, 0.1, 0.1]), slope(10.0))
    source = found["velocity_source"].values[0].astype(int).tolist()
    assert source == [2, 2, 3, 3, 1, 3]
    assert found["reason"].values[0].astype(int).tolist() == [Reason.UPSLOPE] * 3 + [
        Reason.UPSLOPE, Reason.UPSLOPE, Reason.OBSERVED,
    ]  # fmt: skip
    assert (found["velocity"].values[0, :5] < 0.0).all()


def test_motion_along_the_contours_is_not_upslope() -> None:
    # East, where slopes of 20 degrees fall to south, and a little to west: within their error.
    for aspect, reason in ((182.0, Reason.OBSERVED), (215.0, Reason.UPSLOPE)):
        found = join(None, offsets([3.0] * 6, error=0.05), slope(20.0, aspect=aspect))
        assert (found["reason"] == reason).all() and (found["velocity"] < 0.0).all()


def test_offsets_hide_no_contradiction_of_tracks() -> None:
    tracks = insar([0.6] * 6, error=0.1)
    tracks["reason"][:, 0] = Reason.INCONSISTENT
    tracks["reason"][:, 1] = Reason.SUBSETS
    tracks["reason"][:, 2] = Reason.UPSLOPE  # which both together are not
    found = join(tracks, offsets([0.6, 0.6, 0.6, 0.6, 3.0, 3.0]), slope(10.0))
    assert found["velocity_source"].values[0].astype(int).tolist() == [3, 3, 3, 3, 2, 2]
    assert found["reason"].values[0].astype(int).tolist() == [
        Reason.INCONSISTENT, Reason.SUBSETS, Reason.OBSERVED, 0, 0, 0,
    ]  # fmt: skip


def test_without_a_direction_of_the_slope_interferometry_stands_alone() -> None:
    found = join(insar([0.6] * 6), offsets([0.6] * 6), slope(0.0, aspect=NAN))
    assert (found["velocity_source"] == VelocitySource.INTERFEROMETRY).all()


def test_places_come_onto_the_grid_of_the_region() -> None:
    coarse = Grid("EPSG:32632", 600_000.0, 5_200_040.0, 120.0, 120.0, 2, 2)
    found = onto_region(offsets([1.0, 2.0], grid=coarse), GRID)
    assert found["east"].values[0].tolist() == [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    far = Grid("EPSG:32632", 610_000.0, 5_200_040.0, 120.0, 120.0, 2, 2)
    nothing = onto_region(offsets([1.0, 2.0], grid=far), GRID)
    assert nothing["east"].isnull().all() and (nothing["reason"] == Reason.OUTSIDE).all()


def test_places_of_another_projection_come_onto_the_grid() -> None:
    # The same ground in the zone east of it.
    other = Grid("EPSG:32633", 130_000.0, 5_260_000.0, 400.0, 400.0, 200, 200)
    found = onto_region(offsets(1.5, grid=other), GRID)
    np.testing.assert_allclose(found["east"], 1.5)
    GRID.check(found, "offsets")


def test_of_several_sets_the_one_that_detects_least_serves() -> None:
    a = onto_region(offsets([1.0] * 6, error=[0.1, 0.1, 0.1, 0.5, 0.5, NAN]), GRID)
    b = onto_region(offsets([2.0] * 6, error=[0.3, 0.3, 0.3, 0.3, NAN, 0.3]), GRID)
    assert best([a, b])["east"].values[0].tolist() == [1.0, 1.0, 1.0, 2.0, 1.0, 2.0]


def test_places_that_move_stand_together() -> None:
    grid = Grid("EPSG:32632", 600_000.0, 5_200_000.0, 60.0, 60.0, 12, 12)
    east = np.zeros(grid.shape)
    east[2, 2] = 2.0  # alone
    east[6:8, 6:8] = 2.0
    east[9, 0] = NAN
    found = offsets(east, grid=grid)["moving"]
    assert found.values[2, 2] == 0.0 and (found.values[6:8, 6:8] == 1.0).all()
    assert np.isnan(found.values[9, 0]) and float(found.sum()) == 4.0


def test_chance_moves_as_few_places_as_it_exceeds_three_sigmas() -> None:
    grid = Grid("EPSG:32632", 600_000.0, 5_200_000.0, 60.0, 60.0, 400, 400)
    random = np.random.default_rng(0)
    rates = offsets(0.1 * random.standard_normal(grid.shape), grid=grid)
    rates["north"] = on_grid(0.1 * random.standard_normal(grid.shape), grid=grid)
    speed = np.hypot(rates["east"], rates["north"])
    assert float((speed > 0.344 * 1.0).mean()) == pytest.approx(0.0027, rel=0.2)
    assert float(moving(rates, sigmas=3.0).mean()) < 2e-4
