"""Simulated products that several tests look at: a small area, made once a session."""

import re
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import xarray as xr
from pyproj import Transformer
from rasterio.errors import NotGeoreferencedWarning
from scipy.interpolate import RectBivariateSpline

from rockglacier import simulation
from rockglacier import simulation_acquisitions as acquisitions
from rockglacier.grid import Grid
from rockglacier.sentinel1.detected import Passage, open_passage
from rockglacier.sentinel1.slices import check_slices

GRID = Grid("EPSG:32632", 651_000.0, 5_190_000.0, 40.0, 40.0, 44, 44)
REFLECTORS = ((651_400.0, 5_189_600.0), (651_900.0, 5_189_100.0), (652_400.0, 5_188_600.0))


@dataclass(frozen=True)
class Simulated:
    """Where the products lie, and the truth."""

    folder: Path
    truth: xr.Dataset

    @property
    def orbits(self) -> list[Path]:
        return sorted(self.folder.rglob("*.EOF"))

    @property
    def products(self) -> list[Path]:
        return sorted(self.folder.glob("scenes/*.SAFE"))

    def reflector_places(self) -> list[np.ndarray]:
        """Earth-fixed places (m) of the reflectors, on the DEM."""
        to_lonlat = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True)
        to_fixed = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
        with rasterio.open(self.folder / "dem.tif") as dem:
            t = dem.transform
            x = t.c + (np.arange(dem.width) + 0.5) * t.a
            y = t.f + (np.arange(dem.height) + 0.5) * t.e
            relief = RectBivariateSpline(-y, x, dem.read(1))
        return [
            np.array(to_fixed.transform(*to_lonlat.transform(east, north), up))
            for east, north in REFLECTORS
            for up in [float(relief(-north, east, grid=False))]
        ]

    @property
    def ground_range(self) -> list[Path]:
        """The same dates as GRD, two slices each."""
        return sorted(self.folder.glob("ground_range/*.SAFE"))


def simulate(folder: Path, **options) -> Simulated:
    ground = acquisitions.wider(GRID)
    height = simulation.fractal_relief(ground, simulation.stream(4, simulation.TERRAIN))
    height = (height - height.mean()) * np.float32(0.4) + np.float32(2600.0)
    with warnings.catch_warnings():  # images of a radar lie on no map
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        truth = acquisitions.simulate_scenes(
            folder, grid=GRID, height=height.assign_attrs(units="m"), seed=4, threads=2, **options
        )
    return Simulated(folder, truth)


def open_passages(scenes: Simulated, products: list[Path] | None = None) -> list[Passage]:
    """The dates of GRD products, ascending."""
    used, rejected = check_slices(products or scenes.ground_range, orbit_files=scenes.orbits)
    assert not rejected
    rows = ["path", "stem", "orbit_file"]
    return [
        open_passage(day[rows].to_numpy().tolist()) for _, day in used.groupby("date", sort=True)
    ]


def copy_product(path: Path, folder: Path) -> None:
    """Copy a product or an orbit file."""
    folder.mkdir(exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, folder / path.name)
    else:
        shutil.copy(path, folder)


def add_cross(product: Path) -> None:
    """Give a copied product of VV a VH too: the same pixels, in which an amplitude counts twice."""
    for file in [*product.glob("annotation/**/*-vv-*"), *product.glob("measurement/*-vv-*")]:
        stem, _, number = file.stem.rpartition("-")
        other = file.with_name(f"{stem}-{int(number) + 2:03d}{file.suffix}".replace("-vv-", "-vh-"))
        if file.suffix == ".tiff":
            shutil.copy(file, other)
            continue
        text = file.read_text().replace("<polarisation>VV<", "<polarisation>VH<")
        other.write_text(re.sub(r"(<betaNought[^>]*>)([^<]+)", _doubled, text))


def _doubled(table: re.Match[str]) -> str:
    return table[1] + " ".join(repr(2.0 * float(value)) for value in table[2].split())
