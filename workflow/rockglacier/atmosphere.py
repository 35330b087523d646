"""Tropospheric delay: what follows height on each date, what weather models say, and ramps.

A delay lengthens the path, so it looks like motion away from the satellite: zenith delay ``Z`` (m)
makes the apparent displacement ``-(Z(date) - Z(first date)) / cos(incidence)``, and is corrected
by adding it back.
"""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr

from rockglacier.conventions import DATE, MAP, X, Y, describe, require
from rockglacier.errors import DimensionError, SceneError
from rockglacier.grid import Grid

logger = logging.getLogger(__name__)

SAMPLE = "sample"
# ASSUME: a weaker correlation of displacement with height is chance. In simulated scenes any
# threshold from 0 to 0.3 gave the same rates within 0.2 mm/yr: unseen tiles decide.
MIN_CORRELATION = 0.2
TILES = 6  # a side; every other tile in each direction is held out in turn
# ASSUME: zenith delay lies in this range (m): the wet part alone up to the total at sea level.
PLAUSIBLE_DELAY_M = (-0.1, 3.5)
# ASSUME: over real relief a zenith delay at the surface falls with height this clearly.
PLAIN_CORRELATION = -0.7
PLAIN_RELIEF_M = 100.0
_DELAY_FILE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(\.ztd|\.ztd\.tiff?|_gacos\.tiff?|\.tiff?)")


