"""Pairs of images are of one season and one sun, and reach over the years."""

import pandas as pd
import pytest

from rockglacier.errors import NetworkError
from rockglacier.offsets.planning import propose_image_pairs

LIMITS = {"pair_days": (330, 3800), "season_days": 40, "sun_deg": 15, "connections": 8}


def scenes(*dates: str, azimuth: float = 150.0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "date": pd.to_datetime(list(dates)),
            "sun_azimuth_deg": azimuth,
            "sun_elevation_deg": 50.0,
        }
    )


def named(pairs: pd.DataFrame) -> list[str]:
    return [f"{r.reference:%y%m%d}-{r.secondary:%y%m%d}" for r in pairs.itertuples()]


def test_pairs_span_years_within_one_season() -> None:
    table = scenes("2018-08-01", "2016-08-10", "2017-08-05", "2017-12-24")
    assert named(propose_image_pairs(table, **LIMITS)) == [
        "160810-170805", "160810-180801", "170805-180801",
    ]  # fmt: skip


def test_the_turn_of_the_year_is_one_season() -> None:
    (pair,) = propose_image_pairs(scenes("2016-12-28", "2018-01-10"), **LIMITS).itertuples()
    assert pair.season_days == pytest.approx(12.75)


def test_another_sun_makes_no_pair() -> None:
    table = scenes("2016-08-10", "2017-08-10", "2018-08-10")
    table.loc[1, "sun_azimuth_deg"] = 170.0
    assert named(propose_image_pairs(table, **LIMITS)) == ["160810-180810"]
    # North is between 359 and 1 degree.
    table["sun_azimuth_deg"] = [359.0, 1.0, 5.0]
    assert len(propose_image_pairs(table, **LIMITS)) == 3
    table["sun_elevation_deg"] = [30.0, 50.0, 31.0]
    assert named(propose_image_pairs(table, **LIMITS)) == ["160810-180810"]


def test_many_images_are_paired_evenly_and_over_the_longest_time() -> None:
    table = scenes(*(f"{year}-08-01" for year in range(2010, 2021)))
    pairs = propose_image_pairs(table, **LIMITS | {"connections": 3})
    first = pairs[pairs.reference == pd.Timestamp("2010-08-01")]
    assert list(first.secondary.dt.year) == [2011, 2015, 2020]
    assert len(propose_image_pairs(table, **LIMITS | {"connections": 1})) == 10


def test_the_sun_does_not_count_for_radar_but_months_do() -> None:
    dates = ["2020-06-04", "2020-07-10", "2020-08-27", "2020-12-01", "2021-07-05"]
    table = scenes(*dates)[["date"]]
    limits = {"pair_days": (12, 400), "season_days": 183, "connections": 8, "months": [7, 8]}
    pairs = propose_image_pairs(table, **limits)
    assert named(pairs) == ["200710-200827", "200710-210705", "200827-210705"]
    assert "sun_deg" not in pairs
    with pytest.raises(NetworkError, match=r"months 0\); .*relax pair_days, season_days, months"):
        propose_image_pairs(table, **limits | {"months": [9]})


def test_no_pair_is_an_error_that_says_which_limit_forbids() -> None:
    table = scenes("2016-08-10", "2016-08-26")
    with pytest.raises(NetworkError, match=r"pair_days 0, season_days 1, sun_deg 1"):
        propose_image_pairs(table, **LIMITS)
