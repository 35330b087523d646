"""What a region's products rest on: BibTeX of the data and methods that it used, and of no other.

Which they are follows from the region's settings alone. Known references are entries of
``references.bib``; a region brings its own. Imports only the standard library: Snakemake itself
imports this module.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rockglacier.errors import ConfigurationError

REFERENCES = Path(__file__).with_name("references.bib")
SUFFIX = ".bib"  # of files; what has another end is a key

Settings = Mapping[str, Any]
Uses = Iterator[tuple[str, str]]  # what for, and keys separated by spaces
Listing = Callable[[str], Iterable[str]]  # names of the files below a folder

RAW = ("scenes", "simulated_scenes", "landscape_scenes")  # geocoded here
WITHOUT_PAIRS = ("displacement", "grd")
OF_SENTINEL1 = ("scenes", "grd", "geocoded", "hyp3", "licsar", "isce2")
MADE_ELSEWHERE = {
    "hyp3": ("interferograms of HyP3", "hogenson2020"),
    "licsar": ("interferograms of LiCSAR", "lazecky2020"),
    "isce2": ("interferograms of ISCE2's topsStack", "rosen2012 fattahi2017"),
    "mintpy": ("a stack of interferograms as MintPy keeps it", "yunjun2019"),
}
# Scenes of Landsat before Collection 2 have no identifier of their own.
OF_SCENES = {
    "landsat": [
        (r"^L[CO]0[89]_L1\w\w_\d{6}_\d{8}_\d{8}_02_", "eros2020level1"),
        (r"^L[CO]0[89]_L2\w\w_\d{6}_\d{8}_\d{8}_02_", "eros2020level2"),
    ],
    "sentinel2": [(r"MSIL1C_", "esa2021level1c"), (r"MSIL2A_", "esa2021level2a")],
}
MISSIONS = {"landsat": "roy2014", "sentinel2": "drusch2012"}
# Files that are known by the names under which they are delivered.
OF_FILES = [
    (r"copernicus_dsm|cop_?dem|glo-?30|cop30", "esa2022dem"),
    (r"srtm", "farr2007"),
    (r"rgi2000-v7|rgi_?7", "rgi2023"),
    (r"rgi_?60", "rgi2017"),
    (r"tprogi", "sun2024"),
    (r"gacos", "yu2018"),
    (r"era5.?land", "munozsabater2021"),
    (r"era5(?!.?land)", "hersbach2020"),
]
TREND = "theil1992 sen1968 mann1945 hamed1998 yue2004 kendall1954 floyd1975 benjamini1995"
CLASSIFIERS = {
    "logistic regression": "hastie2009",
    "random forest": "breiman2001",
    "gradient boosting": "friedman2001",
    "frequency ratio": "lee2005",
    "weights of evidence": "bonhamcarter1989",
}


@dataclass(frozen=True)
class Bibliography:
    """Entries of BibTeX files by key, as written, and what else a file holds (@string and such)."""

    entries: dict[str, str] = field(default_factory=dict)
    fields: dict[str, dict[str, str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def parse(text: str, where: str) -> Bibliography:
    """The BibTeX in ``text``; ``where`` names it in messages.

    Raises
    ------
    ConfigurationError
        It is not BibTeX: with the line, what was found there and what is needed.
    """
    found = Bibliography()
    place = 0
    while (place := text.find("@", place)) >= 0:
        if text.rfind("%", text.rfind("\n", 0, place) + 1, place) >= 0:  # in a comment
            place += 1
            continue
        start = place
        kind, place = _kind_and_end(text, start, where)
        if kind in ("string", "preamble"):
            found.others.append(text[start:place])
        elif kind != "comment":
            _add_entry(found, text[start:place], where, _line(text, start))
    return found


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _kind_and_end(text: str, start: int, where: str) -> tuple[str, int]:
    """The type of the entry that begins at ``start``, and the place behind its last brace."""
    head = re.compile(r"@\s*(\w+)\s*([{(])").match(text, start)
    if head is None:
        found = text[start:].split("\n", 1)[0][:40]
        raise ConfigurationError(
            f"{where}, line {_line(text, start)}: {found!r} is no entry; needed: "
            "@type{key, field = {value}, …}. Outside of entries @ may stand in comments (%) alone."
        )
    depth = 0
    for mark in re.compile(r"[{}()]|^[ \t]*@\s*\w+\s*[{(]", re.M).finditer(text, head.end()):
        sign = mark[0]
        if sign.lstrip().startswith("@"):
            break  # the next entry, before this one has ended
        if depth == 0 and sign == {"{": "}", "(": ")"}[head[2]]:
            return head[1].lower(), mark.end()
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if depth < 0:
            break
    name = text[start:].split("\n", 1)[0].strip()
    raise ConfigurationError(
        f"{where}, line {_line(text, start)}: the braces of {name!r} do not match; every {{ "
        "needs its }."
    )


def _add_entry(found: Bibliography, entry: str, where: str, line: int) -> None:
    """``entry`` taken apart into ``found``."""
    body = re.match(r"@\s*\w+\s*[{(]\s*([^\s,{}()=\"#%~\\]+)\s*,(.*)[})]$", entry, re.S)
    if body is None:
        raise ConfigurationError(
            f"{where}, line {line}: {entry.split(chr(10), 1)[0]!r} has no key, or no field; "
            "needed: @type{key, field = {value}, …}."
        )
    key, rest = body[1], body[2]
    if key.lower() in map(str.lower, found.entries):
        raise ConfigurationError(f"{where}, line {line}: key {key!r} occurs twice; rename one.")
    fields: dict[str, str] = {}
    place = 0
    while rest[place:].strip():
        named = re.compile(r"\s*([A-Za-z][\w:.+/-]*)\s*=\s*").match(rest, place)
        value = named and _value(rest, named.end())
        if not (named and value):
            near = rest[place:].strip().split("\n", 1)[0][:40]
            raise ConfigurationError(
                f"{where}, line {line}: in {key!r}, at {near!r}, a field is needed, as "
                "title = {…}, with a comma after it."
            )
        place, fields[named[1].lower()] = value
    found.entries[key] = entry
    found.fields[key] = fields


def _value(text: str, place: int) -> tuple[int, str] | None:
    """The place behind the value at ``place`` and its comma, and its text; None without one."""
    parts = []
    while True:
        start = place
        if text.startswith(("{", '"'), place):
            depth, quoted = 0, text[place] == '"'
            for mark in re.compile(r'[{}"]').finditer(text, place + quoted):
                depth += {"{": 1, "}": -1}.get(mark[0], 0)
                if depth == 0 and mark[0] == ('"' if quoted else "}"):
                    place = mark.end()
                    break
            if place == start:
                return None
            parts.append(text[start + 1 : place - 1])
        else:
            plain = re.compile(r"\d+|[A-Za-z][\w:.+/-]*").match(text, place)
            if plain is None:
                return None
            parts.append(plain[0])
            place = plain.end()
        after = re.compile(r"\s*(#\s*|,|\Z)").match(text, place)
        if after is None:
            return None
        place = after.end()
        if not after[1].startswith("#"):
            return place, re.sub(r"\s+", " ", "".join(parts))


def read(path: Path) -> Bibliography:
    """The BibTeX file at ``path``; ConfigurationError as in :func:`parse`."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error}); needed: a BibTeX file in UTF-8."
        ) from error


