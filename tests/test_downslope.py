"""Downslope velocity: signs, recovery of a known creep, coverage, and what the radar cannot see."""

import numpy as np
import pytest
import xarray as xr

from rockglacier.conventions import MAP, Reason, describe
from rockglacier.downslope import (
    MINIMUM_SLOPE_DEG,
    downslope_velocity,
    line_of_sight,
    observable,
    sensitivity,
)
from rockglacier.errors import DimensionError, SceneError, UnitsError
from rockglacier.grid import Grid
from rockglacier.terrain import elevation, terrain

ASCENDING, DESCENDING = -12.0, -168.0
INCIDENCE = 39.0


def _map(grid: Grid, values, units: str) -> xr.DataArray:
    values = np.broadcast_to(np.asarray(values, np.float32), grid.shape)
    return xr.DataArray(values, dims=MAP, coords=grid.coords, attrs={"units": units})


def _slopes(grid: Grid, slope, aspect) -> xr.Dataset:
    return xr.Dataset({"slope": _map(grid, slope, "deg"), "aspect": _map(grid, aspect, "deg")})


def _geometry(heading: float, incidence: float = INCIDENCE) -> xr.Dataset:
    return xr.Dataset(attrs={"incidence_angle_deg": incidence, "heading_deg": heading})


def _track(grid: Grid, rate, error, heading, **bands) -> tuple[xr.Dataset, xr.Dataset]:
    velocity = xr.Dataset(
        {"velocity": _map(grid, rate, "m/yr"), "velocity_error": _map(grid, error, "m/yr")}
    )
    for name, values in bands.items():
        velocity[name] = _map(grid, values, "1")
    return velocity, _geometry(heading)


def _seen(slope_deg, aspect_deg, heading_deg, incidence_deg=INCIDENCE):
    """Forward model: displacement of a point that moves 1 m down the slope, toward the satellite.

    Written from the flight geometry, not from the formula under test: the antenna looks 90 degrees
    to the right of the flight, so the satellite stands to the left of the ground it sees.
    """
    slope, aspect = np.radians(slope_deg), np.radians(aspect_deg)
    motion = np.stack(
        [np.sin(aspect) * np.cos(slope), np.cos(aspect) * np.cos(slope), -np.sin(slope)]
    )
    look_azimuth = np.radians(heading_deg + 90.0)
    down = np.radians(incidence_deg)
    look = np.array(
        [np.sin(down) * np.sin(look_azimuth), np.sin(down) * np.cos(look_azimuth), -np.cos(down)]
    )
    return -np.tensordot(look, motion, 1)


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        (ASCENDING, [-0.39, -0.76, -0.84, -0.59, -0.14, 0.23, 0.31, 0.06]),
        (DESCENDING, [-0.39, 0.06, 0.31, 0.23, -0.14, -0.59, -0.84, -0.76]),
    ],
)
def test_sensitivity_of_eight_aspects(heading, expected):
    aspect = xr.DataArray(np.arange(0.0, 360.0, 45.0), dims="aspect", attrs={"units": "deg"})
    slope = xr.full_like(aspect, 20.0)
    incidence = xr.DataArray(INCIDENCE, attrs={"units": "deg"})
    share = sensitivity(line_of_sight(incidence, heading), slope, aspect)
    np.testing.assert_allclose(share, expected, atol=0.005)
    np.testing.assert_allclose(share, _seen(slope, aspect, heading), atol=1e-12)


def test_line_of_sight_points_to_the_satellite():
    incidence = xr.DataArray([20.0, 45.0], dims="x", attrs={"units": "deg"})
    sight = line_of_sight(incidence, ASCENDING)
    assert (sight["east"] < 0).all()  # ascending, right-looking: the satellite is in the west
    assert (line_of_sight(incidence, DESCENDING)["east"] > 0).all()
    norm = sight["east"] ** 2 + sight["north"] ** 2 + sight["up"] ** 2
    np.testing.assert_allclose(norm, 1.0)


