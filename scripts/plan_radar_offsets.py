"""Plan the pairs of a track's geocoded images to track offsets between."""

import pandas as pd

from rockglacier import io, logs
from rockglacier.errors import SceneError
from rockglacier.grid import Grid
from rockglacier.offsets.planning import Room, pair_counts, propose_image_pairs
from rockglacier.readers.assemble import rejected_table

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    if grid.geographic:
        raise SceneError(
            f"{snakemake.input.grid} is of {grid.crs}, in degrees; offsets of radar images need "
            "metres: give the region's grid.crs, a UTM zone for instance."
        )
    dates = pd.read_csv(snakemake.input.scenes, parse_dates=["date"])[["date"]].drop_duplicates()
    limits = ("pair_days", "season_days", "connections")
    fine = grid.subdivided(*snakemake.params.looks)
    room = Room(fine.height, fine.width, min(fine.spacing_m), **snakemake.params.room)
    pairs, outgrown = propose_image_pairs(
        dates,
        room=room,
        months=snakemake.params.months,
        **{name: snakemake.params.images[name] for name in limits},
    )
    logger.info("%d pairs of %d dates", len(pairs), len(dates))
    pair_counts(dates, pairs)
    fine.save(snakemake.output.grid)
    io.write_table(rejected_table(outgrown), snakemake.output.rejected_pairs)
    io.write_table(pairs, snakemake.output.planned, date_format="%Y%m%d")
