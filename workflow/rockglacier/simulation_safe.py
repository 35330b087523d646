"""Simulated bursts as the files that ESA would deliver: SAFE products and orbit files.

What readers of Sentinel-1 need is written as the product specification has it: manifest,
annotation, calibration, noise, measurement. Nothing here is shared with the code that reads them.

Source
------
Sentinel-1 Product Specification, S1-RS-MDA-52-7441, issue 3.9; of orbit files
GMES-GSEG-EOPG-FS-10-0075.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Tree

import numpy as np

if TYPE_CHECKING:
    from rasterio.io import DatasetWriter

SPEED_OF_LIGHT = 299_792_458.0
NAMESPACES = {
    "xfdu": "urn:ccsds:schema:xfdu:1",
    "safe": "http://www.esa.int/safe/sentinel-1.0",
    "s1": "http://www.esa.int/safe/sentinel-1.0/sentinel-1",
    "s1sarl1": "http://www.esa.int/safe/sentinel-1.0/sentinel-1/sar/level-1",
}
SLC_INTERVAL_S = 2.0555563e-3  # between lines before they were detected
TABLE_STEP = 40  # samples between entries of calibration and noise tables


@dataclass(frozen=True, eq=False)
class Burst:
    """One burst: its first line (UTC), number in its swath, pixels and valid lines."""

    start: np.datetime64
    since_node_s: float  # of its middle line
    burst_id: int
    pixels: np.ndarray  # (line, sample), complex
    valid_lines: slice
    valid_samples: slice


@dataclass(frozen=True, eq=False)
class SwathImage:
    """One swath: timing, Doppler (polynomials of two-way time past the first sample), bursts."""

    name: str  # IW1 ...
    range_start_s: float  # two-way time of the first sample
    range_sampling_hz: float
    azimuth_interval_s: float
    wavelength_m: float
    steering_rate_deg_s: float
    prf_hz: float
    fm_rate: np.ndarray
    centroid: np.ndarray
    beta_nought: float  # digital numbers per amplitude, the same everywhere
    incidence_deg: np.ndarray  # per sample
    noise_power: float  # of digital numbers
    bursts: tuple[Burst, ...]
    # (line, point, 5): sample, seconds after the line's time, longitude, latitude, incidence
    places: np.ndarray
    height_m: float  # of the geolocation grid

    @property
    def shape(self) -> tuple[int, int]:
        """Lines and samples of the whole measurement."""
        lines, samples = self.bursts[0].pixels.shape
        return lines * len(self.bursts), samples


@dataclass(frozen=True, eq=False)
class Conversion:
    """Ground range of slant range and back (m), at an azimuth time."""

    time: np.datetime64
    origin_m: float  # of slant range
    ground: np.ndarray  # coefficients of powers of (slant range - origin)
    slant: np.ndarray  # coefficients of powers of ground range


@dataclass(frozen=True, eq=False)
class GroundRangeImage:
    """Swaths detected and merged on ground range: one slice."""

    start: np.datetime64  # of the first line
    azimuth_interval_s: float
    range_spacing_m: float
    numbers: np.ndarray  # (line, sample), whole; 0 = no data
    beta_nought: np.ndarray  # digital numbers per amplitude, per sample
    noise_power: np.ndarray  # of digital numbers, per sample
    # Name, first and last sample of each swath, and what of its noise is stated in azimuth.
    swaths: tuple[tuple[str, int, int, float], ...]
    conversions: tuple[Conversion, ...]
    # Line, sample, seconds past the line's time, two-way time, longitude, latitude, incidence.
    places: np.ndarray
    height_m: float  # of the geolocation grid
    range_sampling_hz: float
    wavelength_m: float

    @property
    def stop(self) -> np.datetime64:
        """Time of the last line."""
        return self.time(self.numbers.shape[0] - 1)

    def time(self, line: int) -> np.datetime64:
        """Time of a line."""
        return np.datetime64(
            self.start + np.timedelta64(round(line * self.azimuth_interval_s * 1e9), "ns")
        )


@dataclass(frozen=True, eq=False)
class Flight:
    """Where and when the satellite flew."""

    mission: str
    absolute_orbit: int
    relative_orbit: int
    ascending: bool
    heading_deg: float
    node_time: np.datetime64
    times: np.ndarray  # of the state vectors, UTC
    position: np.ndarray  # (time, 3), Earth-fixed m
    velocity: np.ndarray


def write_product(folder: Path, flight: Flight, swaths: list[SwathImage]) -> Path:
    """Write one IW SLC product of polarisation VV into ``folder``; return its place."""
    starts = [swath.bursts[0].start for swath in swaths]
    stops = [_last_line(swath) for swath in swaths]
    take = f"{flight.absolute_orbit + 1000:06X}"
    stamp = "_".join(_compact(t).upper() for t in (min(starts), max(stops)))
    name = f"{flight.mission}_IW_SLC__1SSV_{stamp}_{flight.absolute_orbit:06d}_{take}_5151.SAFE"
    product = folder / name
    files = []
    for number, swath in enumerate(swaths, start=1):
        ends = (swath.bursts[0].start, _last_line(swath))
        stem = "-".join(
            [flight.mission.lower(), swath.name.lower(), "slc", "vv", *map(_compact, ends),
             f"{flight.absolute_orbit:06d}", take.lower(), f"{number:03d}"]
        )  # fmt: skip
        write_xml(product / "annotation" / f"{stem}.xml", _annotation(flight, swath, number))
        beside = product / "annotation" / "calibration"
        write_xml(beside / f"calibration-{stem}.xml", _calibration(flight, swath, number))
        write_xml(beside / f"noise-{stem}.xml", _noise(flight, swath, number))
        _measure(product / "measurement" / f"{stem}.tiff", swath)
        files += [
            ("s1Level1ProductSchema", f"./annotation/{stem}.xml"),
            ("s1Level1CalibrationSchema", f"./annotation/calibration/calibration-{stem}.xml"),
            ("s1Level1NoiseSchema", f"./annotation/calibration/noise-{stem}.xml"),
            ("s1Level1MeasurementSchema", f"./measurement/{stem}.tiff"),
        ]
    names = [swath.name for swath in swaths]
    manifest = manifest_of("SLC", flight, names, min(starts), max(stops), files)
    write_xml(product / "manifest.safe", manifest)
    return product


def write_ground_range(folder: Path, flight: Flight, image: GroundRangeImage, number: int) -> Path:
    """Write slice ``number`` as an IW GRD product of polarisation VV; return its place."""
    ends = image.start, image.stop
    take = f"{flight.absolute_orbit + 1000:06X}"
    stamp = "_".join(_compact(t).upper() for t in ends)
    name = f"{flight.mission}_IW_GRDH_1SSV_{stamp}_{flight.absolute_orbit:06d}_{take}"
    product = folder / f"{name}_515{number}.SAFE"
    stem = "-".join(
        [flight.mission.lower(), "iw", "grd", "vv", *map(_compact, ends),
         f"{flight.absolute_orbit:06d}", take.lower(), "001"]
    )  # fmt: skip
    files = {
        f"annotation/{stem}": _ground_range_annotation(flight, image, number),
        f"annotation/calibration/calibration-{stem}": _ground_range_calibration(flight, image),
        f"annotation/calibration/noise-{stem}": _ground_range_noise(flight, image),
    }
    for place, root in files.items():
        write_xml(product / f"{place}.xml", root)
    pixels = product / "measurement" / f"{stem}.tiff"
    with _new_pixels(pixels, image.numbers.shape, "uint16") as target:
        target.write(image.numbers.astype(np.uint16), 1)
    kinds = ("Product", "Calibration", "Noise")
    listed = [
        (f"s1Level1{kind}Schema", f"./{place}.xml")
        for kind, place in zip(kinds, files, strict=True)
    ]
    listed.append(("s1Level1MeasurementSchema", f"./measurement/{stem}.tiff"))
    names = [swath for swath, *_ in image.swaths]
    write_xml(product / "manifest.safe", manifest_of("GRD", flight, names, *ends, listed))
    return product


def write_orbit(folder: Path, flight: Flight) -> Path:
    """Write the precise orbit file that covers the flight's state vectors."""
    first, last = flight.times[0], flight.times[-1]
    valid = "_".join(_compact(t).upper() for t in (first, last))
    made = _compact(last + np.timedelta64(20, "D")).upper()
    name = f"{flight.mission}_OPER_AUX_POEORB_OPOD_{made}_V{valid}"
    root = Tree.Element("Earth_Explorer_File")
    header = _sub(root, "Earth_Explorer_Header")
    fixed = _sub(header, "Fixed_Header")
    for tag, text in [
        ("File_Name", name), ("Mission", f"Sentinel-1{flight.mission[-1]}"),
        ("File_Class", "OPER"), ("File_Type", "AUX_POEORB"),
    ]:  # fmt: skip
        _sub(fixed, tag, text)
    period = _sub(fixed, "Validity_Period")
    _sub(period, "Validity_Start", f"UTC={_seconds(first)[:19]}")
    _sub(period, "Validity_Stop", f"UTC={_seconds(last)[:19]}")
    _sub(fixed, "File_Version", "0001")
    variable = _sub(header, "Variable_Header")
    _sub(variable, "Ref_Frame", "EARTH_FIXED")
    _sub(variable, "Time_Reference", "UTC")
    vectors = _sub(_sub(root, "Data_Block", type="xml"), "List_of_OSVs")
    vectors.set("count", str(len(flight.times)))
    for time, place, speed in zip(flight.times, flight.position, flight.velocity, strict=True):
        vector = _sub(vectors, "OSV")
        for tag, shift in (("TAI", 37), ("UTC", 0), ("UT1", 0)):
            _sub(vector, tag, f"{tag}={_seconds(time + np.timedelta64(shift, 's'))}")
        _sub(vector, "Absolute_Orbit", f"+{flight.absolute_orbit:05d}")
        for axis, value in zip("XYZ", place, strict=True):
            _sub(vector, axis, f"{value:.6f}", unit="m")
        for axis, value in zip("XYZ", speed, strict=True):
            _sub(vector, f"V{axis}", f"{value:.6f}", unit="m/s")
        _sub(vector, "Quality", "NOMINAL")
    path = folder / f"{name}.EOF"
    write_xml(path, root)
    return path


