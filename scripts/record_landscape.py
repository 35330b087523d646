"""Simulate the raw scenes of a part of a landscape, with their orbits."""

from pathlib import Path

from rockglacier import io, logs
from rockglacier import simulation_landscape as landscapes
from rockglacier.grid import Grid
from rockglacier.simulation_landscape_scenes import record_scenes

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    landscape = landscapes.load(snakemake.input.ground, snakemake.input.objects)
    with io.atomic(snakemake.output.raw) as partial:
        record_scenes(
            landscape,
            Grid.load(snakemake.input.grid),
            Path(partial),
            seed=snakemake.params.seed,
            threads=snakemake.threads,
            **snakemake.params.track,
        )
