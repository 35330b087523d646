"""A small scene of known motion, and writers of it in the layouts that its makers use.

The layouts follow the products' own documents; no reader is called here.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import rasterio

from rockglacier.grid import Grid
from rockglacier.readers.stack import Source

WAVELENGTH_M = 0.0554657
INCIDENCE_DEG = 38.0
HEADING_DEG = -12.5
DATES = ("20200601", "20200613", "20200625", "20200707")
PAIRS = ((0, 1), (1, 2), (2, 3), (0, 2), (1, 3))


@dataclass(frozen=True)
class Scene:
    """A tongue that moves steadily toward the satellite, on a grid; noise-free unless ``noise``."""

    grid: Grid
    dates: tuple[str, ...] = DATES
    pairs: tuple[tuple[int, int], ...] = PAIRS
    noise_rad: float = 0.15
    metres_per_repeat: float = 0.004
    baselines: tuple[float, ...] = (0.0, 40.0, -25.0, 60.0)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    @property
    def shape(self) -> tuple[int, int]:
        return self.grid.shape

    def displacement(self, date: int) -> np.ndarray:
        """Metres toward the satellite since the first date."""
        y, x = np.indices(self.shape)
        height, width = self.shape
        tongue = np.exp(
            -(((y - height / 2) / (height / 5)) ** 2 + ((x - width / 3) / (width / 6)) ** 2)
        )
        return self.metres_per_repeat * date * tongue

    def phase(self, pair: tuple[int, int]) -> np.ndarray:
        """Radians, in the project's sign, float32; never exactly 0."""
        a, b = pair
        motion = self.displacement(b) - self.displacement(a)
        noise = self.noise_rad * self.rng.standard_normal(self.shape)
        out = -4.0 * np.pi / WAVELENGTH_M * motion + noise + 1.7 * (b - a)
        return out.astype(np.float32)

    def coherence(self, pair: tuple[int, int]) -> np.ndarray:
        return np.clip(0.75 + 0.1 * self.rng.standard_normal(self.shape), 0.05, 0.99).astype(
            np.float32
        )

    def height(self) -> np.ndarray:
        y, x = np.indices(self.shape)
        return (2500.0 + 8.0 * y + 5.0 * x).astype(np.float32)

    def names(self, pair: tuple[int, int]) -> tuple[str, str]:
        return self.dates[pair[0]], self.dates[pair[1]]

    def baseline(self, pair: tuple[int, int]) -> float:
        return self.baselines[pair[1]] - self.baselines[pair[0]]

    def line_of_sight(self) -> tuple[float, float, float]:
        """East, north, up of the unit vector ground to satellite (right-looking)."""
        t, h = np.radians(INCIDENCE_DEG), np.radians(HEADING_DEG)
        return -np.sin(t) * np.cos(h), np.sin(t) * np.sin(h), np.cos(t)


def place(source: Source) -> tuple[Grid | None, tuple[float, float, float, float]]:
    """What a region's grid follows from."""
    return source.native_grid, source.lonlat_bounds


def write_tif(
    path: Path,
    values: np.ndarray,
    grid: Grid,
    *,
    nodata: float | None = None,
    tags: dict[str, str] | None = None,
    compress: bool = False,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=values.shape[0],
        width=values.shape[1],
        count=1,
        dtype=values.dtype,
        crs=grid.crs,
        transform=grid.transform,
        nodata=nodata,
        **({"tiled": True, "compress": "deflate"} if compress else {}),
    ) as target:
        target.write(values, 1)
        if tags:
            target.update_tags(**tags)
    return path


def write_geotiffs(folder: Path, scene: Scene, *, sign: int = 1) -> Path:
    """Pairs as ``<reference>-<secondary>_unw.tif`` and ``_cc.tif``, nodata 0."""
    for pair in scene.pairs:
        name = "-".join(scene.names(pair))
        write_tif(folder / f"{name}_unw.tif", sign * scene.phase(pair), scene.grid, nodata=0)
        write_tif(folder / f"{name}_cc.tif", scene.coherence(pair), scene.grid)
    return folder


GAMMA, BURST, MULTI_BURST = "gamma", "burst", "multi-burst"


