"""Key figures of a region."""

import json
from pathlib import Path

import pandas as pd

from rockglacier import io, logs, summary
from rockglacier.grid import Grid


def track_of(path):
    """The track, or the set of images, whose product this is."""
    return Path(path).parent.name


def document(path):
    """The JSON file at ``path``."""
    return json.loads(Path(path).read_text())


if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    grid = Grid.load(snakemake.input.grid)
    velocities = {track_of(path): io.read_raster(path) for path in snakemake.input.tracks}
    networks = {track_of(path): document(path) for path in snakemake.input.networks}
    tracks = {track_of(path): {} for path in snakemake.input.rejected}
    for name, velocity in velocities.items():
        tracks[name] |= summary.velocity_figures(velocity)
    for path in snakemake.input.rejected:
        tracks[track_of(path)]["rejected"] = len(pd.read_csv(path))
    for path in snakemake.input.corrections:
        tracks[track_of(path)]["corrections"] = summary.correction_figures(document(path))
    for name, network in networks.items():
        tracks[name] |= {key: network[key] for key in ("pairs", "dates")}
    for path in snakemake.input.cycles:
        cycles = io.open_dataset(path, rows=grid.height)
        triplets = networks[track_of(path)]["triplets"]
        tracks[track_of(path)] |= summary.closure_figures(cycles, triplets)
    for path in snakemake.input.truths:
        truth = io.open_dataset(path)
        tracks[track_of(path)] |= summary.against_truth(velocities[track_of(path)], truth)
    for path in snakemake.input.backscatter:
        tracks[track_of(path)] |= summary.backscatter_figures(io.open_dataset(path))
    offsets = {
        track_of(path): summary.offset_figures(io.read_raster(path))
        for path in snakemake.input.offsets
    }
    downslope = {"observed_share": 0.0}  # where no track shows motion
    products = {"figures": str(Path(snakemake.input.figures[0]).parent)}
    if velocity := snakemake.input.velocity:
        downslope = summary.velocity_figures(io.read_raster(velocity))
        products["velocity"] = ", ".join(
            [velocity, *snakemake.input.tracks, *snakemake.input.offsets]
        )
    if snakemake.input.backscatter:
        products["backscatter"] = ", ".join(snakemake.input.backscatter)
    for name in ("snow", "probability", "accuracy", "inventory"):
        if path := getattr(snakemake.input, name):
            products[name] = path
    products["citations"] = snakemake.input.citations
    found = {
        "name": snakemake.params.name,
        "tracks": tracks,
        "offsets": offsets,
        "downslope": downslope,
        "products": products,
    }
    if snakemake.input.accuracy:
        accuracy = pd.read_csv(snakemake.input.accuracy).set_index("side")
        found["held_out"] = accuracy.loc["fusion"].to_dict()
    if snakemake.input.truth:
        told = document(snakemake.input.truth)
        found["truth"] = {name: value for name, value in told.items() if name != "each"}
    with io.atomic(snakemake.output.summary) as partial:
        partial.write_text(json.dumps(found, indent=2) + "\n")
    logger.info("%s", summary.report(found))
