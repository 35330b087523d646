"""Choose the pairs of a track and report the network they form."""

import json

import pandas as pd

from rockglacier import io, logs, network

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    pairs = pd.read_csv(snakemake.input.pairs, parse_dates=["reference", "secondary"])
    chosen = network.select_pairs(pairs, **snakemake.params.network)
    used = chosen[chosen["used"] == 1]
    network.require_connected(used["reference"], used["secondary"])
    with io.atomic(snakemake.output.network) as partial:
        chosen.to_csv(partial, index=False)
    with io.atomic(snakemake.output.report) as partial:
        partial.write_text(json.dumps(network.summarise(chosen), indent=2) + "\n")