@cache
def known() -> Bibliography:
    """All that this project may cite."""
    return read(REFERENCES)


@dataclass(frozen=True)
class Region:
    """A region and how it is told what it used.

    ``settings`` are its own, ``models`` those of all models, both complete
    (:mod:`rockglacier.configuration`). ``listing`` tells the names of the files of a source, by
    which levels and collections of optical scenes are known.
    """

    name: str
    settings: Settings
    models: Mapping[str, Settings]
    listing: Listing = lambda folder: ()

    def __getitem__(self, key: str) -> Any:
        return self.settings[key]

    def tracks(self, *sources: str) -> list[Settings]:
        """Tracks that are read from one of ``sources``."""
        return [track for track in self["tracks"].values() if track["source"] in sources]

    def others(self, *sources: str) -> list[Settings]:
        """Tracks that are read from none of ``sources``."""
        return [track for track in self["tracks"].values() if track["source"] not in sources]

    @property
    def moving(self) -> list[Settings]:
        """Tracks that show motion."""
        return self.others("grd")

    @property
    def interfered(self) -> list[Settings]:
        """Tracks whose interferograms this project makes by itself."""
        tracks = self.tracks(*RAW, "geocoded")
        return [track for track in tracks if track.get("engine", "geocoded") == "geocoded"]

    @property
    def by_isce2(self) -> list[Settings]:
        """Tracks whose interferograms it has made by ISCE2."""
        return [track for track in self.tracks(*RAW) if track["engine"] == "isce2"]

    @property
    def has_velocity(self) -> bool:
        """Whether anything shows motion."""
        return bool(self.moving or self["images"])

    @property
    def has_model(self) -> bool:
        """Whether a model tells the kind of ground."""
        return bool(self["model"] or self["model_file"])

    @property
    def model(self) -> Settings | None:
        """How its model is trained; None where it has none, or a file of one."""
        return None if self["model_file"] else self.models.get(self["model"] or "")

    @property
    def trains(self) -> bool:
        """Whether its labels train a model."""
        named = any(self.name in how["regions"] for how in self.models.values())
        return self["labels"] is not None and named

    @property
    def is_judged(self) -> bool:
        """Whether its labels tell how right its map is."""
        return self["labels"] is not None and self.has_model

    @property
    def has_factors(self) -> bool:
        """Whether factors are gathered: for themselves, for a model, or to train one."""
        return bool(self["factors"] or self.has_model or self.trains)

    def is_made(self, path: str | None) -> bool:
        """Whether ``path`` is simulated with the region's landscape."""
        return self["landscape"] is not None and "landscape" in Path(str(path)).parts

    def files(self) -> dict[str, str]:
        """Files that it reads beside tracks and scenes, by the key that names them."""
        climate, labels, corrections = self["climate"], self["labels"], self["corrections"]
        found = {
            "dem": self["dem"],
            "landscape.relief": (self["landscape"] or {}).get("relief"),
            "glaciers": self["glaciers"] if self.has_factors else None,
            "climate": climate["path"] if climate and self.has_factors else None,
            "labels": labels["path"] if self.trains or self.is_judged else None,
            "stable_ground": self["stable_ground"],
            "moving_areas": self["moving_areas"],
            "corrections.delays": corrections["delays"] if self.moving else None,
            "model_file": self["model_file"],
            "inventory.reviewed": self["inventory"]["reviewed"],
        }
        return {key: path for key, path in found.items() if path and not self.is_made(path)}


