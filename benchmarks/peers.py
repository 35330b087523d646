"""MintPy as a peer: its inputs from one of our stacks, its programs in their own environment."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import xarray as xr
from affine import Affine
from measure import Measured, run
from rasterio.io import MemoryFile

BINDINGS = Path(__file__).resolve().parent / "bindings"


class MintPy:
    """MintPy's programs, from the virtual environment at ``environment``."""

    def __init__(self, environment: Path) -> None:
        self.programs = (environment / "bin").absolute()
        if not (self.programs / "ifgram_inversion.py").exists():
            raise FileNotFoundError(
                f"{environment} holds no MintPy; run `make bench-inversion`, which makes it, or "
                "name an environment with mintpy 1.6.4: --peer PATH."
            )

    def run(self, folder: Path, program: str, *arguments: str) -> Measured:
        """Run ``program`` in ``folder``."""
        return run([self.programs / program, *arguments], cwd=folder, env=self._environment())

    def _environment(self) -> dict[str, str]:
        """One program of MintPy starts another, by name; GeoTIFFs need GDAL's bindings."""
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(BINDINGS), "MPLBACKEND": "Agg"}

    def invert(self, folder: Path, weight: str) -> Measured:
        """Invert ``inputs/ifgramStack.h5``, whose phase is referenced already."""
        for former in folder.glob("*.h5"):
            former.unlink()
        stack = "inputs/ifgramStack.h5"
        measured = self.run(folder, "ifgram_inversion.py", stack, "-w", weight, "--skip-reference")
        with h5py.File(folder / "timeseries.h5", "a") as series:
            # timeseries2velocity.py asks for a reference pixel; it only keeps it unmasked.
            series.attrs.update({"REF_Y": "0", "REF_X": "0"})
        return measured

    def from_zips(self, zips: Path, folder: Path, reference_yx: tuple[int, int]) -> Measured:
        """Unpack HyP3 products and run ``smallbaselineApp.py`` on them, up to the velocity."""
        template = f"""
mintpy.load.processor = hyp3
mintpy.load.unwFile = {folder}/products/*/*_unw_phase.tif
mintpy.load.corFile = {folder}/products/*/*_corr.tif
mintpy.load.demFile = {folder}/products/*/*_dem.tif
mintpy.load.incAngleFile = {folder}/products/*/*_lv_theta.tif
mintpy.load.azAngleFile = {folder}/products/*/*_lv_phi.tif
mintpy.reference.yx = {reference_yx[0]},{reference_yx[1]}
mintpy.networkInversion.weightFunc = var
mintpy.troposphericDelay.method = height_correlation
mintpy.topographicResidual = yes
mintpy.deramp = no
mintpy.plot = no
"""
        (folder / "hyp3.txt").write_text(template)
        unpack = f"for z in {zips}/*.zip; do {sys.executable} -m zipfile -e $z products; done"
        steps = f"{unpack} && {self.programs}/smallbaselineApp.py hyp3.txt --end velocity"
        return run(["bash", "-ec", steps], cwd=folder, env=self._environment())

    def velocity(self, folder: Path) -> tuple[np.ndarray, np.ndarray]:
        """Velocity and its error (m/yr) of the series, NaN where MintPy has left zeros."""
        self.run(folder, "timeseries2velocity.py", "timeseries.h5")
        return read_velocity(folder / "velocity.h5")


