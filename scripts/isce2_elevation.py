"""The DEM under a track's bursts, as ISCE2 reads it."""

from pathlib import Path

import pandas as pd

from rockglacier import logs
from rockglacier.topsstack import commands, elevation

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    bursts = pd.read_csv(snakemake.input.scenes)
    elevation.prepare(
        snakemake.input.dem,
        (bursts.west.min(), bursts.south.min(), bursts.east.max(), bursts.north.max()),
        Path(snakemake.output.dem),
        commands.DEM,
        datum=snakemake.params.dem_datum,
        geoid=snakemake.params.geoid,
    )