def choose(region: Region) -> dict[str, str]:
    """Keys of :func:`known` references that ``region`` used, and what for."""
    uses: dict[str, list[str]] = {}
    for part in PARTS:
        for purpose, keys in part(region):
            for key in keys.split():
                uses.setdefault(key, []).append(purpose)
    return {key: "; ".join(dict.fromkeys(purposes)) for key, purposes in uses.items()}


def wording(keys: Iterable[str]) -> str:
    """Digest of the entries of ``keys``, for rules: Snakemake does not watch their file."""
    text = "".join(known().entries[key] for key in keys)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def untold(region: Region) -> list[str]:
    """Data of ``region`` whose origin its settings do not tell: the key and the file's name."""
    found = {
        f"tracks.{name}": track["path"]
        for name, track in region["tracks"].items()
        if track["source"] in ("geotiff", "mintpy", "displacement")
    } | region.files()
    names = {key: Path(path).name for key, path in found.items()}
    return [f"{key} ({name})" for key, name in names.items() if not _known_by_name(name)]


def elsewhere(region: Region) -> list[str]:
    """Other regions that train the model of ``region``: what they used serves here too."""
    return [name for name in region.model["regions"] if name != region.name] if region.model else []


def own_files(settings: Settings) -> list[str]:
    """BibTeX files among a region's ``citations``."""
    return [entry for entry in settings["citations"] if entry.endswith(SUFFIX)]


