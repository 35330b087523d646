"""Air temperature of a region: month by month at its middle height, and its mean at every pixel."""

from rockglacier import climate, io, logs, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    grid, how = Grid.load(snakemake.input.grid), snakemake.params.climate
    elevation = io.read_raster(snakemake.input.dem)["elevation"]
    if how["source"] == "station":
        cells = climate.read_station(
            how["path"], columns=how["columns"], elevation_m=how["elevation_m"]
        )
    else:
        cells = climate.read_reanalysis(how["path"], how["heights"])
    rate = how["lapse_rate_k_per_km"]
    rate = None if rate is None else rate / 1000.0
    middle = float(elevation.median())
    series = climate.monthly(cells, elevation_m=middle, lapse_rate=rate)
    mean = climate.mean_annual(cells, elevation, grid, lapse_rate=rate)
    logger.info("mean of %s at %.0f m", mean.attrs["years"], middle)
    io.write_table(
        series.assign(elevation=middle).round(6), snakemake.output.series, date_format="%Y-%m-%d"
    )
    io.write_dataset(
        mean,
        snakemake.output.climate,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
