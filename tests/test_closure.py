"""Unwrapping errors: made by a forward model, found from closures alone, never made worse.

The forward model draws single-look speckle statistics, adds motion and a delay per date, and then
whole cycles in blobs; the code under test sees phase and coherence only.
"""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, label
from scipy.stats import norm

from rockglacier import closure, inversion, network, phase_noise
from rockglacier.errors import DimensionError, NetworkError, UnitsError

WAVELENGTH_M = 0.0555
RADIANS = -4.0 * np.pi / WAVELENGTH_M


def chain(dates, reach):
    return [(i, j) for i in range(dates) for j in range(i + 1, min(dates, i + reach + 1))]


YEAR_LONG = [*chain(40, 3), (5, 35)]  # 115 pairs; the last is in no triplet


def smooth(shape, pixels, rng):
    field = gaussian_filter(rng.standard_normal(shape), pixels, mode="wrap")
    return (field - field.mean()) / field.std()


def speckle(coherence, looks, rng):
    """Phase noise and estimated coherence of multilooked pairs (Bartlett factor of a Wishart)."""
    rest = np.sqrt(1.0 - coherence**2)
    real = coherence * np.sqrt(rng.standard_gamma(looks, coherence.shape))
    real += np.sqrt(0.5) * rest * rng.standard_normal(coherence.shape)
    imaginary = np.sqrt(0.5) * rest * rng.standard_normal(coherence.shape)
    power = real**2 + imaginary**2
    other = rest**2 * rng.standard_gamma(looks - 1, coherence.shape)
    return np.arctan2(imaginary, real), np.sqrt(power / (power + other))


def array(values, dates, edges, units="1"):
    first, second = np.array(edges).T
    return xr.DataArray(
        values,
        dims=("pair", "y", "x"),
        coords={"reference": ("pair", dates[first]), "secondary": ("pair", dates[second])},
        attrs={"units": units},
    )


def forward(
    edges,
    *,
    size=60,
    coherence=(0.3, 0.95),
    looks=20,
    wrong=0.1,
    cover=0.2,
    blob=8.0,
    missing=0.0,
    velocity=None,
    seed=0,
):
    """A stack and the whole cycles that repair it: ``phase``, ``coherence``, ``truth``."""
    rng = np.random.default_rng(seed)
    edges = [tuple(e) for e in edges]
    first, second = np.array(edges).T
    shape = (size, size)
    days = 12.0 * np.arange(second.max() + 1)
    dates = np.datetime64("2020-01-01", "ns") + days.astype(int) * np.timedelta64(1, "D")
    spread = coherence[1] - coherence[0]
    at_repeat = coherence[0] + spread * norm.cdf(smooth(shape, 5.0, rng))
    left = 0.3 + 0.7 * np.exp(-(days[second] - days[first]) / 60.0)
    noise, estimate = speckle(at_repeat * (left / left.max())[:, None, None], looks, rng)
    if velocity is None:
        velocity = 0.03 * np.abs(smooth(shape, 4.0, rng))
    delay = np.array([0.005 * smooth(shape, 15.0, rng) for _ in days])
    displacement = delay + velocity * (days / 365.25)[:, None, None]
    phase = RADIANS * (displacement[second] - displacement[first]) + noise
    cycles = np.zeros(phase.shape, np.int8)
    for k in rng.permutation(len(edges))[: round(wrong * len(edges))]:
        field = smooth(shape, blob, rng)
        size_of_error = 2 if rng.random() < 0.2 else 1
        cycles[k] = np.where(np.abs(field) > norm.ppf(1 - cover / 2), np.sign(field), 0)
        cycles[k] *= size_of_error
    phase += 2.0 * np.pi * cycles
    gone = np.random.default_rng([seed, 1]).random(phase.shape) < missing
    phase[gone] = estimate[gone] = np.nan
    stack = array(phase.astype(np.float32), dates, edges, "rad")
    return stack, array(estimate.astype(np.float32), dates, edges), -cycles


def correct(phase, coherence, *, looks=20, **options):
    product = phase_noise.coherence_product(phase, coherence, looks=looks)
    return closure.correct_cycles(phase, product, looks=looks, **options)


def score(found, truth, phase):
    """Share of wrong samples that stay wrong, and of right samples that were changed."""
    cycles, present = found["cycles"].values, np.isfinite(phase.values)
    wrong, right = (truth != 0) & present, (truth == 0) & present
    left = (cycles != truth)[wrong].mean() if wrong.any() else 0.0
    return left, (cycles != 0)[right].mean()


