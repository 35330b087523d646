"""Annotation, orbits and TOPS carriers, against what ESA's processor states and real pixels."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from pyproj import Transformer
from rasterio.errors import NotGeoreferencedWarning

from rockglacier.errors import SceneError
from rockglacier.sentinel1 import orbit as orbits
from rockglacier.sentinel1.annotation import SPEED_OF_LIGHT, Swath, read_annotation
from rockglacier.sentinel1.tops import Carrier

EARTH_FIXED = Transformer.from_crs(4979, 4978, always_xy=True)
TAIL = np.timedelta64(3, "s")


@pytest.fixture
def azores(real_data: Callable[[str], Path]) -> Path:
    return real_data("sar/s1_iw3_slc_subset_azores")


@pytest.fixture
def annotations(real_data: Callable[[str], Path]) -> list[Path]:
    folder = real_data("sar/s1_annotation_pairs")
    return sorted(folder.glob("*/*.SAFE/annotation/*iw*.xml"))


def parsed(path: Path) -> Swath:
    return read_annotation(path.read_bytes(), str(path))


def of_annotation(swath: Swath) -> orbits.Orbit:
    ends = swath.bursts[0].start, swath.bursts[-1].start + TAIL
    return orbits.fit_orbit(swath.orbit, *ends, orbits.ANNOTATION, swath.path)


def stated_points(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Earth-fixed place, azimuth time and two-way range time of the geolocation grid."""
    from xml.etree import ElementTree

    points = ElementTree.parse(path).getroot().findall(".//geolocationGridPoint")

    def column(name: str) -> np.ndarray:
        return np.array([float(p.findtext(name) or "nan") for p in points])

    ground = EARTH_FIXED.transform(column("longitude"), column("latitude"), column("height"))
    times = np.array([p.findtext("azimuthTime") for p in points], "datetime64[ns]")
    return np.stack(ground, axis=-1), times, column("slantRangeTime")


def test_burst_numbers_from_the_time_past_the_node_are_the_stated_ones(
    annotations: list[Path],
) -> None:
    compared = 0
    for path in annotations:
        stated = parsed(path)
        without = (
            path.read_bytes().replace(b"<burstId", b"<oldId").replace(b"</burstId", b"</oldId")
        )
        if b"<burstId" in path.read_bytes():
            compared += 1
            found = read_annotation(without, str(path))
            assert [b.burst_id for b in found.bursts] == [b.burst_id for b in stated.bursts]
    assert compared >= 8


def test_a_stated_burst_number_needs_no_table_of_orbits(annotations: list[Path]) -> None:
    path = next(p for p in annotations if b"<burstId" in p.read_bytes())
    renamed = path.read_bytes().replace(b"<missionId>S1A", b"<missionId>S1D")
    found = read_annotation(renamed, str(path))
    assert found.mission == "S1D"
    assert found.bursts[0].burst_id == parsed(path).bursts[0].burst_id


def test_ground_is_abeam_when_and_where_the_product_says(annotations: list[Path]) -> None:
    for path in annotations:
        if "single_burst" in str(path):
            continue  # its grid is that of the whole slice
        swath = parsed(path)
        track = of_annotation(swath)
        ground, times, two_way = stated_points(path)
        seconds, away = orbits.zero_doppler(track, ground)
        assert np.abs(away - 0.5 * SPEED_OF_LIGHT * two_way).max() < 0.01
        # A line lasts 2 ms: a fiftieth of it, at the ends of the few vectors that products hold.
        assert np.abs(seconds - track.seconds(times)).max() < 4e-5


def test_lines_of_all_swaths_are_timed_from_the_middle_of_iw2(annotations: list[Path]) -> None:
    swaths = [parsed(path) for path in annotations]
    whole = [s for s in swaths if "/slc/" in s.path]
    assert {s.swath for s in whole} == {"IW1", "IW2", "IW3"}
    middles = [
        s.slant_range_time_s + 0.5 * s.samples_per_burst / s.range_sampling_hz
        for s in whole
        if s.swath == "IW2"
    ]
    for swath in whole:
        offset, slope = swath.lag
        assert slope == pytest.approx(0.5, abs=1e-3)
        # Within 5 microseconds, a four-hundredth of a line; its own middle is 180 or more away.
        assert -offset / slope == pytest.approx(middles[0], abs=5e-6)
    single = [s for s in swaths if "single_burst" in s.path]
    assert single and all(s.lag[1] == pytest.approx(0.5, abs=5e-3) for s in single)


def test_a_grid_that_tells_no_lag_is_refused(annotations: list[Path]) -> None:
    path = annotations[0]
    without = path.read_bytes().replace(b"geolocationGridPoint>", b"point>")
    with pytest.raises(SceneError, match="0 points of the geolocation grid"):
        read_annotation(without, str(path))


def test_orbit_files_come_before_the_annotation(azores: Path, tmp_path: Path) -> None:
    swath = parsed(next(azores.glob("*.xml")))
    files = list(azores.glob("*.EOF"))
    ends = swath.bursts[0].start, swath.bursts[-1].start + TAIL
    restituted = orbits.choose_orbit(files, "S1A", *ends, swath.orbit)
    assert restituted.kind == "AUX_RESORB"
    later = tmp_path / files[0].name.replace("20220918T093241", "20220918T103241")
    later.write_bytes(files[0].read_bytes())
    assert orbits.choose_orbit([*files, later], "S1A", *ends, swath.orbit).path == str(later)
    own = of_annotation(swath)
    apart = own.position(0.0) - restituted.position(restituted.seconds(own.epoch))
    assert np.linalg.norm(apart) < 0.1  # restituted orbits promise 10 cm
    other = orbits.choose_orbit(files, "S1B", *ends, swath.orbit)
    assert other.kind == orbits.ANNOTATION
    day = np.timedelta64(1, "D")
    with pytest.raises(SceneError, match="do not surround"):
        orbits.choose_orbit(files, "S1A", ends[0] + day, ends[1] + day, swath.orbit)


