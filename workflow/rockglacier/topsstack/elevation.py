"""The DEM as ISCE2 reads it: heights above the ellipsoid in latitude and longitude."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rockglacier.grid import METRES_PER_DEGREE, Grid
from rockglacier.readers.stack import lonlat_bounds
from rockglacier.sentinel1 import heights

# Ground of 8 km in height that is seen at 30 degrees lies 14 km from where it would lie at sea
# level, where ISCE2 begins to look for it; beyond the DEM's edge its interpolation makes -500 m.
MARGIN_KM = 16.0
METADATA = """\
<imageFile>
  <property name="access_mode"><value>read</value></property>
  <property name="byte_order"><value>l</value></property>
  <property name="data_type"><value>FLOAT</value></property>
  <property name="family"><value>demimage</value></property>
  <property name="file_name"><value>{name}</value></property>
  <property name="image_type"><value>dem</value></property>
  <property name="length"><value>{height}</value></property>
  <property name="width"><value>{width}</value></property>
  <property name="number_bands"><value>1</value></property>
  <property name="reference"><value>WGS84</value></property>
  <property name="scheme"><value>BIP</value></property>
  <property name="xmin"><value>{x!r}</value></property>
  <property name="xmax"><value>{right!r}</value></property>
  <component name="coordinate1">
    <factorymodule>isceobj.Image</factorymodule>
    <factoryname>createCoordinate</factoryname>
    <property name="startingvalue"><value>{x!r}</value></property>
    <property name="endingvalue"><value>{right!r}</value></property>
    <property name="delta"><value>{dx!r}</value></property>
    <property name="size"><value>{width}</value></property>
  </component>
  <component name="coordinate2">
    <factorymodule>isceobj.Image</factorymodule>
    <factoryname>createCoordinate</factoryname>
    <property name="startingvalue"><value>{y!r}</value></property>
    <property name="endingvalue"><value>{bottom!r}</value></property>
    <property name="delta"><value>{dy!r}</value></property>
    <property name="size"><value>{height}</value></property>
  </component>
</imageFile>
"""
VIEW = """\
<VRTDataset rasterXSize="{width}" rasterYSize="{height}">
  <SRS>EPSG:4326</SRS>
  <GeoTransform>{left!r}, {dx!r}, 0.0, {top!r}, 0.0, {dy!r}</GeoTransform>
  <VRTRasterBand dataType="Float32" band="1" subClass="VRTRawRasterBand">
    <SourceFilename relativeToVRT="1">{base}</SourceFilename>
    <ByteOrder>LSB</ByteOrder>
    <ImageOffset>0</ImageOffset>
    <PixelOffset>4</PixelOffset>
    <LineOffset>{line}</LineOffset>
  </VRTRasterBand>
</VRTDataset>
"""


def prepare(
    source: str | Path,
    bounds: Sequence[float],
    target: Path,
    name: str,
    *,
    datum: str | None,
    geoid: str | Path | None,
) -> None:
    """Write the DEM ``source`` over ``bounds`` (west, south, east, north; degrees) to ``target``.

    A flat file of float32 with its ``.xml`` and ``.vrt``; ``name`` is what the ``.xml`` calls it.
    ISCE2's corner is the centre of the first pixel (``topozero.f90``), GDAL's is its outer edge.
    ISCE2 knows no voids and needs a wide margin: they get the nearest height, and what depends on
    them is left out where the stack is read.
    """
    from scipy.ndimage import distance_transform_edt

    native = Grid.from_raster(heights.dem_file(source))
    covered = lonlat_bounds(native)
    step = float(min(native.spacing_m)) / METRES_PER_DEGREE
    up = 1000.0 * MARGIN_KM / METRES_PER_DEGREE
    across = up / math.cos(math.radians(max(abs(bounds[1]), abs(bounds[3]))))
    margins = (-across, -up, across, up)
    wanted = [edge + margin for edge, margin in zip(bounds, margins, strict=True)]
    west, south = (max(a, b) for a, b in zip(wanted[:2], covered[:2], strict=True))
    east, north = (min(a, b) for a, b in zip(wanted[2:], covered[2:], strict=True))
    grid = Grid(
        "EPSG:4326", west, north, step, step,
        max(1, int((east - west) / step)), max(1, int((north - south) / step)),
    )  # fmt: skip
    known = heights.ellipsoidal(source, grid, datum=datum, geoid=geoid).values
    missing = ~np.isfinite(known)
    if missing.any() and not missing.all():
        nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
        known = known[tuple(nearest)]
    # Pixels to add where the DEM ends before the margin does: north, south; west, east.
    lack = [
        (round(max(0.0, wanted[3] - north) / step), round(max(0.0, south - wanted[1]) / step)),
        (round(max(0.0, west - wanted[0]) / step), round(max(0.0, wanted[2] - east) / step)),
    ]
    known = np.pad(known, lack, mode="edge")
    grid = grid.part(-lack[0][0], grid.height + lack[0][1], -lack[1][0], grid.width + lack[1][1])
    known.astype("<f4").tofile(target)
    facts = {
        "name": name, "base": target.name, "height": grid.height, "width": grid.width,
        "left": grid.west, "top": grid.north, "x": float(grid.x[0]), "y": float(grid.y[0]),
        "dx": step, "dy": -step, "line": 4 * grid.width,
    }  # fmt: skip
    facts |= {"right": float(grid.x[-1]), "bottom": float(grid.y[-1])}
    target.with_name(f"{target.name}.xml").write_text(METADATA.format(**facts))
    target.with_name(f"{target.name}.vrt").write_text(VIEW.format(**facts))
