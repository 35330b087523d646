"""Key figures say what the maps hold."""

import numpy as np
import pytest
import xarray as xr

from rockglacier import summary
from rockglacier.conventions import MAP


def velocities(grid, values, error=0.002):
    made = xr.Dataset(
        {
            "velocity": (MAP, np.broadcast_to(values, grid.shape).astype(np.float32)),
            "velocity_error": (MAP, np.full(grid.shape, error, np.float32)),
        },
        coords=grid.coords,
    )
    made["velocity"].attrs["units"] = "m/yr"
    return made


def test_velocity_figures_count_only_what_is_observed(grid):
    values = np.linspace(0.0, 0.1, grid.width)
    half = velocities(grid, values).where(lambda v: v["x"] < grid.x[grid.width // 2])
    figures = summary.velocity_figures(half)
    assert figures["observed_share"] == pytest.approx((grid.width // 2) / grid.width, rel=1e-3)
    assert figures["velocity_mm_yr_p99"] < 50.0
    assert figures["velocity_error_mm_yr_median"] == pytest.approx(2.0)


def test_nothing_observed_is_said_without_figures(grid):
    assert summary.velocity_figures(velocities(grid, np.nan)) == {"observed_share": 0.0}


def test_a_few_odd_pixels_are_not_summed_up(grid):
    odd = velocities(grid, 0.5).where(lambda v: (v["x"] == grid.x[0]) & (v["y"] == grid.y[0]))
    figures = summary.velocity_figures(odd)
    told = summary.report({"name": "A", "tracks": {}, "downslope": figures, "products": {}})
    assert "too little to sum up" in told and "500" not in told


def test_the_truth_is_met_but_for_a_constant(grid):
    rng = np.random.default_rng(0)
    truth = velocities(grid, 0.0)
    estimate = velocities(grid, 0.03 + rng.normal(0.0, 0.002, grid.shape))
    figures = summary.against_truth(estimate, truth)
    assert figures["rmse_mm_yr"] == pytest.approx(2.0, rel=0.05)
    assert figures["coverage_of_95_percent"] == pytest.approx(0.95, abs=0.02)


def test_closures_are_shares_of_all_samples(grid):
    counts = xr.Dataset(
        {
            "closure_count_before": (MAP, np.ones(grid.shape, np.int16)),
            "closure_count": (MAP, np.zeros(grid.shape, np.int16)),
        }
    )
    figures = summary.closure_figures(counts, triplets=10)
    assert figures == {"closure_share_before": 0.1, "closure_share": 0.0}


def test_corrections_that_were_applied_say_what_they_removed():
    entry = {"variance_before_m2": 4.0, "variance_after_m2": 1.0}
    report = {
        "corrections": {"ramp": entry | {"applied": True}, "height": entry | {"applied": False}}
    }
    assert summary.correction_figures(report) == {"ramp": 0.75}


def test_the_report_reads_as_sentences(grid):
    figures = summary.velocity_figures(velocities(grid, 0.02)) | {"corrections": {"ramp": 0.75}}
    text = summary.report(
        {"name": "Etna", "tracks": {"t1": figures}, "downslope": {"observed_share": 0.0},
         "products": {"figures": "results/etna/figures"}}
    )  # fmt: skip
    assert "t1: 100% observed, 20 to 20 mm/yr" in text and "ramp removed 75%" in text
    assert "downslope: not observed" in text and "figures: results/etna/figures" in text
