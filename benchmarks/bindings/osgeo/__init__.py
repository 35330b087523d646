"""The part of GDAL's Python bindings that MintPy reads GeoTIFFs with, on top of rasterio.

PyPI has no wheels of the bindings; rasterio's wheels bring the same GDAL.
"""