def check(entries: Iterable[str], where: str) -> None:
    """ConfigurationError where one of a region's ``citations`` is not known, or no BibTeX."""
    seen: dict[str, str] = {}
    for entry in entries:
        if entry.endswith(SUFFIX):
            for key in read(Path(entry)).entries:
                if key.lower() in seen:
                    raise ConfigurationError(
                        f"{where}: citations: key {key!r} occurs in {seen[key.lower()]} and in "
                        f"{entry}; rename one."
                    )
                seen[key.lower()] = entry
        elif entry not in known().entries:
            near = difflib.get_close_matches(entry, known().entries, 1)
            hint = f"did you mean {near[0]!r}? Else" if near else "see references.bib, or"
            raise ConfigurationError(
                f"{where}: citations names {entry!r}, which this project does not know; {hint} "
                f"name a BibTeX file that ends in {SUFFIX}."
            )


def render(
    name: str,
    used: Mapping[str, str],
    *,
    untold: Iterable[str] = (),
    elsewhere: Iterable[str] = (),
    own: Iterable[str | Path] = (),
) -> str:
    """The file of the region ``name``: each entry below what it served for.

    ``used`` as of :func:`choose`. Entries of the files ``own`` follow; where they have a key of
    this project's, they stand in its place.
    """
    files = {str(path): read(Path(path)) for path in own}
    replaced = {key.lower() for file in files.values() for key in file.entries}
    lines = [f"% What the region {name} used: data, methods, software."]
    if missing := list(untold):
        lines.append(
            "% Data whose origin their names do not tell (citations of the region's file may):"
        )
        lines += [f"%   {entry}" for entry in missing]
    if others := list(elsewhere):
        lines.append(
            f"% Its model was trained on other regions too: cite what {_and(others)} used."
        )
    blocks = ["\n".join(_plain(line) for line in lines)]
    blocks += [
        f"{_plain(f'% {purpose}')}\n{known().entries[key]}"
        for key, purpose in used.items()
        if key.lower() not in replaced
    ]
    for path, file in files.items():
        blocks += file.others
        origin = _plain(f"% {Path(path).name}")
        blocks += [f"{origin}\n{entry}" for entry in file.entries.values()]
    return "\n\n".join(blocks) + "\n"


def _plain(comment: str) -> str:
    """``comment`` without what BibTeX would take for an entry."""
    return comment.replace("@", "(at)")


def _and(names: list[str]) -> str:
    return " and ".join(names)


def _known_by_name(name: str) -> str:
    """The key of a file that is known by its ``name``; empty where it is not."""
    return next((key for form, key in OF_FILES if re.search(form, name.lower())), "")


def _itself(region: Region) -> Uses:
    yield "this workflow", "rockglacier"


def _radar_data(region: Region) -> Uses:
    for track in region["tracks"].values():
        if track["source"] in OF_SENTINEL1 and not region.is_made(track["path"]):
            yield "radar data", "esa2014 torres2012"
        if track["source"] in MADE_ELSEWHERE:
            yield MADE_ELSEWHERE[track["source"]]


def _optical_data(region: Region) -> Uses:
    for scenes in region["images"].values():
        source = scenes["source"]
        if source in MISSIONS and not region.is_made(scenes["path"]):
            yield "optical images", MISSIONS[source]
            names = list(region.listing(scenes["path"]))
            for form, key in OF_SCENES[source]:
                if any(re.search(form, part) for name in names for part in name.split("/")):
                    yield "optical images", key
    levels = {"landsat": "eros2020level2", "sentinel2": "esa2021level2a"}
    for scenes in region["optical"].values():
        if not region.is_made(scenes["path"]):
            yield "surface reflectance", f"{MISSIONS[scenes['source']]} {levels[scenes['source']]}"


def _other_data(region: Region) -> Uses:
    for key, path in region.files().items():
        if known := _known_by_name(Path(path).name):
            yield f"{key}, told by the name of {Path(path).name}", known


