"""Bring the displacement series of a track onto the region's grid."""

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.readers.assemble import write_geometry
from rockglacier.readers.displacement import assemble_displacement, open_displacement

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    made = provenance.record(
        parameters=dict(snakemake.params.items()), sources=[snakemake.input.source]
    )
    keys = {k: v for k, v in snakemake.params.track.items() if k != "source"}
    series = open_displacement(**keys)
    dates, rejected = assemble_displacement(
        series,
        grid,
        snakemake.output.observed,
        on_bad_input=snakemake.params.on_bad_input,
        period=snakemake.params.period,
        memory_mb=0.5 * snakemake.resources.mem_mb,
        provenance=made,
    )
    write_geometry(series, grid, snakemake.output.geometry, provenance=made)
    for table, path in ((dates, snakemake.output.dates), (rejected, snakemake.output.rejected)):
        io.write_table(table, path)
