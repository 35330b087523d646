"""What the annotation of a Sentinel-1 IW SLC says of its bursts, timing and Doppler.

xarray-sentinel reads the state vectors, Doppler centroids and azimuth FM rates; the bursts, whose
valid samples it leaves out, are read here. Times are zero-Doppler UTC.

Source
------
Sentinel-1 Product Specification, S1-RS-MDA-52-7441, issue 3.9.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import xarray as xr

from rockglacier.errors import SceneError

SPEED_OF_LIGHT = 299_792_458.0  # m/s
# Bursts of IW are numbered by periods from the ascending node, after a preamble (Sentinel-1 Product
# Specification 3.9; the same numbers as in ESA's burst map).
BURST_PERIOD_S = 2.758273
PREAMBLE_S = 2.299849
ORBIT_PERIOD_S = 12 * 86400 / 175
MAX_LAG_S = 1.5e-3  # of a line, by the width of three swaths


@dataclass(frozen=True)
class Band:
    """Band of the image in range or azimuth, and the window that the processor gave it."""

    width_hz: float  # of one look
    hamming: float = 1.0  # its coefficient; 1 is no window
    looks: int = 1  # whose powers were added

    def correlation(self, lag_s: np.ndarray) -> np.ndarray:
        """Correlation of speckle ``lag_s`` apart: transform of the squared window."""
        a, b = self.hamming, 1.0 - self.hamming
        x = self.width_hz * np.asarray(lag_s)
        level = a * a + 0.5 * b * b
        sides = np.sinc(x - 1.0) + np.sinc(x + 1.0), np.sinc(x - 2.0) + np.sinc(x + 2.0)
        found: np.ndarray = np.sinc(x) + (a * b * sides[0] + 0.25 * b * b * sides[1]) / level
        return found


@dataclass(frozen=True, eq=False)
class Burst:
    """One burst: where it lies in time, in the measurement, and in its swath's numbering."""

    number: int  # in the product, from 0
    burst_id: int  # of the relative orbit and swath, the same on every date
    start: np.datetime64  # azimuth time of its first line
    sensing: np.datetime64  # when its first line was sensed
    first_valid: np.ndarray  # per line, -1 where none
    last_valid: np.ndarray

    @property
    def valid_lines(self) -> slice:
        """Lines that hold data."""
        lines = np.flatnonzero(self.first_valid >= 0)
        return slice(int(lines[0]), int(lines[-1]) + 1) if lines.size else slice(0, 0)

    @property
    def valid_samples(self) -> slice:
        """Samples that hold data on every valid line."""
        held = self.first_valid >= 0  # a gap between them holds zeros, which count as missing
        if not held.any():
            return slice(0, 0)
        return slice(int(self.first_valid[held].max()), int(self.last_valid[held].min()) + 1)


@dataclass(frozen=True, eq=False)
class Swath:
    """Annotation of one swath and polarisation of a product."""

    path: str
    mission: str  # S1A ...
    swath: str  # IW1 ...
    polarisation: str
    heading_deg: float
    radar_frequency_hz: float
    range_sampling_hz: float
    slant_range_time_s: float  # two-way, of sample 0
    azimuth_interval_s: float
    steering_rate_deg_s: float
    prf_hz: float
    lines_per_burst: int
    samples_per_burst: int
    bursts: tuple[Burst, ...]
    orbit: xr.Dataset  # position, velocity (axis, azimuth_time)
    doppler: xr.Dataset  # t0, data_dc_polynomial, geometry_dc_polynomial
    fm_rate: xr.Dataset  # t0, azimuth_fm_rate_polynomial
    range_band: Band
    azimuth_band: Band
    # Time at which ground is abeam less that of its line: offset (s) and slope over the two-way
    # time. The processor times lines of all swaths as if echoes returned from the middle of IW2.
    lag: tuple[float, float]

    @property
    def wavelength_m(self) -> float:
        """Radar wavelength."""
        return SPEED_OF_LIGHT / self.radar_frequency_hz

    @property
    def azimuth_frequency_hz(self) -> float:
        """Lines per second of the focused image."""
        return 1.0 / self.azimuth_interval_s


