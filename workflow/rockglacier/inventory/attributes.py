"""What is known of each object: shape, terrain, climate, motion, and who told it.

Sources
-------
Activity, upslope connection and the kinematic attribute: RGIK (2023), Guidelines for inventorying
rock glaciers, doi:10.51363/unifr.srr.2023.002. What an operator alone can tell stays empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier.conventions import MAP, Kind
from rockglacier.fusion.labels import rasterised
from rockglacier.fusion.mapping import NAMES
from rockglacier.grid import Grid
from rockglacier.inventory.moving import (
    CLASSES,
    KINEMATIC,
    UNDEFINED,
    kinematic_attribute,
    moving,
    reliability,
    technique_of,
)

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

# Rates (m/yr) that part active from transitional from relict rock glaciers.
ACTIVE_M_YR, RELICT_M_YR = 0.10, 0.01
LEAST_COVERAGE = 0.3  # ASSUME: of an object that must be observed before motion tells its activity
MOST = 0.5  # of the surface
SURE = 0.8  # probability of the likelier activity beyond which a map without motion tells it
LIKELIER = 2.0 / 3.0  # ASSUME: of an object's ground that tells its motion
# ASSUME: walls that feed talus are as steep, and hold so much of the ground above; where there is
# none so steep as to shed rock, and yet a slope, debris mantles it (deg, share).
WALL_DEG, WALL_SHARE, SHEDS_DEG, SLOPE_DEG = 40.0, 0.05, 35.0, 15.0
NEAR_M, FORE_M = 60.0, 400.0  # ASSUME: of a glacier that touches, and of its forefield
ICE_SHARE = 0.3  # ASSUME: probability of glacier ice from which debris counts as mixed
PERIOD = "KinPeriod"


def of_pixels(objects: GeoDataFrame, maps: xr.Dataset, grid: Grid) -> dict[int, xr.Dataset]:
    """The pixels of each object (row of ``objects``): ``maps`` (y, x) as vectors (pixel)."""
    at, _ = rasterised(objects.assign(kind=0), grid)
    flat = at.ravel()
    order = np.argsort(flat, kind="stable")
    edges = np.searchsorted(flat[order], np.arange(len(objects) + 1))
    values = {str(n): a.transpose(*MAP).values.ravel() for n, a in maps.items()}
    rows, columns = np.unravel_index(np.arange(flat.size), grid.shape)
    values |= {"x": grid.x[columns], "y": grid.y[rows]}
    return {
        k: xr.Dataset({n: ("pixel", v[order[edges[k] : edges[k + 1]]]) for n, v in values.items()})
        for k in range(len(objects))
    }


def shape_of(outline: Any) -> dict[str, float]:
    """Area (km2), length and width (m) of an outline: of the rectangle that fits it best."""
    box = np.array(outline.minimum_rotated_rectangle.exterior.coords)
    sides = np.hypot(*np.diff(box[:3], axis=0).T)
    return {
        "area_km2": outline.area / 1e6, "length_m": float(sides.max()),
        "width_m": float(sides.min()),
    }  # fmt: skip


def terrain_of(pixels: xr.Dataset) -> dict[str, float]:
    """Elevations, slope, aspect, form, sunlight and air of an object (factors that there are)."""
    elevation = pixels["elevation"].values
    out = {
        "elevation_min_m": float(np.nanmin(elevation)),
        "elevation_median_m": float(np.nanmedian(elevation)),
        "elevation_max_m": float(np.nanmax(elevation)),
        "slope_deg": float(np.nanmedian(pixels["slope"].values)),
        "aspect_deg": float(
            np.degrees(
                np.arctan2(
                    np.nanmean(pixels["eastness"].values), np.nanmean(pixels["northness"].values)
                )
            )
            % 360.0
        ),
    }
    low = elevation <= np.nanquantile(elevation, 0.1)
    out["front_slope_deg"] = float(np.nanmax(pixels["slope"].values[low]))
    named = {
        "plan_curvature": "plan_curvature_per_m", "ruggedness": "ruggedness",
        "radiation": "radiation_W_m2", "radiation_summer": "radiation_summer_W_m2",
        "air_temperature": "air_temperature_degC", "glacier_distance": "glacier_distance_m",
        "snow_melt_mean": "snow_index_summer",
    }  # fmt: skip
    for old, new in named.items():
        if old in pixels:
            values = pixels[old].values
            known = np.isfinite(values)
            out[new] = float(np.median(values[known])) if known.any() else np.nan
    return out


def motion_of(pixels: xr.Dataset) -> dict[str, Any]:
    """Velocity of an object down the slope (m/yr) from what is observed of it.

    ``velocity`` median, ``velocity_p90``, ``velocity_error`` of the median, ``observed_share``,
    ``moving_share`` of what is observed, ``velocity_source`` of most pixels, ``KinAtt`` and how
    reliable it is (``RelKin``, None where it is undefined). Where there is a ``probability`` the
    likelier LIKELIER of an object's ground tells, not its edge.
    """
    if "probability" in pixels:
        likely = pixels["probability"].values
        least = np.nanquantile(likely, 1.0 - LIKELIER) if np.isfinite(likely).any() else np.nan
        pixels = pixels.isel(pixel=~(likely < least))
    speed, error = pixels["velocity"].values, pixels["velocity_error"].values
    seen = np.isfinite(speed) & np.isfinite(error)
    out: dict[str, Any] = {
        "observed_share": float(seen.mean()) if seen.size else 0.0, "velocity": np.nan,
        "velocity_p90": np.nan, "velocity_error": np.nan, "moving_share": np.nan,
        "velocity_source": "none", "KinAtt": UNDEFINED, "RelKin": None,
    }  # fmt: skip
    if not seen.any():
        return out
    own = np.abs(speed[seen])
    elevation = pixels["elevation"].values[seen]
    spread = float(np.ptp(elevation)) or 1.0
    # ASSUME: errors of neighbours are alike over so many pixels that nothing is gained by averaging
    # beyond the scatter of the object itself.
    out |= {
        "velocity": float(np.median(own)),
        "velocity_p90": float(np.quantile(own, 0.9)),
        "velocity_error": float(np.median(error[seen])),
        "moving_share": float(moving(own, error[seen]).mean()),
        "KinAtt": kinematic_attribute(own, error[seen], (elevation.max() - elevation) / spread),
    }
    if out["KinAtt"] != UNDEFINED:
        number = min(KINEMATIC.index(out["KinAtt"]), len(CLASSES) - 1)
        out["RelKin"] = reliability(number, out["velocity_error"], out["observed_share"])
    source = pixels["velocity_source"].values[seen] if "velocity_source" in pixels else None
    out["velocity_source"] = technique_of(source)
    return out


def activity_of(motion: Mapping[str, Any], kinds: Mapping[Kind, float]) -> tuple[str, str]:
    """Activity class (RGIK) and what it was told from.

    Motion tells where enough of the surface is observed. Else the ``kinds`` (mean probabilities) of
    the map tell, and the class is uncertain.
    """
    if motion["observed_share"] >= LEAST_COVERAGE:
        speed, error = motion["velocity"], motion["velocity_error"]
        sure = "" if motion["observed_share"] >= MOST else " uncertain"
        if speed >= ACTIVE_M_YR and motion["moving_share"] >= MOST:
            return f"Active{sure}", "kinematic data"
        if motion["moving_share"] >= MOST and speed >= RELICT_M_YR:
            return "Transitional", "kinematic data"
        if 2.0 * error <= ACTIVE_M_YR:
            return f"Relict{sure}", "kinematic data"
    active, resting = kinds.get(Kind.ACTIVE, 0.0), kinds.get(Kind.RESTING, 0.0)
    if not active + resting > kinds.get(Kind.ROCK_GLACIER, 0.0):
        return "Uncertain", "morphological evidence only"
    share = active / (active + resting)
    if share >= SURE:
        return "Active uncertain", "morphological evidence only"
    if share <= 1.0 - SURE:
        return "Relict uncertain", "morphological evidence only"
    return "Uncertain", "morphological evidence only"


def type_of(kinds: Mapping[Kind, float], activity: str) -> str:
    """Type as the workflow's first study names it: bare or active, mixed ice and rock, clean."""
    ice = kinds.get(Kind.DEBRIS_COVERED, 0.0) + kinds.get(Kind.CLEAN, 0.0)
    if kinds.get(Kind.CLEAN, 0.0) > MOST:
        return "clean"
    if ice >= ICE_SHARE or activity in ("Relict", "Relict uncertain", "Transitional"):
        return "mixed ice-rock"
    return "bare/active"


