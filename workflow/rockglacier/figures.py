"""Figures of a region's products: PNG, or PDF where the path ends so.

What was not observed is hatched: it never looks like ground at rest. Colours are safe for
colour-blind readers. The same input gives the same file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier.conventions import (
    DATE,
    KIND_NAMES,
    MAP,
    ROCK_GLACIERS,
    Reason,
    VelocitySource,
    X,
    Y,
    require,
)
from rockglacier.grid import METRES_PER_DEGREE, Grid
from rockglacier.io import atomic
from rockglacier.network import incidence, islands
from rockglacier.offsets.reasons import Reason as Match

if TYPE_CHECKING:
    from geopandas import GeoDataFrame
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

    from rockglacier.velocity import Term

STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "hatch.linewidth": 0.5,
    "svg.hashsalt": "rockglacier",
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # TrueType, which publishers take
}
MAXIMUM_PIXELS = 1500  # of a map's longer side as drawn
CURVE_POINTS = 600  # of a fitted model over the whole series
# Classes of the RGIK moving areas, m/yr: < 1, 1-3, 3-10, 10-30, 30-100, > 100 cm/yr.
VELOCITY_CLASSES = (0.01, 0.03, 0.10, 0.30, 1.00)
LABEL_MARK: dict[str, Any] = {"marker": "o", "ls": "", "ms": 2.5, "mfc": "none", "mec": "#0091b3"}
LABEL_MARK |= {"mew": 0.7}
REFERENCE_MARK: dict[str, Any] = {"marker": "^", "ls": "", "ms": 6, "mfc": "white", "mec": "black"}
NOTHING = "0.6"  # beneath the hatch; of level ground where there is a hillshade
REASONS = {
    Reason.OBSERVED: "observed",
    Reason.OUTSIDE: "no data, layover, shadow",
    Reason.TOO_FEW_PAIRS: "too few pairs",
    Reason.SUBSETS: "disconnected subsets",
    Reason.LOW_TEMPORAL_COHERENCE: "pairs contradict",
    Reason.ALIASED: "may be aliased",
    Reason.INSENSITIVE: "insensitive or level",
    Reason.INCONSISTENT: "tracks contradict",
    Reason.UPSLOPE: "upslope",
    Reason.CONTRADICTED: "InSAR and offsets contradict",
    Reason.UNDETECTED: "offsets below detection",
}

SOURCES = {
    VelocitySource.NONE: "nothing",
    VelocitySource.INTERFEROMETRY: "interferometry",
    VelocitySource.OFFSETS: "offsets",
    VelocitySource.BOTH: "both",
}
MATCHES = {
    Match.OBSERVED: "matched",
    Match.NO_DATA: "no data, cloud",
    Match.FEATURELESS: "featureless",
    Match.OUTSIDE: "beyond the image",
    Match.SEARCH_EDGE: "at the edge of the search",
    Match.DIVERGED: "no fit",
    Match.LOW_CORRELATION: "low correlation",
    Match.AMBIGUOUS: "ambiguous",
    Match.BACKWARD: "not found backward",
    Match.NEIGHBOURS: "unlike its neighbours",
    Match.MEDIAN: "far from their median",
    Match.OUTVOTED: "refused by most pairs",
}
THUMB = 2.3  # inches of a small map, with its bar
# Factors around zero.
SIGNED = ("northness", "eastness", "curvature", "position", "trend", "trend_z", "depression")
# In the order of KIND_NAMES; those of rock glaciers as operators of RGIK inventories use them.
KIND_COLOURS = ("0.93", "#c90000", "#faa307", "#7a5c3a", "#5790fc", "#964a8b")
# Of the fusion, and of techniques alone; by mark and colour.
SIDE_COLOURS = ("black", "#c90000", "#5790fc", "#faa307", "#964a8b", "#7a5c3a", "0.5")
SIDE_MARKS = ("o", "s", "^", "v", "D", "P", "X")
ARROWS = 28  # across the longer side of a map


@contextmanager
def canvas(
    path: str | Path, size: tuple[float, float], title: str, provenance: Mapping[str, str] | None,
    *, dpi: float | None = None,
) -> Iterator[Figure]:  # fmt: skip
    """A figure of ``size`` (inch) that is saved to ``path``, whole or not at all.

    ``dpi``: of rasters; None for that of the other figures.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=size, layout="constrained")
        if title:
            figure.suptitle(title, fontsize=10, x=0.01, ha="left")
        yield figure
        kind = Path(path).suffix.lower().lstrip(".") or "png"
        notes: dict[str, Any] = {"Title": title or Path(path).stem}
        if kind == "pdf":
            notes |= {"Subject": json.dumps(dict(provenance or {})), "CreationDate": None}
        else:
            notes |= dict(provenance or {})
        with atomic(path) as partial:
            figure.savefig(partial, format=kind, metadata=notes, dpi=dpi)


