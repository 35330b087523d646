"""Terrain-flattened backscatter of one date in the cross polarisation; its image is not kept."""

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.sentinel1 import engine, heights
from rockglacier.sentinel1.safe import cross_polarised

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    fine = grid.subdivided(*snakemake.params.looks)
    geometry = io.open_dataset(snakemake.input.geometry)
    layout = io.open_dataset(snakemake.input.layout)
    date = engine.open_acquisition(cross_polarised(snakemake.params.bursts))
    height = heights.ellipsoidal(
        snakemake.input.dem, fine, datum=snakemake.params.dem_datum, geoid=snakemake.params.geoid
    )
    with engine.geocoded(
        date,
        fine,
        height.values,
        layout["burst"].values,
        bistatic=snakemake.params.bistatic,
        threads=snakemake.threads,
        scratch=snakemake.resources.tmpdir,
    ) as image:
        gamma = engine.gamma_nought(
            image["slc"],
            date,
            grid,
            layout,
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
