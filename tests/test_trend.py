"""Slopes and seasons against other code and against known truth."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from rockglacier import trend

YEARS = np.arange(90) * 12.0 / 365.25


def noise(rng, count, dates, memory=0.0):
    """Unit noise (date, 1, pixel) that remembers the date before by ``memory``."""
    out = rng.normal(size=(dates, 1, count))
    for date in range(1, dates):
        out[date] = memory * out[date - 1] + np.sqrt(1.0 - memory**2) * out[date]
    return out


def test_slope_and_interval_are_those_of_scipy():
    rng = np.random.default_rng(1)
    values = noise(rng, 5, YEARS.size) + 0.3 * YEARS[:, None, None]
    values[rng.random(values.shape) < 0.2] = np.nan
    found = trend.theil_sen(values, YEARS)
    for pixel in range(5):
        known = np.isfinite(values[:, 0, pixel])
        x, t = values[known, 0, pixel], YEARS[known]
        rate, _, low, high = stats.theilslopes(x, t, alpha=0.95)
        assert found.rate[0, pixel] == pytest.approx(rate, abs=1e-12)
        ranks = trend._inflation(x - rate * t)
        if ranks == 1.0:  # scipy knows of no serial correlation
            assert found.error[0, pixel] * 2 * 1.96 == pytest.approx(high - low, rel=0.03)
        tau = stats.kendalltau(t, x).statistic
        score, n = tau * x.size * (x.size - 1) / 2, x.size
        z = (score - np.sign(score)) / np.sqrt(ranks * n * (n - 1) * (2 * n + 5) / 18)
        assert found.z[0, pixel] == pytest.approx(z, rel=1e-6)


@pytest.mark.parametrize("dates", [12, 24, 27, 60, 200])
@pytest.mark.parametrize("kind", ["plain", "tied", "wild", "level"])
def test_slope_and_error_are_those_of_sorted_slopes(kind, dates):
    """Of few slopes and of many, which are counted: tied, of heavy tails, most of them zero."""
    rng = np.random.default_rng(9)
    years = np.sort(rng.uniform(0.0, 9.0, dates))
    values = rng.standard_t(1.0 if kind == "wild" else 9.0, size=(dates, 1, 40))
    values = {"tied": np.round(values), "level": np.where(values < 1.0, 0.0, values)}.get(
        kind, values
    )
    found = trend.theil_sen(values, years)
    earlier, later = np.triu_indices(dates, 1)
    for pixel in range(40):
        x = values[:, 0, pixel]
        slopes = np.sort((x[later] - x[earlier]) / (years[later] - years[earlier]))
        rate = np.median(slopes)
        assert found.rate[0, pixel] == rate
        wider = trend._inflation(x - rate * years)
        half = 0.5 * 1.959964 * np.sqrt(wider * trend._variance(x, True))
        places = 0.5 * (slopes.size - 1) + np.array([-1, 1]) * min(half, 0.5 * (slopes.size - 1))
        low, high = slopes[int(np.floor(places[0]))], slopes[int(np.ceil(places[1]))]
        assert found.error[0, pixel] == pytest.approx((high - low) / 3.919928, rel=1e-12)


@pytest.mark.parametrize("memory", [0.0, 0.3, 0.5, 0.7])
def test_the_interval_covers_the_slope(memory):
    rng = np.random.default_rng(3)
    values = noise(rng, 1500, YEARS.size, memory) + 0.2 * YEARS[:, None, None]
    found = trend.theil_sen(values, YEARS)
    covered = np.abs(found.rate - 0.2) <= 1.96 * found.error
    assert 0.92 <= covered.mean() <= 0.98
    z = trend.theil_sen(noise(rng, 1500, YEARS.size, memory), YEARS).z
    assert (np.abs(z) > 1.96).mean() < 0.08


def test_too_few_dates_and_equal_values():
    values = np.full((10, 1, 2), np.nan)
    values[:7, 0, 0] = np.arange(7.0)
    values[:, 0, 1] = 5.0
    found = trend.theil_sen(values, YEARS[:10])
    assert np.isnan(found.rate[0, 0])
    assert (found.rate[0, 1], found.error[0, 1], found.z[0, 1]) == (0.0, 0.0, 0.0)


def test_ties_lower_the_variance():
    x = np.array([1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 4.0, 5.0])
    full = 8 * 7 * 21
    assert trend._variance(x, True) == pytest.approx((full - 2 * 1 * 9 - 3 * 2 * 11) / 18)


def test_a_season_is_found_within_its_error():
    rng = np.random.default_rng(4)
    turns = 2 * np.pi * YEARS[:, None, None]
    truth = np.array([-10.0, 0.1, 1.5, -0.7])
    clean = truth[0] + truth[1] * YEARS[:, None, None] + 1.5 * np.cos(turns) - 0.7 * np.sin(turns)
    values = clean + 0.8 * noise(rng, 2000, YEARS.size)
    values[rng.random(values.shape) < 0.3] = np.nan
    found = trend.season(values, YEARS)
    error = np.sqrt(np.einsum("iiyx->iyx", found.covariance))
    covered = np.abs(found.coefficients - truth[:, None, None]) <= 1.96 * error
    assert (np.abs(covered.mean(axis=(1, 2)) - 0.95) < 0.03).all()
    assert found.rms.mean() == pytest.approx(0.8, rel=0.02)


def test_a_season_that_was_not_seen_is_not_fitted():
    values = np.random.default_rng(5).normal(size=(90, 1, 2))
    summer = (np.mod(YEARS, 1.0) > 0.4) & (np.mod(YEARS, 1.0) < 0.8)
    values[~summer, 0, 0] = np.nan
    found = trend.season(values, YEARS)
    assert np.isnan(found.rms[0, 0]) and np.isfinite(found.rms[0, 1])


def hamed_rao(x):
    """Score's deviation by Hamed & Rao (1998): by lags of the ranks without their slope."""
    n = x.size
    slope = stats.theilslopes(x, np.arange(n)).slope
    rank = stats.rankdata(x - slope * np.arange(n))
    rank = rank - rank.mean()
    correlation = np.correlate(rank, rank, "full")[n - 1 :] / (rank @ rank)
    lag = np.arange(1, n)
    significant = np.abs(correlation[1:]) > stats.norm.ppf(0.975) / np.sqrt(n)
    weight = (n - lag) * (n - lag - 1.0) * (n - lag - 2.0)
    total = (weight * correlation[1:] * significant).sum()
    return np.sqrt(n * (n - 1) * (2 * n + 5) / 18 * (1 + 2 * total / (n * (n - 1.0) * (n - 2.0))))


