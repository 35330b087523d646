"""Factors of backscatter through time from all tracks of a region."""

from rockglacier import backscatter, io, logs, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    io.write_dataset(
        backscatter.combined([io.open_dataset(path) for path in snakemake.input.tracks]),
        snakemake.output.factors,
        grid=Grid.load(snakemake.input.grid),
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
