"""Motion of objects through networks that fall apart: what is told, and that no more is."""

import geopandas
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from shapely.geometry import box

from rockglacier import inversion
from rockglacier.conventions import MAP, UNRESOLVED, Reason, VelocitySource, years_since
from rockglacier.grid import Grid
from rockglacier.inventory import kinematics
from rockglacier.inventory.patterns import NOT_OBSERVED

WAVELENGTH = 0.0555
SCALE = -WAVELENGTH / (4.0 * np.pi)
SIDE = 6  # pixels of an object
DELAY_M, PHASE_RAD = 0.0015, 0.25  # noise of a date over an object, and of a pixel's pair
SHARE = 0.8  # of the motion along the line of sight


def summers(years: int) -> np.ndarray:
    """Every 12 days from July to October."""
    first = [np.datetime64(f"{2018 + k}-07-05", "ns") for k in range(years)]
    return np.concatenate([one + np.arange(9) * np.timedelta64(12, "D") for one in first])


def gone(dates: np.ndarray, *, season: float = 0.3, faster: float = 0.0) -> np.ndarray:
    """Years of motion at the mean rate: fastest in September, ``faster`` by a share a year."""
    t = years_since(dates, np.datetime64("2018-01-01", "ns"))
    wave = season / (2.0 * np.pi) * np.sin(2.0 * np.pi * (t - 0.7))
    moved = t + wave + 0.5 * faster * t**2
    return moved - moved[0]


def region(count: int) -> tuple[Grid, geopandas.GeoDataFrame]:
    """A row of ``count`` square objects."""
    grid = Grid("EPSG:32632", 650_000.0, 5_190_000.0, 40.0, 40.0, count * (SIDE + 2), SIDE + 2)
    lefts = [grid.west + 40.0 * (k * (SIDE + 2) + 1) for k in range(count)]
    top = grid.north - 40.0
    outlines = [box(x, top - 40.0 * SIDE, x + 40.0 * SIDE, top) for x in lefts]
    names = [f"O{k}" for k in range(count)]
    return grid, geopandas.GeoDataFrame({"PrimaryID": names}, geometry=outlines, crs=grid.crs)


def inverted(
    rates: np.ndarray, dates: np.ndarray, *, seed: int, wrapped: bool = False, **course: float
) -> tuple[Grid, geopandas.GeoDataFrame, xr.Dataset]:
    """Objects that move at ``rates`` (m/yr, down the slope), seen by pairs and inverted.

    Pairs are of 12 and 24 days, and of a year where the ground rests; ``wrapped`` makes pairs of a
    year of moving ground too, in the cycle nearest to the ground around it.
    """
    rng = np.random.default_rng(seed)
    grid, objects = region(rates.size)
    moved = np.zeros((dates.size, *grid.shape))
    shape = np.clip(1.2 - (np.mgrid[-1 : 1 : SIDE * 1j] ** 2), 0.0, 1.0)  # slower at the sides
    moving = np.zeros(grid.shape, bool)
    for k, rate in enumerate(rates):
        place = (slice(1, SIDE + 1), slice(k * (SIDE + 2) + 1, k * (SIDE + 2) + 1 + SIDE))
        delay = rng.normal(0.0, DELAY_M, dates.size)
        own = -SHARE * rate * gone(dates, **course)[:, None, None] * shape
        moved[(slice(None), *place)] = own + delay[:, None, None]
        moving[place] = rate != 0.0
    days = (dates - dates[0]) / np.timedelta64(1, "D")
    lag = days[None] - days[:, None]
    short, long = (lag > 0) & (lag <= 24), np.abs(lag - 360) < 8
    first, second = np.nonzero(short | long)
    phase = (moved[second] - moved[first]) / SCALE
    phase = phase + PHASE_RAD * rng.normal(size=phase.shape)
    of_year = lag[first, second] > 300
    cycles = np.zeros(phase.shape, np.int8)
    if wrapped:
        phase[of_year] -= 2.0 * np.pi * np.round(phase[of_year] / (2.0 * np.pi))
    else:
        cycles[np.ix_(of_year)] = np.where(moving, UNRESOLVED, 0)
    dims = ("pair", *MAP)
    ends = {"reference": ("pair", dates[first]), "secondary": ("pair", dates[second])}
    stack = xr.DataArray(phase, dims=dims, coords=ends, attrs={"units": "rad"})
    result = inversion.invert(
        stack, wavelength_m=WAVELENGTH, cycles=xr.DataArray(cycles, dims=dims)
    )
    return grid, objects, result.assign_coords(grid.coords)


