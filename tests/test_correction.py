"""Corrections recover a known motion beneath delays, DEM errors and turbulence, and say so."""

import json
import warnings

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from rockglacier.atmosphere import ZenithDelays
from rockglacier.conventions import years_since
from rockglacier.correction import correct, date_baselines, local_reference, remove_dem_error
from rockglacier.errors import ConfigurationError, DimensionError, NetworkError, UnitsError
from rockglacier.grid import Grid

GRID = Grid("EPSG:32632", 640000.0, 5200000.0, 40.0, 40.0, 101, 83)
DATES = np.datetime64("2020-06-01", "ns") + np.arange(14) * np.timedelta64(24, "D")
YEARS = years_since(DATES, DATES[0])


def smooth(rng, pixels):
    field = gaussian_filter(rng.standard_normal(GRID.shape), pixels, mode="reflect")
    return (field - field.mean()) / field.std()


def on_grid(values, units="1"):
    return xr.DataArray(values, dims=("y", "x"), coords=GRID.coords, attrs={"units": units})


def series(values):
    return xr.DataArray(
        np.asarray(values, np.float32),
        dims=("date", "y", "x"),
        coords={"date": DATES, **GRID.coords},
        attrs={"units": "m"},
        name="displacement",
    )


class Scene:
    """A tongue slides 80 mm/yr high up amid still ground, under air of two kinds."""

    def __init__(self, seed, turbulence_m=0.003, slope_m_per_m=15e-6):
        rng = np.random.default_rng(seed)
        rows, columns = np.indices(GRID.shape)
        hill = 400.0 * np.exp(-((rows - 42) ** 2 + (columns - 50) ** 2) / (2 * 15.0**2))
        self.height = on_grid(2500.0 + 250.0 * smooth(rng, 10) + hill, "m")
        inside = ((rows - 42) / 18.0) ** 2 + ((columns - 50) / 6.0) ** 2
        self.rate = np.where(inside < 1, 0.08, 0.0)
        self.moving = on_grid(inside < 1.3)
        self.truth = self.rate * YEARS[:, None, None]
        self.slopes = np.concatenate([[0.0], rng.normal(0, slope_m_per_m, len(DATES) - 1)])
        self.stratified = self.slopes[:, None, None] * (self.height.values - 2600.0)
        turbulence = np.stack([turbulence_m * smooth(rng, 22) for _ in DATES])
        noise = 0.001 * rng.standard_normal(self.truth.shape)
        self.disturbance = (turbulence - turbulence[0]) + (noise - noise[0])
        self.seen = series(self.truth + self.stratified + self.disturbance)
        self.stable = ~self.moving

    def rate_error(self, displacement, where):
        """RMS error (m/yr) of the linear rate over ``where``; still ground's median is zero."""
        rate = np.polyfit(YEARS, displacement.values.reshape(len(DATES), -1), 1)[0]
        error = rate.reshape(GRID.shape) - self.rate
        error -= np.median(error[~self.moving.values])
        return float(np.sqrt(np.mean(error[where] ** 2)))


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 12), st.integers(0, 10**6))
def test_baselines_of_dates_are_recovered_from_pairs(count, seed):
    rng = np.random.default_rng(seed)
    truth = np.concatenate([[0.0], rng.normal(0, 100, count - 1)])
    first, second = np.array(
        [(i, i + 1) for i in range(count - 1)] + [(i, i + 2) for i in range(count - 2)]
    ).T
    dates = DATES[:count]
    pair = xr.DataArray(truth[second] - truth[first], dims="pair", attrs={"units": "m"})
    ends = (xr.DataArray(dates[k], dims="pair") for k in (first, second))
    reference, secondary = ends
    found = date_baselines(pair.where(np.arange(pair.size) != pair.size - 1), reference, secondary)
    assert np.abs(found.values - truth).max() < 1e-9
    assert np.array_equal(found["date"].values, dates) and found.attrs["units"] == "m"
    with pytest.raises(NetworkError, match="connect"):
        date_baselines(pair.where(second != count - 1), reference, secondary)


