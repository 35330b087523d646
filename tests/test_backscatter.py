"""Factors of backscatter through time against series whose course is known."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from rockglacier import backscatter, trend

LOOKS, WINDOW = 5.0, 5
MONTHS = {"snow_free_months": [7, 8, 9], "melt_months": [5, 6], "winter_months": [12, 1, 2]}
DATES = pd.date_range("2017-03-04", "2020-12-28", freq="12D")
SIZE = 36


def series(decibel, seed=1, dates=DATES):
    """Speckled power (date, y, x) of a course (date, broadcast to y, x) in dB."""
    rng = np.random.default_rng(seed)
    level = 10.0 ** (0.1 * np.broadcast_to(decibel, (len(dates), SIZE, SIZE)))
    return xr.DataArray(
        level * rng.gamma(LOOKS, 1.0 / LOOKS, level.shape),
        dims=("date", "y", "x"),
        coords={
            "date": dates,
            "y": -np.arange(SIZE, dtype=float),
            "x": np.arange(SIZE, dtype=float),
        },
        attrs={"units": "1"},
    )


def factors(power, **options):
    return backscatter.variation(power, looks=LOOKS, speckle_window=WINDOW, **MONTHS, **options)


def course(name):
    day = DATES.day_of_year.to_numpy()[:, None, None]
    years = ((DATES - DATES[0]).days.to_numpy() / 365.25)[:, None, None]
    return {
        "steady": -11.0 + 0.0 * years,
        "annual": -11.0 + 1.2 * np.cos(2 * np.pi * (day - 211.0) / 365.25),
        "melt": -11.0 - 4.0 * ((day >= 121) & (day <= 181)),
        "brightening": -11.0 + 0.4 * years,
    }[name]


def inner(array):
    return array.values[..., 4:-4, 4:-4]


def test_steady_ground_varies_by_speckle_alone():
    found = factors(series(course("steady")))
    assert inner(found["mean"])[0].mean() == pytest.approx(-11.0, abs=0.02)
    assert np.abs(inner(found["excess_variation"]).mean()) < 0.05 / (LOOKS * WINDOW**2)
    floor = 10.0 / np.log(10.0) / np.sqrt(LOOKS * WINDOW**2)
    assert inner(found["std"]).mean() == pytest.approx(floor, rel=0.05)
    assert inner(found["annual_amplitude"]).mean() < 0.15
    assert (np.abs(inner(found["trend_z"])[0]) > 1.96).mean() < 0.1


def test_ground_that_varies_shows_its_variation():
    rng = np.random.default_rng(7)
    wild = 1.5 * rng.normal(size=(len(DATES), 1, 1))
    found = factors(series(-11.0 + wild))
    power = 10.0 ** (0.1 * wild[:, 0, 0])
    truth = power.var(ddof=1) / power.mean() ** 2
    assert inner(found["excess_variation"])[0].mean() == pytest.approx(truth, rel=0.03)


def test_an_annual_course():
    found = factors(series(course("annual")))
    assert inner(found["annual_amplitude"]).mean() == pytest.approx(1.2, abs=0.03)
    assert np.median(inner(found["annual_maximum"])) == pytest.approx(211, abs=4)
    assert np.median(inner(found["annual_minimum"])) == pytest.approx(28, abs=8)
    assert np.nanmean(inner(found["std"])[1]) < inner(found["std"])[0].mean()


def test_melt_darkens_and_the_snow_free_months_do_not_know_of_it():
    found = factors(series(course("melt")))
    assert inner(found["melt_depression"]).mean() == pytest.approx(-4.0, abs=0.1)
    whole, snow_free = inner(found["std"]).mean(axis=(1, 2))
    floor = 10.0 / np.log(10.0) / np.sqrt(LOOKS * WINDOW**2)
    assert whole > 3 * snow_free and snow_free == pytest.approx(floor, rel=0.1)


def test_a_trend_in_spite_of_a_season():
    found = factors(series(course("brightening") + course("annual") + 11.0))
    for which in (0, 1):
        assert inner(found["trend"])[which].mean() == pytest.approx(0.4, abs=0.06)


@pytest.mark.parametrize(
    ("name", "kind", "truth"),
    [
        ("mean", "steady", -11.0),
        ("trend", "brightening", 0.4),
        ("melt_depression", "melt", -4.0),
        ("annual_amplitude", "annual", 1.2),
    ],
)
def test_errors_cover_the_truth(name, kind, truth):
    """Pixels far enough apart that the filter does not join them."""
    kept = []
    for seed in range(12):
        found = factors(series(course(kind), seed=seed))
        value, error = found[name], found[f"{name}_error"]
        if "season" in value.dims:
            value, error = value[0], error[0]
        apart = (slice(4, -4, WINDOW + 1),) * 2
        kept.append((np.abs(value.values - truth) <= 1.96 * error.values)[apart])
    assert 0.92 <= np.mean(kept) <= 0.98


def test_few_dates_tell_little():
    few = factors(series(course("annual")[:6], dates=DATES[:6]))
    assert np.isfinite(inner(few["std"])[0]).all()
    for name in ("trend", "annual_amplitude", "melt_depression"):
        assert np.isnan(few[name].values).all()
    assert np.isnan(few["std"].values[1]).all()
    assert (few["count"].values[0] == 6).all()


def test_missing_ground_stays_missing():
    power = series(course("steady"))
    power[:, 10:14, 10:14] = np.nan
    found = factors(power)
    hole = (slice(10, 14), slice(10, 14))
    assert np.isnan(found["mean"].values[0][hole]).all()
    assert (found["count"].values[0][hole] == 0).all()
    assert np.isfinite(found["mean"].values[0][20:, 20:]).all()


@pytest.mark.parametrize("window", [1, 5])
def test_dark_ground_is_as_dark_as_it_is(window):
    """Where noise that was taken away leaves less than nothing, too."""
    power = series(np.full((len(DATES), 1, 1), -24.0))
    rng = np.random.default_rng(5)
    power = power + rng.normal(0.0, 2.0 * 10.0**-2.4, power.shape)
    assert 0.2 < float((power < 0.0).mean()) < 0.4
    found = backscatter.variation(
        power.assign_attrs(units="1"), looks=LOOKS, speckle_window=window, **MONTHS
    )
    mean = inner(found["mean"])[0]
    assert np.nanmean(mean) == pytest.approx(-24.0, abs=0.15)
    assert (inner(found["count"])[0] == len(DATES)).all()


def test_the_lowest_day_of_the_year():
    day = DATES.day_of_year.to_numpy()[:, None, None]
    found = factors(series(-11.0 + 4.0 * np.cos(2 * np.pi * (day - 117.6) / 365.25)))
    assert np.median(inner(found["annual_maximum"])) == pytest.approx(117.6, abs=0.7)
    lowest = inner(found["annual_minimum"]).mean()  # whole days, pixel by pixel
    assert lowest == pytest.approx(117.6 + 0.5 * 365.25, abs=0.7)


def test_a_track_of_summers_alone_leaves_the_year_to_the_other():
    summers = DATES[DATES.month.isin([7, 8])]
    many = summers.append(summers + pd.Timedelta(days=3)).append(summers + pd.Timedelta(days=6))
    many = many.append(many + pd.Timedelta(days=1)).sort_values()
    tracks = [factors(series(np.full((len(d), 1, 1), -11.0) if d is many else course("annual"),
                             dates=d)) for d in (many, DATES)]  # fmt: skip
    assert tracks[0]["annual_maximum"].isnull().all() and len(many) > len(DATES)
    joined = backscatter.combined(tracks)
    assert np.median(inner(joined["annual_maximum"])) == pytest.approx(211.0, abs=6.0)
    assert (inner(joined["count"])[0] == len(many) + len(DATES)).all()


def test_winter_in_the_south_is_not_free_of_snow():
    assert "winter at -33 degrees" in backscatter.doubt_months(-33.0, [7, 8, 9])
    assert backscatter.doubt_months(-33.0, [1, 2, 3]) == ""
    assert backscatter.doubt_months(46.0, [7, 8, 9]) == ""


def test_tracks_are_joined_by_their_median():
    tracks = [factors(series(course("steady") + offset, seed=offset)) for offset in (0, 1, 5)]
    tracks[2] = tracks[2].where(tracks[2].x > 9.0)
    joined = backscatter.combined(tracks)
    assert inner(joined["mean"])[0][:, 8:].mean() == pytest.approx(-10.0, abs=0.1)
    assert joined["track_count"].values[0, 0] == 2 and joined["track_count"].values[0, 20] == 3
    assert joined["mean"].attrs["units"] == "dB"


def test_shares_of_chance_of_all_tracks_are_those_of_their_median_test():
    tracks = [factors(series(course("brightening"), seed=seed)) for seed in (0, 1)]
    tracks = [track.assign(trend.shares_of_chance(track)) for track in tracks]
    joined = backscatter.combined(tracks)
    z = np.mean([track["trend_z"].values for track in tracks], axis=0)
    np.testing.assert_allclose(joined["trend_z"], z, rtol=1e-6)
    for season in (0, 1):
        np.testing.assert_allclose(
            joined["trend_q"][season], trend.false_discovery(joined["trend_z"].values[season]),
            rtol=1e-6,
        )  # fmt: skip
    assert joined["trend_q"].attrs["units"] == "1"