@pytest.mark.parametrize(
    ("options", "left", "changed"),
    [
        ({}, 0.002, 1e-5),
        ({"missing": 0.2}, 0.01, 1e-4),
        ({"coherence": (0.15, 0.5)}, 0.02, 1e-4),
        ({"blob": 3.0, "cover": 0.05}, 0.01, 1e-5),
        ({"wrong": 0.25}, 0.03, 2e-3),
    ],
    ids=["blobs", "gaps", "low coherence", "small blobs", "a quarter of the pairs"],
)
def test_cycles_are_found_without_components(options, left, changed):
    phase, coherence, truth = forward(YEAR_LONG, seed=3, **options)
    found = correct(phase, coherence)
    assert (truth != 0).any()
    stay, broken = score(found, truth, phase)
    assert stay <= left
    assert broken <= changed
    assert found["cycles"].dtype == np.int8
    assert (found["cycles"].values[np.isnan(phase.values)] == 0).all()


def test_a_pair_in_no_triplet_is_checked_by_long_cycles():
    phase, coherence, _ = forward(YEAR_LONG, wrong=0.0, coherence=(0.6, 0.95), seed=1)
    alone = np.flatnonzero(network.triplet_counts(phase["reference"], phase["secondary"]) == 0)
    assert alone.tolist() == [114]
    truth = np.zeros(phase.shape, np.int8)
    truth[114, 10:20, 15:30] = 1
    found = correct(phase - np.float32(2 * np.pi) * truth, coherence)
    assert found["closure_count_before"].sum() == 0
    stay, broken = score(found, truth, phase)
    assert stay == 0.0
    assert broken <= 1e-5


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_velocity_is_as_good_as_without_errors(missing):
    """RMSE of the velocity within 5 % of that of the same stack without unwrapping errors."""

    def rmse(phase, product, cycles=None):
        series = inversion.invert(
            phase, product, wavelength_m=WAVELENGTH_M, looks=20, cycles=cycles
        )["displacement"].values
        years = np.asarray((series_dates - series_dates[0]) / np.timedelta64(1, "D")) / 365.25
        valid = np.isfinite(series)
        count = valid.sum(0)
        t = np.where(valid, years[:, None, None], 0.0)
        t = np.where(valid, t - t.sum(0) / count, 0.0)
        rate = (t * np.nan_to_num(series)).sum(0) / (t**2).sum(0)
        error = rate - velocity
        return float(np.std(error))

    velocity = 0.03 * np.abs(smooth((60, 60), 4.0, np.random.default_rng(8)))
    options = {"seed": 5, "missing": missing, "velocity": velocity}
    clean, coherence, _ = forward(YEAR_LONG, wrong=0.0, **options)
    wrong, _, truth = forward(YEAR_LONG, **options)
    np.testing.assert_allclose(wrong + 2 * np.pi * truth, clean, atol=1e-4)
    series_dates = network.incidence(clean["reference"], clean["secondary"])[0]
    product = phase_noise.coherence_product(clean, coherence, looks=20)
    cycles = closure.correct_cycles(wrong, product, looks=20)["cycles"]
    without, spoiled = rmse(clean, product), rmse(wrong, product)
    repaired = rmse(wrong, product, cycles)
    assert spoiled > 1.2 * without
    assert repaired <= 1.05 * without


def test_components_hold_together_where_neighbours_differ():
    """Errors that end at a component's edge stay there, also in poor coherence."""
    phase, coherence, truth = forward(
        YEAR_LONG, coherence=(0.15, 0.45), cover=0.15, blob=5.0, seed=7
    )
    component = np.stack([label(layer != 0)[0] for layer in truth]).astype(np.uint8) + 1
    labels = phase.copy(data=component).assign_attrs(units="1")
    with_labels = score(correct(phase, coherence, component=labels), truth, phase)
    without = score(correct(phase, coherence), truth, phase)
    assert with_labels[0] <= without[0] <= 0.05
    assert max(with_labels[1], without[1]) <= 1e-4


def test_motion_that_all_long_pairs_lose_is_restored():
    """A tongue at 0.3 m/yr: every 36-day pair exceeds half a cycle and is unwrapped one off."""
    rows, columns = np.mgrid[:40, :40]
    tongue = np.hypot((rows - 20) / 9.0, (columns - 20) / 4.0) < 1.0
    assert 60 <= tongue.sum() <= 250
    velocity = np.where(tongue, 0.3, 0.0)
    edges = chain(30, 3)
    phase, coherence, _ = forward(
        edges, size=40, wrong=0.0, coherence=(0.6, 0.9), velocity=velocity, seed=2
    )
    span = np.diff(np.array(edges), axis=1)[:, 0]
    truth = np.zeros(phase.shape, np.int8)
    truth[np.ix_(span == 3)] = -tongue.astype(np.int8)  # phase is negative for approach
    found = correct(phase - np.float32(2 * np.pi) * truth, coherence)
    stay, broken = score(found, truth, phase)
    assert stay <= 0.02
    assert broken <= 1e-3