def plot_network(
    pairs: pd.DataFrame,
    path: str | Path,
    *,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Pairs over time and perpendicular baseline, coloured by coherence; unused ones dashed.

    ``pairs`` has ``reference`` and ``secondary`` and, where known, ``perpendicular_baseline_m``,
    ``mean_coherence`` and ``used`` (0/1). Baselines of dates (m, relative to the first date) are
    fitted to those of pairs; without them every pair is an arc as high as its time span.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.dates import date2num
    from matplotlib.ticker import MaxNLocator

    dates, first, second = incidence(pairs["reference"], pairs["secondary"])
    used = _column(pairs, "used", 1.0) == 1
    coherence = _column(pairs, "mean_coherence", np.nan)
    baseline = _date_baselines(
        first, second, dates.size, _column(pairs, "perpendicular_baseline_m", np.nan)
    )
    when = np.asarray(date2num(dates))  # type: ignore[no-untyped-call]
    if baseline is None:
        span = when[second] - when[first]
        along = np.linspace(0.0, 1.0, 33)
        lines = np.stack(
            [
                when[first][:, None] + span[:, None] * along,
                span[:, None] * 4.0 * along * (1.0 - along),
            ],
            axis=-1,
        )
        heights, label = np.zeros(dates.size), "Temporal baseline (days)"
    else:
        points = np.stack([when, baseline], axis=-1)
        lines = np.stack([points[first], points[second]], axis=1)
        heights, label = baseline, "Perpendicular baseline (m)"
    with canvas(path, (7.2, 4.0), title, provenance) as figure:
        axes = figure.add_subplot()
        width = float(np.clip(20.0 / math.sqrt(len(pairs)), 0.5, 1.5))
        if not used.all():
            axes.add_collection(
                LineCollection(
                    list(lines[~used]), colors="0.6", linewidths=0.7 * width, linestyles="--",
                    label="not used",
                )
            )  # fmt: skip
        kept = LineCollection(list(lines[used]), linewidths=width)
        if np.isfinite(coherence[used]).any():
            low = math.floor(10.0 * float(np.nanmin(coherence[used]))) / 10.0
            high = math.ceil(10.0 * float(np.nanmax(coherence[used]))) / 10.0
            order = np.argsort(np.nan_to_num(coherence[used], nan=-1.0))  # best on top
            kept.set_segments(list(lines[used][order]))
            kept.set_array(np.ma.masked_invalid(coherence[used][order]))
            kept.set_cmap("viridis")
            kept.set_clim(low, max(high, low + 0.1))
            figure.colorbar(
                kept, ax=axes, label="Mean coherence", ticks=MaxNLocator(5), pad=0.01, shrink=0.8
            )
        else:
            kept.set_color("C0")
        axes.add_collection(kept)
        axes.plot(when, heights, "o", color="black", ms=3.5, zorder=3)
        axes.set_ylabel(label)
        axes.margins(0.03, 0.08)
        axes.autoscale_view()
        if baseline is None:
            axes.set_ylim(bottom=-0.03 * float(lines[..., 1].max()))
        _date_ticks(axes)
        axes.grid(color="0.9", lw=0.5)
        axes.set_axisbelow(True)
        parts = islands(pairs["reference"][used], pairs["secondary"][used]) if used.any() else []
        linked = sum(len(part) for part in parts)
        axes.set_title(
            f"{linked} dates, {int(used.sum())} pairs used"
            + (f", {int((~used).sum())} left out (dashed)" if not used.all() else "")
            + (f", {len(parts)} islands" if len(parts) > 1 else "")
        )


def _date_ticks(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _column(table: pd.DataFrame, name: str, default: float) -> np.ndarray:
    values = table[name] if name in table else pd.Series(default, index=table.index)
    return values.to_numpy(dtype=np.float64)


def _date_baselines(
    first: np.ndarray, second: np.ndarray, dates: int, baseline: np.ndarray
) -> np.ndarray | None:
    """Baseline of each date (m) that fits those of pairs; None where pairs leave a date open."""
    known = np.isfinite(baseline)
    design = np.zeros((int(known.sum()) + 1, dates))
    rows = np.arange(int(known.sum()))
    design[rows, second[known]] = 1.0
    design[rows, first[known]] = -1.0
    design[-1, 0] = 1.0
    if np.linalg.matrix_rank(design) < dates:
        return None
    return np.asarray(np.linalg.lstsq(design, np.append(baseline[known], 0.0))[0])


RATE_UNITS = {"m/yr": 1.0, "cm/yr": 100.0, "mm/yr": 1000.0}


@dataclass(frozen=True)
class Map:
    """What a map panel shows and how."""

    values: xr.DataArray
    title: str
    label: str
    cmap: Colormap
    norm: Normalize
    extend: str = "neither"
    ticks: Any = None
    names: tuple[str, ...] = ()  # of the colours, in a legend instead of a colour bar
    relief: bool = False  # shows where nothing was observed; over data it would change colours


def _rate_unit(limit: float) -> str:
    """The unit in which a rate of ``limit`` (m/yr) reads well."""
    return "m/yr" if limit >= 1.0 else "mm/yr"


def nice(value: float, *, up: bool = True) -> float:
    """The next round number above ``value`` (below it if not ``up``); 1 where there is none."""
    if not (math.isfinite(value) and value > 0):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = np.array([1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]) * power
    fits = steps[steps >= value * (1 - 1e-9)] if up else steps[steps <= value * (1 + 1e-9)][::-1]
    return float(fits[0])


def percentile(values: xr.DataArray, share: float) -> float:
    finite = values.values[np.isfinite(values.values)]
    return float(np.percentile(np.abs(finite), share)) if finite.size else math.nan


def _rate_map(
    values: xr.DataArray,
    title: str,
    *,
    signed: bool = False,
    unit: str | None = None,
    relief: bool = False,
) -> Map:
    import matplotlib as mpl
    from matplotlib.colors import Normalize

    require(values, dims=MAP, units="m/yr")
    limit = nice(percentile(values, 99.5 if signed else 98.0))
    unit = unit or _rate_unit(limit)
    factor = RATE_UNITS[unit]
    scaled = values * factor
    beyond = float(np.nanmax(np.abs(values.values), initial=0.0)) > limit
    return Map(
        scaled,
        title,
        unit,
        mpl.colormaps["RdBu" if signed else "magma_r"],
        Normalize(-limit * factor if signed else 0.0, limit * factor),
        ("both" if signed else "max") if beyond else "neither",
        relief=relief,
    )


def _share_map(values: xr.DataArray, title: str) -> Map:
    import matplotlib as mpl
    from matplotlib.colors import Normalize

    return Map(values, title, "", mpl.colormaps["viridis"], Normalize(0.0, 1.0))


def _count_map(values: xr.DataArray, title: str, label: str) -> Map:
    """Whole numbers, each its own colour up to eight of them."""
    import matplotlib as mpl
    from matplotlib.colors import BoundaryNorm, Normalize

    highest = max(1, int(np.nanmax(values.values, initial=0.0)))
    if highest <= 8:
        return Map(
            values,
            title,
            label,
            mpl.colormaps["YlGnBu"].resampled(highest + 1),
            BoundaryNorm(np.arange(highest + 2) - 0.5, highest + 1),
            ticks=np.arange(highest + 1),
        )
    top = max(8.0, nice(percentile(values, 99.5)))
    return Map(
        values, title, label, mpl.colormaps["YlGnBu"], Normalize(0.0, top),
        "max" if highest > top else "neither",
    )  # fmt: skip


def _reason_map(
    reason: xr.DataArray,
    names: Mapping[Any, str] = REASONS,
    title: str = "Observed, or why not",
    colours: Sequence[str] = (),
) -> Map:
    """Why there is no velocity, or one with care; observed ground stays plain.

    Other codes with ``names`` have ``colours`` of their own.
    """
    import matplotlib as mpl
    from matplotlib.colors import BoundaryNorm, ListedColormap

    codes = [code for code in names if bool((reason == code).any())]
    hues = mpl.color_sequences["petroff10"]
    shades: list[Any] = list(colours) or ["0.97", "0.6", *hues]
    palette = dict(zip(names, shades, strict=False))
    index = xr.full_like(reason, np.nan, dtype=np.float64)
    for k, code in enumerate(codes):
        index = index.where(reason != code, k)
    share = [100.0 * float((reason == code).mean()) for code in codes]
    return Map(
        index,
        title,
        "",
        ListedColormap([palette[code] for code in codes]),
        BoundaryNorm(np.arange(len(codes) + 1) - 0.5, max(1, len(codes))),
        names=tuple(f"{names[c]} ({_percent(s)})" for c, s in zip(codes, share, strict=True)),
    )


def _percent(share: float) -> str:
    return "< 0.1 %" if 0.0 < share < 0.1 else f"{share:.1f} %"


def _class_map(velocity: xr.DataArray) -> Map:
    """Downslope velocity in the classes of moving areas; upslope has its own colour."""
    import matplotlib as mpl
    from matplotlib.colors import BoundaryNorm, ListedColormap

    require(velocity, dims=MAP, units="m/yr")
    bounds = np.array([-VELOCITY_CLASSES[0], *VELOCITY_CLASSES])
    ramp = mpl.colormaps["plasma"](np.linspace(0.95, 0.1, len(VELOCITY_CLASSES)))
    cmap = ListedColormap(["0.93", *ramp[:-1]]).with_extremes(over=ramp[-1], under="#5790fc")
    return Map(
        velocity * 100.0,
        "Downslope velocity",
        "cm/yr",
        cmap,
        BoundaryNorm(bounds * 100.0, cmap.N),
        "both",
        ticks=bounds * 100.0,
        relief=True,
    )


def stride(grid: Grid) -> int:
    return max(1, math.ceil(max(grid.shape) / MAXIMUM_PIXELS))


def hillshade(height: xr.DataArray, grid: Grid) -> np.ndarray:
    """Light from the north-west, 1 on level ground; NaN without height."""
    step = stride(grid)
    dy, dx = (step * d for d in grid.spacing_m)
    values = height.transpose(*MAP).values[::step, ::step].astype(np.float64)
    if min(values.shape) < 2:
        return np.ones(values.shape)
    down, right = np.gradient(values, dy, dx)
    # ASSUME: relief reads best where slopes are scaled to 20 degrees on average.
    slopes = np.hypot(down, right)
    steepness = float(np.mean(slopes[np.isfinite(slopes)])) if np.isfinite(slopes).any() else 0.0
    exaggeration = min(0.36 / max(steepness, 1e-3), 8.0)
    down, right = exaggeration * down, exaggeration * right
    elevation, azimuth = math.radians(45.0), math.radians(315.0)
    normal = np.sqrt(1.0 + down**2 + right**2)
    toward = down * math.cos(azimuth) - right * math.sin(azimuth)
    light = (math.sin(elevation) + math.cos(elevation) * toward) / normal
    return np.asarray(np.clip(light / math.sin(elevation), 0.0, 1.4))


def draw(axes: Axes, grid: Grid, panel: Map, shade: np.ndarray | None, *, bar: bool = True) -> None:
    """One map: values in the very colours of its bar; hatch, over relief, where there are none.

    ``bar``: draw the colour bar beside it, unless colours have names.
    """
    from matplotlib.patches import Rectangle

    west, south, east, north = grid.bounds
    extent = (west, east, south, north)
    step = stride(grid)
    values = panel.values.transpose(*MAP).values[::step, ::step].astype(np.float64)
    image = panel.cmap(panel.norm(np.ma.masked_invalid(values)))
    image[..., 3] = np.isfinite(values)
    options: dict[str, Any] = {"extent": extent, "origin": "upper", "interpolation": "nearest"}
    relief = panel.relief and shade is not None
    if shade is not None and relief:
        level = np.where(np.isfinite(shade), shade, 1.0)
        axes.imshow(0.3 + 0.3 * level, cmap="gray", vmin=0.0, vmax=1.0, zorder=0.1, **options)
    hatch: dict[str, Any] = {"facecolor": "none" if relief else NOTHING, "edgecolor": "0.4"}
    axes.add_patch(
        Rectangle(
            (west, south), east - west, north - south, hatch="//////", lw=0.0, zorder=0.2, **hatch
        )
    )
    axes.imshow(image, zorder=0.3, **options)
    axes.set_xlim(west, east)
    axes.set_ylim(south, north)
    axes.set_aspect(1.0 / math.cos(math.radians(0.5 * (south + north))) if grid.geographic else 1.0)
    axes.set_title(panel.title)
    if bar and not panel.names:
        _bar(axes, panel)
    _ticks(axes, grid)


def _bar(axes: Axes, panel: Map) -> None:
    """A colour bar as high as the map."""
    from matplotlib.cm import ScalarMappable

    bar = axes.figure.colorbar(
        ScalarMappable(panel.norm, panel.cmap),
        cax=axes.inset_axes((1.03, 0.0, 0.04, 1.0)),
        extend=panel.extend,
        label=panel.label,
        ticks=panel.ticks,
    )
    bar.outline.set_linewidth(0.5)
    bar.minorticks_off()
    bar.ax.tick_params(labelsize=7)


def _ticks(axes: Axes, grid: Grid) -> None:
    """Degrees with their hemisphere, or kilometres; few enough not to touch."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for axis, ends in ((axes.xaxis, "EW"), (axes.yaxis, "NS")):
        low, high = axis.get_view_interval()
        locator = MaxNLocator(3, steps=[1, 2, 5, 10])
        spacing = np.diff(locator.tick_values(low, high))[0]
        unit = 1.0 if grid.geographic else 1000.0
        digits = max(0, -math.floor(math.log10(spacing / unit) + 1e-9))

        def text(value: float, _: int, ends: str = ends, digits: int = digits) -> str:
            if not grid.geographic:
                return f"{value / 1000.0:.{digits}f}"
            return f"{abs(value):.{digits}f}°{ends[0] if value >= 0 else ends[1]}"

        axis.set_major_locator(locator)
        axis.set_major_formatter(FuncFormatter(text))
    axes.tick_params(labelsize=7)


def compass(axes: Axes, grid: Grid) -> None:
    """Scale bar and north arrow, readable on any ground."""
    from matplotlib.patheffects import withStroke

    west, south, east, north = grid.bounds
    metres = 1.0
    if grid.geographic:
        metres = METRES_PER_DEGREE * math.cos(math.radians(0.5 * (south + north)))
    length = nice(0.25 * (east - west) * metres, up=False)
    halo = [withStroke(linewidth=2.5, foreground="white")]
    left = west + 0.05 * (east - west)
    base = south + 0.06 * (north - south)
    axes.plot(
        [left, left + length / metres], [base, base], color="black", lw=2.0,
        solid_capstyle="butt", path_effects=[withStroke(linewidth=4.0, foreground="white")],
    )  # fmt: skip
    name = f"{length / 1000.0:g} km" if length >= 1000.0 else f"{length:g} m"
    axes.annotate(
        name, (left + 0.5 * length / metres, base), (0, 3), textcoords="offset points",
        ha="center", va="bottom", fontsize=7, path_effects=halo,
    )  # fmt: skip
    axes.annotate(
        "N", xy=(0.95, 0.97), xytext=(0, -22), xycoords="axes fraction",
        textcoords="offset points", ha="center", va="center", fontsize=8, path_effects=halo,
        arrowprops={
            "arrowstyle": "-|>", "color": "black", "lw": 1.0, "shrinkA": 0, "shrinkB": 0,
            "path_effects": halo,
        },
    )  # fmt: skip


def axis_labels(axes: Axes, grid: Grid) -> None:
    axes.set_xlabel("Longitude" if grid.geographic else "Easting (km)", fontsize=7)
    axes.set_ylabel("Latitude" if grid.geographic else "Northing (km)", fontsize=7)


def _size(grid: Grid, rows: int, columns: int) -> tuple[float, float]:
    """Inches of a figure of ``rows`` x ``columns`` maps of this grid, colour bars beside them."""
    width = 3.6 if columns > 1 else 5.0
    return columns * width, rows * (0.72 * width * proportion(grid) + 0.45) + 0.8


def proportion(grid: Grid) -> float:
    """Height of a map over its width."""
    dy, dx = grid.spacing_m
    return float(np.clip(grid.height * dy / (grid.width * dx), 0.4, 1.8))


def _legend(
    figure: Figure, panels: Sequence[Map], *, marked: bool = False, more: Sequence[Any] = ()
) -> None:
    """What the hatch, the reference's mark, colours of named classes and ``more`` mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=NOTHING, edgecolor="0.4", hatch="//////", lw=0.0, label="not observed")
    ]
    if marked:
        handles.append(Line2D([], [], label="reference", **REFERENCE_MARK))
    for panel in panels:
        for k, name in enumerate(panel.names):
            handles.append(Patch(facecolor=panel.cmap(k), edgecolor="0.4", lw=0.5, label=name))
    handles += more
    columns = max(1, int(figure.get_figwidth() / 2.4))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(handles)))


