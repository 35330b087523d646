"""The phase noise model against samples drawn from the complex Wishart distribution."""

import numpy as np
import pytest
import xarray as xr

from rockglacier import phase_noise


def wishart(
    coherence: float, looks: int, size: tuple[int, ...], seed: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Phase (rad) and estimated coherence of multilooked samples, from their looks."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(2, 2, looks, *size))
    reference, other = (z[:, 0] + 1j * z[:, 1]) / np.sqrt(2)
    secondary = coherence * reference + np.sqrt(1 - coherence**2) * other
    cross = (reference * secondary.conj()).sum(axis=0)
    power = (abs(reference) ** 2).sum(axis=0) * (abs(secondary) ** 2).sum(axis=0)
    return np.angle(cross), abs(cross) / np.sqrt(power)


@pytest.mark.parametrize("coherence", [0.15, 0.4, 0.7, 0.92])
@pytest.mark.parametrize("looks", [4, 20])
def test_variance_is_that_of_samples_given_their_own_coherence(
    coherence: float, looks: int
) -> None:
    phase, estimate = wishart(coherence, looks, (60_000,))
    ratio = phase**2 / phase_noise.phase_variance(estimate * coherence, looks)
    for low, high in [(0.0, 0.5), (0.5, 1.0)]:
        lower, upper = np.quantile(estimate, [low, high])
        chosen = (estimate >= lower) & (estimate <= upper)
        assert ratio[chosen].mean() == pytest.approx(1.0, abs=0.04)


def test_limits_of_the_variance() -> None:
    assert phase_noise.phase_variance(np.array(0.0), 20) == pytest.approx(np.pi**2 / 3, rel=1e-3)
    coherence = 0.95
    bound = (1 - coherence**2) / (2 * 20 * coherence**2)
    assert phase_noise.phase_variance(np.array(coherence**2), 20) == pytest.approx(bound, rel=0.07)
    table = phase_noise.weight_table(7.3)
    assert np.all(np.diff(table) >= 0) and np.all(table > 0)


def stack(coherence: float, looks: int, shape: tuple[int, int, int]) -> tuple[xr.DataArray, ...]:
    phase, estimate = wishart(coherence, looks, shape)
    dims = ("pair", "y", "x")
    return (
        xr.DataArray(phase.astype("float32"), dims=dims, attrs={"units": "rad"}),
        xr.DataArray(estimate.astype("float32"), dims=dims),
    )


@pytest.mark.parametrize("truth", [0.1, 0.3, 0.8])
def test_local_coherence_is_free_of_the_bias_of_few_looks(truth: float) -> None:
    phase, coherence = stack(truth, 5, (2, 60, 60))
    product = phase_noise.coherence_product(phase, coherence, looks=5)
    local = (product / coherence).isel(y=slice(5, -5), x=slice(5, -5))
    assert float(coherence.mean()) > truth + 0.01
    assert float(local.mean()) == pytest.approx(truth, abs=0.03)


@pytest.mark.parametrize("rows", [1, 7, 11, 40])
def test_lazy_equals_eager_for_awkward_chunks(rows: int) -> None:
    phase, coherence = stack(0.6, 8, (3, 40, 13))
    phase = phase.where(np.random.default_rng(0).random(phase.shape) > 0.2)
    eager = phase_noise.coherence_product(phase, coherence, looks=8)
    lazy = phase_noise.coherence_product(phase.chunk(y=rows), coherence.chunk(y=rows), looks=8)
    np.testing.assert_array_equal(eager, lazy)


def test_missing_phase_is_missing_and_missing_coherence_is_worth_nothing() -> None:
    phase, coherence = stack(0.6, 8, (1, 9, 9))
    phase[0, 2, 3] = np.nan
    coherence[0, 5, 5] = np.nan
    product = phase_noise.coherence_product(phase, coherence, looks=8)
    assert np.isnan(product[0, 2, 3]) and product[0, 5, 5] == 0
    alone = phase_noise.coherence_product(phase, None, looks=None)
    assert np.isnan(alone[0, 2, 3]) and alone[0, 5, 5] == 1
