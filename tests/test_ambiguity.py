"""Motion beyond a quarter wavelength: long pairs are moved to their cycle or left out."""

import numpy as np
import pytest
import xarray as xr

from rockglacier import ambiguity
from rockglacier.bands import cut
from rockglacier.conventions import UNRESOLVED
from rockglacier.errors import UnitsError

WAVELENGTH = 0.0555
SCALE = -WAVELENGTH / (4 * np.pi)
SPACING = (40.0, 40.0)
TONGUE = (slice(None), slice(28, 34), slice(25, 45))
OPTIONS = {"wavelength_m": WAVELENGTH, "looks": 20.0, "spacing_m": SPACING}


def season_stack(speed: float, *, seed: int = 0) -> tuple[xr.DataArray, np.ndarray]:
    """Two seasons of 12-day dates with pairs up to 36 d and of one year; a tongue at ``speed``.

    Returns the phase as an unwrapper leaves it (the tongue within half a cycle of the
    surroundings; a scene-wide delay on every date) and the whole cycles it lost.
    """
    rng = np.random.default_rng(seed)
    days = np.concatenate([np.arange(9) * 12.0, 365 + np.arange(9) * 12.0])
    lag = days[None, :] - days[:, None]
    first, second = np.nonzero(((lag > 0) & (lag <= 36)) | (abs(lag - 365) < 14))
    span = lag[first, second]
    motion = np.zeros((first.size, 60, 70))
    motion[TONGUE] = (speed * span / 365.25)[:, None, None]
    noise = 0.15 * rng.normal(size=motion.shape)
    delay = rng.normal(size=days.size) * 2.0
    true = motion / SCALE + noise
    seen = np.angle(np.exp(1j * true))
    lost = np.round((true - seen) / (2 * np.pi)).astype(int)
    phase = seen + (delay[second] - delay[first])[:, None, None]
    dates = np.datetime64("2020-07-01", "ns") + (days * 86400e9).astype("timedelta64[ns]")
    return xr.DataArray(
        phase.astype("float32"),
        dims=("pair", "y", "x"),
        coords={"reference": ("pair", dates[first]), "secondary": ("pair", dates[second])},
        name="phase",
        attrs={"units": "rad"},
    ), lost


def worth(phase: xr.DataArray) -> xr.DataArray:
    return xr.full_like(phase, 0.4).where(phase.notnull())


@pytest.mark.parametrize("speed", [0.02, -0.03, 0.18, -0.35])
def test_moved_to_the_true_cycle_or_not_used(speed: float) -> None:
    phase, lost = season_stack(speed)
    cycles = ambiguity.resolve(phase, worth(phase), **OPTIONS)["cycles"].values
    span = ((phase["secondary"] - phase["reference"]) / np.timedelta64(1, "D")).values
    within = cycles[TONGUE]
    right = within == lost[TONGUE]
    assert np.mean(right | (within == UNRESOLVED)) > 0.995
    assert np.mean(right[span < 40]) > 0.99
    if abs(speed) > 0.1:
        assert np.mean(within[span > 300] == UNRESOLVED) > 0.99
    outside = np.ones(phase.shape[1:], bool)
    outside[TONGUE[1:]] = False
    assert np.mean(cycles[:, outside] != 0) < 0.002


def test_ground_that_does_not_move_is_left_alone() -> None:
    phase, _ = season_stack(0.0)
    assert np.mean(ambiguity.resolve(phase, worth(phase), **OPTIONS)["cycles"].values != 0) < 0.002


def test_resolved_gradients_are_left_alone() -> None:
    phase, _ = season_stack(0.0)
    span = ((phase["secondary"] - phase["reference"]) / np.timedelta64(1, "D")).values
    # A bowl of 6 cm/yr over two kilometres: every step between pixels is small.
    bowl = 0.06 * np.exp(-0.5 * ((np.arange(70) - 35) / 12.0) ** 2)
    smooth = phase + ((span / 365.25)[:, None, None] * bowl / SCALE).astype("float32")
    cycles = ambiguity.resolve(smooth.assign_attrs(units="rad"), worth(phase), **OPTIONS)["cycles"]
    assert np.mean(cycles.values[:, :, 25:45] != 0) < 0.03


@pytest.mark.parametrize("kind", ["surge", "step", "step in winter"])
def test_a_rate_that_changes_does_not_mislead(kind: str) -> None:
    phase, _ = season_stack(0.0)
    rng = np.random.default_rng(4)
    first, second = (phase[end].values for end in ("reference", "secondary"))
    dates = np.unique([first, second])
    since = (dates - dates[0]) / np.timedelta64(1, "D")
    path = 0.15 * since / 365.25
    step = {"surge": None, "step": dates[13], "step in winter": dates[9]}[kind]
    if step is None:
        path += 0.08 / (1.0 + np.exp(-(since - 410.0) / 8.0))  # a surge of two fringes and more
    else:
        path += 0.03 * (dates >= step)
    a, b = (np.searchsorted(dates, end) for end in (first, second))
    lobe = np.exp(-((((np.arange(70) - 35) / 12.0) ** 2) ** 2))  # wide: the unwrapper follows
    motion = (path[b] - path[a])[:, None, None] * lobe + np.zeros(phase.shape)
    seen = phase.copy(data=motion / SCALE + 0.15 * rng.normal(size=phase.shape))
    steps = [] if step is None else [str(step)[:10]]
    cycles = ambiguity.resolve(seen, worth(phase), steps=steps, **OPTIONS)["cycles"].values
    days = (second - first) / np.timedelta64(1, "D")
    assert np.mean(cycles[days < 40] != 0) < 0.001
    if step is not None:
        crossing = (first < step) & (second >= step) & (days > 300)
        assert np.mean(cycles[crossing] != 0) < 0.001


