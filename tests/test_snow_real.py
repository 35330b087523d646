"""Snow of real pixels: readers reject their clouds, and the course of the year is found again.

Observations lie side by side as pixels of one scene, so that the readers see all of them at once.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from test_optical_landsat import CLEAR, CLOUD, FILL, SHADOW, SNOW, mtl, write
from test_optical_sentinel2 import GRANULE, NAME, PRODUCT
from test_optical_sentinel2 import write as write_jp2

from rockglacier import snow
from rockglacier.optical import landsat, sentinel2

WATER = 1 << 7
# What the series' quality flag says, in bits of the quality band.
BITS = {0: CLEAR, 1: CLEAR | WATER, 2: SHADOW, 3: CLEAR | SNOW, 4: CLOUD}
WIDTH = 25  # observations in a row
SATURATED = 20_000


def as_scene(folder: Path, rows: np.ndarray) -> Path:
    """A Landsat scene whose pixels are the observations ``rows`` of a series, row by row."""
    stem = "LC09_L2SP_193027_20220804_20230402_02_T1"

    def laid_out(values: np.ndarray, fill: int) -> np.ndarray:
        padded = np.full(-(-len(rows) // WIDTH) * WIDTH, fill, np.uint16)
        padded[: len(rows)] = values
        return padded.reshape(-1, WIDTH)

    saturation = np.zeros(len(rows), np.uint16)
    for name, column, bit in (("B3", 2, 2), ("B6", 5, 5)):  # green, 1.6 um
        reflectance = rows[:, column] / 1e4
        digital = np.clip(np.round((reflectance + 0.2) / 2.75e-5), 1, 65_535)
        saturation |= np.where(rows[:, column] == SATURATED, 1 << bit, 0).astype(np.uint16)
        write(folder / f"{stem}_SR_{name}.TIF", laid_out(digital, 0), 30.0)
    quality = np.array([BITS[int(flag)] for flag in rows[:, 8]])
    write(folder / f"{stem}_QA_PIXEL.TIF", laid_out(quality, FILL), 30.0)
    write(folder / f"{stem}_QA_RADSAT.TIF", laid_out(saturation, 0), 30.0)
    path = folder / f"{stem}_MTL.txt"
    path.write_text(mtl(stem, collection=2).replace(
        f'FILE_NAME_BAND_8 = "{stem}_B8.TIF"',
        f'FILE_NAME_BAND_3 = "{stem}_SR_B3.TIF"\n    FILE_NAME_BAND_6 = "{stem}_SR_B6.TIF"\n'
        f'    FILE_NAME_QUALITY_L1_RADIOMETRIC_SATURATION = "{stem}_QA_RADSAT.TIF"',
    ))  # fmt: skip
    return path


@pytest.fixture
def pixel(real_data: Callable[[str], Path], tmp_path: Path):  # type: ignore[no-untyped-def]
    """Of a series by its name: observations, and their snow index through the reader."""
    folder = real_data("optical/lcmap_landsat_pixel_series")

    def read(name: str) -> tuple[np.ndarray, np.ndarray, pd.DatetimeIndex]:
        rows = np.genfromtxt(next(folder.glob(f"*_{name}.csv")), delimiter=",")
        place = tmp_path / name
        place.mkdir()
        scene = landsat.read_scene(as_scene(place, rows))
        bands = (landsat.open_reflectance(scene, b) for b in (landsat.GREEN, landsat.SHORTWAVE))
        index = snow.index(*bands).values.ravel()[: len(rows)]
        days = pd.to_datetime([pd.Timestamp.fromordinal(int(day)) for day in rows[:, 0]])
        return rows, index, days

    return read


def factors(index: np.ndarray, days: pd.DatetimeIndex) -> xr.Dataset:
    """Factors of one pixel; two paths see some days, of which the mean is taken."""
    series = xr.DataArray(
        index[:, None, None], dims=("date", "y", "x"),
        coords={"date": days, "y": [0.0], "x": [0.0]},
    )  # fmt: skip
    series = series.groupby("date").mean().assign_attrs(units="1")
    return snow.variation(series, melt_months=[8, 9]).isel(y=0, x=0)


def test_the_reader_takes_clouds_and_shadows_and_leaves_snow(pixel) -> None:  # type: ignore[no-untyped-def]
    rows, index, days = pixel("persistent_snow")
    flag = rows[:, 8]
    assert len(rows) == 685 and (flag == 4).sum() == 451
    assert np.isnan(index[(flag == 2) | (flag == 4)]).all()
    possible = ((rows[:, [2, 5]] > 0) & (rows[:, [2, 5]] <= 10_000)).all(axis=1)
    clear = np.isin(flag, (0, 1, 3)) & possible
    np.testing.assert_array_equal(np.isfinite(index), clear)
    assert np.isfinite(index[flag == 3]).mean() > 0.7  # the rest is saturated
    plain = (rows[:, 2] - rows[:, 5]) / (rows[:, 2] + rows[:, 5])
    np.testing.assert_allclose(index[clear], plain[clear], atol=2e-3)
    # What it took would have hidden that the ground is bare.
    late = days.month.isin([8, 9])
    hidden = (flag == 4) & possible & late
    assert np.nanpercentile(index[late], 90) < 0.0 < np.percentile(plain[hidden], 75)


def test_thirty_years_of_a_pixel_show_its_snow_and_when_it_goes(pixel) -> None:  # type: ignore[no-untyped-def]
    _, index, days = pixel("persistent_snow")
    by_month = pd.Series(index).groupby(days.month).median()
    assert (by_month[[12, 1, 2, 4, 5]] > 0.8).all()
    assert by_month[[8, 9]].between(-0.5, -0.3).all()
    found = factors(index, days)
    assert float(found["melt_mean"]) == pytest.approx(-0.35, abs=0.15)
    assert float(found["persistence"]) < 0.15
    assert 180 < float(found["snow_off"]) < 225  # July to the middle of August
    assert 0.4 < float(found["amplitude"]) < 0.9
    assert abs(float(found["trend"])) < 4.0 * float(found["trend_error"])


def test_pixels_side_by_side_tell_the_same_season_and_a_forest_none(pixel) -> None:  # type: ignore[no-untyped-def]
    one, near, forest = (
        factors(*pixel(name)[1:]) for name in ("persistent_snow", "fmask_fail", "normal")
    )
    # The neighbour lies 110 m away.
    assert float(near["snow_off"]) == pytest.approx(float(one["snow_off"]), abs=12.0)
    assert float(near["amplitude"]) == pytest.approx(float(one["amplitude"]), abs=0.1)
    assert float(near["melt_mean"]) == pytest.approx(float(one["melt_mean"]), abs=0.15)
    assert float(forest["persistence"]) == 0.0 and np.isnan(float(forest["snow_off"]))
    assert float(forest["amplitude"]) < 0.25 * float(one["amplitude"])


# --- Sentinel-2, southern Carpathians --------------------------------------------------------

HIDDEN = (0, 1, 3, 8, 9, 10)  # no data, saturated, shadow, clouds, cirrus
SUMMER = [6, 7, 8, 9]


@pytest.fixture
def carpathians(real_data: Callable[[str], Path], tmp_path: Path):  # type: ignore[no-untyped-def]
    """The cube, its snow index through the reader, and the same without any mask."""
    file = real_data("optical/nrt_sentinel2_cubes") / "sentinel2_cube_subset_romania_20m.nc"
    with xr.open_dataset(file) as opened:
        cube = opened[["B3", "B11", "SCL"]].isel(y=slice(0, 50, 2), x=slice(0, 50, 2)).load()
    cube = cube.rename(time="date")
    name = NAME.format(level="2A")
    granule = tmp_path / f"{name}.SAFE" / "GRANULE" / "L2A_T32TPS_A028261_20220804T102553"
    images = granule / "IMG_DATA" / "R20m"
    for band, variable, kind in (
        ("B03", "B3", np.uint16), ("B11", "B11", np.uint16), ("SCL", "SCL", np.uint8)
    ):  # fmt: skip
        below = cube[variable].values.reshape(-1, cube.sizes["x"])  # date under date
        write_jp2(images / f"T32TPS_20220804T101559_{band}_20m.jp2", below.astype(kind), 20.0)
    metadata = tmp_path / f"{name}.SAFE" / "MTD_MSIL2A.xml"
    # Before baseline 04.00, as these dates are, numbers had no offset.
    metadata.write_text(PRODUCT.format(level="2A", name=name).replace("05.10", "02.14"))
    (granule / "MTD_TL.xml").write_text(GRANULE)
    scene = sentinel2.read_scene(metadata)
    bands = (sentinel2.open_reflectance(scene, b) for b in (sentinel2.GREEN, sentinel2.SHORTWAVE))
    values = snow.index(*bands).values.reshape(cube["SCL"].shape)
    index = cube["SCL"].copy(data=values).assign_attrs(units="1")
    plain = snow.index(cube["B3"] / 1e4, cube["B11"] / 1e4)
    return cube, index, plain


def test_classes_that_hide_the_ground_are_rejected(carpathians) -> None:  # type: ignore[no-untyped-def]
    cube, index, plain = carpathians
    hidden = cube["SCL"].isin(HIDDEN)
    assert 0.3 < float(hidden.mean()) < 0.36
    assert index.where(hidden).isnull().all()
    xr.testing.assert_allclose(index, plain.where(~hidden), atol=1e-4)
    summer = cube["date"].dt.month.isin(SUMMER)
    snowy, clouded = ((of.where(summer) > 0.0).sum() / of.where(summer).notnull().sum()
                      for of in (index, plain))  # fmt: skip
    assert float(snowy) < 0.01 < 0.08 < float(clouded)


def test_a_cloudy_series_of_five_years_tells_its_winters(carpathians) -> None:  # type: ignore[no-untyped-def]
    cube, index, plain = carpathians
    found, raw = (snow.variation(of, melt_months=SUMMER) for of in (index, plain))
    assert float(found["count"].min()) > 60
    assert float(found["rms"].median()) < 0.5 * float(raw["rms"].median())
    assert -0.62 < float(found["melt_mean"].median()) < -0.48  # trees, not haze
    assert float(raw["melt_mean"].median()) > float(found["melt_mean"].median()) + 0.1
    assert float(found["persistence"].quantile(0.95)) < 0.03
    month = cube["date"].dt.month
    share = {
        name: float((index.where(month.isin(of)) > 0.4).sum()
                    / index.where(month.isin(of)).notnull().sum())
        for name, of in (("winter", [12, 1, 2]), ("summer", SUMMER))
    }  # fmt: skip
    assert share["winter"] > 0.25 and share["summer"] < 0.005
    # What the processor calls snow is snowy, and what it calls vegetation never in summer.
    winter_snow = index.where((cube["SCL"] == 11) & month.isin([12, 1, 2, 3])).values
    assert np.nanmean(winter_snow[np.isfinite(winter_snow)] > 0.4) > 0.65
    green = index.where((cube["SCL"] == 4) & month.isin(SUMMER))
    assert float((green > 0.0).sum()) / float(green.notnull().sum()) < 0.002
