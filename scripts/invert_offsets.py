"""Offsets of all pairs of a set, freed of their bias, to displacement and velocity."""

import numpy as np
import pandas as pd
import xarray as xr

from rockglacier import bands, io, logs, provenance, reference, terrain
from rockglacier.errors import NetworkError, SceneError
from rockglacier.grid import Grid
from rockglacier.offsets import inversion
from rockglacier.offsets.bias import COMPONENTS, descending_heading, estimate_bias
from rockglacier.offsets.sizes import SIZE, combined, unresolved
from rockglacier.offsets.stable import stable_places
from rockglacier.offsets.tracking import place_grid
from rockglacier.readers.assemble import rejected_table
from rockglacier.readers.stack import FlawedPair, Rejected, lonlat_bounds
from rockglacier.velocity import sample_bands

BYTES_PER_SAMPLE = 80  # of a pair and place at work, measured

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    how = snakemake.params.offsets
    grid = place_grid(Grid.load(snakemake.input.grid), how["step_pixels"])
    known, moving = reference.named_ground(
        snakemake.input.stable_ground, snakemake.input.moving_areas, grid
    )
    heights = terrain.elevation(snakemake.input.dem, grid)
    stable = stable_places(known, moving, heights, grid, max_slope_deg=how["stable_slope_deg"])
    pairs = pd.read_csv(snakemake.input.planned, parse_dates=["reference", "secondary"])
    pairs["path"] = list(snakemake.input.pairs)
    edges = lonlat_bounds(grid)
    heading = descending_heading(0.5 * (edges[1] + edges[3]))
    heading -= float(np.mean(terrain.grid_north(grid)))
    biases, rejected = {}, []

    def told_bias(field):
        """The bias that stable ground tells."""
        return estimate_bias(field, stable, model=how["bias"], heading_deg=heading)

    for k, pair in enumerate(logs.progress(pairs.itertuples(), "bias of pair", len(pairs))):
        field, found, flaw = io.open_dataset(pair.path), [], None
        for size in range(field.sizes[SIZE]):
            try:
                found.append(told_bias(field.isel({SIZE: size})))
            except SceneError as error:
                found.append(None)
                flaw = FlawedPair(
                    pair.path, "too little stable ground", found=str(error),
                    needed="offsets on stable ground", remedy="enlarge stable_ground or the area",
                )  # fmt: skip
        if any(found):
            biases[k] = found
            continue
        if snakemake.params.on_bad_input == "stop":
            raise flaw
        logger.warning("left out: %s", flaw)
        rejected.append(Rejected(f"{pair.reference:%Y%m%d}_{pair.secondary:%Y%m%d}", flaw))
    if not biases:
        raise NetworkError(
            f"None of {len(pairs)} pairs shows stable ground (first: {rejected[0].flaw}); name "
            "ground that does not move under stable_ground, or enlarge the area."
        )
    kept = pairs.iloc[list(biases)].reset_index(drop=True)
    stack = inversion.Stack(
        list(kept["path"]), list(biases.values()),
        kept["reference"].to_numpy(), kept["secondary"].to_numpy(),
    )  # fmt: skip
    chips = field[SIZE].values
    if assumption := stable.attrs.get("assumption"):
        logger.warning("%s", assumption)
    made = provenance.record(parameters=dict(snakemake.params.items()), sources=snakemake.input)
    row_mb = BYTES_PER_SAMPLE * len(kept) * grid.width / 1e6
    rows = int(max(1, min(grid.height, 0.7 * snakemake.resources.mem_mb / row_mb)))
    every = bands.cut(grid.height, rows)
    options = {"norm": snakemake.params.norm, "min_pairs": min(how["min_pairs"], len(kept))}
    sizes, scales = [], []
    serving = [k for k in range(chips.size) if any(found[k] for found in biases.values())]
    for k in set(range(chips.size)) - set(serving):
        logger.warning(
            "chips of %d pixels are left out: no pair shows enough stable ground", chips[k]
        )
    for k in serving:
        sample = [stack.read(k, band.inner) for band in sample_bands(stable, margin=0)]
        sampled = xr.concat(sample, dim="y", join="exact")
        scale = inversion.scale_of(sampled)
        variances = inversion.date_variances(
            inversion.invert(sampled, scale, **options), sampled, scale,
            stable.sel(y=sampled["y"]),
        )  # fmt: skip

        def rates(band, k=k, scale=scale, variances=variances):
            """Velocity of a band by chips of one size."""
            read = stack.read(k, band.inner)
            series = inversion.invert(read, scale, **options)
            return inversion.velocities(series, read, scale, variances)

        sizes.append(bands.work(rates, every, threads=1))
        error = float(sizes[-1]["east_error"].where(stable).median())
        logger.info("chips of %d pixels: %.3g m/yr on stable ground", chips[k], error)
        scales.append(scale)
    velocity = combined(
        xr.concat(sizes, dim=SIZE).assign_coords({SIZE: chips[serving]}),
        ["correlation", "pair_count", "match_reason", "reason"],
    )
    weight = velocity["weight"]
    velocity = unresolved(
        velocity.drop_dims(SIZE), stable, step=how["step_pixels"], window=how["window"]
    )
    velocity = inversion.calibrated(velocity, stable)
    limit = float(velocity["detection_limit"].where(stable).median())
    logger.info("together: detection limit %.3g m/yr on stable ground", limit)
    velocity = inversion.toward_true_north(velocity, terrain.grid_north(grid))
    velocity["stable_ground"] = stable.astype("float32").assign_attrs(stable.attrs)

    def displacement(band):
        """Displacement of a band by all sizes."""
        return inversion.displacement(
            stack, band.inner, weight, dict(zip(serving, scales, strict=True)), **options
        )

    bands.write(
        displacement, every, snakemake.output.displacement, grid=grid, threads=1, provenance=made
    )
    io.write_raster(
        velocity, snakemake.output.velocity, grid=grid,
        provenance=made | {"detection_limit_m_per_year": f"{limit:.4g}"},
    )  # fmt: skip
    largest = [next(bias for bias in reversed(found) if bias) for found in biases.values()]
    for name in COMPONENTS:
        kept[f"{name}_shift_m"] = [bias.coefficients[name][0] for bias in largest]
        kept[f"{name}_stable_nmad_m"] = [bias.stable_nmad_m[name] for bias in largest]
        kept[f"{name}_error_scale"] = [bias.error_scale[name] for bias in largest]
    kept["stable_places"] = [bias.stable_places for bias in largest]
    io.write_table(kept, snakemake.output.pairs, date_format="%Y-%m-%d")
    io.write_table(rejected_table(rejected), snakemake.output.rejected)
