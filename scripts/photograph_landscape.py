"""Landsat scenes of a landscape: reflectance of all seasons, sharp images of late summers."""

from pathlib import Path

from rockglacier import io, logs
from rockglacier import simulation_landscape as landscapes
from rockglacier import simulation_landscape_optical as optical
from rockglacier.simulation_calendar import optical_dates, sharp_dates

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    landscape = landscapes.load(snakemake.input.ground, snakemake.input.objects)
    years = snakemake.params.years
    with io.atomic(snakemake.output.level2) as partial:
        optical.photograph(
            landscape, Path(partial), dates=optical_dates(*years), threads=snakemake.threads
        )
    with io.atomic(snakemake.output.level1) as partial:
        optical.photograph_sharply(
            landscape, Path(partial), dates=sharp_dates(*years), threads=snakemake.threads
        )