@pytest.mark.parametrize("rows", [7, 26, 31])
def test_bands_with_their_margin_equal_the_whole(rows: int) -> None:
    phase, _ = season_stack(0.2)
    stable = xr.DataArray(np.random.default_rng(0).random((60, 70)) > 0.2, dims=("y", "x"))
    whole = ambiguity.resolve(phase, worth(phase), stable_ground=stable, **OPTIONS)
    for band in cut(60, rows, ambiguity.margin_rows(SPACING)):
        wide = phase.isel(y=band.wide)
        part = ambiguity.resolve(
            wide, worth(wide), stable_ground=stable.isel(y=band.wide), **OPTIONS
        ).isel(y=band.crop)
        expected = whole.isel(y=band.inner)
        np.testing.assert_array_equal(part["cycles"], expected["cycles"])
        np.testing.assert_allclose(part["local_rate"], expected["local_rate"], atol=1e-6)


def test_the_moving_ground_is_found_without_being_told() -> None:
    phase, _ = season_stack(0.1)
    resolved = ambiguity.resolve(phase, worth(phase), **OPTIONS)
    moving = ambiguity.moving(resolved).values
    assert moving[TONGUE[1:]].all()
    assert moving[:20].mean() < 0.01
    rate = resolved["local_rate"].values[TONGUE[1:]]
    assert np.median(rate) == pytest.approx(0.1, rel=0.03)


def test_a_series_without_pairs_tells_what_moves() -> None:
    rng = np.random.default_rng(8)
    dates = np.datetime64("2019-01-05", "ns") + np.arange(20) * np.timedelta64(24, "D")
    years = np.arange(20) * 24 / 365.25
    seen = 0.02 * years[:, None, None] + 0.01 * rng.normal(size=(20, 1, 1)) + np.zeros((20, 60, 70))
    seen[TONGUE] += 0.05 * years[:, None, None]
    seen += 0.002 * rng.normal(size=seen.shape)
    seen[3:9, 5:9, 5:60] = np.nan
    seen[2:, 50, 50] = np.nan
    series = xr.DataArray(seen, dims=("date", "y", "x"), coords={"date": dates})
    series.attrs["units"] = "m"
    rates = ambiguity.local_rates(series, spacing_m=SPACING)
    still = ~ambiguity.moving(rates)
    rates = ambiguity.local_rates(series, spacing_m=SPACING, stable_ground=still)
    moving = ambiguity.moving(rates).values
    assert moving[TONGUE[1:]].all() and moving[:20].mean() < 0.01
    assert np.median(rates["local_rate"].values[TONGUE[1:]]) == pytest.approx(0.05, rel=0.02)
    z = (rates["local_rate"] / rates["local_rate_error"]).values[:20]
    assert np.nanstd(z) == pytest.approx(1.0, abs=0.15)
    assert np.isnan(rates["local_rate"].values[50, 50])


def test_coherence_tells_fast_debris_from_slow() -> None:
    phase, _ = season_stack(0.0)
    rng = np.random.default_rng(1)
    span = ((phase["secondary"] - phase["reference"]) / np.timedelta64(1, "D")).values
    coherence = 0.4 + 0.4 * np.exp(-span / 200)[:, None, None] + np.zeros(phase.shape)
    for columns, speed in [(slice(0, 20), 0.8), (slice(20, 40), 0.05)]:
        jostle = 0.12 * speed * span / 365.25 / SCALE
        coherence[:, :, columns] *= np.exp(-0.5 * jostle**2)[:, None, None]
    coherence = phase.copy(data=coherence + 0.08 * rng.normal(size=phase.shape))
    stable = xr.zeros_like(phase[0], dtype=bool)
    stable[:, 45:] = True
    loss = ambiguity.coherence_loss(
        ambiguity.mean_by_span(coherence), looks=20, stable_ground=stable
    )
    flagged = ambiguity.aliased(loss).values
    assert flagged[:, 2:18].mean() > 0.99
    assert flagged[:, 22:].mean() < 0.001


def test_one_span_alone_cannot_tell() -> None:
    phase, _ = season_stack(0.0)
    span = (phase["secondary"] - phase["reference"]) / np.timedelta64(1, "D")
    only = phase.isel(pair=np.flatnonzero(span == 12))
    loss = ambiguity.coherence_loss(
        ambiguity.mean_by_span(xr.full_like(only, 0.6)),
        looks=20,
        stable_ground=only[0].notnull(),
    )
    assert np.all(np.isnan(loss)) and not ambiguity.aliased(loss).any()


def test_both_corrections_combine() -> None:
    dims = ("pair", "y", "x")
    motion = xr.DataArray(np.array([[[0, 2, UNRESOLVED]]], "int8"), dims=dims)
    closure = xr.DataArray(np.array([[[1, -3, 3]]], "int8"), dims=dims)
    both = ambiguity.combined(motion, closure)
    np.testing.assert_array_equal(both, [[[1, -1, UNRESOLVED]]])
    assert both.dtype == np.int8


def test_phase_in_degrees_is_refused() -> None:
    phase, _ = season_stack(0.0)
    with pytest.raises(UnitsError):
        ambiguity.resolve(phase.assign_attrs(units="deg"), worth(phase), **OPTIONS)
