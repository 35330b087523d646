"""How far a date lies from the first, beyond what its orbit tells.

topsStack inverts all pairs at once, so that one more date moves every other. Here a date follows
from its pairs with the dates just before it, whose shifts are known by then: what is done stays.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rockglacier.errors import SceneError

EARLIER_DATES = 3  # of the pairs of a date, as topsStack's default


@dataclass(frozen=True)
class Shift:
    """Shift of a pair: lines along the orbit, or metres in range; its scatter and sample."""

    median: float
    deviation: float
    points: int


def read_shift(path: str | Path) -> Shift | None:
    """What topsStack's estimators write, None where no point told; SceneError where it is else."""
    place = Path(path)
    try:
        lines = (line.partition(":") for line in place.read_text().splitlines())
        stated = {name.strip(): value.strip() for name, _, value in lines}
        # The estimators write "mumber of coherent points".
        points = next(value for name, value in stated.items() if name.endswith("coherent points"))
        shift = Shift(float(stated["median"]), float(stated["std"]), int(points))
    except (OSError, KeyError, ValueError, StopIteration) as error:
        raise SceneError(
            f"{place}: no misregistration can be read ({error!r}); median, std and the number of "
            "coherent points are needed: remove the file and run again."
        ) from error
    return shift if shift.points and math.isfinite(shift.median) else None


def save_pair(path: str | Path, azimuth: Shift | None, range_: Shift | None) -> None:
    """Write the shifts of a pair; None where it tells nothing."""
    found = {"azimuth_lines": azimuth, "range_m": range_}
    stated = {name: asdict(shift) if shift else None for name, shift in found.items()}
    Path(path).write_text(json.dumps(stated, indent=1, allow_nan=False) + "\n")


def load_pair(path: str | Path) -> tuple[Shift | None, Shift | None]:
    """Shifts of a pair in azimuth (lines) and range (m)."""
    stated = json.loads(Path(path).read_text())
    azimuth, range_ = (
        Shift(**stated[name]) if stated[name] else None for name in ("azimuth_lines", "range_m")
    )
    return azimuth, range_


def combine(earlier: Sequence[float], shifts: Sequence[Shift | None]) -> float | None:
    """Shift of a date against the first: of earlier dates, plus what the pairs with them show.

    Weighted by the variance of each pair's median, which is that of its points over their number.
    None where no pair tells anything.
    """
    total = weights = 0.0
    for before, shift in zip(earlier, shifts, strict=True):
        if shift is None:
            continue
        weight = shift.points / max(shift.deviation, 1e-6) ** 2
        total += weight * (before + shift.median)
        weights += weight
    return total / weights if weights else None
