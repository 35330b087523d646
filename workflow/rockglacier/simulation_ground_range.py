"""Simulated bursts as a detected image on ground range, as a GRD holds them.

Bursts and swaths are cut in the middle of their overlaps, their power is averaged over looks in
range and laid on ground range. Nothing here is shared with the code that reads it.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.polynomial import Polynomial, polynomial

from rockglacier.simulation_safe import Conversion, GroundRangeImage, SwathImage
from rockglacier.simulation_scenes import SPEED_OF_LIGHT, Pass, height_of

INTERVAL_S = 1.498376640333055e-3
SPACING_M = 10.0
LOOKS_M = 20.0  # of ground range, that make one pixel
BETA_NOUGHT = 430.0, 520.0  # digital numbers per amplitude, at near and at far range
AZIMUTH_NOISE = 1.25, 0.8  # the part of each swath's noise that is stated in azimuth
# Two-way time from the first sample to the middle of the whole swath, of which this is the near
# end: from there the processor takes all echoes to return when it times lines.
MIDDLE_S = 5.3e-4
RECORD_S = 0.5  # between two conversions to ground range
DEGREE, COEFFICIENTS = 4, 9  # fitted, and written (the rest is zero)
EDGE_RANGES_M = 15.0  # by which the first sample's slant range comes and goes along azimuth
HEIGHTS_M = 200.0  # by which the height of the ellipsoid does
POINTS = 11  # of the geolocation grid, in range
SLICES = 2


def detected(
    swaths: list[SwathImage], track: Pass, target: np.ndarray, epoch: np.datetime64
) -> list[GroundRangeImage]:
    """The slices of one date, of the images of its ``swaths`` (by ascending range).

    ``track`` counts seconds from ``epoch``; ``target`` (3,; Earth-fixed m) is ground in the middle.
    """
    start = min(swath.bursts[0].start for swath in swaths)
    merged = [_merged(swath, start) for swath in swaths]
    near, sampling = swaths[0].range_start_s, swaths[0].range_sampling_hz
    seams = _seams(swaths)
    slant = 0.5 * SPEED_OF_LIGHT * (near + (np.arange(seams[-1] + 1) - 0.5) / sampling)
    rows = max(power.shape[0] for power, _ in merged)
    seconds = np.arange(0.0, rows * swaths[0].azimuth_interval_s, INTERVAL_S)
    conversions = _conversions(slant, seconds[-1], track, target, start)
    ground = np.stack([_ground_range(slant, now, conversions, start) for now in seconds])
    samples = int(ground[:, -1].min() / SPACING_M)
    at = SPACING_M * np.arange(samples)
    # Where swaths meet, of the first line: elsewhere by a pixel or two it is not.
    meet = [int(np.searchsorted(at, ground[0, seam])) for seam in seams[1:-1]]
    bounds = [0, *meet, samples]
    named = tuple(
        (swath.name, bounds[k], bounds[k + 1] - 1, AZIMUTH_NOISE[k])
        for k, swath in enumerate(swaths)
    )
    beta_nought = np.linspace(*BETA_NOUGHT, samples)
    noise = np.empty(samples)
    for swath, (_, first, last, _) in zip(swaths, named, strict=True):
        noise[first : last + 1] = swath.noise_power / swath.beta_nought**2
    noise *= beta_nought**2
    middle = near + MIDDLE_S
    of_bursts = swaths[-1].range_start_s + 0.5 * swaths[-1].shape[1] / sampling  # that of IW2
    numbers = np.zeros((seconds.size, samples))
    for line, now in enumerate(seconds):
        power, known = np.zeros(slant.size - 1), np.zeros(slant.size - 1)
        row = (now + 0.5 * (of_bursts - middle)) / swaths[0].azimuth_interval_s
        for k, (swath, (values, valid)) in enumerate(zip(swaths, merged, strict=True)):
            part = slice(seams[k], seams[k + 1])
            first = part.start - round((swath.range_start_s - near) * sampling)
            columns = slice(first, first + part.stop - part.start)
            power[part], known[part] = _between(values, valid, row, columns)
        numbers[line] = _looked(power, known, ground[line], at)
    numbers = np.round(np.sqrt(numbers) * beta_nought)
    ends = np.linspace(0, seconds.size, SLICES + 1).astype(int)
    found = []
    for top, bottom in pairwise(ends):
        first_line = start + np.timedelta64(round(seconds[top] * 1e9), "ns")
        lines = np.array([0, (bottom - top) // 2, bottom - top - 1])
        places = _places(
            lines, seconds[top + lines], samples, slant, ground[top + lines], middle, track,
            target, float((start - epoch) / np.timedelta64(1, "ns")) * 1e-9,
        )  # fmt: skip
        found.append(
            GroundRangeImage(
                first_line, INTERVAL_S, SPACING_M, numbers[top:bottom], beta_nought, noise, named,
                conversions, places, height_of(target), sampling, swaths[0].wavelength_m,
            )
        )  # fmt: skip
    return found


def _merged(swath: SwathImage, start: np.datetime64) -> tuple[np.ndarray, np.ndarray]:
    """Beta nought (line past ``start``, sample) of all bursts, and which lines hold data."""
    interval = swath.azimuth_interval_s
    firsts = [
        round(float((burst.start - start) / np.timedelta64(1, "ns")) * 1e-9 / interval)
        for burst in swath.bursts
    ]
    power = np.zeros((firsts[-1] + swath.bursts[-1].pixels.shape[0], swath.shape[1]))
    valid = np.zeros(len(power), bool)
    end = 0
    for first, burst in zip(firsts, swath.bursts, strict=True):
        lines = burst.valid_lines
        top = first + lines.start
        top += max(0, end - top) // 2  # half of what it shares with the burst before
        part = slice(top, first + lines.stop)
        pixels = burst.pixels[top - first : lines.stop]
        power[part] = np.abs(pixels) ** 2 / swath.beta_nought**2
        valid[part] = True
        end = first + lines.stop
    return power, valid


def _seams(swaths: list[SwathImage]) -> list[int]:
    """Samples past the first one at which swaths begin, and the last one ends."""
    near, sampling = swaths[0].range_start_s, swaths[0].range_sampling_hz
    offsets = [round((swath.range_start_s - near) * sampling) for swath in swaths]
    spans = [
        (offset + swath.bursts[0].valid_samples.start, offset + swath.bursts[0].valid_samples.stop)
        for offset, swath in zip(offsets, swaths, strict=True)
    ]
    inner = [(last[1] + first[0]) // 2 for last, first in pairwise(spans)]
    return [spans[0][0], *inner, spans[-1][1]]


def _conversions(
    slant: np.ndarray, duration_s: float, track: Pass, target: np.ndarray, start: np.datetime64
) -> tuple[Conversion, ...]:
    """Conversions before, within and after the image, on spheres that rise and sink."""
    orbit = float(np.linalg.norm(track.position(np.zeros(1))))
    found = []
    for k, second in enumerate(np.arange(-0.3, duration_s + RECORD_S, RECORD_S)):
        radius = float(np.linalg.norm(target)) + HEIGHTS_M * np.sin(2.1 * k)
        origin = float(slant[0]) - EDGE_RANGES_M * (1.0 + np.sin(1.7 * k))

        def along(
            distance: np.ndarray | float, radius: float = radius
        ) -> np.ndarray:  # from the nadir
            cosine = (orbit**2 + radius**2 - np.square(distance)) / (2.0 * orbit * radius)
            return np.asarray(radius * np.arccos(cosine))

        ranges = np.linspace(origin, slant[-1] + 3.0 * EDGE_RANGES_M, 200)
        ground = along(ranges) - along(origin)
        pair = [
            Polynomial.fit(x, y, DEGREE).convert().coef
            for x, y in ((ranges - origin, ground), (ground, ranges))
        ]
        padded = [np.pad(one, (0, COEFFICIENTS - one.size)) for one in pair]
        time = np.datetime64(start + np.timedelta64(round(second * 1e9), "ns"))
        found.append(Conversion(time, origin, *padded))
    return tuple(found)


def _ground_range(
    slant: np.ndarray, second: float, conversions: tuple[Conversion, ...], start: np.datetime64
) -> np.ndarray:
    """Ground range (m) at ``slant`` ranges of the line ``second`` past ``start``."""
    times = [float((one.time - start) / np.timedelta64(1, "ns")) * 1e-9 for one in conversions]
    origin = np.interp(second, times, [one.origin_m for one in conversions])
    rows = np.array([one.ground for one in conversions])
    coefficients = [np.interp(second, times, column) for column in rows.T]
    return np.asarray(polynomial.polyval(slant - origin, coefficients))


def _between(
    power: np.ndarray, valid: np.ndarray, row: float, columns: slice
) -> tuple[np.ndarray, np.ndarray | float]:
    """Power at a fractional ``row``, and whether both rows around hold data."""
    above = int(np.floor(row))
    if not (0 <= above < len(power) - 1 and valid[above] and valid[above + 1]):
        return np.zeros(columns.stop - columns.start), 0.0
    share = row - above
    return (1.0 - share) * power[above, columns] + share * power[above + 1, columns], 1.0


def _looked(power: np.ndarray, known: np.ndarray, edges: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Mean power over the looks around each ground range; 0 where less than all of it is known."""
    sums = [np.append(0.0, np.cumsum(values)) for values in (power, known, np.ones(power.size))]
    inside = [
        np.interp(at + 0.5 * LOOKS_M, edges, total) - np.interp(at - 0.5 * LOOKS_M, edges, total)
        for total in sums
    ]
    enough = (inside[1] > 0.99 * inside[2]) & (at - 0.5 * LOOKS_M >= edges[0])
    return np.where(enough, inside[0] / np.fmax(inside[2], 1e-9), 0.0)


def _places(
    lines: np.ndarray,
    seconds: np.ndarray,
    samples: int,
    slant: np.ndarray,
    ground: np.ndarray,
    middle_s: float,
    track: Pass,
    target: np.ndarray,
    ahead_s: float,
) -> np.ndarray:
    """The geolocation grid's points, as :class:`GroundRangeImage` holds them."""
    sample = np.linspace(0, samples - 1, POINTS).round()
    found = []
    for line, second, edges in zip(lines, seconds, ground, strict=True):
        distance = np.interp(sample * SPACING_M, edges, slant)
        two_way = 2.0 * distance / SPEED_OF_LIGHT
        late = 0.5 * (two_way - middle_s)
        longitude, latitude = track.ground_at(ahead_s + second + late, two_way, target)
        incidence = track.incidence_deg(two_way, target)
        columns = np.full(POINTS, line), sample, late, two_way, longitude, latitude, incidence
        found.append(np.stack(columns, axis=1))
    return np.concatenate(found)
