"""Steps of ISCE2's topsStack, in the folder of the track."""

from pathlib import Path

from rockglacier import logs
from rockglacier.topsstack import installation

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    track = Path(snakemake.log[0]).parents[1]
    installation.find().run(
        snakemake.params.commands,
        track / "isce2",
        Path(snakemake.log[0]).with_suffix(".txt").absolute(),
        threads=snakemake.threads,
        seconds=60 * snakemake.resources.runtime,
    )
