"""Variance of interferometric phase from coherence and looks."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

TABLE_SIZE = 4096  # steps of coherence between 0 and 1
MAXIMUM_COHERENCE = 0.999


def phase_pdf(phase: np.ndarray, coherence: float, looks: float) -> np.ndarray:
    """Probability density (1/rad) of multilooked phase noise of a distributed scatterer.

    ``phase`` in rad about its expectation, within -pi..pi; ``looks`` independent looks, >= 1.

    Source: Lee et al. 1994, doi 10.1109/36.312890, eq. 19; Tough et al. 1995,
    doi 10.1098/rspa.1995.0071.
    """
    from scipy.special import gammaln, hyp2f1

    beta = coherence * np.cos(phase)
    base = (1.0 - coherence**2) ** looks
    ratio = np.exp(gammaln(looks + 0.5) - gammaln(looks)) / (2.0 * np.sqrt(np.pi))
    first = ratio * base * beta / (1.0 - beta**2) ** (looks + 0.5)
    second = base / (2.0 * np.pi) * hyp2f1(looks, 1.0, 0.5, beta**2)
    return np.asarray(first + second)


@lru_cache(maxsize=16)
def _variances(looks: float) -> np.ndarray:
    nodes = np.concatenate([np.linspace(0.0, 0.9, 46), 1.0 - np.geomspace(0.095, 1e-3, 30)])
    # Fine where the density is narrow: phase = pi s^3 clusters the samples around zero.
    s = np.linspace(0.0, 1.0, 1201)
    phase = np.pi * s**3
    variances = np.empty_like(nodes)
    for i, coherence in enumerate(nodes):
        density = phase_pdf(phase, float(coherence), looks)
        area = np.trapezoid(density, phase)
        variances[i] = np.trapezoid(phase**2 * density, phase) / area
    table = np.exp(np.interp(np.linspace(0.0, 1.0, TABLE_SIZE), nodes, np.log(variances)))
    table.setflags(write=False)
    return table


def phase_variance(coherence: np.ndarray, looks: float) -> np.ndarray:
    """Variance (rad^2) of phase noise for ``coherence`` (0..1; NaN counts as 0) and ``looks``.

    Integrates the density of :func:`phase_pdf`; at high coherence it tends to
    (1 - coherence^2) / (2 looks coherence^2) (Rodriguez & Martin 1992,
    doi 10.1049/ip-f-2.1992.0018), at zero coherence to pi^2 / 3. ASSUME: coherence above 0.999 is
    taken as 0.999.
    """
    return _variances(float(looks))[table_index(coherence)]


def weight_table(looks: float | None) -> np.ndarray:
    """Weights 1 / variance (1/rad^2), float32, over ``TABLE_SIZE`` equal steps of coherence 0..1.

    Without ``looks`` all weights are one.
    """
    if looks is None:
        return np.ones(TABLE_SIZE, np.float32)
    return (1.0 / _variances(float(looks))).astype(np.float32)


def table_index(coherence: np.ndarray) -> np.ndarray:
    """Index into :func:`weight_table` of each coherence."""
    clipped = np.clip(np.nan_to_num(coherence), 0.0, MAXIMUM_COHERENCE)
    return np.asarray(clipped * (TABLE_SIZE - 1) + 0.5, dtype=np.intp)
