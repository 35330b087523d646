"""Names of objects that last: by place at first, and kept while an outline shifts or grows.

Source
------
Form of the identifier: RGIK practice, as in the inventory of the La Sal Mountains (Kluetmeier,
Handwerger & Munroe 2026, doi:10.1080/15230430.2026.2680743).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

# ASSUME: what shares half of the smaller outline's area is the same object.
SAME = 0.5
CHANGED_AREA = 0.1  # of the area, beyond which an outline has changed
CHANGES = ["PrimaryID", "change", "what"]


def primary_id(longitude: float, latitude: float) -> str:
    """Identifier of a rock-glacier unit at a place (degrees, WGS84), 18 characters.

    ``RGU``, latitude and longitude in ten-thousandths of a degree with their hemispheres.
    """
    lat, lon = round(abs(latitude) * 1e4), round(abs(longitude) * 1e4)
    ends = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    return f"RGU{lat:06d}{ends[0]}{lon:07d}{ends[1]}"


def named(
    outlines: GeoDataFrame, former: GeoDataFrame | None = None, *, taken: Collection[str] = ()
) -> list[str]:
    """Identifier of each outline: that of the ``former`` object it is, else one of its place.

    ``former`` has a column ``PrimaryID``; ``taken`` are given to other objects already.
    An object is what shares SAME of the smaller area; of
    several that do, what shares most is.
    """
    names: list[str | None] = [None] * len(outlines)
    if former is not None and len(former) and len(outlines):
        before = former.to_crs(outlines.crs).reset_index(drop=True)
        own, other = before.sindex.query(outlines.geometry, predicate="intersects")
        here, there = outlines.geometry.to_numpy()[own], before.geometry.to_numpy()[other]
        shared = np.array([a.intersection(b).area for a, b in zip(here, there, strict=True)])
        least = np.array([min(a.area, b.area) for a, b in zip(here, there, strict=True)])
        told: set[str] = set(taken)
        for k in np.argsort(-shared, kind="stable"):
            name = str(before["PrimaryID"][int(other[k])])
            if shared[k] < SAME * least[k] or names[own[k]] or name in told:
                continue
            names[own[k]] = name
            told.add(name)
    places = outlines.representative_point().to_crs("EPSG:4326")
    used = {name for name in names if name} | set(taken)
    if former is not None:
        used |= set(former["PrimaryID"].astype(str))  # a name once given is nobody else's
    for k, place in enumerate(places):
        if names[k] is None:
            names[k] = _free(place.x, place.y, used)
            used.add(str(names[k]))
    return [str(name) for name in names]


def _free(longitude: float, latitude: float, used: set[str]) -> str:
    """The identifier of a place, or of the nearest to its east that is not taken."""
    name = primary_id(longitude, latitude)
    while name in used:
        longitude += 1e-4
        name = primary_id(longitude, latitude)
    return name


def changes(now: GeoDataFrame, former: GeoDataFrame, *, watched: tuple[str, ...]) -> pd.DataFrame:
    """What is ``new``, ``gone`` and ``changed`` between two inventories, CHANGES.

    Both have ``PrimaryID``; an object has changed where its area has by CHANGED_AREA, or one of its
    attributes ``watched``.
    """
    before = former.to_crs(now.crs).set_index("PrimaryID")
    after = now.set_index("PrimaryID")
    rows = [(name, "new", "") for name in after.index.difference(before.index)]
    rows += [(name, "gone", "") for name in before.index.difference(after.index)]
    for name in after.index.intersection(before.index):
        told = []
        areas = before.geometry[name].area, after.geometry[name].area
        if abs(areas[1] / areas[0] - 1.0) > CHANGED_AREA:
            told.append(f"area {areas[0] / 1e6:.3f} to {areas[1] / 1e6:.3f} km2")
        for key in watched:
            if key in before and key in after:
                old, new = before.at[name, key], after.at[name, key]
                if old != new and not (pd.isna(old) and pd.isna(new)):
                    told.append(f"{key} {old} to {new}")
        if told:
            rows.append((name, "changed", "; ".join(told)))
    return pd.DataFrame(rows, columns=CHANGES).sort_values("PrimaryID", ignore_index=True)
