"""A stack, whatever its format, becomes ``unwrapped.zarr`` and ``geometry.zarr`` on a grid."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier import io
from rockglacier.conventions import PAIR, X, Y, describe
from rockglacier.errors import ConfigurationError, DisconnectedNetworkError, NetworkError
from rockglacier.grid import Grid
from rockglacier.logs import progress
from rockglacier.network import require_connected
from rockglacier.readers.placement import Placement, place
from rockglacier.readers.plausible import (
    LARGEST_RAD,
    PhaseCheck,
    clip_coherence,
    in_degrees,
    no_coherence,
)
from rockglacier.readers.stack import FlawedPair, Rejected, Source, Stack

logger = logging.getLogger(__name__)

LAYERS = {
    "phase": ("unwrapped phase, positive away from the satellite", "rad", "float32"),
    "coherence": ("coherence", "1", "float32"),
    "component": ("connected component of the unwrapping, 0 where none", "1", "uint8"),
}
REJECTED_COLUMNS = ["pair", "path", "reason", "found", "needed", "remedy"]

# ASSUME: a pair as coherent as the others is not this many times rougher than they are.
ROUGHEST_RATIO = 12.0
SMOOTHEST_DEGREES = 0.5
# Of one pair in flight, measured: layers as read with their masks, and as resampled.
BYTES_READ, BYTES_RESAMPLED = 26, 20
MAPS = 3  # geometry has about three times as many layers as a pair


@dataclass(frozen=True)
class _Summary:
    """What reading one pair told of it."""

    valid_share: float
    mean_coherence: float
    roughness: float


def assemble(
    stack: Stack,
    grid: Grid,
    path: str | Path,
    *,
    on_bad_input: str = "drop",
    period: Sequence[object] | None = None,
    seen: np.ndarray | None = None,
    memory_mb: float = 1000.0,
    threads: int = 1,
    provenance: Mapping[str, str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write ``stack`` on ``grid`` to the Zarr product ``path``; return its pairs and its rejects.

    ``pairs``: reference, secondary, temporal_baseline_days, perpendicular_baseline_m, valid_share,
    mean_coherence, path. ``rejected``: pair, path, reason, found, needed, remedy. Only pairs with
    both dates within ``period`` (first, last; either may be None) are read, and only pixels that
    are ``seen`` (y, x; bool). A flawed pair is left
    out, or with ``on_bad_input="stop"`` raised as SceneError. NetworkError where fewer than two
    dates are left, DisconnectedNetworkError where the pairs left fall apart; ``path`` then stays
    as it was. Pairs are read by ``threads`` threads within ``memory_mb``.
    """
    if on_bad_input not in ("drop", "stop"):
        raise ConfigurationError(f"on_bad_input is {on_bad_input!r}; drop or stop is needed.")
    chosen = np.flatnonzero(within(stack.pairs, period, ("reference", "secondary")))
    rejected = [r for r in stack.rejected if _concerns(r, period)]
    for one in rejected:
        logger.warning("left out: %s", one.flaw)
    if on_bad_input == "stop" and rejected:
        raise rejected[0].flaw
    table = stack.pairs.iloc[chosen].reset_index(drop=True)
    if table.empty and len(stack.pairs):
        dates = [*stack.pairs.reference, *stack.pairs.secondary]
        raise all_outside(f"{stack.source} stack", "pairs", len(stack.pairs), dates, period)
    require_network(table, rejected, stack.source)
    placement = place(stack, grid)
    dataset = _template(stack, table, grid).assign_attrs(provenance or {})
    with io.atomic(path) as partial:
        io.prepare_dataset(dataset, partial, grid)
        rows = _band_rows(placement, io.chunk_rows(partial, "phase"), memory_mb, threads)
        summaries, flaws = _fill(
            stack, chosen, placement, seen, partial, rows, threads, on_bad_input
        )
        flaws |= _too_rough(stack, chosen, summaries)
        if flaws and on_bad_input == "stop":
            raise flaws[min(flaws)]
        for k in sorted(flaws):
            logger.warning("left out: %s", flaws[k])
            rejected.append(Rejected(_name(table.iloc[k]), flaws[k]))
        keep = [k for k in range(len(table)) if k not in flaws]
        kept = table.iloc[keep].reset_index(drop=True)
        require_network(kept, rejected, stack.source)
        if flaws:
            keep_layers(partial, keep)
    days = (kept.secondary - kept.reference).dt.days
    pairs = kept.assign(
        temporal_baseline_days=days,
        valid_share=[summaries[k].valid_share for k in keep],
        mean_coherence=[summaries[k].mean_coherence for k in keep],
    )
    columns = ["reference", "secondary", "temporal_baseline_days", "perpendicular_baseline_m"]
    return pairs[[*columns, "valid_share", "mean_coherence", "path"]], rejected_table(rejected)


