"""Where regions and tracks are found, and what a job may use."""

from functools import cache

from rockglacier.configuration import load, source_paths
from rockglacier.provenance import digest, files, state

INTERFEROGRAMS = ["geotiff", "hyp3", "licsar", "isce2", "mintpy"]
REGIONS = load(config, Path(workflow.basedir) / "config" / "config.yaml")


pathvars:
    results=config["results"],


wildcard_constraints:
    region="|".join(REGIONS),
    track=r"[A-Za-z0-9_-]+",


def only(sources):
    """The wildcard pattern of tracks that are read from one of ``sources``."""
    found = [
        f"(?<=/{region}/){track}"
        for region, settings in REGIONS.items()
        for track, keys in settings["tracks"].items()
        if keys["source"] in sources
    ]
    return "|".join(found) or "(?!)"


def with_dem(given):
    """The wildcard pattern of regions that name a DEM, or of those that do not."""
    return "|".join(r for r, keys in REGIONS.items() if bool(keys["dem"]) == given) or "(?!)"


def setting(path):
    """The region's setting at ``path``, which may name the track, as a rule's parameter."""
    return lookup(dpath=f"{{region}}/{path}", within=REGIONS)


def file_setting(path):
    """The region's file at ``path`` as a rule's input, which is none where the setting is null."""

    def find(wildcards):
        return lookup(dpath=f"{wildcards.region}/{path}", within=REGIONS) or []

    return find


def every_track(product, but=()):
    """``product`` of each track of the region whose source is not among ``but``."""

    def find(wildcards):
        return [
            f"{config['results']}/{wildcards.region}/{track}/{product}"
            for track, keys in REGIONS[wildcards.region]["tracks"].items()
            if keys["source"] not in but
        ]

    return find


def source(wildcards):
    """What the track is read from; nothing where it is simulated."""
    return REGIONS[wildcards.region]["tracks"][wildcards.track].get("path", [])


def sources(wildcards):
    """What the region's tracks are read from."""
    return [
        keys["path"]
        for keys in REGIONS[wildcards.region]["tracks"].values()
        if keys["source"] != "simulated"
    ]


def is_displacement(wildcards):
    """Whether the track is a displacement series already."""
    keys = REGIONS[wildcards.region]["tracks"][wildcards.track]
    return keys["source"] == "displacement"


def reader_digest(wildcards):
    """Digest of the code that reads the track, or all tracks; other readers do not count."""
    tracks = REGIONS[wildcards.region]["tracks"]
    names = [wildcards.track] if hasattr(wildcards, "track") else tracks
    found = {tracks[name]["source"] for name in names}
    modules = {source: f"readers.{source}" for source in found} | {"simulated": "simulation"}
    return digest("grid", "readers.assemble", *(modules[source] for source in sorted(found)))


def title_of(wildcards):
    """The region's name, and the track."""
    return f"{REGIONS[wildcards.region]['name']} · {wildcards.track}"


def figures_of(wildcards):
    """Every figure of the region."""
    named = {
        "network": ["network", "closure"],
        "velocity": ["velocity", "series", "corrections"],
    }
    found = ["downslope"]
    for track, keys in REGIONS[wildcards.region]["tracks"].items():
        kinds = ["velocity"] if keys["source"] == "displacement" else named
        found += [f"{track}_{figure}" for kind in kinds for figure in named[kind]]
    return [f"{config['results']}/{wildcards.region}/figures/{name}.png" for name in found]


def apart(region):
    """What may lie below a source without being part of it: the products and the region's file."""
    return frozenset(map(Path.absolute, [Path(config["results"]), Path(REGIONS[region]["file"])]))


def source_state(wildcards):
    """Digest of names, sizes and times of the files that the track is read from, or all tracks."""
    tracks = REGIONS[wildcards.region]["tracks"]
    names = [wildcards.track] if hasattr(wildcards, "track") else tracks
    paths = tuple(path for name in names for path in source_paths(tracks[name]))
    return state(paths, apart(wildcards.region))


def delays_state(wildcards):
    """The same of the region's zenith delays."""
    folder = REGIONS[wildcards.region]["corrections"]["delays"]
    return state((Path(folder),), apart(wildcards.region)) if folder else None


@cache
def track_gb(region, track):
    """Gigabytes of the track's source; of float32 phase and coherence where it is simulated."""
    keys = REGIONS[region]["tracks"][track]
    if keys["source"] == "simulated":
        return 115 * keys["height"] * keys["width"] * 8 / 1e9
    found = [file for path in source_paths(keys) for file in files(path, apart(region))]
    return sum(size for _, size, _ in found) / 1e9


def input_gb(wildcards):
    """Gigabytes of the job's track, or of the region's largest."""
    names = getattr(wildcards, "track", None)
    tracks = [names] if names else REGIONS[wildcards.region]["tracks"]
    return max(track_gb(wildcards.region, track) for track in tracks)


def megabytes(base, per_gb):
    """Memory: ``base`` and ``per_gb`` of input, twice that after the first failure, and so on."""

    def need(wildcards, attempt):
        return int((base + per_gb * input_gb(wildcards)) * 2 ** (attempt - 1))

    return need


def minutes(base, per_gb):
    """Run time, likewise."""

    def need(wildcards, attempt):
        return int((base + per_gb * input_gb(wildcards)) * 2 ** (attempt - 1)) + 1

    return need
