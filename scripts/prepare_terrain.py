"""Slope and aspect on the region's grid."""

from rockglacier import io, logs, provenance, terrain
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    made = provenance.record(parameters=dict(snakemake.params.items()), sources=snakemake.input)
    dem = io.read_raster(snakemake.input.dem)["elevation"]
    maps = terrain.terrain(dem, grid, smooth_m=snakemake.params.smooth_dem_m)
    io.write_dataset(maps, snakemake.output.terrain, grid=grid, provenance=made)