def _maps(
    figure: Figure,
    panels: Sequence[Map],
    grid: Grid,
    height: xr.DataArray | None,
    rows: int,
    columns: int,
    reference: tuple[float, float] | None = None,
    more: Sequence[Any] = (),
) -> None:
    shade = None if height is None else hillshade(height, grid)
    for k, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, k + 1)
        draw(axes, grid, panel, shade)
        if k == 0:
            compass(axes, grid)
            axis_labels(axes, grid)
            if reference is not None:
                axes.plot(*reference, **REFERENCE_MARK)
    _legend(figure, panels, marked=reference is not None, more=more)


def plot_velocity(
    velocity: xr.Dataset,
    path: str | Path,
    *,
    grid: Grid,
    height: xr.DataArray | None = None,
    stable_ground: xr.DataArray | None = None,
    reference: tuple[float, float] | None = None,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Line-of-sight velocity, its error and what it rests on, with a histogram of stable ground.

    ``velocity`` holds ``velocity`` and ``velocity_error`` (m/yr) and, where known,
    ``temporal_coherence``, ``closure_count`` and ``reason``, dims (y, x) on ``grid``. ``height``
    (m) is shaded behind the velocity where nothing was observed. ``stable_ground`` is true where
    ground does not move, or is merely thought not to where it carries the attribute ``assumption``
    (:func:`rockglacier.reference.stable_ground`), which the histogram then says; without it the
    histogram takes all that was observed. ``reference`` is marked at its map coordinates.
    """
    panels = [
        _rate_map(velocity["velocity"], "Velocity toward the satellite", signed=True, relief=True),
        _rate_map(velocity["velocity_error"], "Standard error of velocity"),
    ]
    if "temporal_coherence" in velocity:
        panels.append(_share_map(velocity["temporal_coherence"], "Temporal coherence"))
    if "closure_count" in velocity:
        panels.append(
            _count_map(velocity["closure_count"], "Triplets that do not close", "triplets")
        )
    if "reason" in velocity:
        panels.append(_reason_map(velocity["reason"]))
    count = len(panels) + 1
    columns = 2 if count == 4 else 3
    rows = -(-count // columns)
    with canvas(path, _size(grid, rows, columns), title, provenance) as figure:
        _maps(figure, panels, grid, height, rows, columns, reference)
        axes = figure.add_subplot(rows, columns, len(panels) + 1)
        _histogram(axes, velocity, stable_ground)
        axes.set_box_aspect(proportion(grid))


def _histogram(axes: Axes, velocity: xr.Dataset, stable_ground: xr.DataArray | None) -> None:
    values = velocity["velocity"].values
    observed = np.isfinite(values)
    if stable_ground is not None:
        observed &= stable_ground.transpose(*MAP).values.astype(bool)
    name = "All observed ground"
    if stable_ground is not None:
        name = _stable(stable_ground.attrs.get("assumption")).capitalize()
    count = f"{name}: {int(observed.sum()):_} pixels".replace("_", "\u202f")
    axes.set_title(count)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel("Share of pixels (%)")
    if not observed.any():
        axes.set_xlabel("Velocity")
        axes.text(0.5, 0.5, "none observed", ha="center", transform=axes.transAxes)
        return
    sample = values[observed].astype(np.float64)
    middle = float(np.median(sample))
    spread = 1.4826 * float(np.median(np.abs(sample - middle)))
    # The middle counts: what moves among the sample must not squeeze it into one bar.
    low = max(float(sample.min()), middle - 6.0 * spread)
    high = min(float(sample.max()), middle + 6.0 * spread)
    unit = _rate_unit(max(abs(low), abs(high)))
    factor = RATE_UNITS[unit]
    weight = np.full(sample.size, 100.0 / sample.size)
    bins = (np.linspace(low, max(high, low + 1e-6), 41) * factor).tolist()
    axes.hist(sample * factor, bins=bins, weights=weight, color="0.55")
    axes.axvline(middle * factor, color="black", lw=1.0)
    axes.axvspan(
        (middle - spread) * factor, (middle + spread) * factor, color="C0", alpha=0.2, lw=0
    )
    axes.set_xlabel(f"Velocity ({unit})")
    title = f"{count}\nmedian {_signed(middle * factor)}, NMAD {spread * factor:.3g} {unit}"
    error = velocity["velocity_error"].values[observed]
    if stable_ground is not None and np.isfinite(error).any():
        from rockglacier.velocity import RESTLESS

        stated = float(np.nanmedian(error))
        if spread > RESTLESS * stated:
            title += f"\nmoves or is noisy: stated error {stated * factor:.3g}"
    axes.set_title(title)


def _stable(assumption: object) -> str:
    """Stable ground by its honest name."""
    return "assumed stable ground" if assumption else "stable ground"


def _decimals(value: float) -> int:
    """Decimals for two significant digits of ``value``, at most four; one for zero and NaN."""
    if value == 0.0 or not math.isfinite(value):
        return 1
    return int(np.clip(1 - math.floor(math.log10(abs(value))), 0, 4))


def _signed(value: float) -> str:
    return f"{value:.3g}".replace("-", "\u2212")


def plot_closure(
    cycles: xr.Dataset,
    path: str | Path,
    *,
    grid: Grid,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Triplets that do not close, before and after unwrapping errors were corrected.

    ``cycles`` holds ``closure_count_before`` and ``closure_count`` (y, x), drawn to one scale.
    """
    names = {"closure_count_before": "Before correction", "closure_count": "After correction"}
    both = xr.concat([cycles[name] for name in names], dim="when")
    panels = []
    scale = _count_map(both, "", "triplets that do not close")
    open_share = (both > 0).where(both.notnull()).mean(MAP).values
    for (name, when), share in zip(names.items(), open_share, strict=True):
        text = f"{when}: {_percent(100.0 * float(share))} of pixels"
        panels.append(
            Map(cycles[name], text, scale.label, scale.cmap, scale.norm, scale.extend, scale.ticks)
        )
    with canvas(path, _size(grid, 1, 2), title, provenance) as figure:
        _maps(figure, panels, grid, None, 1, 2)


def fastest_pixel(velocity: xr.Dataset) -> tuple[float, float]:
    """Map coordinates (x, y) of the pixel that is fastest beyond its error; NaN without any.

    Taken is the largest speed less 1.96 errors, as the median over 3 x 3 pixels that were all
    observed, so that neither noise nor a single wild pixel wins.
    """
    rate = velocity["velocity"].transpose(*MAP)
    slowest = np.abs(rate.values) - 1.96 * velocity["velocity_error"].transpose(*MAP).values
    if "reason" in velocity:
        observed = velocity["reason"].transpose(*MAP).values == Reason.OBSERVED
        slowest = np.where(observed, slowest, np.nan)
    if min(slowest.shape) < 3:
        return math.nan, math.nan
    window = np.lib.stride_tricks.sliding_window_view(slowest, (3, 3)).reshape(-1, 9)
    median = np.median(window, axis=1)  # NaN where one of the nine is
    if not np.isfinite(median).any():
        return math.nan, math.nan
    width = slowest.shape[1] - 2
    row, column = divmod(int(np.nanargmax(median)), width)
    return float(rate[X][column + 1]), float(rate[Y][row + 1])


def plot_series(
    displacement: xr.Dataset,
    velocity: xr.Dataset,
    path: str | Path,
    *,
    grid: Grid,
    terms: Sequence[Term] = (),
    steps: Sequence[str] = (),
    reference: tuple[float, float] | None = None,
    points: Mapping[str, tuple[float, float]] | None = None,
    height: xr.DataArray | None = None,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Displacement over time at chosen points, the fitted model, and how single dates scatter.

    ``displacement`` holds ``displacement`` (date, y, x; m), ``velocity`` the fitted ``velocity``
    and ``velocity_error`` (m/yr). ``terms`` and ``steps`` are those of the fit
    (:func:`rockglacier.velocity.time_model`). ``points`` are map coordinates (x, y) by name;
    without them the fastest observed pixel is taken. ``reference`` is added beneath.

    The curve has the very velocity of the title; the other terms and the constant are fitted to
    what is drawn by least squares. The band is 1.96 standard deviations of single dates about it:
    the error of the velocity, which knows more than that scatter, stands in the title.
    """
    series = require(displacement["displacement"], dims=(DATE, *MAP), units="m")
    chosen = dict(points) if points else {"fastest": fastest_pixel(velocity)}
    if reference is not None:
        chosen["reference"] = reference
    chosen = {k: p for k, p in chosen.items() if all(map(math.isfinite, p))}
    rows = max(1, len(chosen))
    size = _size(grid, 1, 1)
    with canvas(path, (size[0] + 4.2, max(size[1], 1.6 * rows + 0.6)), title, provenance) as figure:
        cells = figure.add_gridspec(rows, 2, width_ratios=[1.0, 1.1])
        axes = figure.add_subplot(cells[:, 0], anchor="N")
        panel = _rate_map(
            velocity["velocity"], "Velocity toward the satellite", signed=True, relief=True
        )
        draw(axes, grid, panel, None if height is None else hillshade(height, grid))
        compass(axes, grid)
        axis_labels(axes, grid)
        _legend(figure, [panel], more=_model_handles(terms, steps))
        below = None
        for k, (name, point) in enumerate(chosen.items()):
            colour = f"C{k}"
            axes.plot(*point, "o", ms=7, mfc="none", mec="white", mew=3)
            axes.plot(*point, "o", ms=7, mfc="none", mec=colour, mew=1.5)
            below = figure.add_subplot(cells[k, 1], sharex=below)
            _draw_series(below, series, velocity, name, point, colour, terms, steps)
            if k < rows - 1:
                below.tick_params(labelbottom=False)


def _draw_series(
    axes: Axes,
    series: xr.DataArray,
    velocity: xr.Dataset,
    name: str,
    point: tuple[float, float],
    colour: str,
    terms: Sequence[Term],
    steps: Sequence[str],
) -> None:
    here = {X: point[0], Y: point[1]}
    d = series.sel(here, method="nearest").values.astype(np.float64)
    rate, error = (
        float(velocity[k].sel(here, method="nearest")) for k in ("velocity", "velocity_error")
    )
    dates = series[DATE].values
    valid = np.isfinite(d)
    axes.plot(dates[valid], 1000.0 * d[valid], "o", ms=3, color=colour)
    text = f"{name}: not observed"
    if math.isfinite(rate) and valid.sum() > 2:
        unit = _rate_unit(abs(rate))
        factor = RATE_UNITS[unit]
        interval = 1.96 * error * factor
        digits = _decimals(interval)
        shown = round(rate * factor, digits) + 0.0  # no minus before a zero
        text = f"{name}: {shown:.{digits}f} ± {interval:.{digits}f} {unit} (95 %)"
        text = text.replace("-", "\u2212")
        if not np.any(d[valid]):
            text = f"{name}: zero by definition"
        curve, deviation = _fitted(dates, d, rate, terms, steps)
        half = 1.96 * deviation
        axes.fill_between(
            curve.index, 1e3 * (curve - half), 1e3 * (curve + half), color=colour, alpha=0.2, lw=0
        )
        axes.plot(curve.index, 1e3 * curve, color=colour, lw=1.0)
    axes.set_title(text)
    axes.set_ylabel("Displacement (mm)")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -1.0), max(high, 1.0))  # a reference at rest is a line, not noise
    axes.axhline(0.0, color="0.8", lw=0.6, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    _date_ticks(axes)


def _fitted(
    dates: np.ndarray, d: np.ndarray, rate: float, terms: Sequence[Term], steps: Sequence[str]
) -> tuple[pd.Series, float]:
    """The model through ``d`` (m) over a fine time axis, and the scatter of dates about it (m).

    ``rate`` (m/yr) is kept; the constant and the other terms follow by least squares.
    """
    from rockglacier.velocity import time_model

    at_steps = np.array([np.datetime64(step, "ns") for step in steps], dtype="datetime64[ns]")
    between = dates[0] + (dates[-1] - dates[0]) / CURVE_POINTS * np.arange(CURVE_POINTS)
    just_before = at_steps - np.timedelta64(1, "ns")  # a step is upright
    when = np.unique(np.concatenate([dates, between, at_steps, just_before]))
    design = time_model(when, terms=terms, steps=steps).to_pandas()
    # Time counts from the mean of whatever dates are asked for: here from that of the fit.
    own = time_model(dates, terms=terms, steps=steps).sel(term="velocity")
    t = design.pop("velocity")
    t += float(own[0]) - float(t.iloc[0])
    if "acceleration" in design:
        design["acceleration"] = 0.5 * t**2
    design["constant"] = 1.0
    seen = np.isin(when, dates[np.isfinite(d)])
    rest = d[np.isfinite(d)] - rate * t[seen]
    free = np.linalg.lstsq(design[seen].to_numpy(), rest.to_numpy())[0]
    curve = rate * t + design @ free
    residual = d[np.isfinite(d)] - curve[seen]
    freedom = max(1, int(seen.sum()) - design.shape[1] - 1)
    return curve, float(np.sqrt(np.sum(residual**2) / freedom))


def _model_handles(terms: Sequence[Term], steps: Sequence[str]) -> list[Any]:
    """Entries of a legend: what the curve holds and what its band is."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    parts = ["velocity", *terms]
    if steps:
        parts.append("1 step" if len(steps) == 1 else f"{len(steps)} steps")
    return [
        Line2D([], [], color="0.3", lw=1.0, label=f"fitted {', '.join(parts)}"),
        Patch(facecolor="0.3", alpha=0.2, lw=0.0, label="95 % of single dates, by their scatter"),
    ]


def plot_downslope(
    downslope: xr.Dataset,
    path: str | Path,
    *,
    grid: Grid,
    height: xr.DataArray | None = None,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Downslope velocity in the classes of moving areas, its error, what tells it, and reasons.

    ``downslope`` is what :func:`rockglacier.downslope.downslope_velocity` or
    :func:`rockglacier.joining.join` returns.
    """
    import matplotlib as mpl
    from matplotlib.colors import Normalize

    panels = [
        _class_map(downslope["velocity"]),
        _rate_map(downslope["velocity_error"], "Standard error of velocity", unit="cm/yr"),
        _reason_map(downslope["reason"]),
    ]
    if "velocity_source" in downslope:
        panels.insert(2, _reason_map(downslope["velocity_source"], SOURCES, "What tells it"))
    else:
        shares = Map(
            downslope["sensitivity"],
            "Line-of-sight share of downslope motion",
            "",
            mpl.colormaps["PuOr"],
            Normalize(-1.0, 1.0),
        )
        panels.insert(2, shares)
    with canvas(path, _size(grid, 2, 2), title, provenance) as figure:
        _maps(figure, panels, grid, height, 2, 2)


def plot_geometry(
    sight: xr.Dataset,
    sensitivity: xr.DataArray,
    path: str | Path,
    *,
    grid: Grid,
    height: xr.DataArray | None = None,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """What a track can see: incidence angle, layover and shadow, sensitivity to downslope motion.

    ``sight`` (y, x): ``east, north, up`` (ground to satellite) and ``observable``; ``sensitivity``
    (y, x): the share of downslope motion along the line of sight.
    """
    import matplotlib as mpl
    from matplotlib.colors import BoundaryNorm, ListedColormap, Normalize

    incidence = sight["up"].copy(data=np.degrees(np.arccos(sight["up"].clip(-1.0, 1.0))))
    toward = np.degrees(np.arctan2(-float(sight["east"].mean()), -float(sight["north"].mean())))
    low, high = percentile(incidence, 0.0), percentile(incidence, 100.0)
    seen = sight["observable"] > 0
    share = float(seen.mean())
    panels = [
        Map(
            incidence, "Incidence angle", "degrees",
            mpl.colormaps["viridis"], Normalize(low, max(high, low + 0.1)),
        ),
        Map(
            seen.astype(np.float32), f"Seen, looking toward {toward % 360.0:.0f}\u00b0", "",
            ListedColormap(["#bd1f01", "0.93"]), BoundaryNorm([-0.5, 0.5, 1.5], 2),
            names=(
                f"layover or shadow ({_percent(100.0 * (1.0 - share))})",
                f"seen ({_percent(100.0 * share)})",
            ),
        ),
        Map(
            sensitivity.where(seen), "Share of downslope motion", "",
            mpl.colormaps["PuOr"], Normalize(-1.0, 1.0),
        ),
    ]  # fmt: skip
    with canvas(path, _size(grid, 1, 3), title, provenance) as figure:
        _maps(figure, panels, grid, height, 1, 3)


def plot_backscatter(
    factors: xr.Dataset,
    path: str | Path,
    *,
    grid: Grid,
    height: xr.DataArray | None = None,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Level of backscatter and how it varies: with the seasons, without snow, and over the years.

    ``factors`` is what :func:`rockglacier.backscatter.combined` returns; what its dates do not
    tell anywhere is left out.
    """
    whole, bare = (factors.isel(season=k, drop=True) for k in (0, 1))
    varies = nice(max(percentile(f["std"], 98.0) for f in (whole, bare)))
    known = bool(bare["trend"].notnull().any())
    trend, when = (bare["trend"], "snow-free months") if known else (whole["trend"], "all year")
    panels = [
        factor_map(whole["mean"], "Mean backscatter", "gray"),
        factor_map(whole["std"], "Standard deviation, all year", "viridis", (0.0, varies)),
        factor_map(bare["std"], "Standard deviation, snow-free months", "viridis", (0.0, varies)),
        factor_map(factors["annual_amplitude"], "Amplitude of the annual course", "viridis"),
        factor_map(factors["melt_depression"], "Melt season over winter", "RdBu"),
        factor_map(trend, f"Trend, {when}", "PuOr"),
    ]
    _page(panels, path, grid, height, title, provenance)


def plot_snow(
    factors: xr.Dataset,
    path: str | Path,
    *,
    grid: Grid,
    height: xr.DataArray | None = None,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """How long snow lies and how that changes; what no pixel tells is left out.

    ``factors`` is what :func:`rockglacier.snow.variation` returns.
    """
    named = [
        ("melt_mean", "Snow index of the melt season", "viridis"),
        ("persistence", "Share of the melt season's dates with snow", "viridis"),
        ("snow_off", "Day of the year without snow", "viridis"),
        ("amplitude", "Amplitude of the annual course", "viridis"),
        ("trend", "Trend", "PuOr"),
        ("count", "Clear dates", "gray"),
    ]
    panels = [factor_map(factors[name], text, colours) for name, text, colours in named]
    _page(panels, path, grid, height, title, provenance)


def plot_factors(
    factors: xr.Dataset,
    path: str | Path,
    *,
    grid: Grid,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """A small map of each factor of :func:`rockglacier.factors.gather`, by what saw it.

    Titles tell the factor, its unit and the share of the region where it is known; what is known
    nowhere is left out.
    """
    across = 5
    known = {n: v for n, v in factors.items() if v.attrs["valid_share"] > 0.0}
    named = sorted(known, key=lambda name: (known[name].attrs["technique"], str(name)))
    rows = max(1, -(-len(named) // across))
    size = across * THUMB, rows * (0.8 * THUMB * proportion(grid) + 0.35) + 0.6
    with canvas(path, size, title, provenance) as figure:
        panels = []
        for k, name in enumerate(named):
            values = known[name]
            units, share = values.attrs["units"], values.attrs["valid_share"]
            label = str(name) if units == "1" else f"{name} ({units})"
            shown = f"{label}\n{values.attrs['technique']}, known in {share:.0%}"
            colours = "PuOr" if str(name).endswith(SIGNED) else "viridis"
            panel = replace(factor_map(values, shown, colours), label="")
            axes = figure.add_subplot(rows, across, k + 1)
            draw(axes, grid, panel, None)
            axes.set_title(panel.title, fontsize=6)
            axes.set_xticks([])
            axes.set_yticks([])
            panels.append(panel)
            if k == 0:
                compass(axes, grid)
        _legend(figure, panels)


def plot_probability(
    maps: xr.Dataset,
    kind: xr.DataArray,
    path: str | Path,
    *,
    grid: Grid,
    height: xr.DataArray | None = None,
    objects: GeoDataFrame | None = None,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Probability of rock glaciers, its band, the likeliest kind, and how many techniques saw it.

    ``maps`` and ``kind`` (y, x) are of :func:`rockglacier.fusion.mapping.probabilities`. Rock
    glaciers among ``objects`` (:func:`rockglacier.fusion.labels.read_labels`) are drawn over the
    probability. Where terrain alone tells, no technique saw the ground, and that map is left out.
    """
    from matplotlib.lines import Line2D

    width = maps["probability_high"] - maps["probability_low"]
    width.attrs = {"units": "1"}
    widest = min(1.0, nice(percentile(width, 99.5)))
    panels = [
        factor_map(maps["probability"], "Probability of rock glaciers", "magma_r", (0.0, 1.0)),
        factor_map(width, "Width of its 90 % band", "viridis", (0.0, widest)),
        _reason_map(kind, KIND_NAMES, "Likeliest kind", KIND_COLOURS),
    ]
    panels[0] = replace(panels[0], relief=True)
    seen = maps["valid_techniques"].where(maps["probability"].notnull())
    if bool((seen > 0).any()):
        panels.append(_count_map(seen, "Techniques that saw the ground", "techniques"))
    rows, columns = (2, 2) if len(panels) == 4 else (1, 3)
    known = None if objects is None else objects[objects["kind"].isin(list(ROCK_GLACIERS))]
    legend = []
    if known is not None and len(known):
        legend = [Line2D([], [], label=f"labelled rock glaciers ({len(known)})", **LABEL_MARK)]
    with canvas(path, _size(grid, rows, columns), title, provenance) as figure:
        _maps(figure, panels, grid, height, rows, columns, more=legend)
        if legend:
            _outline(figure.axes[0], known)


def _outline(axes: Axes, objects: GeoDataFrame) -> None:
    """Outlines of ``objects``; of those known by a point, where it lies."""
    from matplotlib.collections import LineCollection

    point = objects["point"].to_numpy(bool)
    middles = objects.geometry[point].centroid
    axes.plot(middles.x, middles.y, **LABEL_MARK)
    rings = [
        np.asarray(ring.coords)[:, :2]
        for shape in objects.geometry[~point].explode(index_parts=False)
        for ring in (shape.exterior, *shape.interiors)
    ]
    axes.add_collection(LineCollection(rings, colors=LABEL_MARK["mec"], linewidths=0.8))


def plot_reliability(
    sides: Mapping[str, Mapping[str, Any]],
    path: str | Path,
    *,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Share of pixels that are rock glacier over the probability they were told, and their number.

    ``sides``: of each the scores of pixels (:func:`rockglacier.evaluation.foretold`), the fusion
    first. On the diagonal a probability is what it says.
    """
    with canvas(path, (6.3, 3.3), title, provenance) as figure:
        curve, count = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
        curve.plot([0.0, 1.0], [0.0, 1.0], color="0.6", lw=0.8, ls=":")
        for k, (name, pixels) in enumerate(sides.items()):
            told, found, weight = (pixels["reliability"][n] for n in ("told", "found", "weight"))
            look: dict[str, Any] = {"marker": SIDE_MARKS[k % len(SIDE_MARKS)], "ms": 3.0, "lw": 0.8}
            look |= {"color": SIDE_COLOURS[k % len(SIDE_COLOURS)], "zorder": 3 - (k > 0)}
            if not k:
                look |= {"ms": 4.5, "lw": 1.6}
            error = pixels["calibration_error_likely"]
            said = "no such pixel" if math.isnan(error) else f"error {error:.3f}"
            curve.plot(told, found, label=f"{name} ({said})", **look)
            count.plot(told, weight, **look)
        curve.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0), xlabel="probability of rock glaciers, told",
                  ylabel="share of rock glaciers, found")  # fmt: skip
        curve.set_title("Reliability on ground unseen")
        curve.set_box_aspect(1.0)
        count.set(xlim=(0.0, 1.0), yscale="log", xlabel="probability of rock glaciers, told",
                  ylabel="pixels")  # fmt: skip
        count.set_title("Pixels of each bin")
        count.set_box_aspect(1.0)
        figure.legend(
            loc="outside lower left", ncols=2, fontsize=7,
            title="error: of pixels told 0.1 or more", alignment="left", title_fontsize=7,
        )  # fmt: skip


def _page(
    panels: Sequence[Map],
    path: str | Path,
    grid: Grid,
    height: xr.DataArray | None,
    title: str,
    provenance: Mapping[str, str] | None,
) -> None:
    """Maps of factors, three in a row; what no pixel tells is left out, but for the first."""
    shown = [panel for panel in panels if panel.values.notnull().any()] or panels[:1]
    rows, columns = -(-len(shown) // 3), min(3, len(shown))
    with canvas(path, _size(grid, rows, columns), title, provenance) as figure:
        _maps(figure, shown, grid, height, rows, columns)


def factor_map(
    values: xr.DataArray, title: str, colours: str, limits: tuple[float, float] | None = None
) -> Map:
    """A factor; around zero where ``colours`` diverge, else between percentiles."""
    import matplotlib as mpl
    from matplotlib.colors import Normalize

    known = values.values[np.isfinite(values.values)]
    if limits is None and colours in ("RdBu", "PuOr"):
        limit = nice(percentile(values, 99.0))
        limits = -limit, limit
    elif limits is None:
        limits = tuple(np.percentile(known, (1.0, 99.0))) if known.size else (0.0, 1.0)
    low, high = limits
    beyond = {(True, True): "both", (True, False): "min", (False, True): "max"}
    return Map(
        values,
        title,
        "" if values.attrs["units"] == "1" else values.attrs["units"],
        mpl.colormaps[colours],
        Normalize(low, high),
        beyond.get((bool((known < low).any()), bool((known > high).any())), "neither"),
    )


def plot_offsets(
    rates: xr.Dataset,
    path: str | Path,
    *,
    grid: Grid,
    height: xr.DataArray | None = None,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Speed and direction of offsets, what they can detect, why not, and stable ground.

    ``rates`` is what :func:`rockglacier.offsets.inversion.velocities` returns, with
    ``stable_ground`` (1 where ground is stable). Arrows stand where motion exceeds the detection
    limit.
    """
    speed = rates["east"].copy(data=np.hypot(rates["east"].values, rates["north"].values))
    panels = [
        _rate_map(speed, "Horizontal speed", relief=True),
        _rate_map(rates["detection_limit"], "Detection limit"),
        _reason_map(rates["match_reason"], MATCHES, "Matched, or mostly why not"),
    ]
    with canvas(path, _size(grid, 2, 2), title, provenance) as figure:
        _maps(figure, panels, grid, height, 2, 2)
        _arrows(figure.axes[0], rates, speed, grid)
        axes = figure.add_subplot(2, 2, 4)
        _components(axes, rates)
        axes.set_box_aspect(proportion(grid))


def _arrows(axes: Axes, rates: xr.Dataset, speed: xr.DataArray, grid: Grid) -> None:
    """Direction of motion, one arrow a block of places: that of its fastest sure place."""
    side = max(1, math.ceil(max(grid.shape) / ARROWS))
    sure = speed.where(speed > rates["detection_limit"]).values
    rows, columns = (n // side * side for n in sure.shape)
    blocks = sure[:rows, :columns].reshape(rows // side, side, columns // side, side)
    flat = blocks.transpose(0, 2, 1, 3).reshape(rows // side, columns // side, -1)
    some = np.isfinite(flat).mean(axis=-1) > 0.5
    if not some.any():
        return
    at = np.nanargmax(np.where(some[..., None], flat, 0.0), axis=-1)
    i, j = np.nonzero(some)
    row, column = i * side + at[i, j] // side, j * side + at[i, j] % side
    east, north = (rates[name].values[row, column] for name in ("east", "north"))
    length = np.hypot(east, north)
    axes.quiver(
        grid.x[column], grid.y[row], east / length, north / length,
        angles="xy", scale_units="xy", scale=1.0 / (0.8 * side * grid.dx), pivot="mid",
        width=0.003, headwidth=4.0, color="C0", zorder=0.4,
    )  # fmt: skip


def _components(axes: Axes, rates: xr.Dataset) -> None:
    """Both components on stable ground."""
    stable = rates["stable_ground"].values > 0
    axes.spines[["top", "right"]].set_visible(False)
    samples = {}
    for name in ("east", "north"):
        values = rates[name].values[stable].astype(np.float64)
        samples[name] = values[np.isfinite(values)]
    count = samples["east"].size
    title = f"Stable ground: {count:_} places".replace("_", "\u202f")
    axes.set_title(title)
    if not count:
        axes.text(0.5, 0.5, "none observed", ha="center", transform=axes.transAxes)
        return
    spread = {k: 1.4826 * float(np.median(np.abs(v - np.median(v)))) for k, v in samples.items()}
    limit = 6.0 * max(max(spread.values()), 1e-6)
    unit = _rate_unit(limit)
    factor = RATE_UNITS[unit]
    bins = np.linspace(-limit, limit, 61) * factor
    title += "\nNMAD " + ", ".join(f"{spread[k] * factor:.3g} {k}" for k in samples)
    for k, (name, values) in enumerate(samples.items()):
        axes.hist(
            values * factor, bins=bins.tolist(), weights=np.full(count, 100.0 / count),
            histtype="step", color=f"C{k}", label=name,
        )  # fmt: skip
    axes.set_title(title)
    axes.legend(loc="upper right")
    axes.set_xlabel(f"Velocity ({unit})")
    axes.set_ylabel("Share of places (%)")


def plot_corrections(
    corrections: Mapping[str, Mapping[str, Any]],
    path: str | Path,
    *,
    assumption: str | None = None,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """How much variance over stable ground each correction removed.

    ``corrections`` holds, in the order of their application, for each correction
    ``variance_before_m2`` and ``variance_after_m2`` over stable ground (None where unknown) and
    ``applied``. ``assumption`` says why that ground is thought stable, None where it is known.
    """
    names = list(corrections)
    entries = list(corrections.values())
    before, after = (
        np.array([np.nan if e[k] is None else e[k] for e in entries], dtype=np.float64)
        for k in ("variance_before_m2", "variance_after_m2")
    )
    applied = np.array([e["applied"] for e in entries], dtype=bool)
    removed = 100.0 * (1.0 - np.divide(after, before, out=after * np.nan, where=before > 0))
    with canvas(path, (6.0, 1.2 + 0.45 * max(1, len(names))), title, provenance) as figure:
        axes = figure.add_subplot()
        rows = np.arange(len(names))
        axes.barh(rows[applied], removed[applied], color="C0", height=0.6, label="applied")
        axes.barh(
            rows[~applied], removed[~applied], facecolor="white", edgecolor="C0", hatch="////",
            height=0.6, label="tried, not applied",
        )  # fmt: skip
        for row, share in enumerate(removed):
            text = "unknown"
            if math.isfinite(share):
                first, last = 1000.0 * np.sqrt([before[row], after[row]])
                digits = max(1, _decimals(first - last))
                text = f"{share:.{_decimals(share)}f} %".replace("-", "\u2212")
                text += f"  ({first:.{digits}f} to {last:.{digits}f} mm)"
            axes.annotate(
                text, (np.nanmax([share, 0.0]), row), (4, 0), textcoords="offset points",
                va="center", fontsize=7,
            )  # fmt: skip
        axes.set_yticks(rows, [n.replace("_", " ") for n in names])
        axes.invert_yaxis()
        axes.axvline(0.0, color="black", lw=0.6)
        worst = float(np.nanmin(removed, initial=0.0))
        axes.set_xlim(float(np.clip(1.1 * worst, -100.0, -5.0)), 150.0)
        axes.set_xticks(np.arange(0, 101, 25))
        axes.set_xlabel(f"Variance over {_stable(assumption)} removed (%)")
        axes.set_title(
            "Standard deviation before and after, in brackets" if names else "No correction"
        )
        axes.spines[["top", "right"]].set_visible(False)
        if not applied.all():
            figure.legend(loc="outside lower center", ncols=2)
