"""Velocity along the slope from every track of a region."""

from pathlib import Path

from rockglacier import downslope, io, logs, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    tracks = {
        Path(velocity).parent.name: (io.read_raster(velocity), io.read_raster(sight))
        for velocity, sight in zip(snakemake.input.velocity, snakemake.input.sight, strict=True)
    }
    io.write_raster(
        downslope.downslope_velocity(
            tracks,
            io.open_dataset(snakemake.input.terrain),
            grid,
            min_sensitivity=snakemake.params.min_sensitivity,
        ),
        snakemake.output.velocity,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
