"""The reference falls on coherent ground that does not move, and says why."""

import json
import logging

import geopandas
import numpy as np
import pytest
import xarray as xr
from shapely.geometry import box

from rockglacier.conventions import years_since
from rockglacier.errors import ConfigurationError, NetworkError, SceneError
from rockglacier.grid import Grid
from rockglacier.reference import (
    choose,
    coherence_over,
    polygons,
    reference_phase,
    stable_ground,
)

GRID = Grid("EPSG:32632", 640000.0, 5200000.0, 40.0, 40.0, 67, 59)
NOISE_RAD = 0.3


def on_grid(values, name="map", units="1"):
    return xr.DataArray(
        values, dims=("y", "x"), coords=GRID.coords, name=name, attrs={"units": units}
    )


def stack(seed=0, moving=None, rate_rad_yr=6.0):
    """Noise, an arbitrary constant per pair, and steady motion where ``moving``; all coherent."""
    rng = np.random.default_rng(seed)
    dates = np.datetime64("2020-01-01", "ns") + np.arange(12) * np.timedelta64(12, "D")
    first, second = np.array([(i, i + k) for i in range(12) for k in (1, 2, 3) if i + k < 12]).T
    span = years_since(dates[second], dates[0]) - years_since(dates[first], dates[0])
    phase = rng.normal(0, NOISE_RAD, (len(span), *GRID.shape))
    phase += rng.normal(0, 20.0, len(span))[:, None, None]
    if moving is not None:
        phase += np.where(moving, rate_rad_yr, 0.0) * span[:, None, None]
    coordinates = {
        **GRID.coords,
        "reference": ("pair", dates[first]),
        "secondary": ("pair", dates[second]),
    }
    phase = xr.DataArray(
        phase.astype(np.float32),
        dims=("pair", "y", "x"),
        coords=coordinates,
        name="phase",
        attrs={"units": "rad"},
    )
    coherence = xr.full_like(phase, 0.8).rename("coherence").assign_attrs(units="1")
    return phase, coherence


def inside(record, where):
    return where[slice(*record["rows"]), slice(*record["columns"])]


def test_the_reference_is_coherent_stable_observed_and_whole():
    phase, coherence = stack()
    rows, columns = np.indices(GRID.shape)
    coherence[:, :20] = 0.4
    phase[:, :, :10] = np.nan
    moving = on_grid((rows > 45) & (columns > 40))
    record = choose(phase, coherence, GRID, moving=moving)
    assert record["rows"][0] >= 20 and record["columns"][0] >= 10
    assert not inside(record, moving.values).any()
    assert record["rows"][1] - record["rows"][0] == 5
    assert record["pairs_without_phase"] == 0 and record["how"] == "chosen"
    assert any("assumed stable" in note for note in record["assumptions"])
    assert sum(entry["chosen"] for entry in record["candidates"]) == 1
    assert len(record["candidates"]) > 3
    assert json.loads(json.dumps(record, allow_nan=False)) == record


@pytest.mark.parametrize("seed", range(5))
def test_a_coherent_tongue_that_nobody_mapped_is_found_out(seed):
    rows, columns = np.indices(GRID.shape)
    tongue = np.hypot(rows - 29, columns - 33) < 8
    phase, coherence = stack(seed, moving=tongue)
    coherence = coherence.where(
        ~on_grid(tongue), 0.95
    )  # the most coherent ground, in the middle of the scene
    record = choose(phase, coherence, GRID)
    assert not inside(record, tongue).any()
    disagreeing = [e for e in record["candidates"] if inside(e, tongue).all()]
    assert disagreeing and all(e["scatter_rad"] > 2 * record["scatter_rad"] for e in disagreeing)


def test_height_and_distance_to_the_targets_decide_among_equals():
    phase, coherence = stack()
    rows, columns = np.indices(GRID.shape)
    targets = on_grid((rows < 6) & (columns < 6))
    height = on_grid(2000.0 + 0.0 * rows, units="m")
    height[:, :33] += 1500.0
    near = choose(phase, coherence, GRID, targets=targets)
    level = choose(phase, coherence, GRID, targets=targets, height=height)
    assert max(near["rows"][0], near["columns"][0]) < 12
    assert level["columns"][1] <= 33 and level["height_m"] == 3500.0
    valley = choose(phase, coherence, GRID, targets=on_grid(columns > 60), height=height)
    assert valley["height_m"] == 2000.0


def test_known_stable_ground_is_binding_and_coherence_is_relaxed_aloud(caplog):
    phase, coherence = stack()
    rows, columns = np.indices(GRID.shape)
    known = on_grid((rows > 40) & (columns < 20))
    coherence = coherence.where(~known, 0.5)
    with caplog.at_level(logging.WARNING):
        record = choose(phase, coherence, GRID, known=known)
    assert inside(record, known.values).all()
    assert record["min_coherence"]["asked"] == 0.7 and record["min_coherence"]["used"] < 0.5
    assert "relaxed" in caplog.text and any("relaxed" in n for n in record["assumptions"])


def test_lazy_equals_eager_for_awkward_chunks():
    phase, coherence = stack(3)
    coherence *= xr.DataArray(np.linspace(0.7, 1.1, GRID.width), dims="x").clip(0, 1)
    eager = choose(phase, coherence, GRID)
    chunks = {"pair": -1, "y": 7, "x": -1}
    assert choose(phase.chunk(chunks), coherence.chunk(chunks), GRID) == eager
    lazy = reference_phase(phase.chunk({"pair": 4, "y": 7, "x": 11}), eager)
    xr.testing.assert_identical(lazy, reference_phase(phase, eager))