def test_offset_of_whole_pairs_against_the_reference():
    phase, coherence, _ = forward(YEAR_LONG, wrong=0.0, seed=4)
    reference_phase = phase[:, 0, 0].drop_vars(("reference", "secondary"))
    truth = np.zeros(phase.shape, np.int8)
    truth[3], truth[50] = 1, -1
    truth[:, :3, :3] = 0
    wrong = phase - np.float32(2 * np.pi) * truth
    found = correct(wrong, coherence, reference_phase=reference_phase)
    assert score(found, truth, phase)[0] <= 1e-3
    # A constant on a whole pair, reference included, means nothing.
    constant = xr.DataArray(np.linspace(-30, 30, 115).astype(np.float32), dims="pair")
    moved = (wrong + constant).assign_attrs(units="rad")
    again = correct(moved, coherence, reference_phase=reference_phase + constant)
    assert (again["cycles"] != found["cycles"]).mean() < 1e-5


networks = st.sets(
    st.tuples(st.integers(0, 8), st.integers(1, 4)).map(lambda e: (e[0], e[0] + e[1])),
    min_size=6,
    max_size=26,
).map(sorted)


@settings(max_examples=25, deadline=None)
@given(
    networks,
    st.integers(0, 2**31),
    st.sampled_from([(0.0, 0.01), (0.05, 0.3), (0.2, 0.6), (0.4, 0.95)]),
    st.sampled_from([0.0, 0.2, 0.5]),
    st.sampled_from([5, 20]),
)
def test_clean_stack_is_never_made_worse(edges, seed, coherence, missing, looks):
    """Any network, noise up to pure noise, gaps: samples stay as they are, closures too."""
    phase, estimate, _ = forward(
        edges, size=25, coherence=coherence, looks=looks, wrong=0.0, missing=missing, seed=seed
    )
    found = correct(phase, estimate, looks=looks)
    assert (found["closure_count"] <= found["closure_count_before"]).all()
    changed = int((found["cycles"] != 0).sum())
    share = 4e-4 if missing < 0.5 else 3e-3  # half the neighbours are half the restraint
    assert changed <= 4 + share * np.isfinite(phase.values).sum()
    # Where coherence is unknown nothing tells noise from signal, yet closures must not suffer.
    unknown = closure.correct_cycles(phase, looks=looks)
    assert (unknown["closure_count"] <= unknown["closure_count_before"]).all()


def test_unknown_coherence_is_enough_on_good_ground():
    phase, _, truth = forward(YEAR_LONG, coherence=(0.4, 0.95), seed=3)
    stay, broken = score(closure.correct_cycles(phase), truth, phase)
    assert stay <= 0.01
    assert broken <= 1e-4


def test_noise_alone_is_left_alone():
    phase, estimate, _ = forward(YEAR_LONG, coherence=(0.0, 0.01), wrong=0.0, seed=9)
    found = correct(phase, estimate)
    assert found["closure_count_before"].mean() > 30
    assert (found["cycles"] != 0).mean().item() <= 1e-4


def test_cycles_keep_their_bound():
    phase, coherence, _ = forward(YEAR_LONG, size=20, wrong=0.0, seed=6)
    wrong = phase.copy()
    wrong[10] += np.float32(4 * np.pi)
    assert np.abs(correct(wrong, coherence, max_cycles=1)["cycles"]).max() == 1
    twice = correct(wrong, coherence, max_cycles=3)["cycles"]
    assert (twice[10] == -2).mean() > 0.995


def test_lazy_equals_eager_for_awkward_chunks():
    phase, coherence, truth = forward(YEAR_LONG, size=41, missing=0.1, seed=11)
    component = phase.copy(data=(truth != 0).astype(np.uint8)).assign_attrs(units="1")
    product = phase_noise.coherence_product(phase, coherence, looks=20)
    eager = closure.correct_cycles(phase, product, component=component)
    for chunks in ({"y": 7, "x": 41}, {"y": (2, 30, 9), "x": 13}):
        lazy = closure.correct_cycles(
            phase.chunk(chunks), product.chunk({"y": 10}), component=component.chunk(chunks)
        )
        assert all(a.chunks is not None for a in lazy.data_vars.values())
        xr.testing.assert_identical(lazy.compute(), eager)
    counted = closure.closure_count(phase.chunk({"y": 7}))
    xr.testing.assert_identical(counted.compute(), closure.closure_count(phase))
    shares = closure.closure_share(phase.chunk({"y": 7, "x": 20}))
    xr.testing.assert_allclose(shares.compute(), closure.closure_share(phase))


