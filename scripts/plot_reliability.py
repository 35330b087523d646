"""Figure of what probabilities were told and what was found."""

import json
from pathlib import Path

from rockglacier import evaluation, figures, logs, provenance

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    document = json.loads(Path(snakemake.input.evaluation).read_text())
    sides = document["sides"]
    if left_out := document.get("region_left_out", {}).get("sides"):
        sides |= {evaluation.LEFT_OUT: left_out[evaluation.FUSION]}
    figures.plot_reliability(
        {name: side["pixels"] for name, side in sides.items()},
        snakemake.output.figure,
        title=snakemake.params.title,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
