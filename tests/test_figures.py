"""Figures: complete, the same every time, honest about what was not observed, nothing clipped."""

import json

import geopandas
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection

from rockglacier import figures
from rockglacier.conventions import DATE, MAP, Reason
from rockglacier.errors import UnitsError
from rockglacier.evaluation import foretold
from rockglacier.grid import Grid
from rockglacier.io import open_dataset, write_dataset
from rockglacier.provenance import record
from rockglacier.reference import stable_ground

GEOGRAPHIC = Grid("EPSG:4326", 10.70, 60.05, 0.002, 0.001, 40, 50)


SIGHT = {"east": -0.6, "north": -0.14, "up": 0.79}  # of an ascending track


def _map(grid: Grid, values, units: str) -> xr.DataArray:
    values = np.broadcast_to(np.asarray(values, np.float32), grid.shape).copy()
    return xr.DataArray(values, dims=MAP, coords=grid.coords, attrs={"units": units})


def _velocity(grid: Grid, rate=None) -> xr.Dataset:
    rng = np.random.default_rng(1)
    rate = rng.normal(0.0, 0.02, grid.shape) if rate is None else rate
    reason = np.where(np.isfinite(rate), Reason.OBSERVED, Reason.OUTSIDE)
    return xr.Dataset(
        {
            "velocity": _map(grid, rate, "m/yr"),
            "velocity_error": _map(grid, np.where(np.isfinite(rate), 0.004, np.nan), "m/yr"),
            "temporal_coherence": _map(grid, rng.uniform(0.6, 1.0, grid.shape), "1"),
            "closure_count": _map(grid, rng.integers(0, 5, grid.shape), "1"),
            "reason": _map(grid, reason, "1"),
        }
    )


def _series(grid: Grid, velocity: xr.Dataset, dates: int = 20) -> xr.Dataset:
    when = np.datetime64("2020-01-01", "ns") + np.arange(dates) * np.timedelta64(24, "D")
    years = np.arange(dates) * 24 / 365.25
    d = velocity["velocity"].values * years[:, None, None]
    return xr.Dataset(
        {
            "displacement": xr.DataArray(
                d.astype(np.float32),
                dims=(DATE, *MAP),
                coords={DATE: when, **grid.coords},
                attrs={"units": "m"},
            )
        }
    )


def _pairs(dates: int = 12, neighbours: int = 3) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(5)
    baseline = rng.normal(0.0, 60.0, dates)
    when = pd.date_range("2021-06-01", periods=dates, freq="12D")
    edges = [(i, j) for i in range(dates) for j in range(i + 1, min(dates, i + neighbours + 1))]
    first, second = np.array(edges).T
    return pd.DataFrame(
        {
            "reference": when[first],
            "secondary": when[second],
            "perpendicular_baseline_m": baseline[second] - baseline[first],
            "mean_coherence": rng.uniform(0.35, 0.8, first.size),
            "used": (np.arange(first.size) % 7 > 0).astype(int),
        }
    ), baseline - baseline[0]


def _downslope(grid: Grid) -> xr.Dataset:
    rng = np.random.default_rng(2)
    speed = 10.0 ** rng.uniform(-3, 0.4, grid.shape)
    reason = rng.choice([0, 1, 6, 7, 8], grid.shape, p=[0.6, 0.1, 0.1, 0.1, 0.1])
    speed[(reason == 1) | (reason == 6)] = np.nan
    return xr.Dataset(
        {
            "velocity": _map(grid, speed, "m/yr"),
            "velocity_error": _map(grid, 0.1 * speed, "m/yr"),
            "sensitivity": _map(grid, rng.uniform(-1, 1, grid.shape), "1"),
            "track_count": _map(grid, 2, "1"),
            "reason": _map(grid, reason, "1"),
        }
    )


def _height(grid: Grid) -> xr.DataArray:
    y, x = np.mgrid[: grid.height, : grid.width]
    return _map(grid, 2000.0 + 300.0 * np.sin(x / 6.0) + 200.0 * np.cos(y / 5.0), "m")


