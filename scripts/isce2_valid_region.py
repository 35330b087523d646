"""What all dates cover of each burst; dates of earlier runs, which may lie beside, do not count."""

import tempfile
from pathlib import Path

from rockglacier import logs
from rockglacier.topsstack import commands, installation

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    folder = Path(snakemake.output.stack).parent
    with tempfile.TemporaryDirectory(dir=folder, prefix=".dates") as links:
        for date in snakemake.input.images:
            (Path(links) / Path(date).name).symlink_to(Path(date).absolute())
        installation.find().run(
            commands.valid_region(Path(links).name),
            folder,
            Path(snakemake.log[0]).with_suffix(".txt").absolute(),
            threads=snakemake.threads,
            seconds=60 * snakemake.resources.runtime,
        )
