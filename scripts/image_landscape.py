"""Geocoded radar images of a landscape from one side."""

from pathlib import Path

from rockglacier import io, logs
from rockglacier import simulation_landscape as landscapes
from rockglacier.grid import Grid
from rockglacier.simulation_calendar import radar_dates
from rockglacier.simulation_landscape_radar import image_track

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    landscape = landscapes.load(snakemake.input.ground, snakemake.input.objects)
    direction = snakemake.wildcards.direction
    with io.atomic(snakemake.output.images) as partial:
        image_track(
            landscape,
            Grid.load(snakemake.input.grid),
            Path(partial),
            direction=direction,
            dates=radar_dates(direction, *snakemake.params.years),
            seed=snakemake.params.seed,
        )
