"""The manifest of a paper's figures; where one is given already, this run must be as that says."""

import json

from rockglacier import io, logs, manifest

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    given = snakemake.params
    found = manifest.frozen(given.told, tables=given.tables, trained=snakemake.input.models)
    if given.frozen:
        manifest.check(given.frozen, found)
        logger.info("scenes, files, locks and configuration are those of %s", given.frozen)
    with io.atomic(snakemake.output.manifest) as partial:
        partial.write_text(json.dumps(found, indent=2) + "\n")
