"""Velocity of a track along its line of sight, with its error."""

import xarray as xr

from rockglacier import ambiguity, bands, io, logs, phase_noise, provenance, velocity
from rockglacier.conventions import SENTINEL1_WAVELENGTH_M, UNRESOLVED
from rockglacier.grid import Grid

QUALITY = ["temporal_coherence", "residual_rms", "pair_count", "subset_count", "reason"]
NEEDED = ["displacement", "stable_ground", "variance_factor", *QUALITY]

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    series = xr.open_zarr(snakemake.input.displacement, consolidated=False, chunks=None)
    series = series[[name for name in NEEDED if name in series]]
    looks = series.attrs.get("looks")
    stable = series["stable_ground"].load() == 1
    memory_mb = 0.7 * snakemake.resources.mem_mb
    pairs = None
    if snakemake.input.pairs:
        pairs = bands.Pairs(*snakemake.input.pairs)
        every, threads = pairs.bands(
            bytes_per_sample=30,
            memory_mb=memory_mb,
            threads=snakemake.threads,
            margin=phase_noise.WINDOW // 2,
        )
    else:
        rows = io.chunk_rows(snakemake.input.displacement, "displacement")
        every, threads = bands.cut(grid.height, rows), snakemake.threads

    def product_of(band):
        """Coherence product of a band, and its mean coherence by span where that is known."""
        stack = pairs.read(band.wide, layers=("phase", "coherence"))
        unresolved = stack["cycles"] == UNRESOLVED
        product = phase_noise.coherence_product(
            stack["phase"], stack.get("coherence"), looks=looks
        ).where(~unresolved)
        means = {}
        if snakemake.params.screen_aliasing and "coherence" in stack:
            means["mean_coherence"] = ambiguity.mean_by_span(stack["coherence"].isel(y=band.crop))
        return product.isel(y=band.crop), means

    model = velocity.time_model(
        series["date"].values, terms=snakemake.params.terms, steps=snakemake.params.steps
    )
    options = {
        # Without pairs the wavelength scales nothing but intermediate values.
        "wavelength_m": series.attrs.get("wavelength_m", SENTINEL1_WAVELENGTH_M),
        "looks": looks,
    }
    if pairs:
        options["variance_factor"] = float(series["variance_factor"].load().where(stable).median())

    sample = velocity.sample_bands(stable, margin=phase_noise.WINDOW // 2)
    delay = velocity.delay_variance(
        xr.concat([series["displacement"].isel(y=b.inner).load() for b in sample], dim="y"),
        xr.concat([product_of(b)[0] for b in sample], dim="y") if pairs else None,
        model,
        sample=xr.concat([stable.isel(y=b.inner) for b in sample], dim="y"),
        **options,
    )

    def fitted(band):
        """Velocity and error of a band, and what screening needs."""
        product, means = product_of(band) if pairs else (None, {})
        displacement = series["displacement"].isel(y=band.inner).load()
        result = velocity.estimate(displacement, product, model, delay_variance=delay, **options)
        return result.assign(means)

    result = bands.work(fitted, every, threads=threads)
    means = result.get("mean_coherence")
    result = result.drop_vars(["mean_coherence", "span"], errors="ignore")
    if snakemake.params.stable_ground or snakemake.params.local_reference:
        # Ground that is merely assumed stable may move as a whole; its scatter is no error then.
        result = velocity.with_scene_scatter(result, stable)
    velocity.warn_of_motion(result, stable)
    quality = series[[name for name in QUALITY if name in series]].load()
    if pairs:
        cycles = xr.open_zarr(snakemake.input.pairs[2], consolidated=False, chunks=None)
        quality["closure_count"] = cycles["closure_count"].load()
        aliased = None
        if means is not None:
            loss = ambiguity.coherence_loss(means, looks=looks, stable_ground=stable)
            aliased = ambiguity.aliased(loss)
        result = velocity.screened(
            result,
            quality,
            min_temporal_coherence=snakemake.params.min_temporal_coherence,
            aliased=aliased,
        )
    io.write_raster(
        result.merge(quality.drop_vars("reason", errors="ignore")),
        snakemake.output.velocity,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
