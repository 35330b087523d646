"""Velocity of a track along its line of sight, with its error."""

import dask

from rockglacier import ambiguity, io, logs, phase_noise, provenance, velocity
from rockglacier.conventions import SENTINEL1_WAVELENGTH_M
from rockglacier.grid import Grid

QUALITY = ["temporal_coherence", "residual_rms", "pair_count", "subset_count"]

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    dask.config.set(scheduler="threads", num_workers=snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    memory_mb = 0.6 * snakemake.resources.mem_mb
    product = aliased = None
    factor, rows = 1.0, io.chunk_rows(snakemake.input.displacement, "displacement")
    if snakemake.input.pairs:
        stack_path, network, cycles_path = snakemake.input.pairs
        stack = io.open_pairs(
            stack_path, network, cycles=cycles_path,
            bytes_per_sample=40, memory_mb=memory_mb, threads=snakemake.threads,
        )  # fmt: skip
        rows = stack.chunksizes["y"][0]
    series = io.open_dataset(snakemake.input.displacement, rows=rows)
    looks = series.attrs.get("looks")
    stable = series["stable_ground"].compute() == 1
    quality = series[[name for name in (*QUALITY, "reason") if name in series]].compute()
    if snakemake.input.pairs:
        product = phase_noise.coherence_product(stack["phase"], stack.get("coherence"), looks=looks)
        factor = float(series["variance_factor"].compute().where(stable).median())
        quality["closure_count"] = io.open_dataset(cycles_path, rows=rows)["closure_count"]
        if snakemake.params.screen_aliasing and "coherence" in stack:
            loss = ambiguity.coherence_loss(stack["coherence"], looks=looks, stable_ground=stable)
            aliased = ambiguity.aliased(loss)
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
    fitted = fitted.compute()
    if "assumption" not in series["stable_ground"].attrs:  # else slow motion would pass for noise
        fitted = velocity.with_scene_scatter(fitted, stable)
    if snakemake.input.pairs:
        fitted = velocity.screened(
            fitted,
            quality,
            min_temporal_coherence=snakemake.params.min_temporal_coherence,
            aliased=aliased,
        )
    io.write_raster(
        fitted.merge(quality.compute(), compat="override"),
        snakemake.output.velocity,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
