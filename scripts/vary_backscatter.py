"""Factors of the backscatter of one track through time."""

from rockglacier import backscatter, bands, io, logs, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    looks = io.open_dataset(snakemake.input.geometry).attrs["looks"]
    images = snakemake.input.images
    margin = snakemake.params.months["speckle_window"] // 2
    rows = backscatter.rows_that_fit(
        grid.height,
        grid.width,
        len(images),
        memory_mb=0.7 * snakemake.resources.mem_mb / snakemake.threads,
        margin=margin,
    )

    def told(band):
        """Factors of a band."""
        found = backscatter.variation(
            backscatter.read(images, grid, band.wide), looks=looks, **snakemake.params.months
        )
        return found.isel(y=band.crop)

    bands.write(
        told,
        bands.cut(grid.height, rows, margin),
        snakemake.output.factors,
        grid=grid,
        threads=snakemake.threads,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
