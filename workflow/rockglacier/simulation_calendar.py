"""When satellites pass over a simulated landscape."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

REPEAT_DAYS = {"landsat": 16, "sentinel1": 12}
FIRST_PASS = {"landsat": 5, "ascending": 9, "descending": 12}  # day of the first January
SUMMER = ("07-01", "10-12")  # of the radar; between them every pass, else every fourth
MELT = ("06-20", "09-25")  # of Landsat; else every fourth
RADAR_YEARS = 2  # the last ones
LATE_SUMMER = "08-20"  # earliest pass that a sharp image is kept of


def _passes(first: int, repeat: int, years: tuple[int, int]) -> Iterator[np.datetime64]:
    day = np.datetime64(f"{years[0]}-01-01") + np.timedelta64(first - 1, "D")
    while day < np.datetime64(f"{years[1] + 1}-01-01"):
        yield day
        day += np.timedelta64(repeat, "D")


def _thinned(days: Iterator[np.datetime64], season: tuple[str, str], every: int) -> list[str]:
    kept, since = [], every
    for day in days:
        text = str(day)
        within = season[0] <= text[5:] <= season[1]
        since += 1
        if within or since >= every:
            kept.append(text)
            since = 0
    return kept


def radar_dates(direction: str, first: int, last: int) -> list[str]:
    """Dates (YYYY-MM-DD) of a track in the last years of ``first`` to ``last``."""
    years = max(first, last - RADAR_YEARS + 1), last
    return _thinned(_passes(FIRST_PASS[direction], REPEAT_DAYS["sentinel1"], years), SUMMER, 4)


def optical_dates(first: int, last: int) -> list[str]:
    """Dates of surface reflectance from the year ``first`` to ``last``."""
    return _thinned(_passes(FIRST_PASS["landsat"], REPEAT_DAYS["landsat"], (first, last)), MELT, 4)


def sharp_dates(first: int, last: int) -> list[str]:
    """One late summer's date of each year."""
    found: dict[str, str] = {}
    for day in _passes(FIRST_PASS["landsat"], REPEAT_DAYS["landsat"], (first, last)):
        text = str(day)
        if text[5:] >= LATE_SUMMER:
            found.setdefault(text[:4], text)
    return list(found.values())