def series(grid: Grid, objects: geopandas.GeoDataFrame, stack: xr.Dataset) -> pd.DataFrame:
    sensitivity = xr.DataArray(np.full(grid.shape, -SHARE), dims=MAP)
    return kinematics.series(objects, stack, sensitivity, grid, track="t1")


def true_rate(rate: float, row: pd.Series, **course: float) -> float:
    ends = np.array([row["first"], row["last"]], dtype="datetime64[ns]")
    years = (ends[1] - ends[0]) / np.timedelta64(1, "D") / 365.25
    of_median = float(np.median(np.clip(1.2 - np.mgrid[-1 : 1 : SIDE * 1j] ** 2, 0.0, 1.0)))
    return float(-SHARE * rate * of_median * np.diff(gone(ends, **course))[0] / years)


def test_winters_that_no_pair_bridges_are_unknown_not_rest() -> None:
    dates = summers(3)
    rates = np.array([0.3, 0.0])
    grid, objects, stack = inverted(rates, dates, seed=0)
    assert np.all(stack["subset_count"].values[1:-1, 1:7] == 3)
    found = series(grid, objects, stack)
    moving = found[found["PrimaryID"] == "O0"]
    assert list(moving["subset"]) == [1] * 9 + [2] * 9 + [3] * 9
    assert (moving.groupby("subset")["displacement"].first() == 0.0).all()
    told = kinematics.yearly(found)
    own = told[told["PrimaryID"] == "O0"]
    assert list(own["period"]) == ["season"] * 3 and list(own["year"]) == [2018, 2019, 2020]
    assert list(own["first"]) == list(dates[::9]) and list(own["last"]) == list(dates[8::9])
    for _, row in own.iterrows():
        truth = true_rate(0.3, row)
        assert abs(row["velocity"] - truth) < 3.0 * row["velocity_error"] < 0.05
        assert row["velocity"] / truth == pytest.approx(1.0, abs=0.12)
    # Summers alone tell neither a season nor that there is none, and no winter is a step.
    track, course = kinematics.patterns(found)["O0"]
    assert track == "t1" and course.pattern == NOT_OBSERVED
    assert course.season_share == pytest.approx(96 / 365, abs=0.03)
    assert course.rate == pytest.approx(true_rate(0.3, own.iloc[0]) / -SHARE, abs=0.03)
    still = told[told["PrimaryID"] == "O1"]
    assert list(still["period"]) == ["year"] * 2 and list(still["year"]) == [2019, 2020]
    assert (still["velocity"].abs() < 3.0 * still["velocity_error"]).all()
    assert (still["velocity_error"] < 0.003).all()


def test_errors_of_seasons_cover_the_truth() -> None:
    rates = np.linspace(0.05, 0.35, 60)
    inside, wrong = [], 0
    for seed in range(3):
        grid, objects, stack = inverted(rates, summers(2), seed=seed)
        found = series(grid, objects, stack)
        told = kinematics.yearly(found)
        assert set(told["period"]) == {"season"} and len(told) == 120
        for _, row in told.iterrows():
            off = row["velocity"] - true_rate(rates[int(row["PrimaryID"][1:])], row)
            inside.append(abs(off) < 1.96 * row["velocity_error"])
        courses = kinematics.patterns(found).values()
        wrong += sum(course.pattern != NOT_OBSERVED for _, course in courses)
    assert wrong <= 9  # of 180, where any pattern is told by chance
    assert 0.90 <= np.mean(inside) <= 0.98