def baselines(seed=0):
    values = np.random.default_rng(seed).normal(0, 120, len(DATES))
    return xr.DataArray(
        values - values[0], dims="date", coords={"date": DATES}, attrs={"units": "m"}
    )


def test_a_dem_error_is_removed_and_steady_motion_kept():
    rng = np.random.default_rng(1)
    baseline = baselines()
    error_m = 20.0 * smooth(rng, 3)
    clean = (0.05 * YEARS + 0.02 * YEARS**2)[:, None, None] * smooth(rng, 5)
    part = baseline.values[:, None, None] * error_m / (850e3 * np.sin(np.radians(39.0)))
    found = remove_dem_error(series(clean + part), baseline)
    assert np.abs(part).max() > 5e-3
    assert np.abs(found - clean).max() < 1e-7
    gaps = rng.random(GRID.shape) < 0.3
    seen = series(clean + part)
    seen[4] = seen[4].where(~on_grid(gaps).astype(bool))
    seen[9, :5] = np.nan
    seen[:-4, 7, 7] = np.nan  # too few dates: left as it was
    found = remove_dem_error(seen, baseline)
    assert np.array_equal(np.isnan(found), np.isnan(seen))
    assert np.array_equal(found[-4:, 7, 7], seen[-4:, 7, 7])
    clean[:, 7, 7] = found[:, 7, 7]
    assert np.abs(found - clean).max() < 1e-7
    lazy = remove_dem_error(seen.chunk({"date": -1, "y": 13, "x": 40}), baseline)
    xr.testing.assert_allclose(lazy.compute(), found, atol=1e-8)


def test_baselines_that_drift_like_motion_are_refused():
    drift = baselines().copy(data=300.0 * YEARS)
    with pytest.raises(ConfigurationError, match="cannot be told from motion"):
        remove_dem_error(series(np.zeros((len(DATES), *GRID.shape))), drift)
    with pytest.raises(ConfigurationError, match="each date"):
        remove_dem_error(series(np.zeros((len(DATES), *GRID.shape))), baselines()[1:])


def test_stratified_delay_is_removed_and_the_tongue_keeps_its_motion():
    errors = []
    for seed in range(4):
        scene = Scene(seed)
        out = correct(scene.seen, GRID, stable=scene.stable, elevation=scene.height)
        entry = json.loads(out.attrs["corrections"])["corrections"]["height"]
        assert entry["applied"]
        assert entry["variance_after_m2"] < 0.85 * entry["variance_before_m2"]
        correlation = entry["height_correlation"]
        assert correlation["after"] < 0.25 < 0.45 < correlation["before"]
        assert (out["displacement"][0] == 0).all() and out["displacement"].attrs["units"] == "m"
        # The best that can be: the same scene without stratified delay.
        floor = series(scene.truth + scene.disturbance)
        errors.append(
            [scene.rate_error(d, scene.rate > 0) for d in (scene.seen, out["displacement"], floor)]
        )
    before, after, floor = np.sqrt(np.mean(np.square(errors), axis=0))
    assert after < 0.6 * before and after < 1.3 * floor and after < 3e-3  # of 80 mm/yr


def test_a_tongue_that_nobody_mapped_is_not_eaten():
    scene = Scene(4)
    out = correct(
        scene.seen, GRID, stable=xr.ones_like(scene.stable), elevation=scene.height, ramp="linear"
    )
    assert scene.rate_error(out["displacement"], scene.rate > 0) < 4e-3  # of 80 mm/yr


@pytest.mark.parametrize("seed", range(3))
def test_auto_leaves_ground_without_delay_nearly_as_it_is(seed):
    scene = Scene(10 + seed, slope_m_per_m=0.0)
    out = correct(
        scene.seen, GRID, stable=scene.stable, elevation=scene.height, baseline=baselines(seed)
    )
    report = json.loads(out.attrs["corrections"])["corrections"]
    assert not report["dem_error"]["applied"]
    tongue = scene.rate > 0
    before, after = (scene.rate_error(d, tongue) for d in (scene.seen, out["displacement"]))
    assert after < before + 1e-3


