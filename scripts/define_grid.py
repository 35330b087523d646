"""The grid of a region, from where its tracks lie."""

from rockglacier import logs
from rockglacier.grid import Grid, region_grid
from rockglacier.offsets.tracking import place_grid
from rockglacier.readers.catalogue import open_stack
from rockglacier.readers.stack import lonlat_bounds
from rockglacier.sentinel1.borrowed import geometry_grid


def place(source, **keys):
    """Grid and extent of one track."""
    if source == "scenes":
        return None, tuple(keys["bounds"])
    if source == "geocoded":
        grid = geometry_grid(keys["path"])
        return grid, lonlat_bounds(grid)
    if source == "simulated":
        from rockglacier.simulation import simulate_stack

        simulated = simulate_stack(**keys)
        grid = Grid.from_coords(simulated, simulated.attrs["crs"])
        return grid, lonlat_bounds(grid)
    if source == "displacement":
        from rockglacier.readers.displacement import open_displacement

        opened = open_displacement(**keys)
    else:
        opened = open_stack(source, **keys)
    return opened.native_grid, opened.lonlat_bounds


if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    found = [place(**track) for track in snakemake.params.tracks.values()]
    for path in snakemake.input.images:
        places = place_grid(Grid.load(path), snakemake.params.step_pixels)
        found.append((places, lonlat_bounds(places)))
    grid = region_grid(
        found,
        area=snakemake.params.area,
        crs=snakemake.params.crs,
        spacing_m=snakemake.params.spacing_m,
    )
    grid.save(snakemake.output.grid)
    logger.info("%d x %d pixels of %g in %s", grid.height, grid.width, grid.dx, grid.crs)