def _backscatter(grid: Grid) -> xr.Dataset:
    rng = np.random.default_rng(2)
    level = {
        "mean": ("dB", -11.0), "std": ("dB", 1.2), "trend": ("dB/yr", 0.02),
        "annual_amplitude": ("dB", 0.8), "melt_depression": ("dB", -2.5),
    }  # fmt: skip
    maps = {}
    for name, (units, value) in level.items():
        values = value + 0.2 * rng.normal(size=grid.shape)
        values[:6, :9] = np.nan
        maps[name] = _map(grid, values, units)
        if name in ("mean", "std", "trend"):
            both = [maps[name], 0.5 * maps[name]]
            maps[name] = xr.concat(both, "season").assign_attrs(units=units)
    return xr.Dataset(maps)


def _offsets(grid: Grid) -> xr.Dataset:
    """A glacier that flows south-east across ground at rest, a corner of it unseen."""
    rng = np.random.default_rng(3)
    rate = np.where(abs(np.arange(grid.width) - grid.width // 2) < grid.width // 5, 40.0, 0.0)
    maps = {}
    for name, sign in (("east", 1.0), ("north", -1.0)):
        values = sign * rate + 0.8 * rng.normal(size=grid.shape)
        values[:6, :9] = np.nan
        maps[name] = _map(grid, values, "m/yr")
    codes = np.where(np.isnan(maps["east"]), rng.integers(1, 11, grid.shape), 0)
    return xr.Dataset(
        maps
        | {
            "detection_limit": _map(grid, 2.0, "m/yr")
            .where(maps["east"].notnull())
            .assign_attrs(units="m/yr"),
            "match_reason": _map(grid, codes, "1"),
            "stable_ground": _map(grid, rate == 0.0, "1"),
        }
    )


CORRECTIONS = {
    "height": {"variance_before_m2": 2.5e-5, "variance_after_m2": 1.2e-5, "applied": True},
    "delays": {"variance_before_m2": 1.2e-5, "variance_after_m2": 1.4e-5, "applied": False},
}


def _draw_all(grid: Grid, folder, **options):
    """Every figure once; returns their paths."""
    velocity = _velocity(grid)
    velocity["velocity"][:6, :9] = np.nan
    velocity["reason"][:6, :9] = Reason.LOW_TEMPORAL_COHERENCE
    middle = float(grid.x[grid.width // 2]), float(grid.y[grid.height // 2])
    cycles = xr.Dataset(
        {
            "closure_count": _map(grid, 0, "1"),
            "closure_count_before": velocity["closure_count"],
        }
    )
    pairs, _ = _pairs()
    height = _height(grid)
    path = {
        name: folder / f"{name}.png"
        for name in (
            "network",
            "arcs",
            "velocity",
            "series",
            "closure",
            "downslope",
            "corrections",
            "backscatter",
            "geometry",
            "offsets",
            "joined",
        )
    }
    figures.plot_network(pairs, path["network"], title="Region", **options)
    figures.plot_network(pairs.drop(columns="perpendicular_baseline_m"), path["arcs"], **options)
    figures.plot_velocity(
        velocity, path["velocity"], grid=grid, height=height, reference=middle,
        stable_ground=_map(grid, 1, "1").assign_attrs(assumption="none given"), title="Region",
        **options,
    )  # fmt: skip
    figures.plot_series(
        _series(grid, velocity), velocity, path["series"], grid=grid, reference=middle, **options
    )
    figures.plot_closure(cycles, path["closure"], grid=grid, title="Region", **options)
    figures.plot_downslope(_downslope(grid), path["downslope"], grid=grid, height=height, **options)
    sight = xr.Dataset({name: _map(grid, value, "1") for name, value in SIGHT.items()})
    seen = _map(grid, 1, "1")
    seen[:4] = 0.0
    figures.plot_geometry(
        sight.assign(observable=seen), _map(grid, 0.4, "1"), path["geometry"], grid=grid,
        height=height, title="Region", **options,
    )  # fmt: skip
    figures.plot_offsets(
        _offsets(grid), path["offsets"], grid=grid, height=height, title="Region", **options
    )
    joined = _downslope(grid)
    source = np.where(joined["velocity"].isnull(), 0, np.random.default_rng(4).integers(1, 4))
    joined["velocity_source"] = _map(grid, source, "1")
    figures.plot_downslope(joined, path["joined"], grid=grid, height=height, **options)
    figures.plot_corrections(CORRECTIONS, path["corrections"], **options)
    figures.plot_backscatter(
        _backscatter(grid), path["backscatter"], grid=grid, height=height, title="Region", **options
    )
    return path


def test_same_input_gives_the_same_file(grid, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    before = dict(mpl.rcParams)
    made = record(parameters={"min_sensitivity": 0.2}, sources=["stack.zarr"])
    first = _draw_all(grid, tmp_path / "a", provenance=made)
    mpl.rcParams["font.size"] = 17  # a user's own settings must not change figures
    try:
        second = _draw_all(grid, tmp_path / "b", provenance=made)
    finally:
        mpl.rcParams["font.size"] = before["font.size"]
    assert dict(mpl.rcParams) == before
    for name in first:
        content = first[name].read_bytes()
        assert content.startswith(b"\x89PNG")
        assert content == second[name].read_bytes(), name
    assert len(list((tmp_path / "a").iterdir())) == len(first)  # no partial file stays


def test_pdf_where_the_path_says_so(grid, tmp_path):
    cycles = xr.Dataset({k: _map(grid, 1, "1") for k in ("closure_count", "closure_count_before")})
    for folder in "ab":
        path = tmp_path / folder / "closure.pdf"
        figures.plot_closure(cycles, path, grid=grid)
    content = path.read_bytes()
    assert content.startswith(b"%PDF")
    assert content == (tmp_path / "a" / "closure.pdf").read_bytes()


@pytest.mark.parametrize(
    "grid",
    [
        pytest.param(Grid("EPSG:32632", 640000.0, 5200000.0, 40.0, 40.0, 18, 60), id="tall"),
        pytest.param(Grid("EPSG:4326", -70.31, -30.05, 0.002, 0.002, 70, 20), id="flat"),
    ],
)
def test_nothing_is_clipped_and_no_text_overlaps(grid, tmp_path, drawn):
    _draw_all(grid, tmp_path)
    assert len(drawn) == 11
    for figure in drawn:
        renderer = FigureCanvasAgg(figure).get_renderer()
        with mpl.rc_context(figures.STYLE):
            figure.draw_without_rendering()
            texts = _texts(figure)
            places = [(t.get_text(), t.get_window_extent(renderer)) for t in texts]
        page = figure.bbox
        for text, box in places:
            assert box.x0 >= page.x0 and box.x1 <= page.x1, text
            assert box.y0 >= page.y0 and box.y1 <= page.y1, text
        for i, (text, box) in enumerate(places):
            for other, place in places[i + 1 :]:
                assert not box.overlaps(place), (text, other)


def _texts(figure):
    found = [t for legend in figure.legends for t in legend.get_texts()]
    for axes in figure.findobj(Axes):
        found += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
        found += _visible_ticks(axes.xaxis) + _visible_ticks(axes.yaxis)
    return [t for t in found if t.get_visible() and t.get_text().strip()]


def _visible_ticks(axis):
    low, high = sorted(axis.get_view_interval())
    shown = [t for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
    return [label for t in shown for label in (t.label1, t.label2)]


def test_provenance_is_in_the_file(grid, tmp_path):
    from PIL import Image

    made = record(parameters={"norm": "l2"}, sources=["a.tif"])
    figures.plot_corrections(CORRECTIONS, tmp_path / "c.png", title="Region", provenance=made)
    with Image.open(tmp_path / "c.png") as image:
        assert json.loads(image.text["sources"]) == ["a.tif"]
        assert image.text["made_by"] == made["made_by"]
    figures.plot_corrections(CORRECTIONS, tmp_path / "c.pdf", provenance=made)
    assert b"a.tif" in (tmp_path / "c.pdf").read_bytes()


def test_not_observed_does_not_look_like_rest(grid, tmp_path):
    """Draw ground at rest beside unobserved ground; the two must differ, the hatch must show."""
    from PIL import Image

    rate = np.zeros(grid.shape)
    rate[:, grid.width // 2 :] = np.nan
    downslope = xr.Dataset(
        {
            "velocity": _map(grid, rate, "m/yr"),
            "velocity_error": _map(grid, rate + 0.001, "m/yr"),
            "sensitivity": _map(grid, 0.5, "1"),
            "reason": _map(grid, np.where(np.isnan(rate), 6, 0), "1"),
        }
    )
    for height in (None, _map(grid, 1000.0, "m")):
        path = tmp_path / "rest.png"
        figures.plot_downslope(downslope, path, grid=grid, height=height)
        with Image.open(path) as image:
            page = np.asarray(image.convert("L"), float)
        # The first map lies in the upper left quarter, clear of arrow and scale bar at mid-height.
        band = page[page.shape[0] // 4 - 40 : page.shape[0] // 4 + 40]
        rest, unseen = (band[:, int(f * page.shape[1])] for f in (0.16, 0.30))
        assert rest.std() < 1.0
        assert unseen.std() > 5.0
        assert rest.mean() - unseen.max() > 20.0


def _drawn_at(page, figure, axes, across, up):
    """Pixels of the image ``page`` in a window of ``axes``: shares of its width and height."""
    box = axes.get_window_extent()
    rows, columns = page.shape[:2]
    scale = columns / figure.bbox.width
    x = [round(scale * (box.x0 + f * box.width)) for f in across]
    y = [round(rows - scale * (box.y0 + f * box.height)) for f in reversed(up)]
    return page[slice(*y), slice(*x)].reshape(-1, 3)


def _page(path):
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), float)


def test_colours_on_a_slope_are_those_of_the_colour_bar(grid, tmp_path, drawn):
    """Draw uniform fields over relief; each map must be of the colour its bar shows for them."""
    velocity = _velocity(grid, np.full(grid.shape, 0.04))
    velocity["velocity"][:2] = 0.06  # so that the limits lie above the fields
    velocity["velocity_error"][:2] = 0.006
    velocity["temporal_coherence"][:] = 0.7
    velocity["closure_count"][:] = 2
    velocity["closure_count"][0, 0] = 4
    downslope = _downslope(grid)
    for name, value in (("velocity", 0.05), ("velocity_error", 0.01), ("sensitivity", -0.6)):
        downslope[name][:] = value
    downslope["velocity_error"][:2] = 0.02
    height = _map(grid, 3.0 * _height(grid).values, "m")
    figures.plot_velocity(velocity, tmp_path / "v.png", grid=grid, height=height)
    figures.plot_downslope(downslope, tmp_path / "d.png", grid=grid, height=height)
    figures.plot_series(
        _series(grid, velocity), velocity, tmp_path / "s.png", grid=grid, height=height,
        points={"edge": (float(grid.x[0]), float(grid.y[0]))},
    )  # fmt: skip
    fields = ((40.0, 4.0, 0.7, 2.0), (5.0, 1.0, -0.6), (40.0,))
    for figure, name, values in zip(drawn, "vds", fields, strict=True):
        page = _page(tmp_path / f"{name}.png")
        for axes, value in zip(figure.axes, values, strict=False):
            bar = axes.child_axes[0]
            seen = _drawn_at(page, figure, axes, (0.2, 0.8), (0.3, 0.7))
            low, high = bar.get_ylim()
            norm = bar._colorbar.norm
            assert low < value < high
            share = (value - low) / (high - low)
            if hasattr(norm, "boundaries"):  # each class is as long as the next
                share = (np.searchsorted(norm.boundaries, value) - 0.5) / (norm.N - 1)
            told = _drawn_at(page, figure, bar, (0.4, 0.6), (share - 0.003, share + 0.003))
            np.testing.assert_allclose(seen.mean(axis=0), told.mean(axis=0), atol=3.0)
            assert seen.std(axis=0).max() < 1.0
    plain = _drawn_at(_page(tmp_path / "v.png"), drawn[0], drawn[0].axes[4], (0.2, 0.8), (0.3, 0.7))
    np.testing.assert_allclose(plain, 0.97 * 255.0, atol=1.0)  # "observed" as in the legend


def test_relief_shows_behind_the_velocity_only_and_only_where_nothing_was_observed(
    grid, tmp_path, drawn
):
    x = np.arange(grid.width)
    ridge = _map(grid, 2000.0 - 30.0 * np.abs(x - grid.width // 2), "m")
    downslope = _downslope(grid)
    for name in ("velocity", "velocity_error", "sensitivity"):
        downslope[name][:] = np.nan
    figures.plot_downslope(downslope, tmp_path / "d.png", grid=grid, height=ridge)
    page = _page(tmp_path / "d.png")
    for axes, relief in zip(drawn[0].axes[:3], (True, False, False), strict=True):
        west, east = (
            _drawn_at(page, drawn[0], axes, across, (0.3, 0.7)).mean()
            for across in ((0.15, 0.45), (0.55, 0.85))
        )
        assert (west - east > 30.0) if relief else abs(west - east) < 3.0


def test_geographic_maps_keep_their_proportions(grid, tmp_path, drawn):
    # 0.002 deg of longitude at 60 N are as long as 0.001 deg of latitude: pixels are square.
    figures.plot_closure(
        xr.Dataset(
            {k: _map(GEOGRAPHIC, 1, "1") for k in ("closure_count", "closure_count_before")}
        ),
        tmp_path / "g.png",
        grid=GEOGRAPHIC,
    )
    box = drawn[0].axes[0].get_window_extent()
    assert box.height / box.width == pytest.approx(50 / 40, rel=0.01)
    labels = [t.get_text() for t in drawn[0].axes[0].get_xticklabels()]
    assert all(t.endswith("°E") for t in labels if t)
    assert len(set(labels)) == len(labels)


def test_scale_bar_is_as_long_as_it_says(grid, tmp_path, drawn):
    figures.plot_velocity(_velocity(GEOGRAPHIC), tmp_path / "s.png", grid=GEOGRAPHIC)
    axes = drawn[0].axes[0]
    bar = axes.lines[0].get_xdata()
    text = next(t.get_text() for t in axes.texts if t.get_text().endswith("km"))
    latitude = 60.025
    metres = (bar[1] - bar[0]) * 111_195.0 * np.cos(np.radians(latitude))
    assert metres == pytest.approx(1000.0 * float(text.split()[0]), rel=1e-3)


def test_baselines_of_dates_follow_from_those_of_pairs(tmp_path, drawn):
    pairs, truth = _pairs()
    pairs.loc[3, "perpendicular_baseline_m"] = np.nan
    figures.plot_network(pairs, tmp_path / "n.png")
    nodes = drawn[0].axes[0].lines[-1].get_ydata()
    np.testing.assert_allclose(nodes, truth, atol=1e-9)
    title = drawn[0].axes[0].get_title("left")
    left_out = int((pairs["used"] == 0).sum())
    assert title.startswith("12 dates") and f"{left_out} left out" in title
    # A date whose baseline no pair tells: arcs over time, not a baseline of zero.
    alone = (pairs["reference"] == pairs["reference"].iloc[0]).to_numpy()
    pairs.loc[alone, "perpendicular_baseline_m"] = np.nan
    figures.plot_network(pairs, tmp_path / "n.png")
    assert drawn[1].axes[0].get_ylabel() == "Temporal baseline (days)"


def test_islands_and_unknown_coherence_are_told(tmp_path, drawn):
    pairs, _ = _pairs(8, 1)
    pairs["used"] = [1, 1, 1, 0, 1, 1, 1]
    figures.plot_network(pairs.drop(columns="mean_coherence"), tmp_path / "n.png")
    assert "2 islands" in drawn[0].axes[0].get_title("left")


def test_fastest_pixel_is_no_lone_outlier(grid):
    rate = np.full(grid.shape, 0.001)
    rate[10:14, 20:24] = -0.5
    rate[3, 4] = 9.0  # a single wild pixel
    velocity = _velocity(grid, rate)
    velocity["velocity"][20:25, 5:10] = 2.0  # fast, but flagged
    velocity["reason"][20:25, 5:10] = Reason.ALIASED
    x, y = figures.fastest_pixel(velocity)
    assert x in grid.x[20:24]
    assert y in grid.y[10:14]
    assert np.isnan(figures.fastest_pixel(_velocity(grid, np.full(grid.shape, np.nan)))).all()


def test_series_states_the_rate_and_its_interval(grid, tmp_path, drawn):
    rate = np.full(grid.shape, 0.0)
    rate[5:12, 5:12] = 0.080
    velocity = _velocity(grid, rate)
    reference = float(grid.x[30]), float(grid.y[20])
    figures.plot_series(
        _series(grid, velocity), velocity, tmp_path / "s.png", grid=grid, reference=reference
    )
    titles = [axes.get_title("left") for axes in drawn[0].axes]
    assert "fastest: 80.0 ± 7.8 mm/yr (95 %)" in titles
    assert "reference: zero by definition" in titles


DAY = np.timedelta64(1, "D")
EPOCH = np.datetime64("2019-02-01", "ns")


def _motion(after):
    """Displacement (m) some time ``after`` the epoch, and its velocity (m/yr) at day 600.

    Creep that quickens, seasons, a slide of 30 mm on day 500; the calendar's year, as it falls.
    """
    years = after / DAY / 365.25
    season = 2.0 * np.pi * (years + 31.0 / 365.25)
    d = 0.05 * years + 0.01 * years**2 + 0.012 * np.sin(season + 0.7) + 0.004 * np.cos(2 * season)
    return d + 0.03 * (after >= 500 * DAY), 0.05 + 0.02 * 600 / 365.25


@pytest.mark.parametrize("noise_m", [0.0, 0.003])
def test_series_is_drawn_with_the_model_that_was_fitted(grid, tmp_path, drawn, noise_m):
    """Motion by formula, dates missing; the curve must follow it between dates and at the step."""
    after = np.arange(0, 1201, 12) * DAY  # the mean is day 600
    truth, rate = _motion(after)
    velocity = _velocity(grid, np.full(grid.shape, rate))
    series = truth + np.random.default_rng(7).normal(0.0, noise_m, after.size)
    series[[3, 40, 41, 42, 77]] = np.nan
    values = np.broadcast_to(series[:, None, None], (after.size, *grid.shape))
    displacement = xr.DataArray(
        values, dims=(DATE, *MAP), coords={DATE: EPOCH + after, **grid.coords},
        attrs={"units": "m"},
    ).to_dataset(name="displacement")  # fmt: skip
    step = str((EPOCH + 500 * DAY).astype("datetime64[D]"))
    figures.plot_series(
        displacement, velocity, tmp_path / "s.png", grid=grid,
        terms=["annual", "semiannual", "acceleration"], steps=[step],
    )  # fmt: skip
    axes = drawn[0].axes[1]
    curve = axes.lines[1]
    at = curve.get_xdata(orig=True) - EPOCH
    drawn_mm, true_mm = curve.get_ydata(), 1000.0 * _motion(at)[0]
    assert at.size > 500
    np.testing.assert_allclose(drawn_mm, true_mm, atol=1e-6 + 1.2e3 * noise_m)
    here = int(np.flatnonzero(at == 500 * DAY)[0])
    jump = drawn_mm[here] - drawn_mm[here - 1]
    assert jump == pytest.approx(30.0, abs=1e-5 + 1e3 * noise_m)
    ends = axes.collections[0].get_paths()[0].vertices[:, 1]
    half = 0.5 * (ends.max() - drawn_mm.max() + drawn_mm.min() - ends.min())
    assert half == pytest.approx(1960.0 * noise_m, rel=0.15, abs=1e-4)
    assert axes.get_title("left").startswith("fastest: 82.9 ± 7.8 mm/yr (95 %)")
    told = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert "fitted velocity, annual, semiannual, acceleration, 1 step" in told


def test_ground_that_is_merely_assumed_stable_is_called_so(grid, tmp_path, drawn):
    """From the mask that corrections use, by way of the file, to the words in the figures."""
    velocity = _velocity(grid)
    known = _map(grid, 1, "1") > 0
    for folder, given in (("assumed", None), ("known", known)):
        mask = stable_ground(velocity["temporal_coherence"], known=given, min_quality=0.0)
        path = tmp_path / folder / "displacement.zarr"
        write_dataset(mask.astype("uint8").to_dataset(), path, grid=grid)
        mask = open_dataset(path, rows=10)["stable_ground"].compute()
        figures.plot_velocity(velocity, tmp_path / "v.png", grid=grid, stable_ground=mask)
    told = [figure.axes[-1].get_title("left") for figure in drawn]
    assert told[0].startswith("Assumed stable ground: 1\u202f073 pixels\n")
    assert told[1].startswith("Stable ground: 1\u202f073 pixels\n")
    for assumption, name in (
        ("nothing was given", "assumed stable ground"),
        (None, "stable ground"),
    ):
        figures.plot_corrections(CORRECTIONS, tmp_path / "c.png", assumption=assumption)
        assert drawn[-1].axes[0].get_xlabel() == f"Variance over {name} removed (%)"


def test_stable_ground_that_moves_is_said_to(grid, tmp_path, drawn):
    """Rates that scatter by 20 mm/yr, stated to be good to 4, then to 18."""
    velocity = _velocity(grid)
    stable = _map(grid, 1, "1")
    figures.plot_velocity(velocity, tmp_path / "v.png", grid=grid, stable_ground=stable)
    figures.plot_velocity(velocity, tmp_path / "v.png", grid=grid)
    velocity["velocity_error"][:] = 0.018
    figures.plot_velocity(velocity, tmp_path / "v.png", grid=grid, stable_ground=stable)
    told = [figure.axes[-1].get_title("left") for figure in drawn]
    assert told[0].endswith("mm/yr\nmoves or is noisy: stated error 4")
    assert all("noisy" not in text for text in told[1:])


def test_correction_that_adds_variance_shows_as_negative(tmp_path, drawn):
    figures.plot_corrections(CORRECTIONS, tmp_path / "c.png")
    widths = sorted(bar.get_width() for bar in drawn[0].axes[0].patches)
    np.testing.assert_allclose(widths, [-100 * 0.2 / 1.2, 52.0], rtol=1e-6)
    unknown = {"ramp": {"variance_before_m2": None, "variance_after_m2": None, "applied": True}}
    figures.plot_corrections(unknown, tmp_path / "u.png")
    assert drawn[1].axes[0].texts[0].get_text() == "unknown"


@pytest.mark.parametrize(
    ("before_mm", "after_mm", "text"),
    [
        (0.60, 0.579, "6.9 %  (0.600 to 0.579 mm)"),
        (7.4108, 7.3785, "0.87 %  (7.411 to 7.378 mm)"),
        (30.0, 12.0, "84 %  (30.0 to 12.0 mm)"),
        (5.1, 5.31, "\u22128.4 %  (5.10 to 5.31 mm)"),
        (2.0, 2.0, "0.0 %  (2.0 to 2.0 mm)"),
        (2.0, 0.0, "100 %  (2.0 to 0.0 mm)"),
    ],
)
def test_a_small_gain_can_be_read_from_the_numbers(tmp_path, drawn, before_mm, after_mm, text):
    before, after = (1e-6 * value**2 for value in (before_mm, after_mm))
    entry = {"variance_before_m2": before, "variance_after_m2": after, "applied": True}
    figures.plot_corrections({"height": entry}, tmp_path / "c.png")
    assert drawn[0].axes[0].texts[0].get_text() == text


@pytest.mark.parametrize("techniques", [0.0, 2.0])
def test_labelled_objects_lie_on_the_map_of_probability(grid, tmp_path, drawn, techniques):
    rng = np.random.default_rng(3)
    maps = xr.Dataset(
        {name: _map(grid, rng.uniform(low, low + 0.1, grid.shape), "1")
         for name, low in (("probability_low", 0.1), ("probability", 0.2),
                           ("probability_high", 0.3))}
    )  # fmt: skip
    maps["valid_techniques"] = _map(grid, techniques, "1")
    west, south, east, north = grid.bounds
    middle = 0.5 * (west + east), 0.5 * (south + north)
    objects = geopandas.GeoDataFrame(
        {"kind": [1, 5, 0], "point": [False, True, True]}, crs=grid.crs,
        geometry=[shapely.box(west + 80.0, south + 80.0, west + 400.0, south + 300.0),
                  shapely.Point(middle).buffer(60.0), shapely.Point(west, south).buffer(60.0)],
    )  # fmt: skip
    figures.plot_probability(
        maps, _map(grid, 5.0, "1"), tmp_path / "p.png", grid=grid, objects=objects
    )
    titles = [axes.get_title(loc="left") for axes in drawn[0].axes]
    assert ("Techniques that saw the ground" in titles) == (techniques > 0.0)
    first = drawn[0].axes[0]
    (marks,) = [line for line in first.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(marks.get_xydata(), [middle], atol=0.5)
    (outlines,) = [one for one in first.collections if isinstance(one, LineCollection)]
    np.testing.assert_allclose(outlines.get_segments()[0].min(axis=0), [west + 80.0, south + 80.0])
    legend = [text.get_text() for text in drawn[0].legends[0].texts]
    assert "labelled rock glaciers (2)" in legend
    assert any(text.startswith("rock glacier of unknown activity") for text in legend)


def test_reliability_shows_each_side_where_it_was_told_and_found(tmp_path, drawn):
    rng = np.random.default_rng(2)
    P = rng.beta(0.4, 3.0, 20_000)
    sides = {
        "fusion": foretold(rng.random(P.size) < P, P),
        "snow": foretold(rng.random(P.size) < P**2, P),
        "offsets": foretold(rng.random(P.size) < 0.02, np.full(P.size, 0.02)),
    }
    figures.plot_reliability(sides, tmp_path / "r.png", title="Region")
    curve, count = drawn[0].axes
    fusion = curve.lines[1].get_xydata()
    np.testing.assert_allclose(fusion.T, [sides["fusion"]["reliability"][n] for n in
                                          ("told", "found")])  # fmt: skip
    assert np.abs(fusion[:-1, 0] - fusion[:-1, 1]).max() < 0.1  # few are in the last bin
    assert sum(count.lines[0].get_ydata()) == P.size
    told = [text.get_text() for text in drawn[0].legends[0].texts]
    assert told[2] == "offsets (no such pixel)" and told[0].startswith("fusion (error 0.0")
    assert "error 0.1" in told[1]


def test_a_region_without_any_observation_still_has_figures(grid, tmp_path):
    nothing = np.full(grid.shape, np.nan)
    velocity = _velocity(grid, nothing)
    for name in ("temporal_coherence", "closure_count"):
        velocity[name] = _map(grid, nothing, "1")
    voids = _map(grid, nothing, "m")
    figures.plot_velocity(velocity, tmp_path / "v.png", grid=grid, height=voids)
    figures.plot_series(_series(grid, velocity), velocity, tmp_path / "s.png", grid=grid)
    closure = velocity[["closure_count"]]
    closure["closure_count_before"] = closure["closure_count"]
    figures.plot_closure(closure, tmp_path / "c.png", grid=grid)
    empty = _downslope(grid)
    for name in ("velocity", "velocity_error", "sensitivity"):
        empty[name] = _map(grid, nothing, empty[name].attrs["units"])
    empty["reason"] = _map(grid, 1, "1")
    figures.plot_downslope(empty, tmp_path / "d.png", grid=grid, height=voids)
    figures.plot_corrections({}, tmp_path / "e.png")
    unseen = _offsets(grid)
    for name in ("east", "north", "detection_limit"):
        unseen[name] = _map(grid, nothing, "m/yr")
    figures.plot_offsets(unseen, tmp_path / "o.png", grid=grid, height=voids)
    assert len(list(tmp_path.iterdir())) == 6


def test_wrong_units_leave_no_file(grid, tmp_path):
    velocity = _velocity(grid)
    velocity["velocity"].attrs["units"] = "mm/yr"
    with pytest.raises(UnitsError, match="m/yr"):
        figures.plot_velocity(velocity, tmp_path / "v.png", grid=grid)
    assert not list(tmp_path.iterdir())