def test_auto_finds_the_dem_error_where_there_is_one():
    scene = Scene(20, turbulence_m=0.001)
    baseline = baselines(3)
    error_m = 25.0 * smooth(np.random.default_rng(3), 2)
    part = baseline.values[:, None, None] * error_m / (850e3 * np.sin(np.radians(39.0)))
    out = correct(
        series(scene.seen.values + part),
        GRID,
        stable=scene.stable,
        elevation=scene.height,
        baseline=baseline,
    )
    entry = json.loads(out.attrs["corrections"])["corrections"]["dem_error"]
    assert entry["applied"] and entry["variance_after_m2"] < 0.5 * entry["variance_before_m2"]
    assert scene.rate_error(out["displacement"], scene.rate > 0) < 2e-3


def test_a_local_reference_removes_what_neighbours_share():
    scene = Scene(30, turbulence_m=0.006)
    local = local_reference(scene.seen, scene.stable, scene.height, GRID)
    assert float((local["ring_pixels"] > 0).mean()) > 0.9
    served = (local["ring_pixels"] > 0).values
    still = served & scene.stable.values
    seen, left = (np.std(d.values[1:, still]) for d in (scene.seen, local["displacement"]))
    assert left < 0.6 * seen
    tongue = served & (scene.rate > 0)
    assert scene.rate_error(local["displacement"], tongue) < 4e-3
    # Without a ring a pixel keeps its reference, and says so.
    lone = ~served
    assert lone.any()
    assert np.array_equal(local["displacement"].values[:, lone], scene.seen.values[:, lone])


def test_the_ring_is_what_it_says():
    rng = np.random.default_rng(31)
    seen = series(rng.normal(0, 0.01, (len(DATES), *GRID.shape)))
    stable, height = rng.random(GRID.shape) < 0.06, 2500.0 + 200.0 * smooth(rng, 4)
    seen = seen.where(~on_grid(rng.random(GRID.shape) < 0.02), np.nan)
    local = local_reference(
        seen, on_grid(stable), on_grid(height, "m"), GRID, ring_m=(100.0, 460.0)
    )
    usable = stable & np.isfinite(seen.values).all(axis=0)
    rows, columns = np.indices(GRID.shape)
    # Each place is the mean of the usable pixels among 3 x 3.
    padded = np.pad(np.where(usable, seen.values, np.nan), ((0, 0), (1, 1), (1, 1)),
                    constant_values=np.nan)  # fmt: skip
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        places = np.nanmean(around, axis=(3, 4))
    checked = 0
    for row, column in rng.integers(0, GRID.shape, (60, 2)):
        away = 40.0 * np.hypot(rows - row, columns - column)
        ring = (
            usable & (away >= 100) & (away <= 460) & (np.abs(height - height[row, column]) <= 150)
        )
        expected = seen[:, row, column].values
        if ring.sum() < 12:
            assert local["ring_pixels"][row, column] == 0
        elif ring.sum() % 2 == 0 and ring.sum() <= 32:
            assert local["ring_pixels"][row, column] == ring.sum()
            expected = expected - np.median(places[:, ring], axis=1)
        else:
            continue
        checked += 1
        assert np.allclose(
            local["displacement"][:, row, column], expected, atol=1e-7, equal_nan=True
        )
    assert checked > 20


