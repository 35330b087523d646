"""The inversion against textbook least squares, pixel by pixel, and against known motion."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from rockglacier import inversion, phase_noise
from rockglacier.conventions import Reason
from rockglacier.errors import DimensionError, NetworkError, UnitsError

WAVELENGTH = 0.0555
LOOKS = 20.0
SCALE = -WAVELENGTH / (4 * np.pi)


def make_stack(
    first: np.ndarray, second: np.ndarray, days: np.ndarray, *, seed: int, gaps: float = 0.0
) -> tuple[xr.DataArray, xr.DataArray, np.ndarray]:
    """A random walk per pixel seen by the pairs, with noise; product; the walk (date, y, x)."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=(days.size, 5, 7)), axis=0)
    walk -= walk[0]
    dates = np.datetime64("2020-01-05", "ns") + days * np.timedelta64(1, "D")
    coords = {"reference": ("pair", dates[first]), "secondary": ("pair", dates[second])}
    phase = walk[second] - walk[first] + 0.1 * rng.normal(size=(first.size, 5, 7))
    phase[rng.random(phase.shape) < gaps] = np.nan
    product = rng.uniform(0.05, 0.95, phase.shape)
    dims = ("pair", "y", "x")
    return (
        xr.DataArray(phase, dims=dims, coords=coords, name="phase", attrs={"units": "rad"}),
        xr.DataArray(product, dims=dims, coords=coords, name="product"),
        walk,
    )


def chain(dates: int, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    ends = [(i, i + k) for i in range(dates) for k in range(1, neighbours + 1) if i + k < dates]
    first, second = np.array(ends).T
    return first, second


def textbook(phase: xr.DataArray, product: xr.DataArray, days: np.ndarray) -> np.ndarray:
    """Minimum-norm velocity by SVD, one pixel at a time: the standard, slow way."""
    dates = np.unique(np.concatenate([phase["reference"], phase["secondary"]]))
    first = np.searchsorted(dates, phase["reference"])
    second = np.searchsorted(dates, phase["secondary"])
    step = np.diff(days) / 365.25
    design = np.zeros((first.size, step.size))
    for k in range(first.size):
        design[k, first[k] : second[k]] = step[first[k] : second[k]]
    out = np.full((dates.size, *phase.shape[1:]), np.nan)
    for y, x in np.ndindex(*phase.shape[1:]):
        seen = np.isfinite(phase.values[:, y, x])
        root = 1 / np.sqrt(phase_noise.phase_variance(product.values[:, y, x], LOOKS))
        rate = np.linalg.lstsq(
            (design * root[:, None])[seen], (phase.values[:, y, x] * root)[seen], rcond=1e-12
        )[0]
        series = SCALE * np.concatenate([[0.0], np.cumsum(rate * step)])
        ends = np.concatenate([first[seen], second[seen]])
        out[np.unique(ends), y, x] = series[np.unique(ends)]
    return out


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), gaps=st.sampled_from([0.0, 0.3, 0.7]))
def test_equals_textbook_least_squares_with_and_without_gaps(seed: int, gaps: float) -> None:
    rng = np.random.default_rng(seed)
    dates = int(rng.integers(4, 12))
    days = np.cumsum(rng.integers(6, 48, dates))
    first, second = chain(dates, 3)
    first, second = np.append(first, 0), np.append(second, dates - 1)
    phase, product, _ = make_stack(first, second, days, seed=seed, gaps=gaps)
    result = inversion.invert(phase, product, wavelength_m=WAVELENGTH, looks=LOOKS, min_pairs=1)
    expected = textbook(phase, product, days)
    expected -= expected[np.isfinite(expected).argmax(axis=0), *np.indices(expected.shape[1:])]
    ours = result["displacement"].values
    ours = ours - ours[np.isfinite(ours).argmax(axis=0), *np.indices(ours.shape[1:])]
    np.testing.assert_allclose(ours, expected, atol=2e-6)


