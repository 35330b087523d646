"""Offsets: known shifts come back unlocked, with honest errors, whatever the tiling."""

from typing import Literal

import dask
import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import map_coordinates

from rockglacier import simulation_pairs as pairs
from rockglacier.errors import DimensionError
from rockglacier.offsets.reasons import Reason
from rockglacier.offsets.screening import screened
from rockglacier.offsets.sizes import combined
from rockglacier.offsets.tracking import Matching, track

OPTICAL = Matching(chips=(16, 32))
RADAR = Matching(chips=(32,), prefilter="wallis")


def matched(found: xr.Dataset) -> xr.Dataset:
    """Every size, in memory."""
    with dask.config.set(scheduler="threads", num_workers=2):
        return found.compute()


def computed(found: xr.Dataset) -> xr.Dataset:
    """All sizes as one."""
    return combined(matched(found), ["reason", "correlation"])


def errors(found: xr.Dataset, moved: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Error, its stated deviation and the truth (component, place y, place x; pixels)."""
    places = np.stack(np.meshgrid(-found["y"].values, found["x"].values, indexing="ij"))
    truth = np.stack([map_coordinates(moved[n].values, places, order=1) for n in
                      ("rows", "columns")])  # fmt: skip
    offsets = np.stack([-found["north"].values, found["east"].values])
    deviation = np.stack([found["north_error"].values, found["east_error"].values])
    return offsets - truth, deviation, truth


@pytest.fixture(scope="module")
def ramp() -> xr.Dataset:
    return pairs.displacement("ramp", 640)


@pytest.fixture(scope="module")
def optical(ramp: xr.Dataset) -> xr.Dataset:
    return pairs.optical_pair(ramp, seed=1)


@pytest.fixture(scope="module")
def every_size(optical: xr.Dataset) -> xr.Dataset:
    return matched(track(optical["reference"], optical["secondary"], OPTICAL))


@pytest.fixture(scope="module")
def found(every_size: xr.Dataset) -> xr.Dataset:
    return computed(every_size)


@pytest.mark.parametrize(
    ("kind", "rmse", "lock"), [("optical", 0.010, 0.010), ("radar", 0.045, 0.020)]
)
def test_every_fraction_of_a_pixel_comes_back(
    kind: str, rmse: float, lock: float, ramp: xr.Dataset, found: xr.Dataset
) -> None:
    if kind == "radar":
        pair = pairs.radar_pair(ramp, seed=1)
        found = computed(track(pair["reference"], pair["secondary"], RADAR))
    error, _, truth = errors(found, ramp)
    valid = np.isfinite(error).all(axis=0)
    assert valid[2:-2, 2:-2].mean() > 0.97
    assert np.abs(error[:, valid]).max() < 0.4  # no mismatch at all
    assert np.sqrt(np.mean(error[:, valid] ** 2, axis=1)).max() < rmse
    tenth = np.floor(10.0 * (truth % 1.0)).astype(int)
    medians = [np.median(error[k][valid & (tenth[k] == t)]) for k in (0, 1) for t in range(10)]
    assert np.abs(medians).max() < lock


@pytest.mark.parametrize("noise", [0.05, 0.2, 0.5])
def test_errors_are_what_they_say(noise: float, ramp: xr.Dataset) -> None:
    z = []
    for seed in range(2):
        pair = pairs.optical_pair(ramp, noise=noise, seed=seed)
        how = Matching(chips=(32,), max_return=None)
        error, deviation, _ = errors(
            computed(track(pair["reference"], pair["secondary"], how)), ramp
        )
        z.append((error / deviation)[np.isfinite(error)])
    scores = np.concatenate(z)
    assert scores.std() == pytest.approx(1.0, abs=0.12)
    assert 0.92 <= np.mean(np.abs(scores) < 1.96) <= 0.98


@pytest.mark.parametrize("window", ["flat", "tapered"])
def test_errors_of_the_smallest_chips_are_what_they_say(
    window: Literal["flat", "tapered"], ramp: xr.Dataset, optical: xr.Dataset
) -> None:
    how = Matching(chips=(12,), window=window, max_return=None)
    error, deviation, _ = errors(computed(track(*optical.data_vars.values(), how)), ramp)
    scores = (error / deviation)[np.isfinite(error)]
    assert 0.92 <= np.mean(np.abs(scores) < 1.96) <= 0.98
    assert scores.std() < 1.2  # tails as light as a normal distribution's, or nearly


@pytest.mark.parametrize("lazy", [False, True])
def test_tiles_do_not_show(lazy: bool, optical: xr.Dataset) -> None:
    both = optical.isel(y=slice(0, 400), x=slice(0, 330))
    if lazy:
        both = both.chunk({"y": 97, "x": 111})
    one, many = (
        computed(track(both["reference"], both["secondary"], OPTICAL, tile=tile))
        for tile in (4000, 90)
    )
    assert np.array_equal(one["reason"], many["reason"])
    for name in ("east", "north", "east_error", "correlation"):
        np.testing.assert_allclose(one[name], many[name], atol=1e-5)


def test_tiles_of_coarse_searches_do_not_show_either(optical: xr.Dataset) -> None:
    both = optical.isel(y=slice(0, 500), x=slice(0, 330))
    how = Matching(chips=(32,), search=40)
    one, many = (
        computed(track(both["reference"], both["secondary"], how, tile=tile)) for tile in (4000, 90)
    )
    assert np.array_equal(one["reason"], many["reason"])
    np.testing.assert_allclose(one["east"], many["east"], atol=1e-5)


@pytest.mark.parametrize(("search", "most"), [(4, 30.0), (4, 130.0), (24, 60.0)])
def test_tiles_of_a_guessed_search_do_not_show_either(
    search: int, most: float, optical: xr.Dataset
) -> None:
    image = optical["reference"].isel(y=slice(0, 480), x=slice(0, 330))
    moved = image.copy(data=np.roll(image.values, (round(most), 0), axis=(0, 1)))
    how = Matching(chips=(32,), search=search)
    guess = np.zeros((29, 20, 2))
    # A guess that differs from place to place, as that of an earlier pair does.
    guess[..., 0] = most + np.linspace(-3.0, 3.0, 20)
    one, many = (computed(track(image, moved, how, guess=guess, tile=tile)) for tile in (4000, 90))
    assert (one["reason"] == Reason.OBSERVED).mean() > 0.4
    assert np.array_equal(one["reason"], many["reason"])
    for name in ("east", "north", "north_error"):
        np.testing.assert_allclose(one[name], many[name], atol=1e-5)


def test_motion_of_tens_of_pixels_is_found(optical: xr.Dataset) -> None:
    image = optical["reference"]
    shifted = image.copy(data=np.roll(image.values, (23, -31), axis=(0, 1)))
    found = computed(track(image, shifted, Matching(chips=(16, 32), search=40)))
    seen = found["reason"].values == Reason.OBSERVED
    assert seen[6:-6, 6:-6].mean() > 0.99
    np.testing.assert_allclose(found["north"].values[seen], -23.0, atol=0.02)
    np.testing.assert_allclose(found["east"].values[seen], -31.0, atol=0.02)


def test_larger_chips_at_the_edge_stay_within_the_image(optical: xr.Dataset) -> None:
    image = optical["reference"].isel(y=slice(0, 120), x=slice(0, 120))
    shifted = image.copy(data=np.roll(image.values, (5, 5), axis=(0, 1)))
    found = matched(
        track(image, shifted, Matching(chips=(16, 32, 64), search=7, step=8, enough=0.0))
    )
    outside = found["reason"] == Reason.OUTSIDE
    # A chip of 64 around the last place reaches beyond the image, wherever it is found.
    assert outside.isel(size=2, y=-1).all() and outside.isel(size=2, x=-1).all()
    assert not outside.isel(size=0)[3:-4, 3:-4].any()
    assert found["east"].where(outside).isnull().all()


@pytest.mark.parametrize("search", [8, 24])
def test_a_texture_that_repeats_is_ambiguous_whatever_the_search(search: int) -> None:
    y, x = np.mgrid[:400, :400]
    ground = np.sin(2 * np.pi * x / 12.0) * np.sin(2 * np.pi * y / 12.0)
    coords = {"y": -np.arange(400.0), "x": np.arange(400.0)}
    image = xr.DataArray(ground.astype(np.float32), dims=("y", "x"), coords=coords)
    found = matched(track(image, image, Matching(chips=(32,), search=search)))
    inner = found["reason"][0, 5:-5, 5:-5]
    assert (inner != Reason.OBSERVED).all()


@pytest.mark.parametrize("hidden", ["reference", "secondary"])
def test_clouds_are_no_data_whatever_the_search(hidden: str, optical: xr.Dataset) -> None:
    pair = {name: optical[name].copy(deep=True) for name in ("reference", "secondary")}
    pair[hidden][200:420, 200:420] = np.nan
    for search in (6, 24):
        found = matched(track(*pair.values(), Matching(chips=(32,), search=search)))
        inside = (found.y < -240) & (found.y > -380) & (found.x > 240) & (found.x < 380)
        assert (found["reason"].where(inside, drop=True) == Reason.NO_DATA).all()


def test_a_guess_moves_the_search(optical: xr.Dataset) -> None:
    image = optical["reference"].isel(y=slice(0, 320), x=slice(0, 320))
    shifted = image.copy(data=np.roll(image.values, (0, 31), axis=(0, 1)))
    guess = np.zeros((19, 19, 2))
    guess[..., 1] = 30.0
    found = computed(track(image, shifted, Matching(chips=(32,), search=4), guess=guess))
    seen = found["reason"].values == Reason.OBSERVED
    assert seen[4:-4, 4:-6].all()
    np.testing.assert_allclose(found["east"].values[seen], 31.0, atol=0.02)


def test_narrow_tongues_take_smaller_chips(tongues_pair: tuple[xr.Dataset, xr.Dataset]) -> None:
    moved, pair = tongues_pair
    rms = {}
    for chips in ((32,), (16, 32)):
        found = computed(track(pair["reference"], pair["secondary"], Matching(chips=chips)))
        error, _, truth = errors(found, moved)
        moving = np.isfinite(error).all(axis=0) & (np.linalg.norm(truth, axis=0) > 0.3)
        rms[chips] = np.sqrt(np.mean(np.clip(error[:, moving], -1, 1) ** 2))
    assert rms[16, 32] < 0.7 * rms[32,]


@pytest.fixture(scope="module")
def tongues_pair() -> tuple[xr.Dataset, xr.Dataset]:
    moved = pairs.displacement("tongues", 900)
    return moved, pairs.optical_pair(moved, seed=2)


def test_gaps_are_not_numbers(optical: xr.Dataset, ramp: xr.Dataset) -> None:
    pair = optical.copy(deep=True)
    pair["reference"][100:200, 100:260] = np.nan
    pair["secondary"][300:420, 300:420] = np.nan
    found = computed(track(pair["reference"], pair["secondary"], OPTICAL))
    reason = found["reason"].values
    rows, columns = (np.arange(16, 640, 16) for _ in range(2))
    inside = np.ix_((rows > 110) & (rows < 190), (columns > 110) & (columns < 250))
    assert (reason[inside] == Reason.NO_DATA).all()
    also = np.ix_((rows > 320) & (rows < 400), (columns > 320) & (columns < 400))
    assert (reason[also] != Reason.OBSERVED).all()
    error, _, _ = errors(found, ramp)
    seen = reason == Reason.OBSERVED
    assert np.isfinite(error[:, seen]).all() and np.isnan(error[:, ~seen]).all()
    assert np.abs(error[:, seen]).max() < 0.3


def test_what_cannot_be_matched_says_why(optical: xr.Dataset) -> None:
    image = optical["reference"].isel(y=slice(0, 300), x=slice(0, 300))
    level = image.copy(data=np.full(image.shape, 7.0, np.float32))
    for a, b in ((level, image), (image, level), (level, level)):
        found = computed(track(a, b, OPTICAL))
        assert np.isin(found["reason"], [Reason.FEATURELESS, Reason.OUTSIDE]).all()
        assert found["east"].isnull().all()
    nothing = image.copy(data=np.full(image.shape, np.nan, np.float32))
    found = computed(track(nothing, image, OPTICAL))
    assert np.isin(found["reason"], [Reason.NO_DATA, Reason.OUTSIDE]).all()
    found = computed(track(image, image, OPTICAL))
    # 288 + 8 + 6 is beyond 300: a chip of 16 cannot be searched there.
    assert (found["reason"][-1] == Reason.OUTSIDE).all()
    assert (found["reason"][1:-1, 1:-1] == Reason.OBSERVED).all()
    noise = np.random.default_rng(0).standard_normal(image.shape).astype(np.float32)
    found = screened(matched(track(image, image.copy(data=noise), OPTICAL)), OPTICAL.search)
    assert (found["reason"] == Reason.OBSERVED).mean() < 0.02


def test_images_that_do_not_belong_together_are_refused(optical: xr.Dataset) -> None:
    image = optical["reference"]
    with pytest.raises(DimensionError, match="different grids: along x"):
        track(image, image.assign_coords(x=image["x"] + 0.5), OPTICAL)
    with pytest.raises(DimensionError, match="different grids: along y"):
        track(image, image.isel(y=slice(0, 600)), OPTICAL)
    small = image.isel(y=slice(0, 40))
    with pytest.raises(DimensionError, match="smaller chips"):
        track(small, small, OPTICAL)


def test_outliers_are_left_out_and_fields_are_not(every_size: xr.Dataset) -> None:
    kept = screened(every_size, OPTICAL.search)
    assert float((kept["reason"] != every_size["reason"]).mean()) < 1e-3
    spoiled = every_size.copy(deep=True)
    spoiled["east"][1, 10, 10] += 3.0
    spoiled["north"][1, 20, 7] -= 0.6
    clean = screened(spoiled, OPTICAL.search).isel(size=1)
    assert clean["reason"][10, 10] == Reason.NEIGHBOURS
    assert clean["reason"][20, 7] == Reason.MEDIAN
    assert np.isnan(clean["east"][20, 7]) and np.isnan(clean["north_error"][10, 10])
    before = int((kept["reason"].isel(size=1) == Reason.OBSERVED).sum())
    assert int((clean["reason"] == Reason.OBSERVED).sum()) == before - 2