@pytest.mark.parametrize("rows", [11, 40, 83])
def test_lazy_equals_eager(rows):
    scene = Scene(40)
    seen = scene.seen.copy()
    seen[:, 3:6, 8] = np.nan
    options = {
        "stable": scene.stable,
        "elevation": scene.height,
        "baseline": baselines(),
        "reference": {"rows": [4, 9], "columns": [90, 95]},
        "ramp": "linear",
        "local": True,
        "dem_error": True,
    }
    eager = correct(seen, GRID, **options)
    lazy = correct(seen.chunk({"date": -1, "y": rows, "x": -1}), GRID, **options)
    assert lazy["displacement"].chunksizes["y"] == seen.chunk({"y": rows}).chunksizes["y"]
    assert json.loads(lazy.attrs["corrections"]) == json.loads(eager.attrs["corrections"])
    for name in ("displacement", "ring_pixels"):
        assert np.allclose(lazy[name], eager[name], atol=2e-7, equal_nan=True)
    assert np.array_equal(np.isnan(eager["displacement"]), np.isnan(seen))


def test_the_reference_window_stays_zero():
    scene = Scene(50)
    window = {"rows": [70, 75], "columns": [10, 15]}
    out = correct(scene.seen, GRID, stable=scene.stable, elevation=scene.height, reference=window)[
        "displacement"
    ]
    assert np.abs(out[:, 70:75, 10:15].median(["y", "x"])).max() < 1e-7
    free = correct(scene.seen, GRID, stable=scene.stable, elevation=scene.height)["displacement"]
    assert np.abs(free.where(scene.stable).median(["y", "x"])).max() < 3e-4


def test_what_is_not_possible_is_said_or_refused():
    scene = Scene(60)
    still = {"stable": scene.stable}
    report = json.loads(correct(scene.seen, GRID, **still).attrs["corrections"])
    assert report["corrections"] == {}
    assert set(report["not_tried"]) == {"delays", "height", "ramp", "dem_error"}
    empty = xr.full_like(scene.height, np.nan)
    assert (
        "DEM"
        in json.loads(correct(scene.seen, GRID, elevation=empty, **still).attrs["corrections"])[
            "not_tried"
        ]["height"]
    )
    for asked in ({"height": True}, {"dem_error": True}, {"local": True}):
        with pytest.raises(ConfigurationError, match="asked for"):
            correct(scene.seen, GRID, **still, **asked)
    with pytest.raises(ConfigurationError, match="stable ground"):
        correct(scene.seen, GRID, stable=on_grid(np.zeros(GRID.shape, bool)))
    with pytest.raises(UnitsError):
        correct(scene.seen.assign_attrs(units="mm"), GRID, **still)
    with pytest.raises(DimensionError):
        correct(scene.seen[:, 1:], GRID, **still)
    with pytest.raises(ConfigurationError, match="ring_m"):
        local_reference(scene.seen, scene.stable, scene.height, GRID, ring_m=(10.0, 20.0))
    nowhere = series(scene.seen.values)
    nowhere[:, :5, :5] = np.nan
    with pytest.raises(ConfigurationError, match=r"reference\.point"):
        correct(nowhere, GRID, **still, reference={"rows": [0, 5], "columns": [0, 5]})


# --- real data: ALOS, eastern Himalaya -------------------------------------------------------


@pytest.fixture(scope="module")
def himalaya(data_folder):
    folder = data_folder / "sar" / "alos_timeseries_east_himalaya"
    if not folder.is_dir():
        pytest.skip(f"real data: {folder} is absent")
    grid = Grid.from_raster(folder / "DEM_UTM.tif")
    table = [line.split() for line in (folder / "list_images.txt").read_text().splitlines()]
    days = [f"{row[1][:4]}-{row[1][4:6]}-{row[1][6:]}" for row in table]
    dates = np.array(days, "datetime64[ns]")

    def band(name):
        with rasterio.open(folder / name) as source:
            return source.read(1)

    def cube(name):
        raw = np.fromfile(folder / name, "<f4").reshape(*grid.shape, len(dates))
        return xr.DataArray(
            raw.transpose(2, 0, 1) / 1000.0,
            dims=("date", "y", "x"),
            coords={"date": dates, **grid.coords},
            attrs={"units": "m"},
        )

    def layer(values, units):
        return xr.DataArray(values, dims=("y", "x"), coords=grid.coords, attrs={"units": units})

    seen = cube("depl_cumule")
    # Ground that the authors fitted their corrections on: less than 3 mm moved in all.
    stable = np.isfinite(seen.values).all(axis=0) & (band("mask_landslide_utm.tif") < 3.0)
    return {
        "grid": grid,
        "seen": seen,
        "flat": cube("depl_cumule_flat"),
        "gacos": cube("depl_cumule_gacos"),
        "height": layer(band("DEM_UTM.tif"), "m"),
        "stable": layer(stable, "1"),
        "rate": band("lin_coeff.tif"),  # mm/yr
        "weights": 1.0 / np.loadtxt(folder / "aps_1.txt"),
        "delays": ZenithDelays.open(folder / "GACOS", dates),
    }


