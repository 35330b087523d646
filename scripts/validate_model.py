"""How well a region's model foretells held-out ground, and each technique by itself."""

import json
from pathlib import Path

import geopandas

from rockglacier import evaluation, io, logs, provenance
from rockglacier.errors import RockGlacierError
from rockglacier.fusion import training, validation
from rockglacier.fusion.selection import Limits
from rockglacier.grid import Grid

ROWS = 256  # told at a time

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    # Resampled ground tells the band of a map, not its accuracy.
    how = training.How(limits=Limits(), **{**snakemake.params.how, "bootstraps": 0})
    products = {Path(path).parent.name: io.open_dataset(path) for path in snakemake.input.samples}
    samples, techniques = training.read_samples(products)
    block_m = training.block_side(samples, techniques, how)
    shift_m = sorted(products).index(snakemake.wildcards.region) * training.REGION_M
    labels = geopandas.read_file(snakemake.input.labels)
    factors = io.open_dataset(snakemake.input.factors, rows=min(ROWS, grid.height))
    judged = {
        "surface": io.open_dataset(snakemake.input.relief)[["elevation", "slope"]].load(),
        "block_m": block_m,
        "unknown_m": snakemake.params.unknown_m,
    }
    found, whole = {}, None
    for side, part in validation.alone(techniques).items():
        try:
            told = validation.held_out(
                samples, part, how, factors, labels, grid,
                block_m=block_m, shift_m=shift_m, rows=ROWS, fates=whole and whole.fates,
            )  # fmt: skip
        except RockGlacierError as error:
            if side == evaluation.FUSION:
                raise
            logger.warning("%s alone tells nothing: %s", side, error)
            continue
        whole = whole or told
        found[side] = validation.scores(told.maps, labels, grid, told.number, **judged)
        objects = found[side]["objects"]
        logger.info("%s: F1 of objects %.2f", side, objects["f1"])
    made = provenance.record(
        parameters=dict(snakemake.params.items()), sources=[*snakemake.input.samples]
    )
    heights = validation.height_and_slope(labels, grid, **judged)
    document = {"block_m": block_m, "sides": found, "height_and_slope": heights, **made}
    with io.atomic(snakemake.output.evaluation) as partial:
        partial.write_text(json.dumps(document, indent=2) + "\n")
    io.write_table(validation.table(found), snakemake.output.table)
    empty = ["probability_low", "probability_high"]
    io.write_raster(
        whole.maps.drop_vars(empty), snakemake.output.held_out, grid=grid, provenance=made
    )
