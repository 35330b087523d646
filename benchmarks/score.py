"""How close estimates come to the truth, and how well they know it."""

from __future__ import annotations

from functools import cache

import numpy as np

from rockglacier.conventions import metres_per_radian

# Velocity classes of RGIK moving areas, m/yr.
CLASSES = (0.0, 0.01, 0.03, 0.10, 0.30, 1.00, np.inf)
CLASS_NAMES = ("<1", "1-3", "3-10", "10-30", "30-100", ">100")  # cm/yr
NORMAL_95 = 1.959964
MISS_COST = 2.0 / 0.05


def centred(error: np.ndarray) -> np.ndarray:
    """``error`` less the scene's constant."""
    return np.asarray(error - np.nanmean(error))


def rmse(error: np.ndarray) -> float:
    """Root mean square of what is finite."""
    return float(np.sqrt(np.nanmean(np.square(error))))


def coverage(error: np.ndarray, sigma: np.ndarray) -> float:
    """Share of finite errors within 1.96 ``sigma``."""
    known = np.isfinite(error) & np.isfinite(sigma)
    return float(np.mean(np.abs(error[known]) <= NORMAL_95 * sigma[known]))


def class_of(speed: np.ndarray) -> np.ndarray:
    """Index of the velocity class of ``speed`` (m/yr)."""
    return np.digitize(np.abs(speed), CLASSES[1:-1])


def interval_score(error: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Mean score of intervals around the estimate: width, and 40 times what they miss by.

    Gneiting & Raftery 2007 (doi 10.1198/016214506000001437), eq. 43, at 95 %.
    """
    missed = np.maximum(low - error, 0.0) + np.maximum(error - high, 0.0)
    return float(np.mean(high - low + MISS_COST * missed))


def score_ratio(error: np.ndarray, sigma: np.ndarray, difficulty: np.ndarray) -> float:
    """Interval score over that of the intervals of the true error distribution.

    The true distribution is that of all errors of pixels as difficult: 20 equal shares of
    ``difficulty``, which is made of the truth alone.
    """
    known = np.isfinite(error) & np.isfinite(sigma)
    error, sigma, difficulty = error[known], sigma[known], difficulty[known]
    low, high = np.empty_like(error), np.empty_like(error)
    edges = np.quantile(difficulty, np.linspace(0.0, 1.0, 21)[1:-1])
    shares = np.digitize(difficulty, edges)
    for share in np.unique(shares):
        here = shares == share
        low[here], high[here] = np.quantile(error[here], [0.025, 0.975])
    own = interval_score(error, -NORMAL_95 * sigma, NORMAL_95 * sigma)
    return own / interval_score(error, low, high)


@cache
def _information_table(looks: int) -> tuple[np.ndarray, np.ndarray]:
    """Fisher information (1/rad^2) on the phase in one sample's phase and coherence, by coherence.

    Density of both with the intensities integrated out of the complex Wishart density (Goodman
    1963, doi 10.1214/aoms/1177704250): proportional to c (1 - c^2)^(L - 2) H(g c cos phase), with
    H(x) the integral over u of (cosh u - x)^(-2 L).
    """
    coherence = np.linspace(0.0, 0.99, 100)
    x = np.concatenate([np.linspace(-0.999, 0.8, 1200), 1.0 - np.geomspace(0.2, 1e-3, 1200)[1:]])
    u = np.linspace(0.0, 1.0, 801) ** 2 * 6.0
    log_h = np.empty_like(x)
    for i, value in enumerate(x):
        base = (np.cosh(u) - value) / (1.0 - value)
        log_h[i] = np.log(np.trapezoid(base ** (-2.0 * looks), u)) - 2.0 * looks * np.log1p(-value)
    slope = np.gradient(log_h, x)
    phase = np.linspace(0.0, 1.0, 601) ** 2 * np.pi
    estimate = np.linspace(0.0, 0.999, 600)[1:]
    information = np.zeros_like(coherence)
    for i, g in enumerate(coherence[1:], start=1):
        at = g * estimate[:, None] * np.cos(phase)
        log_density = (
            np.interp(at, x, log_h)
            + (np.log(estimate) + (looks - 2.0) * np.log1p(-(estimate**2)))[:, None]
        )
        density = np.exp(log_density - log_density.max())
        score = g * estimate[:, None] * np.sin(phase) * np.interp(at, x, slope)
        area = np.trapezoid(np.trapezoid(density, phase), estimate)
        information[i] = np.trapezoid(np.trapezoid(density * score**2, phase), estimate) / area
    return coherence, information


def phase_information(coherence: np.ndarray, looks: int) -> np.ndarray:
    """Fisher information (1/rad^2) of samples of true ``coherence`` on their phase."""
    nodes, values = _information_table(looks)
    return np.interp(coherence, nodes, values)


def velocity_bound(
    coherence: np.ndarray, years: np.ndarray, wavelength_m: float, looks: int
) -> np.ndarray:
    """Cramer-Rao bound of the standard error of a linear velocity (m/yr), per pixel.

    ``coherence`` (pair, y, x) is the true one; ``years`` (pair) the pairs' spans. The noise of
    pairs is independent and no date has a delay: motion of v years is seen by each pair.
    """
    information = np.zeros(coherence.shape[1:])
    for layer, span in zip(coherence, years, strict=True):
        information += span**2 * phase_information(layer, looks)
    return np.asarray(abs(metres_per_radian(wavelength_m)) / np.sqrt(information))
