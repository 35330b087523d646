"""The configuration: what to run, checked against the schemas before anything runs.

Imports only the standard library, PyYAML and jsonschema: Snakemake itself imports this module.
"""

from __future__ import annotations

import datetime
import difflib
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from rockglacier import citations
from rockglacier.errors import ConfigurationError

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "config" / "schema"
DATA = "${ROCKGLACIER_DATA}"
LANDSCAPE = "landscape"  # folder of what is simulated of a region
MINTPY_GEOMETRY = ("geometryGeo.h5", "geometryRadar.h5")

Settings = dict[str, Any]


def load(config: Mapping[str, Any], config_file: str | Path) -> dict[str, Settings]:
    """The settings of every region to run, complete: its file laid over the defaults.

    ``config`` is the content of ``config_file`` with what the command line changed. Paths in a
    region file are relative to it and come back absolute. A region of the default list whose
    sources need the folder of real data is left out, with a log line, where there is none.

    Raises
    ------
    ConfigurationError
        A key is unknown, missing or out of bounds, or a path does not exist.
    """
    where, plain = str(config_file), _plain(config)
    plain["regions"], plain["retrain"] = (_as_names(plain.get(k)) for k in ("regions", "retrain"))
    _validate(plain, schema("config"), where)
    _validate(plain["defaults"], _complete(schema("settings")), where, "defaults")
    _check_order(plain["defaults"], where, "defaults.")
    names = _names(plain["regions"])
    _validate(names, schema("config")["properties"]["regions"], where, "regions")
    by_default = names == _names(_as_names(read(config_file)["regions"]))
    regions = {}
    for name in names:
        path = _region_file(Path(plain["region_folder"]), name)
        region = _on_made_up_relief(read(path), name)
        if by_default and DATA in str(region) and not data_folder().is_dir():
            logger.warning(
                "region %s is left out: its data would be in %s (set ROCKGLACIER_DATA)",
                name,
                data_folder(),
            )
            continue
        made = Path(plain["results"]) / name / LANDSCAPE
        regions[name] = _region(region, path, plain["defaults"], made)
        model, models = regions[name]["model"], plain.get("models", {})
        if model and model not in models:
            raise ConfigurationError(
                f"{path}: model {model!r} is none of models in {where} (there: "
                f"{', '.join(models) or 'none'}); name one of them, or a model_file."
            )
    if not regions:
        raise ConfigurationError(
            f"{where}: every region needs data that are not in {data_folder()}; set "
            "ROCKGLACIER_DATA, or add a region of your own."
        )
    return regions


def _on_made_up_relief(region: Settings, name: str) -> Settings:
    """``region``, whose landscape lies on made-up mountains where there are no real data."""
    landscape = region.get("landscape")
    if not isinstance(landscape, dict) or DATA not in str(landscape.get("relief")):
        return region
    if data_folder().is_dir():
        return region
    logger.warning("region %s: made-up relief, for want of data in %s", name, data_folder())
    return {**region, "landscape": {**landscape, "relief": None}}


def load_models(config: Mapping[str, Any], config_file: str | Path) -> dict[str, Settings]:
    """The settings of every model of ``config``, complete; as in :func:`load`.

    Raises
    ------
    ConfigurationError
        A key is unknown, missing or out of bounds; a model to retrain is not there.
    """
    models, where = _plain(config)["models"], str(config_file)
    found = {}
    for name, given in models.items():
        _validate(given, schema("model"), where, f"models.{name}")
        found[name] = _defaults(schema("model")) | given
    for name in names_in(config.get("retrain")):
        if name not in found:
            raise ConfigurationError(
                f"{where}: model {name!r} is to be retrained, but models holds "
                f"{', '.join(found) or 'none'}."
            )
    return found


def names_in(value: Any) -> list[str]:
    """Names of a list, or separated by commas."""
    return _names(_as_names(_plain(value))) if value else []


def read(path: str | Path) -> Settings:
    """The mapping in the YAML file at ``path``; ConfigurationError where it is not one."""
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}).") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(
            f"{path} holds {_show(content)}, but keys and values are needed (see config/schema/)."
        )
    return content