def test_one_track_follows_the_textbook(grid):
    gradient_error = 0.002  # small: the textbook's error is of first order
    slope, aspect = 25.0, 80.0
    rate, sigma = -0.12, 0.0004
    result = downslope_velocity(
        {"a": _track(grid, rate, sigma, ASCENDING)},
        _slopes(grid, slope, aspect),
        grid,
        gradient_error=gradient_error,
    )
    share = _seen(slope, aspect, ASCENDING)
    # Error of the share by moving the gradient itself, numerically.
    gradient = np.tan(np.radians(slope)) * np.array(
        [np.sin(np.radians(aspect)), np.cos(np.radians(aspect))]
    )
    changes = []
    for axis in range(2):
        ends = []
        for sign in (1, -1):
            g = gradient.copy()
            g[axis] += sign * 1e-5
            steep = np.degrees(np.arctan(np.hypot(*g)))
            ends.append(_seen(steep, np.degrees(np.arctan2(*g)), ASCENDING))
        changes.append((ends[0] - ends[1]) / 2e-5 * gradient_error)
    share_error = np.hypot(*changes)
    expected = np.hypot(sigma / share, rate * share_error / share**2)
    np.testing.assert_allclose(result["velocity"], rate / share, rtol=1e-5)
    np.testing.assert_allclose(result["velocity_error"], expected, rtol=1e-3)
    assert expected > 1.02 * sigma / abs(share)  # the gradient matters
    np.testing.assert_allclose(result["sensitivity"], share, rtol=1e-5)
    assert (result["track_count"] == 1).all()
    assert (result["reason"] == Reason.OBSERVED).all()
    assert result["velocity"].attrs["units"] == "m/yr"


def test_two_tracks_weigh_by_sensitivity_and_error(grid):
    slope, aspect, truth = 20.0, 90.0, 0.4
    shares = [_seen(slope, aspect, h) for h in (ASCENDING, DESCENDING)]
    sigmas = [0.01, 0.004]
    rates = [truth * shares[0] + 0.005, truth * shares[1] - 0.002]
    result = downslope_velocity(
        {
            name: _track(grid, rate, sigma, heading)
            for name, rate, sigma, heading in zip(
                "ad", rates, sigmas, (ASCENDING, DESCENDING), strict=True
            )
        },
        _slopes(grid, slope, aspect),
        grid,
        gradient_error=0.0,
    )
    weight = [c**2 / s**2 for c, s in zip(shares, sigmas, strict=True)]
    expected = sum(c * v / s**2 for c, v, s in zip(shares, rates, sigmas, strict=True))
    np.testing.assert_allclose(result["velocity"], expected / sum(weight), rtol=1e-4)
    np.testing.assert_allclose(result["velocity_error"], sum(weight) ** -0.5, rtol=1e-4)
    assert (result["track_count"] == 2).all()


@pytest.fixture(scope="module")
def creep():
    """Creep on rough relief, its directions known with error, seen by two tracks with noise."""
    rng = np.random.default_rng(7)
    grid = Grid("EPSG:32632", 600000.0, 5200000.0, 40.0, 40.0, 300, 300)
    gradient_error = 0.035
    k = np.fft.fftfreq(300)[:, None], np.fft.rfftfreq(300)[None, :]
    power = 1.0 / np.maximum(np.hypot(*k), 1 / 300) ** 2.2
    relief = np.fft.irfft2(power * np.fft.rfft2(rng.standard_normal(grid.shape)))
    south, east = np.gradient(relief)
    scale = 0.40 / np.sqrt(np.mean(south**2 + east**2))
    true_gradient = np.stack([-east, south]) * scale  # downslope, east and north
    known = true_gradient + gradient_error * rng.standard_normal((2, *grid.shape))

    def angles(gradient):
        return (
            np.degrees(np.arctan(np.hypot(*gradient))),
            np.mod(np.degrees(np.arctan2(*gradient)), 360.0),
        )

    truth = 10.0 ** rng.uniform(-3.0, 0.3, grid.shape)  # 1 mm/yr to 2 m/yr
    tracks = {}
    for name, heading in (("ascending", ASCENDING), ("descending", DESCENDING)):
        sigma = rng.uniform(0.001, 0.008, grid.shape)
        rate = truth * _seen(*angles(true_gradient), heading)
        tracks[name] = _track(grid, rate + sigma * rng.standard_normal(grid.shape), sigma, heading)
    return grid, tracks, _slopes(grid, *angles(known)), truth


