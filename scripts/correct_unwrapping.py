"""Whole cycles that unwrapping got wrong or that motion hides, and triplets that do not close."""

import json
from pathlib import Path

import numpy as np
import xarray as xr

from rockglacier import ambiguity, bands, closure, logs, phase_noise, provenance, reference
from rockglacier.conventions import LOOKS, UNRESOLVED
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    pairs = bands.Pairs(snakemake.input.stack, snakemake.input.network)
    looks = float(snakemake.params.looks or pairs.attrs.get("looks", LOOKS))
    place = json.loads(Path(snakemake.input.reference).read_text())
    offset = reference.window_phase(pairs, place)
    margin = ambiguity.margin_rows(grid.spacing_m) + closure.SWEEPS + phase_noise.WINDOW // 2
    every, threads = pairs.bands(
        bytes_per_sample=45,
        memory_mb=0.7 * snakemake.resources.mem_mb,
        threads=snakemake.threads,
        margin=margin,
    )
    rates = ["local_rate", "local_rate_error"]

    def motion(band, still):
        """The stack of a band and its margin, and the cycles that motion hides in it."""
        stack = pairs.read(band.wide)
        stack["phase"] = (stack["phase"] - offset).assign_attrs(stack["phase"].attrs)
        product = phase_noise.coherence_product(stack["phase"], stack.get("coherence"), looks=looks)
        resolved = ambiguity.resolve(
            stack["phase"],
            product,
            wavelength_m=pairs.attrs["wavelength_m"],
            looks=looks,
            spacing_m=grid.spacing_m,
            steps=snakemake.params.steps,
            stable_ground=xr.ones_like(stack["phase"][0], dtype=bool) if still is None else still,
        )
        return stack, product, resolved

    def first_rates(band):
        """Rates against all surroundings, moving or not."""
        return motion(band, None)[2][rates].isel(y=band.crop)

    moving = None
    if snakemake.params.resolve_motion:
        moving = ambiguity.moving(bands.work(first_rates, every, threads=threads))

    def cycles(band):
        """Both corrections of a band."""
        still = None if moving is None else ~moving.isel(y=band.wide)
        stack, product, resolved = motion(band, still)
        hidden = resolved["cycles"]
        if not snakemake.params.resolve_motion:
            hidden = xr.zeros_like(hidden)
        # Closures look four pixels around: of the margin no more is needed from here on.
        near = slice(max(0, band.crop.start - closure.SWEEPS), band.crop.stop + closure.SWEEPS)
        stack, product, hidden = (a.isel(y=near) for a in (stack, product, hidden))
        turned = stack["phase"] + np.float32(2.0 * np.pi) * hidden
        closed = closure.correct_cycles(
            turned.where(hidden != UNRESOLVED).assign_attrs(stack["phase"].attrs),
            product,
            looks=looks,
            component=stack.get("component"),
            max_cycles=snakemake.params.max_cycles,
        )
        closed["cycles"] = ambiguity.combined(hidden, closed["cycles"])
        crop = slice(band.crop.start - near.start, band.crop.stop - near.start)
        return closed.isel(y=crop).merge(resolved[rates].isel(y=band.crop))

    bands.write(
        cycles,
        every,
        snakemake.output.cycles,
        grid=grid,
        threads=threads,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
