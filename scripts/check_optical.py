"""Look at the scenes of surface reflectance of a set."""

from rockglacier import io, logs
from rockglacier.grid import Grid
from rockglacier.optical.catalogue import reader
from rockglacier.optical.screening import check_reflectance
from rockglacier.readers.assemble import rejected_table

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    scenes, rejected = check_reflectance(
        snakemake.input.folder,
        reader(snakemake.params.source),
        Grid.load(snakemake.input.grid),
        period=snakemake.params.period,
    )
    if rejected and snakemake.params.on_bad_input == "stop":
        raise rejected[0].flaw
    logger.info("%d scenes of %d dates", len(scenes), scenes["date"].nunique())
    table = rejected_table(rejected).rename(columns={"pair": "date"})
    io.write_table(table, snakemake.output.rejected)
    io.write_table(scenes, snakemake.output.scenes, date_format="%Y-%m-%d")
