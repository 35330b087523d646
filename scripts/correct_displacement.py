"""Take delays, ramps and DEM errors from a displacement series, each where it helps."""

import json
from pathlib import Path

import pandas as pd

from rockglacier import ambiguity, bands, correction, io, logs, provenance, reference
from rockglacier.atmosphere import ZenithDelays
from rockglacier.errors import NetworkError
from rockglacier.grid import Grid

BYTES_PER_SAMPLE = 40


def date_baselines(pairs, wanted):
    """Perpendicular baseline of each date, None where pairs do not tell and none is asked for."""
    pairs = pairs.rename_axis("pair").to_xarray()
    try:
        return correction.date_baselines(
            pairs["perpendicular_baseline_m"], pairs["reference"], pairs["secondary"]
        )
    except NetworkError:
        if wanted is True:
            raise
        return None


def own_rates(displacement, grid, rows):
    """Rates against surroundings that do not move themselves, of a series without pairs."""
    every = bands.cut(grid.height, rows, ambiguity.margin_rows(grid.spacing_m))

    def rates(still):
        def of_band(band):
            wide = displacement.isel(y=band.wide).load()
            ground = None if still is None else still.isel(y=band.wide)
            local = ambiguity.local_rates(wide, spacing_m=grid.spacing_m, stable_ground=ground)
            return local.isel(y=band.crop)

        return bands.work(of_band, every, threads=1)

    return rates(~ambiguity.moving(rates(None)))


if __name__ == "__main__":
    logs.start(snakemake.log[0])
    logs.compute_with(snakemake.threads)
    grid = Grid.load(snakemake.input.grid)
    wanted = dict(snakemake.params.corrections)
    chunk = io.chunk_rows(snakemake.input.displacement, "displacement")
    dates = io.open_dataset(snakemake.input.displacement, rows=chunk)["date"].values
    rows = io.block_rows(
        grid.height,
        bytes_per_row=BYTES_PER_SAMPLE * dates.size * grid.width,
        memory_mb=0.6 * snakemake.resources.mem_mb,
        threads=snakemake.threads,
        multiple=chunk,
    )
    series = io.open_dataset(snakemake.input.displacement, rows=rows)
    geometry = io.open_dataset(snakemake.input.geometry)
    elevation = io.read_raster(snakemake.input.dem)["elevation"]
    known, moving = reference.named_ground(
        snakemake.input.stable_ground, snakemake.input.moving_areas, grid
    )
    if known is None:
        if snakemake.input.cycles:
            rates = io.open_dataset(snakemake.input.cycles, rows=rows)
            rates = rates[["local_rate", "local_rate_error"]].compute()
        else:
            rates = own_rates(series["displacement"], grid, rows)
        found = ambiguity.moving(rates)
        moving = found if moving is None else moving | found
    if "temporal_coherence" in series:
        quality = series["temporal_coherence"].compute()
    else:
        quality = series["displacement"].notnull().mean("date").compute()
    stable = reference.stable_ground(
        quality, known=known, moving=moving, min_quality=snakemake.params.min_temporal_coherence
    )
    baseline, place = series.get("perpendicular_baseline"), None
    if snakemake.input.network:
        pairs = pd.read_csv(snakemake.input.network, parse_dates=["reference", "secondary"])
        baseline = date_baselines(pairs[pairs["used"] == 1], wanted["dem_error"])
        place = json.loads(Path(snakemake.input.reference).read_text())
    delays = None
    if snakemake.input.delays:
        delays = ZenithDelays.open(snakemake.input.delays, dates)
        if wanted["register_delays"]:
            delays = delays.registered(elevation, grid)
    corrected = correction.correct(
        series["displacement"],
        grid,
        stable=stable,
        elevation=elevation,
        incidence=geometry.get("incidence_angle", geometry.attrs.get("incidence_angle_deg")),
        delays=delays,
        baseline=None if baseline is None or baseline.isnull().any() else baseline,
        reference=place,
        height=wanted["height"],
        dem_error=wanted["dem_error"],
        ramp=wanted["ramp"],
        local=wanted["local_reference"],
        ring_m=tuple(wanted["ring_m"]),
        ring_height_m=wanted["ring_height_m"],
    )
    others = series.drop_vars("displacement").assign(stable_ground=stable.astype("uint8"))
    report = corrected.attrs.pop("corrections")
    io.write_dataset(
        others.merge(corrected),
        snakemake.output.displacement,
        grid=grid,
        provenance=provenance.record(
            parameters=dict(snakemake.params.items()), sources=snakemake.input
        ),
    )
    with io.atomic(snakemake.output.corrections) as partial:
        partial.write_text(json.dumps(json.loads(report), indent=2) + "\n")
