"""Probability of each kind of ground, its doubt, and what told it."""

import xarray as xr

from rockglacier import bands, io, logs, provenance
from rockglacier.fusion import mapping, training
from rockglacier.grid import Grid

BYTES_PER_PIXEL = 12_000  # of a pixel at work, with models of resampled ground

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    trained = training.load(snakemake.input.model)
    rows = max(1, int(snakemake.resources.mem_mb * 0.5e6 / BYTES_PER_PIXEL / grid.width))
    factors = io.open_dataset(snakemake.input.factors, rows=min(rows, grid.height))
    parts = []
    for band in bands.cut(grid.height, min(rows, grid.height)):
        parts.append(mapping.probabilities(factors.isel(y=band.inner).load(), trained))
        logger.info("rows %d to %d of %d", band.inner.start, band.inner.stop, grid.height)
    maps = xr.concat(parts, "y")
    made = provenance.record(
        parameters=dict(snakemake.params.items()) | {"model": trained.notes},
        sources=snakemake.input,
    )
    kinds = ["kind", *mapping.NAMES.values()]
    io.write_raster(maps.drop_vars(kinds), snakemake.output.probability, grid=grid, provenance=made)
    io.write_raster(maps[kinds], snakemake.output.classes, grid=grid, provenance=made)
