"""The figures of a paper: where rock glaciers are and how sure that is; what each technique sees.

What was not observed is hatched. Colours are those of perceptually uniform or diverging scales and
of Okabe & Ito's palette, which colour-blind readers tell apart.

Source
------
Palette: Okabe & Ito (2008), Color universal design, https://jfly.uni-koeln.de/color/.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from rockglacier import accuracy
from rockglacier.accuracy import ACTIVE, ACTIVITIES
from rockglacier.conventions import MAP, Kind, VelocitySource
from rockglacier.errors import SceneError
from rockglacier.evaluation import FUSION, matched
from rockglacier.figures import (
    NOTHING,
    Map,
    axis_labels,
    canvas,
    compass,
    draw,
    factor_map,
    hillshade,
    nice,
    percentile,
    proportion,
    stride,
)
from rockglacier.fusion.labels import rasterised
from rockglacier.grid import Grid

if TYPE_CHECKING:
    from geopandas import GeoDataFrame
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

WIDTH = 7.1  # inches: both columns of a journal
DPI = 300
LEAST = 0.1  # probability below which relief is shown in its place
PROBABILITY = "magma_r"
CERTAIN = "solid"
UNSURE = (0, (3.0, 1.2))
# Colour and dashes of an outline: what its activity is, and whether that is certain.
LINES: dict[str, tuple[str, Any]] = {
    "Active": ("#0072b2", CERTAIN),
    "Active uncertain": ("#0072b2", UNSURE),
    "Transitional": ("#56b4e9", CERTAIN),
    "Relict uncertain": ("#009e73", UNSURE),
    "Relict": ("#009e73", CERTAIN),
    "Uncertain": ("0.35", UNSURE),
}
RESTING = ("Transitional", "Relict uncertain", "Relict")
BESIDE = -0.7  # of an axis: where its title begins, above the names of rows
AROUND = 1.35  # side of an example's window over that of its outline
LEAST_WINDOW_M = 1000.0
SLOW_M_YR = 0.01  # below which the scale of velocity is linear
# What is shown of a factor: title, unit and meaning, colours.
SHOWN = {
    "backscatter_std": ("Variation of VV", "dB, standard\ndeviation of dates", "viridis"),
    "snow_melt_mean": ("NDSI of summer", "no unit, mean of\nthe melt season", "cividis"),
}
SEEN = 0.5  # of an object, by a technique that can show it


def plot_inventory(
    probability: xr.DataArray,
    height: xr.DataArray,
    objects: GeoDataFrame,
    sides: Mapping[str, Any],
    path: str | Path,
    *,
    grid: Grid,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Probability of rock glaciers over relief, outlines by activity, their number and accuracy.

    ``probability`` (y, x; 0..1) and ``height`` (m) lie on ``grid``; ``objects``: layer GO of the
    inventory, with ``ActiCl``; ``sides``: of ``evaluation.json``. Beside the fusion's accuracy
    stands the published one (:mod:`rockglacier.accuracy`).
    """
    objects = objects.to_crs(grid.crs)
    size = WIDTH, max(4.4, 0.48 * WIDTH * proportion(grid) + 1.85)
    with canvas(path, size, title, provenance, dpi=DPI) as figure:
        cells = figure.add_gridspec(2, 2, width_ratios=[2.7, 1.0])
        axes = figure.add_subplot(cells[:, 0], anchor="N")
        _draw_probability(axes, probability, height, grid)
        for name, (colour, dashes) in LINES.items():
            _outline(axes, objects.geometry[objects["ActiCl"] == name], colour, dashes)
        compass(axes, grid)
        axis_labels(axes, grid)
        _explain(axes, objects)
        counts = accuracy.counted(objects["ActiCl"])
        _draw_counts(figure.add_subplot(cells[0, 1]), counts)
        _draw_accuracy(figure.add_subplot(cells[1, 1]), accuracy.shares(sides[FUSION]))
        _note(figure, accuracy.NOTE)


