"""Terrain-flattened backscatter of one date on the region's grid."""

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.sentinel1 import engine

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    geometry = io.open_dataset(snakemake.input.geometry)
    rows = io.chunk_rows(snakemake.input.slc, "slc")
    gamma = engine.gamma_nought(
        io.open_dataset(snakemake.input.slc, rows=rows)["slc"],
        engine.open_acquisition(snakemake.params.bursts),
        grid,
        io.open_dataset(snakemake.input.layout, rows=rows),
        geometry["height"].values,
        tuple(snakemake.params.looks),
        seen=geometry["observable"].values > 0,
        bistatic=snakemake.params.bistatic,
    )
    io.write_raster(
        gamma.to_dataset(),
        snakemake.output.backscatter,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