def data_folder() -> Path:
    """Where the real data lie: ROCKGLACIER_DATA, else ``shared/data`` beside the checkout."""
    named = os.environ.get("ROCKGLACIER_DATA")
    return Path(named or ROOT.parent / "shared" / "data").absolute()


@cache
def schema(name: str) -> Settings:
    """The JSON schema ``config/schema/<name>.yaml``."""
    return read(SCHEMAS / f"{name}.yaml")


def entry_schema(kind: str, source: str) -> Settings:
    """The schema of an entry of ``kind`` (track, images) that is read from ``source``."""
    node = {"type": "object", "additionalProperties": False, **schema(kind)["$defs"][source]}
    if kind == "images":  # of which one may depart from the region's offsets
        own = dict(schema("settings")["properties"]["offsets"]["properties"])
        del own["step_pixels"]  # places are the region's
        offsets = {**node["properties"]["offsets"], "properties": own}
        offsets["additionalProperties"] = False
        node["properties"] = {**node["properties"], "offsets": offsets}
    return node


def source_paths(track: Mapping[str, Any]) -> list[Path]:
    """Files and folders that a ``track`` of :func:`load` is read from; they need not exist.

    Its path, what its keys name outside of that, and what the reader looks for beside it.
    """
    if "path" not in track:  # simulated
        return []
    if track["source"] in ("scenes", "grd"):
        return [Path(track[key]) for key in ("path", "orbits") if track.get(key)]
    path, source = Path(track["path"]), track["source"]
    found = [path]
    if source == "isce2":
        merged = path / "merged" if (path / "merged").is_dir() else path
        found = [merged, merged.parent / "baselines", merged.parent / "reference"]
    elif path.is_file() and source in ("mintpy", "displacement"):
        places = (path.parent, path.parent / "inputs")
        found += [place / name for place in places for name in MINTPY_GEOMETRY]
    beside = source == "displacement" and not track.get("displacement")
    folder = path.parent if beside else path
    for key, node in entry_schema("track", source)["properties"].items():
        if key != "path" and re.match("path|file|pattern", node["unit"]) and track.get(key):
            named = track[key].values() if isinstance(track[key], Mapping) else [track[key]]
            found += [folder / _fixed(str(name)) for name in named]
    inside = {p for p in found if found[0] in p.parents and ".." not in p.parts}
    return list(dict.fromkeys(p for p in found if p not in inside))


def _fixed(pattern: str) -> str:
    """The folder that all files of a ``pattern`` lie below; a name without wildcards as it is."""
    start = re.split(r"[*?{]", pattern, maxsplit=1)[0]
    return pattern if start == pattern else start.rpartition("/")[0]


class _Made(str):
    """A path that the workflow will make."""


def _located(region: Settings, made: Path) -> Settings:
    """``region`` with what it names ``landscape/…`` below ``made``, where it has a landscape."""
    if "landscape" not in region:
        return region

    def locate(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: locate(v) for k, v in value.items()}
        if isinstance(value, str) and value.startswith(f"{LANDSCAPE}/"):
            return _Made(made / value.removeprefix(f"{LANDSCAPE}/"))
        return value

    return {k: locate(v) for k, v in region.items()}


class _Loader(yaml.SafeLoader):
    """YAML whose keys and dates stay text, and whose repeated keys are errors."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"  # a track may be named 2020, or on
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} occurs twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _plain(value: Any) -> Any:
    """``value`` of plain dicts and lists, dates as text."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


def _as_names(regions: Any) -> Any:
    """Names that YAML or the command line took for whole numbers as text again."""
    if isinstance(regions, list):
        return [_as_names(name) for name in regions]
    return str(regions) if type(regions) is int else regions


def _names(regions: str | list[str]) -> list[str]:
    listed = regions.split(",") if isinstance(regions, str) else regions
    return [name.strip() for name in listed if name.strip()]


