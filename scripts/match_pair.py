"""Offsets between two images of a set."""

import numpy as np

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.offsets.screening import screened
from rockglacier.offsets.tracking import Matching, place_grid, search_radius, track
from rockglacier.optical.catalogue import reader
from rockglacier.optical.screening import onto

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    source, how = reader(snakemake.params.source), snakemake.params.offsets
    first, second = (source.read_scene(path) for path in snakemake.params.scenes)
    days = float((second.time - first.time) / np.timedelta64(1, "D"))
    search = search_radius(
        how["max_velocity_m_per_year"], days, grid.spacing_m[1], how["registration_pixels"]
    )
    logger.info("%s to %s: search of %d pixels", first.name, second.name, search)
    matching = Matching(
        step=how["step_pixels"],
        chips=how["chips"],
        window=how["window"],
        search=search,
        prefilter=how["prefilter"],
        min_correlation=how["min_correlation"],
        min_peak_ratio=how["min_peak_ratio"],
        enough=0.0,  # all sizes tell together, once all pairs are inverted
    )
    images = [onto(source.open_band(s, snakemake.params.band), grid) for s in (first, second)]
    field = screened(track(*images, matching).compute(), search)
    io.write_dataset(
        field,
        snakemake.output.pair,
        grid=place_grid(grid, matching.step),
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=[first.path, second.path]
        ),
    )
