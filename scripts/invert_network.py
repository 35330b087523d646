"""Invert the network of a track into displacement."""

import json
from pathlib import Path

import dask

from rockglacier import inversion, io, logs, phase_noise, provenance, reference
from rockglacier.conventions import LOOKS
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    dask.config.set(scheduler="threads", num_workers=snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    stack = io.open_pairs(
        snakemake.input.stack,
        snakemake.input.network,
        bytes_per_sample=32,
        memory_mb=0.6 * snakemake.resources.mem_mb,
        threads=snakemake.threads,
        cycles=snakemake.input.cycles,
    )
    looks = float(snakemake.params.looks or stack.attrs.get("looks", LOOKS))
    weighted = snakemake.params.weighting == "variance"
    product = phase_noise.coherence_product(stack["phase"], stack.get("coherence"), looks=looks)
    place = json.loads(Path(snakemake.input.reference).read_text())
    inverted = inversion.invert(
        stack["phase"],
        product if weighted else None,
        wavelength_m=stack.attrs["wavelength_m"],
        looks=looks if weighted else None,
        reference_phase=reference.reference_phase(stack["phase"], place),
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
