"""The figures of a paper: right numbers, colours of the data, hatch where nothing was observed."""

import geopandas
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from shapely.geometry import Point

from rockglacier import figures, plates
from rockglacier.conventions import MAP, Kind, VelocitySource
from rockglacier.errors import SceneError
from rockglacier.grid import Grid

GRID = Grid("EPSG:32632", 640_000.0, 5_200_000.0, 40.0, 40.0, 120, 100)
# Column, row and radius (pixels), activity, type, kind that is labelled there, probability.
OBJECTS = {
    "RGU1": (15, 15, 8, "Active", "bare/active", Kind.ACTIVE, 0.80),
    "RGU2": (45, 15, 9, "Active", "bare/active", Kind.ACTIVE, 0.90),
    "RGU3": (75, 15, 3, "Active", "bare/active", Kind.ACTIVE, 0.97),  # small
    "RGU4": (105, 15, 9, "Active uncertain", "bare/active", None, 0.95),  # not labelled
    "RGU5": (15, 45, 9, "Transitional", "mixed ice-rock", Kind.RESTING, 0.60),
    "RGU6": (45, 45, 10, "Relict", "mixed ice-rock", Kind.RESTING, 0.70),  # unseen by radar
    "RGU7": (75, 45, 8, "Uncertain", "bare/active", None, 0.50),
    "RGU8": (105, 45, 4, "Relict", "mixed ice-rock", Kind.RESTING, 0.65),
}
ICE = {"g1": (30, 80, 10, 0.7), "g2": (80, 80, 12, 0.9)}
SIDE = {
    "pixels": {
        "overall_accuracy": 0.9612, "overall_accuracy_95": (0.9401, 0.9755), "kappa": 0.71,
        "balanced_accuracy": 0.82, "blocks": 36,
    },
    "objects": {
        "precision": 0.75, "precision_95": (0.4677, 0.9111), "recall": 0.6,
        "recall_95": (0.3575, 0.8018), "f1": 0.6667, "f1_95": (0.4171, 0.8482),
    },
}  # fmt: skip
ALONE = {
    "pixels": SIDE["pixels"] | {"overall_accuracy": 0.9012},
    "objects": SIDE["objects"] | {"precision": float("nan"), "precision_95": (0.0, 1.0)},
}


def disc(column, row, radius):
    return Point(GRID.x[column], GRID.y[row]).buffer(40.0 * radius)


def _map(values, units="1"):
    values = np.broadcast_to(np.asarray(values, np.float32), GRID.shape).copy()
    return xr.DataArray(values, dims=MAP, coords=GRID.coords, attrs={"units": units})


def inside(column, row, radius):
    y, x = np.mgrid[: GRID.height, : GRID.width]
    return np.hypot(x - column, y - row) <= radius


