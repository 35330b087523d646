"""Reference inventories: which ground is known to be of which kind, and samples of it.

Labels are somebody's judgement of form, never drawn from the factors that they train. Samples of a
kind stand for all of its ground: each carries the area that it stands for, so that probabilities
are those of a pixel anywhere in the region.

Ground beside an object is told by what is mixed with the object's, and outlines are never exact: it
teaches nothing, but belongs to all ground that probabilities are of. Its samples are an ``edge``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier.conventions import KIND_NAMES, MAP, Kind
from rockglacier.errors import SceneError
from rockglacier.grid import Grid

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

logger = logging.getLogger(__name__)

KINDS = {"active": Kind.ACTIVE, "resting": Kind.RESTING, "debris_covered": Kind.DEBRIS_COVERED,
         "clean": Kind.CLEAN, "rock_glacier": Kind.ROCK_GLACIER, "other": Kind.OTHER}  # fmt: skip
BACKGROUND = -1  # in place of the object
STRATA = 5  # of elevation, and of slope
FINER = 10  # of the same, where other ground is drawn like objects
SAMPLES = ["x", "y", "row", "column", "object", "kind", "weight", "edge"]
PER_EDGE = 0.25  # samples of the ground around an object, of those of the object


def read_labels(
    path: str | Path,
    grid: Grid,
    *,
    kinds: Mapping[str, Sequence[str]],
    column: str | None = None,
    name: str | None = None,
    lon: str | None = None,
    lat: str | None = None,
    radius_m: float = 60.0,
    layer: str | None = None,
) -> GeoDataFrame:
    """Labelled objects on ``grid``: name, ``kind`` (:class:`Kind`) and geometry in its CRS.

    ``point`` (bool) tells whether an object is known by a point alone, not by its outline.

    Parameters
    ----------
    path
        Vector file, or a table of longitudes and latitudes (degrees, WGS84).
    kinds
        Of each kind (KINDS) the values of ``column`` that mean it; of one kind alone, with no
        column, all objects are of it.
    column, name
        Columns of the kind and of the object's name, which is its number where None.
    lon, lat
        Columns of a table's position; where None, one that is named so, or as usual.
    radius_m
        Of the disc that a point stands for.
    layer
        Of a vector file; where None, the first that has the columns, outlines before points.

    Objects of other values are left out, and so are those beyond the grid.

    Raises
    ------
    SceneError
        The file cannot be read or lacks a layer, a column, a CRS or a position, or no object is
        left.
    """
    wanted = [one for one in (column, name) if one]
    if str(path).endswith((".csv", ".csv.gz")):
        found = _read_table(path, lon, lat)
        _having({"": [str(c) for c in found if c != "geometry"]}, wanted, path)
    else:
        found = _read_layer(path, layer, wanted)
    if column is None:
        kind = pd.Series(int(KINDS[next(iter(kinds))]), found.index)
    else:
        means = {str(value): int(KINDS[k]) for k, values in kinds.items() for value in values}
        kind = found[column].astype(str).map(means)
        unknown = sorted(set(found[column].astype(str)) - set(means))
        if unknown:
            logger.info("%s: %s of %s mean no kind", path, ", ".join(unknown[:9]), column)
    names = found[name].astype(str) if name else pd.Series(map(str, range(len(found))), found.index)
    out = found[["geometry"]].assign(name=names, kind=kind)
    out = out[out["kind"].notna() & out.geometry.notna() & ~out.geometry.is_empty]
    out = out.assign(kind=out["kind"].astype(int)).to_crs(grid.crs)
    out["point"] = out.geometry.geom_type.isin(["Point", "MultiPoint"])
    out.loc[out["point"], "geometry"] = out.loc[out["point"]].geometry.buffer(radius_m)
    out["geometry"] = out.geometry.make_valid()
    west, south, east, north = grid.bounds
    out = out.cx[west:east, south:north].reset_index(drop=True)
    if out.empty:
        raise SceneError(
            f"{path}: none of {len(found)} objects is of a known kind and within the region; "
            f"needed: one at least (kinds {dict(kinds)}, column {column})."
        )
    for one, count in out["kind"].value_counts().items():
        logger.info("%d objects: %s", count, KIND_NAMES[Kind(int(str(one)))])
    return out


def _read_table(path: str | Path, lon: str | None, lat: str | None) -> GeoDataFrame:
    import geopandas

    table = pd.read_csv(path)
    lower = {str(c).lower(): c for c in table}
    usual = [[lon.lower()] if lon else ["lon", "longitude", "x"],
             [lat.lower()] if lat else ["lat", "latitude", "y"]]  # fmt: skip
    at = [next((lower[n] for n in names if n in lower), None) for names in usual]
    if None in at:
        raise SceneError(
            f"{path} has columns {', '.join(map(str, table))}; {lon or 'lon'} and "
            f"{lat or 'lat'} are needed: name its columns by labels.lon and labels.lat."
        )
    placed = table[at[0]].between(-180.0, 180.0) & table[at[1]].between(-90.0, 90.0)
    if not placed.all():
        logger.warning(
            "%s: %d of %d rows have no place on Earth, and are left out",
            path,
            (~placed).sum(),
            len(table),
        )
        table = table[placed].reset_index(drop=True)
    points = geopandas.points_from_xy(table[at[0]], table[at[1]])
    return geopandas.GeoDataFrame(table, geometry=points, crs="EPSG:4326")


def _read_layer(path: str | Path, layer: str | None, wanted: Sequence[str]) -> GeoDataFrame:
    """The layer named, or the first that has the columns ``wanted``, outlines before points."""
    import geopandas
    import pyogrio
    from pyogrio.errors import DataSourceError

    try:
        there = {str(name): str(kind) for name, kind in pyogrio.list_layers(path) if kind}
        columns = {
            name: [str(c) for c in pyogrio.read_info(path, layer=name)["fields"]] for name in there
        }
    except DataSourceError as error:
        raise SceneError(f"{path} cannot be read ({error}); an inventory is needed.") from error
    named = layer is not None
    columns = {name: of for name, of in columns.items() if not named or name == layer}
    if not columns or (len(columns) > 1 and not wanted):
        raise SceneError(
            f"{path} has layers {', '.join(there) or 'none'} of outlines or points, "
            + (f"none is {layer!r}" if named else "any may be meant")
            + "; name one by labels.layer."
        )
    having = _having(columns, wanted, path)
    chosen = min(having, key=lambda name: "Point" in there[name])
    if len(there) > 1:
        logger.info("%s: layer %s of %s", path, chosen, ", ".join(there))
    found: GeoDataFrame = geopandas.read_file(path, layer=chosen)
    if found.crs is None:
        raise SceneError(f"{path} states no CRS; set it (ogr2ogr -a_srs EPSG:…).")
    return found


def _having(
    columns: Mapping[str, Sequence[str]], wanted: Sequence[str], path: str | Path
) -> list[str]:
    """Layers of ``columns`` that have all those ``wanted``."""
    having = [name for name, there in columns.items() if set(wanted) <= set(there)]
    if not having:
        told = "; ".join(
            (f"layer {name}: " if len(columns) > 1 else "") + ", ".join(there)
            for name, there in columns.items()
        )
        missing = " and ".join(map(repr, wanted))
        raise SceneError(f"{path} has no column {missing} (there: {told}); correct labels.")
    return having


def rasterised(labels: GeoDataFrame, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Object (row of ``labels``; BACKGROUND: none) and kind (y, x) of pixels' middles.

    Smaller objects lie over greater ones.
    """
    from rasterio.features import rasterize

    order = labels.geometry.area.sort_values(ascending=False).index
    objects = rasterize(
        [(labels.geometry[i], int(i)) for i in order], out_shape=grid.shape, fill=BACKGROUND,
        transform=grid.transform, dtype="int32",
    )  # fmt: skip
    kinds = np.where(objects >= 0, labels["kind"].to_numpy()[objects], int(Kind.OTHER))
    return objects, kinds


