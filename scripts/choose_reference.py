"""Choose where the displacement of a track is zero."""

import json

import numpy as np
import pandas as pd

from rockglacier import io, logs, reference
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    used = np.flatnonzero(pd.read_csv(snakemake.input.network)["used"])
    rows = io.chunk_rows(snakemake.input.stack, "phase")
    stack = io.open_dataset(snakemake.input.stack, rows=rows).isel(pair=used)
    known, moving = reference.named_ground(
        snakemake.input.stable_ground, snakemake.input.moving_areas, grid
    )
    chosen = reference.choose(
        stack["phase"],
        stack.get("coherence"),
        grid,
        known=known,
        moving=moving,
        height=io.read_raster(snakemake.input.dem)["elevation"],
        point=snakemake.params.point,
        min_coherence=snakemake.params.min_coherence,
        window_pixels=snakemake.params.window_pixels,
    )
    with io.atomic(snakemake.output.reference) as partial:
        partial.write_text(json.dumps(chosen, indent=2) + "\n")