def test_vectors_left_out_are_foretold_to_a_millimetre(azores: Path) -> None:
    swath = parsed(next(azores.glob("*.xml")))
    ends = swath.bursts[0].start, swath.bursts[-1].start + TAIL
    _, _, vectors = orbits.read_orbit_file(next(azores.glob("*.EOF")))
    times = vectors["azimuth_time"].values
    inside = np.flatnonzero((times > ends[0]) & (times < ends[1]))
    fewer = vectors.isel(azimuth_time=np.setdiff1d(np.arange(times.size), inside))
    track = orbits.fit_orbit(fewer, *ends, "AUX_RESORB", "without the scene's own")
    foretold = track.position(track.seconds(times[inside]))
    assert np.abs(foretold - vectors["position"].values[:, inside].T).max() < 1e-3


def test_perpendicular_baselines_are_those_of_the_far_field_formula(
    annotations: list[Path], record_property: Callable[[str, object], None]
) -> None:
    """|B_perp| = |B x sight| in the plane across the track: no formula shared with the code."""
    pairs: dict[tuple[str, int], list[Path]] = {}
    for path in annotations:
        swath = parsed(path)
        pairs.setdefault((swath.swath, swath.bursts[0].burst_id), []).append(path)
    compared, worst = 0, 0.0
    for first, second in (p for p in pairs.values() if len(p) == 2):
        ground, _, _ = stated_points(first)
        one, two = of_annotation(parsed(first)), of_annotation(parsed(second))
        found = orbits.perpendicular_baseline(one, two, ground)
        for point, value in zip(ground[::40], found[::40], strict=True):
            t1, t2 = (float(orbits.zero_doppler(o, point)[0]) for o in (one, two))
            between = two.position(t2) - one.position(t1)
            flight = one.velocity(t1) / np.linalg.norm(one.velocity(t1))
            between = between - (between @ flight) * flight
            sight = (point - one.position(t1)) / np.linalg.norm(point - one.position(t1))
            off = abs(abs(float(value)) - float(np.linalg.norm(np.cross(between, sight))))
            worst = max(worst, off)
            assert off < 0.2
            # Farther up and outward looks less steeply: the ranges' difference changes with height.
            up = point / np.linalg.norm(point)
            higher = point + 100.0 * up
            ranges = [
                float(orbits.zero_doppler(o, p)[1]) for p in (point, higher) for o in (one, two)
            ]
            topographic = (ranges[3] - ranges[2]) - (ranges[1] - ranges[0])
            assert np.sign(topographic) == -np.sign(value) or abs(value) < 1.0
        compared += 1
    record_property("off_m", worst)
    assert compared >= 6


def test_the_carrier_of_real_tops_pixels_is_removed(
    azores: Path, record_property: Callable[[str, object], None]
) -> None:
    swath = parsed(next(azores.glob("*.xml")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # radar geometry has none
        with rasterio.open(next(azores.glob("*.tiff"))) as source:
            pixels = source.read(1).astype(np.complex64)
    burst, first_line = divmod(9799, swath.lines_per_burst)
    line, sample = np.indices(pixels.shape)
    carrier = Carrier.of(swath, swath.bursts[burst])
    flat = pixels * np.exp(-1j * carrier.phase(line + first_line, sample + 10999))

    def slope(values: np.ndarray) -> float:
        """Change per line (rad) of the lag-one azimuth phase, weighted by amplitude."""
        lag = (values[1:] * values[:-1].conj()).sum(axis=1)
        weight = np.abs(lag)
        return float(np.polyfit(np.arange(lag.size), np.unwrap(np.angle(lag)), 1, w=weight**0.5)[0])

    reduced = abs(slope(pixels) / slope(flat))
    record_property("ramp_reduced", reduced)
    assert reduced > 100.0
    turn = np.angle((flat[1:] * flat[:-1].conj()).sum()) / (2.0 * np.pi)
    centre = abs(turn * swath.azimuth_frequency_hz) / swath.prf_hz
    record_property("centre_of_prf", float(centre))
    assert centre < 0.02


def test_what_is_no_annotation_is_refused(azores: Path) -> None:
    content = next(azores.glob("*.xml")).read_bytes()
    with pytest.raises(SceneError, match=r"cut\.xml: no readable XML"):
        read_annotation(content[:5000], "cut.xml")
    with pytest.raises(SceneError, match="IW GRD"):
        read_annotation(content.replace(b"<productType>SLC", b"<productType>GRD"), "grd.xml")
    with pytest.raises(SceneError, match="azimuthSteeringRate"):
        read_annotation(content.replace(b"azimuthSteeringRate>", b"gone>"), "gone.xml")
    eof = next(azores.glob("*.EOF"))
    assert isinstance(orbits.read_orbit_file(eof)[2], xr.Dataset)
    with pytest.raises(SceneError, match="orbit file"):
        orbits.read_orbit_file(next(azores.glob("*.xml")))
