"""The flattened image of one date on the track's fine grid."""

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.sentinel1 import engine, heights

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    fine = Grid.load(snakemake.input.grid).subdivided(*snakemake.params.looks)
    date = engine.open_acquisition(snakemake.params.bursts)
    height = heights.ellipsoidal(
        snakemake.input.dem, fine, datum=snakemake.params.dem_datum, geoid=snakemake.params.geoid
    )
    layout = io.open_dataset(snakemake.input.layout)["burst"].values
    with engine.geocoded(
        date,
        fine,
        height.values,
        layout,
        bistatic=snakemake.params.bistatic,
        threads=snakemake.threads,
        scratch=snakemake.resources.tmpdir,
    ) as image:
        io.write_dataset(
            image,
            snakemake.output.slc,
            grid=fine,
            provenance=provenance.record(
                parameters=dict(snakemake.params.items()), sources=snakemake.input
            ),
        )
