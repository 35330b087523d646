"""Terrain-flattened backscatter of a geocoded image that was made elsewhere."""

from pathlib import Path

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.sentinel1 import engine

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    geometry = io.open_dataset(snakemake.input.geometry)
    [image] = snakemake.params.images
    rows = io.chunk_rows(image, "slc")
    slc = io.open_dataset(image, rows=rows)["slc"]
    layout = io.open_dataset(Path(snakemake.params.folder) / "layout.zarr", rows=rows)
    gamma = engine.flattened(
        slc,
        grid,
        layout["flattening"],
        tuple(snakemake.params.looks),
        noise=slc.attrs.get("noise_beta_nought", 0.0),
        seen=geometry["observable"].values > 0,
    )
    io.write_raster(
        gamma.to_dataset(),
        snakemake.output.backscatter,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=[image, *snakemake.input]
        ),
    )
