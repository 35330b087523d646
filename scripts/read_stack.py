"""Bring the interferograms of a track, whatever their format, onto the region's grid."""

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.readers.assemble import assemble, write_geometry
from rockglacier.readers.catalogue import open_stack

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    made = provenance.record(
        parameters=dict(snakemake.params.items()), sources=[snakemake.input.source]
    )
    stack = open_stack(**snakemake.params.track)
    pairs, rejected = assemble(
        stack,
        grid,
        snakemake.output.stack,
        on_bad_input=snakemake.params.on_bad_input,
        period=snakemake.params.period,
        memory_mb=0.5 * snakemake.resources.mem_mb,
        threads=snakemake.threads,
        provenance=made,
    )
    write_geometry(stack, grid, snakemake.output.geometry, provenance=made)
    for table, path in ((pairs, snakemake.output.pairs), (rejected, snakemake.output.rejected)):
        io.write_table(table, path)
