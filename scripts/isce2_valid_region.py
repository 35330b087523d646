"""What all dates cover of each burst; dates of earlier runs, which may lie beside, do not count."""

import tempfile
from pathlib import Path

from rockglacier import logs
from rockglacier.topsstack import commands, installation

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    run = installation.of_job(
        snakemake.log[0], threads=snakemake.threads, minutes=snakemake.resources.runtime
    )
    folder = Path(snakemake.output.stack).parent
    with tempfile.TemporaryDirectory(dir=folder, prefix=".dates") as links:
        for date in snakemake.input.images:
            (Path(links) / Path(date).name).symlink_to(Path(date).absolute())
        run(commands.valid_region(Path(links).name))