def _region_file(folder: Path, name: str) -> Path:
    if not folder.is_dir():  # the working directory is not the checkout
        folder = ROOT / folder
    path = folder / f"{name}.yaml"
    if not path.is_file():
        present = sorted(p.stem for p in folder.glob("*.yaml"))
        near = difflib.get_close_matches(name, present, 1)
        raise ConfigurationError(
            f"region {name!r} has no file {path}; "
            + (f"did you mean {near[0]!r}? " if near else "")
            + f"Present there: {', '.join(present) or 'none'}."
        )
    return path.absolute()


def _region(region: Settings, path: Path, defaults: Settings, made: Path) -> Settings:
    """The settings of a region file, complete; ``made``: where its landscape comes to lie."""
    where = str(path)
    region = _located(region, made)
    own = schema("region")["properties"]
    settings = schema("settings")["properties"]
    _validate(region, {**schema("region"), "properties": {**own, **settings}}, where)
    merged = _merge(defaults, {k: v for k, v in region.items() if k in settings})
    if not ("tracks" in region or "images" in region or _stands_alone(region, merged)):
        raise ConfigurationError(
            f"{where}: tracks is missing; needed: {own['tracks']['description'].rstrip('.')}; or "
            "images, optical scenes; or dem and area, and what to make of them: factors, a model, "
            "or optical."
        )
    _check_order(merged, where)
    landscape = region.get("landscape")
    if landscape is not None:
        node = schema("landscape")
        _validate(landscape, node, where, "landscape")
        landscape = _resolve(_defaults(node) | landscape, node, path, "landscape")
        if merged["area"] is None:
            raise ConfigurationError(f"{where}: landscape needs area, which it is made over.")
    tracks = {}
    for name, track in region.get("tracks", {}).items():
        key = f"tracks.{name}"
        tracks[name] = _entry(track, "track", path, key)
        _check_scenes(tracks[name], merged, where, key)
        if track["source"] == "landscape_scenes" and landscape is None:
            raise ConfigurationError(f"{where}: {key}.source needs landscape; describe one.")
    images = {}
    for name, entry in region.get("images", {}).items():
        key = f"images.{name}"
        images[name] = _entry(entry, "images", path, key)
        images[name]["offsets"] = _merge(merged["offsets"], images[name]["offsets"])
        _check_images(images[name], merged, tracks, where, key)
    optical = {}
    for name, entry in region.get("optical", {}).items():
        key = f"optical.{name}"
        optical[name] = _entry(entry, "optical", path, key)
        if merged["dem"] is None and not tracks:
            raise ConfigurationError(
                f"{where}: {key} needs dem, which tells what lies in shadow; name one."
            )
    climate = region.get("climate") and _entry(region["climate"], "climate", path, "climate")
    for key in ("climate", "glaciers") if merged["dem"] is None and not tracks else ():
        if region.get(key):
            raise ConfigurationError(
                f"{where}: {key} needs dem, or a track with heights; name one."
            )
    labels = region.get("labels")
    if labels is not None:
        _validate(labels, schema("labels"), where, "labels")
        labels = _resolve(_defaults(schema("labels")) | labels, schema("labels"), path, "labels")
        if labels["column"] is None and len(labels["kinds"]) > 1:
            raise ConfigurationError(
                f"{where}: labels.kinds names {', '.join(labels['kinds'])}, but no labels.column "
                "tells them apart; name it."
            )
    given = region.get("citations", [])
    cited = [
        _resolve(entry, {"path": entry.endswith(citations.SUFFIX)}, path, "citations")
        for entry in ([given] if isinstance(given, str) else given)
    ]
    citations.check(cited, where)
    found = _resolve(merged, schema("settings"), path, "")
    entries = {"tracks": tracks, "images": images, "optical": optical, "climate": climate}
    entries |= {"labels": labels, "landscape": landscape, "citations": cited}
    return {"name": region["name"], "file": where, **entries, **found}


