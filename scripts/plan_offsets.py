"""Look at the scenes of a set of images, and plan the pairs to track offsets between."""

from rockglacier import io, logs
from rockglacier.offsets.planning import Room, pair_counts, propose_image_pairs
from rockglacier.optical.catalogue import reader
from rockglacier.optical.screening import check_scenes
from rockglacier.readers.assemble import rejected_table

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    images = snakemake.params.images
    scenes, rejected, grid = check_scenes(
        snakemake.input.folder,
        reader(images["source"]),
        band=images["band"],
        area=snakemake.params.area,
        period=snakemake.params.period,
        min_valid_share=images["min_valid_share"],
    )
    if rejected and snakemake.params.on_bad_input == "stop":
        raise rejected[0].flaw
    limits = ("pair_days", "season_days", "sun_deg", "connections")
    room = Room(grid.height, grid.width, min(grid.spacing_m), **snakemake.params.room)
    pairs, outgrown = propose_image_pairs(
        scenes, room=room, **{name: images[name] for name in limits}
    )
    scenes["pair_count"] = pair_counts(scenes, pairs)
    logger.info("%d pairs of %d scenes", len(pairs), len(scenes))
    grid.save(snakemake.output.grid)
    table = rejected_table(rejected).rename(columns={"pair": "date"})
    io.write_table(table, snakemake.output.rejected)
    io.write_table(scenes, snakemake.output.scenes)
    io.write_table(rejected_table(outgrown), snakemake.output.rejected_pairs)
    io.write_table(pairs, snakemake.output.planned, date_format="%Y%m%d")
