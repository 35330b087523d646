"""Candidates of objects from discs and ribbons of known likelihood, and what tells them apart."""

import geopandas
import numpy as np
import pytest
from shapely.geometry import Point

from rockglacier.conventions import Kind
from rockglacier.errors import ConfigurationError
from rockglacier.evaluation import matched
from rockglacier.fusion import objects
from rockglacier.grid import Grid
from rockglacier.inventory.candidates import TRAITS, apart, candidates, numbered
from rockglacier.inventory.outlines import Shape, labelled, outlines

GRID = Grid("EPSG:32632", 640_000.0, 5_190_000.0, 40.0, 40.0, 200, 200)
X, Y = np.meshgrid(GRID.x, GRID.y)
FOLD = np.add(X.mean() < X, 2 * (Y.mean() < Y), dtype=int)


def probability(log_odds):
    return 1.0 / (1.0 + np.exp(-log_odds))


def disc(east, north, radius):
    return np.hypot(X - 640_000.0 - east, Y - 5_190_000.0 + north) <= radius


@pytest.fixture(scope="module")
def ground():
    """Discs of 12 to 98 % among ribbons as likely as many of them, and their outlines."""
    rng = np.random.default_rng(3)
    odds = np.full(GRID.shape, -7.0)
    for k in range(9):  # ribbons of one pixel or two, from one side to the other
        slope, first = rng.uniform(-0.3, 0.3), 900.0 * k
        odds[np.abs(Y - 5_182_200.0 - first - slope * (X - X.mean())) < 45.0] = rng.uniform(-1, 2)
    places, shapes = [], []
    while len(shapes) < 40:
        place = rng.uniform(400.0, 7600.0, 2)
        if all(np.hypot(*(place - other)) > 700.0 for other in places):
            radius = rng.uniform(130.0, 260.0)
            odds[disc(*place, radius)] = rng.uniform(-2.0, 4.0)
            places.append(place)
            middle = Point(640_000.0 + place[0], 5_190_000.0 - place[1])
            shapes.append(middle.buffer(radius))
    odds += rng.normal(0.0, 1.0, GRID.shape)
    kinds = [int(Kind.ACTIVE if k % 2 else Kind.RESTING) for k in range(len(shapes))]
    table = {"name": range(len(shapes)), "kind": kinds, "point": False}
    return probability(odds), geopandas.GeoDataFrame(table, geometry=shapes, crs=GRID.crs)


def test_a_disc_is_a_candidate_with_its_traits() -> None:
    truth = disc(4000.0, 4000.0, 300.0)
    found = candidates(probability(np.where(truth, 1.2, -6.0)), GRID)
    shared = [truth.ravel()[own].sum() / (own.size + truth.sum()) for own in found.pixels]
    row = int(np.argmax(shared))
    assert shared[row] > 0.48  # half of what two alike would share
    told = dict(zip(TRAITS, found.traits[row], strict=True))
    assert np.exp(told["log_area"]) == pytest.approx(np.pi * 0.3**2, rel=0.15)
    assert told["top"] == pytest.approx(1.2, abs=0.05)
    assert 5.0 < told["contrast"] < 7.5
    assert told["solidity"] > 0.9


def test_nothing_comes_of_nothing() -> None:
    for empty in (np.full(GRID.shape, np.nan), np.zeros(GRID.shape)):
        found = candidates(empty, GRID)
        assert len(found) == 0 and found.traits.shape == (0, len(TRAITS))
        assert numbered(found, apart(found, np.zeros(0))).max() == 0


def test_what_surrounds_a_candidate_and_some_of_it_may_be_unknown() -> None:
    odds = np.where(disc(4000.0, 4000.0, 300.0), 1.2, np.nan)
    odds[100, 100] = np.nan
    found = candidates(probability(odds), GRID)
    assert len(found) and np.isfinite(found.traits).all()


def test_degrees_are_refused() -> None:
    degrees = Grid("EPSG:4326", 10.0, 47.0, 0.001, 0.001, 20, 20)
    with pytest.raises(ConfigurationError, match="metres"):
        candidates(np.zeros(degrees.shape), degrees)


def test_of_candidates_that_share_ground_the_best_is_kept(ground) -> None:
    found = candidates(ground[0], GRID)
    worth = np.random.default_rng(0).normal(size=len(found))
    rows = apart(found, worth)
    assert (np.diff(worth[rows]) <= 0.0).all()
    number = numbered(found, rows)
    sizes = np.bincount(number.ravel(), minlength=rows.size + 1)[1:]
    assert list(sizes) == [found.pixels[row].size for row in rows]  # none overlaps another
    # What is left out shares ground with something better.
    for row in set(range(len(found))) - set(rows.tolist()):
        over = number.ravel()[found.pixels[row]]
        assert worth[rows[over[over > 0] - 1]].max() >= worth[row]


def scored(found, wanted):
    hits = int((matched(found, wanted) >= 0).sum())
    return 2.0 * hits / (len(found) + len(wanted))


def test_faint_objects_are_found_and_ribbons_are_none(ground) -> None:
    P, labels = ground
    part = objects.known(P, FOLD, labels, GRID)
    worth = objects.judged_by_others(part)
    learnt = scored(outlines(objects.chosen(part.found, worth), GRID), labels)
    # Hysteresis, with the best of all thresholds, which only the truth can tell.
    best = max(
        scored(outlines(labelled(P, GRID, Shape(low, high)), GRID), labels)
        for low in (0.1, 0.2, 0.3, 0.5) for high in (0.5, 0.6, 0.7, 0.8, 0.9)
    )  # fmt: skip
    assert learnt > 0.85 and learnt > best + 0.1


def test_a_judge_finds_objects_of_other_ground(ground) -> None:
    P, labels = ground
    judge = objects.learn([objects.known(P, FOLD, labels, GRID)])
    assert judge is not None
    turned = np.rot90(P)
    number = judge.labelled(turned, GRID)
    middle = 8000.0 - 4000.0
    there = labels.rotate(90.0, origin=(640_000.0 + middle, 5_190_000.0 - middle))
    assert scored(outlines(number, GRID), geopandas.GeoDataFrame(geometry=there)) > 0.85


def test_few_objects_teach_nothing(ground) -> None:
    P, labels = ground
    few = labels.iloc[: objects.LEAST_OBJECTS - 1].reset_index(drop=True)
    part = objects.known(P, FOLD, few, GRID)
    assert objects.learn([part]) is None and objects.judged_by_others(part) is None


def test_a_fold_is_judged_by_others_alone(ground) -> None:
    P, labels = ground
    part = objects.known(P, FOLD, labels, GRID)
    worth = objects.judged_by_others(part)
    # Other likenesses in a fold leave what is told of that fold as it is.
    here = part.fold == 2
    other = part._replace(likeness=np.where(here, 1.0 - part.likeness, part.likeness))
    np.testing.assert_array_equal(objects.judged_by_others(other)[here], worth[here])
    assert (objects.judged_by_others(other)[~here] != worth[~here]).any()