@pytest.mark.parametrize("which", [("ascending",), ("descending",), ("ascending", "descending")])
def test_interval_covers_the_true_creep(creep, which):
    grid, tracks, slopes, truth = creep
    result = downslope_velocity({k: tracks[k] for k in which}, slopes, grid)
    observed = np.isfinite(result["velocity"].values)
    error = result["velocity"].values - truth
    inside = np.abs(error) < 1.96 * result["velocity_error"].values
    classes = np.digitize(truth, [0.01, 0.1, 1.0])
    assert observed.mean() > 0.5
    assert 0.92 < inside[observed].mean() < 0.98
    for k in range(4):
        assert 0.92 < inside[observed & (classes == k)].mean() < 0.98, k
    slow = observed & (classes < 3)
    standard = (error / result["velocity_error"].values)[slow]
    assert abs(np.median(standard)) < 0.1
    flagged = (result["reason"].values == Reason.INCONSISTENT)[observed].mean()
    assert flagged < 0.02


def test_two_tracks_are_better_than_one(creep):
    grid, tracks, slopes, truth = creep
    both = downslope_velocity(tracks, slopes, grid)
    for name in tracks:
        one = downslope_velocity({name: tracks[name]}, slopes, grid)
        shared = np.isfinite(one["velocity"].values)
        assert np.isfinite(both["velocity"].values)[shared].all()
        miss = [np.median(np.abs(r["velocity"].values - truth)[shared]) for r in (one, both)]
        assert miss[1] < miss[0]


def test_contradicting_tracks_are_flagged_and_widened(grid):
    slopes = _slopes(grid, 25.0, 0.0)  # facing north: both tracks see it alike
    tracks = {
        "a": _track(grid, -0.10, 0.003, ASCENDING),
        "d": _track(grid, -0.30, 0.003, DESCENDING),
    }
    result = downslope_velocity(tracks, slopes, grid)
    assert (result["reason"] == Reason.INCONSISTENT).all()
    shares = [_seen(25.0, 0.0, h) for h in (ASCENDING, DESCENDING)]
    apart = abs(-0.10 / shares[0] + 0.30 / shares[1])
    assert (2.0 * result["velocity_error"] > 0.9 * apart).all()
    assert np.isfinite(result["velocity"]).all()


def test_chi_square_flags_one_percent_by_chance():
    grid = Grid("EPSG:32632", 0.0, 1e6, 40.0, 40.0, 300, 300)
    rng = np.random.default_rng(3)
    headings = {"a": (ASCENDING, 34.0), "b": (ASCENDING, 43.0), "d": (DESCENDING, 39.0)}
    slope, aspect, truth = 22.0, 90.0, 0.2
    tracks = {}
    for name, (heading, incidence) in headings.items():
        rate = truth * _seen(slope, aspect, heading, incidence)
        velocity, _ = _track(grid, rate + 0.01 * rng.standard_normal(grid.shape), 0.01, heading)
        tracks[name] = velocity, _geometry(heading, incidence)
    result = downslope_velocity(tracks, _slopes(grid, slope, aspect), grid, gradient_error=0.0)
    assert (result["track_count"] == 3).all()
    assert 0.008 < (result["reason"] == Reason.INCONSISTENT).mean() < 0.012


