"""The benchmark's yardsticks: they reward what is right and nothing else."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from rockglacier import simulation, trend
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


@pytest.fixture
def snow(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import snow

    return snow


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


@pytest.mark.parametrize(
    ("spoilt", "missed"),
    [(None, []), ("slopes", ["slope"]), ("hamed_rao", ["z"]), ("original", ["z_original"]),
     ("q", ["q"]), ("seconds", ["speedup"])],
)  # fmt: skip
def test_other_numbers_of_trends_are_missed_and_so_is_a_peer_as_fast(
    snow: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spoilt: str, missed: list
) -> None:
    """Of one pixel a number beyond rounding; the peers' numbers by other code where there is."""

    def peers(setting, values, years):  # type: ignore[no-untyped-def]
        stack = snow.one_after_another(values).T[:, None]
        lags = trend.theil_sen(stack, np.arange(1.0, 13.0), memory="lags")
        known = [np.isfinite(series) for series in values]
        pairs = [(x[k], years[k]) for x, k in zip(values, known, strict=True)]
        slopes = np.array([stats.theilslopes(x, t)[:3] for x, t in pairs])
        score = [np.sign(x[None] - x[:, None])[np.triu_indices(x.size, 1)].sum() for x, _ in pairs]
        z = [(s - np.sign(s)) / np.sqrt(trend._variance(x, True))
             for s, (x, _) in zip(score, pairs, strict=True)]  # fmt: skip
        p = 2.0 * (1.0 - stats.norm.cdf(np.abs(lags.z[0])))
        found = {
            "hamed_rao": np.stack([lags.z[0], p, slopes[:, 0]], axis=1),
            "original": np.stack([z, p, slopes[:, 0]], axis=1),
            "slopes": slopes,
            "q": trend.false_discovery(lags.z[0]),
        }
        seconds = dict.fromkeys(("hamed_rao", "original", "slopes"), 1.0)
        if spoilt == "seconds":
            seconds = dict.fromkeys(seconds, 1e-9)
        elif spoilt:
            free = [not snow.remembers(x, years, rate)
                    for x, rate in zip(values, slopes[:, 0], strict=True)]  # fmt: skip
            at = np.flatnonzero(np.isfinite(lags.z[0]) & free)[0]
            found[spoilt].reshape(len(values), -1)[at, 0] += 1e-9
        return found, seconds

    monkeypatch.setattr(snow, "_peers", peers)
    monkeypatch.setitem(snow.CASES, "gaps", snow.Series(snow.MELT_SEASONS, 0.15, 300))
    found = snow.compare(snow.Setting(tmp_path, tmp_path, seed=3, size=10), "gaps")
    assert found["missed"] == missed
    assert found["too_few_dates"] > 0 and found["no_variance"] > 0
    assert 100 < found["without_memory"] < found["pixels"]
