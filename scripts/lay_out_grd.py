"""Line of sight of a track of GRD products, and the area that each pixel was lit on."""

from rockglacier import io, logs, provenance
from rockglacier.grid import Grid
from rockglacier.sentinel1 import detected, geocoding, heights, radiometry

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    fine = grid.subdivided(*snakemake.params.looks)
    made = provenance.record(parameters=dict(snakemake.params.items()), sources=snakemake.input)
    datum = {"datum": snakemake.params.dem_datum, "geoid": snakemake.params.geoid}
    first = detected.open_passage(snakemake.params.slices)
    detected.check_looks(first, grid, tuple(snakemake.params.looks))
    ground = radiometry.surroundings(fine)
    finer = heights.ellipsoidal(snakemake.input.dem, ground, **datum)
    layout = radiometry.flattening(first.orbit, fine, finer.values, ground=ground).to_dataset()
    height = heights.ellipsoidal(snakemake.input.dem, grid, **datum)
    geometry = geocoding.geometry(first.orbit, first.heading_deg, grid, height)
    incidence = geometry.attrs["incidence_angle_deg"]
    geometry.attrs["looks"] = detected.independent_looks(
        first, grid, tuple(snakemake.params.looks), incidence
    )
    io.write_dataset(layout, snakemake.output.layout, grid=fine, provenance=made)
    io.write_dataset(geometry, snakemake.output.geometry, grid=grid, provenance=made)
