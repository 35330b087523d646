"""How motion changes with time: steady, with the seasons, faster from year to year, or at once.

Nested courses are fitted to a series by weighted least squares; the one with the lowest Bayesian
information criterion (Schwarz 1978, doi:10.1214/aos/1176344136) is told, a richer one only where it
is lower by MARGIN. Each subset of dates has an offset of its own: motion from one to the next is
unknown, and whatever only that motion could tell is not observed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rockglacier.ambiguity import LONGEST_DAYS, RATE_CHANGE
from rockglacier.conventions import YEAR_DAYS

NOT_OBSERVED = "not observed"
PATTERNS = ("linear", "seasonal", "accelerating", "step")
MARGIN = 6.0  # strong evidence, Kass & Raftery (1995), doi:10.1080/01621459.1995.10476572
LEAST_DATES = 10
EDGE_DATES = 3  # before and after a step
SEASON_YEARS = 1.5  # least length of a series that tells seasons
# ASSUME: seasons are told where motion is known over so much of the calendar year.
WHOLE_YEAR = 0.75
# ASSUME: a yearly swing of displacement (m) below this need not show for motion to count as steady.
LEAST_AMPLITUDE_M = 0.005
KNOWN_DATES = 10.0  # residuals that the known error of a date is worth
YEAR_BINS = 73  # of the calendar, 5 days each


@dataclass(frozen=True)
class Course:
    """What a series says: its pattern and what goes with it (NaN where it does not).

    ``rate`` and ``rate_error`` (m/yr) are of the time that is observed; ``season_share`` is the
    share of the calendar year in it. ``seasonal_amplitude`` (m) and ``fastest_day`` of the year
    (1..365), when the ground moves fastest; ``acceleration`` (m/yr2); ``step`` (m), at
    ``step_years``.
    """

    pattern: str
    rate: float = np.nan
    rate_error: float = np.nan
    season_share: float = np.nan
    seasonal_amplitude: float = np.nan
    fastest_day: float = np.nan
    acceleration: float = np.nan
    step: float = np.nan
    step_years: float = np.nan


def course(
    years: np.ndarray, moved: np.ndarray, sigma: np.ndarray | float = 1.0, *,
    subset: np.ndarray | None = None, noise: float = 0.0,
) -> Course:  # fmt: skip
    """Pattern of a series: ``moved`` (m; NaN where unknown) at ``years`` since a first of January.

    ``sigma``: relative standard errors of the dates; ``noise`` (m): what one of them is known to
    err by, where residuals fall short of it. ``subset``: number of the subset of each date, one
    for all by default; a date alone in its subset says nothing.

    Steady motion is "linear" only where a season of RATE_CHANGE of its rate would have shown, a
    season is told only of motion known over most of the year, an acceleration where two years show
    the same season, a step only between dates of one subset that are near each other. Else the
    pattern is "not observed", and the rate that of the seasons that are.
    """
    number = np.ones(years.shape, int) if subset is None else np.asarray(subset)
    seen = np.isfinite(moved)
    names, count = np.unique(number[seen], return_counts=True)
    seen &= np.isin(number, names[count > 1])
    t, d, s = years[seen], moved[seen], number[seen]
    weight = 1.0 / np.broadcast_to(sigma, years.shape)[seen]
    if d.size < LEAST_DATES:
        return Course(NOT_OBSERVED)
    middle = t - t.mean()
    offsets = (s[:, None] == np.unique(s)).astype(float)
    rate = offsets.shape[1]  # its column
    line = np.hstack([offsets, middle[:, None]])
    wave = np.stack([np.cos(2.0 * np.pi * t), np.sin(2.0 * np.pi * t)], axis=1)
    share, start = _calendar(t, s)
    seasonal = np.ptp(t) >= SEASON_YEARS and share >= WHOLE_YEAR
    if seasonal:
        base = np.hstack([line, wave])
    else:
        # Part of the year: its own course, alike in every year, parts acceleration from season.
        of_year = (t - start) % 1.0
        base = np.hstack([line, (of_year[:, None] - 0.5 * share) ** 2])
    richer = "seasonal" if seasonal else NOT_OBSERVED
    growing = 0.5 * middle[:, None] ** 2
    designs = {"linear": line, richer: base, "accelerating": np.hstack([base, growing])}
    fits = {name: _fit(design, d, weight, noise) for name, design in designs.items()}
    steps = [
        (_fit(np.hstack([base, after[:, None]]), d, weight, noise), at)
        for after, at in _steps(t, s)
    ]
    # The time of a step is one of so many places, none of them likelier beforehand.
    penalty = {"step": 2.0 * float(np.log(max(1, len(steps))))}
    when = np.nan
    if steps:
        fits["step"], when = min(steps, key=lambda item: item[0].criterion)
    score = {name: fit.criterion + penalty.get(name, 0.0) for name, fit in fits.items()}
    told = "linear"
    for name in (richer, *PATTERNS[2:]):
        if name in score and score[name] < score[told] - MARGIN:
            told = name
    fit = fits[told]
    if told == NOT_OBSERVED:
        fit = fits["linear"]  # the mean rate, which the course within the season leaves unclear
    elif told == "linear":
        shows = _amplitude_error(np.hstack([line, wave]), weight, fit.deviation)
        worth = max(RATE_CHANGE * abs(float(fit.values[rate])) / (2.0 * np.pi), LEAST_AMPLITUDE_M)
        told = told if 2.0 * shows <= worth else NOT_OBSERVED
    found = {"rate": float(fit.values[rate]), "rate_error": float(fit.errors[rate])}
    if told in PATTERNS[1:] and seasonal:
        cosine, sine = fit.values[rate + 1 : rate + 3]
        found["seasonal_amplitude"] = float(np.hypot(cosine, sine))
        # The rate is fastest a quarter of a year before the displacement's maximum.
        peak = np.arctan2(sine, cosine) / (2.0 * np.pi) - 0.25
        found["fastest_day"] = float(peak % 1.0 * 365.0 + 1.0)
    if told == "accelerating":
        found["acceleration"] = float(fit.values[-1])
    if told == "step":
        found |= {"step": float(fit.values[-1]), "step_years": when}
    return Course(told, season_share=share, **found)


def _calendar(t: np.ndarray, subset: np.ndarray) -> tuple[float, float]:
    """Share of the calendar year over which motion is known, and where in the year that begins.

    Motion is known from the first to the last date of a subset.
    """
    known = np.zeros(YEAR_BINS, bool)
    for name in np.unique(subset):
        own = t[subset == name]
        steps = np.arange(int(own.min() * YEAR_BINS), int(own.max() * YEAR_BINS) + 1)
        known[steps % YEAR_BINS] = True
    if known.all():
        return 1.0, 0.0
    twice = np.concatenate([known, known])
    # The year begins after its longest stretch without dates.
    edges = np.flatnonzero(np.diff(np.concatenate([[True], twice, [True]]).astype(int)))
    first, last = edges[::2], edges[1::2]
    longest = int(np.argmax(last - first))
    return float(known.mean()), float(last[longest] % YEAR_BINS) / YEAR_BINS


def _steps(t: np.ndarray, subset: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Dates after each place where a step can be told (1 and 0), and the time of the place."""
    found = []
    for name in np.unique(subset):
        own = np.flatnonzero(subset == name)
        for k in range(EDGE_DATES, own.size - EDGE_DATES + 1):
            before, after = t[own[k - 1]], t[own[k]]
            if (after - before) * YEAR_DAYS <= LONGEST_DAYS:
                at = float(0.5 * (before + after))
                found.append((((subset == name) & (t >= after)).astype(float), at))
    return found