def test_faster_from_summer_to_summer_is_told() -> None:
    rates = np.full(10, 0.25)
    grid, objects, stack = inverted(rates, summers(5), seed=1, faster=0.25)
    courses = [course for _, course in kinematics.patterns(series(grid, objects, stack)).values()]
    assert sum(course.pattern == "accelerating" for course in courses) >= 8
    told = [course.acceleration for course in courses if course.pattern == "accelerating"]
    of_median = true_rate(0.25, pd.Series({"first": "2018-01-01", "last": "2018-12-31"}))
    assert np.median(told) == pytest.approx(0.25 * of_median / -SHARE, rel=0.25)


def test_a_year_that_lost_a_cycle_is_cut_where_its_summers_show_it() -> None:
    # Nearly a cycle a year: pairs of a year show rest, and agree with each other.
    rate = 0.5 * WAVELENGTH / SHARE
    grid, objects, stack = inverted(np.array([rate, 0.0]), summers(2), seed=3, wrapped=True)
    assert np.all(stack["subset_count"] == 1)
    told = kinematics.yearly(series(grid, objects, stack)).set_index("PrimaryID")
    assert list(told.loc["O0", "period"]) == ["season"] * 2
    for _, row in told.loc["O0"].iterrows():
        assert abs(row["velocity"] - true_rate(rate, row)) < 3.0 * row["velocity_error"]
    assert told.loc["O1", "period"] == "year"


def test_what_pairs_cannot_resolve_has_no_series() -> None:
    grid, objects, stack = inverted(np.array([0.2, 0.2, 0.2]), summers(1), seed=4)
    layer = np.zeros(grid.shape)
    rates = xr.Dataset(
        {"velocity": (MAP, layer - 0.15), "velocity_error": (MAP, layer + 0.002),
         "reason": (MAP, layer.copy())}
    )  # fmt: skip
    joined = xr.Dataset(
        {"velocity": (MAP, layer.copy()), "velocity_error": (MAP, layer + 0.1),
         "velocity_source": (MAP, layer + VelocitySource.INTERFEROMETRY)}
    )  # fmt: skip
    rates["reason"].values[2, 2:8] = Reason.ALIASED  # a sixth of the first
    rates["velocity"].values[2, 2:8] = np.nan
    # Offsets see a sixth of the second at 0.8 m/yr: 0.64 along the line of sight, 21 mm in 12 days.
    joined["velocity"].values[2, 9:15] = 0.8
    joined["velocity_source"].values[2, 9:15] = VelocitySource.OFFSETS
    sensitivity = xr.DataArray(np.full(grid.shape, -SHARE), dims=MAP)
    belief = kinematics.believed(rates, joined, sensitivity, stack)
    found = kinematics.series(objects, stack, sensitivity, grid, track="t1", belief=belief)
    seen = found.groupby("PrimaryID")["displacement"].count()
    assert list(seen) == [0, 0, 9]
    assert found.loc[found["PrimaryID"] == "O1", "subset"].eq(0).all()
    assert set(kinematics.yearly(found)["PrimaryID"]) == {"O2"}


def test_a_lazy_stack_gives_the_same() -> None:
    grid, objects, stack = inverted(np.array([0.3, 0.0]), summers(2), seed=5)
    pd.testing.assert_frame_equal(
        series(grid, objects, stack), series(grid, objects, stack.chunk(y=3, date=1))
    )


def test_few_objects_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    grid, objects, stack = inverted(np.array([0.3, 0.0, 0.1]), summers(2), seed=6)
    whole = series(grid, objects, stack)
    monkeypatch.setattr(kinematics, "SAMPLES_AT_ONCE", 18 * SIDE * SIDE)
    pd.testing.assert_frame_equal(series(grid, objects, stack), whole)


def test_a_series_of_no_known_network_is_one_subset() -> None:
    dates = summers(2)
    grid, objects, stack = inverted(np.array([0.2]), dates, seed=7)
    unknown = stack.drop_vars("subset")
    unknown.attrs.clear()
    found = series(grid, objects, unknown)
    assert (found["subset"] == 1).all()
    assert list(kinematics.yearly(found)["period"]) == ["year"]
    # Where the wavelength is known, a winter that the summers contradict is cut all the same.
    found = series(grid, objects, unknown.assign_attrs(stack.attrs))
    assert set(found["subset"]) == {1, 2}
