"""Line of sight of a track of scenes, and the burst that each pixel is taken from on every date."""

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.sentinel1 import engine, geocoding, heights, radiometry

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    fine = grid.subdivided(*snakemake.params.looks)
    made = provenance.record(parameters=dict(snakemake.params.items()), sources=snakemake.input)
    datum = {"datum": snakemake.params.dem_datum, "geoid": snakemake.params.geoid}
    first = engine.open_acquisition(snakemake.params.bursts)
    ground = radiometry.surroundings(fine)
    finer = heights.ellipsoidal(snakemake.input.dem, ground, **datum).values
    layout = engine.lay_out(
        first,
        fine,
        finer[ground.window(fine)],
        bistatic=snakemake.params.bistatic,
        threads=snakemake.threads,
    )
    flattening = radiometry.flattening(first.orbit, fine, finer, ground=ground)
    layout = layout.to_dataset().assign(flattening=flattening)
    height = heights.ellipsoidal(snakemake.input.dem, grid, **datum)
    geometry = geocoding.geometry(first.orbit, first.heading_deg, grid, height)
    incidence = geometry.attrs["incidence_angle_deg"]
    geometry.attrs["looks"] = engine.independent_looks(
        first, grid, tuple(snakemake.params.looks), incidence
    )
    io.write_dataset(layout, snakemake.output.layout, grid=fine, provenance=made)
    io.write_dataset(geometry, snakemake.output.geometry, grid=grid, provenance=made)
