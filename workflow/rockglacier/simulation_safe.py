"""Simulated bursts as the files that ESA would deliver: SAFE products and orbit files.

What readers of Sentinel-1 need is written as the product specification has it: manifest,
annotation, calibration, noise, measurement. Nothing here is shared with the code that reads them.

Source
------
Sentinel-1 Product Specification, S1-RS-MDA-52-7441, issue 3.9; of orbit files
GMES-GSEG-EOPG-FS-10-0075.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as Tree

import numpy as np

SPEED_OF_LIGHT = 299_792_458.0
NAMESPACES = {
    "xfdu": "urn:ccsds:schema:xfdu:1",
    "safe": "http://www.esa.int/safe/sentinel-1.0",
    "s1": "http://www.esa.int/safe/sentinel-1.0/sentinel-1",
    "s1sarl1": "http://www.esa.int/safe/sentinel-1.0/sentinel-1/sar/level-1",
}
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
    places: np.ndarray  # (line, point, 4): sample, longitude, latitude, incidence of the grid
    height_m: float  # of the geolocation grid

    @property
    def shape(self) -> tuple[int, int]:
        """Lines and samples of the whole measurement."""
        lines, samples = self.bursts[0].pixels.shape
        return lines * len(self.bursts), samples


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
        _write(product / "annotation" / f"{stem}.xml", _annotation(flight, swath, number))
        beside = product / "annotation" / "calibration"
        _write(beside / f"calibration-{stem}.xml", _calibration(flight, swath, number))
        _write(beside / f"noise-{stem}.xml", _noise(flight, swath, number))
        _measure(product / "measurement" / f"{stem}.tiff", swath)
        files += [
            ("s1Level1ProductSchema", f"./annotation/{stem}.xml"),
            ("s1Level1CalibrationSchema", f"./annotation/calibration/calibration-{stem}.xml"),
            ("s1Level1NoiseSchema", f"./annotation/calibration/noise-{stem}.xml"),
            ("s1Level1MeasurementSchema", f"./measurement/{stem}.tiff"),
        ]
    names = [swath.name for swath in swaths]
    _write(product / "manifest.safe", _manifest(flight, names, min(starts), max(stops), files))
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
    _write(path, root)
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
    vectors = _sub(general, "orbitList", count=str(len(flight.times)))
    for time, place, speed in zip(flight.times, flight.position, flight.velocity, strict=True):
        vector = _sub(vectors, "orbit")
        _subs(vector, time=_seconds(time), frame="Earth Fixed")
        for tag, triple in (("position", place), ("velocity", speed)):
            _subs(_sub(vector, tag), **{a: _real(v) for a, v in zip("xyz", triple, strict=True)})
    _sub(general, "attitudeList", count="0")
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
    parameters = _sub(_sub(processing, "swathProcParamsList", count="1"), "swathProcParams")
    _sub(parameters, "swath", swath.name)
    for tag, bandwidth in (
        ("rangeProcessing", 0.88 * swath.range_sampling_hz),
        ("azimuthProcessing", 0.67 / swath.azimuth_interval_s),
    ):
        _subs(
            _sub(parameters, tag), windowType="Kaiser", windowCoefficient=_real(0.75),
            totalBandwidth=_real(bandwidth), processingBandwidth=_real(bandwidth),
            lookBandwidth=_real(bandwidth), numberOfLooks="1",
        )  # fmt: skip
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
        for sample, longitude, latitude, incidence in row:
            _subs(
                _sub(points, "geolocationGridPoint"),
                azimuthTime=_seconds(time),
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


def _calibration(flight: Flight, swath: SwathImage, number: int) -> Tree.Element:
    root = Tree.Element("calibration")
    _header(root, flight, swath, number)
    _sub(_sub(root, "calibrationInformation"), "absoluteCalibrationConstant", _real(1.0))
    sample = _table_samples(swath)
    theta = np.radians(swath.incidence_deg[sample])
    beta = np.full(sample.size, swath.beta_nought)
    tables = {
        "sigmaNought": beta / np.sqrt(np.sin(theta)),
        "betaNought": beta,
        "gamma": beta / np.sqrt(np.tan(theta)),
        "dn": beta,
    }
    rows = _table_lines(swath)
    vectors = _sub(root, "calibrationVectorList", count=str(len(rows)))
    for line, time in rows:
        vector = _sub(vectors, "calibrationVector")
        _subs(vector, azimuthTime=_seconds(time), line=str(line))
        _sub(vector, "pixel", " ".join(map(str, sample)), count=str(sample.size))
        for tag, values in tables.items():
            _list(vector, tag, values)
    return root


def _noise(flight: Flight, swath: SwathImage, number: int) -> Tree.Element:
    root = Tree.Element("noise")
    _header(root, flight, swath, number)
    sample = _table_samples(swath)
    rows = _table_lines(swath)
    vectors = _sub(root, "noiseRangeVectorList", count=str(len(rows)))
    for line, time in rows:
        vector = _sub(vectors, "noiseRangeVector")
        _subs(vector, azimuthTime=_seconds(time), line=str(line))
        _sub(vector, "pixel", " ".join(map(str, sample)), count=str(sample.size))
        _list(vector, "noiseRangeLut", np.full(sample.size, swath.noise_power))
    lines, samples = swath.shape
    vector = _sub(_sub(root, "noiseAzimuthVectorList", count="1"), "noiseAzimuthVector")
    _subs(
        vector, swath=swath.name, firstAzimuthLine="0", firstRangeSample="0",
        lastAzimuthLine=str(lines - 1), lastRangeSample=str(samples - 1),
    )  # fmt: skip
    _sub(vector, "line", f"0 {lines - 1}", count="2")
    _list(vector, "noiseAzimuthLut", np.ones(2))
    return root


def _manifest(
    flight: Flight,
    swaths: list[str],
    start: np.datetime64,
    stop: np.datetime64,
    files: list[tuple[str, str]],
) -> Tree.Element:
    for prefix, address in NAMESPACES.items():
        Tree.register_namespace(prefix, address)

    def name(prefix: str, tag: str) -> str:
        return f"{{{NAMESPACES[prefix]}}}{tag}"

    root = Tree.Element(
        name("xfdu", "XFDU"),
        version="esa/safe/sentinel-1.0/sentinel-1/sar/level-1/slc/standard/iwdp",
    )
    section = _sub(root, "metadataSection")

    def metadata(identity: str) -> Tree.Element:
        owner = _sub(section, "metadataObject", ID=identity)
        return _sub(_sub(owner, "metadataWrap", mimeType="text/xml"), "xmlData")

    processing = _sub(
        metadata("processing"), name("safe", "processing"), name="SLC Post Processing",
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
        ("productType", "SLC"),
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
    import warnings

    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    lines, samples = swath.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    each = swath.bursts[0].pixels.shape[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", dtype="complex_int16", count=1, height=lines, width=samples
        ) as target:
            for k, burst in enumerate(swath.bursts):
                kept = np.zeros(burst.pixels.shape, np.complex64)
                valid = burst.valid_lines, burst.valid_samples
                kept[valid] = burst.pixels[valid]
                whole = np.round(kept.real) + 1j * np.round(kept.imag)
                window = rasterio.windows.Window(0, k * each, samples, each)
                target.write(whole.astype(np.complex64), 1, window=window)


def _header(root: Tree.Element, flight: Flight, swath: SwathImage, number: int) -> None:
    _subs(
        _sub(root, "adsHeader"),
        missionId=flight.mission,
        productType="SLC",
        polarisation="VV",
        mode="IW",
        swath=swath.name,
        startTime=_seconds(swath.bursts[0].start),
        stopTime=_seconds(_last_line(swath)),
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


def _table_samples(swath: SwathImage) -> np.ndarray:
    samples = swath.shape[1]
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


def _write(path: Path, root: Tree.Element) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Tree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
