"""GAMMA's parameter files: what they say of wavelength, viewing geometry, looks and baselines."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from rockglacier.conventions import SPEED_OF_LIGHT_M_S
from rockglacier.errors import SceneError
from rockglacier.readers.stack import FlawedPair


def read_parameters(path: str | Path) -> dict[str, str]:
    """``key: value`` lines of a parameter file (``.par``); SceneError where it cannot be read."""
    try:
        text = Path(path).read_text(errors="replace")
    except OSError as error:
        raise SceneError(
            f"{path} cannot be read ({error.strerror}); a GAMMA parameter file is needed: "
            "correct its path."
        ) from error
    return {
        key.strip(): value.strip()
        for key, separator, value in (line.partition(":") for line in text.splitlines())
        if separator
    }


def number(parameters: Mapping[str, str], key: str) -> float | None:
    """The first number of ``key``'s value, None where there is none."""
    try:
        return float(parameters[key].split()[0])
    except (KeyError, IndexError, ValueError):
        return None


def wavelength(parameters: Mapping[str, str]) -> float | None:
    """Radar wavelength (m) from ``radar_frequency``."""
    frequency = number(parameters, "radar_frequency")
    return SPEED_OF_LIGHT_M_S / frequency if frequency else None


def independent_looks(parameters: Mapping[str, str]) -> float | None:
    """Effective independent looks of a multilooked image.

    Looks times pixel over resolution in range (sampling rate against chirp bandwidth) and azimuth
    (line rate against processed bandwidth). ASSUME: rectangular spectra.
    """
    names = ("range_looks", "azimuth_looks", "adc_sampling_rate", "chirp_bandwidth")
    values = [number(parameters, n) for n in (*names, "prf", "azimuth_proc_bandwidth")]
    if any(v is None or v <= 0 for v in values):
        return None
    range_looks, azimuth_looks, sampling, chirp, line_rate, doppler = (v or 1.0 for v in values)
    return range_looks * azimuth_looks * min(1.0, chirp / sampling) * min(1.0, doppler / line_rate)


def look_angle(parameters: Mapping[str, str]) -> float | None:
    """Look angle (rad, from nadir at the satellite) of the scene's centre."""
    satellite = number(parameters, "sar_to_earth_center")
    earth = number(parameters, "earth_radius_below_sensor")
    distance = number(parameters, "center_range_slc")
    if not (satellite and earth and distance):
        return None
    return math.acos((satellite**2 + distance**2 - earth**2) / (2.0 * satellite * distance))


def perpendicular_baseline(path: str, look_angle_rad: float | None) -> float:
    """Perpendicular baseline (m) of a pair from ``base_perp``'s table or a ``.base.par`` file.

    The table's mean ``bperp`` where there is one. Else, from the baseline vector (track, cross,
    normal) and the look angle of the scene's centre, C cos(look) - N sin(look), which is how the
    table follows from it. NaN where neither is possible.
    """
    try:
        text = Path(path).read_text(errors="replace")
    except OSError as error:
        raise FlawedPair(
            path,
            "baseline file missing",
            found=str(error.strerror),
            needed="a GAMMA .base.par or base_perp file for each pair",
            remedy="correct the pattern under baselines, or leave it out",
        ) from error
    rows = [line.split() for line in text.splitlines() if re.match(r"\s*\d+\s+\d+\s+-?\d", line)]
    if "bperp" in text and rows:
        return math.fsum(float(r[7]) for r in rows) / len(rows)
    for key in ("precision_baseline(TCN)", "initial_baseline(TCN)"):
        found = re.search(re.escape(key) + r":\s*(\S+)\s+(\S+)\s+(\S+)", text)
        if found and look_angle_rad is not None:
            cross, normal = float(found[2]), float(found[3])
            if (cross, normal) != (0.0, 0.0):  # GAMMA leaves zeros where it was not estimated
                return cross * math.cos(look_angle_rad) - normal * math.sin(look_angle_rad)
    return math.nan
