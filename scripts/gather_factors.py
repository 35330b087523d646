"""Factors of a region from all of its products."""

import numpy as np

from rockglacier import factors, io, joining, logs, provenance
from rockglacier.grid import Grid

ROWS = 256  # of a block
SHORT_DAYS = 36


def opened(path):
    """The product at ``path`` in blocks, if there is one."""
    if not path:
        return None
    read = io.read_raster if path.endswith(".tif") else io.open_dataset
    return read(path, rows=ROWS)


def short_coherence(path):
    """Mean coherence (y, x) of the stack's pairs of SHORT_DAYS at most, or of its shortest."""
    pairs = io.open_dataset(path, rows=ROWS)["coherence"]
    days = (pairs["secondary"] - pairs["reference"]) / np.timedelta64(1, "D")
    short = (days <= max(SHORT_DAYS, float(days.min()))).values
    return pairs.isel(pair=short).mean("pair").drop_vars("spatial_ref", errors="ignore")


if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    grid, given = Grid.load(snakemake.input.grid), snakemake.input
    offsets = None
    if given.offsets:
        sets = [io.read_raster(path) for path in given.offsets]
        sigmas = snakemake.params.offsets_sigmas
        for rates in sets:
            rates["moving"] = joining.moving(rates, sigmas=sigmas)
        offsets = joining.best([joining.onto_region(rates, grid) for rates in sets])
        offsets = offsets.chunk({"y": ROWS})
    found = factors.gather(
        relief=opened(given.relief),
        glaciers=opened(given.glaciers),
        climate=opened(given.climate),
        velocity=opened(given.velocity),
        tracks=[opened(path) for path in given.tracks],
        offsets=offsets,
        backscatter=opened(given.backscatter),
        snow=opened(given.snow),
        coherence=[short_coherence(path) for path in given.stacks],
        support_m=snakemake.params.support_m,
    )
    found = factors.valid_shares(found)
    for technique, names in factors.of_techniques(found).items():
        logger.info("%s: %d factors", technique, len(names))
    io.write_dataset(
        found,
        snakemake.output.factors,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
