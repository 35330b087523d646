"""Products as downloaded: folders, zips, single bursts, and zips that are not to be trusted."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from rockglacier.errors import SceneError
from rockglacier.sentinel1.safe import open_safe


@pytest.fixture
def products(real_data: Callable[[str], Path]) -> Path:
    return real_data("sar/s1_annotation_pairs")


def zipped(product: Path, folder: Path, extra: dict[str, bytes] | None = None) -> Path:
    made = folder / f"{product.stem}.zip"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(product.rglob("*")):
            if file.is_file():
                archive.write(file, f"{product.name}/{file.relative_to(product)}")
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return made


def test_folder_and_zip_say_the_same(products: Path, tmp_path: Path) -> None:
    for kind, orbit, swaths in [("multi_burst", 64, 2), ("slc", 108, 3), ("single_burst", 174, 1)]:
        product = sorted((products / kind).glob("*.SAFE"))[0]
        opened = [open_safe(product), open_safe(product / "manifest.safe")]
        opened.append(open_safe(zipped(product, tmp_path)))
        for safe in opened:
            assert safe.relative_orbit == orbit
            assert safe.mission in ("S1A", "S1B")
            stems = safe.swaths("VV")
            assert len(stems) == swaths
            assert safe.annotation(stems[0]).bursts[0].burst_id > 0
            assert safe.swaths("HH") == []
            with pytest.raises(SceneError, match=r"no measurement/.*tiff"):
                safe.measurement(stems[0])


def test_pixels_are_read_within_the_zip(products: Path, tmp_path: Path) -> None:
    source = sorted((products / "single_burst").glob("*.SAFE"))[0]
    product = tmp_path / source.name
    shutil.copytree(source, product)
    (stem,) = open_safe(product).swaths("VV")
    pixels = np.arange(12, dtype=np.complex64).reshape(3, 4)
    (product / "measurement").mkdir()
    with rasterio.open(
        product / "measurement" / f"{stem}.tiff", "w", driver="GTiff", width=4, height=3, count=1,
        dtype="complex64", transform=rasterio.Affine.translation(1, 2),
    ) as target:  # fmt: skip
        target.write(pixels, 1)
    odd = zipped(product, tmp_path).rename(tmp_path / "a scene {1.zip")
    odder = Path(shutil.copy(odd, tmp_path / "a scene {2}.zip"))
    for safe in (open_safe(product), open_safe(odd), open_safe(odder)):
        with rasterio.open(safe.measurement(stem)) as opened:
            assert np.array_equal(opened.read(1), pixels)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b", "C:\\b"])
def test_paths_out_of_the_zip_are_refused(products: Path, tmp_path: Path, name: str) -> None:
    product = sorted((products / "single_burst").glob("*.SAFE"))[0]
    with pytest.raises(SceneError, match="out of its own folder"):
        open_safe(zipped(product, tmp_path, {name: b"x"}))


def test_what_is_no_product_is_said(products: Path, tmp_path: Path) -> None:
    product = sorted((products / "single_burst").glob("*.SAFE"))[0]
    whole = zipped(product, tmp_path)
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(SceneError, match=r"cut\.zip: .*whole zip"):
        open_safe(cut)
    with pytest.raises(SceneError, match="does not exist"):
        open_safe(tmp_path / "none.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SceneError, match=r"no manifest\.safe"):
        open_safe(tmp_path / "empty")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", b"x")
    with pytest.raises(SceneError, match=r"0 manifest\.safe"):
        open_safe(tmp_path / "other.zip")
    bad = tmp_path / "bad.SAFE"
    bad.mkdir()
    (bad / "manifest.safe").write_text("<a/>")
    with pytest.raises(SceneError, match="is not read as that of a Sentinel-1"):
        _ = open_safe(bad).mission
