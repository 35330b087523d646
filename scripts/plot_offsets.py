"""Figure of the velocity that offsets of a set of images tell."""

from rockglacier import figures, io, logs, provenance, terrain
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.from_raster(snakemake.input.velocity)
    figures.plot_offsets(
        io.read_raster(snakemake.input.velocity),
        snakemake.output.figure,
        grid=grid,
        height=terrain.elevation(snakemake.input.dem, grid),
        title=snakemake.params.title,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
