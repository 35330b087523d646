"""Look at a track's GRD products first: what can be used, and what is wrong with the rest."""

from pathlib import Path

from rockglacier import io, logs
from rockglacier.grid import Grid
from rockglacier.readers.assemble import rejected_table
from rockglacier.readers.stack import lonlat_bounds
from rockglacier.sentinel1 import heights, screening, slices

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    folder = Path(snakemake.input.scenes)
    used, rejected = slices.check_slices(
        screening.find_scenes(folder),
        orbit_files=screening.orbit_files(snakemake.input.orbits, folder),
        polarisation=snakemake.params.polarisation,
        area=snakemake.params.area,
        period=snakemake.params.period,
        dem_bounds=lonlat_bounds(Grid.from_raster(heights.dem_file(snakemake.input.dem))),
        threads=snakemake.threads,
    )
    if rejected and snakemake.params.on_bad_input == "stop":
        raise rejected[0].flaw
    logger.info("%d dates", used.date.nunique())
    table = rejected_table(rejected).rename(columns={"pair": "date"})
    for rows, path in ((used, snakemake.output.scenes), (table, snakemake.output.rejected)):
        io.write_table(rows, path, date_format="%Y-%m-%d")
