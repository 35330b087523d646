"""One unwrapped interferogram of two geocoded images."""

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.sentinel1 import engine

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    geometry = io.open_dataset(snakemake.input.geometry)
    looks = tuple(snakemake.params.looks)
    images = [
        io.open_dataset(path, rows=io.chunk_rows(path, "slc"))["slc"]
        for path in snakemake.params.images
    ]
    pair = engine.unwrapped_pair(
        *images,
        grid,
        looks,
        seen=geometry["observable"].values > 0,
        independent_looks=geometry.attrs["looks"],
        goldstein=snakemake.params.goldstein,
        unwrapper=snakemake.params.unwrapper,
        min_coherence=snakemake.params.min_coherence,
    )
    io.write_dataset(
        pair,
        snakemake.output.pair,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
