"""Factors of the terrain: its shape, and the sunlight that falls on it."""

from rockglacier import io, logs, provenance, relief, sunlight, terrain
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid, how = Grid.load(snakemake.input.grid), snakemake.params.relief
    dem = io.read_raster(snakemake.input.dem)["elevation"]
    maps = relief.factors(dem, grid, smooth_m=how["smooth_m"], form_m=how["form_m"],
                          around_m=how["around_m"])  # fmt: skip
    surface = terrain.terrain(dem, grid, smooth_m=how["smooth_m"])
    periods = sunlight.YEAR, how["summer_months"]
    maps["radiation"], summer = sunlight.potential_radiation(surface, grid, periods)
    maps["radiation_summer"] = summer.assign_attrs(
        long_name="potential incoming solar radiation of the summer"
    )
    io.write_dataset(
        maps,
        snakemake.output.relief,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
