"""Coordinate reference systems, as ``osgeo.osr`` names them."""

from rasterio.crs import CRS


class SpatialReference:
    """A CRS given as WKT."""

    def __init__(self, wkt):
        self._crs = CRS.from_wkt(wkt)

    def GetAttrValue(self, name, child=0):
        """The EPSG code, or the unit of the axes."""
        if name == "AUTHORITY" and child == 1:
            return str(self._crs.to_epsg())
        return "degree" if self._crs.is_geographic else self._crs.linear_units

    def GetName(self):
        """Name of the CRS, as in its WKT."""
        return self._crs.to_wkt().split('"')[1]

    def IsProjected(self):
        """True for projected coordinates."""
        return self._crs.is_projected
