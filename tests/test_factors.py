"""Factors are what products say, under one roof: values, techniques, shares, lazily too."""

import numpy as np
import pytest
import xarray as xr

from rockglacier import factors
from rockglacier.conventions import MAP, describe
from rockglacier.errors import DimensionError, UnitsError
from rockglacier.grid import Grid

RNG = np.random.default_rng(1)


def maps(grid: Grid, **units: str) -> xr.Dataset:
    """A dataset of random maps, a quarter of whose values are unknown."""
    out = xr.Dataset(coords=grid.coords)
    for name, unit in units.items():
        values = RNG.normal(size=grid.shape).astype(np.float32)
        values[RNG.random(grid.shape) < 0.25] = np.nan
        out[name] = describe(xr.DataArray(values, dims=MAP), name, f"{name} of it", unit)
    return out


def products(grid: Grid) -> dict:
    backscatter = maps(grid, annual_amplitude="dB")
    both = [maps(grid, mean="dB", mean_error="dB", count="1") for _ in range(2)]
    backscatter = backscatter.merge(xr.concat(both, "season"))
    return {
        "relief": maps(grid, slope="deg", radiation="W/m2"),
        "velocity": maps(grid, velocity="m/yr", velocity_error="m/yr"),
        "tracks": [maps(grid, velocity="m/yr", temporal_coherence="1") for _ in range(3)],
        "offsets": maps(grid, east="m/yr", north="m/yr", detection_limit="m/yr"),
        "backscatter": backscatter,
        "snow": maps(grid, melt_mean="1", count="1"),
    }


def test_each_factor_is_what_its_product_says(grid: Grid) -> None:
    given = products(grid)
    found = factors.gather(**given)
    np.testing.assert_array_equal(found["slope"], given["relief"]["slope"])
    np.testing.assert_array_equal(found["snow_melt_mean"], given["snow"]["melt_mean"])
    summer = given["backscatter"]["mean"].isel(season=1)
    np.testing.assert_array_equal(found["backscatter_mean_snow_free"], summer)
    np.testing.assert_array_equal(found["speed"], abs(given["velocity"]["velocity"]))
    fastest = np.stack([np.abs(t["velocity"].values) for t in given["tracks"]])
    known = np.isfinite(fastest).any(axis=0)
    np.testing.assert_array_equal(np.isfinite(found["sight_speed"].values), known)
    np.testing.assert_allclose(
        found["sight_speed"].values[known], np.nanmax(fastest[:, known], axis=0)
    )
    assert not {"snow_count", "backscatter_count", "backscatter_mean_error"} & set(found)
    assert found["slope"].attrs["technique"] == "terrain"
    assert factors.of_techniques(found)["offsets"] == ["offset_speed", "offset_detection"]


def test_lazy_equals_eager(grid: Grid) -> None:
    given = products(grid)
    lazy = {
        name: [p.chunk({"y": 7}) for p in value]
        if isinstance(value, list)
        else value.chunk({"y": 7})
        for name, value in given.items()
    }
    xr.testing.assert_equal(factors.gather(**given), factors.gather(**lazy).compute())


def test_a_factor_says_how_much_of_the_region_knows_it(grid: Grid) -> None:
    found = factors.valid_shares(factors.gather(**products(grid)))
    for values in found.values():
        assert values.attrs["valid_share"] == pytest.approx(
            float(np.isfinite(values.values).mean()), abs=1e-4
        )


def test_products_of_another_grid_or_unit_are_refused(grid: Grid) -> None:
    other = grid.part(0, 9, 0, 9)
    with pytest.raises(DimensionError, match="does not lie on the grid of slope"):
        factors.gather(relief=maps(grid, slope="deg"), snow=maps(other, melt_mean="1"))
    with pytest.raises(UnitsError, match="velocity states units 'mm/yr'"):
        factors.gather(velocity=maps(grid, velocity="mm/yr", velocity_error="mm/yr"))
    with pytest.raises(DimensionError, match="no product of the region"):
        factors.gather()


def test_what_sensors_saw_is_told_of_a_hectare(grid: Grid) -> None:
    given = products(grid)
    plain, wide = factors.gather(**given), factors.gather(**given, support_m=100.0)
    lazy = {
        name: [p.chunk({"y": 7}) for p in product] if isinstance(product, list)
        else product.chunk({"y": 7})
        for name, product in given.items()
    }  # fmt: skip
    blocks = factors.gather(**lazy, support_m=100.0).compute()
    for name in plain:
        known = plain[name].notnull()
        assert (wide[name].notnull() == known).all()
        np.testing.assert_allclose(blocks[name], wide[name], atol=1e-5)
        if plain[name].attrs["technique"] == "terrain":
            assert wide[name].identical(plain[name])
        else:
            assert float(wide[name].std()) < float(plain[name].std())


def test_coherence_is_the_mean_of_tracks(grid: Grid) -> None:
    one, two = (maps(grid, coherence="1")["coherence"] for _ in range(2))
    found = factors.gather(coherence=[one, two])["coherence"]
    both, known = np.stack([one.values, two.values]), (one.notnull() | two.notnull()).values
    np.testing.assert_allclose(found.values[known], np.nanmean(both[:, known], axis=0), rtol=1e-5)
    assert found.isnull().values[~known].all()
    assert found.attrs["technique"] == "interferometry"
