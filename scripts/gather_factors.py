"""Factors of a region from all of its products."""

from rockglacier import factors, io, joining, logs, provenance
from rockglacier.grid import Grid

ROWS = 256  # of a block


def opened(path):
    """The product at ``path`` in blocks, if there is one."""
    if not path:
        return None
    read = io.read_raster if path.endswith(".tif") else io.open_dataset
    return read(path, rows=ROWS)


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
