"""How far a date is shifted against the first, from its pairs with the dates just before it."""

from pathlib import Path

from rockglacier import logs
from rockglacier.topsstack.misregistration import combine, load_pair

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    pairs = [load_pair(path) for path in snakemake.input.pairs]
    for direction, unit in (("azimuth", "lines"), ("range", "m")):
        known = {Path(p).stem: float(Path(p).read_text()) for p in snakemake.input.get(direction)}
        found = combine(
            [known.get(date, 0.0) for date in snakemake.params.earlier],
            [pair[direction == "range"] for pair in pairs],
        )
        if found is None:
            logger.warning("no pair tells the shift in %s: orbits alone place the date", direction)
        else:
            logger.info("shift in %s: %.4f %s", direction, found, unit)
        Path(snakemake.output.get(direction)).write_text(f"{found or 0.0!r}\n")
