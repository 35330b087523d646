"""Pairs of offsets become a velocity whose error covers the truth."""

import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from rockglacier import io
from rockglacier.bands import cut
from rockglacier.conventions import Reason, years_since
from rockglacier.offsets import inversion
from rockglacier.offsets.bias import estimate_bias
from rockglacier.offsets.inversion import Scale
from rockglacier.offsets.reasons import Reason as Match
from rockglacier.offsets.velocity import biases_of, velocity_of
from rockglacier.readers.stack import FlawedPair

SHAPE = (40, 60)
DATES = np.array([f"{year}-08-01" for year in range(2012, 2022)], "datetime64[ns]")


def simulated(
    *, dates: np.ndarray = DATES, shared_m: float = 1.0, seed: int = 0
) -> tuple[xr.Dataset, np.ndarray, xr.DataArray]:
    """All pairs of ``dates``: noise of each pair, and of each date what all its pairs share.

    Returns the pairs, the velocity (component, y, x; m/yr), and stable ground.
    """
    random = np.random.default_rng(seed)
    first, second = np.triu_indices(dates.size, k=1)
    rate = np.zeros((2, *SHAPE))
    rate[:, 10:30, 20:50] = np.array([0.8, -0.4])[:, None, None]
    years = years_since(dates, dates[0])
    place = rate[None] * years[:, None, None, None]
    place = place + shared_m * random.standard_normal((dates.size, 2, *SHAPE))
    # Of places as different as rock and meadow.
    sigma = np.exp(random.uniform(np.log(0.5), np.log(3.0), (first.size, 2, *SHAPE)))
    correlated = random.standard_normal((2, first.size, *SHAPE))
    correlated[1] = 0.5 * correlated[0] + np.sqrt(0.75) * correlated[1]
    moved = place[second] - place[first] + sigma * np.moveaxis(correlated, 0, 1)
    maps = {
        "east": moved[:, 0], "north": moved[:, 1],
        "east_error": sigma[:, 0], "north_error": sigma[:, 1],
        "covariance": 0.5 * sigma[:, 0] * sigma[:, 1],
    }  # fmt: skip
    coords = {"y": -60.0 * np.arange(SHAPE[0]), "x": 60.0 * np.arange(SHAPE[1])}
    stack = xr.Dataset(
        {k: (("pair", "y", "x"), v.astype(np.float32)) for k, v in maps.items()}, coords
    )
    stack["reason"] = xr.zeros_like(stack["east"], dtype=np.uint8)
    stack = stack.assign_coords(io.pair_coordinates(dates[first], dates[second]))
    stable = xr.DataArray((rate == 0.0).all(axis=0), dims=("y", "x"), coords=coords)
    return stack, rate, stable


def written(folder: Path, stack: xr.Dataset, seen: list[bool]) -> list[str]:
    """The pairs as files of two chip sizes, of which those not ``seen`` hold nothing."""
    paths = []
    for k in range(stack.sizes["pair"]):
        pair = stack.isel(pair=k).drop_vars(["pair", "reference", "secondary"], errors="ignore")
        sizes = [
            pair.assign({n: pair[n] if one else pair[n] * np.nan for n in pair if n != "reason"})
            for one in seen
        ]
        field = xr.concat(sizes, dim="size").assign_coords(size=[16, 32])
        paths.append(str(folder / f"{k}.zarr"))
        field.assign_attrs(pixel_x_m=15.0, pixel_y_m=-15.0).to_zarr(paths[-1], consolidated=False)
    return paths


@pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")
def test_a_chip_size_that_no_pair_calibrates_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stack, rate, stable = simulated(dates=DATES[:4], shared_m=0.3)
    paths = written(tmp_path, stack, [False, True])
    biases = biases_of(paths, stable, model="shift", heading_deg=190.0)
    good = [told for told in biases if not isinstance(told, FlawedPair)]
    assert len(good) == len(paths) and all(t[0] is None and t[1] is not None for t in good)
    pairs = inversion.Stack(paths, good, stack["reference"].values, stack["secondary"].values)
    with caplog.at_level(logging.WARNING):
        found = velocity_of(
            pairs, stable, cut(SHAPE[0], 16), chips=np.array([16, 32]), step=4, window="tapered",
            norm="l2", min_pairs=3,
        )  # fmt: skip
    assert "chips of 16 pixels are left out" in caplog.text
    assert list(found.scales) == [1] and found.weight.sizes["size"] == 1
    inner = found.velocity["east"].values[14:26, 26:44]
    assert np.nanmean(inner) == pytest.approx(rate[0].max(), abs=0.2)
    moved = inversion.displacement(pairs, slice(0, 20), found.weight, found.scales)
    assert moved["east"].shape == (4, 20, SHAPE[1]) and moved["east"].notnull().mean() > 0.9
    (nothing, *_) = biases_of(written(tmp_path / "none", stack, [False, False])[:1], stable,
                              model="shift", heading_deg=190.0)  # fmt: skip
    assert isinstance(nothing, FlawedPair) and nothing.reason == "too little stable ground"