def test_not_observed_is_nan_with_its_reason(grid):
    rate = np.full(grid.shape, 0.02)
    reason = np.zeros(grid.shape)
    slope, aspect = np.full(grid.shape, 20.0), np.full(grid.shape, 90.0)
    expected = {
        (0, 0): Reason.TOO_FEW_PAIRS,
        (0, 1): Reason.ALIASED,
        (0, 2): Reason.OUTSIDE,
        (0, 3): Reason.INSENSITIVE,
        (0, 4): Reason.INSENSITIVE,
        (0, 5): Reason.INSENSITIVE,
        (0, 6): Reason.OUTSIDE,
        (0, 7): Reason.OUTSIDE,
    }
    reason[0, 0], rate[0, 0] = Reason.TOO_FEW_PAIRS, np.nan
    reason[0, 1] = Reason.ALIASED  # a rate is there, but not one to be trusted
    rate[0, 2] = np.nan
    aspect[0, 3] = 180.0
    slope[0, 4] = 0.5 * MINIMUM_SLOPE_DEG
    slope[0, 5], aspect[0, 5] = 0.0, np.nan
    slope[0, 6] = aspect[0, 6] = np.nan  # no DEM
    velocity, geometry = _track(grid, -rate, 0.002, ASCENDING, reason=reason)
    seen = np.ones(grid.shape)
    seen[0, 7] = 0
    geometry["observable"] = _map(grid, seen, "1")
    result = downslope_velocity({"a": (velocity, geometry)}, _slopes(grid, slope, aspect), grid)
    for pixel, why in expected.items():
        assert np.isnan(result["velocity"].values[pixel]), why
        assert np.isnan(result["velocity_error"].values[pixel])
        assert result["reason"].values[pixel] == why, (pixel, why)
        assert result["track_count"].values[pixel] == 0
    assert np.isfinite(result["velocity"].values).sum() == grid.width * grid.height - len(expected)
    assert abs(result["sensitivity"].values[0, 3]) < 0.2  # says why


def test_south_faces_fail_on_both_tracks(grid):
    tracks = {h: _track(grid, 0.01, 0.001, v) for h, v in (("a", ASCENDING), ("d", DESCENDING))}
    result = downslope_velocity(tracks, _slopes(grid, 20.0, 180.0), grid)
    assert result["velocity"].isnull().all()
    assert (result["reason"] == Reason.INSENSITIVE).all()


def test_upslope_is_kept_and_flagged_where_significant(grid):
    rate = np.full(grid.shape, 0.003)
    rate[:, 1::2] = 0.05  # toward the satellite on a slope that falls away from it
    result = downslope_velocity(
        {"a": _track(grid, rate, 0.004, ASCENDING)}, _slopes(grid, 20.0, 90.0), grid
    )
    assert (result["velocity"] < 0).all()
    assert (result["reason"][:, 1::2] == Reason.UPSLOPE).all()
    assert (result["reason"][:, ::2] == Reason.OBSERVED).all()


def test_a_link_by_minimum_norm_stays_flagged(grid):
    track = _track(grid, -0.1, 0.002, ASCENDING, reason=float(Reason.SUBSETS))
    result = downslope_velocity({"a": track}, _slopes(grid, 20.0, 90.0), grid)
    assert np.isfinite(result["velocity"]).all()
    assert (result["reason"] == Reason.SUBSETS).all()


def test_lazy_equals_eager(creep):
    grid, tracks, slopes, _ = creep
    maps = _geometry(ASCENDING)
    sight = line_of_sight(_map(grid, np.linspace(30, 45, grid.width), "deg"), ASCENDING)
    tracks = {
        "ascending": (tracks["ascending"][0], maps.assign(sight)),
        "descending": tracks["descending"],
    }
    eager = downslope_velocity(tracks, slopes, grid)
    lazy = downslope_velocity(
        {k: (v.chunk(y=37, x=-1), g.chunk()) for k, (v, g) in tracks.items()},
        slopes.chunk(y=71, x=113),
        grid,
    )
    assert lazy["velocity"].chunks
    xr.testing.assert_identical(lazy.compute(), eager)


def test_bad_input_is_named(grid):
    slopes = _slopes(grid, 20.0, 90.0)
    velocity, geometry = _track(grid, 0.1, 0.01, ASCENDING)
    with pytest.raises(SceneError, match="at least one"):
        downslope_velocity({}, slopes, grid)
    with pytest.raises(SceneError, match="Track a states no line of sight"):
        downslope_velocity({"a": (velocity, xr.Dataset())}, slopes, grid)
    with pytest.raises(DimensionError, match="velocity of track a is shifted"):
        moved = velocity.assign_coords(x=velocity["x"] + 10.0)
        downslope_velocity({"a": (moved, geometry)}, slopes, grid)
    with pytest.raises(UnitsError, match="mm/yr"):
        wrong = velocity.copy()
        wrong["velocity"] = _map(grid, 1.0, "mm/yr")
        downslope_velocity({"a": (wrong, geometry)}, slopes, grid)


