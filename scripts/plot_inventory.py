"""Figure 1 of a paper: probability of rock glaciers, objects by activity, accuracy."""

import json
from pathlib import Path

import geopandas

from rockglacier import io, logs, plates, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    for path in snakemake.output:
        plates.plot_inventory(
            io.read_raster(snakemake.input.probability)["probability"],
            io.read_raster(snakemake.input.dem)["elevation"],
            geopandas.read_file(snakemake.input.inventory, layer="GO"),
            json.loads(Path(snakemake.input.evaluation).read_text())["sides"],
            path,
            grid=Grid.load(snakemake.input.grid),
            title=snakemake.params.title,
            provenance=provenance.record(
                parameters=dict(snakemake.params.items()), sources=snakemake.input
            ),
        )