def hyp3_name(kind: str, first: str, second: str, number: int) -> str:
    if kind == GAMMA:
        return f"S1AA_{first}T165012_{second}T165013_VVP012_INT80_G_ueF_{number:04X}"
    if kind == BURST:
        return f"S1_136231_IW2_{first}_{second}_VV_INT80_{number:04X}"
    bursts = "000000s1n00-136231s2n02-000000s3n00"
    return f"S1_064_{bursts}_IW_{first}_{second}_VV_INT80_{number:04X}"


def hyp3_granule(kind: str, date: str) -> str:
    if kind == GAMMA:
        return f"S1A_IW_SLC__1SDV_{date}T165012_{date}T165040_030820_03891C_E6E7"
    if kind == BURST:
        return f"S1_136231_IW2_{date}T022312_VV_7C85-BURST"
    return ", ".join(f"S1_13623{k}_IW2_{date}T02231{k}_VV_7C85-BURST" for k in (1, 2))


def hyp3_text(kind: str, first: str, second: str, baseline: float) -> str:
    return "\n".join(
        [
            f"Reference Granule: {hyp3_granule(kind, first)}",
            f"Secondary Granule: {hyp3_granule(kind, second)}",
            "Reference Pass Direction: ASCENDING",
            "Reference Orbit Number: 30741",
            "Secondary Pass Direction: ASCENDING",
            "Secondary Orbit Number: 31091",
            f"Baseline: {baseline}",
            "UTC time: 12360.691361",
            f"Heading: {HEADING_DEG}",
            "Spacecraft height: 700618.6318999995",
            "Earth radius at nadir: 6370250.0667",
            "Slant range near: 799517.4338",
            "Slant range center: 879794.1404",
            "Slant range far: 960070.8469",
            "Range looks: 20",
            "Azimuth looks: 4",
            "InSAR phase filter: adf",
            "Phase filter parameter: 0.6",
            "Unwrapping type: mcf",
            "Speckle filter: no",
            "",
        ]
    )


def write_hyp3_product(
    folder: Path,
    scene: Scene,
    pair: tuple[int, int],
    *,
    kind: str = GAMMA,
    number: int = 1,
    zipped: bool = False,
    margin: int = 0,
    named: tuple[str, str] | None = None,
) -> Path:
    """One product; ``margin`` pixels are cut from every side, as extents of HyP3 products differ.

    ``named``: dates in the product's name, where they differ from those in its metadata.
    """
    first, second = scene.names(pair)
    name = hyp3_name(kind, *(named or (first, second)), number)
    inner = slice(margin, -margin or None)
    grid = Grid(
        scene.grid.crs,
        scene.grid.west + margin * scene.grid.dx,
        scene.grid.north - margin * scene.grid.dy,
        scene.grid.dx,
        scene.grid.dy,
        scene.grid.width - 2 * margin,
        scene.grid.height - 2 * margin,
    )
    product = folder / name
    east, north, up = scene.line_of_sight()
    layers = {
        "unw_phase": scene.phase(pair),
        "corr": scene.coherence(pair),
        "dem": scene.height(),
        "lv_theta": np.full(scene.shape, np.arcsin(up), np.float32),
        "lv_phi": np.full(scene.shape, np.arctan2(north, east), np.float32),
    }
    if kind != GAMMA:
        layers["conncomp"] = np.ones(scene.shape, np.uint8)
    for layer, values in layers.items():
        part = np.ascontiguousarray(values[inner, inner])
        write_tif(product / f"{name}_{layer}.tif", part, grid, nodata=0, compress=True)
    text = hyp3_text(kind, first, second, scene.baseline(pair))
    (product / f"{name}.txt").write_text(text)
    (product / f"{name}.README.md.txt").write_text("Reference Granule: not this one\n")
    if not zipped:
        return product
    archive = folder / f"{name}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for file in sorted(product.iterdir()):
            target.write(file, f"{name}/{file.name}")
            file.unlink()
    product.rmdir()
    return archive


