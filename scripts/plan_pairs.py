"""The interferograms to make from the scenes that can be used."""

import pandas as pd

from rockglacier import io, logs
from rockglacier.network import propose_pairs

if __name__ == "__main__":
    logger = logs.start(snakemake.log[0])
    dates = pd.read_csv(snakemake.input.scenes, parse_dates=["date"]).groupby("date").first()
    pairs = propose_pairs(
        dates.index,
        dates.perpendicular_baseline_m,
        max_temporal_baseline_days=snakemake.params.pair_days,
        max_perpendicular_baseline_m=snakemake.params.pair_baseline_m,
        yearly_days=snakemake.params.yearly_days,
        min_connections=snakemake.params.connections,
        months=snakemake.params.months,
    )
    logger.info("%d pairs of %d dates", len(pairs), len(dates))
    io.write_table(pairs, snakemake.output.planned, date_format="%Y%m%d")