def test_significant_lags_widen_the_test_as_hamed_and_rao_do():
    rng = np.random.default_rng(6)
    values = noise(rng, 4, 120, memory=0.5) + 0.01 * np.arange(120)[:, None, None]
    found = trend.theil_sen(values, np.arange(120) / 12.0, memory="lags")
    for pixel in range(4):
        x = values[:, 0, pixel]
        score = stats.kendalltau(np.arange(120), x).statistic * 120 * 119 / 2
        z = (score - np.sign(score)) / hamed_rao(x)
        assert found.z[0, pixel] == pytest.approx(z, rel=1e-9)


def test_lags_that_leave_no_variance_tell_no_test():
    swing = np.array([8.0, 0, 10, 2, 6, 7, 1, 9, 5, 3, 11, 4])[:, None, None]
    found = trend.theil_sen(swing, np.arange(12.0), memory="lags")
    assert np.isfinite(found.rate) and np.isnan(found.z) and np.isnan(found.error)
    first = trend.theil_sen(swing, np.arange(12.0))
    assert np.isfinite(first.z) and np.isfinite(first.error)


def test_equal_values_share_their_rank():
    """Half of a series is one value, as snow that stays is: that is no memory."""
    rng = np.random.default_rng(8)
    values = np.where(rng.random((24, 1, 400)) < 0.5, 0.8, rng.normal(size=(24, 1, 400)))
    years = np.arange(24.0)
    found = trend.theil_sen(values, years)
    for pixel in range(400):
        x = values[:, 0, pixel]
        rank = stats.rankdata(x - found.rate[0, pixel] * years) - 12.5
        first = (24 * (rank[1:] @ rank[:-1]) / (rank @ rank) + 2) / 20
        k = np.arange(1, 24)
        weight = (24 - k) * (23 - k) * (22 - k) / (24 * 23 * 22)
        wider = 1 + 2 * (weight * first**k).sum() if first > 1 / np.sqrt(24) else 1.0
        score = np.sign(x[None, :] - x[:, None])[np.triu_indices(24, 1)].sum()
        z = (score - np.sign(score)) / np.sqrt(wider * trend._variance(x, True))
        assert found.z[0, pixel] == pytest.approx(z, rel=1e-9)
    assert (np.abs(found.z) > 1.96).mean() < 0.06


def test_dates_of_one_day_tell_no_slope():
    years = np.repeat(np.arange(12.0), 2)
    values = np.stack([years + np.tile([0.0, 0.5], 12), np.full(24, 3.0)], axis=1)[:, None]
    found = trend.theil_sen(values, years)
    assert found.rate[0].tolist() == [1.0, 0.0] and np.isfinite(found.error).all()


def test_chance_among_many_tests():
    rng = np.random.default_rng(2)
    z = np.concatenate([rng.normal(size=9000), rng.normal(5.0, 1.0, 1000), [np.nan]])
    q = trend.false_discovery(z)
    found = q < 0.1
    assert np.isnan(q[-1]) and found[9000:-1].mean() > 0.8
    assert 0.05 < found[:9000].sum() / found.sum() < 0.12  # as many by chance as promised


