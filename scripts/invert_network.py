"""Invert the network of a track into displacement."""

import json
from pathlib import Path

import dask
import numpy as np
import pandas as pd

from rockglacier import inversion, io, logs, phase_noise, provenance, reference
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    dask.config.set(scheduler="threads", num_workers=snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    used = np.flatnonzero(pd.read_csv(snakemake.input.network)["used"])
    rows = io.block_rows(
        grid.height,
        bytes_per_row=32 * used.size * grid.width,
        memory_mb=0.6 * snakemake.resources.mem_mb,
        threads=snakemake.threads,
        multiple=io.chunk_rows(snakemake.input.stack, "phase"),
    )
    stack = io.open_dataset(snakemake.input.stack, rows=rows).isel(pair=used)
    looks = float(snakemake.params.looks or stack.attrs.get("looks", 20))
    weighted = snakemake.params.weighting == "variance"
    product = phase_noise.coherence_product(stack["phase"], stack.get("coherence"), looks=looks)
    place = json.loads(Path(snakemake.input.reference).read_text())
    inverted = inversion.invert(
        stack["phase"],
        product if weighted else None,
        wavelength_m=stack.attrs["wavelength_m"],
        looks=looks if weighted else None,
        reference_phase=reference.reference_phase(stack["phase"], place),
        cycles=io.open_dataset(snakemake.input.cycles, rows=rows)["cycles"],
        norm=snakemake.params.norm,
        min_pairs=snakemake.params.min_pairs,
    )
    io.write_dataset(
        inverted.assign_attrs(looks=looks),
        snakemake.output.inverted,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
