"""What reruns is what changed."""

import pytest

AFTER_INVERSION = {
    *("inverting the network", "corrections", "velocity", "figures of the velocity"),
    *("downslope velocity", "figure of the downslope velocity", "key figures"),
}


@pytest.fixture
def alpha(finished):
    """The workspace, whose region file is put back after the test."""
    path = finished.folder / "alpha.yaml"
    text = path.read_text()
    yield finished
    path.write_text(text)


def edit(workspace, addition):
    path = workspace.folder / "alpha.yaml"
    path.write_text(path.read_text() + addition)


def test_nothing_reruns_by_itself(finished):
    assert finished.planned() == {}


def test_a_comment_reruns_nothing(alpha):
    edit(alpha, "# a comment\n")
    assert alpha.planned() == {}


def test_a_name_reruns_what_shows_it(alpha):
    path = alpha.folder / "alpha.yaml"
    path.write_text(path.read_text().replace("name: Alpha", "name: Alpha Prime"))
    planned = alpha.planned()
    assert set(planned) == {"alpha"}
    assert "inverting the network" not in planned["alpha"]
    assert "key figures" in planned["alpha"]


def test_one_region_reruns_alone(alpha):
    path = alpha.folder / "alpha.yaml"
    path.write_text(path.read_text().replace("seed: 1", "seed: 3"))
    planned = alpha.planned()
    assert set(planned) == {"alpha"}
    assert "simulating a stack" in planned["alpha"]


def test_an_inversion_parameter_reruns_the_inversion_and_what_follows(alpha):
    edit(alpha, "inversion: {min_pairs: 4}\n")
    planned = alpha.planned()
    assert set(planned) == {"alpha"}
    assert set(planned["alpha"]) == AFTER_INVERSION


def test_a_default_reruns_every_region_that_inherits_it(alpha):
    edit(alpha, "inversion: {min_pairs: 3}\n")  # its own, equal to the default
    overlay = alpha.folder / "overlay.yaml.txt"
    overlay.write_text("defaults: {inversion: {min_pairs: 5}}\n")
    planned = alpha.planned("--configfile", str(overlay))
    assert set(planned) == {"beta"}
    assert set(planned["beta"]) == AFTER_INVERSION


def test_a_downslope_parameter_leaves_the_tracks_alone(alpha):
    edit(alpha, "downslope: {min_sensitivity: 0.3}\n")
    planned = set(alpha.planned()["alpha"])
    assert planned == {"downslope velocity", "figure of the downslope velocity", "key figures"}
