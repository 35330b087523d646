"""Objects of a reference inventory on the region's grid, and what kind of ground they are."""

from rockglacier import io, logs
from rockglacier.fusion.labels import read_labels
from rockglacier.grid import Grid

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    how = dict(snakemake.params.labels)
    found = read_labels(how.pop("path"), Grid.load(snakemake.input.grid), **how)
    with io.atomic(snakemake.output.labels) as partial:
        found.to_file(partial, driver="GPKG", layer="labels")
