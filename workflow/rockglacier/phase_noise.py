"""Variance of interferometric phase, from coherence and looks.

A multilooked sample of a distributed scatterer is one draw of a complex Wishart matrix. Its
coherence magnitude ``c`` (the sample's own estimate) and the underlying coherence ``g`` together
tell more about its phase than either alone. From the Wishart density (Goodman 1963,
doi 10.1214/aoms/1177704250), with the two intensities integrated out,

    p(phase | c, g) ~ integral over u of (cosh u - q cos phase)^(-2 L),      q = c g,

so that the conditional variance of the phase depends on the product ``q`` and on the looks ``L``
alone. Its high-coherence limit at c = g is the Cramer-Rao bound (1 - g^2) / (2 L g^2)
(Rodriguez & Martin 1992, doi 10.1049/ip-f-2.1992.0018). Weighting by it is better than by the
marginal variance given either c or g, and its propagated error is right.
"""

from __future__ import annotations

from functools import lru_cache

import dask.array as da
import numba
import numpy as np
import xarray as xr

from rockglacier.conventions import PAIR, X, Y, describe

TABLE_SIZE = 4096  # steps of the coherence product between 0 and 1
MAXIMUM_PRODUCT = 0.998
UNKNOWN_VARIANCE = 0.5  # ASSUME: of phase where coherence is unknown (rad^2)
LONG_NAME = "coherence times local coherence"
WINDOW = 5  # pixels; coherence is taken as even within it when its local mean is formed


@lru_cache(maxsize=16)
def _variances(looks: float) -> np.ndarray:
    """Conditional phase variance (rad^2) over ``TABLE_SIZE`` equal steps of the product 0..1."""
    nodes = np.concatenate([np.linspace(0.0, 0.9, 46), 1.0 - np.geomspace(0.095, 1e-3, 40)])
    # Both densities are narrow at high coherence: cubed steps gather samples around zero.
    steps = np.linspace(0.0, 1.0, 601) ** 3
    phase, u = np.pi * steps, 6.0 * steps
    spread = np.cosh(u)[:, None]
    variances = np.empty_like(nodes)
    for i, product in enumerate(nodes):
        base = (spread - product * np.cos(phase)) / (1.0 - product)
        density = np.trapezoid(base ** (-2.0 * looks), u, axis=0)
        area = np.trapezoid(density, phase)
        variances[i] = np.trapezoid(phase**2 * density, phase) / area
    grid = np.minimum(np.linspace(0.0, 1.0, TABLE_SIZE), nodes[-1])
    # Nearly straight in these axes, so that interpolation between nodes costs nothing.
    table = np.exp(np.interp(np.log1p(-grid), np.log1p(-nodes)[::-1], np.log(variances)[::-1]))
    table.setflags(write=False)
    return np.asarray(table)


def phase_variance(product: np.ndarray, looks: float) -> np.ndarray:
    """Variance (rad^2) of phase noise given the coherence product (0..1) and independent looks.

    At zero it is pi^2 / 3, of a uniform phase. ASSUME: products above 0.998 are taken as 0.998;
    no real sample is better known.
    """
    clipped = np.clip(product, 0.0, MAXIMUM_PRODUCT)
    return _variances(float(looks))[np.asarray(clipped * (TABLE_SIZE - 1) + 0.5, dtype=np.intp)]


def weight_table(looks: float | None) -> np.ndarray:
    """Weights 1 / variance (1/rad^2), float32, over ``TABLE_SIZE`` equal steps of the product.

    Without ``looks`` all weights are one.
    """
    if looks is None:
        return np.ones(TABLE_SIZE, np.float32)
    return (1.0 / _variances(float(looks))).astype(np.float32)


@lru_cache(maxsize=16)
def _expected_estimates(looks: float) -> tuple[np.ndarray, np.ndarray]:
    """(expected estimate, underlying coherence) at equal steps of the latter.

    Touzi et al. 1999, doi 10.1109/36.739146, eq. 7, by quadrature of the density of the estimate.
    """
    from scipy.special import hyp2f1

    underlying = np.linspace(0.0, 0.99, 100)
    estimate = np.linspace(0.0, 1.0, 2001)
    g, c = underlying[:, None], estimate[None, :]
    # The density's hypergeometric factor in its transformed form, which does not overflow:
    # F(L, L; 1; z) = (1 - z)^(1 - 2 L) F(1 - L, 1 - L; 1; z).
    z = (g * c) ** 2
    with np.errstate(divide="ignore"):
        log_density = (
            looks * np.log1p(-(g**2))
            + np.log(c)
            + (looks - 2.0) * np.log1p(-(c**2))
            + (1.0 - 2.0 * looks) * np.log1p(-z)
        )
    finite = np.where(np.isfinite(log_density), log_density, -np.inf)
    density = np.exp(finite - finite.max(axis=1, keepdims=True))
    density = density * hyp2f1(1.0 - looks, 1.0 - looks, 1.0, z)
    mean = np.trapezoid(density * c, estimate, axis=1) / np.trapezoid(density, estimate, axis=1)
    return mean, underlying


