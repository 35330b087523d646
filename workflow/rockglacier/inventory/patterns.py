"""How motion changes with time: steady, with the seasons, faster from year to year, or at once.

Four nested courses are fitted to a series by weighted least squares; the one with the lowest
Bayesian information criterion (Schwarz 1978, doi:10.1214/aos/1176344136) is told, a richer one only
where it is lower by MARGIN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NOT_OBSERVED = "not observed"
PATTERNS = ("linear", "seasonal", "accelerating", "step")
MARGIN = 6.0  # strong evidence, Kass & Raftery (1995), doi:10.1080/01621459.1995.10476572
LEAST_DATES = 10
EDGE_DATES = 3  # before and after a step
SEASON_YEARS = 1.5  # least length of a series that tells seasons


@dataclass(frozen=True)
class Course:
    """What a series says: its pattern and what goes with it (NaN where it does not).

    ``rate`` and ``rate_error`` (m/yr); ``seasonal_amplitude`` (m) and ``fastest_day`` of the year
    (1..365), when the ground moves fastest; ``acceleration`` (m/yr2); ``step`` (m), at
    ``step_years``.
    """

    pattern: str
    rate: float = np.nan
    rate_error: float = np.nan
    seasonal_amplitude: float = np.nan
    fastest_day: float = np.nan
    acceleration: float = np.nan
    step: float = np.nan
    step_years: float = np.nan


def course(years: np.ndarray, moved: np.ndarray, sigma: np.ndarray | float = 1.0) -> Course:
    """Pattern of a series: ``moved`` (m; NaN where unknown) at ``years`` since a first of January.

    ``sigma``: relative standard errors of the dates.
    """
    seen = np.isfinite(moved)
    t, d = years[seen], moved[seen]
    weight = 1.0 / np.broadcast_to(sigma, years.shape)[seen]
    if d.size < LEAST_DATES:
        return Course(NOT_OBSERVED)
    middle = t - t.mean()
    one = np.ones_like(t)
    line = np.stack([one, middle], axis=1)
    wave = np.stack([np.cos(2.0 * np.pi * t), np.sin(2.0 * np.pi * t)], axis=1)
    seasonal = np.ptp(t) >= SEASON_YEARS
    designs = {"linear": line}
    if seasonal:
        designs["seasonal"] = np.hstack([line, wave])
        designs["accelerating"] = np.hstack([line, wave, 0.5 * middle[:, None] ** 2])
    else:
        designs["accelerating"] = np.hstack([line, 0.5 * middle[:, None] ** 2])
    fits = {name: _fit(design, d, weight) for name, design in designs.items()}
    base = designs["seasonal" if seasonal else "linear"]
    steps = [
        (_fit(np.hstack([base, (np.arange(t.size) >= k)[:, None]]), d, weight), k)
        for k in range(EDGE_DATES, t.size - EDGE_DATES + 1)
    ]
    best_step, at = min(steps, key=lambda item: item[0].criterion)
    fits["step"] = best_step
    # The time of a step is a parameter too.
    penalty = {"step": float(np.log(d.size))}
    score = {name: fit.criterion + penalty.get(name, 0.0) for name, fit in fits.items()}
    told = "linear"
    for name in PATTERNS[1:]:
        if name in score and score[name] < score[told] - MARGIN:
            told = name
    fit = fits[told]
    found = {"rate": fit.values[1], "rate_error": fit.errors[1]}
    if told != "linear" and seasonal:
        cosine, sine = fit.values[2:4]
        found["seasonal_amplitude"] = float(np.hypot(cosine, sine))
        # The rate is fastest a quarter of a year before the displacement's maximum.
        peak = np.arctan2(sine, cosine) / (2.0 * np.pi) - 0.25
        found["fastest_day"] = float(peak % 1.0 * 365.0 + 1.0)
    if told == "accelerating":
        found["acceleration"] = fit.values[-1]
    if told == "step":
        found |= {"step": fit.values[-1], "step_years": float(0.5 * (t[at - 1] + t[at]))}
    return Course(told, **found)


@dataclass(frozen=True)
class _Fit:
    values: np.ndarray
    errors: np.ndarray
    criterion: float


def _fit(design: np.ndarray, d: np.ndarray, weight: np.ndarray) -> _Fit:
    values, *_ = np.linalg.lstsq(design * weight[:, None], d * weight, rcond=None)
    left = (d - design @ values) * weight
    spare = max(1, d.size - design.shape[1])
    squares = max(float(left @ left), 1e-30)
    inverse = np.linalg.pinv(design.T @ (design * weight[:, None] ** 2))
    errors = np.sqrt(np.maximum(np.diag(inverse), 0.0) * squares / spare)
    criterion = d.size * np.log(squares / d.size) + design.shape[1] * np.log(d.size)
    return _Fit(values, errors, float(criterion))
