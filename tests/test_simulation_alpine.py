"""The alpine scene: single looks have the covariance, phase and geometry that they claim."""

import numpy as np
import pytest
import xarray as xr

from rockglacier import simulation_alpine as alpine
from rockglacier.conventions import SENTINEL1_WAVELENGTH_M, YEAR_DAYS, metres_per_radian
from rockglacier.grid import Grid
from rockglacier.simulation import LOOKS, fractal_relief

pytest.importorskip("whirlwind", reason="the phase unwrapper whirlwind-insar is not installed")

DAYS = np.array([0.0, 12.0, 24.0, 360.0])
FIRST, SECOND = np.array([0, 0, 0, 1]), np.array([1, 2, 3, 2])


def interfere(
    velocity: np.ndarray,
    *,
    pixels: int = 4000,
    baseline: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0),
    visible: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0),
    lasting: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
    """Wrapped phase and coherence (pair, pixel) of like pixels with ``velocity`` at each look."""
    rng = np.random.default_rng(1)
    wrapped = np.empty((FIRST.size, pixels), np.float32)
    coherence = np.empty_like(wrapped)
    alpine._interfere(
        rng.standard_normal((pixels, LOOKS, DAYS.size, 2), np.float32),
        np.array([[0.9], [lasting]], np.float32).repeat(pixels, 1),
        np.array(visible, np.float32)[:, None].repeat(pixels, 1),
        DAYS,
        np.array(baseline),
        np.broadcast_to(velocity.astype(np.float32), (pixels, LOOKS)).copy(),
        np.broadcast_to(DAYS / YEAR_DAYS, (pixels, LOOKS, DAYS.size)).copy(),
        np.zeros((pixels, DAYS.size), np.float32),
        FIRST,
        SECOND,
        wrapped,
        coherence,
    )
    return wrapped, coherence


def mean_phase(wrapped: np.ndarray) -> np.ndarray:
    return np.angle(np.exp(1j * wrapped).mean(axis=1))


def test_still_ground_keeps_the_coherence_of_its_surface() -> None:
    _, coherence = interfere(np.zeros(LOOKS))
    lag = DAYS[SECOND] - DAYS[FIRST]
    expected = 0.9 * (0.5 + 0.5 * np.exp(-lag / alpine.DECAY_DAYS))
    bias = (1.0 - expected**2) ** 2 / (4.0 * LOOKS * expected)  # of the estimate, first order
    assert coherence.mean(axis=1) == pytest.approx(expected + bias, abs=0.008)


def test_baseline_and_snow_decorrelate() -> None:
    _, still = interfere(np.zeros(LOOKS))
    _, far = interfere(np.zeros(LOOKS), baseline=(0.0, 1000.0, 0.0, 0.0))
    assert far[0].mean() / still[0].mean() == pytest.approx(0.8, abs=0.02)
    assert far[1].mean() == pytest.approx(still[1].mean(), abs=0.01)
    _, snow = interfere(np.zeros(LOOKS), visible=(1.0, 0.0, 1.0, 1.0))
    assert snow[0].mean() < 1.1 * np.sqrt(np.pi / 4 / LOOKS)  # the floor of 20 looks
    assert snow[1].mean() == pytest.approx(still[1].mean(), abs=0.01)


def test_phase_follows_the_convention() -> None:
    speed = 0.10
    wrapped, _ = interfere(np.full(LOOKS, speed))
    moved = speed * (DAYS[SECOND] - DAYS[FIRST]) / YEAR_DAYS
    expected = moved / metres_per_radian(SENTINEL1_WAVELENGTH_M)
    short = [0, 1, 3]
    assert mean_phase(wrapped)[short] == pytest.approx(expected[short], abs=0.01)


def test_steep_gradients_and_moving_blocks_decorrelate() -> None:
    _, still = interfere(np.zeros(LOOKS))
    uniform = 1.0
    _, moving = interfere(np.full(LOOKS, uniform))
    spread = alpine.BLOCK_SHARE * uniform * 12.0 / YEAR_DAYS
    expected = np.exp(-0.5 * (4.0 * np.pi / SENTINEL1_WAVELENGTH_M * spread) ** 2)
    assert moving[0].mean() / still[0].mean() == pytest.approx(expected, abs=0.03)
    # A full cycle across the pixel in 12 days cancels whatever its mean does.
    cycle = SENTINEL1_WAVELENGTH_M / 2.0 * YEAR_DAYS / 12.0
    _, torn = interfere(cycle * (np.arange(LOOKS) + 0.5) / LOOKS - 0.5 * cycle)
    assert torn[0].mean() < 0.3
    assert still[0].mean() > 0.75


@pytest.fixture(scope="module")
def scene() -> xr.Dataset:
    grid = Grid("EPSG:32632", 640_000.0, 5_200_000.0, 40.0, 40.0, 70, 60)
    relief = fractal_relief(grid, np.random.default_rng(5))
    return alpine.simulate_alpine(relief, grid, seed=2)


def test_unwrapped_phase_is_the_wrapped_phase_plus_whole_cycles(scene: xr.Dataset) -> None:
    cycles = (scene["phase"].values - scene["wrapped"].values) / (2 * np.pi)
    known = np.isfinite(cycles)
    assert known.mean() > 0.99
    assert np.abs(cycles[known] - np.round(cycles[known])).max() < 1e-3


def test_pairs_are_short_in_season_or_a_year_apart(scene: xr.Dataset) -> None:
    lag = (scene["secondary"] - scene["reference"]).values / np.timedelta64(1, "D")
    assert ((lag <= 36) | ((lag >= 330) & (lag <= 400))).all()
    for end in ("reference", "secondary"):
        assert set(scene[end].dt.month.values) <= set(alpine.SEASON)
    years = scene["date"].dt.year.values
    assert set(years) == {2018, 2019, 2020, 2021}


def test_truth_is_consistent(scene: xr.Dataset) -> None:
    speed, tongue = np.abs(scene["velocity"].values), scene["tongue"].values
    assert tongue.max() >= 2
    assert (speed[scene["stable_ground"].values == 1] == 0).all()
    assert (speed[tongue > 0] > 0).all()
    assert 0.02 <= np.max(speed) <= 1.5
    fastest = SENTINEL1_WAVELENGTH_M / 4 * YEAR_DAYS / 12
    assert ((speed > fastest) == (scene["aliased"].values == 1)).all()


def test_short_pairs_show_the_motion_of_slow_tongues(scene: xr.Dataset) -> None:
    lag = (scene["secondary"] - scene["reference"]).values / np.timedelta64(1, "D")
    velocity = scene["velocity"].values
    slow = (np.abs(velocity) > 0.02) & (np.abs(velocity) < 0.3) & (scene["observable"].values == 1)
    still = (scene["stable_ground"].values == 1) & (scene["observable"].values == 1)
    short = np.flatnonzero(lag == 12)
    metres = scene["phase"].values[short] * metres_per_radian(SENTINEL1_WAVELENGTH_M)
    metres -= np.median(metres[:, still], axis=1)[:, None, None]
    rate = np.median(metres, axis=0) * YEAR_DAYS / 12.0
    slope = (rate[slow] * velocity[slow]).sum() / (velocity[slow] ** 2).sum()
    assert slope == pytest.approx(1.2, abs=0.35)  # summers are faster than the year
