"""Remove the geocoded images of every track, which only further dates need."""

import shutil
from pathlib import Path

from rockglacier import logs

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    for folder in snakemake.params.folders:
        for images in Path(folder).glob("*/slc"):
            shutil.rmtree(images)
            logger.info("removed %s", images)
