"""Simulate the raw scenes of a track, with orbits and a DEM, and keep the truth."""

from rockglacier import io, logs, provenance, simulation, terrain
from rockglacier import simulation_acquisitions as acquisitions
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    keys = dict(snakemake.params.track)
    area = tuple(snakemake.params.area)
    grid = Grid.over(area, snakemake.params.spacing_m, snakemake.params.crs)
    ground = acquisitions.wider(grid)
    if snakemake.input.dem:
        height = terrain.elevation(str(snakemake.input.dem), ground)
    else:
        relief = simulation.stream(keys["seed"], simulation.TERRAIN)
        height = simulation.fractal_relief(ground, relief)
    with io.atomic(snakemake.output.raw) as partial:
        truth = acquisitions.simulate_scenes(
            partial, grid=grid, height=height, threads=snakemake.threads, **keys
        )
    made = provenance.record(parameters=dict(snakemake.params.items()))
    io.write_dataset(truth, snakemake.output.truth, grid=grid, provenance=made)
