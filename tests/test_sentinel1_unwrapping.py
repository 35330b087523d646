"""Unwrapping: known phase comes back, small islands live, tiles join, nothing is made up."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rockglacier.errors import ConfigurationError, DimensionError, SceneError
from rockglacier.sentinel1.unwrapping import unwrap

LOOKS = 20
METHODS = ["whirlwind", "snaphu"]


def scene(shape, coherence=0.999, seed=0, tongue=3.0):
    """True phase with a ramp and a tongue, and a noisy interferogram of it."""
    y, x = np.indices(shape)
    phase = 0.06 * x - 0.04 * y
    phase = phase + tongue * np.exp(-(((x - 0.6 * shape[1]) / 9) ** 4) - ((y - 40) / 14.0) ** 4)
    rng = np.random.default_rng(seed)
    size = (LOOKS, *shape)
    first = rng.normal(size=size) + 1j * rng.normal(size=size)
    other = rng.normal(size=size) + 1j * rng.normal(size=size)
    level = np.broadcast_to(coherence, shape)
    second = (level * first + np.sqrt(1 - level**2) * other) * np.exp(-1j * phase)
    product = (first * second.conj()).mean(axis=0)
    found = np.abs(product) / np.sqrt(
        (np.abs(first) ** 2).mean(axis=0) * (np.abs(second) ** 2).mean(axis=0)
    )
    dims = ("y", "x")
    return phase, xr.DataArray(product.astype("c8"), dims=dims), xr.DataArray(found, dims=dims)


def off_cycles(found, truth):
    """Whole cycles by which each pixel differs from the truth, less the commonest."""
    turns = (found - truth) / (2 * np.pi)
    turns = np.round(turns - np.nanmedian(turns))
    return turns[np.isfinite(turns)]


@pytest.mark.parametrize("method", METHODS)
def test_a_known_phase_comes_back(method):
    truth, product, coherence = scene((120, 160), 0.6)
    found = unwrap(product, coherence, looks=LOOKS, method=method)
    assert found.phase.notnull().mean() > 0.99
    assert (off_cycles(found.phase.values, truth) == 0).mean() > 0.99
    turns = (found.phase.values - np.angle(product.values)) / (2 * np.pi)
    turns = turns[np.isfinite(turns)]
    assert np.abs(turns - np.round(turns)).max() < 1e-5
    assert found.phase.attrs["units"] == "rad" and found.component.dtype == np.uint8


@pytest.mark.parametrize("method", METHODS)
def test_islands_the_size_of_a_rock_glacier_live_and_smaller_ones_do_not(method):
    level = np.full((100, 100), 0.05)
    level[5:60, 5:50] = 0.95
    level[70:77, 70:77] = 0.95  # 49 pixels: 0.08 km2 at 40 m
    level[85:88, 10:13] = 0.95  # 9 pixels
    _, product, _ = scene(level.shape, level, tongue=0.0)
    found = unwrap(product, xr.DataArray(level, dims=("y", "x")), looks=LOOKS, method=method)
    labels = found.component.values
    assert labels[30, 20] == 1 and (labels[5:60, 5:50] == 1).mean() > 0.95
    island = labels[70:77, 70:77]
    assert island[3, 3] not in (0, 1) and (island == island[3, 3]).sum() >= 30
    assert not labels[85:88, 10:13].any()
    assert np.array_equal(np.isnan(found.phase.values), labels == 0)


def test_tiles_join_to_the_whole():
    truth, product, coherence = scene((260, 330), 0.9)
    whole = unwrap(product, coherence, looks=LOOKS)
    tiled = unwrap(product, coherence, looks=LOOKS, tile_pixels=120, overlap_pixels=30)
    apart = (tiled.phase - whole.phase).values
    assert np.nanmax(np.abs(apart - np.nanmedian(apart))) < 1e-3
    assert np.array_equal(tiled.component.values, whole.component.values)
    assert (off_cycles(tiled.phase.values, truth) == 0).all()


def test_what_is_missing_stays_missing_and_small_holes_do_not_break_the_ground():
    _, product, coherence = scene((80, 90), 0.9)
    product.values[20:40, 30:50] = np.nan
    coherence.values[60, 60] = 0.0
    found = unwrap(product, coherence, looks=LOOKS)
    assert found.phase[20:40, 30:50].isnull().all()
    assert np.isfinite(found.phase[60, 61])
    assert int(found.component.max()) == 1


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.floats(0.3, 0.95))
def test_phase_and_interferogram_agree_to_whole_cycles(seed, level):
    _, product, coherence = scene((40, 50), level, seed)
    found = unwrap(product, coherence, looks=LOOKS, min_coherence=0.0)
    again = np.exp(1j * found.phase.values) * np.exp(-1j * np.angle(product.values))
    assert np.nanmax(np.abs(np.angle(again))) < 1e-4


def test_nothing_observed_is_nothing_unwrapped(caplog):
    _, product, coherence = scene((40, 50))
    found = unwrap(product * np.nan, coherence, looks=LOOKS)
    assert found.phase.isnull().all() and (found.component == 0).all()
    assert "without any observed pixel" in caplog.text


@pytest.mark.parametrize("method", ["whirlwind", "snaphu"])
def test_many_islands_are_kept(method):
    pytest.importorskip(method)
    side, gap = 20, 6
    _, product, coherence = scene((8 * (side + gap), 6 * (side + gap)))
    row, column = np.indices(product.shape) % (side + gap)
    found = unwrap(product.where((row < side) & (column < side)), coherence, looks=LOOKS,
                   method=method)  # fmt: skip
    assert int(found.component.max()) == 48
    assert int((found.component > 0).sum()) == int(found.phase.notnull().sum())
    assert int((found.component > 0).sum()) > 0.98 * 48 * side**2


def test_bad_input_is_named():
    _, product, coherence = scene((40, 50))
    with pytest.raises(DimensionError, match="one grid"):
        unwrap(product, coherence[1:], looks=LOOKS)
    with pytest.raises(SceneError, match="complex"):
        unwrap(product.real, coherence, looks=LOOKS)
    with pytest.raises(ConfigurationError, match="whirlwind or snaphu"):
        unwrap(product, coherence, looks=LOOKS, method="grass")
