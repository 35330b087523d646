"""Offsets between two geocoded images of a track."""

from contextlib import ExitStack

import numpy as np
import pandas as pd

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.offsets.screening import screened
from rockglacier.offsets.tracking import Matching, place_grid, track
from rockglacier.sentinel1 import engine, heights

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    dates = snakemake.wildcards.reference, snakemake.wildcards.secondary
    fine = Grid.load(snakemake.input.grid)
    height = heights.ellipsoidal(
        snakemake.input.dem, fine, datum=snakemake.params.dem_datum, geoid=snakemake.params.geoid
    )
    layout = io.open_dataset(snakemake.input.layout)["burst"].values
    observable = io.open_dataset(snakemake.input.geometry)["observable"].values > 0
    looks = snakemake.params.looks
    seen = height.copy(data=observable.repeat(looks[0], axis=0).repeat(looks[1], axis=1))
    days = float((pd.Timestamp(dates[1]) - pd.Timestamp(dates[0])) / np.timedelta64(1, "D"))
    matching = Matching.of_pair(snakemake.params.offsets, days, min(fine.spacing_m))
    logger.info("%s to %s: search of %d pixels", *dates, matching.search)
    images = []
    with ExitStack() as files:
        for path, bursts in zip(
            (snakemake.input.reference, snakemake.input.secondary),
            snakemake.params.bursts,
            strict=True,
        ):
            image = engine.baseband(
                io.open_dataset(path, rows=io.chunk_rows(path, "slc"))["slc"],
                engine.open_acquisition(bursts),
                fine,
                height.values,
                layout,
                bistatic=snakemake.params.bistatic,
                threads=snakemake.threads,
                scratch=snakemake.resources.tmpdir,
            )
            images.append(files.enter_context(image).where(seen))
        field = screened(track(*images, matching).compute(), matching.search)
    io.write_dataset(
        field,
        snakemake.output.pair,
        grid=place_grid(fine, matching.step),
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
