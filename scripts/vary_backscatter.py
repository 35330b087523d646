"""Factors of the backscatter of one track through time."""

from rockglacier import backscatter, bands, io, logs, provenance, trend
from rockglacier.grid import Grid
from rockglacier.readers.stack import lonlat_bounds

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    looks = io.open_dataset(snakemake.input.geometry).attrs["looks"]
    images = snakemake.input.images
    _, south, _, north = lonlat_bounds(grid)
    months = snakemake.params.months["snow_free_months"]
    if doubt := backscatter.doubt_months(0.5 * (south + north), months):
        logger.warning("%s", doubt)
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
        of_all=trend.shares_of_chance,
    )