def _stands_alone(region: Settings, settings: Settings) -> bool:
    """Whether a region without anything that moves has a place, heights and a product."""
    made = settings["factors"] or settings["model"] or settings["model_file"]
    return bool(settings["dem"] and settings["area"] and (made or region.get("optical")))


def _entry(given: Settings, kind: str, path: Path, key: str) -> Settings:
    """One entry of a region file, complete; ``kind`` names the schema that lists its sources."""
    source = given.get("source")
    _validate({"source": source} if "source" in given else {}, _sources(kind), str(path), key)
    needed = entry_schema(kind, str(source))
    _validate(given, needed, str(path), key)
    return dict(_resolve(_merge(_defaults(needed), given), needed, path, key))


def _defaults(node: Settings) -> Settings:
    """What keys of the schema ``node`` are where they are not given."""
    return {k: p["default"] for k, p in node["properties"].items() if "default" in p}


def _check_images(
    images: Settings, settings: Settings, tracks: Settings, where: str, key: str
) -> None:
    """What images need of the region's settings, and the order of their own."""
    if not (settings["stable_ground"] or settings["moving_areas"]):
        raise ConfigurationError(
            f"{where}: {key} needs stable_ground, or moving_areas outside of which ground is "
            "stable: what offsets show there is their bias; name one of them."
        )
    if settings["dem"] is None:
        raise ConfigurationError(
            f"{where}: {key} needs dem, along whose surface motion is told; name one."
        )
    if images["pair_days"][0] >= images["pair_days"][1]:
        raise ConfigurationError(
            f"{where}: {key}.pair_days is {images['pair_days']}; the first must be the lower."
        )
    _check_chips(images["offsets"], where, f"{key}.")
    if images["source"] == "slc":
        scenes = [n for n, t in tracks.items() if t["source"] in citations.RAW]
        if images["track"] not in scenes:
            raise ConfigurationError(
                f"{where}: {key}.track is {_show(images['track'])}; needed: a track of raw scenes, "
                f"of which there are: {', '.join(scenes) or 'none'}."
            )


def _check_scenes(track: Settings, settings: Settings, where: str, key: str) -> None:
    """What raw scenes need of the region's settings."""
    needed = {"scenes": ["dem", "dem_datum"], "grd": ["dem", "dem_datum"]}
    needed |= {"simulated_scenes": ["area"], "landscape_scenes": ["dem", "dem_datum"]}
    for name in needed.get(track["source"], []):
        if settings[name] is None:
            about = schema("settings")["properties"][name]["description"].rstrip(".")
            raise ConfigurationError(
                f"{where}: {key}.source is {track['source']!r}, which needs {name}: {about}."
            )


def _sources(kind: str) -> Settings:
    return {
        "type": "object",
        "required": ["source"],
        "properties": {
            "source": {
                "description": f"Reader of the {kind}",
                "enum": list(schema(kind)["$defs"]),
            }
        },
    }


def _merge(base: Settings, over: Settings) -> Settings:
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _merge(out[key], value) if both else value
    return out


def _complete(node: Settings) -> Settings:
    """The schema ``node`` with every key required."""
    if "properties" not in node:
        return node
    children = {k: _complete(v) for k, v in node["properties"].items()}
    return {**node, "properties": children, "required": list(children)}


def _resolve(value: Any, node: Settings, file: Path, key: str) -> Any:
    """``value`` with every path that its schema marks made absolute; each must exist."""
    if isinstance(value, dict):
        children = node.get("properties", {})
        return {
            k: _resolve(v, children.get(k, {}), file, f"{key}.{k}".lstrip("."))
            for k, v in value.items()
        }
    if not node.get("path") or value is None:
        return value
    if isinstance(value, _Made):
        return str(value)
    path = Path(str(value).replace(DATA, str(data_folder()))).expanduser()
    path = Path(os.path.normpath(file.parent / path))
    if not path.exists():
        raise ConfigurationError(
            f"{file}: {key} is {value!r}, but {path} does not exist; "
            "paths are relative to the region file."
        )
    return str(path)


