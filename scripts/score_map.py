"""How right the map of a region is that others trained the model of, by its labels."""

import json

import geopandas

from rockglacier import evaluation, io, logs, provenance
from rockglacier.conventions import MAP
from rockglacier.fusion import training, validation
from rockglacier.grid import Grid

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    grid, region = Grid.load(snakemake.input.grid), snakemake.wildcards.region
    model = training.load(snakemake.input.model)
    labels = geopandas.read_file(snakemake.input.labels)
    maps = io.read_raster(snakemake.input.probability)
    maps = maps.assign(io.read_raster(snakemake.input.classes).data_vars)
    judged = {
        "surface": io.open_dataset(snakemake.input.relief)[["elevation", "slope"]].load(),
        "block_m": model.block_m,
        "unknown_m": snakemake.params.unknown_m,
    }
    number = model.objects(maps["probability"].transpose(*MAP).values, grid)
    found = {evaluation.FUSION: validation.scores(maps, labels, grid, number, **judged)}
    trained_on = model.notes["regions"]
    unseen = "the whole region, which no model had seen"
    if region in trained_on:
        logger.warning("the model saw a region of that name: this is no accuracy of unseen ground")
        unseen = "the whole region, of whose name one was that trained"
    document = {
        "trained_on": trained_on, "judged_on": unseen, "block_m": model.block_m, "sides": found,
        "height_and_slope": validation.height_and_slope(labels, grid, **judged),
        **provenance.record(
            parameters=dict(snakemake.params.items()), sources=[*map(str, snakemake.input)]
        ),
    }  # fmt: skip
    with io.atomic(snakemake.output.evaluation) as partial:
        partial.write_text(json.dumps(document, indent=2) + "\n")
    io.write_table(validation.table(found), snakemake.output.table)