def robust_fit(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Coefficients (n, p) of ``values`` (n, m) on ``design`` (m, p), deaf to outliers; NaN-aware.

    Iteratively reweighted least squares with the bisquare weight at 4.685 robust deviations,
    started from Huber's weight. NaN where fewer than 2 p values are finite or the design is
    singular.

    Source
    ------
    Holland & Welsch (1977), doi:10.1080/03610927708827533.
    """
    out = np.full((len(values), design.shape[1]), np.nan)
    for k, row in enumerate(values):
        good = np.isfinite(row)
        a, b = design[good], row[good]
        if len(b) < 2 * a.shape[1]:
            continue
        weight = np.ones(len(b))
        size = np.sqrt(np.mean(a**2, axis=0))
        previous = np.full(a.shape[1], np.inf)
        for iteration in range(30):
            weighted = a * weight[:, None]
            try:
                solution = np.linalg.solve(weighted.T @ a, weighted.T @ b)
            except np.linalg.LinAlgError:
                break
            residual = np.abs(b - a @ solution)
            scale = 1.4826 * float(np.median(residual))
            settled = np.all(np.abs(solution - previous) * size <= 1e-4 * scale)
            out[k] = previous = solution
            if scale == 0.0 or (settled and iteration > 3):
                break
            if iteration < 3:
                weight = 1.0 / np.maximum(1.0, residual / (1.345 * scale))
            else:
                weight = np.maximum(0.0, 1.0 - (residual / (4.685 * scale)) ** 2) ** 2
    return out


def scatter(values: np.ndarray) -> np.ndarray:
    """Robust standard deviation (n) of each row of ``values`` (n, m); NaN where all is NaN."""
    out = np.full(len(values), np.nan)
    for k, row in enumerate(values):
        finite = row[np.isfinite(row)]
        if finite.size:
            out[k] = 1.4826 * np.median(np.abs(finite - np.median(finite)))
    return out


def height_slopes(
    samples: xr.DataArray,
    height: xr.DataArray,
    *,
    keep: bool | str = "auto",
    ramp: bool = False,
) -> xr.Dataset:
    """Displacement per height of each date: ``slope`` (date; m per m), 0 where it is not kept.

    ``samples`` (date, sample; m) of stable ground with coordinates ``y`` and ``x``, ``height``
    (sample; m). The line is fitted robustly, with ``ramp`` jointly with a plane. ``keep="auto"``
    keeps a date only where the correlation with height reaches ``MIN_CORRELATION`` and where, in
    tiles that the fit has not seen, the scatter falls. Also returned per date: ``fitted`` (the
    slope before that decision), its ``correlation``, ``held_out_before`` and ``held_out_after``
    (m, scatter in unseen tiles without and with the line).

    Source
    ------
    Doin et al. (2009), doi:10.1016/j.jappgeo.2009.03.010: stratified delay follows height.
    """
    require(samples, dims=(DATE, SAMPLE), units="m")
    require(height, dims=(SAMPLE,), units="m")
    values = samples.transpose(DATE, SAMPLE).values.astype(np.float64)
    kilometres = (height.values - np.nanmedian(height.values)) / 1000.0
    x, y = (_standard(samples[c].values) for c in (X, Y))
    plain = np.column_stack([np.ones_like(x), *((x, y) if ramp else ())])
    lifted = np.column_stack([plain, kilometres])
    known = np.isfinite(kilometres)
    values, plain, lifted = values[:, known], plain[known], lifted[known]
    before, after = _held_out(values, plain, lifted, x[known], y[known])
    whole = robust_fit(lifted, values)
    fitted = np.nan_to_num(whole[:, -1] / 1000.0)
    level = values - np.nan_to_num(whole[:, :-1]) @ plain.T
    correlation = np.array([_correlation(row, lifted[:, -1]) for row in level])
    kept = np.full(len(values), bool(keep))
    if keep == "auto":
        kept = (np.abs(correlation) >= MIN_CORRELATION) & (after < before)
    fields = {
        "slope": (np.where(kept, fitted, 0.0), "displacement per height, as removed", "m/m"),
        "fitted": (fitted, "displacement per height, as fitted", "m/m"),
        "correlation": (correlation, "correlation of displacement with height", "1"),
        "held_out_before": (before, "scatter in unseen tiles without the line", "m"),
        "held_out_after": (after, "scatter in unseen tiles with the line", "m"),
    }
    dates = {DATE: samples[DATE]}
    return xr.Dataset(
        {
            name: describe(xr.DataArray(v, dims=DATE, coords=dates), name, long_name, units)
            for name, (v, long_name, units) in fields.items()
        }
    )


def ramp_slopes(samples: xr.DataArray) -> xr.Dataset:
    """Plane of each date over stable ground: ``along_x``, ``along_y`` (date; m per unit of x, y).

    ``samples`` (date, sample; m) with coordinates ``y`` and ``x``; fitted robustly.
    """
    require(samples, dims=(DATE, SAMPLE), units="m")
    x, y = samples[X].values, samples[Y].values
    design = np.column_stack([np.ones(len(x)), _standard(x), _standard(y)])
    found = np.nan_to_num(robust_fit(design, samples.transpose(DATE, SAMPLE).values))
    dates = {DATE: samples[DATE]}
    planes = {
        "along_x": found[:, 1] / (np.std(x) or 1.0),
        "along_y": found[:, 2] / (np.std(y) or 1.0),
    }
    return xr.Dataset(
        {
            n: describe(xr.DataArray(v, dims=DATE, coords=dates), n, f"ramp {n}", "m")
            for n, v in planes.items()
        }
    )


@dataclass(frozen=True)
class ZenithDelays:
    """Zenith delay (m) of each date, read from rasters where and when it is needed.

    Attributes
    ----------
    dates
        datetime64, ascending.
    paths
        One raster a date.
    lattices
        The grid of each.
    shift
        What is added to longitude and latitude (or x and y) before a raster is read.
    """

    dates: np.ndarray
    paths: tuple[Path, ...]
    lattices: tuple[Grid, ...]
    shift: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def open(cls, folder: str | Path, dates: np.ndarray) -> ZenithDelays:
        """Find the delay of each of ``dates`` in ``folder``: GACOS or zenith-delay rasters.

        GACOS: ``<date>.ztd`` with ``.rsc``, or ``<date>.ztd.tif``; others: ``<date>.tif`` or
        ``<date>_gacos.tif``; a date is ``YYYYMMDD`` or ``YYYY-MM-DD``. Values are metres at the
        surface.

        Raises
        ------
        SceneError
            A date has no file, or a header is not what it must be.
        """
        found: dict[str, Path] = {}
        for path in sorted(Path(folder).iterdir() if Path(folder).is_dir() else ()):
            match = _DELAY_FILE.fullmatch(path.name)
            if match:
                day = "-".join(match.groups()[:3])
                if day not in found or match.group(4) == ".ztd":  # the model's own raster first
                    found[day] = path
        days = [np.datetime_as_string(d, "D") for d in dates]
        missing = [d for d in days if d not in found]
        if missing:
            raise SceneError(
                f"{folder} holds zenith delays of {len(found)} dates but not of "
                f"{', '.join(missing)}; add <YYYYMMDD>.ztd with .rsc or <YYYYMMDD>.tif (m) for "
                "them, or set corrections.delays to null."
            )
        paths = tuple(found[d] for d in days)
        return cls(np.asarray(dates), paths, tuple(map(_lattice, paths)))

    def at(self, x: np.ndarray, y: np.ndarray, crs: str) -> np.ndarray:
        """Zenith delay (date, *shape of x; float32, m) at map coordinates, bilinear.

        Raises
        ------
        SceneError
            A raster does not reach, cannot be read, or holds no delay in metres.
        """
        out = np.empty((len(self.paths), *x.shape), np.float32)
        placed: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for k, (path, lattice) in enumerate(zip(self.paths, self.lattices, strict=True)):
            if lattice.crs not in placed:
                placed[lattice.crs] = _transform(x, y, crs, lattice.crs)
            px, py = placed[lattice.crs]
            column = (px + self.shift[0] - lattice.west) / lattice.dx - 0.5
            row = (lattice.north - py - self.shift[1]) / lattice.dy - 0.5
            out[k] = _sample(path, lattice, row, column)
        return out

    def follow(self, height: xr.DataArray, grid: Grid) -> float | None:
        """Correlation of the mean delay with ``height`` (y, x; m), None over gentle relief.

        Delay at the surface falls with height; where this is not near -1 over real relief, the
        rasters and the heights are not of the same place.
        """
        rows, columns = np.nonzero(np.isfinite(height.transpose(*MAP).values))
        if not rows.size:
            return None
        some = slice(None, None, max(1, rows.size // 20_000))
        rows, columns = rows[some], columns[some]
        heights = height.transpose(*MAP).values[rows, columns]
        if np.std(heights) < PLAIN_RELIEF_M:
            return None
        mean = self.at(grid.x[columns], grid.y[rows], grid.crs).mean(axis=0)
        return float(np.corrcoef(mean, heights)[0, 1])

    def registered(self, height: xr.DataArray, grid: Grid) -> ZenithDelays:
        """The same delays, shifted to where they follow ``height`` (y, x; m) best.

        For rasters whose georeferencing contradicts the terrain. The mean delay, which mirrors
        the model's own terrain, is matched with the heights by normalised cross-correlation over
        all whole placements, then to a fraction of a pixel by a parabola.

        Raises
        ------
        SceneError
            No placement makes delay fall with height, or the dates lie on different lattices.
        """
        import rasterio.warp as warp

        if any(lattice != self.lattices[0] for lattice in self.lattices):
            raise SceneError(
                f"{self.paths[0].parent}: its delays lie on different lattices and cannot be "
                "registered together; put them on one."
            )
        lattice = self.lattices[0]
        west, south, east, north = warp.transform_bounds(grid.crs, lattice.crs, *grid.bounds)
        column, row = (
            round((west - lattice.west) / lattice.dx),
            round((lattice.north - north) / lattice.dy),
        )
        template = replace(
            lattice,
            west=lattice.west + column * lattice.dx,
            north=lattice.north - row * lattice.dy,
            width=math.ceil((east - west) / lattice.dx),
            height=math.ceil((north - south) / lattice.dy),
        )
        heights = template.empty()
        warp.reproject(
            height.transpose(*MAP).values.astype(np.float32),
            heights.values,
            src_transform=grid.transform,
            src_crs=grid.crs,
            src_nodata=np.nan,
            dst_transform=template.transform,
            dst_crs=template.crs,
            dst_nodata=np.nan,
            resampling=warp.Resampling.average,
        )
        total = np.zeros(lattice.shape)
        for path in self.paths:
            total += _read(path, lattice)
        match = _match(total / len(self.paths), heights.values)
        best = np.unravel_index(int(np.argmin(match)), match.shape)
        if match[best] > PLAIN_CORRELATION:
            raise SceneError(
                f"{self.paths[0].parent}: nowhere does the delay fall with height (correlation "
                f"{match[best]:.2f} at best, below {PLAIN_CORRELATION} is needed); check that the "
                "delays are of this region."
            )
        down, right = (index + _vertex(match, best, axis) for axis, index in enumerate(best))
        shift = ((right - column) * lattice.dx, (row - down) * lattice.dy)
        moved = replace(self, shift=shift)
        logger.warning(
            "%s: delays shifted by (%.5f, %.5f) in %s, where they follow height with r = %.4f",
            self.paths[0].parent, *shift, lattice.crs, match[best],
        )  # fmt: skip
        return moved


def slant_delay(
    delays: ZenithDelays, series: xr.DataArray, incidence: xr.DataArray, grid: Grid
) -> xr.DataArray:
    """Delay (m) along the line of sight against the first date, at the pixels of ``series``.

    ``series`` (date, y, x), lazily where it is lazy, or (date, sample) with coordinates ``y`` and
    ``x``; ``incidence`` (deg, from the vertical). The delay is positive where the path has become
    longer, which looks like motion away from the satellite: add it to a displacement.

    Raises
    ------
    DimensionError
        The dates differ.

    Source
    ------
    Yu et al. (2018), doi:10.1016/j.rse.2017.10.038: zenith delays (GACOS) along the line of sight.
    """
    if not np.array_equal(series[DATE].values, delays.dates):
        raise DimensionError(
            f"Delays are of {len(delays.dates)} dates, the displacement of {series.sizes[DATE]}, "
            "and they differ; open the delays of the displacement's dates."
        )
    slant = np.cos(np.radians(incidence))
    if SAMPLE in series.dims:
        zenith = series.copy(data=delays.at(series[X].values, series[Y].values, grid.crs))
    else:
        series = series.transpose(DATE, *MAP)

        def block(rows: np.ndarray) -> np.ndarray:
            x, y = np.meshgrid(grid.x, rows.ravel())
            return delays.at(x, y, grid.crs)

        if series.chunks:
            rows = da.from_array(series[Y].values[None, :, None], chunks=(1, series.chunks[1], 1))
            shape = ((series.sizes[DATE],), series.chunks[1], (series.sizes[X],))
            zenith = series.copy(data=da.map_blocks(block, rows, chunks=shape, dtype=np.float32))
        else:
            zenith = series.copy(data=block(series[Y].values))
    change = (zenith - zenith.isel({DATE: 0}, drop=True)) / slant.astype(np.float32)
    return describe(
        change.transpose(*series.dims), "slant_delay", "delay since the first date", "m"
    )


def _standard(values: np.ndarray) -> np.ndarray:
    return np.asarray((values - values.mean()) / (values.std() or 1.0), np.float64)


def _correlation(values: np.ndarray, height: np.ndarray) -> float:
    """Correlation without the outermost 1 % of values on either side."""
    good = np.isfinite(values)
    if good.sum() < 3 or np.ptp(values[good]) == 0.0 or np.ptp(height[good]) == 0.0:
        return 0.0
    low, high = np.quantile(values[good], (0.01, 0.99))
    good &= (values >= low) & (values <= high)
    return float(np.corrcoef(values[good], height[good])[0, 1])


def _held_out(
    values: np.ndarray, plain: np.ndarray, lifted: np.ndarray, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scatter (date) in tiles that a fit has not seen, by the plain and the lifted design."""
    tile = [
        np.clip(((c - c.min()) / (np.ptp(c) or 1.0) * TILES).astype(int), 0, TILES - 1)
        for c in (x, y)
    ]
    fold = (tile[0] % 2) * 2 + tile[1] % 2
    left = [np.full(values.shape, np.nan) for _ in range(2)]
    for f in np.unique(fold):
        seen = fold != f
        for residual, design in zip(left, (plain, lifted), strict=True):
            found = robust_fit(design[seen], values[:, seen])
            residual[:, ~seen] = values[:, ~seen] - found @ design[~seen].T
    observed = np.isfinite(left[1]).any(axis=1)
    out = np.full((2, len(values)), np.nan)
    for row, residual in zip(out, left, strict=True):
        # About zero, not about the median: a line that misses its tile by a constant has failed.
        row[observed] = 1.4826 * np.nanmedian(np.abs(residual[observed]), axis=1)
    return out[0], out[1]


def _lattice(path: Path) -> Grid:
    """The grid of a delay raster: of a GACOS header, else of the GeoTIFF."""
    if path.suffix != ".ztd":
        from rasterio.errors import RasterioError

        try:
            return Grid.from_raster(path)
        except RasterioError as error:
            raise SceneError(
                f"{path}: {error}; a readable zenith-delay raster is needed."
            ) from error
    header = path.with_name(path.name + ".rsc")
    if not header.exists():
        raise SceneError(f"{path} lacks its header {header.name}; put the .rsc beside it.")
    fields = dict(line.split()[:2] for line in header.read_text().splitlines() if line.strip())
    try:
        west, north = float(fields["X_FIRST"]), float(fields["Y_FIRST"])
        dx, dy = float(fields["X_STEP"]), -float(fields["Y_STEP"])
        width, height = int(fields["WIDTH"]), int(fields["FILE_LENGTH"])
    except (KeyError, ValueError) as error:
        raise SceneError(
            f"{header}: {error}; WIDTH, FILE_LENGTH, X_FIRST, Y_FIRST, X_STEP, Y_STEP are needed."
        ) from error
    if path.stat().st_size != 4 * width * height:
        raise SceneError(
            f"{path} holds {path.stat().st_size} bytes but its header states {height} x {width} "
            f"float32 values ({4 * width * height} bytes); fetch it again."
        )
    # X_FIRST, Y_FIRST name the outer corner of the first pixel, as in ROI_PAC headers.
    return Grid("EPSG:4326", west, north, dx, dy, width, height)


def _transform(x: np.ndarray, y: np.ndarray, crs: str, to: str) -> tuple[np.ndarray, np.ndarray]:
    from pyproj import Transformer

    px, py = Transformer.from_crs(crs, to, always_xy=True).transform(x, y)
    return np.asarray(px), np.asarray(py)


def _read(path: Path, lattice: Grid, rows: slice = slice(None)) -> np.ndarray:
    """Rows of a delay raster (float32), checked to be metres."""
    top, bottom, _ = rows.indices(lattice.height)
    if path.suffix == ".ztd":
        values = np.memmap(path, "<f4", "r", shape=lattice.shape)[top:bottom].astype(np.float32)
        values[values == 0.0] = np.nan
    else:
        import rasterio
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        try:
            with rasterio.open(path) as source:
                window = Window(0, top, lattice.width, bottom - top)
                read = source.read(1, window=window, masked=True)
        except RasterioError as error:
            raise SceneError(
                f"{path}: {error}; a readable zenith-delay raster is needed."
            ) from error
        values = read.astype(np.float32).filled(np.nan)
    low, high = PLAUSIBLE_DELAY_M
    finite = values[np.isfinite(values)]
    if finite.size and (finite.min() < low or finite.max() > high):
        raise SceneError(
            f"{path} holds values from {finite.min():.4g} to {finite.max():.4g}; a zenith delay in "
            f"metres ({low} to {high}) is needed: convert its unit."
        )
    return values


def _sample(path: Path, lattice: Grid, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Bilinear values at fractional rows and columns; the outer half pixel repeats its edge."""
    from scipy import ndimage

    inside = (row > -1.0) & (row < lattice.height) & (column > -1.0) & (column < lattice.width)
    if not inside.all():
        raise SceneError(
            f"{path} (bounds {lattice.bounds}, {lattice.crs}) covers {100 * inside.mean():.0f} % "
            "of what is asked; fetch delays over the whole region."
        )
    top = max(0, math.floor(float(row.min())) - 1)
    values = _read(path, lattice, slice(top, math.ceil(float(row.max())) + 2))
    return np.asarray(
        ndimage.map_coordinates(values, [row - top, column], order=1, mode="nearest"), np.float32
    )


def _match(field: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Correlation of ``template`` (NaN where unknown) with ``field`` at every whole placement."""
    from scipy.signal import fftconvolve

    known = np.isfinite(template)
    if template.shape[0] > field.shape[0] or template.shape[1] > field.shape[1] or not known.any():
        raise DimensionError(
            f"Heights of {template.shape} pixels do not fit into delays of {field.shape}; fetch "
            "delays over a wider area, or leave register_delays off."
        )
    field = field - np.nanmean(field)
    field = np.where(np.isfinite(field), field, 0.0).astype(np.float64)
    count = known.sum()
    pattern = np.where(known, template - template[known].mean(), 0.0).astype(np.float64)

    def over(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return np.asarray(fftconvolve(values, kernel[::-1, ::-1].astype(np.float64), mode="valid"))

    spread = over(field**2, known) - over(field, known) ** 2 / count
    power = np.sqrt(np.maximum(spread, 1e-12 * spread.max()) * (pattern**2).sum())
    return np.asarray(over(field, pattern) / power)


def _vertex(match: np.ndarray, at: tuple[np.intp, ...], axis: int) -> float:
    """Offset (-0.5..0.5) of the extremum from ``at`` along ``axis``, by a parabola."""
    index = int(at[axis])
    if not 0 < index < match.shape[axis] - 1:
        return 0.0
    line = match[:, at[1]] if axis == 0 else match[at[0], :]
    before, here, after = (float(line[index + k]) for k in (-1, 0, 1))
    bend = before - 2.0 * here + after
    return 0.5 * (before - after) / bend if bend else 0.0