def _check_order(settings: Settings, where: str, prefix: str = "") -> None:
    """What JSON schema cannot say: which of two values is the greater."""
    ascending: dict[str, Any] = {
        "period": settings["period"],
        "corrections.ring_m": settings["corrections"]["ring_m"],
        "area (west, east)": settings["area"] and settings["area"][::2],
        "area (south, north)": settings["area"] and settings["area"][1::2],
    }
    for key, values in ascending.items():
        if values and values[0] >= values[1]:
            raise ConfigurationError(
                f"{where}: {prefix}{key} is {values}; the first must be below the second."
            )
    _check_chips(settings["offsets"], where, prefix)
    if settings["reference"]["window_pixels"] % 2 == 0:
        raise ConfigurationError(
            f"{where}: {prefix}reference.window_pixels is {settings['reference']['window_pixels']};"
            " it must be odd, so that the window has a centre."
        )


def _check_chips(offsets: Settings, where: str, prefix: str) -> None:
    chips = offsets["chips"]
    if chips != sorted(chips):
        raise ConfigurationError(f"{where}: {prefix}offsets.chips is {chips}; they must ascend.")


def _validate(instance: Any, node: Settings, where: str, prefix: str = "") -> None:
    errors = sorted(Draft202012Validator(node).iter_errors(instance), key=lambda e: list(e.path))
    if errors:
        listed = "\n  ".join(line for error in errors for line in _explain(error, prefix))
        raise ConfigurationError(
            f"{where}:\n  {listed}" if len(errors) > 1 else f"{where}: {listed}"
        )


def _explain(error: ValidationError, prefix: str) -> Iterator[str]:
    """What was found, what is needed, and the nearest valid name of an unknown key."""
    parts = [prefix, *map(str, error.absolute_path)]
    key = ".".join(p for p in parts if p)
    node: Settings = dict(error.schema) if isinstance(error.schema, Mapping) else {}
    found: Any = error.instance
    needed: Any = error.validator_value
    if error.validator == "additionalProperties":
        valid = list(node["properties"])
        for name in found:
            if name not in valid:
                near = difflib.get_close_matches(str(name), valid, 1, cutoff=0.5)
                full = f"{key}.{name}".lstrip(".")
                hint = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(valid)}."
                yield f"{full} is unknown; {hint}"
    elif error.validator == "required":
        for name in needed:
            if name not in found:
                about = node["properties"][name].get("description", "")
                yield f"{key}.{name}".lstrip(".") + f" is missing; needed: {about.rstrip('.')}."
    else:
        about = node.get("description", "").rstrip(".")
        unit = f" [{node['unit']}]" if "unit" in node else ""
        need = f"{_needed(error)}{unit}" + (f": {about}" if about else "")
        near = []
        if error.validator == "enum":
            near = difflib.get_close_matches(str(found), map(str, node["enum"]), 1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        yield f"{key or 'it'} is {_show(found)}; needed: {need}{hint}"


def _needed(error: ValidationError) -> str:
    value: Any = error.validator_value
    node: Any = error.schema
    names = {"null": "null (empty)", "array": "a list", "object": "keys and values"}
    names |= {"string": "text", "number": "a number", "integer": "a whole number"}
    names |= {"boolean": "true or false"}
    if error.validator == "type":
        return " or ".join(names[t] for t in ([value] if isinstance(value, str) else value))
    phrases: dict[str, Callable[[], str]] = {
        "enum": lambda: "one of " + ", ".join(_show(v) for v in value),
        "minimum": lambda: f"at least {value}",
        "maximum": lambda: f"at most {value}",
        "exclusiveMinimum": lambda: f"more than {value}",
        "minItems": lambda: f"at least {value} values",
        "maxItems": lambda: f"at most {value} values",
        "pattern": lambda: str(node["form"]),  # in words, beside each pattern of the schemas
        "uniqueItems": lambda: "each value once",
        "minLength": lambda: "text that is not empty",
        "minProperties": lambda: f"at least {value} entry",
    }
    known = phrases.get(str(error.validator))
    return known() if known else error.message


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "empty" if value is None else repr(value)
