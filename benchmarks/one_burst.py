"""Geocode a part of one full burst, or a pair of it: real annotation, made-up pixels, level ground.

Run as a program by ``sentinel1.py``, so that the peak memory of the process is its own.
"""

from __future__ import annotations

import json
import re
import sys
import time
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio
from rasterio.windows import Window

from rockglacier import io
from rockglacier.grid import Grid
from rockglacier.sentinel1 import annotation, engine
from rockglacier.sentinel1.safe import open_safe
from rockglacier.simulation_safe import Flight, manifest_of, write_xml

BURST = 4
POSTING_M = (10.0, 5.0)
LOOKS = (4, 8)
HEIGHT_M = 50.0
BETA_NOUGHT = 237.0


def product(source: Path, folder: Path) -> tuple[Path, str]:
    """A product of the annotation at ``source`` whose one burst holds noise; its path and stem."""
    stem = source.stem
    safe = folder / "burst.SAFE"
    beside = safe / "annotation" / "calibration"
    beside.mkdir(parents=True, exist_ok=True)
    (safe / "measurement").mkdir(exist_ok=True)
    write_xml(safe / "manifest.safe", _manifest(source))
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


def _manifest(source: Path) -> ElementTree.Element:
    """What a manifest would say of the product of the annotation at ``source``, of Sentinel-1A."""
    text = source.read_text()
    stated = {
        tag: re.search(f"<{tag}>([^<]+)<", text)[1]  # type: ignore[index]
        for tag in ("missionId", "absoluteOrbitNumber", "startTime", "stopTime", "pass", "swath")
    }
    orbit, none = int(stated["absoluteOrbitNumber"]), np.empty((0, 3))
    start, stop = (np.datetime64(stated[f"{end}Time"], "ns") for end in ("start", "stop"))
    flight = Flight(
        stated["missionId"], orbit, (orbit - 73) % 175 + 1, stated["pass"] == "Ascending", 0.0,
        start, np.empty(0, "datetime64[ns]"), none, none,
    )  # fmt: skip
    files = [("s1Level1ProductSchema", f"./annotation/{source.name}")]
    return manifest_of("SLC", flight, [stated["swath"]], start, stop, files)


def ground(source: Path, share: float) -> Grid:
    """The fine grid over the western ``share`` of the burst."""
    from rasterio.warp import transform_bounds

    outline = annotation.ground_of_bursts(source.read_bytes(), str(source))[BURST]
    bounds = (*outline.min(axis=0), *outline.max(axis=0))
    zone = int((bounds[0] + 180.0) // 6.0) + 1
    crs = f"EPSG:{32600 + zone if bounds[1] > 0 else 32700 + zone}"
    west, south, east, north = transform_bounds("EPSG:4326", crs, *bounds)
    dy, dx = POSTING_M
    width = int(share * (east - west) / dx)
    return Grid(crs, west, north, dx, dy, width, int((north - south) / dy))


def geocode(source: Path, folder: Path, share: float) -> dict[str, float]:
    """Geocode the western ``share`` of the burst; seconds, pixels, and megabytes of the product."""
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
    io.write_dataset(engine.as_dataset(out, grid, date), folder / "slc.zarr", grid=grid)
    return {
        "seconds": round(seconds, 2),
        "pixels": int(seen.sum()),
        "lines": swath.lines_per_burst,
        "samples": swath.samples_per_burst,
        "power_kept": round(level, 3),
        "slc_mb": megabytes(folder / "slc.zarr"),
    }


def pair(source: Path, folder: Path) -> dict[str, float]:
    """A pair of the burst with itself; seconds, and megabytes of the product."""
    path = folder / "slc.zarr"
    image = io.open_dataset(path, rows=io.chunk_rows(path, "slc"))["slc"]
    fine = ground(source, 1.0)
    height, width = (size // looks for size, looks in zip(fine.shape, LOOKS, strict=True))
    grid = Grid(
        fine.crs, fine.west, fine.north, LOOKS[1] * fine.dx, LOOKS[0] * fine.dy, width, height
    )
    began = time.monotonic()
    found = engine.unwrapped_pair(
        image, image, grid, LOOKS, seen=np.ones(grid.shape, bool), independent_looks=18.0,
        goldstein=0.0, unwrapper="whirlwind", min_coherence=0.2,
    )  # fmt: skip
    seconds = time.monotonic() - began
    io.write_dataset(found, folder / "pair.zarr", grid=grid)
    return {"pair_seconds": round(seconds, 2), "pair_mb": megabytes(folder / "pair.zarr")}


def megabytes(folder: Path) -> float:
    """Size of all files below ``folder``."""
    return round(sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6, 1)


def main() -> None:
    """Geocode, or make a pair; write what was measured."""
    source, folder, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    warnings.simplefilter("ignore")
    said = pair(source, folder) if what == "pair" else geocode(source, folder, float(what))
    (folder / f"said_{what}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main()