class Annotation:
    """Annotation XML ``content`` of an IW ``product`` (SLC or GRD); ``path`` names it in errors.

    SceneError where it is none, or lacks what is asked for.
    """

    def __init__(self, content: bytes, path: str, product: str) -> None:
        self.content, self.path, self.product = content, path, product
        try:
            self.root = ElementTree.fromstring(content)
        except ElementTree.ParseError as error:
            raise SceneError(
                f"{path}: no readable XML ({error}); the annotation of an IW {product} is needed: "
                "download the product again."
            ) from error
        kind = f"{self.text('adsHeader/mode')} {self.text('adsHeader/productType')}"
        if kind != f"IW {product}":
            raise SceneError(
                f"{path}: an {kind} annotation; IW {product} is needed: give {product} products."
            )

    def text(self, tag: str, within: ElementTree.Element | None = None) -> str:
        """What stands at ``tag`` of the document, or ``within`` one of its elements."""
        found = (self.root if within is None else within).findtext(tag)
        if found is None or not found.strip():
            raise SceneError(
                f"{self.path}: no {tag}; the annotation of an IW {self.product} is needed: "
                "download the product again."
            )
        return found.strip()

    def time(self, tag: str, within: ElementTree.Element | None = None) -> np.datetime64:
        """The time (UTC) at ``tag``."""
        text = self.text(tag, within)
        try:
            return np.datetime64(text, "ns")
        except ValueError as error:
            raise self._garbled(tag, text) from error

    def numbers(self, tag: str, within: ElementTree.Element | None = None) -> list[float]:
        """The numbers at ``tag``."""
        text = self.text(tag, within)
        try:
            return [float(part) for part in text.split()]
        except ValueError as error:
            raise self._garbled(tag, text) from error

    def number(self, tag: str, within: ElementTree.Element | None = None) -> float:
        """The number at ``tag``."""
        return self.numbers(tag, within)[0]

    def count(self, tag: str, within: ElementTree.Element | None = None) -> int:
        """The whole number at ``tag``."""
        return int(self.number(tag, within))

    def bands(self, swath: ElementTree.Element) -> tuple[Band, Band]:
        """Bands in range and azimuth of one entry of the processing."""
        found = []
        for part in ("rangeProcessing", "azimuthProcessing"):
            hamming = self.text(f"{part}/windowType", swath).upper() == "HAMMING"
            coefficient = self.number(f"{part}/windowCoefficient", swath) if hamming else 1.0
            width = self.number(f"{part}/lookBandwidth", swath)
            found.append(Band(width, coefficient, self.count(f"{part}/numberOfLooks", swath)))
        return found[0], found[1]

    def _garbled(self, tag: str, text: str) -> SceneError:
        return SceneError(f"{self.path}: {tag} is {text[:40]!r}; download the product again.")

    def datasets(self, *parsers: Callable[[io.StringIO], xr.Dataset]) -> Iterator[xr.Dataset]:
        """What xarray-sentinel's ``parsers`` find."""
        try:
            for parse in parsers:
                yield parse(io.StringIO(self.content.decode()))
        except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise SceneError(
                f"{self.path}: state vectors, Doppler centroids or azimuth FM rates are not as the "
                f"product specification has them ({error!r}); download the product again."
            ) from error


def read_annotation(content: bytes, path: str) -> Swath:
    """Parse the annotation XML ``content``; ``path`` names it in errors.

    Raises
    ------
    SceneError
        It is no annotation of an IW SLC, or lacks what is needed.
    """
    from xarray_sentinel import sentinel1

    document = Annotation(content, path, "SLC")
    text, number = document.text, document.number
    information = "generalAnnotation/productInformation/"
    image = "imageAnnotation/imageInformation/"
    timing = document.root.find("swathTiming")
    elements = [] if timing is None else timing.findall("burstList/burst")
    if timing is None or not elements:
        raise SceneError(f"{path}: no burst; the annotation of an IW SLC is needed.")
    swath = text("adsHeader/swath")
    orbit_number = document.count("adsHeader/absoluteOrbitNumber")
    mission = text("adsHeader/missionId")
    interval_s = number(image + "azimuthTimeInterval")
    half_burst_s = 0.5 * interval_s * document.count("linesPerBurst", timing)
    bursts = tuple(
        Burst(
            index,
            _burst_id(element, mission, orbit_number, half_burst_s),
            document.time("azimuthTime", element),
            document.time("sensingTime", element),
            np.array(document.numbers("firstValidSample", element), np.int64),
            np.array(document.numbers("lastValidSample", element), np.int64),
        )
        for index, element in enumerate(elements)
    )
    orbit, doppler, fm_rate = document.datasets(
        sentinel1.open_orbit_dataset,
        sentinel1.open_dc_estimate_dataset,
        sentinel1.open_azimuth_fm_rate_dataset,
    )
    processed = [
        one
        for one in document.root.iterfind(".//swathProcParams")
        if one.findtext("swath", "").strip() == swath
    ]
    if not processed:
        raise SceneError(f"{path}: no processing of {swath}; download the product again.")
    bands = document.bands(processed[0])
    return Swath(
        path=path,
        mission=mission,
        swath=swath,
        polarisation=text("adsHeader/polarisation"),
        heading_deg=number(information + "platformHeading"),
        radar_frequency_hz=number(information + "radarFrequency"),
        range_sampling_hz=number(information + "rangeSamplingRate"),
        slant_range_time_s=number(image + "slantRangeTime"),
        azimuth_interval_s=interval_s,
        steering_rate_deg_s=number(information + "azimuthSteeringRate"),
        prf_hz=number("generalAnnotation/downlinkInformationList/downlinkInformation/prf"),
        lines_per_burst=document.count("linesPerBurst", timing),
        samples_per_burst=document.count("samplesPerBurst", timing),
        bursts=bursts,
        orbit=orbit,
        doppler=doppler,
        fm_rate=fm_rate,
        range_band=bands[0],
        azimuth_band=bands[1],
        lag=_lag(document, bursts),
    )


