"""The inventory as a GeoPackage: layers, lists of allowed values, and styles that QGIS finds.

Source
------
OGC GeoPackage 1.3 with its Schema extension (OGC 12-128r17, annex F.9) for lists of values; QGIS's
table ``layer_styles``. Names of fields and colours: RGIK practice, as in ESA CCI's inventories
(Rouyet et al. 2025, doi:10.5194/essd-17-4125-2025).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from rockglacier.inventory.moving import CLASSES, KINEMATIC, TECHNIQUES, UNDEFINED
from rockglacier.inventory.patterns import NOT_OBSERVED, PATTERNS
from rockglacier.io import atomic

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

# Allowed values of fields, RGIK's where it has them; by name of the list.
LISTS: dict[str, tuple[str, ...]] = {
    "Landform": ("0", "1", "2"),
    "Morpho": ("simple", "complex", "unknown"),
    "UpslCon": (
        "talus", "debris-mantled slope", "landslide", "glacier", "glacier forefield", "poly",
        "other", "uncertain", "unknown",
    ),
    "UpslCur": ("yes", "no", "uncertain"),
    "Complet": ("complete", "incomplete", "uncertain"),
    "ActiCl": (
        "Active", "Active uncertain", "Transitional", "Relict uncertain", "Relict", "Uncertain",
    ),
    "ActiAss": ("morphological evidence only", "kinematic data"),
    "Destabili": ("yes (ongoing)", "yes (past)", "no", "undefined"),
    "KinAtt": (*KINEMATIC, UNDEFINED),
    "RelKin": ("low", "medium", "high"),
    "VelClass": CLASSES[1:],
    "reliability": ("low", "medium", "high"),
    "technique": TECHNIQUES,
    "OutType": ("Extended", "Restricted"),
    "SeedType": ("bare/active", "mixed ice-rock", "clean"),
    "pattern": (*PATTERNS, NOT_OBSERVED),
    "status": ("auto", "reviewed"),
}  # fmt: skip
# Reliabilities of an outline, 0 to 2 each, and their sum.
RANGES = {
    "RelFr": (0, 2), "RelLeftLM": (0, 2), "RelRightLM": (0, 2), "RelUpsCon": (0, 2),
    "RelIndex": (0, 8),
}  # fmt: skip
INTEGERS = ("Landform", *RANGES)
MEANINGS = {("Landform", "0"): "uncertain", ("Landform", "1"): "rock glacier",
            ("Landform", "2"): "no rock glacier"}  # fmt: skip
ACTIVITY_COLOURS = {
    "Active": "#c90000", "Active uncertain": "#cc6262", "Transitional": "#faa307",
    "Relict uncertain": "#8ed4a7", "Relict": "#0bce51", "Uncertain": "#a2a7a6",
}  # fmt: skip
# Crameri's lajolla, whose order is seen by all eyes (doi:10.5281/zenodo.1243862).
VELOCITY_COLOURS = dict(
    zip(CLASSES[1:], ("#fbe9a9", "#f0c15a", "#e28a4f", "#b4504a", "#5a2e2b"), strict=True)
)
STYLES: dict[str, tuple[str, dict[str, str]]] = {
    "PM": ("ActiCl", ACTIVITY_COLOURS),
    "GO": ("ActiCl", ACTIVITY_COLOURS),
    "MA": ("VelClass", VELOCITY_COLOURS),
}
# A layer holds one type of geometry: areas may lie in parts, and an operator may part an outline.
GEOMETRY = {"AOI": "Polygon", "PM": "Point", "MA": "MultiPolygon", "GO": "MultiPolygon",
            "REJECTED": "MultiPolygon"}  # fmt: skip
DRAWN = ("PM", "GO", "MA", "REJECTED", "AOI")  # top first
WGS84 = "EPSG:4326"  # of all layers
VERSION = "1.3"  # newer ones make older GDAL, and QGIS with it, warn
PLAIN_COLOUR = "#404040"
NONE_TOLD = "no value"


def write(layers: Mapping[str, GeoDataFrame], path: str | Path) -> None:
    """Write ``layers`` (AOI, PM, MA, GO) with lists of values and styles, whole or not at all."""
    with atomic(path) as partial:
        for name, layer in layers.items():
            layer.to_file(
                partial, driver="GPKG", layer=name, engine="pyogrio",
                geometry_type=GEOMETRY[name],
                promote_to_multi=GEOMETRY[name].startswith("Multi"),
                dataset_options={"VERSION": VERSION},
            )  # fmt: skip
        with closing(sqlite3.connect(partial)) as database, database:
            _add_lists(database, layers)
            _add_styles(database, layers)


def _add_lists(database: sqlite3.Connection, layers: Mapping[str, GeoDataFrame]) -> None:
    """What each field may hold, which GDAL and QGIS show as a list to choose from."""
    database.executescript(
        """
        CREATE TABLE IF NOT EXISTS gpkg_data_columns (
            table_name TEXT NOT NULL, column_name TEXT NOT NULL, name TEXT, title TEXT,
            description TEXT, mime_type TEXT, constraint_name TEXT,
            CONSTRAINT pk_gdc PRIMARY KEY (table_name, column_name),
            CONSTRAINT gdc_tn UNIQUE (table_name, name));
        CREATE TABLE IF NOT EXISTS gpkg_data_column_constraints (
            constraint_name TEXT NOT NULL, constraint_type TEXT NOT NULL, value TEXT,
            min NUMERIC, min_is_inclusive BOOLEAN, max NUMERIC, max_is_inclusive BOOLEAN,
            description TEXT,
            CONSTRAINT gdcc_ntv UNIQUE (constraint_name, constraint_type, value));
        CREATE TABLE IF NOT EXISTS gpkg_extensions (
            table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL,
            definition TEXT NOT NULL, scope TEXT NOT NULL,
            CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name));
        """
    )
    for table in ("gpkg_data_columns", "gpkg_data_column_constraints"):
        database.execute(
            "INSERT OR IGNORE INTO gpkg_extensions VALUES (?, NULL, 'gpkg_schema', "
            "'http://www.geopackage.org/spec121/#extension_schema', 'read-write')",
            (table,),
        )
    used = {column for layer in layers.values() for column in layer.columns}
    for name, values in LISTS.items():
        if name in used:
            database.executemany(
                "INSERT INTO gpkg_data_column_constraints VALUES (?, 'enum', ?, NULL, NULL, NULL, "
                "NULL, ?)",
                [(name.lower(), value, MEANINGS.get((name, value), value)) for value in values],
            )
    for name, (least, most) in RANGES.items():
        if name in used:
            database.execute(
                "INSERT INTO gpkg_data_column_constraints VALUES (?, 'range', NULL, ?, 1, ?, 1, "
                "NULL)",
                (name.lower(), least, most),
            )
    for table, layer in layers.items():
        for column in layer.columns:
            if column in LISTS or column in RANGES:
                database.execute(
                    "INSERT INTO gpkg_data_columns VALUES (?, ?, NULL, NULL, NULL, NULL, ?)",
                    (table, column, column.lower()),
                )


def _add_styles(database: sqlite3.Connection, layers: Mapping[str, GeoDataFrame]) -> None:
    """QGIS's own table, of which it takes a layer's style by default."""
    database.executescript(
        """
        CREATE TABLE layer_styles (
            id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256),
            f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
            styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN,
            description TEXT, owner TEXT(30), ui TEXT(30),
            update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')));
        INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id)
            VALUES ('layer_styles', 'attributes', 'layer_styles', '', 0);
        """
    )
    for table in layers:
        database.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
            "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, owner) "
            "VALUES ('', '', ?, 'geom', ?, ?, '', 1, '', '')",
            (table, table, f'<!DOCTYPE qgis>\n<qgis version="3.22">{renderer(table)}</qgis>'),
        )


def renderer(layer: str) -> str:
    """How QGIS draws ``layer``: a category a value, or one symbol."""
    kind = GEOMETRY[layer]
    if layer not in STYLES:
        symbol = _symbol("0", kind, PLAIN_COLOUR, hollow=True)
        return f'<renderer-v2 type="singleSymbol"><symbols>{symbol}</symbols></renderer-v2>'
    column, colours = STYLES[layer]
    # What has no value is drawn too: else an outline that an operator adds would vanish.
    colours = {**colours, "": PLAIN_COLOUR}
    categories = "".join(
        f"<category value={quoteattr(value)} label={quoteattr(value or NONE_TOLD)} "
        f'symbol="{k}" render="true"/>'
        for k, value in enumerate(colours)
    )
    symbols = "".join(_symbol(str(k), kind, colour) for k, colour in enumerate(colours.values()))
    return (
        f'<renderer-v2 type="categorizedSymbol" attr="{column}"><categories>{categories}'
        f"</categories><symbols>{symbols}</symbols></renderer-v2>"
    )


def _symbol(name: str, kind: str, colour: str, *, hollow: bool = False) -> str:
    """One symbol of QGIS."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    plain = f"{red},{green},{blue},255"
    if kind == "Point":
        options = {"color": plain, "name": "circle", "size": "2.4", "outline_color": "0,0,0,255"}
        return _layered(name, "marker", "SimpleMarker", options)
    options = {
        "color": f"{red},{green},{blue},110", "style": "no" if hollow else "solid",
        "outline_color": plain, "outline_width": "0.4", "outline_style": "solid",
    }  # fmt: skip
    return _layered(name, "fill", "SimpleFill", options)


def _layered(name: str, kind: str, of: str, options: Mapping[str, str]) -> str:
    listed = "".join(
        f'<Option name="{key}" value="{value}" type="QString"/>' for key, value in options.items()
    )
    return (
        f'<symbol name="{name}" type="{kind}" alpha="1" clip_to_extent="1" force_rhr="0">'
        f'<layer class="{of}" enabled="1" locked="0" pass="0"><Option type="Map">{listed}'
        "</Option></layer></symbol>"
    )