RIDGE = Grid("EPSG:32632", 0.0, 4000.0, 20.0, 20.0, 200, 9)


def _ridge(rise_deg: float, fall_deg: float, top: float = 600.0) -> xr.DataArray:
    """A long ridge across range: rises westward-facing (left) at one angle, falls at another."""
    x = RIDGE.x - 2000.0
    height = np.where(
        x < 0, top + x * np.tan(np.radians(rise_deg)), top - x * np.tan(np.radians(fall_deg))
    )
    return describe(_map(RIDGE, np.maximum(height, 0.0), "m"), "height", "height", "m")


def _west_looking_sight(incidence: float) -> xr.Dataset:
    """Satellite in the west (flight due north, looking east)."""
    return line_of_sight(xr.DataArray(incidence, attrs={"units": "deg"}), 0.0)


def test_shadow_reaches_as_far_as_geometry_says():
    incidence, rise, fall, top = 45.0, 30.0, 60.0, 600.0
    seen = observable(
        _ridge(rise, fall, top), _west_looking_sight(incidence), RIDGE, margin_pixels=0
    )
    x = RIDGE.x - 2000.0
    expected = (x > 0) & (x < top * np.tan(np.radians(incidence)))
    wrong = seen.values[4].astype(bool) == expected
    assert wrong[(np.abs(x - 600.0) > 25) & (np.abs(x) > 15)].sum() == 0  # ends: one pixel
    assert seen.dtype == np.uint8


def test_layover_covers_both_feet_of_the_reversed_slope():
    incidence, rise, fall, top = 30.0, 50.0, 20.0, 600.0
    seen = observable(
        _ridge(rise, fall, top), _west_looking_sight(incidence), RIDGE, margin_pixels=0
    )
    x = RIDGE.x - 2000.0
    height = _ridge(rise, fall, top).values[4]
    # A point is in layover where another has the same slant range: order along range is broken.
    slant = x * np.sin(np.radians(incidence)) - height * np.cos(np.radians(incidence))
    broken = (np.maximum.accumulate(slant) > slant) | (
        np.minimum.accumulate(slant[::-1])[::-1] < slant
    )
    disagree = (seen.values[4] == 0) != broken
    assert broken.sum() > 50
    assert disagree.sum() <= 2  # ends of the reach fall within one pixel


def test_gentle_ground_is_seen_and_margin_widens():
    flat = _ridge(20.0, 20.0)
    sight = _west_looking_sight(39.0)
    assert (observable(flat, sight, RIDGE) == 1).all()
    steep = _ridge(30.0, 70.0)
    hidden = [int((observable(steep, sight, RIDGE, margin_pixels=m) == 0).sum()) for m in (0, 1, 2)]
    assert hidden[0] < hidden[1] < hidden[2]
    void = steep.copy(data=steep.values.copy())
    void.values[:, 20] = np.nan
    seen = observable(void, sight, RIDGE, margin_pixels=0)
    assert (seen[:, 20] == 0).all()
    assert (seen[:, 22:60] == observable(steep, sight, RIDGE, margin_pixels=0)[:, 22:60]).all()


def test_local_slope_criteria_are_within_what_is_traced(data_folder):
    path = data_folder / "dem" / "mt_baker_copernicus_glo30" / "cop30_baker.tif"
    full = Grid.from_raster(path)
    grid = Grid(full.crs, full.west + 2000, full.north - 2000, 30.0, 30.0, 250, 250)
    height = elevation(path, grid)
    relief = terrain(height, grid)
    for heading in (ASCENDING, DESCENDING):
        incidence = 30.0
        sight = line_of_sight(xr.DataArray(incidence, attrs={"units": "deg"}), heading)
        seen = observable(height, sight, grid) == 1
        toward = np.degrees(np.arctan2(sight["east"], sight["north"]))
        facing = np.degrees(
            np.arctan(
                np.tan(np.radians(relief["slope"])) * np.cos(np.radians(relief["aspect"] - toward))
            )
        )
        outlaws = (facing >= incidence) | (-facing >= 90.0 - incidence)
        assert outlaws.sum() > 200
        assert (seen & outlaws).sum() < 0.05 * outlaws.sum()
        assert 0.5 < float(seen.mean()) < 0.99