def test_a_given_point_is_used_and_the_phase_there_recovered():
    from pyproj import Transformer

    phase, _ = stack(4)
    truth = np.linspace(-30.0, 30.0, phase.sizes["pair"])
    phase[:, 30:37, 20:27] = truth[:, None, None]
    phase[3, 31, 22:24] += 2 * np.pi  # another cycle
    phase[4, 30:33] = np.nan  # partly missing
    point = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True).transform(
        GRID.x[23], GRID.y[33]
    )
    record = choose(phase, None, GRID, point=point)
    assert record["rows"] == [31, 36] and record["columns"] == [21, 26]
    assert record["how"] == "given"
    found = reference_phase(phase, record)
    assert np.abs(found - truth).max() < 1e-5
    assert found.attrs["units"] == "rad"
    assert np.allclose(list(record["phase_rad"].values()), truth, atol=1e-4)


def test_gaps_do_not_keep_a_window_from_serving():
    phase, coherence = stack(5)
    gaps = np.random.default_rng(5).random(phase.shape) < 0.2
    record = choose(phase.where(~gaps), coherence.where(~gaps), GRID)
    assert record["pairs_without_phase"] == 0
    assert record["mean_coherence"] == pytest.approx(0.8, abs=1e-3)


def test_a_pair_without_phase_there_is_listed_or_dropped(caplog):
    phase, coherence = stack(6)
    phase[7] = np.nan
    record = choose(phase, coherence, GRID)
    assert record["pairs_without_phase"] == 1
    day = np.datetime_as_string(phase.reference.values[7], "D")
    with pytest.raises(NetworkError, match=day):
        reference_phase(phase, record)
    with caplog.at_level(logging.WARNING):
        out = reference_phase(phase, record, missing="drop")
    assert np.flatnonzero(out.isnull()).tolist() == [7] and day in caplog.text


def test_bad_settings_are_named():
    phase, coherence = stack()
    with pytest.raises(ConfigurationError, match=r"reference\.point"):
        choose(phase, coherence, GRID, point=(0.0, 0.0))
    with pytest.raises(ConfigurationError, match="window_pixels is 4"):
        choose(phase, coherence, GRID, window_pixels=4)
    with pytest.raises(ConfigurationError, match="No window of 5 x 5"):
        choose(phase, coherence, GRID, known=on_grid(np.eye(*GRID.shape, dtype=bool)))
    with pytest.raises(NetworkError, match="No pixel"):
        choose(phase * np.nan, coherence, GRID)


EMPTY = '{"type": "FeatureCollection", "features": []}'


def test_polygons_of_another_crs_fall_where_they_belong(tmp_path):
    square = box(GRID.x[10] - 25, GRID.y[20] - 25, GRID.x[19] + 25, GRID.y[11] + 25)
    path = tmp_path / "stable.gpkg"
    geopandas.GeoDataFrame(geometry=[square], crs=GRID.crs).to_crs(4326).to_file(path)
    covered = polygons(path, GRID)
    truth = np.zeros(GRID.shape, bool)
    truth[11:21, 10:20] = True
    assert np.array_equal(covered, truth)
    assert polygons(path, GRID, touched=True).sum() > covered.sum()
    away = tmp_path / "away.gpkg"
    geopandas.GeoDataFrame(geometry=[box(0, 0, 1, 1)], crs=4326).to_file(away)
    with pytest.raises(SceneError, match=r"away\.gpkg"):
        polygons(away, GRID)
    with pytest.raises(SceneError, match=r"absent\.gpkg"):
        polygons(tmp_path / "absent.gpkg", GRID)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent.gpkg", None, "does not exist; polygons in a GeoPackage"),
        ("cut.gpkg", "SQLite format 3", "is no vector file that can be read; polygons in"),
        ("cut.geojson", '{"type":', "is no vector file that can be read; polygons in"),
        ("table.csv", "x,y\n1,2\n", "is a table without shapes; polygons in"),
        ("empty.geojson", EMPTY, "holds no shape; at least one polygon"),
    ],
)
def test_a_vector_file_of_no_use_is_named_in_plain_words(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(SceneError, match=f"{name} {says}") as caught:
        polygons(tmp_path / name, GRID)
    message = str(caught.value)
    assert ".;" not in message and "driver" not in message and message.endswith(".")


def test_stable_ground_is_coherent_known_and_still():
    rows, columns = np.indices(GRID.shape)
    quality = on_grid(np.where(rows < 5, np.nan, 0.9))
    moving, known = on_grid(columns > 50), on_grid(columns > 30)
    assumed = stable_ground(quality, moving=moving)
    assert "assumed stable" in assumed.attrs["assumption"]
    assert np.array_equal(assumed, (rows >= 5) & (columns <= 50))
    given = stable_ground(quality, known=known, moving=moving)
    assert "assumption" not in given.attrs
    assert np.array_equal(given, (rows >= 5) & (columns > 30) & (columns <= 50))
    with pytest.raises(ConfigurationError):
        stable_ground(None)


def test_a_pair_is_as_coherent_as_the_ground_that_counts():
    _, coherence = stack()[:2]
    lake = on_grid(np.indices(GRID.shape)[1] < 30)
    seen = coherence.where(~lake, 0.05)
    seen[3] = seen[3].where(~lake | False, 0.9)  # a frozen lake says nothing of the slopes
    seen[4] = seen[4].where(lake)
    over = coherence_over(seen.chunk({"y": 10}), ~lake)
    assert np.allclose(np.delete(over, 4), 0.8, atol=1e-6) and np.isnan(over[4])
