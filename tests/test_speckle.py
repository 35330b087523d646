"""The multi-temporal filter: means stay, detail stays, speckle goes as stated."""

import numpy as np
import pytest

from rockglacier.speckle import quegan_yu

LOOKS = 4.0


def speckled(level, rng):
    return level * rng.gamma(LOOKS, 1.0 / LOOKS, level.shape)


def test_what_speckle_leaves_through_time():
    """Squared coefficient of variation 1 / (looks x pixels), on steady ground."""
    rng = np.random.default_rng(1)
    filtered, pixels = quegan_yu(speckled(np.full((60, 80, 80), 0.2), rng), 5)
    inner = filtered[:, 10:-10, 10:-10]
    assert (pixels[:, 10:-10, 10:-10] == 25).all()
    variation = (inner.var(axis=0, ddof=1) / inner.mean(axis=0) ** 2).mean()
    assert variation == pytest.approx(1.0 / (LOOKS * 25.0), rel=0.03)
    assert inner.mean() == pytest.approx(0.2, rel=0.01)


def test_an_edge_stays_and_so_does_a_change():
    rng = np.random.default_rng(2)
    level = np.full((60, 40, 40), 0.05)
    level[:, :, 20:] = 0.4
    level[30:, :, :20] *= 0.5  # darker from then on
    filtered, _ = quegan_yu(speckled(level, rng), 5)
    beside = filtered[:, 5:-5, 19:21].mean(axis=(0, 1))
    assert beside[1] / beside[0] > 6.0  # a mean of 5 x 5 alone would leave 1.5
    change = filtered[30:, 5:-5, 5:15].mean() / filtered[:30, 5:-5, 5:15].mean()
    assert change == pytest.approx(0.5, rel=0.03)


def test_missing_pixels_stay_missing_and_spread_nothing():
    level = np.full((3, 9, 9), 0.3)
    level[1, 4, 4] = np.nan
    level[2] = np.nan
    filtered, pixels = quegan_yu(level, 3)
    assert np.isnan(filtered[1, 4, 4]) and np.isnan(filtered[2]).all()
    known = np.isfinite(level)
    np.testing.assert_allclose(filtered[known], 0.3)
    assert pixels[1, 4, 5] == 8 and pixels[0, 0, 0] == 4


def test_ground_darker_than_noise_is_missing():
    level = np.full((2, 9, 9), -0.1)
    assert np.isnan(quegan_yu(level, 3).power).all()


def test_an_even_window_is_refused():
    with pytest.raises(ValueError, match="odd"):
        quegan_yu(np.ones((1, 3, 3)), 4)
