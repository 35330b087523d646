"""All that is known of each pixel, side by side: the factors that rock glaciers are told by.

A factor belongs to the technique that saw it, says what it means and in which unit, and how much of
the region it is known for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import xarray as xr

from rockglacier import backscatter, relief, snow
from rockglacier.conventions import MAP, describe, require
from rockglacier.errors import DimensionError
from rockglacier.terrain import WIDTH_PER_SIGMA

TERRAIN, OUTLINES, CLIMATE = "terrain", "outlines", "climate"
VELOCITY, INTERFEROMETRY, OFFSETS = "velocity", "interferometry", "offsets"
BACKSCATTER, SNOW = "backscatter", "snow"
TECHNIQUES = (
    TERRAIN, OUTLINES, CLIMATE, VELOCITY, INTERFEROMETRY, OFFSETS, BACKSCATTER, SNOW
)  # fmt: skip

# What each kind of product contributes: names there, and here.
RELIEF = {name: name for name in relief.FACTORS} | {
    "radiation": "radiation", "radiation_summer": "radiation_summer",
}  # fmt: skip
GLACIERS = {"glacier_share": "glacier_share", "glacier_distance": "glacier_distance"}
AIR = {"air_temperature": "air_temperature"}
SENSED = (VELOCITY, INTERFEROMETRY, OFFSETS, BACKSCATTER, SNOW)
REACH = 3.0  # of a Gaussian, in its sigmas
# Errors and counts tell of the data, not of the ground.
OF_DATA = {"count", "mean_error", "trend_error", "annual_amplitude_error", "melt_depression_error"}
OF_DATA |= {"melt_mean_error", "amplitude_error"}
OF_BACKSCATTER = {n: f"backscatter_{n}" for n in backscatter.FACTORS if n not in OF_DATA}
OF_YEAR = {n: f"backscatter_{n}" for n in backscatter.OF_THE_YEAR if n not in OF_DATA}
OF_SNOW = {n: f"snow_{n}" for n in snow.FACTORS if n not in OF_DATA}

Maps = Mapping[str, xr.DataArray]


def gather(
    *,
    relief: xr.Dataset | None = None,
    glaciers: xr.Dataset | None = None,
    climate: xr.Dataset | None = None,
    velocity: xr.Dataset | None = None,
    tracks: Sequence[xr.Dataset] = (),
    offsets: xr.Dataset | None = None,
    backscatter: xr.Dataset | None = None,
    snow: xr.Dataset | None = None,
    coherence: Sequence[xr.DataArray] = (),
    support_m: float = 0.0,
) -> xr.Dataset:
    """Factors (y, x; float32) of the products given, which lie on one grid and may be lazy.

    ``relief``: of the terrain, with its radiation; ``velocity``: of all tracks and offsets, joined;
    ``tracks``: velocity along each line of sight; ``offsets``: of :func:`joining.best`;
    ``backscatter``: of :func:`backscatter.combined`; ``coherence``: mean of each track's pairs.
    ``support_m``: full width of the Gaussian that what sensors saw is averaged over. Attribute
    ``technique`` of a factor names what saw it.

    Raises
    ------
    DimensionError
        Products do not lie on one grid, or none is given.
    """
    found: dict[str, xr.DataArray] = {}
    for product, names, technique in (
        (relief, RELIEF, TERRAIN), (glaciers, GLACIERS, OUTLINES), (climate, AIR, CLIMATE),
        (snow, OF_SNOW, SNOW),
    ):  # fmt: skip
        if product is not None:
            found |= _taken(product, names, technique)
    if velocity is not None:
        found |= _speed(velocity)
    found |= _interferometry(tracks)
    if coherence:
        found["coherence"] = _factor(
            _over(coherence, np.nanmean), "coherence", "mean coherence of short pairs", "1",
            INTERFEROMETRY,
        )  # fmt: skip
    if offsets is not None:
        found |= _offsets(offsets)
    if backscatter is not None:
        found |= _backscatter(backscatter)
    if not found:
        raise DimensionError("no product of the region holds a factor; make some of them first.")
    (first, like), *others = found.items()
    for name, array in others:
        if array.shape != like.shape or not all(
            np.array_equal(array[d].values, like[d].values) for d in MAP
        ):
            raise DimensionError(
                f"{name} does not lie on the grid of {first}; make the products of the region "
                "anew on one grid."
            )
    bare = {name: array.drop_vars(set(array.coords) - set(MAP)) for name, array in found.items()}
    if support_m:
        seen = {n: a for n, a in bare.items() if a.attrs["technique"] in SENSED}
        bare |= {n: _averaged(a, support_m) for n, a in seen.items()}
    return xr.Dataset(bare)


def _averaged(array: xr.DataArray, support_m: float) -> xr.DataArray:
    """Gaussian mean (y, x) of what is known around each pixel that is known itself."""
    from scipy.ndimage import gaussian_filter

    spacing = [abs(float(array[d][1] - array[d][0])) if array.sizes[d] > 1 else support_m
               for d in MAP]  # fmt: skip
    sigma = [support_m / WIDTH_PER_SIGMA / s for s in spacing]

    def kernel(values: np.ndarray) -> np.ndarray:
        known = np.isfinite(values)
        share = gaussian_filter(known.astype(np.float32), sigma, mode="nearest", truncate=REACH)
        total = gaussian_filter(
            np.where(known, values, 0.0).astype(np.float32), sigma, mode="nearest", truncate=REACH
        )
        return np.where(known, total / np.fmax(share, 1e-6), np.nan).astype(np.float32)

    if not array.chunks:
        return array.copy(data=kernel(array.values))
    depth = tuple(int(REACH * s + 1.0) for s in sigma)
    blocks = array.data.map_overlap(kernel, depth=depth, boundary="nearest", dtype=np.float32)
    return array.copy(data=blocks)


def valid_shares(factors: xr.Dataset) -> xr.Dataset:
    """``factors`` with the attribute ``valid_share`` (0..1): of pixels where each is known."""
    shares = xr.Dataset({n: a.notnull().mean() for n, a in factors.items()}).compute()
    out = factors.copy()
    for name in factors:
        out[name].attrs["valid_share"] = round(float(shares[name]), 4)
    return out


def of_techniques(factors: xr.Dataset) -> dict[str, list[str]]:
    """Names of the factors of each technique that there is."""
    found = {
        technique: [str(n) for n, a in factors.items() if a.attrs["technique"] == technique]
        for technique in TECHNIQUES
    }
    return {technique: names for technique, names in found.items() if names}


def _factor(
    values: xr.DataArray, name: str, long_name: str, units: str, technique: str
) -> xr.DataArray:
    out = describe(values.transpose(*MAP).astype(np.float32), name, long_name, units)
    out.attrs["technique"] = technique
    return out


def _taken(
    product: xr.Dataset, names: Mapping[str, str], technique: str
) -> dict[str, xr.DataArray]:
    """The variables ``names`` of a product that it has, under their names here."""
    return {
        new: _factor(
            product[old], new, product[old].attrs["long_name"], product[old].attrs["units"],
            technique,
        )
        for old, new in names.items() if old in product
    }  # fmt: skip


def _speed(velocity: xr.Dataset) -> dict[str, xr.DataArray]:
    value = require(velocity["velocity"], dims=MAP, units="m/yr")
    error = velocity["velocity_error"]
    return {
        "speed": _factor(abs(value), "speed", "speed down the slope", "m/yr", VELOCITY),
        "speed_sigmas": _factor(
            abs(value) / error, "speed_sigmas", "speed over its standard error", "1", VELOCITY
        ),
    }


def _interferometry(tracks: Sequence[xr.Dataset]) -> dict[str, xr.DataArray]:
    """The fastest of all tracks, and what is typical of them."""
    out = {}
    told: dict[str, tuple[list[xr.DataArray], Callable[..., np.ndarray], str, str]] = {
        "sight_speed": (
            [abs(require(t["velocity"], dims=MAP, units="m/yr")) for t in tracks],
            np.nanmax, "fastest motion along a line of sight", "m/yr",
        ),
        "temporal_coherence": (
            [t["temporal_coherence"] for t in tracks if "temporal_coherence" in t],
            np.nanmedian, "temporal coherence", "1",
        ),
        "season_of_motion": (
            [t["annual_amplitude"] for t in tracks if "annual_amplitude" in t],
            np.nanmax, "amplitude of the year's course of displacement", "m",
        ),
    }  # fmt: skip
    for name, (arrays, reduce, long_name, units) in told.items():
        if arrays:
            out[name] = _factor(_over(arrays, reduce), name, long_name, units, INTERFEROMETRY)
    return out


def _offsets(rates: xr.Dataset) -> dict[str, xr.DataArray]:
    east, north = (require(rates[n], dims=MAP, units="m/yr") for n in ("east", "north"))
    speed = xr.apply_ufunc(np.hypot, east, north, dask="allowed")
    beyond = speed / rates["detection_limit"]
    text = "that speed over what errors alone exceed in 5 % of places"
    return {
        "offset_speed": _factor(speed, "offset_speed", "speed told by offsets", "m/yr", OFFSETS),
        "offset_detection": _factor(beyond, "offset_detection", text, "1", OFFSETS),
    }


def _backscatter(product: xr.Dataset) -> dict[str, xr.DataArray]:
    out = {}
    named = [(old, new, 0, "") for old, new in (OF_BACKSCATTER | OF_YEAR).items()]
    named += [
        (old, f"{new}_snow_free", 1, ", snow-free months") for old, new in OF_BACKSCATTER.items()
    ]
    for old, new, season, of in named:
        if old not in product:
            continue
        values = product[old].isel(season=season) if "season" in product[old].dims else product[old]
        text = product[old].attrs
        out[new] = _factor(values, new, text["long_name"] + of, text["units"], BACKSCATTER)
    return out


def _over(arrays: Sequence[xr.DataArray], reduce: Callable[..., np.ndarray]) -> xr.DataArray:
    """``reduce`` over all arrays of a place, NaN where none is known."""
    bare: Iterable[xr.DataArray] = (a.drop_vars(set(a.coords) - set(MAP)) for a in arrays)
    stacked = xr.concat(list(bare), dim="of", join="exact", coords="minimal", compat="override")

    def kernel(values: np.ndarray) -> np.ndarray:
        known = np.isfinite(values).any(axis=-1)
        some = np.where(known[..., None], values, 0.0)
        return np.asarray(np.where(known, reduce(some, axis=-1), np.nan))

    result: xr.DataArray = xr.apply_ufunc(
        kernel, stacked.chunk({"of": -1}) if stacked.chunks else stacked,
        input_core_dims=[["of"]], dask="parallelized", output_dtypes=[np.float32],
    )  # fmt: skip
    return result
