"""Whole cycles that unwrapping got wrong, and a map of triplets that do not close."""

import json
from pathlib import Path

import dask
import numpy as np
import pandas as pd

from rockglacier import closure, io, logs, provenance, reference
from rockglacier.grid import Grid

BYTES_PER_SAMPLE = 30

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    dask.config.set(scheduler="threads", num_workers=snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    used = np.flatnonzero(pd.read_csv(snakemake.input.network)["used"])
    rows = io.block_rows(
        grid.height,
        bytes_per_row=BYTES_PER_SAMPLE * used.size * grid.width,
        memory_mb=0.6 * snakemake.resources.mem_mb,
        threads=snakemake.threads,
        multiple=io.chunk_rows(snakemake.input.stack, "phase"),
    )
    stack = io.open_dataset(snakemake.input.stack, rows=rows).isel(pair=used)
    place = json.loads(Path(snakemake.input.reference).read_text())
    cycles = closure.correct_cycles(
        stack["phase"],
        stack.get("coherence"),
        reference_phase=reference.reference_phase(stack["phase"], place),
        looks=float(stack.attrs.get("looks", 20)),
        component=stack.get("component"),
        max_cycles=snakemake.params.max_cycles,
    )
    io.write_dataset(
        cycles,
        snakemake.output.cycles,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
