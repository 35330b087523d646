"""A landscape of known kinds of ground, and what people know of it beforehand."""

from pathlib import Path

from rockglacier import logs, provenance, simulation, terrain
from rockglacier import simulation_landscape as landscapes
from rockglacier.grid import Grid

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    fine = grid.subdivided(landscapes.FINER, landscapes.FINER)
    seed = snakemake.params.seed
    if snakemake.input.relief:
        heights = terrain.elevation(str(snakemake.input.relief), fine).values
    else:
        heights = simulation.fractal_relief(
            fine, simulation.stream(seed, simulation.TERRAIN)
        ).values
    landscape = landscapes.make(grid, heights, seed=seed)
    for kind, count in landscape.objects["type"].value_counts().items():
        logger.info("%d objects: %s", count, kind)
    made = provenance.record(parameters=dict(snakemake.params.items()))
    landscapes.deliver(landscape, Path(snakemake.output.dem).parent, seed=seed)
    landscapes.save(
        landscape, Path(snakemake.output.ground), Path(snakemake.output.objects), provenance=made
    )
