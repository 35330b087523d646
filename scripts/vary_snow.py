"""Factors of the snow index of a region through time."""

from rockglacier import bands, logs, provenance, snow, trend
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    images, how = snakemake.input.images, snakemake.params.snow
    memory_mb = 0.7 * snakemake.resources.mem_mb / snakemake.threads
    rows = snow.rows_that_fit(grid.height, grid.width, len(images), memory_mb=memory_mb)

    def told(band):
        """Factors of a band."""
        return snow.variation(snow.read(images, grid, band.inner), **how)

    bands.write(
        told,
        bands.cut(grid.height, rows),
        snakemake.output.factors,
        grid=grid,
        threads=snakemake.threads,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
        of_all=trend.shares_of_chance,
    )