def _draw_probability(
    axes: Axes, probability: xr.DataArray, height: xr.DataArray, grid: Grid
) -> None:
    """Probability in the colours of its bar from LEAST on; relief below; hatch where unknown."""
    shade = hillshade(height, grid)
    panel = factor_map(probability, "a  Probability of rock glaciers", PROBABILITY, (0.0, 1.0))
    shown = probability.where(probability >= LEAST)
    draw(axes, grid, replace(panel, values=shown, label="probability", relief=True), shade)
    west, south, east, north = grid.bounds
    step = stride(grid)
    low = (probability < LEAST).transpose(*MAP).values[::step, ::step]
    ground = np.zeros((*shade.shape, 4))
    ground[..., :3] = 0.45 + 0.4 * np.where(np.isfinite(shade), shade, 1.0)[..., None]
    ground[..., 3] = low
    axes.imshow(
        np.clip(ground, 0.0, 1.0), extent=(west, east, south, north), origin="upper",
        interpolation="nearest", zorder=0.25,
    )  # fmt: skip


def _rings(shapes: Sequence[Any]) -> list[np.ndarray]:
    """Vertices of all rings of polygons."""
    parts = [part for shape in shapes for part in getattr(shape, "geoms", [shape])]
    rings = [ring for part in parts for ring in (part.exterior, *part.interiors)]
    return [np.asarray(ring.coords)[:, :2] for ring in rings]


def _outline(
    axes: Axes, shapes: Sequence[Any], colour: str, dashes: Any = CERTAIN, width: float = 0.9
) -> None:
    """Outlines, as lines, with a halo."""
    from matplotlib.collections import LineCollection

    rings = _rings(list(shapes))
    axes.add_collection(
        LineCollection(rings, colors="white", linewidths=width + 0.9, alpha=0.8, zorder=1.9),
        autolim=False,
    )
    axes.add_collection(
        LineCollection(rings, colors=colour, linewidths=width, linestyles=[dashes], zorder=2.0),
        autolim=False,
    )


