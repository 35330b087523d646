"""A QGIS project beside the inventory, whose paths are relative: the folder can be moved whole."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from rockglacier.inventory.package import GEOMETRY, WGS84, renderer
from rockglacier.io import atomic

VERSION = "3.22.16-Białowieża"


def write(
    path: str | Path, *, title: str, crs: str, package: str, layers: Sequence[str],
    rasters: Sequence[tuple[str, str]], extent: tuple[float, float, float, float],
) -> None:  # fmt: skip
    """Write ``path`` (.qgz): ``layers`` of ``package`` over ``rasters`` (file, title), top first.

    Files are named relative to the project; ``extent`` (west, south, east, north) in ``crs``, that
    of the map and of ``rasters``.
    """
    srs, own = _srs(crs), _srs(WGS84)
    # QGIS gives a layer whose id has ten characters or fewer another, and the tree loses it.
    vectors = [(f"inventory_{layer}", layer, f"./{package}|layername={layer}") for layer in layers]
    images = [(f"inventory_map{k}", name, f"./{file}") for k, (file, name) in enumerate(rasters)]
    tree = "".join(
        f'<layer-tree-layer id="{key}" name={quoteattr(name)} source={quoteattr(source)} '
        f'providerKey="{provider}" checked="Qt::Checked" expanded="1"><customproperties/>'
        "</layer-tree-layer>"
        for provider, group in (("ogr", vectors), ("gdal", images))
        for key, name, source in group
    )
    described = "".join(_vector(key, name, source, own) for key, name, source in vectors) + "".join(
        _raster(key, name, source, srs) for key, name, source in images
    )
    order = "".join(f'<layer id="{key}"/>' for key, _, _ in (*vectors, *images))
    west, south, east, north = extent
    text = (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        f'<qgis version="{VERSION}" projectname={quoteattr(title)}>'
        f"<title>{escape(title)}</title><projectCrs>{srs}</projectCrs>"
        f"<layer-tree-group><customproperties/>{tree}</layer-tree-group>"
        f'<mapcanvas name="theMapCanvas"><units>meters</units><extent><xmin>{west}</xmin>'
        f"<ymin>{south}</ymin><xmax>{east}</xmax><ymax>{north}</ymax></extent>"
        f"<destinationsrs>{srs}</destinationsrs></mapcanvas>"
        f"<projectlayers>{described}</projectlayers><layerorder>{order}</layerorder>"
        '<properties><Paths><Absolute type="bool">false</Absolute></Paths>'
        '<SpatialRefSys><ProjectionsEnabled type="int">1</ProjectionsEnabled></SpatialRefSys>'
        "</properties>"
        f'<ProjectViewSettings UseProjectScales="0"><Scales/><DefaultViewExtent xmin="{west}" '
        f'ymin="{south}" xmax="{east}" ymax="{north}">{srs}</DefaultViewExtent>'
        "</ProjectViewSettings></qgis>"
    )
    with atomic(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        # A time of its own would make two projects of the same inventory differ.
        member = zipfile.ZipInfo(f"{Path(path).stem}.qgs", (1980, 1, 1, 0, 0, 0))
        archive.writestr(member, text)


def _srs(crs: str) -> str:
    from pyproj import CRS

    told = CRS.from_user_input(crs)
    authority = told.to_authority()
    name = f"{authority[0]}:{authority[1]}" if authority else ""
    return (
        f'<spatialrefsys nativeFormat="Wkt"><wkt>{escape(told.to_wkt())}</wkt>'
        f"<authid>{name}</authid></spatialrefsys>"
    )


def _vector(key: str, name: str, source: str, srs: str) -> str:
    kind = GEOMETRY[name].removeprefix("Multi")
    return (
        f'<maplayer type="vector" geometry="{kind}" hasScaleBasedVisibilityFlag="0">'
        f"<id>{key}</id><datasource>{escape(source)}</datasource><layername>{name}</layername>"
        f'<srs>{srs}</srs><provider encoding="UTF-8">ogr</provider>{renderer(name)}</maplayer>'
    )


def _raster(key: str, name: str, source: str, srs: str) -> str:
    return (
        f'<maplayer type="raster" hasScaleBasedVisibilityFlag="0"><id>{key}</id>'
        f"<datasource>{escape(source)}</datasource><layername>{escape(name)}</layername>"
        f"<srs>{srs}</srs><provider>gdal</provider><pipe>"
        '<rasterrenderer type="singlebandgray" grayBand="1" opacity="0.7" '
        'gradient="WhiteToBlack"><contrastEnhancement><minValue>0</minValue>'
        "<maxValue>1</maxValue><algorithm>StretchToMinimumMaximum</algorithm>"
        "</contrastEnhancement></rasterrenderer></pipe></maplayer>"
    )
