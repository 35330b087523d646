"""Velocity of a track along its line of sight, with its error."""

import dask
import numpy as np
import pandas as pd

from rockglacier import io, logs, phase_noise, provenance, reference, velocity
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    dask.config.set(scheduler="threads", num_workers=snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    rows = 64
    series = io.open_dataset(snakemake.input.displacement, rows=rows)
    used = np.flatnonzero(pd.read_csv(snakemake.input.pairs[1])["used"])
    stack = io.open_dataset(snakemake.input.pairs[0], rows=rows).isel(pair=used)
    looks = series.attrs["looks"]
    product = phase_noise.coherence_product(stack["phase"], stack.get("coherence"), looks=looks)
    known, moving = (
        reference.polygons(path, grid) if path else None
        for path in (snakemake.input.stable_ground, snakemake.input.moving_areas)
    )
    stable = reference.stable_ground(
        series["temporal_coherence"].compute(), known=known, moving=moving
    )
    model = velocity.time_model(
        series["date"].values, terms=snakemake.params.terms, steps=snakemake.params.steps
    )
    options = {
        "wavelength_m": series.attrs["wavelength_m"],
        "looks": looks,
        "variance_factor": float(series["variance_factor"].compute().where(stable).median()),
    }
    delay = velocity.delay_variance(series["displacement"], product, model, sample=stable, **options)
    fitted = velocity.estimate(series["displacement"], product, model, delay_variance=delay, **options)
    for band in fitted.values():
        band.attrs["units"] = band.attrs["units"].replace("m yr-1", "m/yr")
    quality = series[["temporal_coherence", "pair_count", "subset_count", "reason"]]
    io.write_raster(
        fitted.merge(quality).drop_vars("date", errors="ignore").compute(),
        snakemake.output.velocity,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
