"""Snow index of one date on the region's grid."""

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.optical.catalogue import reader
from rockglacier.optical.reflectance import snow_index

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    source = reader(snakemake.params.source)
    index = snow_index(
        [source.read_scene(path) for path in snakemake.params.scenes],
        source,
        io.read_raster(snakemake.input.dem)["elevation"],
        grid,
    )
    logger.info("%.0f %% clear", 100.0 * float(index.notnull().mean()))
    io.write_raster(
        index.to_dataset(name="snow_index"),
        snakemake.output.index,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.params.scenes
        ),
    )