def write_geometry(
    stack: Source,
    grid: Grid,
    path: str | Path,
    *,
    memory_mb: float = 1000.0,
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Write what ``stack`` says of its viewing geometry on ``grid`` to the Zarr product ``path``.

    Unit vectors are interpolated and made unit again; layover that a lookup shows is not
    ``observable``. Rows are read in bands that fit into ``memory_mb``.
    """
    import dask.array as da
    import zarr

    placement = place(stack, grid)
    rows = _band_rows(placement, io.stack_rows(1, grid.height), memory_mb / MAPS, 1)
    first = _geometry_band(stack, placement, 0, min(rows, grid.height))
    template = xr.Dataset(
        {
            name: ((Y, X), da.zeros(grid.shape, dtype=a.dtype, chunks=grid.shape), a.attrs)
            for name, a in first.items()
        },
        coords=grid.coords,
        attrs={**first.attrs, **(provenance or {})},
    )
    with io.atomic(path) as partial:
        io.prepare_dataset(template, partial, grid)
        targets = {name: zarr.open_array(f"{partial}/{name}", mode="r+") for name in first}
        for top, bottom in _bands(grid.height, rows):
            band = _geometry_band(stack, placement, top, bottom) if top else first
            for name, target in targets.items():
                target[top:bottom] = band[name].values


def _geometry_band(stack: Source, placement: Placement, top: int, bottom: int) -> xr.Dataset:
    window = placement.window(top, bottom)
    native = stack.geometry(window)
    band = placement.resample(native, window, top, bottom)
    if {"east", "north", "up"} <= set(band):
        length = np.sqrt(band.east**2 + band.north**2 + band.up**2)
        for name in ("east", "north", "up"):
            band[name] = (band[name] / length).astype(np.float32).assign_attrs(native[name].attrs)
    if placement.folded is not None and placement.rows is not None:
        clear = ~placement.folded[top:bottom] & np.isfinite(placement.rows[top:bottom])
        if "observable" in band:
            clear &= band.observable.values > 0
        observable = xr.DataArray(clear.astype(np.uint8), dims=(Y, X))
        band["observable"] = describe(observable, "observable", "neither layover nor shadow", "1")
    return band


def within(table: pd.DataFrame, period: Sequence[object] | None, columns: Sequence[str]) -> Any:
    """True for each row of ``table`` whose dates all lie within ``period``, ends included."""
    inside = np.ones(len(table), bool)
    first, last = period if period is not None else (None, None)
    for column in columns:
        if first is not None:
            inside &= (table[column] >= pd.Timestamp(str(first))).to_numpy()
        if last is not None:
            inside &= (table[column] <= pd.Timestamp(str(last))).to_numpy()
    return inside


def all_outside(
    what: str, of: str, count: int, dates: Sequence[pd.Timestamp], period: Sequence[object] | None
) -> NetworkError:
    """The error of a source whose ``count`` pairs or dates (``of``) the ``period`` leaves out."""
    first, last = (end or "any date" for end in (period if period is not None else (None, None)))
    return NetworkError(
        f"{what}: {count} {of} were found, from {min(dates):%Y-%m-%d} to {max(dates):%Y-%m-%d}, "
        f"but all lie outside the period {first} to {last}"
        + (" (both dates of a pair must lie within it)" if of == "pairs" else "")
        + "; widen period, or leave it out."
    )


def _concerns(rejected: Rejected, period: Sequence[object] | None) -> bool:
    """Whether a flawed pair lies within ``period``, or may do because its dates are unknown."""
    dates = [pd.Timestamp(text) for text in rejected.pair.split("_") if text]
    table = pd.DataFrame({"date": pd.Series(dates, dtype="datetime64[ns]")})
    return bool(within(table, period, ("date",)).all())


def require_network(pairs: pd.DataFrame, rejected: Sequence[Rejected], source: str) -> None:
    """Raise NetworkError unless ``pairs`` connect two dates or more."""
    why = "".join(f"\n  left out: {r.flaw}" for r in rejected[:5])
    why += f"\n  and {len(rejected) - 5} more" if len(rejected) > 5 else ""
    if pairs.empty:
        names = {day for r in rejected for day in r.pair.split("_") if day}
        raise NetworkError(
            f"{source} stack: no usable pair, {len(names)} date(s) found"
            f"{' (' + ', '.join(sorted(names)[:5]) + ')' if names else ''}; "
            f"at least one pair of two dates is needed: check path and period.{why}"
        )
    try:
        require_connected(pairs.reference, pairs.secondary)
    except DisconnectedNetworkError as error:
        raise DisconnectedNetworkError(f"{error}{why}") from error


def rejected_table(rejected: Sequence[Rejected]) -> pd.DataFrame:
    """``rejected.csv``: one line for each flaw."""
    return pd.DataFrame(
        [
            (r.pair, r.flaw.path, r.flaw.reason, r.flaw.found, r.flaw.needed, r.flaw.remedy)
            for r in rejected
        ],
        columns=REJECTED_COLUMNS,
    )


def _name(row: Any) -> str:
    return f"{row.reference:%Y%m%d}_{row.secondary:%Y%m%d}"


def _template(stack: Stack, table: pd.DataFrame, grid: Grid) -> xr.Dataset:
    """``unwrapped.zarr`` without its values."""
    import dask.array as da

    shape = (len(table), *grid.shape)
    baseline = describe(
        xr.DataArray(table.perpendicular_baseline_m.to_numpy(np.float64), dims=PAIR),
        "perpendicular_baseline",
        "perpendicular baseline",
        "m",
    )
    coords = {
        **grid.coords,
        **io.pair_coordinates(table.reference.to_numpy(), table.secondary.to_numpy()),
        "perpendicular_baseline": baseline,
    }
    data = {}
    for name in stack.layers:
        long_name, units, kind = LAYERS[name]
        empty = da.zeros(shape, dtype=kind, chunks=(1, *grid.shape))
        data[name] = describe(xr.DataArray(empty, dims=(PAIR, Y, X)), name, long_name, units)
    attrs: dict[str, Any] = {"wavelength_m": stack.wavelength_m, "source": stack.source}
    if stack.looks is not None:
        attrs["looks"] = stack.looks
    return xr.Dataset(data, coords=coords, attrs=attrs)


def _band_rows(placement: Placement, chunk: int, memory_mb: float, threads: int) -> int:
    """Rows of the region's grid that a thread reads, resamples and writes at a time."""
    height, width = placement.shape
    bytes_per_row: float = BYTES_READ * width
    if placement.corner is None:
        rows, columns = placement.window(0, height).shape
        bytes_per_row = BYTES_READ * rows * columns / height + BYTES_RESAMPLED * width
    fit = int(memory_mb * 1e6 / (bytes_per_row * threads))
    return height if fit >= height else max(chunk, fit // chunk * chunk)


def _fill(
    stack: Stack,
    chosen: np.ndarray,
    placement: Placement,
    seen: np.ndarray | None,
    path: Path,
    rows: int,
    threads: int,
    on_bad_input: str,
) -> tuple[dict[int, _Summary], dict[int, FlawedPair]]:
    """Read, check and write every pair; what was learned of each, and the flawed ones."""
    import zarr

    arrays = {name: zarr.open_array(f"{path}/{name}", mode="r+") for name in stack.layers}
    summaries: dict[int, _Summary] = {}
    flaws: dict[int, FlawedPair] = {}

    def one(k: int) -> None:
        try:
            summaries[k] = _one_pair(stack, int(chosen[k]), k, placement, seen, arrays, rows)
        except FlawedPair as flaw:
            if on_bad_input == "stop":
                raise
            flaws[k] = flaw

    with ThreadPoolExecutor(threads) as pool:
        jobs: list[Future[None]] = [pool.submit(one, k) for k in range(len(chosen))]
        try:
            for job in progress(jobs, "pair", len(jobs)):
                job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return summaries, flaws


def _bands(height: int, rows: int) -> Iterator[tuple[int, int]]:
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def _missing(dtype: np.dtype) -> float:
    return math.nan if dtype.kind == "f" else 0


def _one_pair(
    stack: Stack,
    index: int,
    slot: int,
    placement: Placement,
    seen: np.ndarray | None,
    arrays: Mapping[str, Any],
    rows: int,
) -> _Summary:
    path = str(stack.pairs.path.iloc[index])
    height, width = placement.shape
    valid = 0
    coherence_sum, coherence_count = 0.0, 0
    best_coherence = -math.inf
    check = PhaseCheck()
    for top, bottom in _bands(height, rows):
        window = placement.window(top, bottom)
        layers = stack.read(index, window)
        check.add(layers.phase.values)
        if "coherence" in layers:
            best_coherence = max(best_coherence, clip_coherence(layers.coherence.values, path))
        here = placement.resample(layers, window, top, bottom)
        if seen is not None:
            part = xr.DataArray(seen[top:bottom], dims=(Y, X))
            here = here.assign(
                {name: layer.where(part, _missing(layer.dtype)) for name, layer in here.items()}
            )
        valid += int(np.count_nonzero(np.isfinite(here.phase.values)))
        if "coherence" in here:
            known = np.isfinite(here.coherence.values)
            coherence_count += int(np.count_nonzero(known))
            coherence_sum += float(np.sum(here.coherence.values, where=known, dtype=np.float64))
        for name, array in arrays.items():
            array[slot, top:bottom] = here[name].values
    beyond = f"{check.beyond} samples of phase beyond {LARGEST_RAD:g} rad"
    if check.beyond:
        logger.warning("%s: %s are taken for missing, as if declared nodata", path, beyond)
    if valid == 0:
        raise FlawedPair(
            path,
            "no valid phase",
            found="phase missing at every pixel of the region"
            + (f", and {beyond}" if check.beyond else ""),
            needed="phase somewhere within the region",
            remedy="make the pair again, or check that it covers the area",
        )
    check.require(path)
    if best_coherence == 0.0:
        raise no_coherence(path)
    return _Summary(
        valid / (height * width),
        coherence_sum / coherence_count if coherence_count else math.nan,
        check.roughness,
    )


def _too_rough(
    stack: Stack, chosen: np.ndarray, summaries: Mapping[int, _Summary]
) -> dict[int, FlawedPair]:
    """Smooth pairs in degrees among pairs in radians: as coherent as those but far rougher."""
    known = [s.roughness for s in summaries.values() if math.isfinite(s.roughness)]
    if len(known) < 3:
        return {}
    rough = float(np.median(known))
    coherent = float(np.median([s.mean_coherence for s in summaries.values()]))
    return {
        k: in_degrees(
            str(stack.pairs.path.iloc[int(chosen[k])]),
            f"neighbouring pixels differ by {s.roughness:.2g} (median), by {rough:.2g} in the "
            "stack's other pairs, at the same coherence",
        )
        for k, s in summaries.items()
        if s.roughness > max(ROUGHEST_RATIO * rough, SMOOTHEST_DEGREES)
        and s.mean_coherence >= 0.8 * coherent
    }


def keep_layers(path: Path, keep: Sequence[int]) -> None:
    """Close up the pairs ``keep`` of every array in the Zarr product ``path``."""
    import zarr

    for _, array in zarr.open_group(str(path), mode="r+").arrays():
        names = getattr(array.metadata, "dimension_names", None)
        if names and names[0] == PAIR:
            for to, source in enumerate(keep):
                if to != source:
                    array[to] = array[source]
            array.resize((len(keep), *array.shape[1:]))