def _annotation(flight: Flight, swath: SwathImage, number: int) -> Tree.Element:
    root = Tree.Element("product")
    _header(root, flight, swath, number)
    first, last = swath.bursts[0].start, _last_line(swath)
    lines, samples = swath.bursts[0].pixels.shape
    general = _sub(root, "generalAnnotation")
    _subs(
        _sub(general, "productInformation"),
        **{"pass": "Ascending" if flight.ascending else "Descending"},
        timelinessCategory="Fast-24h",
        platformHeading=_real(flight.heading_deg),
        projection="Slant Range",
        rangeSamplingRate=_real(swath.range_sampling_hz),
        radarFrequency=_real(SPEED_OF_LIGHT / swath.wavelength_m),
        azimuthSteeringRate=_real(swath.steering_rate_deg_s),
    )
    link = _sub(_sub(general, "downlinkInformationList", count="1"), "downlinkInformation")
    _subs(
        link, swath=swath.name, azimuthTime=_seconds(first),
        firstLineSensingTime=_seconds(first), lastLineSensingTime=_seconds(last),
        prf=_real(swath.prf_hz),
    )  # fmt: skip
    values = _sub(link, "downlinkValues")
    _subs(
        values, pri=_real(1.0 / swath.prf_hz), rank="9", rxGain=_real(-4.0),
        txPulseLength=_real(5.24e-05), txPulseStartFrequency=_real(-2.8e7),
        txPulseRampRate=_real(1.078e12),
    )  # fmt: skip
    _vectors(general, flight)
    estimates = _estimates(first, last)
    rates = _sub(general, "azimuthFmRateList", count=str(len(estimates)))
    for time in estimates:
        rate = _sub(rates, "azimuthFmRate")
        _subs(rate, azimuthTime=_seconds(time), t0=_real(swath.range_start_s))
        _list(rate, "azimuthFmRatePolynomial", swath.fm_rate)
    heights = _sub(general, "terrainHeightList", count=str(len(estimates)))
    for time in estimates:
        _subs(
            _sub(heights, "terrainHeight"), azimuthTime=_seconds(time), value=_real(swath.height_m)
        )
    image = _sub(root, "imageAnnotation")
    _subs(
        _sub(image, "imageInformation"),
        productFirstLineUtcTime=_seconds(first),
        productLastLineUtcTime=_seconds(last),
        ascendingNodeTime=_seconds(flight.node_time),
        anchorTime=_seconds(first),
        productComposition="Individual",
        sliceNumber="1",
        slantRangeTime=_real(swath.range_start_s),
        pixelValue="Complex",
        outputPixels="16 bit Signed Integer",
        rangePixelSpacing=_real(0.5 * SPEED_OF_LIGHT / swath.range_sampling_hz),
        azimuthPixelSpacing=_real(6800.0 * swath.azimuth_interval_s),
        azimuthTimeInterval=_real(swath.azimuth_interval_s),
        azimuthFrequency=_real(1.0 / swath.azimuth_interval_s),
        numberOfSamples=str(samples),
        numberOfLines=str(lines * len(swath.bursts)),
        zeroDopMinusAcqTime=_real(0.0),
        incidenceAngleMidSwath=_real(float(swath.incidence_deg[samples // 2])),
    )
    processing = _sub(image, "processingInformation")
    _subs(
        processing, orbitDataFileUsed="true", dcMethod="Data Analysis",
        rangeSpreadingLossCompensationApplied="true", thermalNoiseCorrectionPerformed="false",
    )  # fmt: skip
    listed = _sub(processing, "swathProcParamsList", count="1")
    _swath_parameters(listed, swath.name, swath.range_sampling_hz, swath.azimuth_interval_s, 1)
    _subs(
        processing, referenceRange=_real(8.0e5), ellipsoidName="WGS84",
        ellipsoidSemiMajorAxis=_real(6378137.0), ellipsoidSemiMinorAxis=_real(6356752.314245),
        bistaticDelayCorrectionApplied="true", topsFilterConvention="Only Echo Lines",
    )  # fmt: skip
    dopplers = _sub(_sub(root, "dopplerCentroid"), "dcEstimateList", count=str(len(estimates)))
    for time in estimates:
        estimate = _sub(dopplers, "dcEstimate")
        _subs(estimate, azimuthTime=_seconds(time), t0=_real(swath.range_start_s))
        _list(estimate, "geometryDcPolynomial", swath.centroid)
        _list(estimate, "dataDcPolynomial", swath.centroid)
        _subs(estimate, dataDcRmsError=_real(1.0), dataDcRmsErrorAboveThreshold="false",
            fineDceAzimuthStartTime=_seconds(time), fineDceAzimuthStopTime=_seconds(time),
        )  # fmt: skip
        fine = _sub(estimate, "fineDceList", count="2")
        for sample in (0, samples - 1):
            since = sample / swath.range_sampling_hz
            _subs(
                _sub(fine, "fineDce"), slantRangeTime=_real(swath.range_start_s + since),
                frequency=_real(np.polynomial.polynomial.polyval(since, swath.centroid)),
            )  # fmt: skip
    _sub(_sub(root, "antennaPattern"), "antennaPatternList", count="0")
    timing = _sub(root, "swathTiming")
    _subs(timing, linesPerBurst=str(lines), samplesPerBurst=str(samples))
    bursts = _sub(timing, "burstList", count=str(len(swath.bursts)))
    for k, one in enumerate(swath.bursts):
        element = _sub(bursts, "burst")
        middle = 0.5 * lines * swath.azimuth_interval_s
        _subs(
            element, azimuthTime=_seconds(one.start),
            azimuthAnxTime=_real(one.since_node_s - middle), sensingTime=_seconds(one.start),
            byteOffset=str(k * lines * samples * 4),
        )  # fmt: skip
        valid = np.zeros(lines, bool)
        valid[one.valid_lines] = True
        for tag, edge in (
            ("firstValidSample", one.valid_samples.start),
            ("lastValidSample", one.valid_samples.stop - 1),
        ):
            _sub(element, tag, " ".join(str(edge if v else -1) for v in valid), count=str(lines))
        _sub(element, "burstId", str(one.burst_id), absolute=str(one.burst_id))
    grid = swath.places
    points = _sub(
        _sub(root, "geolocationGrid"), "geolocationGridPointList",
        count=str(grid.shape[0] * grid.shape[1]),
    )  # fmt: skip
    for k, row in enumerate(grid):
        burst = swath.bursts[min(k, len(swath.bursts) - 1)]
        ahead = 0.0 if k < len(swath.bursts) else (lines - 1) * swath.azimuth_interval_s
        time = burst.start + np.timedelta64(round(ahead * 1e9), "ns")
        for sample, late, longitude, latitude, incidence in row:
            _subs(
                _sub(points, "geolocationGridPoint"),
                azimuthTime=_seconds(time + np.timedelta64(round(late * 1e9), "ns")),
                slantRangeTime=_real(swath.range_start_s + sample / swath.range_sampling_hz),
                line=str(min(k * lines, len(swath.bursts) * lines - 1)),
                pixel=str(int(sample)),
                latitude=_real(latitude),
                longitude=_real(longitude),
                height=_real(swath.height_m),
                incidenceAngle=_real(incidence),
                elevationAngle=_real(incidence - 4.5),
            )
    return root


def _swath_parameters(
    listed: Tree.Element, name: str, range_sampling_hz: float, interval_s: float, looks: int
) -> None:
    """Bandwidths and range looks of one swath."""
    parameters = _sub(listed, "swathProcParams")
    _sub(parameters, "swath", name)
    for tag, bandwidth, count in (
        ("rangeProcessing", 0.88 * range_sampling_hz, looks),
        ("azimuthProcessing", 0.67 / interval_s, 1),
    ):
        _subs(
            _sub(parameters, tag), windowType="Kaiser", windowCoefficient=_real(0.75),
            totalBandwidth=_real(bandwidth), processingBandwidth=_real(bandwidth),
            lookBandwidth=_real(bandwidth / count), numberOfLooks=str(count),
        )  # fmt: skip


def _vectors(general: Tree.Element, flight: Flight) -> None:
    """State vectors, and a list of attitudes that is empty."""
    vectors = _sub(general, "orbitList", count=str(len(flight.times)))
    for time, place, speed in zip(flight.times, flight.position, flight.velocity, strict=True):
        vector = _sub(vectors, "orbit")
        _subs(vector, time=_seconds(time), frame="Earth Fixed")
        for tag, triple in (("position", place), ("velocity", speed)):
            _subs(_sub(vector, tag), **{a: _real(v) for a, v in zip("xyz", triple, strict=True)})
    _sub(general, "attitudeList", count="0")


def _calibration(flight: Flight, swath: SwathImage, number: int) -> Tree.Element:
    root = Tree.Element("calibration")
    _header(root, flight, swath, number)
    _sub(_sub(root, "calibrationInformation"), "absoluteCalibrationConstant", _real(1.0))
    _calibration_vectors(
        root,
        _table_samples(swath.shape[1]),
        np.full(swath.shape[1], swath.beta_nought),
        swath.incidence_deg,
        _table_lines(swath),
    )
    return root


def _calibration_vectors(
    root: Tree.Element,
    sample: np.ndarray,
    beta_nought: np.ndarray,
    incidence_deg: np.ndarray,
    rows: list[tuple[int, np.datetime64]],
) -> None:
    """Vectors at the lines and times ``rows``; values are given per sample of the measurement."""
    beta, theta = beta_nought[sample], np.radians(incidence_deg[sample])
    tables = {
        "sigmaNought": beta / np.sqrt(np.sin(theta)),
        "betaNought": beta,
        "gamma": beta / np.sqrt(np.tan(theta)),
        "dn": beta,
    }
    vectors = _sub(root, "calibrationVectorList", count=str(len(rows)))
    for line, time in rows:
        vector = _sub(vectors, "calibrationVector")
        _subs(vector, azimuthTime=_seconds(time), line=str(line))
        _sub(vector, "pixel", " ".join(map(str, sample)), count=str(sample.size))
        for tag, values in tables.items():
            _list(vector, tag, values)


def _noise(flight: Flight, swath: SwathImage, number: int) -> Tree.Element:
    root = Tree.Element("noise")
    _header(root, flight, swath, number)
    lines, samples = swath.shape
    power = np.full(samples, swath.noise_power)
    _noise_range_vectors(root, _table_samples(samples), power, _table_lines(swath))
    listed = _sub(root, "noiseAzimuthVectorList", count="1")
    _noise_azimuth_vector(listed, swath.name, lines, (0, samples - 1), 1.0)
    return root


def _noise_range_vectors(
    root: Tree.Element,
    sample: np.ndarray,
    power: np.ndarray,
    rows: list[tuple[int, np.datetime64]],
) -> None:
    vectors = _sub(root, "noiseRangeVectorList", count=str(len(rows)))
    for line, time in rows:
        vector = _sub(vectors, "noiseRangeVector")
        _subs(vector, azimuthTime=_seconds(time), line=str(line))
        _sub(vector, "pixel", " ".join(map(str, sample)), count=str(sample.size))
        _list(vector, "noiseRangeLut", power[sample])


def _noise_azimuth_vector(
    listed: Tree.Element, swath: str, lines: int, samples: tuple[int, int], factor: float
) -> None:
    vector = _sub(listed, "noiseAzimuthVector")
    _subs(
        vector, swath=swath, firstAzimuthLine="0", firstRangeSample=str(samples[0]),
        lastAzimuthLine=str(lines - 1), lastRangeSample=str(samples[1]),
    )  # fmt: skip
    _sub(vector, "line", f"0 {lines - 1}", count="2")
    _list(vector, "noiseAzimuthLut", np.full(2, factor))


def _ground_range_annotation(flight: Flight, image: GroundRangeImage, number: int) -> Tree.Element:
    root = Tree.Element("product")
    _any_header(root, flight, "GRD", "IW", image.start, image.stop, 1)
    lines, samples = image.numbers.shape
    general = _sub(root, "generalAnnotation")
    _subs(
        _sub(general, "productInformation"),
        **{"pass": "Ascending" if flight.ascending else "Descending"},
        timelinessCategory="Fast-24h",
        platformHeading=_real(flight.heading_deg),
        projection="Ground Range",
        rangeSamplingRate=_real(image.range_sampling_hz),
        radarFrequency=_real(SPEED_OF_LIGHT / image.wavelength_m),
        azimuthSteeringRate=_real(1.590368784),
    )
    _vectors(general, flight)
    annotation = _sub(root, "imageAnnotation")
    _subs(
        _sub(annotation, "imageInformation"),
        productFirstLineUtcTime=_seconds(image.start),
        productLastLineUtcTime=_seconds(image.stop),
        ascendingNodeTime=_seconds(flight.node_time),
        anchorTime=_seconds(image.start),
        productComposition="Slice",
        sliceNumber=str(number),
        slantRangeTime=_real(2.0 * image.conversions[0].origin_m / SPEED_OF_LIGHT),
        pixelValue="Detected",
        outputPixels="16 bit Unsigned Integer",
        rangePixelSpacing=_real(image.range_spacing_m),
        azimuthPixelSpacing=_real(image.range_spacing_m),
        azimuthTimeInterval=_real(image.azimuth_interval_s),
        azimuthFrequency=_real(1.0 / image.azimuth_interval_s),
        numberOfSamples=str(samples),
        numberOfLines=str(lines),
        zeroDopMinusAcqTime=_real(0.0),
        incidenceAngleMidSwath=_real(float(np.median(image.places[:, 6]))),
    )
    processing = _sub(annotation, "processingInformation")
    _subs(
        processing, rangeSpreadingLossCompensationApplied="true", srgrConversionApplied="true",
        detectionPerformed="true", thermalNoiseCorrectionPerformed="false",
    )  # fmt: skip
    listed = _sub(processing, "swathProcParamsList", count=str(len(image.swaths)))
    for name, *_ in image.swaths:
        _swath_parameters(listed, name, image.range_sampling_hz, SLC_INTERVAL_S, 5)
    timing = _sub(root, "swathTiming")
    _subs(timing, linesPerBurst="0", samplesPerBurst="0")
    _sub(timing, "burstList", count="0")
    points = _sub(
        _sub(root, "geolocationGrid"), "geolocationGridPointList", count=str(len(image.places))
    )
    for line, sample, late, two_way, longitude, latitude, incidence in image.places:
        time = image.time(int(line)) + np.timedelta64(round(late * 1e9), "ns")
        _subs(
            _sub(points, "geolocationGridPoint"),
            azimuthTime=_seconds(time),
            slantRangeTime=_real(two_way),
            line=str(int(line)),
            pixel=str(int(sample)),
            latitude=_real(latitude),
            longitude=_real(longitude),
            height=_real(image.height_m),
            incidenceAngle=_real(incidence),
            elevationAngle=_real(incidence - 4.5),
        )
    conversions = _sub(
        _sub(root, "coordinateConversion"),
        "coordinateConversionList",
        count=str(len(image.conversions)),
    )
    for one in image.conversions:
        record = _sub(conversions, "coordinateConversion")
        _subs(
            record, azimuthTime=_seconds(one.time),
            slantRangeTime=_real(2.0 * one.origin_m / SPEED_OF_LIGHT), sr0=_real(one.origin_m),
        )  # fmt: skip
        _list(record, "srgrCoefficients", one.ground)
        _sub(record, "gr0", _real(0.0))
        _list(record, "grsrCoefficients", one.slant)
    merging = _sub(_sub(root, "swathMerging"), "swathMergeList", count=str(len(image.swaths)))
    for name, first, last, _ in image.swaths:
        merge = _sub(merging, "swathMerge")
        _sub(merge, "swath", name)
        _subs(
            _sub(_sub(merge, "swathBoundsList", count="1"), "swathBounds"),
            azimuthTime=_seconds(image.start), firstAzimuthLine="0", firstRangeSample=str(first),
            lastAzimuthLine=str(lines - 1), lastRangeSample=str(last),
        )  # fmt: skip
    return root


def _ground_range_calibration(flight: Flight, image: GroundRangeImage) -> Tree.Element:
    root = Tree.Element("calibration")
    _any_header(root, flight, "GRD", "IW", image.start, image.stop, 1)
    _sub(_sub(root, "calibrationInformation"), "absoluteCalibrationConstant", _real(1.0))
    samples = image.numbers.shape[1]
    incidence = np.interp(np.arange(samples), *image.places[image.places[:, 0] == 0, 1:7:5].T)
    _calibration_vectors(
        root, _table_samples(samples), image.beta_nought, incidence, _image_lines(image)
    )
    return root


def _ground_range_noise(flight: Flight, image: GroundRangeImage) -> Tree.Element:
    root = Tree.Element("noise")
    _any_header(root, flight, "GRD", "IW", image.start, image.stop, 1)
    lines, samples = image.numbers.shape
    # The table in range ends and begins anew where swaths meet, and leaves out what azimuth states.
    power, sample = image.noise_power.copy(), _table_samples(samples)
    for _, first, last, factor in image.swaths:
        power[first : last + 1] /= factor
        sample = np.unique(np.append(sample, [first, last]))
    _noise_range_vectors(root, sample, power, _image_lines(image))
    listed = _sub(root, "noiseAzimuthVectorList", count=str(len(image.swaths)))
    for name, first, last, factor in image.swaths:
        _noise_azimuth_vector(listed, name, lines, (first, last), factor)
    return root


def _image_lines(image: GroundRangeImage) -> list[tuple[int, np.datetime64]]:
    """Lines and times of table rows: the first and the last."""
    last = image.numbers.shape[0] - 1
    return [(0, image.start), (last, image.time(last))]


def manifest_of(
    product: str,
    flight: Flight,
    swaths: list[str],
    start: np.datetime64,
    stop: np.datetime64,
    files: list[tuple[str, str]],
) -> Tree.Element:
    """The manifest of a ``product`` (SLC, GRD) of ``swaths``; ``files``: kind and place of each."""
    for prefix, address in NAMESPACES.items():
        Tree.register_namespace(prefix, address)

    def name(prefix: str, tag: str) -> str:
        return f"{{{NAMESPACES[prefix]}}}{tag}"

    root = Tree.Element(
        name("xfdu", "XFDU"),
        version=f"esa/safe/sentinel-1.0/sentinel-1/sar/level-1/{product.lower()}/standard/iwdp",
    )
    section = _sub(root, "metadataSection")

    def metadata(identity: str) -> Tree.Element:
        owner = _sub(section, "metadataObject", ID=identity)
        return _sub(_sub(owner, "metadataWrap", mimeType="text/xml"), "xmlData")

    processing = _sub(
        metadata("processing"), name("safe", "processing"), name=f"{product} Post Processing",
        start=_seconds(start), stop=_seconds(stop),
    )  # fmt: skip
    facility = _sub(
        processing, name("safe", "facility"), name="simulated", site="simulated", country="none"
    )
    _sub(facility, name("safe", "software"), name="Sentinel-1 IPF", version="003.40")
    platform = _sub(metadata("platform"), name("safe", "platform"))
    _sub(platform, name("safe", "nssdcIdentifier"), "2014-016A")
    _sub(platform, name("safe", "familyName"), "SENTINEL-1")
    _sub(platform, name("safe", "number"), flight.mission[-1])
    instrument = _sub(platform, name("safe", "instrument"))
    family = _sub(instrument, name("safe", "familyName"), "Synthetic Aperture Radar")
    family.set("abbreviation", "SAR")
    mode = _sub(_sub(instrument, name("safe", "extension")), name("s1sarl1", "instrumentMode"))
    _sub(mode, name("s1sarl1", "mode"), "IW")
    for swath in swaths:
        _sub(mode, name("s1sarl1", "swath"), swath)
    orbit = _sub(metadata("measurementOrbitReference"), name("safe", "orbitReference"))
    for tag, value in (
        ("orbitNumber", flight.absolute_orbit),
        ("relativeOrbitNumber", flight.relative_orbit),
    ):
        for end in ("start", "stop"):
            _sub(orbit, name("safe", tag), str(value), type=end)
    properties = _sub(_sub(orbit, name("safe", "extension")), name("s1", "orbitProperties"))
    _sub(properties, name("s1", "pass"), "ASCENDING" if flight.ascending else "DESCENDING")
    _sub(properties, name("s1", "ascendingNodeTime"), _seconds(flight.node_time))
    general = _sub(
        metadata("generalProductInformation"),
        name("s1sarl1", "standAloneProductInformation"),
    )
    for tag, text in (
        ("instrumentConfigurationID", "6"),
        ("missionDataTakeID", str(flight.absolute_orbit + 1000)),
        ("transmitterReceiverPolarisation", "VV"),
        ("productClass", "S"),
        ("productType", product),
    ):
        _sub(general, name("s1sarl1", tag), text)
    period = _sub(metadata("acquisitionPeriod"), name("safe", "acquisitionPeriod"))
    _sub(period, name("safe", "startTime"), _seconds(start))
    _sub(period, name("safe", "stopTime"), _seconds(stop))
    objects = _sub(root, "dataObjectSection")
    for kind, place in files:
        identity = Path(place).stem.replace("-", "")
        entry = _sub(objects, "dataObject", ID=identity, repID=kind)
        stream = _sub(entry, "byteStream", mimeType="text/xml")
        _sub(stream, "fileLocation", locatorType="URL", href=place)
    return root


def _measure(path: Path, swath: SwathImage) -> None:
    """Pixels as complex integers, zero outside what is valid."""
    import rasterio

    samples, each = swath.shape[1], swath.bursts[0].pixels.shape[0]
    with _new_pixels(path, swath.shape, "complex_int16") as target:
        for k, burst in enumerate(swath.bursts):
            kept = np.zeros(burst.pixels.shape, np.complex64)
            valid = burst.valid_lines, burst.valid_samples
            kept[valid] = burst.pixels[valid]
            whole = np.round(kept.real) + 1j * np.round(kept.imag)
            window = rasterio.windows.Window(0, k * each, samples, each)
            target.write(whole.astype(np.complex64), 1, window=window)


@contextmanager
def _new_pixels(path: Path, shape: tuple[int, ...], dtype: str) -> Iterator[DatasetWriter]:
    """A measurement to write, which lies on no map."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", dtype=dtype, count=1, height=shape[0], width=shape[1]
        ) as target:
            yield target


def _header(root: Tree.Element, flight: Flight, swath: SwathImage, number: int) -> None:
    ends = swath.bursts[0].start, _last_line(swath)
    _any_header(root, flight, "SLC", swath.name, *ends, number)


def _any_header(
    root: Tree.Element,
    flight: Flight,
    product: str,
    swath: str,
    start: np.datetime64,
    stop: np.datetime64,
    number: int,
) -> None:
    _subs(
        _sub(root, "adsHeader"),
        missionId=flight.mission,
        productType=product,
        polarisation="VV",
        mode="IW",
        swath=swath,
        startTime=_seconds(start),
        stopTime=_seconds(stop),
        absoluteOrbitNumber=str(flight.absolute_orbit),
        missionDataTakeId=str(flight.absolute_orbit + 1000),
        imageNumber=f"{number:03d}",
    )


def _last_line(swath: SwathImage) -> np.datetime64:
    burst = swath.bursts[-1]
    ahead = (burst.pixels.shape[0] - 1) * swath.azimuth_interval_s
    return np.datetime64(burst.start + np.timedelta64(round(ahead * 1e9), "ns"))


def _estimates(first: np.datetime64, last: np.datetime64) -> list[np.datetime64]:
    """Times of Doppler estimates: before, within and after the product."""
    middle = first + (last - first) / 2
    return [np.datetime64(middle + np.timedelta64(k, "s")) for k in (-2, -1, 0, 1, 2)]


def _table_samples(samples: int) -> np.ndarray:
    return np.unique(np.append(np.arange(0, samples, TABLE_STEP), samples - 1))


def _table_lines(swath: SwathImage) -> list[tuple[int, np.datetime64]]:
    """Lines and times of table rows: the first line of each burst and the last of all."""
    each = swath.bursts[0].pixels.shape[0]
    rows = [(k * each, burst.start) for k, burst in enumerate(swath.bursts)]
    return [*rows, (len(swath.bursts) * each - 1, _last_line(swath))]


def _sub(
    parent: Tree.Element, tag: str, text: str | None = None, **attributes: str
) -> Tree.Element:
    element = Tree.SubElement(parent, tag, attributes)
    element.text = text
    return element


def _subs(parent: Tree.Element, **texts: str) -> None:
    for tag, text in texts.items():
        _sub(parent, tag, text)


def _list(parent: Tree.Element, tag: str, values: np.ndarray) -> None:
    _sub(parent, tag, " ".join(_real(v) for v in values), count=str(len(values)))


def _real(value: float) -> str:
    return f"{float(value):.15e}"


def _seconds(time: np.datetime64) -> str:
    """As the annotation writes times, to the microsecond."""
    return str(np.datetime_as_string(time.astype("datetime64[us]")))


def _compact(time: np.datetime64) -> str:
    return str(np.datetime_as_string(time, unit="s")).replace("-", "").replace(":", "").lower()


def write_xml(path: Path, root: Tree.Element) -> None:
    """Write ``root`` and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Tree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