@dataclass(frozen=True)
class _Fit:
    values: np.ndarray
    errors: np.ndarray
    criterion: float
    deviation: float  # of a date of weight one


def _fit(design: np.ndarray, d: np.ndarray, weight: np.ndarray, noise: float) -> _Fit:
    from scipy.stats import norm, t

    values, *_ = np.linalg.lstsq(design * weight[:, None], d * weight, rcond=None)
    left = (d - design @ values) * weight
    spare = max(1, d.size - design.shape[1])
    squares = max(float(left @ left), 1e-30)
    inverse = np.linalg.pinv(design.T @ (design * weight[:, None] ** 2))
    # Few residuals tell their own scatter poorly: as wide as Student's t.
    wider = float(t.ppf(0.975, spare) / norm.ppf(0.975))
    deviation = max(wider * np.sqrt(squares / spare), noise * float(np.median(weight)))
    errors = np.sqrt(np.maximum(np.diag(inverse), 0.0)) * deviation
    # Few residuals are soon fitted better than the known noise allows: it counts as more of them.
    known = KNOWN_DATES if noise > 0.0 else 0.0
    expected = known * (noise * float(np.median(weight))) ** 2
    criterion = (d.size + known) * np.log((squares + expected) / (d.size + known))
    criterion += design.shape[1] * np.log(d.size)
    return _Fit(values, errors, float(criterion), float(deviation))


def _amplitude_error(design: np.ndarray, weight: np.ndarray, deviation: float) -> float:
    """Standard error of the amplitude of a wave, the last two columns, in its worst direction."""
    scaled = design * weight[:, None]
    if np.linalg.matrix_rank(scaled) < design.shape[1]:
        return float(np.inf)
    covariance = np.linalg.inv(scaled.T @ scaled)[-2:, -2:]
    return float(np.sqrt(np.linalg.eigvalsh(covariance)[-1]) * deviation)