class Valley:
    """Objects of known activity and probability, their labels, and maps of what shows them."""

    def __init__(self):
        rows = [(n, *OBJECTS[n][3:5], disc(*OBJECTS[n][:3])) for n in OBJECTS]
        names, activity, types, shapes = zip(*rows, strict=True)
        self.objects = geopandas.GeoDataFrame(
            {"PrimaryID": names, "ActiCl": activity, "SeedType": types},
            geometry=list(shapes), crs=GRID.crs,
        ).to_crs("EPSG:4326")  # fmt: skip
        known = [(n, int(o[5]), disc(*o[:3])) for n, o in OBJECTS.items() if o[5] is not None]
        known += [(n, int(Kind.CLEAN), disc(*o[:3])) for n, o in ICE.items()]
        names, kinds, shapes = zip(*known, strict=True)
        self.labels = geopandas.GeoDataFrame(
            {"name": names, "kind": kinds}, geometry=list(shapes), crs=GRID.crs
        )
        y, x = np.mgrid[: GRID.height, : GRID.width]
        self.height = _map(2500.0 + 9.0 * y + 150.0 * np.sin(x / 7.0), "m")
        P = np.full(GRID.shape, 0.02)
        clean, speed, variation, snow = (np.zeros(GRID.shape) for _ in range(4))
        for column, row, radius, activity, _, _, probability in OBJECTS.values():
            here = inside(column, row, radius)
            P[here] = probability
            speed[here] = 0.8 if activity.startswith("Active") else 0.03
            variation[here] = 2.5
        for column, row, radius, probability in ICE.values():
            clean[inside(column, row, radius)] = probability
            snow[inside(column, row, radius)] = 0.75
        P[:4, :30] = np.nan
        variation[inside(*OBJECTS["RGU6"][:3])] = np.nan
        source = np.where(x < 100, VelocitySource.INTERFEROMETRY, VelocitySource.OFFSETS)
        self.probability = _map(P)
        self.velocity = xr.Dataset(
            {"velocity": _map(speed, "m/yr"), "velocity_source": _map(source)}
        )
        self.factors = xr.Dataset(
            {"backscatter_std": _map(variation, "dB"), "snow_melt_mean": _map(snow)}
        )
        self.clean = _map(clean)

    def maps(self, factors=None):
        factors = self.factors if factors is None else factors
        return plates.maps_of(self.velocity, factors, self.probability, self.clean)

    def inventory(self, path, **options):
        plates.plot_inventory(
            self.probability, self.height, self.objects, {"fusion": SIDE, "snow": ALONE}, path,
            grid=GRID, **options,
        )  # fmt: skip

    def examples(self, path, maps=None, **options):
        maps = self.maps() if maps is None else maps
        chosen = plates.examples(self.objects, self.labels, maps, grid=GRID)
        plates.plot_examples(chosen, maps, self.height, path, grid=GRID, **options)


@pytest.fixture(scope="module")
def valley():
    return Valley()