def test_closures_count_whole_cycles_and_skip_gaps():
    edges = [(0, 1), (1, 2), (0, 2), (2, 3), (1, 3)]
    rng = np.random.default_rng(0)
    first, second = np.array(edges).T
    displacement = rng.normal(0, 3, (4, 6, 5))
    phase, _, _ = forward(edges, size=10, wrong=0.0)
    phase = phase[:, :6, :5].copy(data=(displacement[second] - displacement[first]))
    triplets = network.triplets(phase["reference"], phase["secondary"])
    assert triplets.tolist() == [[0, 1, 2], [1, 3, 4]]
    count = closure.closure_count(phase)
    assert (count["closure_count"] == 0).all() and (count["triplet_count"] == 2).all()
    phase[1, 0, :] += 2 * np.pi  # in both triplets
    phase[2, 1, :] -= 4 * np.pi  # in the first
    phase[4, 2, 0] = np.nan
    count = closure.closure_count(phase)
    assert count["closure_count"][:3].values.tolist() == [[2] * 5, [1] * 5, [0] * 5]
    assert count["triplet_count"].values[2].tolist() == [1, 2, 2, 2, 2]
    share = closure.closure_share(phase)
    assert share.values == pytest.approx([10 / 30, 5 / 29])
    assert share["middle"].values.tolist() == phase["secondary"].values[[0, 1]].tolist()
    one = closure.closure_phase(phase, triplets[0])
    assert one[1].values == pytest.approx(4 * np.pi)
    assert one.attrs["units"] == "rad" and not set(one.coords) & {"reference", "secondary"}
    offset = xr.DataArray([0.0, 2 * np.pi, 0.0, 0.0, 0.0], dims="pair")
    shifted = closure.closure_count(phase, reference_phase=offset)["closure_count"]
    assert shifted[0].values.tolist() == [0] * 5
    phase[2] = np.nan
    assert np.isnan(closure.closure_share(phase).values).tolist() == [True, False]


def test_bad_input_is_named():
    phase, coherence, _ = forward(chain(6, 2), size=12, wrong=0.0)
    with pytest.raises(DimensionError, match="cut into 9 Dask chunks"):
        closure.correct_cycles(phase.chunk({"pair": 1}))
    with pytest.raises(DimensionError, match="both must come from one stack"):
        closure.correct_cycles(phase, coherence[:, :5])
    with pytest.raises(DimensionError, match="one value per pair"):
        closure.correct_cycles(phase, reference_phase=xr.DataArray([1.0], dims="pair"))
    with pytest.raises(UnitsError):
        closure.correct_cycles(phase.assign_attrs(units="deg"))
    swapped = phase.assign_coords(reference=phase["secondary"], secondary=phase["reference"])
    with pytest.raises(NetworkError, match="swap"):
        closure.correct_cycles(swapped)


def test_real_stack_of_mexico_city(data_folder):
    """30 real interferograms: closures beyond pi are rare, and a made error is found again."""
    import rasterio

    folder = data_folder / "sar" / "s1_ifg_stack_mexico_cropA" / "geotiffs"
    if not folder.is_dir():
        pytest.skip(f"real data: {folder} is absent")
    names = sorted(folder.glob("cropA_*_unw.tif"))
    layers, coherences, ends = [], [], []
    for name in names:
        ends.append(name.name.split("_")[1].split("-"))
        with rasterio.open(name) as source:
            layers.append(np.where(source.read(1) == 0, np.nan, source.read(1)))
        other = name.name.replace("_eqa_unw", "_flat_eqa_cc")
        with rasterio.open(folder / other) as source:
            coherences.append(source.read(1))
    reference, secondary = (
        np.array([f"{d[:4]}-{d[4:6]}-{d[6:]}" for d in side], dtype="datetime64[ns]")
        for side in zip(*ends, strict=True)
    )
    coords = {"reference": ("pair", reference), "secondary": ("pair", secondary)}
    dims = ("pair", "y", "x")
    phase = xr.DataArray(np.array(layers, np.float32), dims=dims, coords=coords)
    phase.attrs["units"] = "rad"
    coherence = xr.DataArray(np.array(coherences, np.float32), dims=dims, coords=coords)
    best = np.unravel_index(np.argmax(coherence.values.mean(axis=0)), phase.shape[1:])
    reference_phase = phase[:, best[0], best[1]].reset_coords(drop=True)
    count = closure.closure_count(phase, reference_phase=reference_phase).sum()
    assert len(network.triplets(reference, secondary)) == 24
    assert count["closure_count"] / count["triplet_count"] < 1e-3
    found = correct(phase, coherence, reference_phase=reference_phase)
    assert (found["cycles"] != 0).mean() < 1e-3
    checked = network.triplet_counts(reference, secondary)
    k = int(np.argmax(checked))
    wrong = phase.copy()
    wrong[k, 20:32, 40:50] += np.float32(2 * np.pi)
    again = correct(wrong, coherence, reference_phase=reference_phase)["cycles"]
    assert (again[k, 20:32, 40:50] == -1).mean() > 0.99