def _named(region: Region) -> Uses:
    for entry in region["citations"]:
        if not entry.endswith(SUFFIX):
            yield "named by the region's file", entry


def _simulation(region: Region) -> Uses:
    if region.tracks("simulated"):
        yield (
            "simulated stack: noise, delays, terrain, motion, coherence",
            "goodman1963 hanssen2001 treuhaft1987 turcotte1997 nye1965 morishita2015",
        )
    if region.tracks("simulated_scenes"):
        yield "simulated scenes: coherence", "morishita2015"
    if region["landscape"] is not None:
        yield "simulated landscape: its objects", "sun2024 haeberli2024 rgik2023"
        yield (
            "simulated landscape: coherence, wet snow, brightness of snow",
            "morishita2015 nagler2000 warren1982",
        )


def _scenes(region: Region) -> Uses:
    raw = region.tracks(*RAW)
    if raw:
        yield (
            "geocoding of bursts: azimuth carrier, interpolation",
            "miranda2017 yen1956 hanssen1999",
        )
    if any(track["bistatic"] != "none" for track in raw):
        yield "geocoding of bursts: timing of lines", "gisinger2021"
    if isce2 := region.by_isce2:
        yield "interferograms by ISCE2's topsStack", "rosen2012 fattahi2017"
        yield "unwrapping (snaphu of ISCE2)", "chen2001"
        if any(track["coregistration"] == "nesd" for track in isce2):
            yield "coregistration by enhanced spectral diversity", "pratsiraola2012 fattahi2017"


def _interferograms(region: Region) -> Uses:
    made = region.interfered
    if made:
        yield "coherence of blocks of pixels", "touzi1999"
        yield "unwrapping: costs; tiles and their joints", "chen2001 chen2002"
    for track in made:
        if track["unwrapper"] == "whirlwind":
            yield "unwrapping (whirlwind)", "staniewicz2025"
        else:
            yield "unwrapping (snaphu)", "gunter2023"
    if any(track["goldstein"] > 0 for track in (*made, *region.by_isce2)):
        yield "adaptive filter of interferograms", "goldstein1998"


def _series(region: Region) -> Uses:
    if not region.others(*WITHOUT_PAIRS):
        return
    inversion, unwrapping = region["inversion"], region["unwrapping"]
    yield "phase noise from coherence and looks", "goodman1963 rodriguez1992 touzi1999"
    if inversion["weighting"] == "variance":
        yield "weights of the inversion: phase variance", "goodman1963 rodriguez1992"
    if region["network"]["min_coherence"] > 0:
        yield "spanning tree of the network", "yunjun2019"
    if unwrapping["resolve_motion"]:
        yield "motion that a pair cannot resolve", "wirz2016"
    yield "closures of triplets", "yunjun2019"
    if unwrapping["max_cycles"] > 0:
        yield "repair of unwrapping errors", "yunjun2019 besag1986 erisman1975"
    yield "inversion to time series (SBAS)", "berardino2002 tinney1967"
    yield "temporal coherence", "pepe2006"
    yield "error of the velocity: seasons without pairs", "wirz2016"
    if region["velocity"]["screen_aliasing"]:
        yield "screen of motion that coherence tells of", "zebker1992"


def _velocity(region: Region) -> Uses:
    moving, corrections = region.moving, region["corrections"]
    if region["tracks"] or region["images"]:
        yield "slope and aspect", "horn1981"
    if region["tracks"]:
        yield "layover and shadow", "kropatsch1990"
    if not moving:
        return
    if corrections["delays"]:
        yield "delays of the troposphere along the line of sight", "yu2018"
    kept = {"auto": ", kept where it helps (corrections.json)"}
    if corrections["height"]:
        yield (
            f"delays that follow height{kept.get(corrections['height'], '')}",
            "doin2009 holland1977",
        )
    if corrections["ramp"] != "none":
        yield "ramps", "holland1977"
    if corrections["dem_error"]:
        yield f"error of the DEM{kept.get(corrections['dem_error'], '')}", "fattahi2013"
    if corrections["local_reference"]:
        yield "local reference: median of the ring", "batcher1968"
    yield "velocity and its error", "patterson1971 zhou2019 bartlett1935"
    yield "downslope velocity and its error", "liu2013 notti2014 norgaard2000"
    if len(moving) > 1:
        yield "tracks that contradict each other", "birge1932"


