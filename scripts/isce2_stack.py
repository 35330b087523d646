"""The pairs that topsStack made, brought onto the region's grid as those of any reader."""

from pathlib import Path

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.readers.assemble import assemble
from rockglacier.readers.isce2 import open_isce2

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    pairs, rejected = assemble(
        open_isce2(
            Path(snakemake.input.first).parent,
            pairs={Path(path).parent.name for path in snakemake.input.pairs},
        ),
        Grid.load(snakemake.input.grid),
        snakemake.output.stack,
        seen=io.open_dataset(snakemake.input.map)["observable"].values > 0,
        on_bad_input=snakemake.params.on_bad_input,
        memory_mb=0.5 * snakemake.resources.mem_mb,
        threads=snakemake.threads,
        provenance=provenance.record(parameters=dict(snakemake.params.items())),
    )
    for table, path in ((pairs, snakemake.output.pairs), (rejected, snakemake.output.rejected)):
        io.write_table(table, path)
