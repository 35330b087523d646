"""Figure of a region's snow through time."""

from rockglacier import figures, io, logs, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    figures.plot_snow(
        io.open_dataset(snakemake.input.factors),
        snakemake.output.figure,
        grid=Grid.load(snakemake.input.grid),
        height=io.read_raster(snakemake.input.dem)["elevation"],
        title=snakemake.params.title,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
