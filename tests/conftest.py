"""What tests share: where the real data lie, and a small grid."""

import os
from pathlib import Path

import pytest

from rockglacier.grid import Grid

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data (ROCKGLACIER_DATA); the test is skipped where there is none."""
    folder = Path(os.environ.get("ROCKGLACIER_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("real data: set ROCKGLACIER_DATA to the folder that holds sar/, dem/, …")
    return folder.resolve()


@pytest.fixture
def grid() -> Grid:
    """A small UTM grid of odd size."""
    return Grid("EPSG:32632", 640000.0, 5200000.0, 40.0, 40.0, 37, 29)
