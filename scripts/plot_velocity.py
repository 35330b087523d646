"""Figures of a track's velocity, time series and corrections."""

import json
from pathlib import Path

from rockglacier import figures, io, logs, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    series = io.open_dataset(snakemake.input.displacement, rows=grid.height)
    velocity = io.read_raster(snakemake.input.velocity)
    place = None
    if snakemake.input.reference:
        window = json.loads(Path(snakemake.input.reference).read_text())
        place = grid.x[sum(window["columns"]) // 2], grid.y[sum(window["rows"]) // 2]
    common = {
        "title": snakemake.params.title,
        "provenance": provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    }
    ground = {
        "grid": grid,
        "height": io.read_raster(snakemake.input.dem)["elevation"],
        "reference": place,
    }
    figures.plot_velocity(
        velocity,
        snakemake.output.velocity,
        stable_ground=series["stable_ground"].compute(),
        **ground,
        **common,
    )
    figures.plot_series(
        series,
        velocity,
        snakemake.output.series,
        terms=snakemake.params.terms,
        steps=snakemake.params.steps,
        **ground,
        **common,
    )
    corrections = json.loads(Path(snakemake.input.corrections).read_text())
    figures.plot_corrections(
        corrections["corrections"],
        snakemake.output.corrections,
        assumption=corrections["assumption"],
        **common,
    )