def write_hyp3(folder: Path, scene: Scene, *, kind: str = GAMMA, zipped: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for k, pair in enumerate(scene.pairs):
        write_hyp3_product(folder, scene, pair, kind=kind, number=k, zipped=zipped)
    return folder


LICSAR_FRAME = "005A_07021_131313"


def write_licsar(folder: Path, scene: Scene, *, as_bytes: bool = True) -> Path:
    """A frame as the portal lays it out; coherence in bytes as COMET's are, or in floats."""
    for pair in scene.pairs:
        name = "_".join(scene.names(pair))
        place = folder / "interferograms" / name
        write_tif(place / f"{name}.geo.unw.tif", scene.phase(pair), scene.grid, nodata=0)
        coherence = scene.coherence(pair)
        if as_bytes:
            coherence = np.round(255 * coherence).astype(np.uint8)
        write_tif(place / f"{name}.geo.cc.tif", coherence, scene.grid)
    metadata = folder / "metadata"
    for letter, value in zip("ENU", scene.line_of_sight(), strict=True):
        values = np.full(scene.shape, value, np.float32)
        values[0, 0] = 0.0  # outside the frame
        write_tif(metadata / f"{LICSAR_FRAME}.geo.{letter}.tif", values, scene.grid)
    write_tif(metadata / f"{LICSAR_FRAME}.geo.hgt.tif", scene.height(), scene.grid)
    first = scene.dates[0]
    lines = [
        f"{first} {date} {baseline:.1f} {12.0 * k}"
        for k, (date, baseline) in enumerate(zip(scene.dates, scene.baselines, strict=False))
    ]
    (metadata / "baselines").write_text("\n".join(lines[1:]) + "\n")
    (metadata / "metadata.txt").write_text(
        f"master={first}\ncenter_time=00:40:21.0\nheading={HEADING_DEG}\n"
        "avg_incidence_angle=38.0\ncentre_range_m=880000.0\n"
    )
    return folder


def mintpy_attributes(shape: tuple[int, int], grid: Grid | None) -> dict[str, str]:
    attrs = {
        "FILE_TYPE": "ifgramStack",
        "LENGTH": str(shape[0]),
        "WIDTH": str(shape[1]),
        "WAVELENGTH": str(WAVELENGTH_M),
        "ALOOKS": "4",
        "RLOOKS": "20",
        "NCORRLOOKS": "41.2",
        "PLATFORM": "Sen",
        "HEADING": str(HEADING_DEG),
        "STARTING_RANGE": "800000.0",
        "PROCESSOR": "isce",
    }
    if grid is None:
        return attrs
    return attrs | {
        "X_FIRST": repr(grid.west),
        "Y_FIRST": repr(grid.north),
        "X_STEP": repr(grid.dx),
        "Y_STEP": repr(-grid.dy),
        "X_UNIT": "meters",
        "Y_UNIT": "meters",
        "EPSG": grid.crs.removeprefix("EPSG:"),
        "UTM_ZONE": "32N",
    }


def write_mintpy(
    folder: Path,
    scene: Scene,
    *,
    dropped: tuple[int, ...] = (),
    geometry: bool = True,
    component: bool = True,
    lookup: tuple[np.ndarray, np.ndarray] | None = None,
    phases: list[np.ndarray] | None = None,
) -> Path:
    """``inputs/ifgramStack.h5`` and its geometry file; in radar geometry with a ``lookup``."""
    folder.mkdir(parents=True, exist_ok=True)
    layers = phases or [scene.phase(p) for p in scene.pairs]
    shape = layers[0].shape
    count = len(layers)
    file = folder / "ifgramStack.h5"
    with h5py.File(file, "w") as target:
        stack = np.stack(layers)
        target.create_dataset("unwrapPhase", data=stack, chunks=True)
        coherence = np.full(stack.shape, 0.8, np.float32)
        if lookup is None:
            coherence = np.stack([scene.coherence(p) for p in scene.pairs])
        target.create_dataset("coherence", data=coherence, chunks=True)
        if component:
            target.create_dataset(
                "connectComponent", data=np.ones(stack.shape, np.int16), compression="lzf"
            )
        target["date"] = np.array([scene.names(p) for p in scene.pairs], np.bytes_)
        target["bperp"] = np.array([scene.baseline(p) for p in scene.pairs], np.float32)
        target["dropIfgram"] = np.array([k not in dropped for k in range(count)])
        target.attrs.update(mintpy_attributes(shape, scene.grid if lookup is None else None))
    if geometry:
        with h5py.File(
            folder / ("geometryGeo.h5" if lookup is None else "geometryRadar.h5"), "w"
        ) as target:
            target["height"] = np.full(shape, 2600.0, np.float32)
            target["incidenceAngle"] = np.full(shape, INCIDENCE_DEG, np.float32)
            target["azimuthAngle"] = np.full(shape, 90.0 - HEADING_DEG, np.float32)
            target["slantRangeDistance"] = np.full(shape, 880_000.0, np.float32)
            shadow = np.zeros(shape, bool)
            shadow[2, 3] = True
            target["shadowMask"] = shadow
            if lookup is not None:
                target["latitude"], target["longitude"] = lookup
    return file


def isce_xml(path: Path, values: np.ndarray, scheme: str) -> None:
    bands, length, width = values.shape
    kind = {"f4": "FLOAT", "f8": "DOUBLE", "u1": "BYTE"}[values.dtype.str[1:]]
    stated = {
        "BYTE_ORDER": "l",
        "SCHEME": scheme,
        "data_type": kind,
        "length": length,
        "number_bands": bands,
        "width": width,
    }
    lines = [
        f'<property name="{k}"><value>{v}</value><doc>None</doc></property>'
        for k, v in stated.items()
    ]
    component = '<component name="coordinate1"><property name="size"><value>-1</value></property>'
    text = "\n".join(["<imageFile>", *lines, component, "</component></imageFile>"])
    path.with_name(path.name + ".xml").write_text(text)


def write_isce_image(path: Path, *bands: np.ndarray, scheme: str = "BIL") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.stack(bands)
    order = {"BIL": (1, 0, 2), "BIP": (1, 2, 0), "BSQ": (0, 1, 2)}[scheme]
    np.ascontiguousarray(values.transpose(order)).tofile(path)
    isce_xml(path, values, scheme)


def write_isce2(
    root: Path,
    scene: Scene,
    phases: list[np.ndarray],
    lookup: tuple[np.ndarray, np.ndarray],
) -> Path:
    """topsStack's ``merged``, ``baselines`` and ``reference`` folders."""
    merged = root / "merged"
    shape = phases[0].shape
    for phase, pair in zip(phases, scene.pairs, strict=True):
        place = merged / "interferograms" / "_".join(scene.names(pair))
        write_isce_image(place / "filt_fine.unw", np.ones(shape, np.float32), phase)
        write_isce_image(place / "filt_fine.cor", np.full(shape, 0.8, np.float32), scheme="BIP")
        write_isce_image(place / "filt_fine.unw.conncomp", np.ones(shape, np.uint8), scheme="BIP")
    geometry = merged / "geom_reference"
    write_isce_image(geometry / "lat.rdr", lookup[0])
    write_isce_image(geometry / "lon.rdr", lookup[1])
    write_isce_image(geometry / "hgt.rdr", np.full(shape, 2600.0))
    write_isce_image(
        geometry / "los.rdr",
        np.full(shape, INCIDENCE_DEG, np.float32),
        np.full(shape, 90.0 - HEADING_DEG, np.float32),
    )
    write_isce_image(geometry / "shadowMask.rdr", np.zeros(shape, np.uint8))
    full = np.empty((1, shape[0] * 3, shape[1] * 9), np.float32)
    isce_xml(geometry / "hgt.rdr.full", full, "BIL")
    first = scene.dates[0]
    for date, metres in list(zip(scene.dates, scene.baselines, strict=False))[1:]:
        place = root / "baselines" / f"{first}_{date}"
        place.mkdir(parents=True)
        (place / f"{first}_{date}.txt").write_text(
            "".join(
                f"swath: IW{k}\nBperp (average): {metres + d}\nBpar (average): 3.0\n"
                for k, d in ((1, 1.0), (2, -1.0))
            )
        )
    reference = root / "reference"
    reference.mkdir()
    (reference / "IW1.xml").write_text(
        '<productmanager_name><component name="instance"><component name="bursts">'
        '<component name="burst1"><property name="radarwavelength"><value>0.05546576</value>'
        '</property><property name="startingrange"><value>800000.0</value></property>'
        "</component></component></component></productmanager_name>"
    )
    return merged
