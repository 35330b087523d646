"""Which images to track offsets between: of one season, and one sun, so that shadows lie alike."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rockglacier.conventions import YEAR_DAYS
from rockglacier.errors import NetworkError
from rockglacier.readers.stack import FlawedPair, Rejected

logger = logging.getLogger(__name__)

NAMED = 5  # dates or pairs that a warning names, at most


def search_radius(
    velocity_m_per_year: float, days: float, pixel_m: float, registration_pixels: float
) -> int:
    """Pixels that the fastest ground moves in so many days, and images as a whole beside that."""
    return math.ceil(velocity_m_per_year * days / YEAR_DAYS / pixel_m + registration_pixels)


@dataclass(frozen=True)
class Room:
    """How large images are, and what a pair needs: its largest chip, searched on either side."""

    height: int  # pixels
    width: int
    pixel_m: float
    chip: int  # pixels a side
    max_velocity_m_per_year: float
    registration_pixels: float

    def search(self, days: float) -> int:
        """Radius (pixels) of the search of a pair so many days apart."""
        return search_radius(
            self.max_velocity_m_per_year, days, self.pixel_m, self.registration_pixels
        )

    def fits(self, days: float) -> bool:
        """Whether the images hold a chip and its search."""
        return self.chip + 2 * self.search(days) <= min(self.height, self.width)

    def flaw(self, pair: str, days: float) -> FlawedPair:
        """What is wrong with a ``pair`` so many days apart that does not fit."""
        search = self.search(days)
        # Whole pixels of a search that would fit, and the ground that is found by it.
        left = (min(self.height, self.width) - self.chip) // 2 - self.registration_pixels
        speed = left * self.pixel_m * YEAR_DAYS / days
        limit = f" (to {_below(speed):g} for this pair)" if left > 0 else ""
        return FlawedPair(
            pair, "the search outgrows the images",
            found=f"images of {self.height} x {self.width} pixels of {self.pixel_m:g} m",
            needed=f"{self.chip + 2 * search} pixels a side, for a chip of {self.chip} and a "
            f"search of {search} on either side ({self.max_velocity_m_per_year:g} m/yr over "
            f"{days:.0f} days)",
            remedy=f"lower offsets.max_velocity_m_per_year{limit}, give smaller offsets.chips or a "
            "larger area",
        )  # fmt: skip


def _below(speed: float) -> float:
    """``speed`` to three digits, rounded down."""
    digit = 10.0 ** (math.floor(math.log10(speed)) - 2)
    return math.floor(speed / digit) * digit


def propose_image_pairs(
    scenes: pd.DataFrame,
    *,
    pair_days: Sequence[float],
    season_days: float,
    connections: int,
    sun_deg: float | None = None,
    months: Sequence[int] | None = None,
    room: Room | None = None,
) -> tuple[pd.DataFrame, list[Rejected]]:
    """Pairs of ``scenes`` (of one orbit; date, sun_azimuth_deg, sun_elevation_deg), in order.

    Beside them come those that keep all limits but do not fit into the images (``room``).

    Dates of a pair lie between ``pair_days`` (least, most) apart and at most ``season_days`` of the
    year, and within ``months``; azimuth and elevation of the sun differ by at most ``sun_deg`` each
    (None, for radar: the sun does not count). Of an image with more than ``connections`` such later
    ones those are taken whose times are spread most evenly, the longest included. Columns:
    reference, secondary, temporal_baseline_days, season_days, and sun_deg where it counts. Where
    ``scenes`` hold the ``time`` too, searches are as long as the time between.

    Raises
    ------
    NetworkError
        There is one date, or no pair keeps the limits, or fits into the images; the message says
        how many each of the limits keeps, or what the shortest pair needs.
    """
    scenes = scenes.sort_values("date", ignore_index=True)
    if len(scenes) < 2:
        held = f"{len(scenes)} scene{'' if len(scenes) == 1 else 's'} can be used"
        dates = "".join(f" ({date:%Y-%m-%d})" for date in scenes["date"])
        raise NetworkError(
            f"{held}{dates}, but a pair is of two: add scenes, or mend those left out."
        )
    date = scenes["date"].to_numpy("datetime64[ns]")
    first, second = np.triu_indices(len(scenes), k=1)
    days = (date[second] - date[first]) / np.timedelta64(1, "D")
    season = np.abs(days - YEAR_DAYS * np.round(days / YEAR_DAYS))
    limits = {
        "pair_days": (days >= pair_days[0]) & (days <= pair_days[1]),
        "season_days": season <= season_days,
    }
    columns = {"temporal_baseline_days": days, "season_days": season}
    if sun_deg is not None:
        turn = _difference(scenes["sun_azimuth_deg"].to_numpy(float), first, second)
        columns["sun_deg"] = np.maximum(
            np.abs((turn + 180.0) % 360.0 - 180.0),
            np.abs(_difference(scenes["sun_elevation_deg"].to_numpy(float), first, second)),
        )
        limits["sun_deg"] = columns["sun_deg"] <= sun_deg
    if months is not None:
        within = scenes["date"].dt.month.isin(months).to_numpy()
        limits["months"] = within[first] & within[second]
    allowed = np.all(list(limits.values()), axis=0)
    if not allowed.any():
        kept = ", ".join(f"{name} {int(keeps.sum())}" for name, keeps in limits.items())
        raise NetworkError(
            f"{len(scenes)} scenes make {days.size} pairs, and none keeps all limits (by limit: "
            f"{kept}); add scenes of one season, or relax {', '.join(limits)}."
        )
    rejected: list[Rejected] = []
    if room is not None:
        time = scenes["time" if "time" in scenes else "date"].to_numpy("datetime64[ns]")
        for k in np.flatnonzero(allowed):
            apart = float((time[second[k]] - time[first[k]]) / np.timedelta64(1, "D"))
            if not room.fits(apart):
                name = f"{scenes['date'][first[k]]:%Y%m%d}_{scenes['date'][second[k]]:%Y%m%d}"
                rejected.append(Rejected(name, room.flaw(name, apart)))
                allowed[k] = False
        _report(rejected, int(allowed.sum()))
    taken = np.zeros(days.size, bool)
    for image in np.unique(first[allowed]):
        later = np.flatnonzero(allowed & (first == image))
        even = np.linspace(later.size - 1, 0, min(connections, later.size))
        taken[later[np.round(even).astype(int)]] = True
    ends = {"reference": date[first[taken]], "secondary": date[second[taken]]}
    pairs = pd.DataFrame(ends | {name: values[taken] for name, values in columns.items()})
    return pairs, rejected


def _report(rejected: list[Rejected], left: int) -> None:
    """Warn of pairs that outgrow the images; NetworkError where none is ``left``."""
    if not rejected:
        return
    shortest = min(rejected, key=lambda one: _span(one.pair))
    if not left:
        raise NetworkError(
            f"None of {len(rejected)} pairs fits into the images; the shortest, {shortest.flaw}"
        )
    logger.warning(
        "%d of %d pairs are left out; the shortest, %s",
        len(rejected), len(rejected) + left, shortest.flaw,
    )  # fmt: skip


def _span(pair: str) -> pd.Timedelta:
    first, second = (pd.Timestamp(date) for date in pair.split("_"))
    return second - first


def pair_counts(scenes: pd.DataFrame, pairs: pd.DataFrame) -> pd.Series[int]:
    """In how many of the ``pairs`` each of ``scenes`` (date) is; those in none are warned of."""
    ends = pd.concat([pairs["reference"], pairs["secondary"]])
    counts = scenes["date"].map(ends.value_counts()).fillna(0).astype(int)
    alone = scenes["date"][counts == 0]
    if len(alone):
        named = ", ".join(f"{date:%Y-%m-%d}" for date in alone[:NAMED])
        logger.warning(
            "%d of %d scenes are in no pair and tell nothing: %s%s; relax what pairs have to keep, "
            "or add scenes of their season",
            len(alone), len(scenes), named, ", ..." if len(alone) > NAMED else "",
        )  # fmt: skip
    return counts.rename("pair_count")


def _difference(values: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray(values[second] - values[first])
