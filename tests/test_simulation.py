"""The forward model: its noise has the statistics it claims, and its truth is the truth."""

import numpy as np
import pytest
import xarray as xr
from scipy.special import gammaln, hyp2f1

from rockglacier import simulation
from rockglacier.conventions import YEAR_DAYS, metres_per_radian
from rockglacier.errors import ConfigurationError

SIZE = 96


@pytest.fixture(scope="module")
def stacks() -> dict[str, xr.Dataset]:
    return {
        scenario: simulation.simulate_stack(scenario, height=SIZE, width=SIZE, seed=3).load()
        for scenario in simulation.SCENARIOS
    }


def true_phase(stack: xr.Dataset) -> np.ndarray:
    years = (stack["secondary"] - stack["reference"]) / np.timedelta64(1, "D") / YEAR_DAYS
    moved = stack["velocity"] * years
    delay = stack["delay"].sel(date=stack["secondary"]).drop_vars("date") - stack["delay"].sel(
        date=stack["reference"]
    ).drop_vars("date")
    total = (moved + delay).transpose("pair", "y", "x")
    return np.asarray(total.values / metres_per_radian(stack.attrs["wavelength_m"]))


def phase_variance(coherence: float, looks: int) -> float:
    """Variance of the multilooked phase: integral of the density, Hanssen 2001, eq. 4.2.23."""
    phi = np.linspace(-np.pi, np.pi, 20001)
    beta = coherence * np.cos(phi)
    first = (
        np.exp(gammaln(looks + 0.5) - gammaln(looks))
        * (1 - coherence**2) ** looks
        * beta
        / (2 * np.sqrt(np.pi) * (1 - beta**2) ** (looks + 0.5))
    )
    second = (1 - coherence**2) ** looks / (2 * np.pi) * hyp2f1(looks, 1, 0.5, beta**2)
    density = first + second
    step = phi[1] - phi[0]
    assert density.sum() * step == pytest.approx(1.0, abs=1e-3)
    return float((phi**2 * density).sum() * step)


@pytest.mark.parametrize("coherence", [0.05, 0.3, 0.6, 0.95])
def test_noise_has_the_variance_of_the_phase_density(coherence: float) -> None:
    field = np.full((400, 400), coherence, np.float32)
    phase, estimate = simulation._noisy_sample(field, 0, 0, 0.0)
    expected = phase_variance(coherence, simulation.LOOKS)
    assert phase.var() == pytest.approx(expected, rel=0.02)
    assert np.abs(phase).max() <= np.pi
    # E of the squared sample coherence, Touzi et al. 1999 (doi 10.1109/36.739146).
    looks, d2 = simulation.LOOKS, coherence**2
    k = np.arange(3000)
    terms = np.exp(
        2 * (gammaln(looks + k) - gammaln(looks))
        + gammaln(looks)
        - gammaln(looks + k + 1)
        - gammaln(k + 1)
        + k * np.log(d2)
        + np.log(k + 1)
    )
    second_moment = (1 - d2) ** looks * terms.sum()
    assert (estimate**2).mean() == pytest.approx(second_moment, rel=0.01)


def test_network_is_three_neighbours_and_one_year(stacks: dict[str, xr.Dataset]) -> None:
    stack = stacks["decor"]
    days = (stack["secondary"] - stack["reference"]).values / np.timedelta64(1, "D")
    assert stack.sizes["pair"] == 115
    values, counts = np.unique(days, return_counts=True)
    assert dict(zip(values, counts, strict=True)) == {12: 39, 24: 38, 36: 37, 360: 1}


def test_noise_lies_around_the_true_phase(stacks: dict[str, xr.Dataset]) -> None:
    for scenario in ("decor", "atmo", "full"):
        stack = stacks[scenario]
        noise = stack["phase"].values - true_phase(stack) - 2 * np.pi * stack["cycles"].values
        assert np.abs(noise).max() <= np.pi + 1e-4
        assert abs(noise.mean()) < 2e-3


def test_stacking_recovers_the_velocity(stacks: dict[str, xr.Dataset]) -> None:
    stack = stacks["decor"]
    years = ((stack["secondary"] - stack["reference"]) / np.timedelta64(1, "D") / YEAR_DAYS).values
    metres = stack["phase"].values * metres_per_radian(stack.attrs["wavelength_m"])
    rate = np.tensordot(years, metres, 1) / (years**2).sum()
    error = rate - stack["velocity"].values
    assert np.median(np.abs(error)) < 0.0015
    moving = stack["velocity"].values > 0.03
    assert np.corrcoef(rate[moving], stack["velocity"].values[moving])[0, 1] > 0.9


def test_tongues_move_as_stated(stacks: dict[str, xr.Dataset]) -> None:
    stack = stacks["decor"]
    tongue, velocity = stack["tongue"].values, stack["velocity"].values
    assert 0.09 < (tongue > 0).mean() < 0.13
    assert velocity[tongue == 0].max() == 0
    assert velocity.min() >= 0
    assert 0.010 < velocity.max() <= 0.090
    assert ((tongue == 0) == (stack["stable_ground"].values == 1)).all()


def test_turbulence_has_five_millimetres_and_is_correlated(stacks: dict[str, xr.Dataset]) -> None:
    delay = stacks["atmo"]["delay"].values
    assert delay.std(axis=(1, 2)) == pytest.approx(np.full(40, 0.005), rel=1e-3)
    near = (delay[:, :, 1:] - delay[:, :, :-1]).std()
    far = (delay[:, :, SIZE // 2 :] - delay[:, :, : -SIZE // 2]).std()
    assert near < 0.2 * far
    other = np.corrcoef(delay[0].ravel(), delay[1].ravel())[0, 1]
    assert abs(other) < 0.9


def test_errors_are_whole_cycles_in_a_tenth_of_the_pairs(stacks: dict[str, xr.Dataset]) -> None:
    full, atmo = stacks["full"], stacks["atmo"]
    cycles = full["cycles"].values
    assert (np.abs(cycles).max(axis=(1, 2)) > 0).sum() <= 12
    assert 0 < (cycles != 0).mean() < 0.02
    added = (full["phase"].values - atmo["phase"].values) / (2 * np.pi)
    assert added == pytest.approx(cycles, abs=1e-4)


def test_gaps_are_missing_in_phase_and_coherence(stacks: dict[str, xr.Dataset]) -> None:
    gaps, decor = stacks["gaps"], stacks["decor"]
    missing = np.isnan(gaps["phase"].values)
    assert missing.mean() == pytest.approx(0.2, abs=0.003)
    assert (missing == np.isnan(gaps["coherence"].values)).all()
    assert (gaps["phase"].values[~missing] == decor["phase"].values[~missing]).all()


def test_a_layer_alone_equals_the_layer_of_the_whole(stacks: dict[str, xr.Dataset]) -> None:
    lazy = simulation.simulate_stack("full", height=SIZE, width=SIZE, seed=3)
    for name in ("phase", "coherence", "cycles"):
        assert lazy[name].chunks[0] == (1,) * 115
        assert (lazy[name][77].values == stacks["full"][name][77].values).all()
    other = simulation.simulate_stack("full", height=SIZE, width=SIZE, seed=4)
    assert (other["phase"][77].values != stacks["full"]["phase"][77].values).any()


def test_unknown_scenario_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="decor, atmo, full, gaps"):
        simulation.simulate_stack("storm")
