"""How far the later date of a pair is shifted against the earlier, as overlaps of bursts show."""

import tempfile

from rockglacier import logs
from rockglacier.errors import SceneError
from rockglacier.topsstack import commands, installation
from rockglacier.topsstack.misregistration import read_shift, save_pair

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    first, earlier, date = snakemake.params.first, *snakemake.wildcards[-2:]
    run = installation.of_job(
        snakemake.log[0], threads=snakemake.threads, minutes=snakemake.resources.runtime
    )

    def shift(estimate, *arguments):
        """What an estimator finds; it ends with an error where no place is coherent enough."""
        with tempfile.TemporaryDirectory(dir=snakemake.resources.tmpdir) as scratch:
            found = f"{scratch}/shift.txt"
            try:
                run(estimate(*arguments, found))
            except SceneError as error:
                logger.warning("%s to %s tells nothing: %s", earlier, date, error)
                return None
            return read_shift(found)

    run(commands.overlap_interferogram(first, earlier, date))
    save_pair(
        snakemake.output.shifts,
        shift(commands.misregister_azimuth, earlier, date),
        shift(commands.misregister_range, first, earlier, date),
    )