def connection_of(outline: Any, grid: Grid, maps: xr.Dataset) -> str | None:
    """What lies upslope of an object (RGIK): glacier, its forefield, talus or a mantled slope.

    Told from ground within FORE_M of the outline that is higher than most of the object: a glacier
    that touches the object or not; else rock walls, which make the slope below them talus, or a
    slope without any. None where neither is plain, where ground above is missing, or where no
    glacier outlines (``glacier_share``) exclude ice.
    """
    from rasterio.features import geometry_mask

    grid, maps = _around(outline, FORE_M, grid, maps)

    def inside(shape: Any) -> np.ndarray:
        return np.asarray(geometry_mask([shape], grid.shape, grid.transform, invert=True))

    own = inside(outline)
    elevation = maps["elevation"].transpose(*MAP).values
    if not own.any() or not np.isfinite(elevation[own]).any() or "glacier_share" not in maps:
        return None
    above = elevation > np.nanquantile(elevation[own], 0.8)
    ring = inside(outline.buffer(FORE_M)) & ~own & above
    near = inside(outline.buffer(2.0 * max(grid.spacing_m) + NEAR_M)) & ~own & above
    ice = maps["glacier_share"].transpose(*MAP).values > 0.5
    if (ice & near).any():
        return "glacier"
    if (ice & ring).any():
        return "glacier forefield"
    slope = maps["slope"].transpose(*MAP).values[ring]
    slope = slope[np.isfinite(slope)]
    if not slope.size:
        return None
    if (slope >= WALL_DEG).mean() >= WALL_SHARE:
        return "talus"
    mantled = slope.max() < SHEDS_DEG and np.median(slope) >= SLOPE_DEG
    return "debris-mantled slope" if mantled else None


