"""MintPy as a peer: its inputs from a simulated stack, its programs in their own environment."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import xarray as xr


def write_mintpy(dataset: xr.Dataset, folder: Path) -> Path:
    """Write MintPy's ``inputs/`` (stack and geometry) below ``folder``, layer by layer."""
    inputs = folder / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    count, length, width = dataset["phase"].shape
    reference = dataset["reference"].values.astype("datetime64[D]")
    secondary = dataset["secondary"].values.astype("datetime64[D]")
    compact = np.char.replace(np.stack([reference, secondary], 1).astype(str), "-", "")
    dx = float(dataset["x"][1] - dataset["x"][0])
    dy = float(dataset["y"][1] - dataset["y"][0])
    common = {
        "LENGTH": length,
        "WIDTH": width,
        "WAVELENGTH": dataset.attrs["wavelength_m"],
        "PROCESSOR": "hyp3",
        "PLATFORM": "Sen",
        "ORBIT_DIRECTION": "ASCENDING",
        "HEADING": -12.0,
        "ALOOKS": 2,
        "RLOOKS": 10,
        "NCORRLOOKS": float(dataset.attrs["looks"]),
        "EARTH_RADIUS": 6_371_000.0,
        "HEIGHT": 693_000.0,
        "STARTING_RANGE": 880_000.0,
        "RANGE_PIXEL_SIZE": 2.33,
        "AZIMUTH_PIXEL_SIZE": 14.1,
        "INCIDENCE_ANGLE": float(dataset["incidence_angle"].mean()),
        "X_FIRST": float(dataset["x"][0]) - dx / 2,
        "Y_FIRST": float(dataset["y"][0]) - dy / 2,
        "X_STEP": dx,
        "Y_STEP": dy,
        "X_UNIT": "meters",
        "Y_UNIT": "meters",
        "UTM_ZONE": "32N",
        "EPSG": 32632,
        "CENTER_LINE_UTC": 62_000.0,
        "UNIT": "radian",
    }
    with h5py.File(inputs / "ifgramStack.h5", "w") as target:
        target.attrs.update({k: str(v) for k, v in {**common, "FILE_TYPE": "ifgramStack"}.items()})
        target["date"] = compact.astype("S8")
        target["bperp"] = np.nan_to_num(dataset["perpendicular_baseline"].values).astype(np.float32)
        target["dropIfgram"] = np.ones(count, bool)  # True: kept
        for theirs, ours in (("unwrapPhase", "phase"), ("coherence", "coherence")):
            array = target.create_dataset(
                theirs,
                dataset[ours].shape,
                np.float32,
                chunks=(1, min(128, length), min(128, width)),
            )
            for k in range(count):
                array[k] = dataset[ours][k].values
    with h5py.File(inputs / "geometryGeo.h5", "w") as target:
        target.attrs.update(
            {k: str(v) for k, v in {**common, "FILE_TYPE": "geometry", "UNIT": "1"}.items()}
        )
        target["height"] = dataset["height"].values.astype(np.float32)
        target["incidenceAngle"] = dataset["incidence_angle"].values.astype(np.float32)
        # MintPy: from north, anti-clockwise, ground to satellite.
        azimuth = np.degrees(np.arctan2(-dataset["east"].values, dataset["north"].values))
        target["azimuthAngle"] = azimuth.astype(np.float32)
        target["slantRangeDistance"] = np.full((length, width), 880_000.0, np.float32)
    return inputs / "ifgramStack.h5"


def environment() -> dict[str, str]:
    """Single-threaded linear algebra as MintPy itself sets, and no display."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
