"""Probabilities that are found to be true as often as they say, in the order that they had.

What a model says of ground that it never saw is bent to what was found there. The bend rises
everywhere: ground that was the likelier stays so, and areas under curves are what they were.

Source
------
Beta calibration: Kull, Silva Filho & Flach (2017), doi:10.1214/17-EJS1338SI.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

Bend = tuple[float, float, float]
STRAIGHT: Bend = (1.0, 1.0, 0.0)
STEADY = 1e-4  # penalty on a bend that departs from STRAIGHT, of the entropy of a sample
STEPS = 20_001  # of log-odds, by which a bend is undone
FLOOR = 1e-9  # of a probability
LEAST_SLOPE, MOST_SLOPE, MOST_SHIFT = 0.1, 4.0, 6.0


def fitted(P: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> Bend:
    """The bend by which ``P`` (sample) foretells best what is ``truth`` (sample; bool).

    ``P`` is of models that did not see the sample; ``weight``: the ground that it stands for.
    STRAIGHT where all is true, or nothing.
    """
    if not truth.any() or truth.all():
        return STRAIGHT
    yes, no = _logarithms(P)
    share = weight / weight.sum()
    prevalence = float(share[truth].sum())
    entropy = -prevalence * np.log(prevalence) - (1.0 - prevalence) * np.log1p(-prevalence)
    steady = STEADY * entropy

    def loss(bend: np.ndarray) -> tuple[float, np.ndarray]:
        odds = bend[0] * yes - bend[1] * no + bend[2]
        off = share * (expit(odds) - truth)
        apart = bend - STRAIGHT
        value = -(share * log_expit(np.where(truth, odds, -odds))).sum()
        slope = np.array([(off * yes).sum(), -(off * no).sum(), off.sum()])
        return float(value + steady * (apart**2).sum()), slope + 2.0 * steady * apart

    bounds = [(LEAST_SLOPE, MOST_SLOPE)] * 2 + [(-MOST_SHIFT, MOST_SHIFT)]
    found = minimize(loss, np.array(STRAIGHT), jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), float(found[1]), float(found[2])


def bent(P: np.ndarray, bend: Bend) -> np.ndarray:
    """``P`` (any shape) by the bend (a, b, c): log-odds a ln P - b ln(1 - P) + c."""
    if bend == STRAIGHT:
        return np.asarray(P)
    yes, no = _logarithms(P)
    return np.asarray(expit(bend[0] * yes - bend[1] * no + bend[2]))


def straightened(P: np.ndarray, bend: Bend) -> np.ndarray:
    """What was bent to ``P`` (any shape; NaN stays)."""
    if bend == STRAIGHT:
        return np.asarray(P)
    whole = np.log(1.0 / FLOOR - 1.0)
    before = expit(np.linspace(-whole, whole, STEPS))
    found = np.interp(np.asarray(P, float), bent(before, bend), np.linspace(-whole, whole, STEPS))
    return np.asarray(expit(found))


def _logarithms(P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ln P and ln(1 - P)."""
    inside = np.clip(P, FLOOR, 1.0 - FLOOR)
    return np.log(inside), np.log1p(-inside)
