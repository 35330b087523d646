"""Velocity and its error: exactness against dense algebra, recovery, and coverage."""

import numpy as np
import pytest
import xarray as xr

from rockglacier import inversion, phase_noise, velocity
from rockglacier.errors import DimensionError, RockGlacierError, UnitsError

WAVELENGTH = 0.0555
LOOKS = 20.0
SCALE = -WAVELENGTH / (4 * np.pi)
DIMS = ("pair", "y", "x")


def network(dates: int, neighbours: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reference and secondary index of each pair, and the dates."""
    ends = [(i, i + k) for i in range(dates) for k in range(1, neighbours + 1) if i + k < dates]
    when = np.datetime64("2019-06-05", "ns") + np.arange(dates) * np.timedelta64(12, "D")
    first, second = np.array(ends).T
    return first, second, when


def observe(
    displacement: np.ndarray, *, seed: int, delay_m: float = 0.0, gaps: float = 0.0
) -> tuple[xr.DataArray, xr.DataArray]:
    """Phase and coherence product of pairs that see ``displacement`` (date, y, x; m).

    Noise follows the product; every date has a delay of its own, white in space and time.
    """
    rng = np.random.default_rng(seed)
    first, second, when = network(displacement.shape[0])
    seen = displacement + delay_m * rng.normal(size=displacement.shape)
    shape = (first.size, *displacement.shape[1:])
    product = rng.uniform(0.1, 0.9, shape)
    phase = (seen[second] - seen[first]) / SCALE
    phase += rng.normal(size=shape) * np.sqrt(phase_noise.phase_variance(product, LOOKS))
    lost = rng.random(shape) < gaps
    phase[lost], product[lost] = np.nan, np.nan
    coords = {"reference": ("pair", when[first]), "secondary": ("pair", when[second])}
    return (
        xr.DataArray(phase, dims=DIMS, coords=coords, attrs={"units": "rad"}),
        xr.DataArray(product, dims=DIMS, coords=coords),
    )


def years(dates: int) -> np.ndarray:
    return np.arange(dates)[:, None, None] * 12 / 365.25


def analyse(phase: xr.DataArray, product: xr.DataArray, **terms: object) -> xr.Dataset:
    options = {"wavelength_m": WAVELENGTH, "looks": LOOKS}
    series = inversion.invert(phase, product, **options)["displacement"]
    model = velocity.time_model(series["date"].values, **terms)
    everywhere = xr.ones_like(phase.isel(pair=0, drop=True), dtype=bool)
    delay = velocity.delay_variance(series, product, model, sample=everywhere, **options)
    result = velocity.estimate(series, product, model, delay_variance=delay, **options)
    return result.assign(delay=delay)


def test_equals_dense_generalised_least_squares() -> None:
    dates = 9
    rng = np.random.default_rng(0)
    phase, product = observe(0.05 * years(dates) + np.zeros((dates, 2, 3)), seed=1, gaps=0.25)
    options = {"wavelength_m": WAVELENGTH, "looks": LOOKS}
    series = inversion.invert(phase, product, **options)["displacement"]
    model = velocity.time_model(series["date"].values, terms=["acceleration"])
    delay = xr.DataArray(rng.uniform(1e-6, 2e-5, dates), dims=("date",))
    result = velocity.estimate(series, product, model, delay_variance=delay, **options)
    first, second, _ = network(dates)
    for y, x in np.ndindex(2, 3):
        seen = np.isfinite(phase.values[:, y, x])
        incidence = np.zeros((first.size, dates))
        incidence[np.arange(first.size), second] = 1
        incidence[np.arange(first.size), first] = -1
        incidence = incidence[seen]
        # Directly from the pairs: phase covariance = noise + what the delays of the dates add.
        noise = np.diag(phase_noise.phase_variance(product.values[seen, y, x], LOOKS))
        covariance = noise + incidence @ np.diag(delay.values / SCALE**2) @ incidence.T
        design = incidence @ model.values
        normal = design.T @ np.linalg.solve(covariance, design)
        best = np.linalg.solve(
            normal, design.T @ np.linalg.solve(covariance, phase.values[seen, y, x])
        )
        assert result["velocity"][y, x] == pytest.approx(best[0] * SCALE, abs=1e-5)
        assert result["acceleration"][y, x] == pytest.approx(best[1] * SCALE, rel=1e-3, abs=1e-5)
        errors = np.sqrt(np.diag(np.linalg.inv(normal))) * abs(SCALE)
        assert result["velocity_error"][y, x] >= errors[0] * 0.999
        if result["misfit"][y, x] < 1:
            assert result["velocity_error"][y, x] == pytest.approx(errors[0], rel=1e-3)


@pytest.mark.parametrize("delay_m", [0.0, 0.001, 0.006])
@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_the_interval_covers_the_truth_as_promised(delay_m: float, gaps: float) -> None:
    truth = np.linspace(-0.1, 0.1, 70)[None, :, None] + np.zeros((1, 70, 70))
    phase, product = observe(truth * years(30), seed=7, delay_m=delay_m, gaps=gaps)
    result = analyse(phase, product)
    z = ((result["velocity"] - truth[0]) / result["velocity_error"]).values
    assert np.isfinite(z).mean() > 0.99
    z = z[np.isfinite(z)]
    assert 0.93 < (abs(z) < 1.96).mean() < 0.975
    assert abs(z.mean()) < 0.06


def test_delay_of_each_date_is_found() -> None:
    dates = 25
    rng = np.random.default_rng(3)
    delay = np.full((dates, 1, 1), 0.002)
    delay[[4, 11, 17]] = 0.012
    shape = (dates, 45, 45)
    displacement = 0.02 * years(dates) + delay * rng.normal(size=shape)
    phase, product = observe(displacement, seed=4)
    found = np.sqrt(analyse(phase, product)["delay"].values)
    np.testing.assert_allclose(found, delay[:, 0, 0], rtol=0.25)


@pytest.mark.parametrize("width", [1, 48])
def test_chance_differences_of_dates_that_share_their_delay_get_no_weight(width: int) -> None:
    dates, size, rng = 20, 96, np.random.default_rng(5)
    # Delay is one draw over ``width`` pixels: of few draws, dates differ by chance alone.
    delay = 0.008 * rng.normal(size=(dates, size // width, size // width))
    delay[6] *= 3.0  # but one day of storms is known by many draws
    delay = np.kron(delay, np.ones((width, width)))
    delay += 0.001 * rng.normal(size=delay.shape)
    phase, product = observe(delay, seed=6)
    found = analyse(phase, product)["delay"].values
    usual = np.delete(found, 6)
    if width == 1:
        assert 6.0 < found[6] / np.median(usual) < 12.0
    assert usual.max() / usual.min() < 1.7
    assert 0.2 < np.median(usual) / 0.008**2 < 2.5


def test_seasonal_motion_and_acceleration_are_recovered() -> None:
    dates = 92
    t = years(dates)
    when = network(dates)[2]
    calendar = (when - np.datetime64("2000-01-01")) / np.timedelta64(1, "D") / 365.25
    wave = 0.01 * np.cos(2 * np.pi * (calendar - 250 / 365.25))[:, None, None]
    middle = t - t.mean()
    truth = 0.08 * middle + 0.5 * 0.03 * middle**2 + wave
    phase, product = observe(truth + np.zeros((dates, 30, 30)), seed=9, delay_m=0.003)
    result = analyse(phase, product, terms=["annual", "semiannual", "acceleration"])
    for name, value in [
        ("velocity", 0.08), ("acceleration", 0.03), ("annual_amplitude", 0.01),
        ("annual_maximum", 250.0),
    ]:  # fmt: skip
        z = (result[name] - value) / result[f"{name}_error"]
        assert abs(float(z.mean())) < 0.25, name
        assert 0.8 < float(z.std()) < 1.15, name


def test_time_counts_from_the_mean_date_of_long_series_too() -> None:
    when = np.datetime64("2015-01-01", "ns") + np.arange(400) * np.timedelta64(12, "D")
    t = velocity.time_model(when, terms=["acceleration"])[:, 0].values
    assert abs(t.mean()) < 1e-9 and t[-1] == pytest.approx(-t[0]) == pytest.approx(6.5544, abs=1e-3)


def test_a_step_is_recovered_and_one_outside_the_series_refused() -> None:
    dates = 20
    when = network(dates)[2]
    step = np.where(when >= when[8], 0.02, 0.0)[:, None, None]
    phase, product = observe(0.05 * years(dates) + step + np.zeros((dates, 20, 20)), seed=2)
    name = f"step_{str(when[8])[:10]}"
    result = analyse(phase, product, steps=[str(when[8])[:10]])
    assert float(result[name].mean()) == pytest.approx(0.02, abs=5e-4)
    with pytest.raises(RockGlacierError, match="outside the series"):
        velocity.time_model(when, steps=["2031-01-01"])
    with pytest.raises(RockGlacierError, match="leave out terms"):
        velocity.time_model(when[:5], terms=["annual", "semiannual"])


def test_unmodelled_seasonal_motion_widens_the_error() -> None:
    dates = 60
    wave = 0.02 * np.sin(2 * np.pi * years(dates))
    steady = 0.05 * years(dates) + np.zeros((dates, 40, 40))
    moving = steady.copy()
    moving[:, 30:] += wave
    phase, product = observe(moving, seed=5, delay_m=0.003)
    error = analyse(phase, product)["velocity_error"]
    calm, seasonal = float(error[:25].median()), float(error[30:].median())
    assert seasonal > 2 * calm


def test_a_series_without_pairs_uses_the_scatter_of_its_dates() -> None:
    dates = 24
    rng = np.random.default_rng(1)
    when = network(dates)[2]
    values = 0.04 * years(dates) + 0.005 * rng.normal(size=(dates, 60, 60))
    values[rng.random(values.shape) < 0.15] = np.nan
    series = xr.DataArray(
        values, dims=("date", "y", "x"), coords={"date": when}, attrs={"units": "m"}
    )
    model = velocity.time_model(when)
    options = {"wavelength_m": WAVELENGTH, "looks": None}
    everywhere = series.isel(date=0, drop=True).notnull() | True
    delay = velocity.delay_variance(series, None, model, sample=everywhere, **options)
    result = velocity.estimate(series, None, model, delay_variance=delay, **options)
    z = ((result["velocity"] - 0.04) / result["velocity_error"]).values
    assert 0.93 < (abs(z) < 1.96).mean() < 0.975
    assert np.sqrt(delay.values).mean() == pytest.approx(0.005, rel=0.1)


def test_seasons_that_no_pair_bridges_are_said_and_widen_the_error() -> None:
    dates = 24
    phase, product = observe(0.2 * years(dates) + np.zeros((dates, 8, 8)), seed=2)
    first, second, _ = network(dates)
    bridge = (first < 12) & (second >= 12)
    split, rest = phase.copy(), product.copy()
    split[bridge], rest[bridge] = np.nan, np.nan
    whole, halves = analyse(phase, product), analyse(split, rest)
    assert np.all(whole["observed_share"] == 1)
    np.testing.assert_allclose(halves["observed_share"], 22 / 23, rtol=1e-6)
    unseen = 0.3 * 0.2 / 23
    assert float(halves["velocity_error"].median()) >= unseen
    assert float(abs(halves["velocity"] - 0.2).max()) < 0.01


def test_too_few_dates_are_missing_never_zero() -> None:
    phase, product = observe(0.05 * years(10) + np.zeros((10, 8, 8)), seed=2)
    phase[:, 0, 0] = np.nan
    first, second, _ = network(10)
    late = (first > 1) | (second > 1)
    phase[late, 1, 1] = np.nan
    result = analyse(phase, product.where(phase.notnull()))
    assert np.isnan(result["velocity"][0, 0]) and np.isnan(result["velocity_error"][0, 0])
    assert np.isnan(result["velocity"][1, 1])
    assert np.isfinite(result["velocity"][2:, 2:]).all()


@pytest.mark.parametrize("rows", [1, 3, 5])
def test_lazy_equals_eager_for_awkward_chunks(rows: int) -> None:
    phase, product = observe(0.05 * years(12) + np.zeros((12, 8, 9)), seed=2, gaps=0.1)
    options = {"wavelength_m": WAVELENGTH, "looks": LOOKS}
    series = inversion.invert(phase, product, **options)["displacement"]
    model = velocity.time_model(series["date"].values, terms=["acceleration"])
    delay = xr.DataArray(np.full(12, 4e-6), dims=("date",))
    eager = velocity.estimate(series, product, model, delay_variance=delay, **options)
    lazy = velocity.estimate(
        series.chunk(y=rows), product.chunk(y=rows), model, delay_variance=delay, **options
    )
    xr.testing.assert_identical(eager, lazy.compute())


def test_a_stack_without_noise_is_exact() -> None:
    dates = 14
    first, second, when = network(dates)
    truth = 0.1 * years(dates) * np.linspace(0, 1, 30).reshape(5, 6)
    coords = {"reference": ("pair", when[first]), "secondary": ("pair", when[second])}
    phase = xr.DataArray(
        (truth[second] - truth[first]) / SCALE, dims=DIMS, coords=coords, attrs={"units": "rad"}
    )
    options = {"wavelength_m": WAVELENGTH, "looks": LOOKS}
    product = xr.full_like(phase, 0.8)
    inverted = inversion.invert(phase, product, **options)
    series = inverted["displacement"]
    model = velocity.time_model(series["date"].values)
    options["variance_factor"] = float(inverted["variance_factor"].median())
    everywhere = xr.ones_like(phase.isel(pair=0, drop=True), dtype=bool)
    delay = velocity.delay_variance(series, product, model, sample=everywhere, **options)
    found = velocity.estimate(series, product, model, delay_variance=delay, **options)
    assert np.allclose(found["velocity"], 0.1 * np.linspace(0, 1, 30).reshape(5, 6), atol=1e-5)
    assert np.all(found["velocity_error"] < 1e-3)


def test_bad_input_is_named() -> None:
    phase, product = observe(0.05 * years(6) + np.zeros((6, 4, 4)), seed=2)
    options = {"wavelength_m": WAVELENGTH, "looks": LOOKS}
    series = inversion.invert(phase, product, **options)["displacement"]
    model = velocity.time_model(series["date"].values)
    delay = xr.DataArray(np.full(6, 4e-6), dims=("date",))
    with pytest.raises(UnitsError):
        velocity.estimate(
            series.assign_attrs(units="mm"), product, model, delay_variance=delay, **options
        )
    shorter = velocity.time_model(series["date"].values[:5])
    with pytest.raises(DimensionError, match="one network"):
        velocity.estimate(series[:5], product, shorter, delay_variance=delay[:5], **options)
    nowhere = xr.zeros_like(phase.isel(pair=0, drop=True), dtype=bool)
    with pytest.raises(RockGlacierError, match="stable ground"):
        velocity.delay_variance(series, product, model, sample=nowhere, **options)


def test_scatter_of_stable_ground_beyond_the_error_is_added_once() -> None:
    rng = np.random.default_rng(0)
    error = np.full((120, 120), 0.003)
    waves = 0.004 * np.repeat(rng.normal(size=(120, 30)), 4, axis=1)
    truth = np.where(np.arange(120) < 20, 0.2, 0.0)
    found = truth + waves + error * rng.normal(size=error.shape)
    dims = ("y", "x")
    result = xr.Dataset({"velocity": (dims, found), "velocity_error": (dims, error)})
    stable = xr.DataArray(np.broadcast_to(truth == 0, error.shape), dims=dims)
    wide = velocity.with_scene_scatter(result, stable)
    assert wide.attrs["scene_scatter_m_per_year"] == pytest.approx(0.004, rel=0.2)
    z = (found - truth) / wide["velocity_error"].values
    assert 0.92 < (abs(z) < 1.96).mean() < 0.98
    calm = result.assign(velocity=(dims, truth + 0.001 * rng.normal(size=error.shape)))
    unchanged = velocity.with_scene_scatter(calm, stable)["velocity_error"]
    np.testing.assert_allclose(unchanged, error)


def test_what_is_not_to_be_believed_is_missing_with_its_reason() -> None:
    dims = ("y", "x")
    found = xr.Dataset(
        {
            "velocity": (dims, [[0.01, 0.02, 0.03, np.nan, np.nan]]),
            "velocity_error": (dims, [[0.001, 0.001, 0.001, np.nan, np.nan]]),
            "misfit": (dims, [[1.0, 1.0, 1.0, 1.0, np.nan]]),
            "observed_share": (dims, [[1.0, 1.0, 1.0, 1.0, 0.0]]),
        }
    )
    quality = xr.Dataset(
        {
            "reason": (dims, [[0.0, 3.0, 0.0, 0.0, 1.0]]),
            "temporal_coherence": (dims, [[0.9, 0.9, 0.5, 0.9, np.nan]]),
        }
    )
    aliased = xr.DataArray([[False, True, False, True, True]], dims=dims)
    plain = velocity.screened(found, quality, min_temporal_coherence=0.7)
    np.testing.assert_array_equal(plain["reason"], [[0, 3, 4, 2, 1]])
    np.testing.assert_array_equal(plain["velocity"], [[0.01, 0.02, np.nan, np.nan, np.nan]])
    strict = velocity.screened(found, quality, min_temporal_coherence=0.7, aliased=aliased)
    np.testing.assert_array_equal(strict["reason"], [[0, 5, 4, 2, 1]])
    assert np.isnan(strict["velocity"][0, 1]) and np.isnan(strict["velocity_error"][0, 1])
