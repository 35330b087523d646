"""Simulate a stack of known motion, as a reader would have found it, and keep the truth."""

import pandas as pd

from rockglacier import io, logs, provenance, simulation
from rockglacier.grid import Grid

PRODUCTS = {
    "stack": ["phase", "coherence"],
    "geometry": ["east", "north", "up", "incidence_angle", "height"],
    "truth": ["velocity", "stable_ground", "tongue"],
}

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    made = provenance.record(parameters=dict(snakemake.params.items()))
    keys = {k: v for k, v in snakemake.params.track.items() if k != "source"}
    simulated = simulation.simulate_stack(**keys)
    for product, names in PRODUCTS.items():
        path = snakemake.output[product]
        io.write_dataset(simulated[names], path, grid=grid, provenance=made)
    stack = io.open_dataset(snakemake.output.stack, rows=grid.height)
    valid = stack["phase"].notnull()
    pairs = pd.DataFrame(
        {
            "reference": stack["reference"],
            "secondary": stack["secondary"],
            "temporal_baseline_days": (stack["secondary"] - stack["reference"]).dt.days,
            "perpendicular_baseline_m": stack["perpendicular_baseline"],
            "valid_share": valid.mean(("y", "x")),
            "mean_coherence": stack["coherence"].where(valid).mean(("y", "x")),
            "path": "simulated",
        }
    )
    io.write_table(pairs, snakemake.output.pairs)
    with io.atomic(snakemake.output.rejected) as partial:
        partial.write_text("pair,path,reason,found,needed,remedy\n")
