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


def region_left_out():
    """Scores of the whole region by a model of the others, or why there are none."""
    region = snakemake.wildcards.region
    try:
        told = validation.region_left_out(
            samples, region, techniques, how, factors, grid, rows=ROWS
        )
    except RockGlacierError as error:
        logger.info("%s", error)
        return {"possible": False, "why": str(error)}
    others = sorted(set(products) - {region})
    scores = validation.scores(told[0], labels, grid, told[1], **judged)
    return {"possible": True, "trained_on": others, "sides": {evaluation.FUSION: scores}}


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
    left_out = region_left_out()
    document = {"trained_on": sorted(products), "judged_on": "blocks that were held out",
                "block_m": block_m, "sides": found, "region_left_out": left_out,
                "fates_by_fold": validation.counted(whole.fates), "height_and_slope": heights,
                **made}  # fmt: skip
    with io.atomic(snakemake.output.evaluation) as partial:
        partial.write_text(json.dumps(document, indent=2) + "\n")
    if left_out["possible"]:
        found = {**found, evaluation.LEFT_OUT: left_out["sides"][evaluation.FUSION]}
    io.write_table(validation.table(found), snakemake.output.table)
    empty = ["probability_low", "probability_high"]
    io.write_raster(
        whole.maps.drop_vars(empty), snakemake.output.held_out, grid=grid, provenance=made
    )
