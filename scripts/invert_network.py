"""Invert the network of a track into displacement."""

import json
from pathlib import Path

from rockglacier import bands, inversion, logs, phase_noise, provenance, reference
from rockglacier.conventions import LOOKS
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    pairs = bands.Pairs(snakemake.input.stack, snakemake.input.network, snakemake.input.cycles)
    looks = float(snakemake.params.looks or pairs.attrs.get("looks", LOOKS))
    weighted = snakemake.params.weighting == "variance"
    place = json.loads(Path(snakemake.input.reference).read_text())
    offset = reference.window_phase(pairs, place)
    every, threads = pairs.bands(
        bytes_per_sample=25,
        memory_mb=0.7 * snakemake.resources.mem_mb,
        threads=snakemake.threads,
        margin=phase_noise.WINDOW // 2,
    )

    def inverted(band):
        """Displacement and quality of a band."""
        product = None
        if not weighted:
            stack = pairs.read(band.inner, layers=("phase",))
        else:
            stack = pairs.read(band.wide, layers=("phase", "coherence"))
            product = phase_noise.coherence_product(
                stack["phase"], stack.get("coherence"), looks=looks
            ).isel(y=band.crop)
            stack = stack.isel(y=band.crop)
        result = inversion.invert(
            stack["phase"],
            product,
            wavelength_m=pairs.attrs["wavelength_m"],
            looks=looks if weighted else None,
            reference_phase=offset,
            cycles=stack["cycles"],
            norm=snakemake.params.norm,
            min_pairs=snakemake.params.min_pairs,
        )
        return result.assign_attrs(looks=looks)

    bands.write(
        inverted,
        every,
        snakemake.output.inverted,
        grid=grid,
        threads=threads,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