def samples(
    labels: GeoDataFrame,
    grid: Grid,
    surface: xr.Dataset,
    *,
    per_object: int = 150,
    background: int = 6000,
    buffer_m: float = 100.0,
    like: Literal["region", "objects"] = "region",
    seed: int = 0,
) -> pd.DataFrame:
    """Labelled pixels, columns SAMPLES: place, object, kind, and the pixels that it stands for.

    Parameters
    ----------
    surface
        ``elevation`` (m) and ``slope`` (deg; y, x), of whose strata background is drawn.
    per_object
        Most pixels of one object.
    background
        Pixels of other ground, farther than ``buffer_m`` from every object.
    buffer_m
        Ground nearer than this to an outline is its ``edge`` (bool), of other kind, and counts as
        of that object; around points, and where other ground is like ``objects``, it has no sample.
    like
        Background has the strata of the ``region``, or of the ``objects``: other ground as high and
        as steep as they are. Then neither height nor slope tells them apart, and all of it stands
        for ``background`` pixels, however much such ground there is.
    """
    from scipy.ndimage import distance_transform_edt

    rng = np.random.default_rng(seed)
    objects, kinds = rasterised(labels, grid)
    labelled = objects >= 0
    known = surface["elevation"].transpose(*MAP).notnull().values
    rows, columns, weights = [], [], []
    for one in range(len(labels)):
        at = np.flatnonzero((objects == one) & known)
        if not at.size:
            logger.info("object %s holds no pixel of known height", labels["name"][one])
            continue
        taken = rng.choice(at, min(per_object, at.size), replace=False)
        row, column = np.unravel_index(taken, grid.shape)
        rows.append(row)
        columns.append(column)
        weights.append(np.full(taken.size, at.size / taken.size))
    away, nearest = distance_transform_edt(
        objects < 0, sampling=grid.spacing_m, return_indices=True
    )
    far = away > buffer_m
    stratum = strata(surface, of=labelled if like == "objects" else None)
    eligible = far & (stratum >= 0)
    owner, beside = objects[tuple(nearest)], np.zeros(grid.shape, bool)
    if like == "region":
        outlined = ~labels["point"].to_numpy(bool) if "point" in labels else np.ones(len(labels))
        beside = known & ~labelled & ~far & np.isin(owner, np.flatnonzero(outlined))
    drawn, worth = _drawn(stratum, eligible, labelled | beside, background, like, rng)
    row, column = np.unravel_index(drawn, grid.shape)
    edge, stands = _edges(owner, beside, max(1, round(PER_EDGE * per_object)), rng)
    beside_row, beside_column = np.unravel_index(edge, grid.shape)
    row = np.concatenate([*rows, row, beside_row])
    column = np.concatenate([*columns, column, beside_column])
    is_edge = np.arange(row.size) >= row.size - edge.size
    return pd.DataFrame({
        "x": grid.x[column], "y": grid.y[row], "row": row, "column": column,
        "object": np.where(is_edge, owner[row, column], objects[row, column]),
        "kind": kinds[row, column], "weight": np.concatenate([*weights, worth, stands]),
        "edge": is_edge,
    })  # fmt: skip


