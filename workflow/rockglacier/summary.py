"""Key figures of a region: what a person wants to know when the run has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, require

PERCENTILES = (1.0, 50.0, 99.0)


def velocity_figures(velocity: xr.Dataset) -> dict[str, Any]:
    """Percentiles of ``velocity``, median of its error (mm/yr) and share of pixels observed.

    ``velocity`` holds ``velocity`` and ``velocity_error`` (m/yr; y, x), NaN where not observed.
    """
    values = 1000.0 * require(velocity["velocity"], dims=MAP, units="m/yr").values
    error = 1000.0 * velocity["velocity_error"].values
    seen = np.isfinite(values)
    figures: dict[str, Any] = {"observed_share": _number(seen.mean())}
    if seen.any():
        low, middle, high = np.percentile(values[seen], PERCENTILES)
        figures |= {
            "velocity_mm_yr_p01": _number(low),
            "velocity_mm_yr_median": _number(middle),
            "velocity_mm_yr_p99": _number(high),
            "velocity_error_mm_yr_median": _number(np.nanmedian(error)),
        }
    if "temporal_coherence" in velocity:
        coherence = velocity["temporal_coherence"].values
        figures["temporal_coherence_median"] = _number(np.nanmedian(coherence))
    return figures


def against_truth(velocity: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    """Error (mm/yr) of ``velocity`` and coverage of its 95 % interval, one constant removed.

    Both hold ``velocity`` (m/yr; y, x); an interferogram stack leaves a constant free.
    """
    off = (velocity["velocity"] - truth["velocity"]).values
    off = off - np.nanmedian(off)
    seen = np.isfinite(off)
    inside = np.abs(off) <= 1.96 * velocity["velocity_error"].values
    return {
        "rmse_mm_yr": _number(1000.0 * np.sqrt(np.mean(off[seen] ** 2))),
        "coverage_of_95_percent": _number(inside[seen].mean()),
    }


def _number(value: float) -> float:
    """Four significant digits: more would feign what nobody knows."""
    return float(f"{value:.4g}")


def report(summary: Mapping[str, Any]) -> str:
    """``summary`` as lines for a person."""
    lines = [f"{summary['name']} ({summary['folder']})"]
    for track, figures in summary["tracks"].items():
        lines.append(f"  {track}: " + _sentence(figures))
    lines.append("  downslope: " + _sentence(summary["downslope"]))
    lines += [f"  {what}: {path}" for what, path in summary["products"].items()]
    return "\n".join(lines)


def _sentence(figures: Mapping[str, Any]) -> str:
    parts = [f"{100 * figures['observed_share']:.0f} % observed"]
    if "velocity_mm_yr_p01" in figures:
        parts.append(
            f"{figures['velocity_mm_yr_p01']:.0f} … {figures['velocity_mm_yr_p99']:.0f} mm/yr "
            f"(1–99 %), error {figures['velocity_error_mm_yr_median']:.1f}"
        )
    for key, text in (
        ("pairs", "{} pairs"),
        ("dates", "{} dates"),
        ("rejected", "{} rejected"),
        ("temporal_coherence_median", "temporal coherence {:.2f}"),
        ("closure_violations", "closures above pi in {:.2%} of samples"),
        ("closure_violations_before", "({:.2%} before correction)"),
        ("rmse_mm_yr", "{:.1f} mm/yr off the truth"),
        ("coverage_of_95_percent", "{:.0%} of it within the 95 % interval"),
    ):
        if figures.get(key) is not None:
            parts.append(text.format(figures[key]))
    return ", ".join(parts)
