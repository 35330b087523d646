"""Pairs of images whose ground moved by a stated field: optical texture and radar speckle.

The ground is a band-limited random field, as sampled images are. It is made four times finer by its
own spectrum, and the reference shows at each pixel the ground that the secondary shows where that
pixel moved to: the truth is exact at the reference's pixels, at every fraction of a pixel. Nothing
here is shared with the matcher.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from scipy.fft import fft2, fftfreq, fftshift, ifft2, ifftshift
from scipy.ndimage import gaussian_filter, map_coordinates

from rockglacier.conventions import MAP, X, Y, describe
from rockglacier.simulation import stream

MARGIN = 64  # pixels simulated around the images
FINER = 4
Field = Literal["ramp", "tongues"]

# ASSUME: texture has an amplitude spectrum of f^-0.6: with noise of 15 % plain correlation then
# locks by 0.05 pixels, as in the figures that benchmarks/offsets.py is to be compared with.
TEXTURE_EXPONENT = 0.6
TEXTURE_CUTOFF = 0.42  # cycles per pixel, of the optics
LARGEST_SCALE = 200.0  # pixels
# Processed bandwidth of Sentinel-1 IW over its sampling.
RANGE_BAND, AZIMUTH_BAND = 0.88, 0.67

TONGUE_RATES_PX = (0.6, 1.2, 1.9, 2.6, 3.4)
TONGUE_HALF_WIDTHS = (0.04, 0.05, 0.06, 0.05, 0.073)  # of the images' width
TONGUE_DIRECTIONS_DEG = (10.0, -20.0, 25.0, -10.0, 15.0)  # from down the image
# ASSUME: margins of tongues shear over 12 pixels: plain correlation is then off by as much there as
# in those figures.
MARGIN_PX = 12.0


def displacement(field: Field, size: int) -> xr.Dataset:
    """``rows`` and ``columns`` (y, x; pixels) that the ground of each reference pixel moves by.

    "ramp": 1.5 pixels either way, in both directions; "tongues": of 0.6 to 3.4 pixels, with narrow
    margins, on ground that does not move.
    """
    y, x = np.mgrid[:size, :size].astype(np.float64)
    if field == "ramp":
        rows, columns = 3.0 * (y / (size - 1) - 0.5), 3.0 * (x / (size - 1) - 0.5)
    else:
        rows, columns = np.zeros((size, size)), np.zeros((size, size))
        tongues = zip(TONGUE_RATES_PX, TONGUE_HALF_WIDTHS, TONGUE_DIRECTIONS_DEG, strict=True)
        for k, (rate, half_width, direction) in enumerate(tongues):
            sine, cosine = np.sin(np.radians(direction)), np.cos(np.radians(direction))
            right, down = x - (k + 0.5) * size / len(TONGUE_RATES_PX), y - 0.5 * size
            across, along = cosine * right + sine * down, cosine * down - sine * right
            inside = _between(across, half_width * size, MARGIN_PX)
            inside *= _between(along, 0.38 * size, 3.0 * MARGIN_PX)
            rows += rate * cosine * inside
            columns -= rate * sine * inside
    names = {"rows": rows, "columns": columns}
    return xr.Dataset(
        {
            name: describe(_image(values), name, f"displacement along {name}", "pixel")
            for name, values in names.items()
        }
    )


def _between(distance: np.ndarray, half_width: float, margin: float) -> np.ndarray:
    edges = np.tanh((distance + half_width) / margin) - np.tanh((distance - half_width) / margin)
    return np.asarray(0.5 * edges)


def _image(values: np.ndarray) -> xr.DataArray:
    """``values`` on pixels of 1 m."""
    height, width = values.shape
    coords = {Y: -np.arange(height, dtype=np.float64), X: np.arange(width, dtype=np.float64)}
    return xr.DataArray(values, dims=MAP, coords=coords)


def optical_pair(moved: xr.Dataset, *, noise: float = 0.15, seed: int = 0) -> xr.Dataset:
    """``reference`` and ``secondary`` (y, x; float32) of ground that :func:`displacement` moved.

    ``noise``: of either image, over the deviation of the texture. The light changes between them.
    """
    random = stream(seed, 0, 0)
    size = moved.sizes[Y]
    ground = _texture(size + 2 * MARGIN, random)
    reference = _seen(ground, moved)
    secondary = ground[MARGIN:-MARGIN, MARGIN:-MARGIN]
    light = gaussian_filter(random.standard_normal((size, size)), 80.0, mode="wrap")
    light /= light.std()
    secondary = secondary * (1.0 + 0.2 * light) + 0.5 * light
    pair = {
        name: (1000.0 + 200.0 * (image + noise * random.standard_normal(image.shape)))
        for name, image in (("reference", reference), ("secondary", secondary))
    }
    return xr.Dataset({name: _image(image.astype(np.float32)) for name, image in pair.items()})


def radar_pair(moved: xr.Dataset, *, coherence: float = 0.7, seed: int = 0) -> xr.Dataset:
    """The same as single-look complex images (azimuth along y, range along x; complex64)."""
    random = stream(seed, 1, 0)
    wide = moved.sizes[Y] + 2 * MARGIN
    frequency = np.hypot(fftfreq(wide)[:, None], fftfreq(wide)[None])
    shape = np.maximum(frequency, 1.0 / LARGEST_SCALE) ** -1.2
    texture = ifft2(fft2(random.standard_normal((wide, wide))) * shape).real
    reflectivity = np.exp(0.35 * texture / texture.std())
    inside = (np.abs(fftfreq(wide)) <= 0.5 * AZIMUTH_BAND)[:, None]
    inside = inside & (np.abs(fftfreq(wide)) <= 0.5 * RANGE_BAND)[None]

    def speckle() -> np.ndarray:
        values = random.standard_normal((2, wide, wide))
        image = ifft2(fft2(reflectivity * (values[0] + 1j * values[1])) * inside)
        return np.asarray(image / np.sqrt(np.mean(np.abs(image) ** 2)))

    shared = speckle()
    first, second = (
        np.sqrt(coherence) * shared + np.sqrt(1.0 - coherence) * speckle() for _ in range(2)
    )
    reference = _seen(first.real, moved) + 1j * _seen(first.imag, moved)
    pair = {"reference": reference, "secondary": second[MARGIN:-MARGIN, MARGIN:-MARGIN]}
    return xr.Dataset({name: _image(image.astype(np.complex64)) for name, image in pair.items()})


def texture(size: int, finer: int, random: np.random.Generator) -> np.ndarray:
    """Texture of the ground (mean 0, deviation 1), ``size`` pixels a side, made ``finer``."""
    return _refined(_texture(size, random), finer)


def _texture(size: int, random: np.random.Generator) -> np.ndarray:
    frequency = np.hypot(fftfreq(size)[:, None], fftfreq(size)[None])
    amplitude = np.maximum(frequency, 1.0 / LARGEST_SCALE) ** -TEXTURE_EXPONENT
    amplitude /= 1.0 + (frequency / TEXTURE_CUTOFF) ** 16
    ground = ifft2(fft2(random.standard_normal((size, size))) * amplitude).real
    return np.asarray(ground / ground.std())


def _refined(ground: np.ndarray, finer: int) -> np.ndarray:
    """``ground`` on a grid so much finer, by its own spectrum."""
    size = ground.shape[0]
    spectrum = np.zeros((finer * size, finer * size), np.complex128)
    pad = (finer * size - size) // 2
    spectrum[pad : pad + size, pad : pad + size] = fftshift(fft2(ground))
    return np.asarray(finer**2 * ifft2(ifftshift(spectrum)).real)


def _seen(ground: np.ndarray, moved: xr.Dataset) -> np.ndarray:
    """What of the ``ground`` (with its margin) lies where each pixel of the reference moved to."""
    finer = _refined(ground, FINER)
    y, x = np.mgrid[: moved.sizes[Y], : moved.sizes[X]]
    at = [
        FINER * (y + moved["rows"].values + MARGIN),
        FINER * (x + moved["columns"].values + MARGIN),
    ]
    return np.asarray(map_coordinates(finer, at, order=3, mode="grid-wrap"))
