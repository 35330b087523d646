"""Elevation from the heights that the tracks bring; missing where none does."""

from rockglacier import io, logs, provenance
from rockglacier.conventions import describe
from rockglacier.grid import Grid

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    made = provenance.record(parameters=dict(snakemake.params.items()), sources=snakemake.input)
    dem = grid.empty()
    for path in snakemake.input.geometry:
        dem = dem.fillna(io.open_dataset(path).get("height", dem))
    if dem.isnull().all():
        logger.warning("no track brings heights: name a dem for corrections and downslope velocity")
    dem = describe(dem, "elevation", "elevation that the stacks bring", "m")
    io.write_raster(dem.to_dataset(), snakemake.output.dem, grid=grid, provenance=made)
