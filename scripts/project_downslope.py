"""Velocity along the surface from every track of a region, joined with its offsets."""

from pathlib import Path

from rockglacier import downslope, io, joining, logs, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    tracks = {
        Path(velocity).parent.name: (io.read_raster(velocity), io.read_raster(sight))
        for velocity, sight in zip(snakemake.input.velocity, snakemake.input.sight, strict=True)
    }
    slopes = io.open_dataset(snakemake.input.terrain)
    velocity = None
    if tracks:
        velocity = downslope.downslope_velocity(
            tracks, slopes, grid, min_sensitivity=snakemake.params.min_sensitivity
        )
    if snakemake.input.offsets:
        how, sets = snakemake.params.joining, []
        for path in snakemake.input.offsets:
            rates = io.read_raster(path)
            rates["moving"] = joining.moving(rates, sigmas=how["offsets_sigmas"])
            sets.append(joining.onto_region(rates, grid))
        velocity = joining.join(
            velocity,
            joining.best(sets),
            slopes,
            offsets_above=how["offsets_above_m_per_year"],
            insar_below=how["insar_below_m_per_year"],
            agree_sigmas=how["agree_sigmas"],
        )
    io.write_raster(
        velocity,
        snakemake.output.velocity,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