def test_recovers_motion_toward_the_satellite_as_positive() -> None:
    days = np.arange(12) * 12
    first, second = chain(12, 3)
    dates = np.datetime64("2020-01-05", "ns") + days * np.timedelta64(1, "D")
    truth = 0.03 * days / 365.25  # 3 cm/yr toward the satellite: range shortens, phase falls
    phase = (truth[second] - truth[first]) / SCALE
    stack = xr.DataArray(
        np.tile(phase[:, None, None], (1, 2, 2)),
        dims=("pair", "y", "x"),
        coords={"reference": ("pair", dates[first]), "secondary": ("pair", dates[second])},
        attrs={"units": "rad"},
    )
    result = inversion.invert(stack, wavelength_m=WAVELENGTH)
    assert np.all(phase < 0)
    np.testing.assert_allclose(result["displacement"].isel(y=0, x=0), truth, atol=1e-8)
    np.testing.assert_allclose(result["temporal_coherence"], 1.0, atol=1e-6)


def test_zero_weight_equals_a_deleted_pair() -> None:
    first, second = chain(9, 3)
    phase, product, _ = make_stack(first, second, np.arange(9) * 12, seed=3)
    gone = phase.copy()
    gone[4] = np.nan
    keep = [k for k in range(first.size) if k != 4]
    options = {"wavelength_m": WAVELENGTH, "looks": LOOKS}
    a = inversion.invert(gone, product, **options)
    b = inversion.invert(phase[keep], product[keep], **options)
    np.testing.assert_allclose(a["displacement"], b["displacement"], atol=1e-9)


def test_disconnected_subsets_are_linked_and_flagged() -> None:
    first = np.array([0, 1, 0, 3, 4, 3])
    second = np.array([1, 2, 2, 4, 5, 5])
    phase, product, _ = make_stack(first, second, np.arange(6) * 12, seed=1)
    result = inversion.invert(phase, product, wavelength_m=WAVELENGTH, looks=LOOKS)
    assert np.all(result["subset_count"] == 2)
    assert np.all(result["reason"] == Reason.SUBSETS)
    assert np.all(result["subset"].transpose(..., "date") == [1, 1, 1, 2, 2, 2])
    np.testing.assert_allclose(
        result["displacement"], textbook(phase, product, np.arange(6) * 12), atol=2e-6
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), gaps=st.sampled_from([0.0, 0.5, 0.8]))
def test_dates_of_a_subset_are_those_that_pairs_connect(seed: int, gaps: float) -> None:
    first, second = chain(9, 2)
    phase, product, _ = make_stack(first, second, np.arange(9) * 12, seed=seed, gaps=gaps)
    result = inversion.invert(phase, product, wavelength_m=WAVELENGTH, looks=LOOKS, min_pairs=1)
    assert np.array_equal(result["subset"] == 0, np.isnan(result["displacement"]))
    for y, x in np.ndindex(5, 7):
        seen = np.isfinite(phase.values[:, y, x])
        graph = coo_matrix((np.ones(seen.sum()), (first[seen], second[seen])), shape=(9, 9))
        _, name = connected_components(graph, directed=False)
        name = name[np.unique(np.concatenate([first[seen], second[seen]]))]
        subset = result["subset"].values[:, y, x]
        assert result["subset_count"][y, x] == subset.max()
        order = {one: k for k, one in enumerate(dict.fromkeys(name.tolist()), start=1)}
        assert [order[one] for one in name] == subset[subset > 0].tolist()


def test_what_cannot_be_solved_is_missing_with_a_reason_never_zero() -> None:
    first, second = chain(6, 2)
    phase, product, _ = make_stack(first, second, np.arange(6) * 12, seed=2)
    phase[:, 0, 0] = np.nan
    phase[2:, 1, 1] = np.nan
    lonely = (phase["reference"] == phase["reference"][-1]) | (
        phase["secondary"] == phase["secondary"][-1]
    )
    phase[lonely.values, 2, 2] = np.nan
    result = inversion.invert(phase, product, wavelength_m=WAVELENGTH, looks=LOOKS, min_pairs=3)
    assert result["reason"][0, 0] == Reason.OUTSIDE
    assert result["reason"][1, 1] == Reason.TOO_FEW_PAIRS
    for y, x in [(0, 0), (1, 1)]:
        assert np.all(np.isnan(result["displacement"][:, y, x]))
        assert np.isnan(result["temporal_coherence"][y, x])
    assert np.isnan(result["displacement"][-1, 2, 2])
    assert np.isfinite(result["displacement"][:-1, 2, 2]).all()


