"""Choose the pairs of a track and report the network they form."""

import json

import pandas as pd

from rockglacier import io, logs, network, reference
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    pairs = pd.read_csv(snakemake.input.pairs, parse_dates=["reference", "secondary"])
    known, moving = reference.named_ground(
        snakemake.input.stable_ground, snakemake.input.moving_areas, grid
    )
    if known is not None or moving is not None:
        ground = reference.stable_ground(None, known=known, moving=moving)
        rows = io.chunk_rows(snakemake.input.stack, "phase")
        stack = io.open_dataset(snakemake.input.stack, rows=rows)
        if "coherence" in stack:
            pairs["mean_coherence"] = reference.coherence_over(stack["coherence"], ground)
    chosen = network.select_pairs(pairs, **snakemake.params.network)
    used = chosen[chosen["used"] == 1]
    network.require_connected(used["reference"], used["secondary"])
    io.write_table(chosen, snakemake.output.network)
    with io.atomic(snakemake.output.report) as partial:
        partial.write_text(json.dumps(network.summarise(chosen), indent=2) + "\n")
