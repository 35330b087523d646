"""Line of sight of a track, and the ground that its radar sees."""

import numpy as np
import xarray as xr

from rockglacier import downslope, io, logs, provenance
from rockglacier.grid import Grid

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    geometry = io.open_dataset(snakemake.input.geometry)
    height = io.read_raster(snakemake.input.dem)["elevation"]
    if "east" not in geometry:
        angle = xr.DataArray(geometry.attrs.get("incidence_angle_deg", np.nan))
        angle = geometry.get("incidence_angle", angle).assign_attrs(units="deg")
        heading = geometry.attrs.get("heading_deg", np.nan)
        if np.isnan(heading) or angle.isnull().all():
            logger.warning(
                "no line of sight is known, hence no downslope velocity: name heading_deg and "
                "incidence_deg for this track"
            )
        geometry = geometry.merge(downslope.line_of_sight(angle, heading))
    sight = geometry[["east", "north", "up"]].broadcast_like(height)
    seen = downslope.observable(height, sight, grid)
    sight["observable"] = seen * geometry.get("observable", 1)
    sight["observable"].attrs = seen.attrs
    io.write_raster(
        sight,
        snakemake.output.sight,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
