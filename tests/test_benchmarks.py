"""The benchmark's yardsticks: they reward what is right and nothing else."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from rockglacier import simulation
from rockglacier.conventions import SENTINEL1_WAVELENGTH_M, metres_per_radian

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def score(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import score

    return score


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import measure

    return measure


def test_coverage_and_score_of_errors_of_known_deviation(score: ModuleType) -> None:
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.5, 3.0, 200_000)
    error = sigma * rng.standard_normal(sigma.size)
    assert score.coverage(error, sigma) == pytest.approx(0.95, abs=0.003)
    assert score.coverage(error, 0.5 * sigma) == pytest.approx(0.673, abs=0.005)
    assert score.score_ratio(error, sigma, sigma) == pytest.approx(1.0, abs=0.01)
    for factor in (0.5, 2.0):
        assert score.score_ratio(error, factor * sigma, sigma) > 1.2
    assert score.rmse(score.centred(error + 7.0)) == pytest.approx(np.std(error))
    gone = np.where(rng.random(error.size) < 0.5, np.nan, error)
    assert score.coverage(gone, sigma) == pytest.approx(0.95, abs=0.004)


def test_classes_are_those_of_moving_areas(score: ModuleType) -> None:
    speeds = np.array([0.0, -0.005, 0.02, -0.05, 0.2, 0.5, -2.0])
    names = [score.CLASS_NAMES[i] for i in score.class_of(speeds)]
    assert names == ["<1", "<1", "1-3", "3-10", "10-30", "30-100", ">100"]


def test_information_is_what_samples_carry(score: ModuleType) -> None:
    """At high coherence 1 / variance reaches it; below, no estimate of a shared phase beats it."""
    looks = simulation.LOOKS
    high = simulation._noisy_sample(np.full((500, 500), 0.97, np.float32), 0, 0, 0.0)[0]
    assert 1.0 / high.var() == pytest.approx(score.phase_information(0.97, looks), rel=0.06)
    coherence, samples = 0.4, 40
    phase, estimate = simulation._noisy_sample(
        np.full((samples, 5000), coherence, np.float32), 0, 1, 0.0
    )
    product = coherence * estimate
    phasor = product / (1.0 - product**2) * np.exp(1j * phase)
    found = np.angle(phasor.sum(axis=0))
    bound = 1.0 / (samples * score.phase_information(coherence, looks))
    assert 0.97 < found.var() / bound < 1.15


def test_bound_of_a_velocity_is_that_of_weighted_least_squares(score: ModuleType) -> None:
    years = np.array([0.1, 0.5, 1.0])
    coherence = np.array([0.9, 0.9, 0.5])[:, None, None]
    bound = score.velocity_bound(coherence, years, SENTINEL1_WAVELENGTH_M, 20)
    information = [score.phase_information(c, 20) for c in coherence[:, 0, 0]]
    expected = abs(metres_per_radian(SENTINEL1_WAVELENGTH_M)) / np.sqrt(years**2 @ information)
    assert bound == pytest.approx(np.full((1, 1), expected))


def test_measured_time_and_memory_are_those_of_the_command(
    measure: ModuleType, tmp_path: Path
) -> None:
    own = np.ones(60_000_000)  # 480 MB here must not count there
    program = "import time; x = bytearray(100 * 2**20); time.sleep(0.3)"
    found = measure.run([sys.executable, "-S", "-c", program], cwd=tmp_path)
    assert own.sum() > 0
    assert 0.3 < found.seconds < 5.0
    assert 100 < found.peak_mb < 200
    with pytest.raises(RuntimeError, match="ended with 3"):
        measure.run([sys.executable, "-S", "-c", "raise SystemExit(3)"], cwd=tmp_path)
