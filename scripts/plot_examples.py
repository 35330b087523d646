"""Figure 2 of a paper: what each technique sees of typical glaciers."""

import geopandas

from rockglacier import io, logs, plates, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    maps = plates.maps_of(
        io.read_raster(snakemake.input.velocity),
        io.open_dataset(snakemake.input.factors, rows=grid.height),
        io.read_raster(snakemake.input.probability)["probability"],
        io.read_raster(snakemake.input.classes)["p_clean"],
    )
    glaciers = snakemake.input.glaciers
    chosen = plates.examples(
        geopandas.read_file(snakemake.input.inventory, layer="GO"),
        geopandas.read_file(snakemake.input.labels),
        maps,
        grid=grid,
        glaciers=geopandas.read_file(glaciers) if glaciers else None,
    )
    for path in snakemake.output:
        plates.plot_examples(
            chosen,
            maps,
            io.read_raster(snakemake.input.dem)["elevation"],
            path,
            grid=grid,
            title=snakemake.params.title,
            provenance=provenance.record(
                parameters=dict(snakemake.params.items()), sources=snakemake.input
            ),
        )
