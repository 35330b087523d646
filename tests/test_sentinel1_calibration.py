"""Calibration and noise tables as the product specification lays them out."""

import numpy as np
import pytest

from rockglacier.errors import SceneError
from rockglacier.sentinel1.calibration import read_calibration, read_noise


def numbers(values):
    return " ".join(f"{value:.6e}" if isinstance(value, float) else str(value) for value in values)


def vector(tag, line, samples, **tables):
    """A vector of one line; ``tables`` by their tags."""
    inner = "".join(f"<{name}>{numbers(values)}</{name}>" for name, values in tables.items())
    return f"<{tag}><line>{line}</line><pixel>{numbers(samples)}</pixel>{inner}</{tag}>"


def test_calibration_between_its_places():
    rows = [
        vector("calibrationVector", 0, [0, 40], sigmaNought=[9.0, 9.0], betaNought=[100.0, 200.0]),
        vector("calibrationVector", 10, [0, 40], sigmaNought=[9.0, 9.0], betaNought=[200.0, 400.0]),
    ]
    table = read_calibration(f"<calibration>{''.join(rows)}</calibration>".encode(), "c.xml")
    values = table.over(np.array([0, 5, 10]), np.array([0, 20, 40]))
    np.testing.assert_allclose(values, [[100, 150, 200], [150, 225, 300], [200, 300, 400]])
    places = table.at(np.array([2.5, np.nan]), np.array([10.0, 10.0]))
    np.testing.assert_allclose(places, [156.25, np.nan])


def test_beyond_its_ends_a_table_goes_on():
    rows = [vector("calibrationVector", 5, [0, 40], betaNought=[100.0, 200.0])]
    table = read_calibration(f"<calibration>{''.join(rows)}</calibration>".encode(), "c.xml")
    np.testing.assert_allclose(table.over(np.array([0, 90]), np.array([40, 60])), 200.0)


def test_noise_of_range_times_azimuth():
    """From 2018 on: the product of both, at vectors of unlike samples and lines."""
    across = [
        vector("noiseRangeVector", 0, [0, 20, 40], noiseRangeLut=[10.0, 20.0, 30.0]),
        vector("noiseRangeVector", 8, [0, 40], noiseRangeLut=[10.0, 30.0]),
    ]
    along = (
        "<noiseAzimuthVector><swath>IW1</swath><line>0 4 8</line>"
        "<noiseAzimuthLut>1.0 2.0 1.0</noiseAzimuthLut></noiseAzimuthVector>"
    )
    table = read_noise(f"<noise>{''.join(across)}{along}</noise>".encode(), "n.xml")
    values = table.over(np.array([0, 2, 4, 8]), np.array([0, 20, 40]))
    np.testing.assert_allclose(values, np.outer([1.0, 1.5, 2.0, 1.0], [10.0, 20.0, 30.0]))


def block(swath, lines, samples, line, factors):
    """Factors along azimuth, within first and last line and sample."""
    bounds = zip(("firstAzimuthLine", "lastAzimuthLine"), lines, strict=True)
    bounds = [*bounds, *zip(("firstRangeSample", "lastRangeSample"), samples, strict=True)]
    inner = "".join(f"<{tag}>{value}</{tag}>" for tag, value in bounds)
    return (
        f"<noiseAzimuthVector><swath>{swath}</swath>{inner}<line>{numbers(line)}</line>"
        f"<noiseAzimuthLut>{numbers(factors)}</noiseAzimuthLut></noiseAzimuthVector>"
    )


def test_noise_of_merged_swaths_keeps_each_to_its_own_block():
    """Of a GRD: blocks side by side, one of them in two parts along azimuth."""
    across = [vector("noiseRangeVector", n, [0, 9], noiseRangeLut=[10.0, 10.0]) for n in (0, 9)]
    along = [
        block("IW1", (0, 9), (0, 4), [0, 9], [1.0, 10.0]),
        block("IW2", (0, 4), (5, 9), [0], [3.0]),
        block("IW2", (5, 9), (5, 9), [5, 9], [7.0, 9.0]),
    ]
    noise = read_noise(f"<noise>{''.join(across + along)}</noise>".encode(), "n.xml")
    wanted = np.empty((10, 10))
    wanted[:, :5] = 10.0 * (1.0 + np.arange(10))[:, None]
    wanted[:5, 5:] = 30.0
    wanted[5:, 5:] = 10.0 * (7.0 + 0.5 * np.arange(5))[:, None]
    lines, samples = np.mgrid[:10, :10]
    np.testing.assert_allclose(noise.over(lines[:, 0], samples[0]), wanted)
    np.testing.assert_allclose(noise.at(lines.astype(float), samples.astype(float)), wanted)
    # Between two samples the nearer one's swath counts; nothing is known where a place is not.
    places = noise.at(np.array([2.0, 2.0, np.nan]), np.array([4.4, 4.6, 4.0]))
    np.testing.assert_allclose(places, [30.0, 30.0, np.nan])
    places = noise.at(np.array([6.0, 6.0]), np.array([4.4, 4.6]))
    np.testing.assert_allclose(places, [70.0, 75.0])


def test_a_block_of_unlike_lists_is_refused():
    across = vector("noiseRangeVector", 0, [0, 9], noiseRangeLut=[10.0, 10.0])
    along = block("IW1", (0, 9), (0, 9), [0, 4, 9], [1.0, 2.0])
    with pytest.raises(SceneError, match="3 lines and 2 values of noiseAzimuthLut"):
        read_noise(f"<noise>{across}{along}</noise>".encode(), "n.xml")


def test_noise_of_earlier_products():
    rows = [vector("noiseVector", line, [0, 40], noiseLut=[4.0, 8.0]) for line in (0, 8)]
    table = read_noise(f"<noise>{''.join(rows)}</noise>".encode(), "n.xml")
    np.testing.assert_allclose(table.at(np.array([3.0]), np.array([10.0])), 5.0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<calibration>", "no readable XML"),
        (b"<calibration/>", "no calibrationVector with betaNought"),
        (vector("calibrationVector", 0, [0, 40], betaNought=[1.0]).encode(), "no calibrationV"),
        (vector("calibrationVector", 0, [0, 1], betaNought=["a", "b"]).encode(), "no numbers"),
    ],
)
def test_a_table_that_cannot_be_used_names_its_file(content, said):
    wrapped = content if content.startswith(b"<calibration>") else b"<x>" + content + b"</x>"
    with pytest.raises(SceneError, match=said) as caught:
        read_calibration(wrapped, "calibration-s1a.xml")
    assert "calibration-s1a.xml" in str(caught.value)
