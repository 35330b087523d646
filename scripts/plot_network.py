"""Figures of a track's network and of what unwrapping corrections did."""

import pandas as pd

from rockglacier import figures, io, logs, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    made = provenance.record(parameters=dict(snakemake.params.items()), sources=snakemake.input)
    pairs = pd.read_csv(snakemake.input.network, parse_dates=["reference", "secondary"])
    cycles = io.open_dataset(snakemake.input.cycles, rows=grid.height)
    title = snakemake.params.title
    figures.plot_network(pairs, snakemake.output.network, title=title, provenance=made)
    figures.plot_closure(
        cycles[["closure_count", "closure_count_before"]].compute(),
        snakemake.output.closure,
        grid=grid,
        title=title,
        provenance=made,
    )
