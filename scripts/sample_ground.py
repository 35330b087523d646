"""Samples of labelled ground with all of its factors."""

import geopandas

from rockglacier import io, logs, provenance
from rockglacier.fusion import labels
from rockglacier.grid import Grid

ROWS = 256  # of a block

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    grid, how = Grid.load(snakemake.input.grid), snakemake.params.sampling
    samples = labels.samples(
        geopandas.read_file(snakemake.input.labels),
        grid,
        io.open_dataset(snakemake.input.relief)[["elevation", "slope"]],
        per_object=how["per_object"],
        background=how["background"],
        buffer_m=how["object_buffer_m"],
        like=how["background_like"],
        seed=how["seed"],
    )
    logger.info("%d samples", len(samples))
    io.write_dataset(
        labels.with_factors(samples, io.open_dataset(snakemake.input.factors, rows=ROWS)),
        snakemake.output.samples,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
