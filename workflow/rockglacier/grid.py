"""The map grid of a region: one immutable value, passed whole."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from rockglacier.conventions import X, Y
from rockglacier.errors import ConfigurationError, DimensionError

if TYPE_CHECKING:
    from affine import Affine
    from rasterio import DatasetReader

METRES_PER_DEGREE = 111_195.0  # of latitude, sphere of radius 6371.0 km
COINCIDE_PIXELS = 0.01  # pixels closer than this are one


@cache
def crs_name(crs: str) -> str:
    """``EPSG:<code>`` of a CRS where there is one, else WKT; PROJ takes milliseconds to tell."""
    from rasterio.crs import CRS

    known = CRS.from_user_input(int(crs) if crs.isdigit() else crs)
    epsg = known.to_epsg()
    return f"EPSG:{epsg}" if epsg else str(known.to_wkt())


@cache
def _same_crs(a: str, b: str) -> bool:
    from rasterio.crs import CRS

    return a == b or bool(CRS.from_user_input(a) == CRS.from_user_input(b))


@dataclass(frozen=True)
class Grid:
    """A regular north-up grid: ``y`` descending, coordinates are pixel centres.

    Attributes
    ----------
    crs
        As ``EPSG:<code>`` or WKT.
    west, north
        Outer edges of the north-western pixel, in units of the CRS.
    dx, dy
        Pixel size, both positive, in units of the CRS.
    width, height
        Pixels.
    """

    crs: str
    west: float
    north: float
    dx: float
    dy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.dx <= 0 or self.dy <= 0 or self.width < 1 or self.height < 1:
            raise DimensionError(
                f"A grid of {self.height} x {self.width} pixels of {self.dy} x {self.dx} was asked "
                "for; sizes and counts must be positive: check the area and the spacing."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def x(self) -> np.ndarray:
        """Pixel-centre abscissae, ascending, shape (width,)."""
        return self.west + (np.arange(self.width) + 0.5) * self.dx

    @property
    def y(self) -> np.ndarray:
        """Pixel-centre ordinates, descending, shape (height,)."""
        return self.north - (np.arange(self.height) + 0.5) * self.dy

    @property
    def coords(self) -> dict[str, np.ndarray]:
        """Coordinates for a DataArray on this grid."""
        return {Y: self.y, X: self.x}

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north), outer edges."""
        return (
            self.west,
            self.north - self.height * self.dy,
            self.west + self.width * self.dx,
            self.north,
        )

    @property
    def transform(self) -> Affine:
        """Affine from (column, row) to map coordinates, as rasterio uses it."""
        from affine import Affine

        return Affine(self.dx, 0.0, self.west, 0.0, -self.dy, self.north)

    @property
    def geographic(self) -> bool:
        """True where coordinates are degrees."""
        from rasterio.crs import CRS

        return bool(CRS.from_user_input(self.crs).is_geographic)

    @property
    def spacing_m(self) -> tuple[float, float]:
        """Pixel size (y, x) in metres, at the centre of a geographic grid."""
        if not self.geographic:
            return self.dy, self.dx
        latitude = self.north - 0.5 * self.height * self.dy
        return (
            self.dy * METRES_PER_DEGREE,
            self.dx * METRES_PER_DEGREE * math.cos(math.radians(latitude)),
        )

    def empty(self, dtype: str = "float32") -> xr.DataArray:
        """A NaN-filled (or zero, for integers) array on this grid, CRS attached."""
        kind = np.dtype(dtype)
        fill = np.nan if kind.kind == "f" else 0
        return self.georeference(
            xr.DataArray(np.full(self.shape, fill, kind), dims=(Y, X), coords=self.coords)
        )

    def georeference(self, array: xr.DataArray) -> xr.DataArray:
        """Attach this grid's CRS and transform to ``array`` (dims end with y, x)."""
        import rioxarray  # noqa: F401  (registers .rio)

        out: xr.DataArray = array.rio.write_crs(self.crs).rio.write_transform(self.transform)
        return out

    def check(self, array: xr.DataArray | xr.Dataset, name: str) -> None:
        """Raise DimensionError unless ``array`` lies on this very grid (1/1000 pixel)."""
        found = array.sizes.get(Y), array.sizes.get(X)
        if found != self.shape:
            raise DimensionError(
                f"{name} has {found} pixels (y, x) but the region's grid has {self.shape}; "
                "reproject it to the grid first."
            )
        slip = max(
            float(np.max(np.abs(array[X].values - self.x))) / self.dx,
            float(np.max(np.abs(array[Y].values - self.y))) / self.dy,
        )
        if slip > 1e-3:
            raise DimensionError(
                f"{name} is shifted by {slip:.3g} pixels against the region's grid; reproject it."
            )

    def save(self, path: str | Path) -> None:
        """Write as JSON."""
        from rockglacier.io import atomic

        with atomic(path) as partial:
            partial.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Grid:
        """Read what :meth:`save` wrote."""
        return cls(**json.loads(Path(path).read_text()))

    @classmethod
    def from_coords(cls, array: xr.DataArray | xr.Dataset, crs: str) -> Grid:
        """The grid that the coordinates of ``array`` (pixel centres) lie on."""
        x, y = array[X].values, array[Y].values
        dx, dy = float(x[1] - x[0]), float(y[0] - y[1])
        return cls(crs, float(x[0]) - dx / 2, float(y[0]) + dy / 2, dx, dy, x.size, y.size)

    @classmethod
    def from_raster(cls, path: str | Path) -> Grid:
        """The grid of a north-up raster; DimensionError if it is rotated or has no CRS."""
        import rasterio

        with rasterio.open(path) as source:
            return cls.of(source)

    @classmethod
    def of(cls, source: DatasetReader) -> Grid:
        """The grid of an open raster; DimensionError as :meth:`from_raster`."""
        t, crs = source.transform, source.crs
        if crs is None:
            raise DimensionError(
                f"{source.name} states no CRS; set it (gdal_edit.py -a_srs) and run again."
            )
        if t.b or t.d or t.e > 0:
            raise DimensionError(
                f"{source.name} is not north-up (transform {tuple(t)[:6]}); warp it first."
            )
        return cls(crs_name(crs.to_wkt()), t.c, t.f, t.a, -t.e, source.width, source.height)

    @classmethod
    def over(
        cls,
        lonlat: tuple[float, float, float, float],
        spacing_m: float,
        crs: str | None = None,
    ) -> Grid:
        """The smallest grid over ``lonlat`` (west, south, east, north; degrees).

        Without ``crs`` it lies in the UTM zone of the area's centre. Edges fall on multiples of
        ``spacing_m``, so that regions of one zone share one lattice.

        ConfigurationError of a ``crs`` in degrees.
        """
        from rasterio.warp import transform_bounds

        west, south, east, north = lonlat
        if not crs:
            zone = int((0.5 * (west + east) + 180.0) // 6.0) % 60 + 1
            crs = f"EPSG:{(32600 if 0.5 * (south + north) >= 0 else 32700) + zone}"
        if cls(crs, 0.0, 0.0, spacing_m, spacing_m, 1, 1).geographic:
            raise ConfigurationError(
                f"grid.crs is {crs}, in degrees, but a grid of {spacing_m:g} m is to be made; name "
                "a projected CRS (the UTM zone), or leave it out."
            )
        left, bottom, right, top = transform_bounds("EPSG:4326", crs, *lonlat, densify_pts=21)
        left = math.floor(left / spacing_m) * spacing_m
        top = math.ceil(top / spacing_m) * spacing_m
        width = math.ceil((right - left) / spacing_m)
        height = math.ceil((top - bottom) / spacing_m)
        return cls(crs, left, top, spacing_m, spacing_m, width, height)

    def crop(self, lonlat: tuple[float, float, float, float]) -> Grid:
        """The part of this grid over ``lonlat`` (west, south, east, north; degrees), whole pixels.

        DimensionError where they do not overlap.
        """
        from rasterio.warp import transform_bounds

        left, bottom, right, top = transform_bounds("EPSG:4326", self.crs, *lonlat, densify_pts=21)
        first = max(0, math.floor((left - self.west) / self.dx))
        last = min(self.width, math.ceil((right - self.west) / self.dx))
        upper = max(0, math.floor((self.north - top) / self.dy))
        lower = min(self.height, math.ceil((self.north - bottom) / self.dy))
        if first >= last or upper >= lower:
            raise DimensionError(
                f"The area {list(lonlat)} does not touch the sources, which cover {self.bounds} in "
                f"{self.crs}; correct area (west, south, east, north in degrees)."
            )
        return self.part(upper, lower, first, last)

    def part(self, top: int, bottom: int, left: int, right: int) -> Grid:
        """Rows ``top:bottom`` and columns ``left:right``, which may reach beyond this grid."""
        return replace(
            self,
            west=self.west + left * self.dx,
            north=self.north - top * self.dy,
            width=right - left,
            height=bottom - top,
        )

    def subdivided(self, rows: int, columns: int) -> Grid:
        """The grid whose blocks of ``rows`` by ``columns`` pixels are the pixels of this one."""
        return replace(
            self,
            dx=self.dx / columns,
            dy=self.dy / rows,
            width=self.width * columns,
            height=self.height * rows,
        )

    def window(self, other: Grid) -> tuple[slice, slice]:
        """Rows and columns of ``other`` here; DimensionError where it does not lie within."""
        at = self.offset(other)
        if at is None or min(at) < 0:
            raise DimensionError(f"{other} does not lie within {self}.")
        rows, columns = (slice(a, a + n) for a, n in zip(at, other.shape, strict=True))
        if rows.stop > self.height or columns.stop > self.width:
            raise DimensionError(f"{other} does not lie within {self}.")
        return rows, columns

    def offset(self, other: Grid) -> tuple[int, int] | None:
        """Row and column of ``other``'s first pixel here; None where pixels do not coincide."""
        if not _same_crs(self.crs, other.crs):
            return None
        drift = max(
            abs(other.dx / self.dx - 1.0) * max(self.width, other.width),
            abs(other.dy / self.dy - 1.0) * max(self.height, other.height),
        )
        row, column = (self.north - other.north) / self.dy, (other.west - self.west) / self.dx
        slip = max(abs(row - round(row)), abs(column - round(column)))
        return (round(row), round(column)) if max(drift, slip) < COINCIDE_PIXELS else None

    def coincides(self, other: Grid) -> bool:
        """True where ``other`` has the same pixels, to 1/100 of one."""
        return self.shape == other.shape and self.offset(other) == (0, 0)


def covering(grids: Sequence[Grid]) -> Grid | None:
    """All that ``grids`` cover, on their pixels; None where these do not coincide, or for none."""
    at = [grids[0].offset(grid) for grid in grids]
    corners = [
        (o[0], o[0] + grid.height, o[1], o[1] + grid.width)
        for o, grid in zip(at, grids, strict=True)
        if o is not None
    ]
    if not corners or len(corners) < len(grids):
        return None
    tops, bottoms, lefts, rights = zip(*corners, strict=True)
    return grids[0].part(min(tops), max(bottoms), min(lefts), max(rights))


def region_grid(
    sources: Sequence[tuple[Grid | None, tuple[float, float, float, float]]],
    *,
    area: Sequence[float] | None = None,
    crs: str | None = None,
    spacing_m: float = 40.0,
) -> Grid:
    """The grid of a region whose ``sources`` lie on a grid (None: in radar geometry) and extent.

    Extents and ``area`` are (west, south, east, north) in degrees. Where the pixels of all sources
    coincide the region stays on them, so that nothing is resampled: over all that the sources
    cover, cropped to ``area``. Else, or with ``crs``, a grid of ``spacing_m`` is made over the area
    or, without it, over all that the sources cover.
    """
    natives = [native for native, _ in sources if native is not None]
    if crs is None and len(natives) == len(sources) and (native := covering(natives)):
        return native if area is None else native.crop((area[0], area[1], area[2], area[3]))
    extents = [extent for _, extent in sources]
    west, south, east, north = area or (
        min(e[0] for e in extents),
        min(e[1] for e in extents),
        max(e[2] for e in extents),
        max(e[3] for e in extents),
    )
    return Grid.over((west, south, east, north), spacing_m, crs)
