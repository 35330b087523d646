"""Look at geocoded images that were made elsewhere: what can be used, and their geometry."""

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.readers.assemble import rejected_table
from rockglacier.sentinel1 import borrowed

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    grid, folder = Grid.load(snakemake.input.grid), snakemake.params.folder
    geometry = borrowed.read_geometry(folder, grid)
    used, rejected = borrowed.look_at(
        folder, grid, snakemake.params.looks, period=snakemake.params.period
    )
    if rejected and snakemake.params.on_bad_input == "stop":
        raise rejected[0].flaw
    logger.info("%d dates", len(used))
    io.write_table(used, snakemake.output.scenes, date_format="%Y-%m-%d")
    table = rejected_table(rejected).rename(columns={"pair": "date"})
    io.write_table(table, snakemake.output.rejected)
    made = provenance.record(parameters=dict(snakemake.params.items()), sources=[folder])
    io.write_dataset(geometry, snakemake.output.geometry, grid=grid, provenance=made)
