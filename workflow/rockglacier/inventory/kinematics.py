"""Motion of each object through time: series, yearly velocities and their pattern.

A yearly velocity (rock-glacier velocity, RGV) is that between the same seasons of two years, of one
track and one area (RGIK, Rock glacier velocity; Hu et al. 2025, doi:10.1029/2024RG000847).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier.conventions import DATE, MAP, require, years_since
from rockglacier.fusion.labels import rasterised
from rockglacier.grid import Grid
from rockglacier.inventory.patterns import NOT_OBSERVED, Course, course

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

SERIES = [
    "PrimaryID", "track", "date", "displacement", "displacement_error", "downslope", "sensitivity",
    "observed_share",
]  # fmt: skip
YEARLY = ["PrimaryID", "track", "year", "velocity", "velocity_error", "dates"]
LEAST_SHARE = 0.3  # of an object that must be observed on a date
LEAST_SENSITIVITY = 0.2  # of the line of sight for motion down the slope
# ASSUME: neighbouring pixels err alike over some 300 m: so many m2 count as one.
ALIKE_M2 = 300.0**2
NORMAL_MAD = 1.4826


def series(
    objects: GeoDataFrame, displacement: xr.DataArray, sensitivity: xr.DataArray, grid: Grid,
    *, track: str,
) -> pd.DataFrame:  # fmt: skip
    """Median displacement of each object (rows, column ``PrimaryID``) on each date: SERIES.

    ``displacement`` (date, y, x; m toward the satellite) may be lazy: one date is held at a time.
    Its error is that of a median over as many independent parts as the object has. ``downslope``
    (m) is it over the median ``sensitivity`` (y, x), NaN where that is too small to tell.
    """
    require(displacement, units="m")
    at, _ = rasterised(objects.assign(kind=0), grid)
    inside = [np.flatnonzero(at.ravel() == k) for k in range(len(objects))]
    share = sensitivity.transpose(*MAP).values.ravel()
    names = objects["PrimaryID"].to_numpy()
    seen_by = [float(np.nanmedian(share[i])) if np.isfinite(share[i]).any() else np.nan
               for i in inside]  # fmt: skip
    pixel_m2 = grid.spacing_m[0] * grid.spacing_m[1]
    rows = []
    for date in displacement[DATE].values:
        layer = displacement.sel({DATE: date}).transpose(*MAP).values.ravel()
        for k, pixels in enumerate(inside):
            values = layer[pixels]
            values = values[np.isfinite(values)]
            observed = values.size / max(1, pixels.size)
            moved = error = np.nan
            if observed >= LEAST_SHARE:
                moved = float(np.median(values))
                spread = NORMAL_MAD * float(np.median(np.abs(values - moved)))
                error = 1.253 * spread / np.sqrt(max(1.0, values.size * pixel_m2 / ALIKE_M2))
            tells = abs(seen_by[k]) >= LEAST_SENSITIVITY
            rows.append(
                (names[k], track, date, moved, error, moved / seen_by[k] if tells else np.nan,
                 seen_by[k], observed)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=SERIES)


def yearly(found: pd.DataFrame) -> pd.DataFrame:
    """Velocity between the same days of successive years (m/yr, toward the satellite): YEARLY.

    For each date that has another within 20 days of a year later, of each object and track; the
    median of a year, its error from their scatter.
    """
    rows = []
    for (name, track), own in found.dropna(subset=["displacement"]).groupby(["PrimaryID", "track"]):
        days = own["date"].to_numpy().astype("datetime64[D]").astype(int)
        moved = own["displacement"].to_numpy()
        lag = days[None, :] - days[:, None]
        first, second = np.nonzero(np.abs(lag - 365.25) <= 20.0)
        if not first.size:
            continue
        rate = (moved[second] - moved[first]) / (lag[first, second] / 365.25)
        year = own["date"].dt.year.to_numpy()[second]
        for one in np.unique(year):
            these = rate[year == one]
            spread = NORMAL_MAD * np.median(np.abs(these - np.median(these)))
            # One pair alone has the error of its two dates.
            two = np.nanmedian(own["displacement_error"]) * np.sqrt(2.0)
            error = max(1.253 * spread / np.sqrt(these.size), two / np.sqrt(these.size))
            dates = np.unique(np.concatenate([first[year == one], second[year == one]])).size
            rows.append((name, track, int(one), float(np.median(these)), float(error), dates))
    return pd.DataFrame(rows, columns=YEARLY)


def patterns(found: pd.DataFrame) -> dict[str, tuple[str, Course]]:
    """Track and course (down the slope) of each object: of the track that sees its motion best."""
    out: dict[str, tuple[str, Course]] = {}
    for name, own in found.groupby("PrimaryID"):
        tracks = {
            track: part.dropna(subset=["downslope"]).sort_values("date")
            for track, part in own.groupby("track")
        }
        best = max(tracks, key=lambda t: _weight(tracks[t]))
        part = tracks[best]
        if part.empty:
            out[str(name)] = "", Course(NOT_OBSERVED)
            continue
        dates = part["date"].to_numpy()
        start = np.datetime64(f"{pd.Timestamp(dates[0]).year}-01-01")
        told = course(years_since(dates, start), part["downslope"].to_numpy())
        out[str(name)] = str(best), told
    return out


def _weight(part: pd.DataFrame) -> float:
    """How well a track sees an object: its dates, by how much of the motion it sees."""
    return float(len(part) * part["sensitivity"].abs().mean()) if len(part) else 0.0
