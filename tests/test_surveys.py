"""Surveyed blocks become velocities of blocks and profiles."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rockglacier.errors import SceneError
from rockglacier.surveys import block_velocities, profile_velocities, read_positions

HOCHEBENKAR = {
    "date": "Date", "block": "Stone", "line": "Line",
    "east": "y", "north": "x", "up": "z", "crs": "EPSG:31254",
}  # fmt: skip


def positions() -> pd.DataFrame:
    rows = [
        ("L1", "7", "2018-09-01", 100.0, 50.0, 2500.0),
        ("L1", "7", "2019-09-01", 103.0, 54.0, 2499.0),
        ("L1", "7", "2021-09-01", 103.0, 58.0, 2499.0),
        ("L1", "8", "2019-09-01", 0.0, 0.0, 2400.0),
        ("L1", "8", "2021-09-01", 0.0, 2.0, 2400.0),
    ]
    table = pd.DataFrame(rows, columns=["line", "block", "date", "east", "north", "up"])
    return table.assign(date=pd.to_datetime(table["date"]))


def test_a_block_moves_between_its_own_surveys() -> None:
    found = block_velocities(positions(), position_error_m=0.05)
    assert list(found["block"]) == ["7", "7", "8"]
    year = 365 / 365.25
    np.testing.assert_allclose(found["horizontal"][:2], [5.0 / year, 4.0 / (731 / 365.25)])
    np.testing.assert_allclose(found["total"][0], np.sqrt(26.0) / year)
    np.testing.assert_allclose(found["error"][0], np.sqrt(2.0) * 0.05 / year)
    assert (found["x"][0], found["y"][0]) == (101.5, 52.0)


def test_a_profile_is_the_mean_of_its_blocks() -> None:
    profile = profile_velocities(block_velocities(positions(), position_error_m=0.05))
    assert list(profile["year"]) == [2019, 2021] and list(profile["blocks"]) == [1, 2]
    np.testing.assert_allclose(profile["horizontal"][1], 3.0 / (731 / 365.25))
    assert np.isnan(profile["horizontal_error"][0]) and profile["horizontal_error"][1] > 0.0


def test_what_is_wrong_with_a_table(tmp_path: Path) -> None:
    path = tmp_path / "blocks.csv"
    names = {"date": "date", "block": "block", "line": "line"}
    names |= {"east": "east", "north": "north", "up": "up", "crs": "EPSG:31254"}
    positions().to_csv(path, index=False)
    assert len(read_positions(path, **names)) == 5
    with pytest.raises(SceneError, match="no column height"):
        read_positions(path, **names | {"up": "height"})
    pd.concat([positions(), positions()[:1]]).to_csv(path, index=False)
    with pytest.raises(SceneError, match="block 7 of line L1 stands there twice on 2018-09-01"):
        read_positions(path, **names)
    with pytest.raises(SceneError, match="cannot be read"):
        read_positions(tmp_path / "none.gpkg", **names)


def test_hochebenkar_moves_as_its_surveyors_say(real_data: Callable[[str], Path]) -> None:
    folder = real_data("insitu/hochebenkar_rock_glacier_kinematics")
    surveyed = read_positions(folder / "Steine_32632.gpkg", **HOCHEBENKAR)
    found = block_velocities(surveyed, position_error_m=0.05)
    profile = profile_velocities(found).set_index(["year", "line"])["total"].unstack()
    stated = pd.read_csv(folder / "2022_mittelProfile.csv", sep=";", index_col="year")
    both = profile.join(stated, how="inner").loc[1998:]
    for line, column in (("L0", "P0"), ("L1", "P1"), ("L2", "P2"), ("L3", "P3")):
        known = both[[line, column]].dropna()
        assert len(known) >= 15
        off = np.abs(known[line] - known[column])
        assert off.median() < 0.02 and (off < 0.1 * known[column] + 0.05).mean() > 0.8, line
    assert profile.loc[2021, "L1"] == pytest.approx(12.65, abs=0.2)
