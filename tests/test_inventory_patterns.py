"""Courses of motion: told from noisy series, with rates whose errors cover the truth."""

import numpy as np
import pytest

from rockglacier.inventory.patterns import NOT_OBSERVED, course

NOISE = 0.004


def dates(years: int = 3, seed: int = 0) -> np.ndarray:
    """Every 12 days, but in winter."""
    every = np.arange(0.0, years, 12 / 365.25)
    return every[(every % 1.0 > 0.3) & (every % 1.0 < 0.9)]


def moved(t: np.ndarray, kind: str) -> np.ndarray:
    out = 0.12 * t
    if kind in ("seasonal", "accelerating"):
        out = out + 0.02 * np.sin(2.0 * np.pi * (t - 0.7))
    if kind == "accelerating":
        out = out + 0.5 * 0.08 * (t - t.mean()) ** 2
    if kind == "step":
        out = out + 0.06 * (t > 1.55)
    return out


@pytest.mark.parametrize("kind", ["linear", "seasonal", "accelerating", "step"])
def test_the_course_is_recognised(kind: str) -> None:
    t = dates()
    right = 0
    for seed in range(20):
        noise = NOISE * np.random.default_rng(seed).normal(size=t.size)
        found = course(t, moved(t, kind) + noise)
        right += found.pattern == kind
    assert right >= 18


def test_a_rate_is_covered_by_its_error() -> None:
    t = dates()
    inside = []
    for seed in range(300):
        noise = NOISE * np.random.default_rng(seed).normal(size=t.size)
        found = course(t, moved(t, "linear") + noise)
        inside.append(abs(found.rate - 0.12) < 1.96 * found.rate_error)
    assert 0.90 < np.mean(inside) < 0.99


def test_season_acceleration_and_step_are_told_in_their_units() -> None:
    t = dates()
    noise = 0.001 * np.random.default_rng(1).normal(size=t.size)
    seasonal = course(t, moved(t, "seasonal") + noise)
    assert seasonal.seasonal_amplitude == pytest.approx(0.02, abs=0.002)
    # The displacement's sine rises fastest where it is nought: at 0.7 of a year.
    assert seasonal.fastest_day == pytest.approx(0.7 * 365 + 1, abs=12)
    assert course(t, moved(t, "accelerating") + noise).acceleration == pytest.approx(0.08, abs=0.01)
    step = course(t, moved(t, "step") + noise)
    assert step.step == pytest.approx(0.06, abs=0.01)
    assert step.step_years == pytest.approx(1.55, abs=0.05)


def test_what_only_a_gap_shows_is_not_told() -> None:
    t = dates()
    subset = np.floor(t - 0.3).astype(int)
    for seed in range(10):
        noise = NOISE * np.random.default_rng(seed).normal(size=t.size)
        # A step between summers is in the offsets, and half a year tells no season.
        jump = moved(t, "linear") + 0.2 * (t > 1.1) + noise
        assert course(t, jump, noise=NOISE).pattern != NOT_OBSERVED
        found = course(t, jump, subset=subset, noise=NOISE)
        assert found.pattern == NOT_OBSERVED
        assert abs(found.rate - 0.12) < 3.0 * found.rate_error
        assert found.season_share == pytest.approx(0.6, abs=0.05)


def test_a_step_within_a_subset_is_told() -> None:
    t = dates()
    noise = 0.001 * np.random.default_rng(2).normal(size=t.size)
    found = course(t, moved(t, "step") + noise, subset=np.floor(t - 0.3), noise=0.001)
    assert found.pattern == "step" and found.step == pytest.approx(0.06, abs=0.01)
    assert found.step_years == pytest.approx(1.55, abs=0.05)


def test_motion_is_steady_only_where_a_season_would_show() -> None:
    t = dates()
    noise = np.random.default_rng(3).normal(size=t.size)
    assert course(t, moved(t, "linear") + NOISE * noise).pattern == "linear"
    assert course(t, moved(t, "linear") + 8.0 * NOISE * noise).pattern == NOT_OBSERVED


def test_few_dates_tell_nothing() -> None:
    t = dates()
    sparse = np.full(t.size, np.nan)
    sparse[:6] = 0.0
    found = course(t, sparse)
    assert found.pattern == NOT_OBSERVED and np.isnan(found.rate)
    lonely = course(t, moved(t, "linear"), subset=np.arange(t.size))
    assert lonely.pattern == NOT_OBSERVED and np.isnan(lonely.rate)
