"""Terrain-flattened backscatter of one date of GRD products on the region's grid."""

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.sentinel1 import detected, heights
from rockglacier.sentinel1.safe import cross_polarised

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    looks = tuple(snakemake.params.looks)
    rows = snakemake.params.slices
    height = heights.ellipsoidal(
        snakemake.input.dem,
        grid.subdivided(*looks),
        datum=snakemake.params.dem_datum,
        geoid=snakemake.params.geoid,
    )
    gamma = detected.gamma_nought(
        detected.open_passage(cross_polarised(rows) if snakemake.params.crossed else rows),
        grid,
        height.values,
        io.open_dataset(snakemake.input.layout)["flattening"].values,
        looks,
        seen=io.open_dataset(snakemake.input.geometry)["observable"].values > 0,
        threads=snakemake.threads,
    )
    io.write_raster(
        gamma.to_dataset(),
        snakemake.output.backscatter,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