def _explain(axes: Axes, objects: GeoDataFrame) -> None:
    """A legend beneath the map: hatch, relief, and outlines that there are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.transforms import ScaledTranslation

    handles: list[Any] = [
        _hatched(),
        Patch(facecolor="0.85", edgecolor="0.4", lw=0.5, label=f"below {LEAST:g} (relief)"),
    ]
    present = set(objects["ActiCl"])
    handles += [
        Line2D([], [], color=colour, ls=dashes, lw=1.2, label=name)
        for name, (colour, dashes) in LINES.items() if name in present
    ]  # fmt: skip
    below_labels = ScaledTranslation(0.0, -0.45, axes.figure.dpi_scale_trans)
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3, fontsize=7,
        bbox_transform=axes.transAxes + below_labels, handlelength=1.8, columnspacing=1.2,
        borderaxespad=0.0,
    )  # fmt: skip


def _hatched() -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor=NOTHING, edgecolor="0.4", hatch="//////", lw=0.0, label="not observed")


def _draw_counts(axes: Axes, counts: Mapping[str, int]) -> None:
    """Objects of each activity, and the active ones that were published."""
    published = accuracy.PUBLISHED_ACTIVE
    names = [*ACTIVITIES, "published active"]
    values = [*counts.values(), published]
    rows = np.arange(len(names))
    for row, name, value in zip(rows, names, values, strict=True):
        colour, dashes = LINES.get(name, ("black", CERTAIN))
        certain = dashes == CERTAIN and name in LINES
        axes.barh(
            row, value, height=0.65, facecolor=colour if certain else "white", edgecolor=colour,
            linestyle=dashes, lw=0.9,
        )  # fmt: skip
        axes.annotate(
            str(value), (value, row), (3, 0), textcoords="offset points", va="center", fontsize=7
        )
    axes.axhline(len(ACTIVITIES) - 0.5, color="0.7", lw=0.5)
    axes.set_yticks(rows, names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.18 * max(values))
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlabel("objects", fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    active = sum(counts[name] for name in ACTIVE)
    axes.set_title(f"b  {sum(counts.values())} objects, {active} active", x=BESIDE)


def _draw_accuracy(axes: Axes, shares: Mapping[str, accuracy.Share]) -> None:
    """Shares with their intervals, and the published one."""
    told = {accuracy.MEASURES[name]: share for name, share in shares.items()}
    told["published accuracy, of what: not stated"] = accuracy.PUBLISHED
    for row, (name, share) in enumerate(told.items()):
        filled = "black" if not name.startswith("published") else "white"
        low, high = 100.0 * share.low, 100.0 * share.high
        axes.plot([low, high], [row, row], color="black", lw=1.0, solid_capstyle="butt")
        axes.plot(100.0 * share.value, row, "o", ms=3.8, mfc=filled, mec="black", mew=0.9)
        axes.annotate(
            share.percent, (0.0, row), (2, 4), xycoords=("axes fraction", "data"),
            textcoords="offset points", fontsize=7,
        )  # fmt: skip
    axes.axhline(len(shares) - 0.6, color="0.7", lw=0.5)
    axes.set_yticks(np.arange(len(told)), [name.replace(", ", "\n") for name in told], fontsize=7)
    axes.set_ylim(len(told) - 0.5, -0.8)
    axes.set_xlim(0.0, 102.0)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlabel("% (95 % interval)", fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("c  Accuracy on held-out ground", x=BESIDE)


def _note(figure: Figure, text: str) -> None:
    """What numbers mean, beneath it all, in lines as long as the figure is wide."""
    import textwrap

    for count in range(int(23.0 * figure.get_figwidth()), 20, -2):
        lines = "\n".join(textwrap.wrap(text, count))
        note = figure.supxlabel(lines, x=0.01, ha="left", fontsize=6, linespacing=1.3)
        if note.get_window_extent().width <= 0.98 * figure.bbox.width:
            return


@dataclass(frozen=True)
class Example:
    """An object that stands for its kind: what of, whence, its name, outline, mean probability."""

    what: str
    whence: str
    name: str
    outline: Any
    probability: float


def examples(
    objects: GeoDataFrame,
    labels: GeoDataFrame,
    maps: xr.Dataset,
    *,
    grid: Grid,
    glaciers: GeoDataFrame | None = None,
) -> list[Example]:
    """A bare active rock glacier, one at rest, and a clean glacier; those that there are.

    ``objects``: layer GO of the inventory; ``labels``: of :func:`fusion.labels.read_labels`;
    ``glaciers``: outlines that serve where no clean glacier is labelled; ``maps`` (y, x):
    those of :func:`maps_of`.

    Rock glaciers come from the inventory: those that share half of their union with a labelled one
    of their kind. Where none does the labelled ones stand for their kind, and where there are none
    the inventory's. Among those at least as large as their median the one is taken that most
    techniques see half of; of these the likeliest (mean ``probability``, of glaciers ``p_clean``).

    Raises
    ------
    SceneError
        There is none of any kind.
    """
    objects, labels = objects.to_crs(grid.crs), labels.to_crs(grid.crs)
    bare = objects["SeedType"] == "bare/active"
    named = objects.rename(columns={"PrimaryID": "name"})
    known = {kind: labels[labels["kind"] == int(kind)].reset_index(drop=True) for kind in Kind}
    ice = known[Kind.CLEAN]
    if ice.empty and glaciers is not None:
        ice = glaciers.to_crs(grid.crs).assign(name="glacier")
    active, resting = named[bare & named["ActiCl"].isin(ACTIVE)], named["ActiCl"].isin(RESTING)
    wanted = (
        ("Active, bare", "probability", *_known(active, known[Kind.ACTIVE])),
        ("Transitional or relict, mixed", "probability",
         *_known(named[resting], known[Kind.RESTING])),
        ("Clean glacier", "p_clean", "outlined", ice),
    )  # fmt: skip
    found = []
    for what, of, whence, candidates in wanted:
        chosen = _likeliest(candidates, maps, of, grid)
        if chosen is None:
            logger.warning("no object to show: %s", what)
            continue
        row, P = chosen
        found.append(Example(what, whence, str(row["name"]), row["geometry"], P))
        logger.info("%s: %s (%s), probability %.2f", what, row["name"], whence, P)
    if not found:
        raise SceneError(
            f"none of {len(objects)} objects of the inventory is active and bare, or transitional "
            "or relict, and no clean glacier is outlined; a region with one of them is needed."
        )
    return found


def _known(objects: GeoDataFrame, labels: GeoDataFrame) -> tuple[str, GeoDataFrame]:
    """Those of ``objects`` that are labelled, else ``labels``, else ``objects``; first, which.

    Both are of one kind.
    """
    objects = objects.reset_index(drop=True)
    pairs = matched(objects, labels)
    if (pairs >= 0).any():
        return "found and labelled", objects.iloc[np.sort(pairs[pairs >= 0])]
    if len(labels):
        return "labelled, not found as such", labels
    return "found, not labelled", objects


def _likeliest(
    objects: GeoDataFrame, maps: xr.Dataset, name: str, grid: Grid
) -> tuple[Any, float] | None:
    """The row that :func:`examples` takes, and its mean of the map ``name``; None without any."""
    if objects.empty:
        return None
    objects = objects.reset_index(drop=True)
    at, _ = rasterised(objects.assign(kind=0), grid)
    seen = [n for n in maps if n not in ("probability", "p_clean")]
    large = objects.geometry.area >= objects.geometry.area.median()
    best: tuple[tuple[int, float], int] | None = None
    for k in np.flatnonzero(large.to_numpy()):
        own = at == k
        if not own.any():
            continue
        P = maps[name].transpose(*MAP).values[own]
        if not np.isfinite(P).any():
            continue
        known = [np.isfinite(maps[n].transpose(*MAP).values[own]).mean() >= SEEN for n in seen]
        key = (int(np.sum(known)), float(np.nanmean(P)))
        if best is None or key > best[0]:
            best = key, int(k)
    return None if best is None else (objects.iloc[best[1]], best[0][1])


def maps_of(
    velocity: xr.Dataset, factors: xr.Dataset, probability: xr.DataArray, clean: xr.DataArray
) -> xr.Dataset:
    """Maps (y, x) of what each technique shows, those that there are, and of what is told of it.

    ``velocity`` (m/yr): down the slope, where interferometry tells it, alone or with offsets;
    ``backscatter_std`` (dB): how backscatter varies; ``snow_melt_mean``: snow index of summer;
    ``probability`` of rock glaciers; ``p_clean``: that of a clean glacier.
    """
    speed = velocity["velocity"]
    if "velocity_source" in velocity:
        speed = speed.where(velocity["velocity_source"] != VelocitySource.OFFSETS)
    out = {"velocity": speed}
    out |= {n: factors[n] for n in SHOWN if n in factors}
    out |= {"probability": probability, "p_clean": clean}
    bare = {n: a.drop_vars(set(a.coords) - set(MAP)) for n, a in out.items()}
    parts = [array.rename(name) for name, array in bare.items()]
    return xr.merge(parts, join="override", compat="override").load()


def window(outline: Any, grid: Grid) -> tuple[slice, slice]:
    """Rows and columns of a square around ``outline``, within the grid."""
    west, south, east, north = outline.bounds
    scale = grid.dy / grid.spacing_m[0]
    side = max(AROUND * max(east - west, north - south), LEAST_WINDOW_M * scale)
    out = []
    for first, last, origin, step, count in (
        (grid.north - north, grid.north - south, 0.0, grid.dy, grid.height),
        (west, east, grid.west, grid.dx, grid.width),
    ):
        pixels = min(math.ceil(side / step), count)
        middle = (0.5 * (first + last) - origin) / step
        start = int(np.clip(round(middle - 0.5 * pixels), 0, count - pixels))
        out.append(slice(start, start + pixels))
    return out[0], out[1]


def plot_examples(
    chosen: Sequence[Example],
    maps: xr.Dataset,
    height: xr.DataArray,
    path: str | Path,
    *,
    grid: Grid,
    title: str = "",
    provenance: Mapping[str, str] | None = None,
) -> None:
    """A row for each of the ``chosen`` objects, a column for each technique, one scale a column.

    ``maps`` (y, x): those of :func:`maps_of`; ``height`` (m).
    """
    windows = [window(one.outline, grid) for one in chosen]
    columns = _columns(maps, windows)
    across, rows = 1 + len(columns), len(chosen)
    side = (WIDTH - 0.6) / across
    with canvas(path, (WIDTH, rows * (side + 0.38) + 1.3), title, provenance, dpi=DPI) as figure:
        cells = figure.add_gridspec(rows + 1, across, height_ratios=[*[1.0] * rows, 0.06])
        for row, (one, (down, right)) in enumerate(zip(chosen, windows, strict=True)):
            here = grid.part(down.start, down.stop, right.start, right.stop)
            part = {MAP[0]: down, MAP[1]: right}
            shade = hillshade(height.isel(part), here)
            for column in range(across):
                axes = figure.add_subplot(cells[row, column])
                if column == 0:
                    _draw_relief(axes, here, shade)
                    axis_labels(axes, here)
                    if row < rows - 1:
                        axes.set_xlabel("")
                    compass(axes, here)
                    axes.set_title(f"{'abcdefgh'[row]}  {one.what}", fontsize=7)
                else:
                    panel = columns[column - 1]
                    values = panel.values.isel(part)
                    draw(axes, here, replace(panel, values=values), None, bar=False)
                    axes.set_title(panel.title if row == 0 else "", fontsize=7)
                    axes.set_xticks([])
                    axes.set_yticks([])
                _outline(axes, [one.outline], "black", width=0.7)
        for column, panel in enumerate(columns, start=1):
            _draw_bar(figure.add_subplot(cells[rows, column]), panel)
        axes = figure.add_subplot(cells[rows, 0])
        axes.set_axis_off()
        _legend(axes)
        _note(figure, _about(chosen))


def _columns(maps: xr.Dataset, windows: Sequence[tuple[slice, slice]]) -> list[Map]:
    """Scales of all columns, each from what the windows show of it."""

    def shown(name: str) -> xr.DataArray:
        parts = [maps[name].transpose(*MAP).values[w].ravel() for w in windows]
        return xr.DataArray(np.concatenate(parts), dims="pixel", attrs=maps[name].attrs)

    # By the fastest window: a wide one of slow ground must not take the others' colours.
    fast = [percentile(maps["velocity"].transpose(*MAP)[w], 98.0) for w in windows]
    limit = nice(float(np.fmax.reduce([*fast, 10.0 * SLOW_M_YR])))  # NaN where none is seen
    told: dict[str, tuple[str, Map]] = {
        "velocity": ("m/yr, positive\ndown the slope", _velocity_scale(shown("velocity"), limit))
    }
    for name, (text, label, colours) in SHOWN.items():
        if name in maps:
            told[name] = label, factor_map(shown(name), text, colours)
    fused = factor_map(shown("probability"), "Fused", PROBABILITY, (0.0, 1.0))
    told["probability"] = "probability of\nrock glaciers", replace(fused, ticks=[0.0, 0.5, 1.0])
    return [replace(scale, values=maps[n], label=label) for n, (label, scale) in told.items()]


def _velocity_scale(values: xr.DataArray, limit: float) -> Map:
    """Colours around zero, logarithmic from SLOW_M_YR on: what creeps by centimetres shows too."""
    import matplotlib as mpl
    from matplotlib.colors import SymLogNorm

    decades = [one for one in (0.1, 1.0, 10.0, 100.0) if one <= limit][-2:]
    return Map(
        values, "InSAR velocity", "", mpl.colormaps["RdBu_r"],
        SymLogNorm(SLOW_M_YR, linscale=0.5, vmin=-limit, vmax=limit, base=10),
        "both" if percentile(values, 100.0) > limit else "neither",
        ticks=[*(-one for one in reversed(decades)), 0.0, *decades],
    )  # fmt: skip


def _draw_relief(axes: Axes, grid: Grid, shade: np.ndarray) -> None:
    """Hillshade alone."""
    import matplotlib as mpl
    from matplotlib.colors import Normalize

    light = xr.DataArray(shade, dims=MAP, coords=grid.coords)
    panel = Map(light, "", "", mpl.colormaps["gray"], Normalize(-0.4, 1.4))
    draw(axes, grid, panel, None, bar=False)


def _draw_bar(axes: Axes, panel: Map) -> None:
    """The colour bar of a column, level."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    bar = axes.figure.colorbar(
        ScalarMappable(panel.norm, panel.cmap), cax=axes, orientation="horizontal",
        extend=panel.extend, label=panel.label,
        ticks=panel.ticks if panel.ticks is not None else MaxNLocator(3),
    )  # fmt: skip
    bar.outline.set_linewidth(0.5)
    bar.minorticks_off()
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
    bar.ax.tick_params(labelsize=6.5)
    bar.ax.xaxis.label.set_fontsize(6.5)


def _legend(axes: Axes) -> None:
    from matplotlib.lines import Line2D

    line = Line2D([], [], color="black", lw=0.9, label="outline")
    axes.legend(handles=[_hatched(), line], loc="upper center", fontsize=7, borderaxespad=0.0)


def _about(chosen: Sequence[Example]) -> str:
    """Which objects these are, and how they were chosen."""
    named = "; ".join(
        f"{'abcdefgh'[k]} {one.name} ({one.whence}, mean probability {one.probability:.2f})"
        for k, one in enumerate(chosen)
    )
    return (
        f"{named}. Of the objects of a kind at least as large as their median those are taken that "
        "most techniques see half of; of these the likeliest (glaciers: to be clean)."
    )
