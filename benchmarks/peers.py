"""MintPy as a peer: its inputs from one of our stacks, its programs in their own environment."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import xarray as xr
from measure import Measured, run


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
        # Its interpreter is found by name too: one program of MintPy starts another.
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "MPLBACKEND": "Agg"}
        return run([self.programs / program, *arguments], cwd=folder, env=env)

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

    def velocity(self, folder: Path) -> tuple[np.ndarray, np.ndarray]:
        """Velocity and its error (m/yr) of the series, NaN where MintPy has left zeros."""
        self.run(folder, "timeseries2velocity.py", "timeseries.h5")
        with h5py.File(folder / "velocity.h5") as result:
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
