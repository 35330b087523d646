"""Two small regions, run through once for all tests that look at the results."""

import pytest
from workspace import REGION, Workspace


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    """Two small regions, not yet run."""
    made = Workspace(tmp_path_factory.mktemp("workspace"))
    made.write("alpha", REGION.format(name="Alpha", seed=1))
    made.write("beta", REGION.format(name="Beta", seed=2))
    return made


@pytest.fixture(scope="session")
def finished(workspace):
    """Two small regions, run through."""
    workspace.run()
    return workspace
