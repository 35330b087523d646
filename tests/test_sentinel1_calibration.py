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