def solved(stack: xr.Dataset, stable: xr.DataArray) -> xr.Dataset:
    scale = inversion.scale_of(stack)
    series = inversion.invert(stack, scale)
    variances = inversion.date_variances(series, stack, scale, stable)
    rates = inversion.velocities(series, stack, scale, variances)
    told = inversion.calibrated(rates, stable)
    return inversion.detected(told.assign(raised=xr.zeros_like(told["east"])), told)


@pytest.mark.parametrize("shared_m", [0.0, 1.0, 3.0])
def test_errors_cover_the_truth(shared_m: float) -> None:
    stack, rate, stable = simulated(shared_m=shared_m)
    found = solved(stack, stable)
    for k, name in enumerate(("east", "north")):
        off = found[name].values - rate[k]
        z = off / found[f"{name}_error"].values
        assert 0.92 < np.mean(np.abs(z) < 1.96) < 0.98
        moving = ~stable.values
        assert abs(off[moving].mean()) < 4.0 * off.std() / np.sqrt(moving.sum())


def test_errors_are_scaled_to_what_stable_ground_scatters() -> None:
    stack, rate, stable = simulated()
    found = solved(stack, stable)
    tight = found.assign(east_error=0.3 * found["east_error"])
    again = inversion.calibrated(tight, stable)
    z = (found["east"] - rate[0]) / again["east_error"]
    assert 0.93 < float((abs(z) < 1.96).where(~stable).sum() / (~stable).sum()) < 0.97
    wide = inversion.calibrated(found.assign(east_error=3.0 * found["east_error"]), stable)
    xr.testing.assert_allclose(wide["east_error"], again["east_error"])


def test_speeds_at_rest_exceed_the_detection_limit_as_often_as_it_says() -> None:
    stack, _, stable = simulated(shared_m=2.0, seed=1)
    found = solved(stack, stable)
    speed = np.hypot(found["east"], found["north"]).where(stable)
    beyond = float((speed > found["detection_limit"]).where(stable).mean())
    # The limit takes the largest axis of the error's ellipse.
    assert 0.003 < beyond < 0.06


def test_motion_shows_by_noise_and_by_what_ground_beside_adds() -> None:
    stack, _, stable = simulated(shared_m=2.0, seed=1)
    found = solved(stack, stable)
    wide = found.assign(raised=xr.zeros_like(found["east"]))
    for name in ("east", "north"):
        wide[f"{name}_error"] = 10.0 * found[f"{name}_error"]
    # What only lowers a speed is no doubt of motion; what raises it is.
    again = inversion.detected(wide, found)
    xr.testing.assert_allclose(again["motion_error"], found["motion_error"])
    speed = np.hypot(found["east"], found["north"])
    raised = inversion.detected(wide.assign(raised=speed), found)
    assert (raised["motion_error"] >= speed - 1e-6).where(speed.notnull(), True).all()
    beyond = float((speed > 2.45 * found["motion_error"]).where(stable).mean())
    assert 0.01 < beyond < 0.09


def test_movers_on_assumed_ground_do_not_pass_for_errors() -> None:
    random = np.random.default_rng(2)
    shape = (80, 80)
    error = np.where(random.random(shape) < 0.1, 0.06, 0.02)
    rates = {n: error * random.standard_normal(shape) for n in ("east", "north")}
    for row in range(5, 80, 15):
        for column in range(5, 80, 15):
            rates["east"][row : row + 3, column : column + 3] += 0.5
            error[row : row + 3, column : column + 3] = 0.06  # margins mix
    maps = {**rates, "east_error": error, "north_error": error}
    plain = xr.Dataset({k: (("y", "x"), v.astype(np.float32)) for k, v in maps.items()})
    moves = xr.DataArray(rates["east"] > 0.3, dims=("y", "x"))
    stable = xr.ones_like(moves)
    rest = inversion.without_movers(plain, stable)
    assert not (rest & moves).any()
    assert float((rest | moves).mean()) > 0.85  # neighbours go too, little else
    worse, found = (inversion.calibrated(plain, ground) for ground in (stable, rest))
    slow = rest.values & (error > 0.05)
    scale = np.median((found["east_error"] / plain["east_error"]).values[slow])
    assert 0.8 < scale < 1.4
    assert np.median((worse["east_error"] / plain["east_error"]).values[slow]) > 2.0 * scale


