"""Steps of ISCE2's topsStack, in the folder of the track."""

from rockglacier import logs
from rockglacier.topsstack import installation

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    run = installation.of_job(
        snakemake.log[0], threads=snakemake.threads, minutes=snakemake.resources.runtime
    )
    run(snakemake.params.commands)
