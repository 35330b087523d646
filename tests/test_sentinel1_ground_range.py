"""Detected images on ground range: what the annotation says, and where the ground lies in them."""

import re
import warnings

import numpy as np
import pytest
import xarray as xr
from scenes import REFLECTORS, open_passages
from xarray_sentinel import sentinel1

from rockglacier.errors import SceneError
from rockglacier.sentinel1.annotation import SPEED_OF_LIGHT
from rockglacier.sentinel1.ground_range import place, read_detected
from rockglacier.sentinel1.orbit import zero_doppler
from rockglacier.sentinel1.safe import open_pixels, open_safe


@pytest.fixture(scope="module")
def passage(ideal_scenes):
    return open_passages(ideal_scenes)[0]


def test_the_fields_reader_opens_a_product(ideal_scenes):
    product = ideal_scenes.ground_range[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        groups = sentinel1.open_sentinel1_dataset(product).attrs["subgroups"]
        assert {"IW/VV", "IW/VV/orbit", "IW/VV/gcp", "IW/VV/coordinate_conversion"} <= set(groups)
        whole = sentinel1.open_sentinel1_dataset(product, group="IW/VV", check_files_exist=True)
        pixels = whole.measurement
        assert pixels.dims == ("azimuth_time", "ground_range")
        assert float(pixels.ground_range[1]) == 10.0 and pixels.mean() > 10
        table = sentinel1.open_sentinel1_dataset(product, group="IW/VV/calibration")
        noise = sentinel1.open_sentinel1_dataset(product, group="IW/VV/noise_range")
    assert table.betaNought.min() > 400.0 and (noise.noiseRangeLut >= 0).all()


def test_reflectors_lie_where_they_stand(ideal_scenes, passage, record_property):
    """Bar: half a pixel in range and azimuth, in the slice that holds them."""
    off = []
    for ground in ideal_scenes.reflector_places():
        abeam = zero_doppler(passage.orbit, ground[None])
        for one in passage.slices:
            at = np.array([float(a[0]) for a in place(one.image, passage.orbit, *abeam)])
            if not all(8 < a < size - 8 for a, size in zip(at, one.image.shape, strict=True)):
                continue
            row, column = np.round(at).astype(int)
            with open_pixels(one.safe.measurement(one.stem)) as source:
                part = source.read(1)[row - 6 : row + 7, column - 6 : column + 7].astype(float) ** 2
            power = np.where(part > 0.02 * part.max(), part - np.median(part), 0.0)
            lines, samples = np.mgrid[row - 6 : row + 7, column - 6 : column + 7]
            middle = [float((power * a).sum() / power.sum()) for a in (lines, samples)]
            off.append(np.array(middle) - at)
    worst = np.abs(off).max(axis=0)
    record_property("azimuth_pixels", float(worst[0]))
    record_property("range_pixels", float(worst[1]))
    assert len(off) == len(REFLECTORS) and (worst < 0.5).all()


def test_ground_range_is_that_of_the_fields_reader(passage):
    """Polynomials between the times at which they are stated."""
    image = passage.slices[0].image
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        conversion = sentinel1.open_coordinate_conversion_dataset(image.path)
    origin = float(passage.orbit.seconds(image.start))
    seconds = origin + np.linspace(0.01, 0.4, 7)
    distance = np.full(7, float(image.conversion.origin_m[0]) + 800.0)
    line, sample = place(image, passage.orbit, seconds, distance)
    times = passage.orbit.epoch + (seconds * 1e9).astype("timedelta64[ns]")
    wanted = sentinel1.slant_range_time_to_ground_range(
        xr.DataArray(times, dims="n"), xr.DataArray(2.0 * distance / SPEED_OF_LIGHT, dims="n"),
        conversion,
    )  # fmt: skip
    # The time of a line is that of its middle, up to 0.3 ms from a place's own.
    assert np.abs(10.0 * sample - wanted.values).max() < 0.05
    assert np.ptp(sample) > 0.3 and np.ptp(line) == pytest.approx(0.39 / 1.498376640e-3)


def test_lines_are_timed_as_the_geolocation_grid_says(passage):
    """Simulated as of a swath whose middle lies 0.53 ms beyond the first sample."""
    for one in passage.slices:
        offset, slope = one.image.lag
        near = 2.0 * one.image.conversion.origin_m.min() / SPEED_OF_LIGHT
        assert offset + slope * near == pytest.approx(-0.5 * 5.3e-4, abs=1e-6)


def test_unknown_ground_has_no_place(passage):
    line, sample = place(
        passage.slices[0].image, passage.orbit, np.array([np.nan]), np.array([np.nan])
    )
    assert np.isnan(line).all() and np.isnan(sample).all()


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("coordinateConversionList", "0 coordinateConversion"),
        ("geolocationGridPointList", "0 points of the geolocation grid"),
        ("swathProcParamsList", "no swathProcParams"),
        ("rangePixelSpacing", "no imageAnnotation/imageInformation/rangePixelSpacing"),
    ],
)
def test_an_annotation_that_lacks_something_says_what(ideal_scenes, tag, said):
    safe = open_safe(ideal_scenes.ground_range[0])
    (stem,) = safe.swaths("VV")
    text = safe.read(f"annotation/{stem}.xml").decode()
    spoilt = text.replace(f"<{tag}", "<other").replace(f"</{tag}", "</other")
    with pytest.raises(SceneError, match=said):
        read_detected(spoilt.encode(), "a.xml")


def test_an_annotation_of_garbled_numbers_says_where(ideal_scenes):
    safe = open_safe(ideal_scenes.ground_range[0])
    text = safe.read(f"annotation/{safe.swaths('VV')[0]}.xml").decode()
    with pytest.raises(SceneError, match="sr0 is 'many'"):
        read_detected(re.sub("<sr0>[^<]*", "<sr0>many", text).encode(), "a.xml")


def test_an_annotation_of_an_slc_is_refused(ideal_scenes):
    safe = open_safe(ideal_scenes.products[0])
    content = safe.read(f"annotation/{safe.swaths('VV')[0]}.xml")
    with pytest.raises(SceneError, match="an IW SLC annotation; IW GRD is needed"):
        read_detected(content, "a.xml")
