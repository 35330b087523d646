"""Offsets of a pair by a peer, in the peer's own environment: chips of 32 pixels every 16.

python offset_peers.py opencv|openpiv pair.npz found.npz prints its seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

import numpy as np

CHIP, STEP, SEARCH = 32, 16, 6


def opencv(reference: np.ndarray, secondary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normalised cross-correlation and a parabola through its peak."""
    import cv2

    half = CHIP // 2
    centres = [np.arange(half + SEARCH, n - half - SEARCH, STEP) for n in reference.shape]
    offsets = np.full((centres[0].size, centres[1].size, 2), np.nan)
    for p, i in enumerate(centres[0]):
        for q, j in enumerate(centres[1]):
            chip = reference[i - half : i + half, j - half : j + half]
            reach = half + SEARCH
            around = secondary[i - reach : i + reach, j - reach : j + reach]
            surface = cv2.matchTemplate(around, chip, cv2.TM_CCOEFF_NORMED)
            a, b = np.unravel_index(surface.argmax(), surface.shape)
            if 0 < a < 2 * SEARCH and 0 < b < 2 * SEARCH:
                down = _parabola(*surface[a - 1 : a + 2, b])
                right = _parabola(*surface[a, b - 1 : b + 2])
                offsets[p, q] = a - SEARCH + down, b - SEARCH + right
    # The centre of an even chip lies between pixels.
    return offsets, np.stack(np.meshgrid(*(c - 0.5 for c in centres), indexing="ij"))


def _parabola(before: float, middle: float, after: float) -> float:
    return 0.5 * (before - after) / (before - 2.0 * middle + after)


def openpiv(reference: np.ndarray, secondary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Three passes with deformed images, windows of 64, 32 and 32 pixels."""
    from openpiv import windef

    settings = windef.PIVSettings()
    settings.windowsizes, settings.overlap = (64, CHIP, CHIP), (32, STEP, STEP)
    settings.num_iterations = 3
    settings.normalized_correlation = True
    settings.min_max_u_disp = settings.min_max_v_disp = (-SEARCH, SEARCH)
    settings.std_threshold = 10
    settings.sig2noise_validate = settings.smoothn = False
    settings.show_all_plots = settings.show_plot = settings.save_plot = False
    x, y, u, v, _ = windef.first_pass(reference, secondary, settings)
    u, v = (np.ma.masked_array(a, mask=np.zeros(a.shape, bool)) for a in (u, v))
    for k in range(1, settings.num_iterations):
        x, y, u, v, _, _ = windef.multipass_img_deform(
            reference, secondary, k, x, y, u, v, settings
        )
    return np.stack([np.asarray(v), np.asarray(u)], -1), np.stack([y, x])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    side = {"opencv": opencv, "openpiv": openpiv}[sys.argv[1]]
    pair = np.load(sys.argv[2])
    images = [pair[name].astype(np.float32) for name in ("reference", "secondary")]
    side(*(image[:200, :200] for image in images))
    began = time.perf_counter()
    offsets, places = side(*images)
    seconds = time.perf_counter() - began
    np.savez(sys.argv[3], offsets=offsets, places=places)
    print(json.dumps({"seconds": round(seconds, 2)}))
