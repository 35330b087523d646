"""Offsets between two images of a set."""

import numpy as np

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.offsets.screening import screened
from rockglacier.offsets.tracking import Matching, place_grid, track
from rockglacier.optical.catalogue import reader
from rockglacier.optical.screening import onto

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    source = reader(snakemake.params.source)
    first, second = (source.read_scene(path) for path in snakemake.params.scenes)
    days = float((second.time - first.time) / np.timedelta64(1, "D"))
    matching = Matching.of_pair(snakemake.params.offsets, days, min(grid.spacing_m))
    logger.info("%s to %s: search of %d pixels", first.name, second.name, matching.search)
    images = [onto(source.open_band(s, snakemake.params.band), grid) for s in (first, second)]
    field = screened(track(*images, matching).compute(), matching.search)
    io.write_dataset(
        field,
        snakemake.output.pair,
        grid=place_grid(grid, matching.step),
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=[first.path, second.path]
        ),
    )
