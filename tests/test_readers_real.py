"""Real stacks through the readers: dates, baselines, sign and size of known motion."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import stack_formats as formats
from rasterio import open as open_raster

from rockglacier import io
from rockglacier.grid import region_grid
from rockglacier.readers.assemble import assemble, write_geometry
from rockglacier.readers.catalogue import open_stack
from rockglacier.readers.displacement import assemble_displacement, open_displacement

MEXICO = {
    "unwrapped": "geotiffs/cropA_{reference}-{secondary}_VV_8rlks_eqa_unw.tif",
    "coherence": "geotiffs/cropA_{reference}-{secondary}_VV_8rlks_flat_eqa_cc.tif",
    "baselines": "geometry/{reference}-{secondary}_VV_8rlks_base.par",
    "parameters": "headers/r20180106_VV_8rlks_mli.par",
    "height": "geotiffs/cropA_T005A_dem.tif",
}


@pytest.fixture
def mexico(real_data: Callable[[str], Path]) -> Path:
    return real_data("sar/s1_ifg_stack_mexico_cropA")


@pytest.fixture
def himalaya(real_data: Callable[[str], Path]) -> Path:
    return real_data("sar/alos_timeseries_east_himalaya")


def test_mexico_city_sinks(mexico: Path, tmp_path: Path) -> None:
    """Least squares over the pairs gives the rates known of this stack: -289 to +3 mm/yr."""
    stack = open_stack("geotiff", mexico, **MEXICO)
    grid = region_grid([formats.place(stack)])
    assert grid == stack.native_grid and grid.shape == (60, 100) and grid.crs == "EPSG:4326"
    pairs, rejected = assemble(stack, grid, tmp_path / "out.zarr", threads=2)
    assert rejected.empty and len(pairs) == 30
    assert stack.wavelength_m == pytest.approx(0.0554658, abs=1e-7)
    assert stack.looks == pytest.approx(16 * (56.5 / 64.345241) * (327.0 / 486.4863), rel=1e-6)
    product = io.open_dataset(tmp_path / "out.zarr")
    phase, coherence = product.phase.values, product.coherence.values
    assert not (phase == 0).any()
    dates = np.unique([product.reference.values, product.secondary.values])
    assert dates.size == 13
    design = np.zeros((30, 13))
    rows = np.arange(30)
    design[rows, np.searchsorted(dates, product.reference.values)] = -1
    design[rows, np.searchsorted(dates, product.secondary.values)] = 1
    whole = np.isfinite(phase).all(axis=0)
    mean = np.nan_to_num(coherence).sum(axis=0) / np.maximum(np.isfinite(coherence).sum(axis=0), 1)
    best = np.unravel_index(np.argmax(np.where(whole, mean, 0)), whole.shape)
    motion = -stack.wavelength_m / (4 * np.pi) * (phase - phase[:, best[0], best[1], None, None])
    series = np.linalg.lstsq(design[:, 1:], motion[:, whole], rcond=None)[0]
    years = (dates - dates[0]) / np.timedelta64(1, "D") / 365.25
    rate = 1000 * np.polyfit(years, np.vstack([0 * series[:1], series]), 1)[0]
    assert np.percentile(rate, [1, 99]) == pytest.approx([-289, 3], abs=1)
    write_geometry(stack, grid, tmp_path / "geometry.zarr")
    geometry = io.open_dataset(tmp_path / "geometry.zarr")
    assert 2210 < float(geometry.height.min()) < float(geometry.height.max()) < 2290
    assert geometry.attrs == pytest.approx(
        {"incidence_angle_deg": 39.7036, "heading_deg": -12.2742586, "slant_range_m": 878314.5356}
    )


def test_mexico_baselines_agree_with_their_tables(mexico: Path) -> None:
    """From the baseline vector and the look angle, and as GAMMA tabulated it over the scene."""
    tables = {**MEXICO, "baselines": MEXICO["baselines"].replace("base.par", "bperp.par")}
    from_vector = open_stack("geotiff", mexico, **MEXICO).pairs.perpendicular_baseline_m
    tabulated = open_stack("geotiff", mexico, **tables).pairs.perpendicular_baseline_m
    np.testing.assert_allclose(from_vector, tabulated, atol=0.5)
    assert tabulated.abs().max() > 50


def test_himalaya_displacement(himalaya: Path, tmp_path: Path) -> None:
    series = open_displacement(
        himalaya / "depl_cumule",
        like="DEM_UTM.tif",
        dates="list_images.txt",
        baselines="bp_t.in",
        units="mm",
        height="DEM_UTM.tif",
        incidence_deg=34.5,
        heading_deg=-14.0,
    )
    grid = region_grid([formats.place(series)])
    assert grid.crs == "EPSG:32645" and grid.shape == (300, 200)
    dates, rejected = assemble_displacement(series, grid, tmp_path / "out.zarr")
    assert rejected.empty and len(dates) == 8
    assert list(dates.perpendicular_baseline_m[:4]) == [853.0, 0.0, 250.0, 842.0]
    out = io.open_dataset(tmp_path / "out.zarr").displacement
    # The first date is 0 everywhere in the file, also where nothing was ever observed.
    assert np.isnan(out).mean(("y", "x")).values == pytest.approx(0.171, abs=0.001)
    years = (out.date - out.date[0]).dt.days.values / 365.25
    whole = np.isfinite(out.values).all(axis=0)
    rate = 1000 * np.polyfit(years, out.values[:, whole], 1)[0]
    with open_raster(himalaya / "lin_coeff.tif") as source:
        authors = source.read(1)[whole]
    assert np.corrcoef(rate, authors)[0, 1] == pytest.approx(0.87, abs=0.01)


def test_himalaya_sign_is_toward_the_satellite(himalaya: Path) -> None:
    """What the authors took off as delay falls where the path grows longer."""
    common = {"like": "DEM_UTM.tif", "dates": "list_images.txt", "units": "mm"}
    raw = open_displacement(himalaya / "depl_cumule", **common).read(1).values
    corrected = open_displacement(himalaya / "depl_cumule_gacos", **common).read(1).values
    delays = []
    for day in ("20070218", "20070706"):
        with open_raster(himalaya / "GACOS" / f"{day}_gacos.tif") as source:
            delays.append(source.read(1))
    longer = delays[1] - delays[0]
    seen = np.isfinite(raw + corrected + longer)
    assert np.corrcoef((raw - corrected)[seen], longer[seen])[0, 1] < -0.99
