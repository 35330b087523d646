"""Interferograms and coherence: of known statistics, and of a real pair."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from rockglacier.sentinel1.interferogram import interfere, multilook


def speckle(shape: tuple[int, int], coherence: float, phase: np.ndarray, seed: int) -> np.ndarray:
    """Two circular Gaussian images of ``coherence``, the second ``phase`` (rad) behind."""
    rng = np.random.default_rng(seed)
    first, other = rng.normal(size=(2, *shape)) + 1j * rng.normal(size=(2, *shape))
    second = coherence * first + np.sqrt(1.0 - coherence**2) * other
    return np.stack([first, second * np.exp(-1j * phase)]).astype(np.complex64)


def test_phase_and_coherence_are_recovered() -> None:
    y, x = np.indices((400, 600))
    phase = 0.002 * y - 0.003 * x
    first, second = speckle(phase.shape, 0.7, phase, 1)
    found, coherence = interfere(first, second, (8, 10))
    expected, _ = multilook(np.exp(1j * phase), (8, 10))
    assert np.std(np.angle(found * expected.conj())) == pytest.approx(
        np.sqrt((1 - 0.7**2) / (2 * 80 * 0.7**2)), rel=0.08
    )
    assert np.mean(coherence) == pytest.approx(0.7, abs=0.01)


def test_unrelated_images_show_the_stated_bias() -> None:
    first, second = speckle((400, 400), 0.0, np.zeros((400, 400)), 2)
    _, coherence = interfere(first, second, (4, 4))
    assert np.mean(coherence) == pytest.approx(np.sqrt(np.pi / (4 * 16)), rel=0.03)


@pytest.mark.parametrize("known", [1, 8, 15])
def test_few_known_pixels_of_a_block_tell_nothing(known: int) -> None:
    """Of one pixel the coherence is 1, whatever the images are."""
    first, second = speckle((64, 64), 0.0, np.zeros((64, 64)), seed=4)
    row, column = np.indices(first.shape)
    first[row % 4 * 8 + column % 8 >= known] = np.nan
    product, coherence = interfere(first, second, (4, 8))
    assert np.isnan(product).all() and np.isnan(coherence).all()


def test_missing_pixels_do_not_count() -> None:
    first, second = speckle((40, 40), 0.9, np.zeros((40, 40)), 3)
    first[:10, :10] = np.nan
    second[3, 20:] = np.nan
    found, coherence = interfere(first, second, (10, 10))
    assert np.isnan(found[0, 0]) and np.isnan(coherence[0, 0])
    assert np.isfinite(found).sum() == 15 and np.nanmax(coherence) <= 1.0
    _, share = multilook(first, (10, 10))
    assert share[0, 0] == 0.0 and share[1, 1] == 1.0


def test_a_real_pair_is_coherent_and_loses_a_third_by_a_pixel(
    real_data: Callable[[str], Path], record_property: Callable[[str, object], None]
) -> None:
    folder = real_data("sar/s1_slc_pair_amsterdam")

    def image(day: str, name: str) -> np.ndarray:
        real, imaginary = (
            np.asarray(zarr.open_array(f"{folder}/{day}-coreg.znap/{part}_VV{name}", mode="r")[:])
            for part in "iq"
        )
        return (real + 1j * imaginary).astype(np.complex64)

    first, second = image("20230331", "_31Mar2023"), image("20230319", "_19Mar2023")
    _, coherence = interfere(first, second, (4, 16))
    assert np.nanmedian(coherence) >= 0.80
    _, shifted = interfere(first[:, 1:], second[:, :-1], (4, 16))
    fall = 1.0 - float(np.nanmedian(shifted) / np.nanmedian(coherence))
    record_property("coherence", float(np.nanmedian(coherence)))
    record_property("falls_by", fall)
    assert fall > 0.25
