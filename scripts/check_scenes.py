"""Look at a track's scenes first: what can be used, and what is wrong with the rest."""

from pathlib import Path

from rockglacier import io, logs
from rockglacier.grid import Grid
from rockglacier.readers.assemble import rejected_table
from rockglacier.readers.stack import lonlat_bounds
from rockglacier.sentinel1 import heights, scenes, screening

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    folder = Path(snakemake.input.scenes)
    dem = heights.dem_file(snakemake.input.dem)
    used, aside, rejected = scenes.check_scenes(
        screening.find_scenes(folder),
        orbit_files=screening.orbit_files(snakemake.input.orbits, folder),
        polarisation=snakemake.params.polarisation,
        area=snakemake.params.area,
        period=snakemake.params.period,
        dem_bounds=lonlat_bounds(Grid.from_raster(dem)),
        threads=snakemake.threads,
    )
    if rejected and snakemake.params.on_bad_input == "stop":
        raise rejected[0].flaw
    logger.info("%d dates of %d bursts", used.date.nunique(), used.burst.nunique())
    table = rejected_table(rejected).rename(columns={"pair": "date"})
    outputs = (snakemake.output.scenes, snakemake.output.aside, snakemake.output.rejected)
    for rows, path in zip((used, aside, table), outputs, strict=True):
        io.write_table(rows, path, date_format="%Y-%m-%d")
