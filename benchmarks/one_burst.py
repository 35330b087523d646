"""Geocode the left part of one full burst: real annotation, made-up pixels, level ground.

Run as a program by ``sentinel1.py``, so that the peak memory of the process is its own.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

from rockglacier.grid import Grid
from rockglacier.sentinel1 import annotation, engine
from rockglacier.sentinel1.safe import open_safe

BURST = 4
POSTING_M = (10.0, 5.0)
HEIGHT_M = 50.0
BETA_NOUGHT = 237.0


def product(source: Path, folder: Path) -> tuple[Path, str]:
    """A product of the annotation at ``source`` whose one burst holds noise; its path and stem."""
    stem = source.stem
    safe = folder / "burst.SAFE"
    beside = safe / "annotation" / "calibration"
    beside.mkdir(parents=True, exist_ok=True)
    (safe / "measurement").mkdir(exist_ok=True)
    (safe / "manifest.safe").write_text("")
    (safe / "annotation" / source.name).write_bytes(source.read_bytes())
    swath = annotation.read_annotation(source.read_bytes(), str(source))
    ends = f"<line>0</line><pixel>0 {swath.samples_per_burst - 1}</pixel>"
    for kind, vector, table, value in (
        ("calibration", "calibrationVector", "betaNought", BETA_NOUGHT),
        ("noise", "noiseRangeVector", "noiseRangeLut", 100.0),
    ):
        body = f"<{vector}>{ends}<{table}>{value} {value}</{table}></{vector}>"
        (beside / f"{kind}-{stem}.xml").write_text(f"<{kind}>{body}</{kind}>")
    pixels = safe / "measurement" / f"{stem}.tiff"
    if not pixels.exists():
        lines, samples = swath.lines_per_burst, swath.samples_per_burst
        rng = np.random.default_rng(0)
        profile = {"dtype": "complex_int16", "count": 1, "width": samples, "SPARSE_OK": True}
        profile |= {"height": lines * len(swath.bursts), "blockysize": 1}
        with rasterio.open(pixels, "w", driver="GTiff", **profile) as target:
            for line in range(0, lines, 100):
                part = rng.normal(0.0, 80.0, (2, 100, samples)).round()
                window = Window(0, BURST * lines + line, samples, 100)
                target.write((part[0] + 1j * part[1]).astype(np.complex64), 1, window=window)
    return safe, stem


def ground(source: Path, share: float) -> Grid:
    """The fine grid over the western ``share`` of the burst."""
    from rasterio.warp import transform_bounds

    bounds = annotation.ground_of_bursts(source.read_bytes(), str(source))[BURST]
    zone = int((bounds[0] + 180.0) // 6.0) + 1
    crs = f"EPSG:{32600 + zone if bounds[1] > 0 else 32700 + zone}"
    west, south, east, north = transform_bounds("EPSG:4326", crs, *bounds)
    dy, dx = POSTING_M
    width = int(share * (east - west) / dx)
    return Grid(crs, west, north, dx, dy, width, int((north - south) / dy))


def main() -> None:
    """Geocode; print seconds and pixels."""
    source, folder, share = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    warnings.simplefilter("ignore")
    safe, stem = product(source, folder)
    grid = ground(source, share)
    height = np.memmap(folder / "height", np.float32, "w+", shape=grid.shape)
    height[:] = HEIGHT_M
    layout = np.memmap(folder / "layout", np.int16, "w+", shape=grid.shape)
    layout[:] = 0
    out = np.memmap(folder / "slc", np.complex64, "w+", shape=grid.shape)
    swath = open_safe(safe).annotation(stem)
    date = engine.open_acquisition([[str(safe), stem, str(BURST), "annotation", ""]])
    began = time.monotonic()
    engine.geocode(date, grid, height, layout, out, threads=2)
    seconds = time.monotonic() - began
    seen = np.isfinite(out)
    level = float(np.mean(np.abs(out[seen][::97]) ** 2)) * BETA_NOUGHT**2 / (2.0 * 80.0**2)
    said = {
        "seconds": round(seconds, 2),
        "pixels": int(seen.sum()),
        "lines": swath.lines_per_burst,
        "samples": swath.samples_per_burst,
        "power_kept": round(level, 3),
    }
    (folder / f"said_{share:g}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main()
