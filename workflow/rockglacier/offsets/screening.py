"""Offsets that their neighbours contradict.

Source
------
Neighbours that move alike, and the median: Lei, Gardner & Agram (2021), doi:10.3390/rs13040749,
after Westerweel & Scarano (2005), doi:10.1007/s00348-005-0016-6.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from rockglacier.bands import cut
from rockglacier.conventions import X, Y
from rockglacier.offsets.reasons import Reason
from rockglacier.offsets.sizes import SIZE

WINDOW = 5  # places a side
MIN_ALIKE = 8 / 25  # share of the window's places within the images that move alike
ALIKE_SEARCH = 0.2  # of the search radius
PASSES = 3
MAX_DEVIATIONS = 4.0  # from the median, in median absolute deviations
BAND_ROWS = 256
REACH = (PASSES + 1) * (WINDOW // 2)  # rows that what is left out of a row depends on
FLOOR_PX = 0.1  # the least deviation that counts: fields as smooth as that are not torn


def screened(field: xr.Dataset, search: int) -> xr.Dataset:
    """``field`` of :func:`rockglacier.offsets.tracking.track`, computed, without outliers.

    ``search``: radius of the search that made it (pixels). Offsets that are left out become NaN,
    and ``reason`` says why. Each size is screened by itself.
    """
    sizes = []
    for k in range(field.sizes[SIZE]):
        whole = field.isel({SIZE: k})
        parts = [
            _screened(whole.isel({Y: band.wide}), search).isel({Y: band.crop})
            for band in cut(field.sizes[Y], BAND_ROWS, REACH)
        ]
        sizes.append(xr.concat(parts, dim=Y))
    return xr.concat(sizes, dim=SIZE).assign_attrs(field.attrs)


def _screened(field: xr.Dataset, search: int) -> xr.Dataset:
    """The same of one size (y, x), in memory at once."""
    columns = field["east"].values / field.attrs["pixel_x_m"]
    rows = field["north"].values / field.attrs["pixel_y_m"]
    offsets = np.stack([rows, columns])
    reason = field["reason"].values.copy()
    inside = _window_sum(np.isin(reason, [Reason.OUTSIDE], invert=True))
    for _ in range(PASSES):
        alike = np.zeros(reason.shape)
        for other in _neighbours(offsets):
            with np.errstate(invalid="ignore"):
                alike += (np.abs(other - offsets) <= ALIKE_SEARCH * search).all(axis=0)
        lonely = np.isfinite(offsets[0]) & (alike + 1 < MIN_ALIKE * inside)
        offsets[:, lonely] = np.nan
        reason[lonely] = Reason.NEIGHBOURS
    around = np.stack([offsets, *_neighbours(offsets)])
    with np.errstate(invalid="ignore"):
        middle = _nanmedian(around)
        spread = np.maximum(_nanmedian(np.abs(around - middle)), FLOOR_PX)
        far = (np.abs(offsets - middle) > MAX_DEVIATIONS * spread).any(axis=0)
    reason[far] = Reason.MEDIAN
    keep = xr.DataArray(reason == Reason.OBSERVED, dims=(Y, X), coords=field["east"].coords)
    names = ["east", "north", "east_error", "north_error", "covariance"]
    out = field.assign({name: field[name].where(keep) for name in names})
    out["reason"] = field["reason"].copy(data=reason)
    return out


def _neighbours(values: np.ndarray) -> list[np.ndarray]:
    """``values`` (..., y, x) of the other places of the window; NaN beyond the edge."""
    half = WINDOW // 2
    padded = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(half, half)] * 2,
                    constant_values=np.nan)  # fmt: skip
    height, width = values.shape[-2:]
    return [
        padded[..., i : i + height, j : j + width]
        for i in range(WINDOW)
        for j in range(WINDOW)
        if (i, j) != (half, half)
    ]


def _window_sum(flags: np.ndarray) -> np.ndarray:
    whole = flags.astype(np.float32)
    return np.asarray(whole + np.nansum(_neighbours(whole), axis=0))


def _nanmedian(values: np.ndarray) -> np.ndarray:
    """Median over the first axis without NaN; NaN where there is nothing else."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(values).sum(axis=0)
    lower = np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    upper = np.take_along_axis(ordered, (count // 2)[None].clip(max=len(values) - 1), axis=0)[0]
    return np.asarray(np.where(count > 0, 0.5 * (lower + upper), np.nan))