def read_velocity(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Velocity and its error (m/yr) from ``velocity.h5``, NaN where MintPy has left zeros."""
    with h5py.File(path) as result:
        velocity, error = result["velocity"][:], result["velocityStd"][:]
    unsolved = velocity == 0.0
    return np.where(unsolved, np.nan, velocity), np.where(unsolved, np.nan, error)


def write_mintpy(
    dataset: xr.Dataset, folder: Path, *, reference_phase: np.ndarray | None = None
) -> Path:
    """Write MintPy's ``inputs/`` (stack and geometry) below ``folder``, layer by layer.

    ``dataset`` holds ``phase``, ``coherence`` and geometry; ``reference_phase`` (pair; rad) is
    subtracted. Returns the stack's path.
    """
    inputs = folder / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    count, length, width = dataset["phase"].shape
    ends = np.stack([dataset[end].values.astype("datetime64[D]") for end in _ENDS], axis=1)
    offset = np.zeros(count) if reference_phase is None else reference_phase
    attributes = _attributes(dataset)
    chunks = (1, min(128, length), min(128, width))
    with h5py.File(inputs / "ifgramStack.h5", "w") as target:
        target.attrs.update({**attributes, "FILE_TYPE": "ifgramStack", "UNIT": "radian"})
        target["date"] = np.char.replace(ends.astype(str), "-", "").astype("S8")
        target["bperp"] = np.nan_to_num(dataset["perpendicular_baseline"].values).astype(np.float32)
        target["dropIfgram"] = np.ones(count, bool)  # True: kept
        names = {"unwrapPhase": "phase", "coherence": "coherence", "connectComponent": "component"}
        for theirs, ours in names.items():
            if ours in dataset:
                kind = np.int16 if ours == "component" else np.float32
                array = target.create_dataset(theirs, (count, length, width), kind, chunks=chunks)
                for k in range(count):
                    layer = dataset[ours][k].values
                    array[k] = layer - np.float32(offset[k]) if ours == "phase" else layer
    with h5py.File(inputs / "geometryGeo.h5", "w") as target:
        target.attrs.update({**attributes, "FILE_TYPE": "geometry", "UNIT": "1"})
        # Azimuth of the direction from the ground to the satellite, anticlockwise from north.
        azimuth = np.degrees(np.arctan2(-dataset["east"].values, dataset["north"].values))
        layers = {
            "height": dataset["height"].values,
            "incidenceAngle": dataset["incidence_angle"].values,
            "azimuthAngle": azimuth,
            "slantRangeDistance": np.full((length, width), float(attributes["STARTING_RANGE"])),
        }
        for name, values in layers.items():
            target[name] = values.astype(np.float32)
    return inputs / "ifgramStack.h5"


_ENDS = ("reference", "secondary")


def _attributes(dataset: xr.Dataset) -> dict[str, str]:
    length, width = dataset["phase"].shape[1:]
    dx = float(dataset["x"][1] - dataset["x"][0])
    dy = float(dataset["y"][1] - dataset["y"][0])
    values = {
        "LENGTH": length,
        "WIDTH": width,
        "WAVELENGTH": dataset.attrs["wavelength_m"],
        "PROCESSOR": "hyp3",
        "PLATFORM": "Sen",
        "ORBIT_DIRECTION": "ASCENDING",
        "HEADING": -12.0,
        "ANTENNA_SIDE": -1,
        "ALOOKS": 2,
        "RLOOKS": 20,
        "NCORRLOOKS": float(dataset.attrs["looks"]),
        "EARTH_RADIUS": 6_371_000.0,
        "HEIGHT": 693_000.0,
        "STARTING_RANGE": 880_000.0,
        "RANGE_PIXEL_SIZE": 46.6,
        "AZIMUTH_PIXEL_SIZE": 28.2,
        "CENTER_LINE_UTC": 62_000.0,
        "X_FIRST": float(dataset["x"][0]) - dx / 2,
        "Y_FIRST": float(dataset["y"][0]) - dy / 2,
        "X_STEP": dx,
        "Y_STEP": dy,
        "X_UNIT": "meters",
        "Y_UNIT": "meters",
        "UTM_ZONE": "32N",
        "EPSG": 32632,
    }
    return {key: str(value) for key, value in values.items()}


def write_hyp3(dataset: xr.Dataset, folder: Path) -> None:
    """Write a zip per pair into ``folder``, named and filled as HyP3's GAMMA products are."""
    folder.mkdir(parents=True, exist_ok=True)
    still = {
        "dem": dataset["height"].values,
        "lv_theta": np.radians(90.0 - dataset["incidence_angle"].values),  # above the horizontal
        "lv_phi": np.arctan2(dataset["north"].values, dataset["east"].values),  # from east
    }
    files = {name: _geotiff(values, dataset) for name, values in still.items()}
    for k in range(dataset.sizes["pair"]):
        days = [dataset[end].values[k].astype("datetime64[D]").item() for end in _ENDS]
        stamps = [f"{date:%Y%m%d}T053000" for date in days]
        name = f"S1AA_{stamps[0]}_{stamps[1]}_VVP{(days[1] - days[0]).days:03d}_INT40_G_ueF_{k:04X}"
        layers = {
            "unw_phase": np.nan_to_num(dataset["phase"][k].values),
            "corr": np.nan_to_num(dataset["coherence"][k].values),
        }
        baseline = float(dataset["perpendicular_baseline"][k])
        with zipfile.ZipFile(
            folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1
        ) as archive:
            for layer, values in layers.items():
                archive.writestr(f"{name}/{name}_{layer}.tif", _geotiff(values, dataset, 0.0))
            for layer, content in files.items():
                archive.writestr(f"{name}/{name}_{layer}.tif", content)
            archive.writestr(f"{name}/{name}.txt", _parameters(stamps, baseline))


def _geotiff(values: np.ndarray, dataset: xr.Dataset, nodata: float | None = None) -> bytes:
    attributes = _attributes(dataset)
    corner = (float(attributes[key]) for key in ("X_FIRST", "Y_FIRST", "X_STEP", "Y_STEP"))
    west, north, dx, dy = corner
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            height=values.shape[0],
            width=values.shape[1],
            count=1,
            dtype="float32",
            crs=f"EPSG:{attributes['EPSG']}",
            transform=Affine(dx, 0.0, west, 0.0, dy, north),
            nodata=nodata,
        ) as target:
            target.write(values.astype(np.float32), 1)
        return bytes(memory.read())


