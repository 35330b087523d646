"""Figure of the probability of rock glaciers and the kind of ground."""

import geopandas

from rockglacier import figures, io, logs, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    labels = snakemake.input.labels
    figures.plot_probability(
        io.read_raster(snakemake.input.probability),
        io.read_raster(snakemake.input.classes)["kind"],
        snakemake.output.figure,
        grid=Grid.load(snakemake.input.grid),
        height=io.read_raster(snakemake.input.dem)["elevation"],
        objects=geopandas.read_file(labels) if labels else None,
        title=snakemake.params.title,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
