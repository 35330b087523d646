"""The inventory of a region: GeoPackage, QGIS project, motion of each object, and what is new."""

from pathlib import Path

import pandas as pd
import xarray as xr

from rockglacier import downslope, io, logs, provenance
from rockglacier.fusion import training
from rockglacier.grid import Grid
from rockglacier.inventory import assemble, identity, kinematics, moving, package, project, review
from rockglacier.inventory.outlines import outlines

WATCHED = ("ActiCl", "KinAtt", "SeedType", "status")
FROM_FACTORS = (
    "elevation", "slope", "northness", "eastness", "plan_curvature", "ruggedness", "radiation",
    "radiation_summer", "air_temperature", "glacier_share", "glacier_distance", "snow_melt_mean",
)  # fmt: skip


def told_maps():
    """All maps that objects are described by, on the region's grid."""
    factors = io.open_dataset(snakemake.input.factors)
    maps = factors[[name for name in FROM_FACTORS if name in factors]]
    velocity = io.read_raster(snakemake.input.velocity)
    kept = [n for n in ("velocity", "velocity_error", "velocity_source") if n in velocity]
    parts = [maps, velocity[kept], io.read_raster(snakemake.input.probability)]
    parts.append(io.read_raster(snakemake.input.classes).drop_vars("kind"))
    return xr.merge([part.drop_vars("spatial_ref", errors="ignore") for part in parts],
                    join="override", compat="override")  # fmt: skip


def series_of(objects, tracks, terrain):
    """Displacement of all objects, from every track that shows it."""
    found = []
    places = zip(snakemake.input.sight, snakemake.input.rates, strict=True)
    for (track, moved), (sight, rates) in zip(tracks.items(), places, strict=True):
        share = downslope.sensitivity(io.read_raster(sight), terrain["slope"], terrain["aspect"])
        rates = io.read_raster(rates, rows=grid.height)
        belief = kinematics.believed(rates, maps, share, moved)
        found.append(kinematics.series(objects, moved, share, grid, track=track, belief=belief))
    return pd.concat(found) if found else pd.DataFrame(columns=kinematics.SERIES)


if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    how, model = snakemake.params.inventory, training.load(snakemake.input.model)
    maps = told_maps()
    tracks = {
        Path(path).parent.name: xr.open_zarr(path, consolidated=False, chunks=None)
        for path in snakemake.input.series
    }
    dates = pd.DatetimeIndex([date for moved in tracks.values() for date in moved["date"].values])
    period = f"{dates.year.min()}-{dates.year.max()}" if len(dates) else ""
    number = model.objects(
        maps["probability"].values, grid, least_km2=how["least_km2"], hole_km2=how["hole_km2"]
    )
    candidates = outlines(number, grid)[["geometry"]]
    reviewed = review.read_reviewed(how["reviewed"], grid.crs) if how["reviewed"] else None
    former = assemble.read_former(how["former"], grid.crs) if how["former"] else None
    objects = assemble.with_names(review.reviewed_over(candidates, reviewed), former)
    techniques = list(model.model.techniques_)
    told = assemble.describe(objects, maps, grid, techniques=techniques, period=period)
    source = maps["velocity_source"].values if "velocity_source" in maps else None
    areas = moving.moving_areas(
        maps["velocity"].values, maps["velocity_error"].values, grid, source=source
    )
    images = [io.open_dataset(path)["date"].values for path in snakemake.input.offsets]
    windows = assemble.windows_of(
        {"interferometry": dates, "offsets": [date for own in images for date in own]}
    )
    series = series_of(objects, tracks, io.open_dataset(snakemake.input.terrain))
    made = provenance.record(
        parameters=dict(snakemake.params.items()), sources=[*map(str, snakemake.input)]
    )
    layers = assemble.layers(
        objects, told, kinematics.patterns(series), areas, grid, period=period, made=made,
        windows=windows, rejected=review.rejected(reviewed),
    )  # fmt: skip
    package.write(layers, snakemake.output.inventory)
    rasters = [("probability.tif", "probability of rock glaciers")]
    project.write(
        snakemake.output.project, title=snakemake.params.name, crs=grid.crs,
        package=Path(snakemake.output.inventory).name,
        layers=[name for name in package.DRAWN if name in layers],
        rasters=rasters, extent=grid.bounds,
    )  # fmt: skip
    yearly = kinematics.yearly(series)
    with io.atomic(snakemake.output.kinematics) as partial:
        series.to_parquet(partial, index=False)
    io.write_table(yearly, snakemake.output.yearly)
    now = layers["GO"].to_crs(grid.crs)
    before = now.iloc[:0] if former is None else former
    changes = identity.changes(now, before, watched=WATCHED)
    io.write_table(changes, snakemake.output.changes)
    logger.info("%d objects, %d moving areas", len(objects), len(areas))
