"""Probability of each kind of ground, its doubt, and what told it."""

from rockglacier import io, logs, provenance
from rockglacier.fusion import mapping, training
from rockglacier.grid import Grid

BYTES_PER_PIXEL = 12_000  # of a pixel at work, with models of resampled ground

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    trained = training.load(snakemake.input.model)
    rows = max(1, int(snakemake.resources.mem_mb * 0.5e6 / BYTES_PER_PIXEL / grid.width))
    factors = io.open_dataset(snakemake.input.factors, rows=min(rows, grid.height))
    maps = mapping.whole(factors, trained, rows=rows)
    made = provenance.record(
        parameters=dict(snakemake.params.items()) | {"model": trained.notes},
        sources=snakemake.input,
    )
    kinds = ["kind", *mapping.NAMES.values()]
    io.write_raster(maps.drop_vars(kinds), snakemake.output.probability, grid=grid, provenance=made)
    io.write_raster(maps[kinds], snakemake.output.classes, grid=grid, provenance=made)