def _parameters(stamps: list[str], baseline: float) -> str:
    """The text that HyP3 puts into a product."""
    granules = [f"S1A_IW_SLC__1SDV_{s}_{s[:-2]}27_033000_03D000_ABCD" for s in stamps]
    stated = {
        "Reference Granule": granules[0],
        "Secondary Granule": granules[1],
        "Reference Pass Direction": "ASCENDING",
        "Reference Orbit Number": "33000",
        "Secondary Pass Direction": "ASCENDING",
        "Secondary Orbit Number": "33175",
        "Baseline": f"{baseline:.4f}",
        "UTC time": "19800.000000",
        "Heading": "-12.0",
        "Spacecraft height": "693000.0",
        "Earth radius at nadir": "6371000.0",
        "Slant range near": "800000.0",
        "Slant range center": "880000.0",
        "Slant range far": "960000.0",
        "Range looks": "20",
        "Azimuth looks": "2",
        "INSAR phase filter": "yes",
        "Phase filter parameter": "0.6",
        "Range bandpass filter": "no",
        "Azimuth bandpass filter": "no",
        "DEM source": "simulated",
        "DEM resolution (m)": "40",
        "Unwrapping type": "mcf",
        "Phase at reference point": "0.0",
        "Azimuth line of the reference point in SAR space": "0.0",
        "Range pixel of the reference point in SAR space": "0.0",
        "Y coordinate of the reference point in the map projection": "0.0",
        "X coordinate of the reference point in the map projection": "0.0",
        "Latitude of the reference point (WGS84)": "0.0",
        "Longitude of the reference point (WGS84)": "0.0",
        "Unwrapping threshold": "none",
        "Speckle filter": "no",
    }
    return "".join(f"{key}: {value}\n" for key, value in stated.items())