def _edges(
    owner: np.ndarray, beside: np.ndarray, each: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices of ground ``beside`` objects (y, x; bool), and how many pixels each stands for.

    ``each`` of an object at most; ``owner`` (y, x) tells which object is the nearest.
    """
    at = np.flatnonzero(beside)
    at = at[np.argsort(owner.ravel()[at], kind="stable")]
    _, begins = np.unique(owner.ravel()[at], return_index=True)
    drawn, worth = [], []
    for part in np.split(at, begins[1:]) if at.size else []:
        size = min(each, part.size)
        drawn.append(rng.choice(part, size, replace=False))
        worth.append(np.full(size, part.size / size))
    if not drawn:
        return np.empty(0, int), np.empty(0)
    return np.concatenate(drawn), np.concatenate(worth)


def with_factors(samples: pd.DataFrame, factors: xr.Dataset) -> xr.Dataset:
    """Dataset (sample) of ``samples`` and of the ``factors`` (y, x; lazy too) at their pixels."""
    at = {MAP[0]: xr.DataArray(samples["row"].to_numpy(), dims="sample"),
          MAP[1]: xr.DataArray(samples["column"].to_numpy(), dims="sample")}  # fmt: skip
    told = factors.isel(at).drop_vars([*MAP, "spatial_ref"], errors="ignore").compute()
    for name in SAMPLES:
        told[name] = ("sample", samples[name].to_numpy())
    return told


def strata(surface: xr.Dataset, *, of: np.ndarray | None = None) -> np.ndarray:
    """Number (y, x) of the stratum of elevation and slope; -1 where they are unknown.

    Strata hold alike much of the ground; with ``of`` (y, x; bool) alike much of that ground, FINER,
    and what is higher, lower, steeper or gentler than all of it has none.
    """
    count = STRATA if of is None else FINER
    out = np.zeros(surface["elevation"].shape, int)
    known = np.ones(out.shape, bool)
    for name in ("elevation", "slope"):
        values = surface[name].transpose(*MAP).values
        known &= np.isfinite(values)
        own = values[np.isfinite(values) & (True if of is None else of)]
        if not own.size:
            return np.full(out.shape, -1)
        edges = np.quantile(own, np.linspace(0.0, 1.0, count + 1))
        if of is not None:
            known &= (values >= edges[0]) & (values <= edges[-1])
        out = out * count + np.searchsorted(edges[1:-1], np.where(known, values, 0.0))
    return np.where(known, out, -1)


def _drawn(
    stratum: np.ndarray, eligible: np.ndarray, told: np.ndarray, number: int,
    like: Literal["region", "objects"], rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Flat indices of background pixels, and how many pixels each stands for.

    ``told`` (y, x; bool) is what others stand for: objects, and their edges. Of other ground that
    lies too near to objects to be drawn, that farther off tells.
    """
    count = int(stratum.max()) + 1
    there = np.bincount(stratum[eligible], minlength=count)
    other = np.bincount(stratum[(stratum >= 0) & ~told], minlength=count)
    wanted = other
    if like == "objects":
        wanted = np.bincount(stratum[told & (stratum >= 0)], minlength=count)
    share = np.where(there > 0, wanted, 0) / max(1, np.where(there > 0, wanted, 0).sum())
    drawn, worth = [], []
    for one in np.flatnonzero(share > 0):
        at = np.flatnonzero(eligible.ravel() & (stratum.ravel() == one))
        size = min(at.size, max(1, round(share[one] * number)))
        drawn.append(rng.choice(at, size, replace=False))
        stands = other[one] if like == "region" else share[one] * number
        worth.append(np.full(size, stands / size))
    if not drawn:
        raise SceneError(
            "no ground is far enough from every object to serve as background; enlarge the region, "
            "or lessen the buffer around objects."
        )
    return np.concatenate(drawn), np.concatenate(worth)