def _offsets(region: Region) -> Uses:
    for images in region["images"].values():
        yield "offset tracking", "baker2004 pan2013 white1980"
        yield "offset tracking: outliers", "lei2021 westerweel2005"
        yield "offset tracking: bias on stable ground", "scherler2008 holland1977"
        yield "inversion of offsets, and their error", "tinney1967 patterson1971 zhou2019"
        if len(images["offsets"]["chips"]) > 1:
            yield "offset tracking: chip size", "katkovnik1999 richardson1911"
        if images["source"] == "slc":
            yield "offset tracking: oversampling before detection", "dezan2014"


def _backscatter(region: Region) -> Uses:
    if not region.tracks(*RAW, "grd", "geocoded"):
        return
    yield "terrain flattening of backscatter", "small2011"
    if region["backscatter"]["speckle_window"] > 1:
        yield "multi-temporal speckle filter", "quegan2001"
    yield "trends of backscatter", TREND


def _snow(region: Region) -> Uses:
    if region["optical"]:
        yield "snow index", "dozier1989"
        yield "seasons of the snow index", "zhu2014 huber1964"
        yield "trends of the snow index", TREND


def _factors(region: Region) -> Uses:
    if not region.has_factors:
        return
    yield "factors of the terrain: slope", "horn1981"
    yield "factors of the terrain: ruggedness", "sappington2007"
    yield "factors of the terrain: sunlight", "corripio2003"
    if region["climate"] and region["climate"]["source"] == "reanalysis":
        yield "air temperature at a height", "gao2012"


def _fusion(region: Region) -> Uses:
    if region.has_model:
        yield "techniques pooled to one probability", "genest1986"
        if region.is_judged:
            yield "accuracy on ground unseen", "pontius2011 wilson1927 efron1994 naeini2015"
    how = region.model
    if how is None:
        return
    yield "weights of the techniques", "wolpert1992"
    yield "calibration of probabilities", "kull2017"
    yield "folds of ground", "roberts2017 valavi2019 cressie1980 cressie1985"
    if how["select"]:
        yield (
            "choice of factors (GeoDetector's q, variance inflation, forward selection)",
            "wang2010 wang2016 marquardt1970 hastie2009",
        )
    if how["model"] in CLASSIFIERS:
        yield f"classifier: {how['model']}", CLASSIFIERS[how["model"]]


def _inventory(region: Region) -> Uses:
    if not (region.has_model and region.has_velocity):
        return
    yield "inventory: rules, fields and classes", "rgik2023 rouyet2025 kluetmeier2026"
    yield "inventory: moving areas and kinematic attribute", "bertone2022 rouyet2025"
    yield "inventory: outlines", "matas2004 canny1986 vincent1991"
    yield "inventory: yearly velocities", "hu2025"
    yield "inventory: course of the motion", "schwarz1978 kass1995"
    yield "inventory: colours", "crameri2018"


def _software(region: Region) -> Uses:
    yield "software", "molder2021 harris2020 virtanen2020 mckinney2010 hoyer2017 rocklin2015"
    yield "software", "lam2015 gillies2013 gdal2022 hunter2007"
    vectors = ("glaciers", "stable_ground", "moving_areas", "labels", "landscape")
    if region.has_model or any(region[key] for key in vectors):
        yield "software", "jordahl2020"
    if region.tracks(*RAW, "grd"):
        yield "software", "bopen2021"
    if region.has_model:
        yield "software", "pedregosa2011"
        if region.has_velocity:
            yield "software", "vanderwalt2014"


PARTS = (
    _itself,
    _radar_data,
    _optical_data,
    _other_data,
    _named,
    _simulation,
    _scenes,
    _interferograms,
    _series,
    _velocity,
    _offsets,
    _backscatter,
    _snow,
    _factors,
    _fusion,
    _inventory,
    _software,
)
