"""Objects and accuracy of all regions of a paper, beside the published ones, as CSV and LaTeX."""

import json
from pathlib import Path

import geopandas

from rockglacier import accuracy, io, logs

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    regions = {}
    for name, evaluation, inventory in zip(
        snakemake.params.names,
        snakemake.input.evaluations,
        snakemake.input.inventories,
        strict=True,
    ):
        activities = geopandas.read_file(inventory, layer="GO")["ActiCl"]
        regions[name] = json.loads(Path(evaluation).read_text())["sides"], activities
    found = accuracy.table(regions)
    io.write_table(found, snakemake.output.table)
    with io.atomic(snakemake.output.latex) as partial:
        partial.write_text(accuracy.latex(found))