def _around(outline: Any, reach_m: float, grid: Grid, maps: xr.Dataset) -> tuple[Grid, xr.Dataset]:
    """The part of ``grid`` and ``maps`` within ``reach_m`` of an outline, and a pixel around."""
    west, south, east, north = outline.buffer(reach_m).bounds
    top = max(0, int((grid.north - north) / grid.dy) - 1)
    left = max(0, int((west - grid.west) / grid.dx) - 1)
    bottom = min(grid.height, int((grid.north - south) / grid.dy) + 2)
    right = min(grid.width, int((east - grid.west) / grid.dx) + 2)
    window = {MAP[0]: slice(top, bottom), MAP[1]: slice(left, right)}
    return grid.part(top, bottom, left, right), maps.isel(window)


def told_by(pixels: xr.Dataset, techniques: list[str]) -> dict[str, Any]:
    """Probability of an object with its band, how many techniques saw it, and which spoke most."""
    out: dict[str, Any] = {}
    for name in ("probability", "probability_low", "probability_high", "valid_techniques"):
        if name in pixels:
            values = pixels[name].values
            out[name] = float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
    spoke = pixels["technique"].values
    spoke = spoke[np.isfinite(spoke)].astype(int)
    out["dominant_technique"] = (
        techniques[int(np.argmax(np.bincount(spoke, minlength=len(techniques))))]
        if spoke.size else "none"
    )  # fmt: skip
    return out


def kinds_in(pixels: xr.Dataset) -> dict[Kind, float]:
    """Mean probability of each kind over an object."""
    found = {}
    for kind, name in NAMES.items():
        if name in pixels:
            values = pixels[name].values
            found[kind] = float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
    return found


def table(
    objects: GeoDataFrame, maps: xr.Dataset, grid: Grid, *, techniques: list[str], period: str
) -> pd.DataFrame:
    """One row an object, in order of ``objects``: all that the functions here tell.

    ``maps`` (y, x): factors, ``velocity`` and ``velocity_error`` (m/yr), maps of the fusion.
    """
    rows = []
    pixels = of_pixels(objects, maps, grid)
    for k, outline in enumerate(objects.geometry):
        own = pixels[k]
        if own.sizes["pixel"] == 0:
            # Smaller than a pixel: told by the pixel that its middle lies in.
            own = _nearest(outline, maps, grid)
        kinds = kinds_in(own)
        motion = motion_of(own)
        activity, assessed = activity_of(motion, kinds)
        rows.append({
            **shape_of(outline), **terrain_of(own), **motion, "ActiCl": activity,
            "ActiAss": assessed, "SeedType": type_of(kinds, activity),
            "UpslCon": connection_of(outline, grid, maps),
            PERIOD: period if np.isfinite(motion["velocity"]) else "", **told_by(own, techniques),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _nearest(outline: Any, maps: xr.Dataset, grid: Grid) -> xr.Dataset:
    place = outline.representative_point()
    row = int(np.clip((grid.north - place.y) / grid.dy, 0, grid.height - 1))
    column = int(np.clip((place.x - grid.west) / grid.dx, 0, grid.width - 1))
    here = (
        maps.isel({MAP[0]: [row], MAP[1]: [column]})
        .stack(pixel=MAP)
        .drop_vars([*MAP, "pixel"], errors="ignore")
    )
    return here.load()
