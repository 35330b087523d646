"""BibTeX of the data and methods that a region used."""

from rockglacier import citations, io, logs

if __name__ == "__main__":
    logs.start(snakemake.log[0])
    text = citations.render(
        snakemake.wildcards.region,
        snakemake.params.used,
        untold=snakemake.params.untold,
        elsewhere=snakemake.params.elsewhere,
        own=snakemake.input.own,
    )
    with io.atomic(snakemake.output.citations) as partial:
        partial.write_text(text, encoding="utf-8")
