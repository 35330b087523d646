"""Band-limited interpolation of complex images at arbitrary places.

The kernel is the best linear one for a signal of known bandwidth and so many taps: with the
autocorrelation sinc(B k) of band-limited noise, its weights solve R a = r (the Wiener-Hopf
equations), and 1 - r'a is the share of the power that it gets wrong.

Source
------
Yen (1956), doi:10.1109/TCT.1956.1086325; Hanssen & Bamler (1999), doi:10.1109/36.739168, on kernels
for interferometry.
"""

from __future__ import annotations

from functools import lru_cache

import numba
import numpy as np

STEPS = 1024  # kernels per pixel: between them the nearest serves, 1/2048 pixel off at most
RANGE_BANDWIDTH, AZIMUTH_BANDWIDTH = 0.88, 0.67  # of IW, as a share of the sampling rate
RANGE_TAPS, AZIMUTH_TAPS = 20, 10
NOISE = 1e-4  # power per sample that keeps the equations well-conditioned


@lru_cache(maxsize=16)
def kernels(taps: int, bandwidth: float) -> np.ndarray:
    """Weights (STEPS + 1, taps) for fractions 0 to 1 beyond the middle tap; their sum is nearly 1.

    Tap ``i`` weighs the sample ``i - taps // 2 + 1`` beyond the one below the wanted place.
    """
    place = np.arange(taps) - taps // 2 + 1
    lag = np.subtract.outer(place, place)
    correlation = np.sinc(bandwidth * lag) + NOISE * np.eye(taps)
    fraction = np.linspace(0.0, 1.0, STEPS + 1)
    wanted = np.sinc(bandwidth * (place[None, :] - fraction[:, None]))
    return np.linalg.solve(correlation, wanted.T).T


def interpolate(image: np.ndarray, line: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """``image`` (line, sample; complex64, without azimuth carrier) at ``line`` and ``sample``.

    Both are of any one shape, which the result has; NaN where the kernel would leave the image or
    meets a missing pixel.
    """
    along = kernels(AZIMUTH_TAPS, AZIMUTH_BANDWIDTH).astype(np.float32)
    across = kernels(RANGE_TAPS, RANGE_BANDWIDTH).astype(np.float32)
    lines, samples = np.broadcast_arrays(line, sample)
    out = np.empty(lines.size, np.complex64)
    _interpolate(
        image.astype(np.complex64, copy=False),
        np.ascontiguousarray(lines, np.float64).ravel(),
        np.ascontiguousarray(samples, np.float64).ravel(),
        along,
        across,
        out,
    )
    return out.reshape(lines.shape)


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _interpolate(
    image: np.ndarray,
    lines: np.ndarray,
    samples: np.ndarray,
    along: np.ndarray,
    across: np.ndarray,
    out: np.ndarray,
) -> None:
    height, width = image.shape
    rows, columns = along.shape[1], across.shape[1]
    for p in range(lines.size):
        out[p] = np.nan
        line, sample = lines[p], samples[p]
        if not (0.0 <= line < height and 0.0 <= sample < width):
            continue
        row, column = int(line), int(sample)
        top, left = row - rows // 2 + 1, column - columns // 2 + 1
        if top < 0 or left < 0 or top + rows > height or left + columns > width:
            continue
        vertical = along[int((line - row) * STEPS + 0.5)]
        horizontal = across[int((sample - column) * STEPS + 0.5)]
        real, imaginary = np.float32(0.0), np.float32(0.0)
        for i in range(rows):
            a, b = np.float32(0.0), np.float32(0.0)
            for j in range(columns):
                value = image[top + i, left + j]
                a += horizontal[j] * value.real
                b += horizontal[j] * value.imag
            real += vertical[i] * a
            imaginary += vertical[i] * b
        out[p] = complex(real, imaginary)
