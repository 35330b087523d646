"""Figure of what a track can see."""

from rockglacier import downslope, figures, io, logs, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    sight = io.read_raster(snakemake.input.sight)
    terrain = io.open_dataset(snakemake.input.terrain)
    figures.plot_geometry(
        sight,
        downslope.sensitivity(sight, terrain["slope"], terrain["aspect"]).compute(),
        snakemake.output.figure,
        grid=Grid.load(snakemake.input.grid),
        height=io.read_raster(snakemake.input.dem)["elevation"],
        title=snakemake.params.title,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