def unbiased(mean_coherence: np.ndarray, looks: float) -> np.ndarray:
    """Underlying coherence from a mean of estimates of ``looks`` looks; NaN stays NaN.

    Few looks find coherence where there is none: the mean estimate exceeds the truth.
    """
    expected, underlying = _expected_estimates(float(looks))
    found = np.interp(np.nan_to_num(mean_coherence), expected, underlying)
    return np.where(np.isnan(mean_coherence), np.nan, found).astype(np.float32)


@numba.njit(nogil=True, cache=True)
def _products(phase: np.ndarray, coherence: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Product of each sample with the unbiased mean of the finite samples around it.

    ``phase`` (layer, y, x); ``coherence`` has ``WINDOW // 2`` rows more on either side; ``table``
    maps a mean to the underlying coherence.
    """
    count, height, width = phase.shape
    radius = WINDOW // 2
    out = np.empty((count, height, width), np.float32)
    total = np.zeros(width, np.float64)
    number = np.zeros(width, np.float64)
    sums = np.zeros(width + 1, np.float64)
    numbers = np.zeros(width + 1, np.float64)
    for k in range(count):
        total[:] = 0.0
        number[:] = 0.0
        for row in range(WINDOW - 1):
            for x in range(width):
                value = coherence[k, row, x]
                good = value == value
                total[x] += value if good else 0.0
                number[x] += 1.0 if good else 0.0
        for y in range(height):
            for x in range(width):
                value = coherence[k, y + WINDOW - 1, x]
                good = value == value
                total[x] += value if good else 0.0
                number[x] += 1.0 if good else 0.0
                sums[x + 1] = sums[x] + total[x]
                numbers[x + 1] = numbers[x] + number[x]
            for x in range(width):
                low, high = max(x - radius, 0), min(x + radius + 1, width)
                n = numbers[high] - numbers[low]
                value = coherence[k, y + radius, x]
                if phase[k, y, x] != phase[k, y, x]:
                    out[k, y, x] = np.nan
                elif value == value and n > 0.0:
                    mean = min(max((sums[high] - sums[low]) / n, 0.0), 1.0)
                    out[k, y, x] = value * table[int(mean * (TABLE_SIZE - 1) + 0.5)]
                else:
                    out[k, y, x] = 0.0
            for x in range(width):
                value = coherence[k, y, x]
                good = value == value
                total[x] -= value if good else 0.0
                number[x] -= 1.0 if good else 0.0
    return out


def coherence_product(
    phase: xr.DataArray, coherence: xr.DataArray | None, *, looks: float | None
) -> xr.DataArray:
    """Product of each sample's coherence and the local one: what a sample's phase is worth.

    ``phase`` and ``coherence`` (pair, y, x). The local coherence is the mean over 5 x 5 pixels of
    the pair, freed of the bias of few looks. The result is NaN where the phase is missing, and
    zero (the phase counts, as little as can be) where only the coherence is. Without coherence or
    looks every sample is worth the same, one.
    """
    if coherence is None or looks is None:
        product = xr.ones_like(phase, dtype=np.float32).where(phase.notnull())
        return describe(product, "coherence_product", LONG_NAME, "1")
    radius = WINDOW // 2
    table = unbiased(np.linspace(0.0, 1.0, TABLE_SIZE), looks)

    def multiply(values: np.ndarray, padded: np.ndarray) -> np.ndarray:
        return np.asarray(_products(values, padded.astype(np.float32, copy=False), table))

    values, samples = (a.transpose(PAIR, Y, X).data for a in (phase, coherence))
    if isinstance(samples, da.Array):
        padded = da.overlap.overlap(samples, depth={1: radius}, boundary={1: np.nan})
        # The same bands as those that have a margin now: thin ones were merged.
        rows = tuple(n - 2 * radius for n in padded.chunks[1])
        centre = values.rechunk((samples.chunks[0], rows, samples.chunks[2]))
        data = da.map_blocks(multiply, centre, padded, dtype=np.float32, chunks=centre.chunks)
        data = data.rechunk(samples.chunks)
    else:
        halo = ((0, 0), (radius, radius), (0, 0))
        data = multiply(values, np.pad(samples, halo, constant_values=np.nan))
    product = phase.transpose(PAIR, Y, X).copy(data=data)
    return describe(product, "coherence_product", LONG_NAME, "1")