@pytest.mark.parametrize("memory", [0.0, 0.3])
def test_maps_of_chance_alone_yield_few_discoveries(memory):
    """Of yearly values: as many maps with any as promised, whether neighbours err alike or not."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(100):
        fresh = noise(rng, 500, 12, memory)
        alike = np.repeat(noise(rng, 50, 12, memory), 10, axis=2)
        z = trend.theil_sen(np.concatenate([fresh, alike], axis=2), np.arange(12.0)).z
        found.append((trend.false_discovery(z) < 0.1).any())
    assert np.mean(found) <= 0.1


def test_shares_of_chance_are_scipys_of_each_whole_map():
    rng = np.random.default_rng(12)
    z = rng.normal(size=(2, 30, 20)).astype(np.float32)
    z[0, :10] += 4.0
    z[:, 3, 4:9] = np.nan
    factors = xr.Dataset(
        {
            "trend_z": (("season", "y", "x"), z),
            "melt_trend_z": (("y", "x"), z[0]),
            "rms": (("y", "x"), z[0]),
        },
        coords={"y": -np.arange(30.0), "x": np.arange(20.0), "season": ["all_year", "snow_free"]},
    )
    found = trend.shares_of_chance(factors)
    assert set(found) == {"trend_q", "melt_trend_q"}
    assert found["trend_q"].dims == ("season", "y", "x") and found["trend_q"].dtype == np.float32
    for season in (0, 1):
        known = np.isfinite(z[season])
        wanted = stats.false_discovery_control(2 * stats.norm.sf(np.abs(z[season][known])))
        here = found["trend_q"].values[season]
        np.testing.assert_allclose(here[known], wanted, rtol=1e-6)
        assert np.isnan(here[~known]).all()
    np.testing.assert_array_equal(found["melt_trend_q"], found["trend_q"][0])
    assert (found["trend_q"][0, :10] < 0.1).mean() > 0.8
    assert found["trend_q"].attrs["units"] == "1" and found["trend_q"].attrs["long_name"]


def test_a_robust_season_is_not_bent_by_clouds():
    rng = np.random.default_rng(3)
    years = np.sort(rng.uniform(0.0, 6.0, 150))
    course = 0.2 + 0.02 * years + 0.5 * np.cos(2 * np.pi * (years - 0.1))
    values = np.repeat(course[:, None, None], 400, 2) + 0.05 * rng.normal(size=(150, 1, 400))
    clouds = rng.random(values.shape) < 0.1
    spoilt = np.where(clouds, values + 0.8, values)
    robust, plain = trend.robust_season(spoilt, years), trend.season(spoilt, years, harmonics=2)
    truth = np.array([0.2, 0.02, 0.5 * np.cos(0.2 * np.pi), 0.5 * np.sin(0.2 * np.pi)])
    off = robust.coefficients[:4, 0] - truth[:, None]
    error = np.sqrt(np.stack([robust.covariance[k, k, 0] for k in range(4)]))
    assert np.abs(off[0]).mean() < 0.4 * np.abs(plain.coefficients[0, 0] - 0.2).mean()
    # Clouds are all brighter: what is left of them in the mean is bias, in the season it is not.
    assert 0.9 < (np.abs(off[1:]) < 1.96 * error[1:]).mean() < 0.99
    assert np.median(robust.rms) == pytest.approx(0.05, rel=0.25)


def test_without_outliers_robust_and_plain_agree_and_cover_the_truth():
    rng = np.random.default_rng(4)
    years = np.sort(rng.uniform(0.0, 6.0, 120))
    values = 0.1 * rng.normal(size=(120, 1, 2000))
    values[:5, 0, 0] = np.nan
    values[8:, 0, 1] = np.nan
    found = trend.robust_season(values, years)
    assert np.isnan(found.coefficients[:, 0, 1]).all()
    z = found.coefficients[:, 0] / np.sqrt(np.stack([found.covariance[k, k, 0] for k in range(6)]))
    assert 0.93 < np.nanmean(np.abs(z) < 1.96) < 0.965
    plain = trend.season(values, years, harmonics=2)
    assert np.nanstd(found.coefficients) < 1.05 * np.nanstd(plain.coefficients)


def test_quantiles_are_numpys_whatever_is_missing() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(17, 6, 5))
    values[rng.random(values.shape) < 0.3] = np.nan
    values[1:, 0, 0] = np.nan
    values[:, 1, 1] = np.nan
    found = trend.quantiles(values, (0.05, 0.5, 0.95))
    known = np.isfinite(values).any(axis=0)
    wanted = np.nanquantile(values[:, known], (0.05, 0.5, 0.95), axis=0)
    np.testing.assert_allclose(found[:, known], wanted)
    assert np.isnan(found[:, 1, 1]).all()
