"""The pairs of a track, checked and stacked as those of any reader."""

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.readers.assemble import assemble
from rockglacier.readers.made import open_made

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    stack = open_made(snakemake.input.pairs, snakemake.input.planned, snakemake.input.geometry)
    pairs, rejected = assemble(
        stack,
        Grid.load(snakemake.input.grid),
        snakemake.output.stack,
        on_bad_input=snakemake.params.on_bad_input,
        memory_mb=0.5 * snakemake.resources.mem_mb,
        threads=snakemake.threads,
        provenance=provenance.record(parameters=dict(snakemake.params.items())),
    )
    for table, path in ((pairs, snakemake.output.pairs), (rejected, snakemake.output.rejected)):
        io.write_table(table, path)