def _lag(document: Annotation, bursts: tuple[Burst, ...]) -> tuple[float, float]:
    """By the geolocation grid, whose points stand at the first lines of bursts.

    Of a single burst the grid may be that of the whole swath: only rows of its own bursts count.
    """
    starts = np.array([burst.start for burst in bursts])
    late, two_way = [], []
    for point in document.root.iterfind(".//geolocationGridPoint"):
        behind = (document.time("azimuthTime", point) - starts).astype(np.float64) * 1e-9
        nearest = float(behind[np.argmin(np.abs(behind))])
        if abs(nearest) < MAX_LAG_S:
            late.append(nearest)
            two_way.append(document.number("slantRangeTime", point))
    return fit_lag(np.array(late), np.array(two_way), document)


def fit_lag(late: np.ndarray, two_way: np.ndarray, document: Annotation) -> tuple[float, float]:
    """Offset (s) and slope over the two-way time (s) of how ``late`` (s) the lines are.

    Source: Gisinger et al. (2021), doi:10.1109/TGRS.2019.2961248, section III.
    """
    if np.unique(two_way).size < 2:
        raise SceneError(
            f"{document.path}: {late.size} points of the geolocation grid at known lines; the "
            f"annotation of an IW {document.product} is needed: download the product again."
        )
    slope, offset = np.polyfit(two_way, late, 1)
    return float(offset), float(slope)


def ground_of_bursts(content: bytes, path: str) -> tuple[np.ndarray, ...]:
    """Longitude and latitude (point, 2; degrees) around each burst, by the geolocation grid.

    SceneError where the grid is absent.
    """
    root = ElementTree.fromstring(content)
    points = np.array(
        [
            [float(point.findtext(tag) or "nan") for tag in ("line", "longitude", "latitude")]
            for point in root.iterfind(".//geolocationGridPoint")
        ]
    ).reshape(-1, 3)
    lines = float(root.findtext("swathTiming/linesPerBurst") or "nan")
    count = len(root.findall("swathTiming/burstList/burst"))
    around = []
    for number in range(count):
        # Grid lines stand at the first line of each burst, and at the last of the product.
        near = np.abs(points[:, 0] / lines - (number + 0.5)) <= 0.5 + 1.0 / lines
        if not near.any():
            raise SceneError(
                f"{path}: no geolocation grid around burst {number}; the annotation of an IW SLC "
                "is needed: download the product again."
            )
        around.append(points[near, 1:])
    return tuple(around)


def relative_orbit(mission: str, absolute: int) -> int:
    """Relative orbit (1..175) of an absolute one."""
    offsets = {"S1A": 73, "S1B": 27, "S1C": 172}
    if mission not in offsets:
        raise SceneError(
            f"{mission}: its relative orbits are not known here; they are stated in manifest.safe."
        )
    return (absolute - offsets[mission]) % 175 + 1


def _burst_id(
    element: ElementTree.Element, mission: str, absolute_orbit: int, half_burst_s: float
) -> int:
    """The burst's number: as stated (since IPF 3.40), else from the time of its middle."""
    stated = element.findtext("burstId")
    if stated and stated.strip():
        return int(stated)
    past_node = float(element.findtext("azimuthAnxTime") or "nan") + half_burst_s
    elapsed = past_node + (relative_orbit(mission, absolute_orbit) - 1) * ORBIT_PERIOD_S
    return 1 + int(np.floor((elapsed - PREAMBLE_S) / BURST_PERIOD_S))
