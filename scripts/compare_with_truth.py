"""The inventory of a simulated landscape beside its truth."""

import json
from pathlib import Path

import geopandas
import pandas as pd

from rockglacier import io, logs
from rockglacier import simulation_landscape as landscapes
from rockglacier.inventory import truth

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    landscape = landscapes.load(snakemake.input.ground, snakemake.input.objects)
    found = geopandas.read_file(snakemake.input.inventory, layer="GO").to_crs(landscape.grid.crs)
    told = truth.compared(found, landscape.objects, landscape.median_speeds())
    logger.info("%(found)d found, %(missed)d missed, %(false)d false", told)
    sights = {Path(path).parent.name: io.read_raster(path) for path in snakemake.input.sight}
    yearly = pd.read_csv(snakemake.input.yearly, parse_dates=["first", "last"])
    moved = truth.with_true_velocities(yearly, found, landscape, sights)
    told["velocities"] = truth.velocities(moved)
    with io.atomic(snakemake.output.comparison) as partial:
        partial.write_text(json.dumps(told, indent=2) + "\n")
