"""Published velocity maps of a glacier, inverted together."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from rockglacier import io
from rockglacier.atmosphere import scatter
from rockglacier.conventions import YEAR_DAYS
from rockglacier.grid import Grid
from rockglacier.offsets import inversion
from rockglacier.offsets.bias import estimate_bias
from rockglacier.offsets.screening import screened
from rockglacier.reference import polygons

DAY = np.timedelta64(1, "D")


def published(folder: Path) -> tuple[xr.Dataset, Grid]:
    """Offsets (pair, y, x; m) of the 32 maps on the lattice of most of them, without errors."""
    first = next(folder.glob("Sen2*_vx_*.tif"))
    grid = Grid.from_raster(first)
    layers, ends = [], []
    for path in sorted(folder.glob("*_velo-corrected_vx_*.tif")):
        dates = [
            np.datetime64(f"{t[:4]}-{t[4:6]}-{t[6:]}", "ns")
            for t in path.name.split("_")[1].split("-")
        ]
        days = float((dates[1] - dates[0]) / DAY)
        maps = {}
        for name, letter in (("east", "vx"), ("north", "vy")):
            raster = io.read_raster(path.with_name(path.name.replace("_vx_", f"_{letter}_")))
            values = raster[next(iter(raster))]
            values = values.where(values > -9000.0) * days
            maps[name] = values.reindex(y=grid.y, x=grid.x, method="nearest", tolerance=120.0)
        layers.append(xr.Dataset(maps))
        ends.append(dates)
    reference, secondary = np.array(ends).T
    stack = xr.concat(layers, dim="pair").assign_coords(io.pair_coordinates(reference, secondary))
    return stack, grid


def test_the_inversion_scatters_less_than_any_map_and_says_how_much(
    real_data: Callable[[str], Path],
) -> None:
    folder = real_data("optical/glaft_kaskawulsh_velocity")
    stack, grid = published(folder)
    assert stack.sizes["pair"] == 32
    bedrock = polygons(folder / "bedrock_V2.gpkg", grid)
    days = (stack["secondary"] - stack["reference"]).values / DAY
    fields = []
    for k in range(stack.sizes["pair"]):
        field = stack.isel(pair=k, drop=True).drop_vars(["reference", "secondary"], errors="ignore")
        # The maps state no errors: what bedrock scatters by scales one metre.
        field = field.assign(
            {
                f"{n}_error": xr.ones_like(field[n]).where(field[n].notnull())
                for n in ("east", "north")
            }
        )
        field["covariance"] = 0.0 * field["east"]
        field["reason"] = xr.where(field["east"].notnull(), 0, 1).astype(np.uint8)
        field = field.expand_dims(size=[32]).assign_attrs(pixel_x_m=15.0, pixel_y_m=-15.0)
        field = screened(field, search=20).isel(size=0, drop=True)
        bias = estimate_bias(field, bedrock)
        fields.append(bias.removed(field))
    pairs = xr.concat(fields, dim="pair").assign_coords(
        io.pair_coordinates(stack.reference.values, stack.secondary.values)
    )
    scale = inversion.scale_of(pairs)
    series = inversion.invert(pairs, scale)
    variances = inversion.date_variances(series, pairs, scale, bedrock)
    rates = inversion.velocities(series, pairs, scale, variances)
    # Calibrated on one half of the bedrock, judged on the other.
    west = bedrock & (bedrock.x < float(bedrock.x.where(bedrock.any("y")).median()))
    rates = inversion.calibrated(rates, west)
    for name in ("east", "north"):
        single = pairs[name].values / (days / YEAR_DAYS)[:, None, None]
        for values in single:  # on the bedrock that the map shows: some show only the quietest
            shown = bedrock.values & np.isfinite(values) & np.isfinite(rates[name].values)
            assert shown.sum() > 500
            ours, theirs = scatter(np.stack([rates[name].values[shown], values[shown]]))
            assert ours < theirs
        z = (rates[name] / rates[f"{name}_error"]).where(bedrock & ~west).values
        z = z[np.isfinite(z)]
        assert z.size > 500 and 0.88 < np.mean(np.abs(z) < 1.96) < 0.99
    glacier = polygons(next(folder.glob("glacier_V1*.gpkg")), grid)
    speed = np.hypot(rates["east"], rates["north"]).where(glacier)
    # The trunk moves by about half a metre a day.
    assert 80.0 < float(speed.median()) < 250.0
    assert pytest.approx(0.0, abs=20.0) == float(rates["east"].where(bedrock).median())
