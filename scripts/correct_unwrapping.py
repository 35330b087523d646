"""Whole cycles that unwrapping got wrong or that motion hides, and triplets that do not close."""

import json
from pathlib import Path

import dask
import numpy as np
import xarray as xr

from rockglacier import ambiguity, closure, io, logs, phase_noise, provenance, reference
from rockglacier.conventions import LOOKS, UNRESOLVED
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    dask.config.set(scheduler="threads", num_workers=snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    stack = io.open_pairs(
        snakemake.input.stack,
        snakemake.input.network,
        bytes_per_sample=60,
        memory_mb=0.6 * snakemake.resources.mem_mb,
        threads=snakemake.threads,
    )
    looks = float(snakemake.params.looks or stack.attrs.get("looks", LOOKS))
    place = json.loads(Path(snakemake.input.reference).read_text())
    offset = reference.reference_phase(stack["phase"], place)
    phase = (stack["phase"] - offset.astype("float32")).assign_attrs(stack["phase"].attrs)
    product = phase_noise.coherence_product(phase, stack.get("coherence"), looks=looks)
    motion = ambiguity.resolve(
        phase,
        product,
        wavelength_m=stack.attrs["wavelength_m"],
        looks=looks,
        spacing_m=grid.spacing_m,
    )
    if not snakemake.params.resolve_motion:
        motion["cycles"] = xr.zeros_like(motion["cycles"])
    turned = phase + np.float32(2.0 * np.pi) * motion["cycles"]
    result = closure.correct_cycles(
        turned.where(motion["cycles"] != UNRESOLVED).assign_attrs(phase.attrs),
        product,
        looks=looks,
        component=stack.get("component"),
        max_cycles=snakemake.params.max_cycles,
    )
    result["cycles"] = ambiguity.combined(motion["cycles"], result["cycles"])
    io.write_dataset(
        result.merge(motion[["local_rate", "local_rate_error"]]),
        snakemake.output.cycles,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
