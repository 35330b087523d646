"""The flattened image of one date on the track's fine grid."""

import tempfile

import numpy as np

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
    with tempfile.TemporaryFile(dir=snakemake.resources.tmpdir) as scratch:
        image = np.memmap(scratch, np.complex64, "w+", shape=fine.shape)
        engine.geocode(
            date,
            fine,
            height.values,
            layout,
            image,
            bistatic=snakemake.params.bistatic,
            threads=snakemake.threads,
        )
        io.write_dataset(
            engine.as_dataset(image, fine, date),
            snakemake.output.slc,
            grid=fine,
            provenance=provenance.record(
                parameters=dict(snakemake.params.items()), sources=snakemake.input
            ),
        )
