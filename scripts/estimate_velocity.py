"""Velocity of a track along its line of sight, with its error."""

import dask
import numpy as np
import pandas as pd

from rockglacier import io, logs, phase_noise, provenance, velocity
from rockglacier.conventions import SENTINEL1_WAVELENGTH_M
from rockglacier.grid import Grid

BYTES_PER_SAMPLE = 40
QUALITY = ["temporal_coherence", "residual_rms", "pair_count", "subset_count", "reason"]

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    dask.config.set(scheduler="threads", num_workers=snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    layers = 0
    if snakemake.input.pairs:
        stack_path, network, cycles_path = snakemake.input.pairs
        used = np.flatnonzero(pd.read_csv(network)["used"])
        layers += used.size
    chunk = io.chunk_rows(snakemake.input.displacement, "displacement")
    rows = io.block_rows(
        grid.height,
        bytes_per_row=BYTES_PER_SAMPLE * (100 + layers) * grid.width,
        memory_mb=0.6 * snakemake.resources.mem_mb,
        threads=snakemake.threads,
        multiple=chunk,
    )
    series = io.open_dataset(snakemake.input.displacement, rows=rows)
    quality = series[[name for name in QUALITY if name in series]].compute()
    looks = series.attrs.get("looks")
    product = None
    factor = 1.0
    stable = series["stable_ground"].compute() == 1
    if snakemake.input.pairs:
        stack = io.open_dataset(stack_path, rows=rows).isel(pair=used)
        product = phase_noise.coherence_product(stack["phase"], stack.get("coherence"), looks=looks)
        factor = float(series["variance_factor"].compute().where(stable).median())
        quality["closure_count"] = io.open_dataset(cycles_path, rows=rows)[
            "closure_count"
        ].compute()
    options = {
        # Without pairs the wavelength scales nothing but intermediate values.
        "wavelength_m": series.attrs.get("wavelength_m", SENTINEL1_WAVELENGTH_M),
        "looks": looks,
        "variance_factor": factor,
    }
    displacement = series["displacement"]
    model = velocity.time_model(
        displacement["date"].values, terms=snakemake.params.terms, steps=snakemake.params.steps
    )
    delay = velocity.delay_variance(displacement, product, model, sample=stable, **options)
    fitted = velocity.estimate(displacement, product, model, delay_variance=delay, **options)
    fitted = velocity.with_scene_scatter(fitted.compute(), stable)
    for band in fitted.values():
        band.attrs["units"] = band.attrs["units"].replace("m yr-1", "m/yr")
    io.write_raster(
        fitted.merge(quality),
        snakemake.output.velocity,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
