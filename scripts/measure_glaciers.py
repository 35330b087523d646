"""Share of a pixel within glacier outlines, and the distance to them."""

from rockglacier import glaciers, io, logs, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    io.write_dataset(
        glaciers.factors(snakemake.input.outlines, grid),
        snakemake.output.glaciers,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