def page(path):
    """Colours (row, column, 3) of a PNG."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), int)


def around(image, figure, axes, column, row, half=4):
    """Pixels of ``image`` about the middle of the pixel (column, row) of the map."""
    x, y = axes.transData.transform((GRID.x[column], GRID.y[row]))
    scale = image.shape[1] / figure.bbox.width
    x, y = round(scale * x), round(image.shape[0] - scale * y)
    return image[y - half : y + half, x - half : x + half].reshape(-1, 3)


def colour(name, share):
    return np.array(mpl.colormaps[name](share)[:3]) * 255.0


def words(figure):
    found = [t for axes in figure.axes for t in axes.texts]
    return [t.get_text() for t in found] + [axes.get_title("left") for axes in figure.axes]


def test_numbers_of_the_map_are_those_of_the_products(valley, tmp_path, drawn):
    valley.inventory(tmp_path / "one.png")
    told = words(drawn[0])
    assert "b  8 objects, 4 active" in told
    _, counts, shares = drawn[0].axes[:3]
    assert [round(bar.get_width()) for bar in counts.patches] == [3, 1, 1, 0, 2, 1, 213]
    assert [t.get_text() for t in counts.texts] == ["3", "1", "1", "0", "2", "1", "213"]
    assert [t.get_text() for t in shares.texts] == [
        "96.1 (94.0–97.5)", "75.0 (46.8–91.1)", "60.0 (35.8–80.2)", "66.7 (41.7–84.8)",
        "82.6 (77.0–87.1)",
    ]  # fmt: skip
    interval, value = shares.lines[8:10]
    np.testing.assert_allclose(value.get_xdata(), 82.63)
    np.testing.assert_allclose(interval.get_xdata(), [77.0, 87.1], atol=0.05)
    np.testing.assert_allclose(shares.lines[2].get_xdata(), [46.77, 91.11])
    assert "does not say what it is the share of" in drawn[0].get_supxlabel().replace("\n", " ")


def test_an_empty_inventory_has_a_map_and_no_accuracy_of_objects(valley, tmp_path, drawn):
    nothing = valley.objects.iloc[:0]
    plates.plot_inventory(
        valley.probability, valley.height, nothing, {"fusion": ALONE}, tmp_path / "one.png",
        grid=GRID,
    )  # fmt: skip
    assert "b  0 objects, 0 active" in words(drawn[0])
    assert [t.get_text() for t in drawn[0].axes[2].texts][:2] == ["90.1 (94.0–97.5)", "unknown"]
    chosen = plates.examples(nothing, valley.labels, valley.maps(), grid=GRID)
    assert [one.name for one in chosen] == ["RGU2", "RGU5", "g2"]
    assert chosen[0].whence == "labelled, not found as such"


def test_probability_has_the_colours_of_its_bar_and_relief_none(valley, tmp_path, drawn):
    valley.inventory(tmp_path / "one.png")
    image, axes = page(tmp_path / "one.png"), drawn[0].axes[0]
    for column, row, _, _, _, _, P in OBJECTS.values():
        seen = around(image, drawn[0], axes, column, row, half=2)
        np.testing.assert_allclose(seen, np.tile(colour("magma_r", P), (len(seen), 1)), atol=3.0)
    bar = axes.child_axes[0]._colorbar
    assert (bar.norm.vmin, bar.norm.vmax, bar.cmap.name) == (0.0, 1.0, "magma_r")
    # Ground of low probability is grey, and light or dark with its slope.
    lit, dark = (around(image, drawn[0], axes, column, 62) for column in (22, 44))
    for seen in (lit, dark):
        assert np.ptp(seen, axis=1).max() <= 2
    assert abs(lit.mean() - dark.mean()) > 20.0


def test_what_was_not_observed_is_hatched_not_low(valley, tmp_path, drawn):
    nothing = valley.probability.where(valley.probability.y < GRID.y[30])
    plates.plot_inventory(
        nothing, valley.height, valley.objects, {"fusion": SIDE}, tmp_path / "one.png", grid=GRID
    )
    image = page(tmp_path / "one.png")
    unseen, low = (around(image, drawn[0], drawn[0].axes[0], 60, row, half=30) for row in (14, 72))
    assert unseen.std() > 10.0 > low.std()  # lines of the hatch


def test_outlines_are_lines_of_their_activity_where_the_objects_are(valley, tmp_path, drawn):
    valley.inventory(tmp_path / "one.png")
    axes = drawn[0].axes[0]
    lines = {}
    for collection in axes.collections:
        colour = mpl.colors.to_hex(collection.get_colors()[0])
        if colour != "#ffffff":
            solid = collection.get_linestyles()[0][1] is None
            lines[colour, solid] = collection.get_segments()
    blue, sky, green = "#0072b2", "#56b4e9", "#009e73"
    counts = {key: len(rings) for key, rings in lines.items() if rings}
    assert counts == {
        (blue, True): 3, (blue, False): 1, (sky, True): 1, (green, True): 2, ("#595959", False): 1,
    }  # fmt: skip
    ring = lines[sky, True][0]
    middle = GRID.x[15], GRID.y[45]
    np.testing.assert_allclose(np.hypot(*(ring - middle).T), 40.0 * 9, rtol=0.01)
    shown = {t.get_text() for t in axes.get_legend().get_texts()}
    assert "not observed" in shown and "Transitional" in shown and "Relict uncertain" not in shown


def test_examples_are_known_seen_and_not_small(valley):
    maps = valley.maps()
    maps["velocity"] = maps["velocity"].fillna(0.8)
    chosen = plates.examples(valley.objects, valley.labels, maps, grid=GRID)
    # RGU3 is likelier but small, RGU4 is not labelled, RGU6 is likelier but radar sees none of it.
    assert [one.name for one in chosen] == ["RGU2", "RGU5", "g2"]
    np.testing.assert_allclose([one.probability for one in chosen], [0.9, 0.6, 0.9], atol=0.01)
    seen = maps.assign(backscatter_std=maps["backscatter_std"].fillna(2.5))
    assert plates.examples(valley.objects, valley.labels, seen, grid=GRID)[1].name == "RGU6"


def test_what_a_region_lacks_is_left_out_of_its_examples(valley, caplog):
    maps, labels = valley.maps(), valley.labels
    dry = labels[labels["kind"] != int(Kind.CLEAN)]
    assert len(plates.examples(valley.objects, dry, maps, grid=GRID)) == 2
    assert "no object to show: Clean glacier" in caplog.text
    outlines = labels[labels["kind"] == int(Kind.CLEAN)][["geometry"]]
    found = plates.examples(valley.objects, dry, maps, grid=GRID, glaciers=outlines)
    assert found[2].outline.equals(disc(*ICE["g2"][:3]))
    # Without a labelled object of a kind all of the inventory's stand for it.
    none = labels[labels["kind"] == int(Kind.CLEAN)]
    first = plates.examples(valley.objects, none, maps, grid=GRID)[0]
    assert (first.name, first.whence) == ("RGU2", "found, not labelled")
    # Labelled ones that the inventory does not tell as such stand for themselves.
    mistaken = valley.objects.assign(
        ActiCl=valley.objects["ActiCl"].replace({"Transitional": "Active", "Relict": "Active"})
    )
    second = plates.examples(mistaken, labels, maps, grid=GRID)[1]
    assert (second.name, second.whence) == ("RGU5", "labelled, not found as such")
    with pytest.raises(SceneError, match="none of 1 objects"):
        plates.examples(valley.objects.iloc[6:7], dry.iloc[:0], maps, grid=GRID)


def test_each_column_has_the_colours_of_its_own_bar(valley, tmp_path, drawn):
    valley.examples(tmp_path / "two.png")
    figure, image = drawn[0], page(tmp_path / "two.png")
    assert len(figure.axes) == 3 * 5 + 5
    bars = [axes._colorbar for axes in figure.axes[15:19]]
    assert [bar.cmap.name for bar in bars] == ["RdBu_r", "viridis", "cividis", "magma_r"]
    labels = [bar.ax.get_xlabel().replace("\n", " ") for bar in bars]
    assert labels[0] == "m/yr, positive down the slope" and labels[1].startswith("dB")
    places = {0: (45, 15), 1: (15, 45), 2: (80, 80)}
    values = {0: (0.8, 2.5, 0.0, 0.9), 1: (0.03, 2.5, 0.0, 0.6), 2: (0.0, 0.0, 0.75, 0.02)}
    for row, place in places.items():
        for column, (bar, value) in enumerate(zip(bars, values[row], strict=True), start=1):
            seen = around(image, figure, figure.axes[5 * row + column], *place, half=2)
            told = colour(bar.cmap.name, float(bar.norm(value)))
            np.testing.assert_allclose(seen.mean(axis=0), told, atol=3.0)
    # Creep of 3 cm/yr is not lost beside 0.8 m/yr.
    assert bars[0].norm(0.03) - bars[0].norm(0.0) > 0.1


def test_a_technique_that_did_not_see_is_hatched_and_offsets_are_no_interferometry(
    valley, tmp_path, drawn
):
    maps = valley.maps()
    shown = valley.velocity["velocity_source"] == VelocitySource.INTERFEROMETRY
    np.testing.assert_array_equal(maps["velocity"].notnull(), shown)
    two = [
        plates.Example("Unseen by radar", "", "RGU6", disc(*OBJECTS["RGU6"][:3]), 0.7),
        plates.Example("Told by offsets", "", "RGU4", disc(*OBJECTS["RGU4"][:3]), 0.95),
    ]
    plates.plot_examples(two, maps, valley.height, tmp_path / "two.png", grid=GRID)
    figure, image = drawn[0], page(tmp_path / "two.png")
    for axes, place in ((figure.axes[2], (45, 45)), (figure.axes[6], (107, 15))):
        unseen = around(image, figure, axes, *place, half=20)
        assert np.ptp(unseen, axis=1).max() <= 2 and unseen.std() > 10.0  # grey lines
    seen = around(image, figure, figure.axes[1], 45, 45, half=20)
    assert seen.std(axis=0).max() < 1.0


@pytest.mark.parametrize("first", [disc(75, 15, 3), disc(107, 15, 4)], ids=["small", "unseen"])
def test_a_wide_view_of_slow_ground_leaves_the_others_their_colours(valley, tmp_path, drawn, first):
    outlines = [first, disc(75, 15, 3), disc(60, 78, 18)]
    chosen = [plates.Example("", "", "", outline, 0.5) for outline in outlines]
    plates.plot_examples(chosen, valley.maps(), valley.height, tmp_path / "two.png", grid=GRID)
    bar = drawn[0].axes[15]._colorbar
    assert 0.8 <= bar.norm.vmax <= 1.0 and bar.extend == "neither"


def test_a_region_without_a_technique_shows_the_others(valley, tmp_path, drawn):
    valley.examples(tmp_path / "two.png", valley.maps(valley.factors[["snow_melt_mean"]]))
    titles = [axes.get_title("left") for axes in drawn[0].axes[1:4]]
    assert titles == ["InSAR velocity", "NDSI of summer", "Fused"]


@pytest.mark.parametrize("place", [(3, 3, 2), (118, 97, 9), (60, 50, 70)])
def test_a_window_is_square_and_within_the_region(place):
    rows, columns = plates.window(disc(*place), GRID)
    assert 0 <= rows.start < rows.stop <= GRID.height
    assert 0 <= columns.start < columns.stop <= GRID.width
    if place[2] < 60:
        assert rows.stop - rows.start == columns.stop - columns.start >= 25


def test_files_are_as_publishers_want_them(valley, tmp_path):
    for name, plot in (("one", valley.inventory), ("two", valley.examples)):
        for folder in "ab":
            plot(tmp_path / folder / f"{name}.pdf", title="Valley", provenance={"sources": "x"})
        content = (tmp_path / "a" / f"{name}.pdf").read_bytes()
        assert content == (tmp_path / "b" / f"{name}.pdf").read_bytes()
        assert b"/FontFile2" in content and b"/CIDFontType2" in content  # TrueType: type 42
        assert b"/Type3" not in content
        assert content.count(b"/Subtype /Image") >= 2  # rasters; all else is vectors
        assert len(content) < 400_000
    valley.inventory(tmp_path / "one.png")
    from PIL import Image

    with Image.open(tmp_path / "one.png") as image:
        assert image.width == round(plates.WIDTH * 300)


@pytest.mark.parametrize(("width", "height"), [(120, 50), (60, 100)], ids=["flat", "tall"])
def test_nothing_is_clipped_and_no_text_overlaps(valley, tmp_path, drawn, width, height):
    grid = GRID.part(0, height, 0, width)
    part = {MAP[0]: slice(0, height), MAP[1]: slice(0, width)}
    maps, ground = valley.maps().isel(part), valley.height.isel(part)
    many = pd.concat([valley.objects] * 90)
    plates.plot_inventory(
        valley.probability.isel(part), ground, many, {"fusion": SIDE},
        tmp_path / "one.png", grid=grid, title="A name as long as regions have them, and longer",
    )  # fmt: skip
    chosen = plates.examples(valley.objects, valley.labels, maps, grid=grid)
    plates.plot_examples(chosen, maps, ground, tmp_path / "two.png", grid=grid, title="Valley")
    for figure in drawn:
        with mpl.rc_context(figures.STYLE):
            renderer = FigureCanvasAgg(figure).get_renderer()
            figure.draw_without_rendering()
            places = [(t.get_text(), t.get_window_extent(renderer)) for t in _texts(figure)]
        assert len(places) > 25
        for text, box in places:
            assert box.x0 >= figure.bbox.x0 and box.x1 <= figure.bbox.x1, text
            assert box.y0 >= figure.bbox.y0 and box.y1 <= figure.bbox.y1, text
        for i, (text, box) in enumerate(places):
            for other, place in places[i + 1 :]:
                assert not box.overlaps(place), (text, other)


def _texts(figure):
    found = [figure._supxlabel, figure._suptitle]
    for axes in figure.findobj(Axes):
        legend = axes.get_legend()
        found += legend.get_texts() if legend else []
        found += [axes._left_title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            found += [t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
    return [t for t in found if t.get_visible() and t.get_text().strip()]


def test_a_note_of_wide_letters_keeps_within_the_figure():
    figure = Figure(figsize=(5.0, 3.0), layout="constrained")
    plates._note(figure, "RGU469115N0108800E (FOUND, MEAN 0.98); " * 12)
    figure.draw_without_rendering()
    box = figure.get_supxlabel() and figure._supxlabel.get_window_extent()
    assert box.x0 >= 0.0 and box.x1 <= figure.bbox.x1
