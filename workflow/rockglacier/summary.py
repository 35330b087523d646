"""Key figures of a region: what a person wants to know when the run has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from rockglacier.conventions import MAP, require

PERCENTILES = (1.0, 50.0, 99.0)
LITTLE = 0.02  # share of pixels below which nothing is said of the rest


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


def closure_figures(cycles: xr.Dataset, triplets: int) -> dict[str, float]:
    """Share of closures beyond pi, before and after correction, of a network of ``triplets``.

    ``cycles`` holds ``closure_count_before`` and ``closure_count`` (y, x).
    """
    samples = max(1, triplets * cycles["closure_count"].size)
    return {
        "closure_share_before": _number(float(cycles["closure_count_before"].sum()) / samples),
        "closure_share": _number(float(cycles["closure_count"].sum()) / samples),
    }


def backscatter_figures(factors: xr.Dataset) -> dict[str, float]:
    """Dates of a track's ``factors`` (season, y, x), share of pixels seen, median (dB)."""
    whole = factors.isel(season=0)
    count, mean = (whole[name].values for name in ("count", "mean"))
    figures = {
        "backscatter_dates": int(count.max()),
        "backscatter_share": _number((count > 0).mean()),
    }
    if np.isfinite(mean).any():
        figures["backscatter_db_median"] = _number(np.nanmedian(mean))
    return figures


def offset_figures(rates: xr.Dataset) -> dict[str, float]:
    """Share of places observed, their fastest (99th percentile), and what stable ground shows.

    ``rates`` holds ``east``, ``north``, ``detection_limit`` (m/yr; y, x) and ``stable_ground``.
    """
    speed = np.hypot(rates["east"].values, rates["north"].values)
    seen, stable = np.isfinite(speed), rates["stable_ground"].values > 0
    figures = {"observed_share": _number(seen.mean())}
    if seen.any():
        figures["speed_m_yr_p99"] = _number(np.percentile(speed[seen], 99.0))
    if (seen & stable).any():
        rest = speed[seen & stable]
        figures["detection_limit_m_yr"] = _number(
            np.median(rates["detection_limit"].values[seen & stable])
        )
        figures["stable_speed_m_yr_p95"] = _number(np.percentile(rest, 95.0))
        for name in ("east", "north"):
            values = rates[name].values[seen & stable]
            spread = 1.4826 * np.median(np.abs(values - np.median(values)))
            figures[f"stable_nmad_{name}_m_yr"] = _number(spread)
    return figures


def correction_figures(report: Mapping[str, Any]) -> dict[str, float]:
    """Share of the variance over stable ground that each applied correction removed."""
    return {
        name: _number(1.0 - entry["variance_after_m2"] / entry["variance_before_m2"])
        for name, entry in report["corrections"].items()
        if entry["applied"] and entry["variance_before_m2"] > 0
    }


def _number(value: float) -> float:
    """Four significant digits: more would feign what nobody knows."""
    return float(f"{value:.4g}")


def report(summary: Mapping[str, Any]) -> str:
    """``summary`` as lines for a person."""
    lines = [summary["name"]]
    lines += [f"  {track}: {_sentence(figures)}" for track, figures in summary["tracks"].items()]
    lines += [
        f"  offsets {name}: {_sentence(figures)}"
        for name, figures in summary.get("offsets", {}).items()
    ]
    lines.append(f"  downslope: {_sentence(summary['downslope'])}")
    if held := summary.get("held_out"):
        lines.append(
            f"  held-out ground: rock glaciers F1 {held['object_f1']:.2f} "
            f"({held['object_f1_low']:.2f} to {held['object_f1_high']:.2f}) by object, "
            f"macro-F1 {held['macro_f1']:.2f} by pixel"
        )
        lines.append(
            f"  area under the curve {held['roc_auc']:.2f} ({held['roc_auc_low']:.2f} to "
            f"{held['roc_auc_high']:.2f}); beside ground as high and steep "
            f"{held['matched_auc']:.2f} ({held['matched_auc_low']:.2f} to "
            f"{held['matched_auc_high']:.2f})"
        )
    if told := summary.get("truth"):
        lines.append(
            f"  inventory beside the truth: {told['found']} found, {told['missed']} missed, "
            f"{told['false']} false"
        )
    lines += [f"  {what}: {path}" for what, path in summary["products"].items()]
    return "\n".join(lines)


SENTENCE = (
    ("pairs", "{} pairs"),
    ("dates", "{} dates"),
    ("rejected", "{} rejected"),
    ("observed_share", "{:.0%} observed"),
    ("velocity_mm_yr_p01", "{:.0f}"),
    ("velocity_mm_yr_p99", "to {:.0f} mm/yr (1st to 99th percentile)"),
    ("velocity_error_mm_yr_median", "error {:.1f} mm/yr"),
    ("temporal_coherence_median", "temporal coherence {:.2f}"),
    ("closure_share_before", "closures beyond pi {:.2%}"),
    ("closure_share", "after correction {:.2%}"),
    ("rmse_mm_yr", "{:.1f} mm/yr off the truth"),
    ("coverage_of_95_percent", "which the 95 % interval holds in {:.0%}"),
    ("speed_m_yr_p99", "99 % below {:.2f} m/yr"),
    ("detection_limit_m_yr", "detection limit {:.2f} m/yr"),
    ("stable_speed_m_yr_p95", "95 % of stable ground below {:.2f} m/yr"),
    ("backscatter_dates", "backscatter of {} dates"),
    ("backscatter_share", "seen in {:.0%}"),
    ("backscatter_db_median", "median {:.1f} dB"),
)


def _sentence(figures: Mapping[str, Any]) -> str:
    if figures.get("observed_share") == 0.0:
        return "not observed"
    if figures.get("observed_share", 1.0) < LITTLE:
        # Percentiles of a few odd pixels would be taken for the region's.
        return f"{figures['observed_share']:.1%} observed: too little to sum up"
    parts = [text.format(figures[key]) for key, text in SENTENCE if key in figures]
    parts += [
        f"{name} removed {share:.0%} of the variance over stable ground"
        for name, share in figures.get("corrections", {}).items()
    ]
    return ", ".join(parts).replace(", to ", " to ")
