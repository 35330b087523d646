"""Detected images on ground range (IW GRD): what the annotation says, and where the ground lies.

Lines are evenly spaced in zero-Doppler time. Samples are evenly spaced in ground range, which the
annotation gives as polynomials of slant range, one every second of azimuth time.

Source
------
Sentinel-1 Product Specification, S1-RS-MDA-52-7441, issue 3.9: coordinateConversion,
geolocationGrid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import xarray as xr

from rockglacier.errors import SceneError
from rockglacier.sentinel1.annotation import SPEED_OF_LIGHT, Annotation, Band, fit_lag
from rockglacier.sentinel1.orbit import Orbit


@dataclass(frozen=True, eq=False)
class Conversion:
    """Ground range = sum of ``coefficients`` times powers of (slant range - ``origin_m``).

    Both are stated at ``times`` (azimuth, UTC).
    """

    # ASSUME: between two times both lie linearly, as ESA states of ASAR and SNAP takes it. The
    # specification is silent; the geolocation grid itself follows the nearest time.

    times: np.ndarray
    origin_m: np.ndarray
    coefficients: np.ndarray  # (time, power)


@dataclass(frozen=True, eq=False)
class Detected:
    """Annotation of one polarisation of a GRD."""

    path: str
    mission: str  # S1A ...
    polarisation: str
    heading_deg: float
    start: np.datetime64  # azimuth time of the first line
    azimuth_interval_s: float
    range_spacing_m: float
    shape: tuple[int, int]  # lines, samples
    conversion: Conversion
    # Time at which a place is abeam less that of its line, straight over the two-way time: offset
    # (s) and slope, as of annotation.Swath.
    lag: tuple[float, float]
    denoised: bool  # by the processor: thermal noise is taken away already
    bands: tuple[tuple[Band, Band], ...]  # in range and azimuth, of each swath
    ground: np.ndarray  # (point, 2): longitude and latitude (degrees) of the geolocation grid
    orbit: xr.Dataset  # position, velocity (axis, azimuth_time)

    @property
    def stop(self) -> np.datetime64:
        """Azimuth time of the last line."""
        seconds = (self.shape[0] - 1) * self.azimuth_interval_s
        return np.datetime64(self.start + np.timedelta64(round(seconds * 1e9), "ns"))


def read_detected(content: bytes, path: str) -> Detected:
    """Parse the annotation XML ``content``; ``path`` names it in errors.

    Raises
    ------
    SceneError
        It is no annotation of an IW GRD, or lacks what is needed.
    """
    from xarray_sentinel import sentinel1

    document = Annotation(content, path, "GRD")
    image = "imageAnnotation/imageInformation/"
    processing = "imageAnnotation/processingInformation/"
    start = document.time(image + "productFirstLineUtcTime")
    interval = document.number(image + "azimuthTimeInterval")
    (orbit,) = document.datasets(sentinel1.open_orbit_dataset)
    points = _grid_points(document, start)
    swaths = document.root.findall(processing + "swathProcParamsList/swathProcParams")
    if not swaths:
        raise SceneError(f"{path}: no swathProcParams; download the product again.")
    return Detected(
        path=path,
        mission=document.text("adsHeader/missionId"),
        polarisation=document.text("adsHeader/polarisation"),
        heading_deg=document.number("generalAnnotation/productInformation/platformHeading"),
        start=start,
        azimuth_interval_s=interval,
        range_spacing_m=document.number(image + "rangePixelSpacing"),
        shape=(
            int(document.number(image + "numberOfLines")),
            int(document.number(image + "numberOfSamples")),
        ),
        conversion=_conversion(document),
        lag=fit_lag(points[:, 1] - points[:, 0] * interval, points[:, 2], document),
        denoised=document.text(processing + "thermalNoiseCorrectionPerformed") == "true",
        bands=tuple(document.bands(swath) for swath in swaths),
        ground=points[:, 3:],
        orbit=orbit,
    )


def _conversion(document: Annotation) -> Conversion:
    records = document.root.findall(
        "coordinateConversion/coordinateConversionList/coordinateConversion"
    )
    rows = [document.numbers("srgrCoefficients", one) for one in records]
    if not rows or len({len(row) for row in rows}) > 1:
        raise SceneError(
            f"{document.path}: {len(rows)} coordinateConversion of unlike or no coefficients; the "
            "annotation of an IW GRD is needed: download the product again."
        )
    times = np.array([document.time("azimuthTime", one) for one in records])
    order = np.argsort(times)
    origins = np.array([document.number("sr0", one) for one in records])
    return Conversion(times[order], origins[order], np.array(rows)[order])


def _grid_points(document: Annotation, start: np.datetime64) -> np.ndarray:
    """Line, seconds past ``start``, two-way time, longitude and latitude of the known points."""
    points = document.root.findall("geolocationGrid/geolocationGridPointList/geolocationGridPoint")
    if len(points) < 4:
        raise SceneError(
            f"{document.path}: {len(points)} points of the geolocation grid; the annotation of an "
            "IW GRD is needed: download the product again."
        )
    tags = ("slantRangeTime", "longitude", "latitude")
    return np.array(
        [
            [
                document.number("line", one),
                (document.time("azimuthTime", one) - start) / np.timedelta64(1, "ns") * 1e-9,
                *(document.number(tag, one) for tag in tags),
            ]
            for one in points
        ]
    )


def place(
    image: Detected, orbit: Orbit, seconds: np.ndarray, slant_range: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Line and sample (fractional) of ground abeam at ``seconds`` of ``orbit``, so many m away.

    Within the image or not; NaN where the ground is unknown.
    """
    start = float(orbit.seconds(image.start))
    offset, slope = image.lag
    records = image.conversion
    line, sample = np.empty(seconds.shape), np.empty(seconds.shape)
    _convert(
        np.ascontiguousarray(seconds, np.float64).ravel(),
        np.ascontiguousarray(slant_range, np.float64).ravel(),
        orbit.seconds(records.times),
        records.origin_m,
        records.coefficients,
        start,
        offset,
        slope,
        image.azimuth_interval_s,
        image.range_spacing_m,
        line.ravel(),
        sample.ravel(),
    )
    return line, sample


@numba.njit(nogil=True, cache=True)
def _convert(
    seconds: np.ndarray,
    slant_range: np.ndarray,
    times: np.ndarray,
    origins: np.ndarray,
    coefficients: np.ndarray,
    start: float,
    offset: float,
    slope: float,
    interval: float,
    spacing: float,
    line: np.ndarray,
    sample: np.ndarray,
) -> None:
    last, powers = coefficients.shape
    for p in range(seconds.size):
        at = seconds[p] - offset - slope * 2.0 * slant_range[p] / SPEED_OF_LIGHT
        line[p] = (at - start) / interval
        sample[p] = np.nan
        if at != at or slant_range[p] != slant_range[p]:
            continue
        above = min(max(np.searchsorted(times, at), 1), last - 1)
        below = max(above - 1, 0)
        share = 0.0
        if above > below:
            share = min(max((at - times[below]) / (times[above] - times[below]), 0.0), 1.0)
        origin = origins[below] + share * (origins[above] - origins[below])
        past, ground = slant_range[p] - origin, 0.0
        for power in range(powers - 1, -1, -1):
            low, high = coefficients[below, power], coefficients[above, power]
            ground = ground * past + low + share * (high - low)
        sample[p] = ground / spacing
