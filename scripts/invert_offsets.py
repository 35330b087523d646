"""Offsets of all pairs of a set, freed of their bias, to displacement and velocity."""

import numpy as np
import pandas as pd

from rockglacier import bands, io, logs, provenance, reference, terrain
from rockglacier.errors import NetworkError
from rockglacier.grid import Grid
from rockglacier.offsets import inversion
from rockglacier.offsets.bias import COMPONENTS, descending_heading
from rockglacier.offsets.sizes import SIZE
from rockglacier.offsets.stable import stable_places
from rockglacier.offsets.tracking import place_grid
from rockglacier.offsets.velocity import biases_of, velocity_of
from rockglacier.readers.assemble import rejected_table
from rockglacier.readers.stack import FlawedPair, Rejected, lonlat_bounds

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
    if assumption := stable.attrs.get("assumption"):
        logger.warning("%s", assumption)
    pairs = pd.read_csv(snakemake.input.planned, parse_dates=["reference", "secondary"])
    pairs["path"] = list(snakemake.input.pairs)
    edges = lonlat_bounds(grid)
    heading = descending_heading(0.5 * (edges[1] + edges[3]))
    heading -= float(np.mean(terrain.grid_north(grid)))
    found = biases_of(pairs["path"], stable, model=how["bias"], heading_deg=heading)
    names = [f"{p.reference:%Y%m%d}_{p.secondary:%Y%m%d}" for p in pairs.itertuples()]
    rejected = [
        Rejected(name, flaw)
        for name, flaw in zip(names, found, strict=True)
        if isinstance(flaw, FlawedPair)
    ]
    for one in rejected:
        if snakemake.params.on_bad_input == "stop":
            raise one.flaw
        logger.warning("left out: %s", one.flaw)
    good = [not isinstance(told, FlawedPair) for told in found]
    if not any(good):
        raise NetworkError(
            f"None of {len(pairs)} pairs shows stable ground (first: {rejected[0].flaw}); name "
            "ground that does not move under stable_ground, or enlarge the area."
        )
    kept = pairs[good].reset_index(drop=True)
    biases = [told for told in found if not isinstance(told, FlawedPair)]
    stack = inversion.Stack(
        list(kept["path"]),
        biases,
        kept["reference"].to_numpy(),
        kept["secondary"].to_numpy(),
        how["min_pair_share"],
    )
    made = provenance.record(parameters=dict(snakemake.params.items()), sources=snakemake.input)
    row_mb = BYTES_PER_SAMPLE * len(kept) * grid.width / 1e6
    rows = int(max(1, min(grid.height, 0.7 * snakemake.resources.mem_mb / row_mb)))
    every = bands.cut(grid.height, rows)
    options = {"norm": snakemake.params.norm, "min_pairs": min(how["min_pairs"], len(kept))}
    told = velocity_of(
        stack,
        stable,
        every,
        chips=io.open_dataset(kept["path"][0])[SIZE].values,
        step=how["step_pixels"],
        window=how["window"],
        **options,
    )
    limit = float(told.velocity["detection_limit"].where(stable).median())
    logger.info("together: detection limit %.3g m/yr on stable ground", limit)
    velocity = inversion.toward_true_north(told.velocity, terrain.grid_north(grid))
    velocity["stable_ground"] = stable.astype("float32").assign_attrs(stable.attrs)

    def displacement(band):
        """Displacement of a band by all sizes."""
        return inversion.displacement(stack, band.inner, told.weight, told.scales, **options)

    bands.write(
        displacement, every, snakemake.output.displacement, grid=grid, threads=1, provenance=made
    )
    io.write_raster(
        velocity, snakemake.output.velocity, grid=grid,
        provenance=made | {"detection_limit_m_per_year": f"{limit:.4g}"},
    )  # fmt: skip
    largest = [next(bias for bias in reversed(sizes) if bias) for sizes in biases]
    for name in COMPONENTS:
        kept[f"{name}_shift_m"] = [bias.coefficients[name][0] for bias in largest]
        kept[f"{name}_stable_nmad_m"] = [bias.stable_nmad_m[name] for bias in largest]
        kept[f"{name}_error_scale"] = [bias.error_scale[name] for bias in largest]
    kept["stable_places"] = [bias.stable_places for bias in largest]
    io.write_table(kept, snakemake.output.pairs, date_format="%Y-%m-%d")
    io.write_table(rejected_table(rejected), snakemake.output.rejected)
