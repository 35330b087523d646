"""Where the satellite was: precise and restituted orbit files, and the annotation's own vectors."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numba
import numpy as np
import xarray as xr

from rockglacier.errors import SceneError

logger = logging.getLogger(__name__)

MISSIONS = {f"Sentinel-1{letter}": f"S1{letter}" for letter in "ABCD"}
KINDS = ("AUX_POEORB", "AUX_RESORB")  # from best to worst
ANNOTATION = "annotation"
# S1A_OPER_AUX_POEORB_OPOD_20200624T120754_V20200603T225942_20200605T005942.EOF
NAME = re.compile(
    r"(?P<mission>S1[A-D])_OPER_AUX_\w+?_OPOD_\d{8}T\d{6}_V(?P<begins>\d{8}T\d{6})_"
    r"(?P<ends>\d{8}T\d{6})"
)
MARGIN_S = 60.0  # state vectors needed before and after a scene
# Vectors are 10 s apart: within them a polynomial of this degree follows position and velocity to
# well below a millimetre.
DEGREE = 9


@dataclass(frozen=True, eq=False)
class Orbit:
    """Position and velocity (m, m/s; Earth-fixed) as polynomials of the time since ``epoch``.

    ``coefficients`` (axis, power) belong to ``seconds / half_span_s``; ``kind`` says which file
    they are of: AUX_POEORB, AUX_RESORB or annotation.
    """

    epoch: np.datetime64
    half_span_s: float
    coefficients: np.ndarray
    kind: str
    path: str

    def seconds(self, time: np.ndarray | np.datetime64) -> np.ndarray:
        """Seconds since ``epoch`` of ``time`` (datetime64)."""
        return np.asarray((np.asarray(time) - self.epoch) / np.timedelta64(1, "ns") * 1e-9)

    def position(self, seconds: np.ndarray | float) -> np.ndarray:
        """Position (..., 3; m) at ``seconds`` since ``epoch``."""
        return self._evaluate(seconds, 0)

    def velocity(self, seconds: np.ndarray | float) -> np.ndarray:
        """Velocity (..., 3; m/s)."""
        return self._evaluate(seconds, 1)

    def _evaluate(self, seconds: np.ndarray | float, derivative: int) -> np.ndarray:
        from numpy.polynomial import polynomial

        at = np.asarray(seconds, np.float64) / self.half_span_s
        axes = [
            polynomial.polyval(at, polynomial.polyder(axis, derivative))
            for axis in self.coefficients
        ]
        return np.stack(axes, axis=-1) / self.half_span_s**derivative


def read_orbit_file(path: str | Path) -> tuple[str, str, xr.Dataset]:
    """Mission (S1A ...), kind and state vectors (axis, azimuth_time) of an EOF file.

    Source: GMES-GSEG-EOPG-FS-10-0075, Earth Observation file format standard of orbit products.

    Raises
    ------
    SceneError
        It is no orbit file of Sentinel-1 in an Earth-fixed frame and UTC.
    """

    def flaw(found: str) -> SceneError:
        return SceneError(
            f"{path}: {found}; an orbit file (AUX_POEORB or AUX_RESORB, .EOF) of Sentinel-1 is "
            "needed: download it again or remove it from the folder of orbits."
        )

    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError) as error:
        raise flaw(f"cannot be read ({error})") from error
    mission = MISSIONS.get(root.findtext(".//Fixed_Header/Mission") or "")
    kind = root.findtext(".//Fixed_Header/File_Type") or ""
    if mission is None or kind not in KINDS:
        raise flaw(f"mission {root.findtext('.//Mission')!r}, type {kind!r}")
    frame = root.findtext(".//Variable_Header/Ref_Frame")
    if frame != "EARTH_FIXED":
        raise flaw(f"frame {frame!r}")
    try:
        vectors = _vectors(root)
    except ValueError as error:
        raise flaw(f"state vectors that are no times or numbers ({error})") from error
    if len(vectors) < DEGREE:
        raise flaw(f"{len(vectors)} state vectors")
    time, position, velocity = (np.array(part) for part in zip(*vectors, strict=True))
    dataset = xr.Dataset(
        {
            "position": (("axis", "azimuth_time"), position.T),
            "velocity": (("axis", "azimuth_time"), velocity.T),
        },
        coords={"azimuth_time": time},
    )
    return mission, kind, dataset.sortby("azimuth_time")


def _vectors(root: ElementTree.Element) -> list[tuple[np.datetime64, list[float], list[float]]]:
    """Time, position and velocity of each state vector; ValueError where one lacks a number."""
    found: list[tuple[np.datetime64, list[float], list[float]]] = [
        (
            np.datetime64((v.findtext("UTC") or "").removeprefix("UTC="), "ns"),
            [float(v.findtext(axis) or "nan") for axis in ("X", "Y", "Z")],
            [float(v.findtext(axis) or "nan") for axis in ("VX", "VY", "VZ")],
        )
        for v in root.iterfind(".//List_of_OSVs/OSV")
    ]
    for time, position, velocity in found:
        if np.isnat(time) or not np.isfinite([*position, *velocity]).all():
            raise ValueError(f"the one of {time} is not whole")
    return found


def choose_orbit(
    files: Iterable[str | Path],
    mission: str,
    start: np.datetime64,
    stop: np.datetime64,
    annotation: xr.Dataset,
) -> Orbit:
    """The best orbit that covers ``start`` to ``stop`` and a minute around, for ``mission``.

    Precise before restituted; without either the state vectors of the product's ``annotation``,
    with a warning: they may be off by metres. Files whose names state another mission or time are
    not read; those that cannot be read are left out with a warning.
    """
    fit: list[tuple[str, Path, xr.Dataset]] = []
    # Of one kind the last made: names state the time of making before that of validity.
    for path in sorted(map(Path, files), key=lambda file: file.name, reverse=True):
        if not _named_for(path.name, mission, start, stop):
            continue
        try:
            of, kind, vectors = read_orbit_file(path)
        except SceneError as error:
            logger.warning("left out: %s", error)
            continue
        if of == mission and _covers(vectors, start, stop):
            fit.append((kind, path, vectors))
    if fit:
        kind, path, vectors = min(fit, key=lambda found: KINDS.index(found[0]))
        if kind != KINDS[0]:
            logger.warning("%s: restituted orbit (10 cm); a precise one is better", path)
        return fit_orbit(vectors, start, stop, kind, str(path))
    logger.warning(
        "no orbit file of %s covers %s to %s: the annotation's own state vectors are used",
        mission, str(start)[:19], str(stop)[:19],
    )  # fmt: skip
    return fit_orbit(annotation, start, stop, ANNOTATION, ANNOTATION)


def fit_orbit(
    vectors: xr.Dataset, start: np.datetime64, stop: np.datetime64, kind: str, path: str
) -> Orbit:
    """Polynomials through the state vectors from a minute before ``start`` to one after ``stop``.

    Least squares on positions and velocities together. SceneError where vectors are missing.
    """
    from numpy.polynomial import polynomial

    margin = np.timedelta64(round(MARGIN_S * 1e9), "ns")
    times = vectors["azimuth_time"].values
    use = (times >= start - margin) & (times <= stop + margin)
    # The annotation may hold fewer: whatever surrounds the scene then serves.
    if use.sum() < DEGREE or times[use][0] > start or times[use][-1] < stop:
        raise SceneError(
            f"{path}: {int(use.sum())} state vectors from {str(times[0])[:19]} to "
            f"{str(times[-1])[:19]} do not surround {str(start)[:19]} to {str(stop)[:19]}; give "
            "the orbit file of that day."
        )
    epoch = start + (stop - start) / 2
    seconds = (times[use] - epoch) / np.timedelta64(1, "ns") * 1e-9
    half_span = float(np.abs(seconds).max())
    at = seconds / half_span
    powers = polynomial.polyvander(at, DEGREE)
    slopes = np.zeros_like(powers)
    slopes[:, 1:] = powers[:, :-1] * np.arange(1, DEGREE + 1)
    design = np.concatenate([powers, slopes])
    coefficients = []
    for place, speed in zip(
        vectors["position"].values[:, use], vectors["velocity"].values[:, use], strict=True
    ):
        known = np.concatenate([place, speed * half_span])
        coefficients.append(np.linalg.lstsq(design, known, rcond=None)[0])
    return Orbit(epoch, half_span, np.array(coefficients), kind, path)


def perpendicular_baseline(reference: Orbit, secondary: Orbit, ground: np.ndarray) -> np.ndarray:
    """Perpendicular baseline (m) at ``ground`` (..., 3; Earth-fixed m): positive away from it.

    The component of the vector between both zero-Doppler positions across the reference's line of
    sight, in the plane that is perpendicular to the reference's velocity; positive where the
    secondary looks less steeply, that is, from the far side of the line of sight seen upward.

    Source: Hanssen (2001), Radar Interferometry, section 2.4.2.
    """
    (first, _), (second, _) = (zero_doppler(orbit, ground) for orbit in (reference, secondary))
    place = reference.position(first)
    along = reference.velocity(first)
    along /= np.linalg.norm(along, axis=-1, keepdims=True)
    sight = ground - place
    sight /= np.linalg.norm(sight, axis=-1, keepdims=True)
    across = np.cross(sight, along)  # right-looking: up and away from the ground track
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    between = secondary.position(second) - place
    return np.asarray((between * across).sum(axis=-1))


def zero_doppler(orbit: Orbit, ground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since the epoch when ``ground`` (..., 3; Earth-fixed m) is abeam, and how far (m).

    NaN where the ground is unknown or lies beyond the orbit's span. Newton steps on
    (ground - position) . velocity = 0, each point starting where its neighbour ended.
    """
    flat = np.ascontiguousarray(ground, np.float64).reshape(-1, 3)
    seconds, distance = np.empty(len(flat)), np.empty(len(flat))
    _abeam(flat, orbit.coefficients, orbit.half_span_s, seconds, distance)
    return seconds.reshape(ground.shape[:-1]), distance.reshape(ground.shape[:-1])


