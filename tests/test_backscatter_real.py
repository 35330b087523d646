"""Backscatter of a real track: what three dates tell, and what they cannot."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr

from rockglacier import backscatter, speckle
from rockglacier.grid import Grid

DATES = ("20190225", "20190309", "20190321")
MONTHS = {"snow_free_months": [7, 8, 9], "melt_months": [3], "winter_months": [2]}


@pytest.fixture
def crops(real_data: Callable[[str], Path], tmp_path: Path) -> dict[str, xr.DataArray]:
    """Power (date, y, x) in VV and VH of a crop in Idaho, read as the workflow reads its own dates.

    Values of the crop do not say what they are; like amplitudes of flattened products they are
    squared here. Where nothing was recorded it holds zeros.
    """
    folder = real_data("sar/s1_backscatter_snow_usa")
    found = {}
    for band, name in ((1, "VV"), (2, "VH")):
        paths = []
        for date in DATES:
            with rasterio.open(next(folder.glob(f"idaho_*_{date}T*.tif"))) as source:
                values, profile = source.read(band), source.profile
            power = np.where(values > 0.0, values.astype(np.float64) ** 2, np.nan)
            paths.append(tmp_path / name / f"{date}.tif")
            paths[-1].parent.mkdir(exist_ok=True)
            profile.update(count=1, driver="GTiff")
            with rasterio.open(paths[-1], "w", **profile) as target:
                target.write(power.astype(np.float32), 1)
        grid = Grid.from_raster(paths[0])
        found[name] = backscatter.read(paths, grid, slice(0, grid.height))
    return found


def test_both_polarisations_are_as_bright_as_rough_ground_in_winter(
    crops: dict[str, xr.DataArray],
) -> None:
    level = {
        name: np.nanmedian(backscatter.decibels(power.values), axis=(1, 2))
        for name, power in crops.items()
    }
    assert (level["VV"] > -15.0).all() and (level["VV"] < -7.0).all()
    # A tenth of it returns in the other polarisation, on every date and all but everywhere.
    assert ((level["VH"] - level["VV"] > -14.0) & (level["VH"] - level["VV"] < -9.0)).all()
    assert float((crops["VH"] < crops["VV"]).where(crops["VV"].notnull()).mean()) > 0.999
    # The first date is 5 dB darker and like neither of the others, which are alike.
    assert level["VV"][0] < level["VV"][1:].min() - 4.0
    decibels = backscatter.decibels(crops["VV"].values)
    known = np.isfinite(decibels).all(axis=0)
    alike = np.corrcoef(decibels[:, known])
    assert alike[1, 2] > 0.55 and alike[0, 1:].max() < 0.4


def test_what_was_not_recorded_is_missing(crops: dict[str, xr.DataArray]) -> None:
    missing = crops["VV"].isnull()
    assert not missing[:2].any()
    assert int(missing[2].sum()) == missing.sizes["y"]  # a column
    found = backscatter.variation(crops["VV"], looks=30.0, speckle_window=5, **MONTHS)
    count = found["count"].sel(season="all_year").values
    assert (count[missing[2].values] == 2.0).all() and (count[~missing[2].values] == 3.0).all()
    assert float(found["count"].sel(season="snow_free").max()) == 0.0


def test_three_dates_of_one_winter_tell_no_variation(crops: dict[str, xr.DataArray]) -> None:
    found = backscatter.variation(crops["VV"], looks=30.0, speckle_window=5, **MONTHS)
    assert set(found) > {"std", "trend", "annual_amplitude", "melt_depression"}
    assert all(found[name].isnull().all() for name in found if name != "count")


def test_the_filter_takes_speckle_and_keeps_the_level(crops: dict[str, xr.DataArray]) -> None:
    power = crops["VV"].values.astype(np.float64)
    filtered, pixels = speckle.quegan_yu(power, 5)
    np.testing.assert_array_equal(np.isfinite(filtered), np.isfinite(power))
    assert pixels[:, 10:-10, 10:-10].max() == 25.0

    def blocks(values: np.ndarray) -> np.ndarray:
        """Squares of 13 pixels (date, square, pixel) away from the edge."""
        inner = values[:, 3:289, 3:289].reshape(3, 22, 13, 22, 13)
        return inner.transpose(0, 1, 3, 2, 4).reshape(3, -1, 169)

    before, after = blocks(power), blocks(filtered)
    off = 10.0 * np.log10(after.mean(axis=-1) / before.mean(axis=-1))
    assert np.abs(off).max() < 1.0 and np.abs(np.median(off, axis=1)).max() < 0.05
    rough, smooth = (np.median(b.var(axis=-1) / b.mean(axis=-1) ** 2, axis=1)
                     for b in (before, after))  # fmt: skip
    assert (smooth < 0.8 * rough).all()
    # How dates differ changes less from pixel to pixel: what is told of change is steadier.
    change = [np.log(b[1] / b[2]).std(axis=-1) for b in (before, after)]
    assert np.median(change[1]) < 0.6 * np.median(change[0])