def authors_rate(displacement, weights):
    """Linear rate (mm/yr) beside an annual term, dates weighted as the authors weighted them."""
    years = years_since(displacement["date"].values, displacement["date"].values[0])
    design = np.column_stack(
        [years, np.ones_like(years), np.cos(2 * np.pi * years), np.sin(2 * np.pi * years)]
    )
    values = displacement.values.reshape(len(years), -1)
    valid = np.isfinite(values).all(axis=0)
    rate = np.full(values.shape[1], np.nan)
    rate[valid] = np.linalg.lstsq(
        design * weights[:, None], values[:, valid] * weights[:, None], rcond=None
    )[0][0]
    return 1000.0 * rate.reshape(displacement.shape[1:])


def agreement(rate, theirs):
    both = np.isfinite(rate) & np.isfinite(theirs)
    return (
        np.corrcoef(theirs[both], rate[both])[0, 1],
        np.polyfit(theirs[both], rate[both], 1)[0],
    )


def apply(himalaya, **options):
    out = correct(
        himalaya["seen"].chunk({"y": 64}),
        himalaya["grid"],
        stable=himalaya["stable"],
        elevation=himalaya["height"],
        incidence=34.5,
        **options,
    )
    return out["displacement"].compute(), json.loads(out.attrs["corrections"])["corrections"]


def test_himalaya_delays_are_misplaced_and_refused_as_they_are(himalaya):
    # The headers of the delays name the north-western corner of the cropped DEM, 20 km off.
    assert himalaya["delays"].follow(himalaya["height"], himalaya["grid"]) == pytest.approx(
        0.35, abs=0.02
    )
    _, report = apply(himalaya, delays=himalaya["delays"], height=False)
    entry = report["delays"]
    assert not entry["applied"]
    assert entry["variance_after_m2"] > 1.4 * entry["variance_before_m2"]


def test_himalaya_registered_delays_lower_scatter_and_height_correlation(himalaya):
    delays = himalaya["delays"].registered(himalaya["height"], himalaya["grid"])
    assert delays.follow(himalaya["height"], himalaya["grid"]) < -0.999
    assert np.allclose(delays.shift, (0.2005, -0.1278), atol=4e-4)
    _, report = apply(himalaya, delays=delays)
    for name, ceiling in (("delays", 0.37), ("height", 0.25)):
        entry = report[name]
        assert entry["applied"]
        assert entry["variance_after_m2"] < 0.97 * entry["variance_before_m2"]
        correlation = entry["height_correlation"]
        assert correlation["after"] < min(ceiling, correlation["before"])


def test_himalaya_height_and_ramp_reach_the_authors_rates(himalaya):
    theirs, weights = himalaya["rate"], himalaya["weights"]
    r, slope = agreement(authors_rate(himalaya["flat"], weights), theirs)
    assert r > 0.995 and abs(slope - 1.0) < 0.01  # so is their rate made
    before, _ = agreement(authors_rate(himalaya["seen"], weights), theirs)
    corrected, report = apply(himalaya, ramp="linear")
    assert report["height"]["variance_after_m2"] < 0.88 * report["height"]["variance_before_m2"]
    assert report["height"]["height_correlation"]["after"] < 0.25
    r, slope = agreement(authors_rate(corrected, weights), theirs)
    assert before < 0.975 and r > 0.985 and abs(slope - 1.0) < 0.02
