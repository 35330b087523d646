"""Readers of optical scenes by the name of their source.

A reader is a module with ``find_scenes(folder)``, ``read_scene(path)`` and
``open_band(scene, band)``, ``open_reflectance(scene, band)``, and the names of the bands GREEN and
SHORTWAVE (infrared, 1.6 um); see :mod:`rockglacier.optical.landsat`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol

import xarray as xr

from rockglacier.optical.scene import Scene


class Reader(Protocol):
    """What a module of a source offers."""

    def find_scenes(self, folder: str | Path) -> list[Path]:
        """Metadata of the scenes in or below ``folder``, and those that are missing there."""

    def read_scene(self, path: str | Path) -> Scene:
        """What the metadata at ``path`` say."""

    def open_band(self, scene: Scene, band: str) -> xr.DataArray:
        """One band (y, x; float32, lazy), NaN where the ground is not seen."""

    def open_reflectance(self, scene: Scene, band: str) -> xr.DataArray:
        """Surface reflectance of one band (y, x; float32, lazy), NaN where it is hidden."""

    SOUGHT: str  # what :meth:`find_scenes` looks for
    GREEN: str
    SHORTWAVE: str


def reader(source: str) -> Reader:
    """The reader of ``source``, as the schema of images names it."""
    module: Reader = import_module(f"rockglacier.optical.{source}")
    return module
