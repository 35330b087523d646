"""The bias of a pair is told by stable ground, whatever moves beside it."""

import numpy as np
import pytest
import xarray as xr

from rockglacier.errors import SceneError
from rockglacier.offsets.bias import descending_heading, estimate_bias

SHAPE = (80, 100)


def field(bias_east: np.ndarray, *, seed: int = 0) -> tuple[xr.Dataset, xr.DataArray, np.ndarray]:
    """Offsets with a bias, noise twice as large as stated, and a glacier on a quarter of it."""
    random = np.random.default_rng(seed)
    y, x = -240.0 * np.arange(SHAPE[0]), 240.0 * np.arange(SHAPE[1])
    stated = random.uniform(0.5, 2.0, SHAPE)
    moving = np.zeros(SHAPE, bool)
    moving[20:60, 30:80] = True
    truth = np.where(moving, 40.0, 0.0)
    maps = {
        "east": truth + bias_east + 2.0 * stated * random.standard_normal(SHAPE),
        "north": -3.0 + 2.0 * stated * random.standard_normal(SHAPE),
        "east_error": stated,
        "north_error": stated,
        "covariance": 0.1 * stated**2,
    }
    coords = {"y": y, "x": x}
    return (
        xr.Dataset({k: (("y", "x"), v.astype(np.float32)) for k, v in maps.items()}, coords),
        xr.DataArray(~moving, dims=("y", "x"), coords=coords),
        truth,
    )


def test_shift_and_ramp_go_and_motion_stays() -> None:
    x = np.linspace(-1.0, 1.0, SHAPE[1])
    offsets, stable, truth = field(np.broadcast_to(5.0 + 4.0 * x, SHAPE))
    bias = estimate_bias(offsets, stable, model="ramp")
    left = bias.removed(offsets)
    assert float((left["east"] - truth).mean()) == pytest.approx(0.0, abs=0.15)
    assert float(left["east"].where(~stable).mean()) == pytest.approx(40.0, abs=0.3)
    assert bias.coefficients["north"][0] == pytest.approx(-3.0, abs=0.15)
    # A shift alone leaves the ramp, which then counts as scatter.
    even = estimate_bias(offsets, stable, model="shift")
    assert even.stable_nmad_m["east"] > 1.2 * bias.stable_nmad_m["east"]


def test_errors_are_scaled_to_what_stable_ground_scatters() -> None:
    offsets, stable, truth = field(np.zeros(SHAPE))
    bias = estimate_bias(offsets, stable)
    left = bias.removed(offsets)
    assert bias.error_scale["east"] == pytest.approx(2.0, abs=0.1)
    z = ((left["east"] - truth) / left["east_error"]).values
    assert 0.94 < np.mean(np.abs(z) < 1.96) < 0.96
    np.testing.assert_allclose(
        left["covariance"] / (left["east_error"] * left["north_error"]), 0.1, rtol=1e-3
    )


def test_gross_errors_on_stable_ground_do_not_draw_the_fit() -> None:
    offsets, stable, truth = field(np.full(SHAPE, 5.0))
    offsets["east"][:10, :60] = 300.0
    left = estimate_bias(offsets, stable).removed(offsets)
    assert float((left["east"] - truth)[70:].mean()) == pytest.approx(0.0, abs=0.4)


def test_stripes_along_the_orbit_go() -> None:
    stripe = np.where(np.arange(SHAPE[1]) // 20 % 2, 3.0, -3.0)
    offsets, stable, _ = field(np.broadcast_to(stripe, SHAPE))
    plain, clean = (
        estimate_bias(offsets, stable, model=model, heading_deg=180.0)
        for model in ("ramp", "stripes")
    )
    assert plain.stable_nmad_m["east"] > 3.5
    assert clean.stable_nmad_m["east"] < 2.6
    assert float(clean.removed(offsets)["east"].where(~stable).mean()) == pytest.approx(
        40.0, abs=0.5
    )


@pytest.mark.parametrize("latitude", [0.0, 47.0, 60.0, -35.0])
def test_stripes_follow_the_flight_over_the_turning_earth(latitude: float) -> None:
    # A circular orbit, step by step over a turning sphere.
    angle = np.linspace(np.pi / 2, 3 * np.pi / 2, 400_001)  # of the orbit: descending
    tilt = np.radians(98.2)
    place = np.stack([np.cos(angle), np.sin(angle) * np.cos(tilt), np.sin(angle) * np.sin(tilt)])
    longitude = np.arctan2(place[1], place[0]) - angle / 14.56
    parallel = np.arcsin(place[2])
    k = int(np.argmin(np.abs(parallel - np.radians(latitude))))
    north = parallel[k + 1] - parallel[k]
    east = np.angle(np.exp(1j * (longitude[k + 1] - longitude[k]))) * np.cos(parallel[k])
    flown = np.degrees(np.arctan2(east, north)) % 360.0
    assert descending_heading(latitude) == pytest.approx(flown, abs=0.2)


def test_a_pair_without_stable_ground_is_refused() -> None:
    offsets, stable, _ = field(np.zeros(SHAPE))
    offsets["east"] = offsets["east"].where(~stable)
    with pytest.raises(SceneError, match="0 places of stable ground"):
        estimate_bias(offsets, stable)


def test_the_bias_of_a_part_is_that_of_the_whole() -> None:
    x = np.linspace(-1.0, 1.0, SHAPE[1])
    offsets, stable, _ = field(np.broadcast_to(5.0 + 4.0 * x, SHAPE))
    bias = estimate_bias(offsets, stable, model="stripes")
    part = {"y": slice(10, 20), "x": slice(5, 50)}
    xr.testing.assert_allclose(bias.removed(offsets.isel(part)), bias.removed(offsets).isel(part))


def test_an_image_under_two_dates_is_no_pair() -> None:
    offsets, stable, _ = field(np.zeros(SHAPE))
    copied = offsets.assign({n: 1e-7 * offsets[n] for n in ("east", "north", "east_error")})
    with pytest.raises(SceneError, match="both images are the same"):
        estimate_bias(copied, stable)
