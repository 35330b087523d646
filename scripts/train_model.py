"""Model of the kind of ground from samples of regions, and the fate of each factor."""

from pathlib import Path

from rockglacier import io, logs, provenance
from rockglacier.fusion import training
from rockglacier.fusion.selection import Limits

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    how = dict(snakemake.params.how)
    products = {Path(path).parent.name: io.open_dataset(path) for path in snakemake.input.samples}
    samples, techniques = training.read_samples(products)
    trained = training.train(samples, techniques, training.How(limits=Limits(), **how))
    for technique, power in trained.notes["powers"].items():
        logger.info("%s counts %.2f", technique, power)
    io.write_table(trained.fates, snakemake.output.fates)
    training.save(
        trained,
        snakemake.output.model,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