def test_few_of_many_matches_tell_nothing() -> None:
    stack, _, _ = simulated()
    names = [n for n in stack if n != "reason"]
    refused, hidden = slice(0, 5), slice(5, 10)
    few = np.arange(stack.sizes["pair"]) < 0.3 * stack.sizes["pair"]
    for rows, why in ((refused, Match.LOW_CORRELATION), (hidden, Match.NO_DATA)):
        for name in names:
            stack[name].loc[{"y": stack.y[rows]}] = (
                stack[name].isel(y=rows).where(xr.DataArray(few, dims="pair"))
            )
        stack["reason"][~few, rows] = why
    agreed = inversion._agreed(stack, 0.34)
    told = agreed["east"]
    assert (agreed["reason"][few, refused] == Match.OUTVOTED).all()
    assert (agreed["reason"][~few, refused] == Match.LOW_CORRELATION).all()
    assert told.isel(y=refused).isnull().all()  # what most pairs refuse
    xr.testing.assert_equal(told.isel(y=hidden), stack["east"].isel(y=hidden))  # what clouds hid
    xr.testing.assert_equal(told.isel(y=slice(10, None)), stack["east"].isel(y=slice(10, None)))
    assert inversion._agreed(stack, 0.0) is stack


def test_two_dates_are_their_displacement_over_time() -> None:
    stack, _, stable = simulated(dates=DATES[[0, 4]], shared_m=0.0)
    found = solved(stack, stable)
    years = float(years_since(DATES[4:5], DATES[0])[0])
    np.testing.assert_allclose(found["east"], stack["east"][0] / years, rtol=2e-3, atol=1e-6)
    error = stack["east_error"][0] / years
    np.testing.assert_allclose(found["east_error"], error, rtol=0.1)


def test_places_without_pairs_are_not_observed_and_say_why() -> None:
    stack, _, stable = simulated()
    for name in ("east", "north", "east_error", "north_error", "covariance"):
        stack[name].loc[{"y": stack.y[:5]}] = np.nan
    stack["reason"].loc[{"y": stack.y[:5]}] = Match.FEATURELESS
    stack["reason"][:40, :5, :9] = Match.NO_DATA
    found = solved(stack, stable)
    unseen = found.isel(y=slice(0, 5))
    assert unseen["east"].isnull().all() and unseen["detection_limit"].isnull().all()
    assert (unseen["reason"] == Reason.OUTSIDE).all()
    assert (unseen["match_reason"][:, 9:] == Match.FEATURELESS).all()
    assert (unseen["match_reason"][:, :9] == Match.NO_DATA).all()
    assert (found["match_reason"][5:] == Match.OBSERVED).all()


def test_weights_are_those_of_the_variances() -> None:
    scale = Scale(2.0)
    variance = xr.DataArray(np.geomspace(0.02, 200.0, 9))
    worth = scale.worth(variance).values
    weights = scale.weights()[np.rint(worth * (scale.weights().size - 1)).astype(int)]
    np.testing.assert_allclose(weights * variance, 1.0, rtol=0.02)


def test_a_stack_is_read_by_rows_without_its_bias(tmp_path: Path) -> None:
    stack, _, stable = simulated(dates=DATES[:3], shared_m=0.0)
    paths, biases = [], []
    for k in range(stack.sizes["pair"]):
        field = stack.isel(pair=k, drop=True).drop_vars(["reference", "secondary"], errors="ignore")
        field["east"] = field["east"] + np.float32(7.0 + k)
        paths.append(tmp_path / f"{k}.zarr")
        io.write_dataset(field.expand_dims({"size": [16]}).copy(), paths[-1])
        biases.append([estimate_bias(field, stable)])
    read = inversion.Stack(paths, biases, stack.reference.values, stack.secondary.values)
    rows = read.read(0, slice(10, 20))
    whole = read.read(0)
    xr.testing.assert_allclose(rows, whole.isel(y=slice(10, 20)))
    assert abs(float(whole["east"].where(stable).mean())) < 0.1
    np.testing.assert_array_equal(whole.reference, stack.reference)


@pytest.mark.parametrize("turn", [0.0, 30.0, -90.0])
def test_turned_axes_keep_speed_and_error_ellipse(turn: float) -> None:
    stack, _, stable = simulated()
    found = solved(stack, stable)
    turned = inversion.toward_true_north(found, turn)
    np.testing.assert_allclose(
        np.hypot(turned["east"], turned["north"]),
        np.hypot(found["east"], found["north"]),
        rtol=1e-4,
    )
    trace = turned["east_error"] ** 2 + turned["north_error"] ** 2
    np.testing.assert_allclose(
        trace, found["east_error"] ** 2 + found["north_error"] ** 2, rtol=1e-4
    )
    # Map north at azimuth 30: motion along it goes 30 degrees clockwise from true north.
    along = found.assign(east=0.0 * found["east"], north=0.0 * found["north"] + 1.0)
    along = inversion.toward_true_north(along, turn)
    heading = np.degrees(np.arctan2(along["east"], along["north"]))
    np.testing.assert_allclose(heading, turn, atol=1e-3)