@numba.njit(nogil=True, cache=True)
def _abeam(
    ground: np.ndarray,
    coefficients: np.ndarray,
    half_span_s: float,
    seconds: np.ndarray,
    distance: np.ndarray,
) -> None:
    degree = coefficients.shape[1] - 1
    at = 0.0  # in half spans
    for p in range(len(ground)):
        found = np.nan
        away = np.nan
        if not np.isnan(ground[p, 0] + ground[p, 1] + ground[p, 2]):
            if np.isnan(at) or abs(at) > 1.0:
                at = 0.0
            for _ in range(20):
                ahead, square, far = 0.0, 0.0, 0.0
                for axis in range(3):
                    place, slope = coefficients[axis, degree], 0.0
                    for power in range(degree - 1, -1, -1):
                        slope = slope * at + place
                        place = place * at + coefficients[axis, power]
                    gap = ground[p, axis] - place
                    ahead += gap * slope
                    square += slope * slope
                    far += gap * gap
                step = ahead / square
                at += step
                if abs(at) > 1.5:
                    break
                if abs(step) * half_span_s < 1e-9:  # 7 micrometres of flight
                    found, away = at * half_span_s, np.sqrt(far)
                    break
        seconds[p], distance[p] = found, away


def _named_for(name: str, mission: str, start: np.datetime64, stop: np.datetime64) -> bool:
    """Whether the file's ``name`` leaves it open that the file serves."""
    stated = NAME.match(name)
    if stated is None:
        return True
    begins, ends = (_time(stated[k]) for k in ("begins", "ends"))
    return stated["mission"] == mission and bool(begins <= start and ends >= stop)


def _time(text: str) -> np.datetime64:
    """The time (UTC) written as YYYYMMDDThhmmss."""
    day, clock = f"{text[:4]}-{text[4:6]}-{text[6:8]}", f"{text[9:11]}:{text[11:13]}:{text[13:15]}"
    return np.datetime64(f"{day}T{clock}", "ns")


def _covers(vectors: xr.Dataset, start: np.datetime64, stop: np.datetime64) -> bool:
    times = vectors["azimuth_time"].values
    margin = np.timedelta64(round(MARGIN_S * 1e9), "ns")
    return bool(times[0] <= start - margin and times[-1] >= stop + margin)
