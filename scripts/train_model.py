"""Model of the kind of ground and of which ground is an object; the fate of each factor."""

import json
from pathlib import Path

import geopandas
import numpy as np

from rockglacier import io, logs, provenance
from rockglacier.conventions import MAP
from rockglacier.fusion import objects, training
from rockglacier.fusion.selection import Limits
from rockglacier.grid import Grid


def known_objects():
    """Candidates of the held-out map of each region, and what they are."""
    paths = (snakemake.input[name] for name in ("held_out", "labels", "grids"))
    for held_out, labels, path in zip(*paths, strict=True):
        grid = Grid.load(path)
        maps = io.read_raster(held_out).transpose(*MAP)
        fold = np.nan_to_num(maps["fold"].values).astype(int)
        yield objects.known(maps["probability"].values, fold, geopandas.read_file(labels), grid)


if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    how = dict(snakemake.params.how)
    products = {Path(path).parent.name: io.open_dataset(path) for path in snakemake.input.samples}
    samples, techniques = training.read_samples(products)
    trained = training.train(samples, techniques, training.How(limits=Limits(), **how))
    trained.judge = objects.learn(list(known_objects()))
    if trained.judge is None:
        logger.warning("too few outlines are known to learn what objects are: thresholds tell them")
    for technique, power in trained.notes["powers"].items():
        logger.info("%s counts %.2f", technique, power)
    for path in snakemake.input.evaluations:
        document = json.loads(Path(path).read_text())
        trained.notes["held_out"][Path(path).parent.name] = training.scores_of(document)
    # No output: Snakemake would take away what tells the number of the version before.
    history = Path(snakemake.output.model).with_name(f"{snakemake.wildcards.model}_versions.csv")
    io.write_table(training.entered(trained, history), history)
    logger.info("version %d", trained.notes["version"])
    io.write_table(trained.fates, snakemake.output.fates)
    training.save(
        trained,
        snakemake.output.model,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
