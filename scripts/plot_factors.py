"""Page of all factors of a region."""

from rockglacier import figures, io, logs, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    figures.plot_factors(
        io.open_dataset(snakemake.input.factors),
        snakemake.output.figure,
        grid=Grid.load(snakemake.input.grid),
        title=snakemake.params.title,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