def test_absolute_residuals_shrug_off_a_wrong_cycle() -> None:
    first, second = chain(12, 3)
    phase, _, walk = make_stack(first, second, np.arange(12) * 12, seed=5)
    phase[10] += 2 * np.pi
    square = inversion.invert(phase, wavelength_m=WAVELENGTH)["displacement"]
    robust = inversion.invert(phase, wavelength_m=WAVELENGTH, norm="l1")["displacement"]
    assert abs(square / SCALE - walk).max() > 1.0
    assert abs(robust / SCALE - walk).max() < 0.6


def test_cycles_and_reference_phase_are_applied() -> None:
    first, second = chain(7, 3)
    phase, product, _ = make_stack(first, second, np.arange(7) * 12, seed=8)
    options = {"wavelength_m": WAVELENGTH, "looks": LOOKS}
    plain = inversion.invert(phase, product, **options)
    rng = np.random.default_rng(0)
    cycles = xr.DataArray(rng.integers(-2, 3, phase.shape).astype("int8"), dims=phase.dims)
    offset = xr.DataArray(rng.normal(size=first.size), dims=("pair",))
    changed = (phase - 2 * np.pi * cycles + offset).assign_attrs(units="rad")
    again = inversion.invert(changed, product, cycles=cycles, reference_phase=offset, **options)
    np.testing.assert_allclose(again["displacement"], plain["displacement"], atol=1e-7)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_lazy_equals_eager_for_awkward_chunks(rows: int) -> None:
    first, second = chain(8, 3)
    phase, product, _ = make_stack(first, second, np.arange(8) * 12, seed=4, gaps=0.3)
    eager = inversion.invert(phase, product, wavelength_m=WAVELENGTH, looks=LOOKS)
    lazy = inversion.invert(
        phase.chunk(y=rows), product.chunk(y=rows), wavelength_m=WAVELENGTH, looks=LOOKS
    )
    xr.testing.assert_identical(eager, lazy.compute())


def test_variance_factor_is_one_where_the_noise_is_as_stated_and_four_where_it_is_double() -> None:
    first, second = chain(15, 4)
    rng = np.random.default_rng(6)
    shape = (first.size, 40, 40)
    product = np.full(shape, 0.8)
    noise = rng.normal(size=shape) * np.sqrt(phase_noise.phase_variance(product, LOOKS))
    dates = np.datetime64("2020-01-05", "ns") + np.arange(15) * np.timedelta64(12, "D")
    coords = {"reference": ("pair", dates[first]), "secondary": ("pair", dates[second])}
    dims = ("pair", "y", "x")
    for level in (1.0, 2.0):
        phase = xr.DataArray(level * noise, dims=dims, coords=coords, attrs={"units": "rad"})
        result = inversion.invert(
            phase, xr.DataArray(product, dims=dims), wavelength_m=WAVELENGTH, looks=LOOKS
        )
        assert float(result["variance_factor"].mean()) == pytest.approx(level**2, rel=0.02)


def test_bad_input_is_named() -> None:
    first, second = chain(5, 2)
    phase, product, _ = make_stack(first, second, np.arange(5) * 12, seed=4)
    with pytest.raises(UnitsError, match="'deg'"):
        inversion.invert(phase.assign_attrs(units="deg"), wavelength_m=WAVELENGTH)
    with pytest.raises(DimensionError, match="one stack"):
        inversion.invert(phase, product.isel(x=slice(3)), wavelength_m=WAVELENGTH, looks=LOOKS)
    with pytest.raises(DimensionError, match="pair"):
        inversion.invert(phase.rename(pair="layer"), wavelength_m=WAVELENGTH)
    with pytest.raises(NetworkError, match="same date twice"):
        inversion.Network(phase["reference"].values, phase["reference"].values)
    with pytest.raises(NetworkError, match="no pairs"):
        inversion.Network(phase["reference"].values[:0], phase["secondary"].values[:0])
