"""Datasets and bands, as ``osgeo.gdal`` names them."""

import numpy as np
import rasterio

from osgeo.osr import SpatialReference

GA_ReadOnly = 0
# GDAL's codes of the data types that occur here.
_CODES = {"uint8": 1, "uint16": 2, "int16": 3, "uint32": 4, "int32": 5, "float32": 6, "float64": 7}


def UseExceptions():
    """rasterio raises anyway."""


def Open(path, mode=GA_ReadOnly):
    """The raster at ``path``."""
    return Dataset(rasterio.open(path))


class Dataset:
    """A raster file."""

    def __init__(self, source):
        self._source = source
        self.RasterXSize, self.RasterYSize = source.width, source.height
        self.RasterCount = source.count

    def GetRasterBand(self, band):
        """Band number ``band``, from 1."""
        return Band(self._source, band)

    def GetMetadata(self, domain):
        """Tags of ``domain``."""
        return self._source.tags(ns=domain)

    def GetGeoTransform(self):
        """West, dx, 0, north, 0, -dy."""
        return self._source.transform.to_gdal()

    def GetProjection(self):
        """The CRS as WKT."""
        return self._source.crs.to_wkt()

    def GetSpatialRef(self):
        """The CRS."""
        return SpatialReference(wkt=self.GetProjection())


class Band:
    """One band of a raster file."""

    def __init__(self, source, band):
        self._source, self._band = source, band
        self.DataType = _CODES[source.dtypes[band - 1]]

    def GetNoDataValue(self):
        """The value that marks missing pixels."""
        return self._source.nodatavals[self._band - 1]

    def ReadAsArray(self, xoff=0, yoff=0, win_xsize=None, win_ysize=None):
        """Pixels of a window."""
        width, height = win_xsize or self._source.width, win_ysize or self._source.height
        window = rasterio.windows.Window(xoff, yoff, width, height)
        return np.asarray(self._source.read(self._band, window=window))
