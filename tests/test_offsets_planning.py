"""Pairs of images are of one season and one sun, and reach over the years."""

import pandas as pd
import pytest

from rockglacier.errors import NetworkError
from rockglacier.offsets.planning import Room, pair_counts
from rockglacier.offsets.planning import propose_image_pairs as propose
from rockglacier.readers.stack import Rejected

LIMITS = {"pair_days": (330, 3800), "season_days": 40, "sun_deg": 15, "connections": 8}


def scenes(*dates: str, azimuth: float = 150.0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "date": pd.to_datetime(list(dates)),
            "sun_azimuth_deg": azimuth,
            "sun_elevation_deg": 50.0,
        }
    )


def propose_image_pairs(table: pd.DataFrame, **limits: object) -> pd.DataFrame:
    """The pairs; without ``room`` none is left out."""
    pairs, rejected = propose(table, **limits)  # type: ignore[arg-type]
    assert rejected == []
    return pairs


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


def within(*dates: str, chip: int = 32, **limits: object) -> tuple[list[str], list[Rejected]]:
    """Pairs, and what is left out, of images of 100 x 150 pixels of 15 m; 10 m/yr, 2 pixels."""
    room = Room(100, 150, 15.0, chip, 10.0, 2.0)
    pairs, rejected = propose(scenes(*dates), room=room, **LIMITS | limits)  # type: ignore[arg-type]
    return named(pairs), rejected


def test_a_pair_that_outgrows_the_images_is_left_out_and_costs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # (100 - 32) / 2 - 2 = 32 pixels of 15 m: 48 years of 10 m.
    dates = ("1960-08-01", "2007-07-25", "2008-08-20", "2009-08-01")
    pairs, rejected = within(*dates, pair_days=(330, 20_000))
    assert pairs == ["600801-070725", "070725-080820", "070725-090801", "080820-090801"]
    assert [one.pair for one in rejected] == ["19600801_20080820", "19600801_20090801"]
    flaw = rejected[0].flaw
    assert flaw.found == "images of 100 x 150 pixels of 15 m"
    assert flaw.needed.startswith("102 pixels a side, for a chip of 32 and a search of 35 on")
    assert "lower offsets.max_velocity_m_per_year (to 9.98 for" in flaw.remedy
    (warning,) = caplog.messages
    assert warning.startswith(
        "2 of 6 pairs are left out; the shortest, 19600801_20080820: the search outgr"
    )
    caplog.clear()


def test_pairs_that_fit_take_the_place_of_those_that_do_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dates = ("1960-08-01", "1980-08-01", "2000-08-01", "2018-08-01")
    pairs, _ = within(*dates, pair_days=(330, 30_000), connections=1)
    assert pairs == ["600801-000801", "800801-180801", "000801-180801"]
    caplog.clear()


def test_no_pair_that_fits_is_an_error_that_says_what_the_shortest_needs() -> None:
    message = (
        r"None of 3 pairs fits into the images; the shortest, 20160810_20170810: .*100 x 150 "
        r"pixels.*102 pixels a side, for a chip of 96 and a search of 3 .*smaller offsets.chips"
    )
    with pytest.raises(NetworkError, match=message):
        within("2016-08-10", "2017-08-10", "2018-08-11", chip=96)


def test_the_speed_that_would_do_does() -> None:
    for days, side in ((3653.0, 90), (400.0, 77), (12.0, 61)):
        flaw = Room(side, 200, 15.0, 24, 4e4, 2.0).flaw("20160810_20260810", days)
        speed = float(flaw.remedy.split("(to ")[1].split()[0])
        assert Room(side, 200, 15.0, 24, speed, 2.0).fits(days)
        assert not Room(side, 200, 15.0, 24, 1.02 * speed, 2.0).fits(days)
    assert "(to" not in Room(20, 200, 15.0, 24, 4e4, 2.0).flaw("20160810_20260810", days).remedy


def test_one_scene_makes_no_pair() -> None:
    with pytest.raises(NetworkError, match=r"1 scene can be used \(2016-08-10\), but a pair"):
        propose_image_pairs(scenes("2016-08-10"), **LIMITS)


def test_a_search_is_as_long_as_the_time_between() -> None:
    table = scenes("2016-08-10", "2026-08-10")
    room = Room(40, 40, 15.0, 16, 15.0, 2.0)
    assert room.search(3652.5) == 12 and room.search(3652.6) == 13
    table["time"] = pd.to_datetime(["2016-08-10 00:10", "2026-08-10 12:00"])
    pairs, _ = propose(table, room=room, **LIMITS)  # type: ignore[arg-type]
    assert len(pairs) == 1
    table["time"] = pd.to_datetime(["2016-08-10 00:10", "2026-08-10 13:00"])
    with pytest.raises(NetworkError, match="a search of 13"):
        propose(table, room=room, **LIMITS)  # type: ignore[arg-type]


def test_a_scene_in_no_pair_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    table = scenes("2016-08-10", "2017-08-05", "2017-12-24", "2018-08-01")
    counts = pair_counts(table, propose_image_pairs(table, **LIMITS))
    assert list(counts) == [2, 2, 0, 2]
    (warning,) = caplog.messages
    assert warning.startswith("1 of 4 scenes are in no pair and tell nothing: 2017-12-24; relax")
    caplog.clear()
