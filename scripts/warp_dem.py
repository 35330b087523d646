"""Elevation of the region's DEM on its grid."""

from rockglacier import io, logs, provenance, terrain
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    made = provenance.record(parameters=dict(snakemake.params.items()), sources=snakemake.input)
    dem = terrain.elevation(snakemake.input.dem, grid)
    io.write_raster(dem.to_dataset(), snakemake.output.dem, grid=grid, provenance=made)
