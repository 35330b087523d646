"""What tests share: where the real data lie, and a small grid."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import scenes

from rockglacier.grid import Grid

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole workflows first: the long ones must not begin when all else has ended."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data (ROCKGLACIER_DATA); the test is skipped where there is none."""
    folder = Path(os.environ.get("ROCKGLACIER_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("real data: set ROCKGLACIER_DATA to the folder that holds sar/, dem/, …")
    return folder.resolve()


@pytest.fixture
def real_data(data_folder: Path) -> Callable[[str], Path]:
    """A folder of real data by its name below ``data_folder``; skips where it is missing."""

    def find(name: str) -> Path:
        folder = data_folder / name
        if not folder.is_dir():
            pytest.skip(f"real data: {folder} is missing")
        return folder

    return find


@pytest.fixture
def grid() -> Grid:
    """A small UTM grid of odd size."""
    return Grid("EPSG:32632", 640000.0, 5200000.0, 40.0, 40.0, 37, 29)


@pytest.fixture(scope="session")
def ideal_scenes(tmp_path_factory: pytest.TempPathFactory) -> scenes.Simulated:
    """Two dates without noise, loss of coherence or atmosphere, and three corner reflectors."""
    folder = tmp_path_factory.mktemp("ideal")
    return scenes.simulate(
        folder, dates=2, ideal=True, reflectors=scenes.REFLECTORS, ground_range=True
    )


@pytest.fixture(scope="session")
def noisy_scenes(tmp_path_factory: pytest.TempPathFactory) -> scenes.Simulated:
    """Three dates as they would be recorded."""
    return scenes.simulate(tmp_path_factory.mktemp("noisy"), dates=3, ground_range=True)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved during a test."""
    from matplotlib.figure import Figure

    seen: list[Figure] = []
    save = Figure.savefig

    def keep(self, *args, **kwargs):
        save(self, *args, **kwargs)
        seen.append(self)

    monkeypatch.setattr(Figure, "savefig", keep)
    return seen
