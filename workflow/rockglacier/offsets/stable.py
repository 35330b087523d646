"""Ground that does not move, on the places of offsets."""

from __future__ import annotations

import xarray as xr

from rockglacier.errors import SceneError
from rockglacier.grid import Grid
from rockglacier.terrain import terrain


def stable_places(
    known: xr.DataArray | None,
    moving: xr.DataArray | None,
    heights: xr.DataArray,
    grid: Grid,
    *,
    max_slope_deg: float,
) -> xr.DataArray:
    """Stable ground (y, x; bool): ``known`` where given, else gentle slopes; never ``moving``.

    ``heights`` (y, x; m) on ``grid``. Slopes count up to ``max_slope_deg``, with heights: where
    there are none nothing is stable. Slow motion tells nothing: it may be what is looked for.

    Raises
    ------
    SceneError
        Nothing is stable.
    """
    if known is not None:
        stable = known.copy()
    else:
        slope = terrain(heights, grid)["slope"]
        stable = slope <= max_slope_deg
        stable.attrs["assumption"] = (
            f"no stable ground was named: slopes up to {max_slope_deg:g} degrees outside moving "
            "areas are assumed stable"
        )
    if moving is not None:
        stable = (stable & ~moving).assign_attrs(stable.attrs)
    if not bool(stable.any()):
        raise SceneError(
            "No place of the offsets is stable ground; name ground that does not move under "
            "stable_ground, or enlarge the area."
        )
    return stable.rename("stable_ground").drop_vars("spatial_ref", errors="ignore")
