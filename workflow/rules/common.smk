"""Where regions and tracks are found, and what a job may use."""

import csv
import json
from functools import cache
from types import SimpleNamespace as Wildcards

from rockglacier import citations, manifest, origins
from rockglacier.configuration import load, load_models, names_in, source_paths
from rockglacier.provenance import digest, files, state
from rockglacier.topsstack import commands
from rockglacier.topsstack.misregistration import EARLIER_DATES

INTERFEROGRAMS = ["geotiff", "hyp3", "licsar", "isce2", "mintpy"]
SCENES = list(citations.RAW)
SIMULATED_SCENES = [source for source in SCENES if source != "scenes"]
GRD = ["grd"]  # which show no motion
IMAGES = ["geocoded"]  # geocoded by this workflow, elsewhere
PRODUCTS = [*SCENES, *GRD, *IMAGES]  # of which tables say what there is
WITHOUT_BACKSCATTER = [*INTERFEROGRAMS, "displacement", "simulated"]
PROCESSING = ["looks", "polarisation", "bistatic", "goldstein", "unwrapper", "min_coherence"]
PROCESSING += [
    "engine",
    "coregistration",
    "radar_looks",
    "pair_days",
    "pair_baseline_m",
    "yearly_days",
    "connections",
]
REGIONS = load(config, Path(workflow.basedir) / "config" / "config.yaml")
MODELS = load_models(config, Path(workflow.basedir) / "config" / "config.yaml")


pathvars:
    results=config["results"],


wildcard_constraints:
    region="|".join(REGIONS),
    optical=r"[A-Za-z0-9_-]+",
    track=r"[A-Za-z0-9_-]+",
    images=r"[A-Za-z0-9_-]+",
    reference=r"\d{8}",
    secondary=r"\d{8}",


def only(sources, **wanted):
    """The wildcard pattern of tracks that are read from one of ``sources``, with those keys."""
    found = [
        f"(?<=/{region}/){track}"
        for region, settings in REGIONS.items()
        for track, keys in settings["tracks"].items()
        if keys["source"] in sources and wanted.items() <= keys.items()
    ]
    return "|".join(found) or "(?!)"


def with_dem(given):
    """The wildcard pattern of regions that name a DEM, or of those that do not."""
    return "|".join(r for r, keys in REGIONS.items() if bool(keys["dem"]) == given) or "(?!)"


def has_landscape(region):
    """Whether the region is simulated from the ground up."""
    return REGIONS[region]["landscape"] is not None


def landscape_relief(wildcards):
    """The relief under the region's landscape; none where that is made up too."""
    return REGIONS[wildcards.region]["landscape"]["relief"] or []


def setting(path):
    """The region's setting at ``path``, which may name the track, as a rule's parameter."""
    return lookup(dpath=f"{{region}}/{path}", within=REGIONS)


with_landscape = "|".join(filter(has_landscape, REGIONS)) or "(?!)"


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


def keys_of(wildcards):
    """The settings of the job's track."""
    return REGIONS[wildcards.region]["tracks"][wildcards.track]


def source(wildcards):
    """What the track is read from; nothing where it is simulated."""
    return keys_of(wildcards).get("path", [])


def sources(wildcards):
    """What the region's tracks are read from, but for products, whose tables say where they lie."""
    return [
        keys["path"]
        for keys in REGIONS[wildcards.region]["tracks"].values()
        if keys["source"] not in ("simulated", *PRODUCTS)
    ]


def scene_tables(wildcards):
    """Tables of the region's tracks that are products."""
    return every_track("scenes.csv", but=WITHOUT_BACKSCATTER)(wildcards)


def placing_tables(wildcards):
    """Those that tell where the region lies; a simulated one lies where its area is."""
    if has_landscape(wildcards.region):
        return []
    return every_track("scenes.csv", but=[*WITHOUT_BACKSCATTER, *IMAGES])(wildcards)


def track_folder(wildcards):
    """Where the products of the track lie."""
    return f"{config['results']}/{wildcards.region}/{wildcards.track}"


def is_simulated(wildcards):
    """Whether the track's scenes are simulated."""
    return keys_of(wildcards)["source"] in SIMULATED_SCENES


def scene_folder(wildcards):
    """The folder of the track's products."""
    if is_simulated(wildcards):
        return f"{track_folder(wildcards)}/raw"
    return source(wildcards)


def orbit_folder(wildcards):
    """The folder of the track's orbit files, if there is one."""
    return keys_of(wildcards).get("orbits") or []


def scene_dem(wildcards):
    """The DEM under the track's scenes."""
    if keys_of(wildcards)["source"] == "simulated_scenes":
        return f"{track_folder(wildcards)}/raw"
    return REGIONS[wildcards.region]["dem"]


def dem_datum(wildcards):
    """What the heights of that DEM refer to."""
    if keys_of(wildcards)["source"] == "simulated_scenes":
        return "ellipsoid"
    return REGIONS[wildcards.region]["dem_datum"]


def simulated_keys(wildcards):
    """The keys of a track of simulated scenes that shape them, not their processing."""
    keys = keys_of(wildcards)
    return {name: value for name, value in keys.items() if name not in ("source", *PROCESSING)}


def rows_of(path):
    """The rows of a table, as text; none before it is made."""
    if not Path(path).exists():
        return []
    with open(path, newline="") as table:
        return list(csv.DictReader(table))


def planned(wildcards):
    """The table of the pairs to make; once it is there, the scenes that can be used are known."""
    return checkpoints.plan_pairs.get(region=wildcards.region, track=wildcards.track).output.planned


def usable_scenes(wildcards):
    """The table of the track's scenes that can be used, once it is known."""
    if keys_of(wildcards)["source"] in GRD:
        return checkpoints.check_grd.get(
            region=wildcards.region, track=wildcards.track
        ).output.scenes
    return str(Path(planned(wildcards)).with_name("scenes.csv"))


def pairs_to_make(pattern):
    """The products of those pairs, named by ``pattern`` below the track's folder."""

    def find(wildcards):
        return [
            f"{track_folder(wildcards)}/{pattern.format(**row)}"
            for row in rows_of(planned(wildcards))
        ]

    return find


def dates_of(wildcards):
    """Dates (YYYYMMDD) that can be used, ascending."""
    rows = rows_of(usable_scenes(wildcards))
    return sorted({row["date"].replace("-", "") for row in rows})


def backscatter_of_track(wildcards):
    """Backscatter of each date of the track."""
    return [f"{track_folder(wildcards)}/backscatter/{date}.tif" for date in dates_of(wildcards)]


def cross_of_track(wildcards):
    """Cross-polarised backscatter of each date whose products all hold it."""
    rows = rows_of(usable_scenes(wildcards))
    lacking = {
        row["date"].replace("-", "")
        for row in rows
        if not {"VH", "HV"} & set(row["polarisations"].split())
    }
    return [
        f"{track_folder(wildcards)}/backscatter_cross/{date}.tif"
        for date in dates_of(wildcards)
        if date not in lacking
    ]


def region_cross(wildcards):
    """Cross-polarised backscatter through time of the tracks that ask for it."""
    return [
        f"{config['results']}/{wildcards.region}/{track}/backscatter_cross.zarr"
        for track, keys in REGIONS[wildcards.region]["tracks"].items()
        if keys.get("cross_polarisation")
    ]


def rejected_of_tracks(wildcards):
    """What each track of the region could not use: pairs, or products where it makes no pairs."""
    return [
        f"{config['results']}/{wildcards.region}/{track}/{name}.csv"
        for track, keys in REGIONS[wildcards.region]["tracks"].items()
        for name in ["rejected_scenes" if keys["source"] in GRD else "rejected"]
    ]


def region_velocity(wildcards):
    """The region's velocity, where a track shows motion."""
    if every_track("", but=GRD)(wildcards) or REGIONS[wildcards.region]["images"]:
        return f"{config['results']}/{wildcards.region}/velocity.tif"
    return []


def bursts_on(wildcards, date, names=("path", "stem", "number", "orbit_file", "burst")):
    """Product, swath, number and orbit file of each burst on ``date`` (the first where None)."""
    rows = rows_of(f"{track_folder(wildcards)}/scenes.csv")
    date = date or (rows[0]["date"] if rows else "")
    return [
        [row[name] for name in names]
        for row in rows
        if row["date"].replace("-", "") == date.replace("-", "")
    ]


def bursts_of_first(wildcards):
    """Bursts of the first date, whose geometry the track follows."""
    return bursts_on(wildcards, None)


def bursts_of_date(wildcards):
    """Bursts of the job's date."""
    return bursts_on(wildcards, wildcards.date)


def products_state(wildcards, date):
    """Digest of names, sizes and times of the products and orbit files that serve on ``date``."""
    rows = bursts_on(wildcards, date, ("path", "orbit_file"))
    names = sorted({name for row in rows for name in row})
    return state_of(names, wildcards.region)


def products_of_first(wildcards):
    """That of the first date."""
    return products_state(wildcards, None)


def products_of_date(wildcards):
    """That of the job's date."""
    return products_state(wildcards, wildcards.date)


def slices_of_date(wildcards):
    """Product, polarisation's name and orbit file of each slice of the job's date."""
    return bursts_on(wildcards, wildcards.date, ("path", "stem", "orbit_file"))


def slices_of_first(wildcards):
    """Slices of the first date, whose geometry the track follows."""
    return bursts_on(wildcards, None, ("path", "stem", "orbit_file"))


def isce2_folder(wildcards):
    """Where topsStack works."""
    return f"{track_folder(wildcards)}/isce2"


def unpacked_on(wildcards, date):
    """Product, swath, time of the first line and orbit file of each burst on ``date``."""
    return bursts_on(wildcards, date, ("path", "swath", "azimuth_time", "orbit_file"))


def isce2_dates(place, *dates):
    """What ``place`` (of a date, given the first) names for the wildcards ``dates``."""

    def find(wildcards):
        first = dates_of(wildcards)[0]
        return [f"{isce2_folder(wildcards)}/{place(getattr(wildcards, d), first)}" for d in dates]

    return find


def isce2_secondaries(wildcards):
    """Images of all dates but the first."""
    return [f"{isce2_folder(wildcards)}/coreg_secondarys/{d}" for d in dates_of(wildcards)[1:]]


def isce2_baselines(wildcards):
    """Baselines of all dates against the first."""
    first, *others = dates_of(wildcards)
    names = [f"{first}_{date}" for date in others]
    return [f"{isce2_folder(wildcards)}/baselines/{name}/{name}.txt" for name in names]


def by_overlaps(wildcards):
    """Whether overlaps of bursts tell how far dates are misregistered."""
    return keys_of(wildcards)["coregistration"] == "nesd"


def earlier_dates(wildcards):
    """The dates just before the job's."""
    dates = dates_of(wildcards)
    last = dates.index(wildcards.date)
    return dates[max(0, last - EARLIER_DATES) : last]


def shifts_of_pairs(wildcards):
    """Shifts of the job's date against the dates just before it."""
    folder = f"{isce2_folder(wildcards)}/misreg/pairs"
    return [f"{folder}/{date}_{wildcards.date}.json" for date in earlier_dates(wildcards)]


def shifts_of_dates(direction, own=False):
    """Shifts of the dates just before the job's, but the first; or the job's own, if there is one."""

    def find(wildcards):
        folder = f"{isce2_folder(wildcards)}/misreg/{direction}"
        if own:
            return [f"{folder}/{wildcards.date}.txt"] if by_overlaps(wildcards) else []
        first = dates_of(wildcards)[0]
        return [f"{folder}/{date}.txt" for date in earlier_dates(wildcards) if date != first]

    return find


def radar_looks(wildcards):
    """Lines and samples of topsStack's multilooking."""
    given = keys_of(wildcards)["radar_looks"]
    return given or commands.looks_of(REGIONS[wildcards.region]["grid"]["spacing_m"])


def places(wildcards):
    """What tells where the region's tracks lie: their keys, or of products the bounds of scenes."""
    found = {}
    if has_landscape(wildcards.region):
        return found
    for track, keys in REGIONS[wildcards.region]["tracks"].items():
        found[track] = keys
        if keys["source"] in IMAGES:
            found[track] = {"source": "geocoded", "path": keys["path"]}
        elif keys["source"] in PRODUCTS:
            rows = rows_of(f"{config['results']}/{wildcards.region}/{track}/scenes.csv")
            first = [row for row in rows if row["date"] == rows[0]["date"]]
            pick = {"west": min, "south": min, "east": max, "north": max}
            bounds = [
                of([float(row[end]) for row in first], default=None) for end, of in pick.items()
            ]
            found[track] = {"source": "scenes", "bounds": bounds}
    return found


def is_displacement(wildcards):
    """Whether the track is a displacement series already."""
    return keys_of(wildcards)["source"] == "displacement"


def reader_digest(wildcards):
    """Digest of the code that reads the track, or all tracks; other readers do not count."""
    tracks = REGIONS[wildcards.region]["tracks"]
    names = [wildcards.track] if hasattr(wildcards, "track") else tracks
    found = {tracks[name]["source"] for name in names}
    found -= set(PRODUCTS)
    modules = {source: f"readers.{source}" for source in found} | {"simulated": "simulation"}
    return digest("grid", "readers.assemble", *(modules[source] for source in sorted(found)))


def title_of(wildcards):
    """The region's name, and the track."""
    return f"{REGIONS[wildcards.region]['name']} · {wildcards.track}"


def figures_of(wildcards):
    """Every figure of the region."""
    named = {
        "network": ["network", "closure"],
        "geometry": ["geometry"],
        "velocity": ["velocity", "series", "corrections"],
    }
    found = ["downslope"] if region_velocity(wildcards) else []
    found += ["backscatter"] if scene_tables(wildcards) else []
    found += ["snow"] if REGIONS[wildcards.region]["optical"] else []
    found += ["factors"] if REGIONS[wildcards.region]["factors"] else []
    found += ["probability"] if region_probability(wildcards) else []
    found += ["reliability"] if region_accuracy(wildcards) else []
    for track, keys in REGIONS[wildcards.region]["tracks"].items():
        kinds = {"displacement": ["geometry", "velocity"], "grd": ["geometry"]}.get(
            keys["source"], named
        )
        found += [f"{track}_{figure}" for kind in kinds for figure in named[kind]]
    found += [f"offsets_{name}" for name in REGIONS[wildcards.region]["images"]]
    return [f"{config['results']}/{wildcards.region}/figures/{name}.png" for name in found]


def made_here(path):
    """Whether this workflow makes what lies at ``path``, so that Snakemake itself watches it."""
    return Path(config["results"]).absolute() in Path(path).absolute().parents


def made(find):
    """What ``find`` names for the wildcards, where this workflow makes it."""

    def only_here(wildcards):
        path = find(wildcards)
        return path if path and made_here(path) else []

    return only_here


def state_of(paths, region):
    """Digest of names, sizes and times of the files at ``paths`` that were made elsewhere."""
    return state(tuple(Path(p) for p in paths if not made_here(p)), apart(region))


def geocoded_images(folder, *names):
    """Geocoded images in ``folder`` (of the wildcards) on the dates of the wildcards ``names``."""

    def find(wildcards):
        return [f"{folder(wildcards)}/slc/{getattr(wildcards, name)}.zarr" for name in names]

    return find


def state_of_images(*names):
    """Digest of names, sizes and times of the files of those of the track's source."""

    def find(wildcards):
        return state_of(geocoded_images(source, *names)(wildcards), wildcards.region)

    return find


def apart(region):
    """What may lie below a source without being part of it: the products and the region's file."""
    return frozenset(map(Path.absolute, [Path(config["results"]), Path(REGIONS[region]["file"])]))


def source_state(wildcards):
    """Digest of names, sizes and times of the files that the track is read from, or all tracks."""
    tracks = REGIONS[wildcards.region]["tracks"]
    if hasattr(wildcards, "track"):
        names = [wildcards.track]
    else:
        names = [name for name in tracks if tracks[name]["source"] not in PRODUCTS]
    paths = [path for name in names for path in source_paths(tracks[name])]
    return state_of(paths, wildcards.region)


def image_grids(wildcards):
    """Grids of images, on which a region without tracks lies."""
    return [] if REGIONS[wildcards.region]["tracks"] else every_images("grid.json")(wildcards)


def place_step(wildcards):
    """Pixels between the places of offsets, where the region lies on them."""
    settings = REGIONS[wildcards.region]
    return None if settings["tracks"] else settings["offsets"]["step_pixels"]


def delays_state(wildcards):
    """The same of the region's zenith delays."""
    folder = REGIONS[wildcards.region]["corrections"]["delays"]
    return state_of([folder], wildcards.region) if folder else None


@cache
def track_gb(region, track):
    """Gigabytes of the track's source; of float32 phase and coherence where it is simulated."""
    keys = REGIONS[region]["tracks"][track]
    if keys["source"] in SIMULATED_SCENES:
        return 0.1
    if made_here(keys.get("path", "")):
        return 0.0  # not there yet when jobs are planned
    if keys["source"] == "simulated":
        return 115 * keys["height"] * keys["width"] * 8 / 1e9
    found = [file for path in source_paths(keys) for file in files(path, apart(region))]
    return sum(size for _, size, _ in found) / 1e9


def input_gb(wildcards):
    """Gigabytes of the job's track, or of the region's largest."""
    names = getattr(wildcards, "track", None)
    tracks = [names] if names else REGIONS[wildcards.region]["tracks"]
    return max((track_gb(wildcards.region, track) for track in tracks), default=0.0)


def grown(base, per_gb, wildcards):
    """``base`` and ``per_gb`` of input; jobs of no region have none that counts."""
    return base + (per_gb * input_gb(wildcards) if per_gb else 0)


def megabytes(base, per_gb):
    """Memory: ``base`` and ``per_gb`` of input, twice that after the first failure, and so on."""

    def need(wildcards, attempt):
        return int(grown(base, per_gb, wildcards) * 2 ** (attempt - 1))

    return need


def minutes(base, per_gb):
    """Run time, likewise."""

    def need(wildcards, attempt):
        return int(grown(base, per_gb, wildcards) * 2 ** (attempt - 1)) + 1

    return need


def optical_of(wildcards):
    """The settings of the job's set of scenes of surface reflectance."""
    return REGIONS[wildcards.region]["optical"][wildcards.optical]


def optical_folder(wildcards):
    """Where its scenes lie."""
    return optical_of(wildcards)["path"]


def optical_state(wildcards):
    """Digest of names, sizes and times of the files in that folder."""
    return state_of([optical_folder(wildcards)], wildcards.region)


def optical_digest(*modules):
    """Digest of ``modules`` and of the reader of the set."""

    def find(wildcards):
        return digest(*modules, f"optical.{optical_of(wildcards)['source']}")

    return find


def optical_table(region, name):
    """The table of the scenes of a set that can be used, once it is known."""
    return checkpoints.check_optical.get(region=region, optical=name).output.scenes


def scenes_of_date(wildcards):
    """Metadata of the scenes of the job's date, those that serve first first."""
    rows = rows_of(optical_table(wildcards.region, wildcards.optical))
    return [row["path"] for row in rows if row["date"].replace("-", "") == wildcards.date]


def state_of_scenes(wildcards):
    """Digest of names, sizes and times of their files, which lie by their metadata."""
    return scene_files_state(optical_folder(wildcards), scenes_of_date(wildcards), wildcards.region)


def scene_files_state(folder, paths, region):
    """The same of the scenes whose metadata are ``paths``, in or below ``folder``."""
    places = [path if path.parent == Path(folder) else path.parent for path in map(Path, paths)]
    return [state_of([place], region) for place in places]


def snow_indices(wildcards):
    """Snow index of each date of every set."""
    return [
        f"{config['results']}/{wildcards.region}/snow/{name}/{date}.tif"
        for name in REGIONS[wildcards.region]["optical"]
        for date in sorted(
            {row["date"].replace("-", "") for row in rows_of(optical_table(wildcards.region, name))}
        )
    ]


def snow_factors(wildcards):
    """The region's factors of snow, where it has scenes of them."""
    if REGIONS[wildcards.region]["optical"]:
        return f"{config['results']}/{wildcards.region}/snow.zarr"
    return []


def region_product(name, key):
    """The product ``name`` of the region, where its setting ``key`` names what it is made from."""

    def find(wildcards):
        given = REGIONS[wildcards.region][key]
        return f"{config['results']}/{wildcards.region}/{name}" if given else []

    return find


def region_backscatter(wildcards):
    """Backscatter of all tracks of the region that show it."""
    if scene_tables(wildcards):
        return f"{config['results']}/{wildcards.region}/backscatter.zarr"
    return []


def label_files(wildcards):
    """The reference inventory of the region."""
    return REGIONS[wildcards.region]["labels"]["path"]


def model_file(model):
    """Where a model of that name lies."""
    return f"{config['results']}/models/{model}.skops"


def models_to_train():
    """The wildcard pattern of models that are not there yet, or are to be trained anew."""
    anew = names_in(config.get("retrain"))
    wanted = [name for name in MODELS if name in anew or not Path(model_file(name)).exists()]
    return "|".join(wanted) or "(?!)"


def samples_of_model(wildcards):
    """Samples of the regions that train the model."""
    for region in MODELS[wildcards.model]["regions"]:
        if not REGIONS.get(region, {}).get("labels"):
            raise WorkflowError(
                f"model {wildcards.model} is trained on {region}, which is no region of this run "
                "with labels; add it to regions and its inventory to labels, or name a model_file."
            )
    return [
        f"{config['results']}/{region}/samples.zarr"
        for region in MODELS[wildcards.model]["regions"]
    ]


def mapped_by_model(product):
    """Products of the regions that train the model and are mapped by it."""

    def paths(wildcards):
        regions = MODELS[wildcards.model]["regions"]
        own = [one for one in regions if REGIONS[one]["model"] == wildcards.model]
        return [f"{config['results']}/{region}/{product}" for region in own]

    return paths


def how_to_train(wildcards):
    """The settings of the model but its regions."""
    keys = MODELS[wildcards.model]
    return {name: value for name, value in keys.items() if name != "regions"}


def model_of_region(wildcards):
    """The model that tells the region's ground."""
    keys = REGIONS[wildcards.region]
    return keys["model_file"] or model_file(keys["model"])


def model_job(wildcards):
    """The wildcards of the job that trains the region's model."""
    return Wildcards(model=REGIONS[wildcards.region]["model"])


def only_regions(holds):
    """The wildcard pattern of regions of which ``holds`` is true."""
    return "|".join(filter(holds, REGIONS)) or "(?!)"


def trains_its_model(region):
    """Whether the region trains the model that it names."""
    return region in MODELS.get(REGIONS[region]["model"] or "", {}).get("regions", [])


def is_judged_alone(region):
    """Whether the region has labels and a map by a model of others."""
    keys = REGIONS[region]
    mapped = keys["model"] or keys["model_file"]
    return bool(keys["labels"] and mapped) and not trains_its_model(region)


def region_accuracy(wildcards):
    """The region's accuracy, where it has labels and a model."""
    if trains_its_model(wildcards.region) or is_judged_alone(wildcards.region):
        return f"{config['results']}/{wildcards.region}/accuracy.csv"
    return []


def region_probability(wildcards):
    """The region's probability of rock glaciers, where it names a model."""
    keys = REGIONS[wildcards.region]
    if keys["model"] or keys["model_file"]:
        return f"{config['results']}/{wildcards.region}/probability.tif"
    return []


def region_inventory(wildcards):
    """The region's inventory, where it has a map of probability and of motion."""
    if region_probability(wildcards) and region_velocity(wildcards):
        return f"{config['results']}/{wildcards.region}/inventory.gpkg"
    return []


def region_truth(wildcards):
    """Its inventory beside the truth, where that is known."""
    if region_inventory(wildcards) and has_landscape(wildcards.region):
        return f"{config['results']}/{wildcards.region}/truth.json"
    return []


def citing(wildcards):
    """The region, as it tells what it used."""
    region = wildcards.region

    def listing(folder):
        return [name for name, _, _ in files(Path(folder), apart(region))]

    return citations.Region(region, REGIONS[region], MODELS, listing)


def paper_regions():
    """Regions with an inventory and an accuracy: those of the paper."""
    jobs = [Wildcards(region=region) for region in REGIONS]
    return [job.region for job in jobs if region_accuracy(job) and region_inventory(job)]


def of_paper(*products):
    """These products of every region of the paper."""

    def find(wildcards):
        if not paper_regions():
            raise WorkflowError(
                "the figures of a paper need a region with labels, a model and a velocity; "
                f"none of {', '.join(REGIONS)} is one: name one, such as --config "
                "regions=sandbox."
            )
        return [f"{config['results']}/{r}/{name}" for r in paper_regions() for name in products]

    return find


def frozen_models():
    """The settings of the models of the paper's regions, by name."""
    named = {REGIONS[region]["model"]: 0 for region in paper_regions()}
    return {name: MODELS[name] for name in named if name}


def frozen_regions():
    """The settings of the paper's regions and of those that train their models, by name."""
    training = [region for keys in frozen_models().values() for region in keys["regions"]]
    return {r: keys for r, keys in REGIONS.items() if r in (*paper_regions(), *training)}


def paper_origins():
    """Their settings, and where their sources lie."""
    return origins.described(frozen_regions(), frozen_models(), config["results"])


def frozen_state():
    """Digest of names, sizes and times of the files of those sources."""
    return [
        state_of([one["path"] for one in sources], region)
        for region, sources in paper_origins()["sources"].items()
    ]


def scene_tables_by_region():
    """Tables of scenes, pairs or dates used, by region and by track or set."""
    found = {}
    for region, keys in frozen_regions().items():
        folder = f"{config['results']}/{region}"
        tables = {}
        for track, source in ((name, own["source"]) for name, own in keys["tracks"].items()):
            names = {"displacement": "dates"} | dict.fromkeys(PRODUCTS, "scenes")
            tables[track] = [f"{folder}/{track}/{names.get(source, 'pairs')}.csv"]
        for kind, key in (("snow", "optical"), ("offsets", "images")):
            for name in keys[key]:
                tables[f"{kind}/{name}"] = [f"{folder}/{kind}/{name}/scenes.csv"]
        found[region] = tables
    return found


def tables_of_paper(wildcards):
    """All of those tables."""
    by_region = scene_tables_by_region().values()
    return [table for sets in by_region for listed in sets.values() for table in listed]


def climate_files(wildcards):
    """What the region's climate is read from."""
    keys = REGIONS[wildcards.region]["climate"]
    return [keys[name] for name in ("path", "heights") if name in keys]


def rejected_of_optical(wildcards):
    """What each set could not use."""
    return [
        f"{config['results']}/{wildcards.region}/snow/{name}/rejected_scenes.csv"
        for name in REGIONS[wildcards.region]["optical"]
    ]


def sets(*sources):
    """The wildcard pattern of sets of images that are read from one of ``sources``."""
    found = [
        f"(?<=/{region}/offsets/){name}"
        for region, settings in REGIONS.items()
        for name, keys in settings["images"].items()
        if keys["source"] in sources
    ]
    return "|".join(found) or "(?!)"


def images_of(wildcards):
    """The settings of the job's set of images."""
    return REGIONS[wildcards.region]["images"][wildcards.images]


def images_folder(wildcards):
    """Where the scenes of the set lie."""
    return images_of(wildcards)["path"]


def planning_of_images(wildcards):
    """The settings of the set but those of its matching."""
    return {name: value for name, value in images_of(wildcards).items() if name != "offsets"}


def room_of_images(wildcards):
    """The settings of offsets that tell how much of the images a pair needs."""
    keys = images_of(wildcards)["offsets"]
    names = ["max_velocity_m_per_year", "registration_pixels"]
    return {"chip": keys["chips"][-1]} | {name: keys[name] for name in names}


def job_of_track(wildcards):
    """The wildcards of the track whose geocoded images the set is."""
    return Wildcards(region=wildcards.region, track=images_of(wildcards)["track"])


def of_track(find):
    """What ``find`` names for that track."""
    return lambda wildcards: find(job_of_track(wildcards))


def track_product(product):
    """A product of that track; its name may hold the job's wildcards."""

    def find(wildcards):
        return f"{track_folder(job_of_track(wildcards))}/{product.format(**wildcards)}"

    return find


def track_setting(key):
    """That track's setting ``key``."""
    return lambda wildcards: keys_of(job_of_track(wildcards))[key]


def bursts_of_pair(wildcards):
    """Bursts of both dates of the job's pair of geocoded images."""
    planned_images(wildcards)
    track = job_of_track(wildcards)
    return [bursts_on(track, date) for date in (wildcards.reference, wildcards.secondary)]


def images_state(wildcards):
    """Digest of names, sizes and times of the files in that folder."""
    return state_of([images_folder(wildcards)], wildcards.region)


def megabytes_of_places(base, per_million):
    """Memory: ``base`` and ``per_million`` places of offsets, and twice that after each failure."""

    def need(wildcards, attempt):
        path = Path(f"{offsets_folder(wildcards)}/grid.json")
        if not path.exists():  # before scenes are looked at, as in a dry run
            return base
        grid = json.loads(path.read_text())
        step = REGIONS[wildcards.region]["offsets"]["step_pixels"]
        millions = grid["width"] * grid["height"] / step**2 / 1e6
        return int((base + per_million * millions) * 2 ** (attempt - 1))

    return need


def images_digest(*modules):
    """Digest of ``modules`` and of the reader of the set."""

    def find(wildcards):
        return digest(*modules, f"optical.{images_of(wildcards)['source']}")

    return find


def offsets_folder(wildcards):
    """Where the products of the set lie."""
    return f"{config['results']}/{wildcards.region}/offsets/{wildcards.images}"


def every_images(product):
    """``product`` of each set of images of the region."""

    def find(wildcards):
        return [
            f"{config['results']}/{wildcards.region}/offsets/{name}/{product}"
            for name in REGIONS[wildcards.region]["images"]
        ]

    return find


def planned_images(wildcards):
    """The table of the pairs to track; once it is there, the scenes that can be used are known."""
    radar = images_of(wildcards)["source"] == "slc"
    plan = checkpoints.plan_radar_offsets if radar else checkpoints.plan_offsets
    return plan.get(region=wildcards.region, images=wildcards.images).output.planned


def image_pairs(wildcards):
    """Offsets of those pairs."""
    return [
        f"{offsets_folder(wildcards)}/{row['reference']}_{row['secondary']}.zarr"
        for row in rows_of(planned_images(wildcards))
    ]


def scenes_of_pair(wildcards):
    """Metadata of both scenes of the job's pair."""
    planned_images(wildcards)
    rows = rows_of(f"{offsets_folder(wildcards)}/scenes.csv")
    found = {row["date"].replace("-", "")[:8]: row["path"] for row in rows}
    return [found[wildcards.reference], found[wildcards.secondary]]


def state_of_pair(wildcards):
    """Digest of names, sizes and times of the files of both scenes, which lie by their metadata."""
    return scene_files_state(images_folder(wildcards), scenes_of_pair(wildcards), wildcards.region)


def grid_of_images(wildcards):
    """The pixels of the set, of which places are taken."""
    planned_images(wildcards)
    return Path(f"{offsets_folder(wildcards)}/grid.json").read_text()


MATCHING = ["step_pixels", "chips", "window", "max_velocity_m_per_year", "registration_pixels"]
MATCHING += ["prefilter", "min_correlation", "min_peak_ratio"]


def matching_of_images(wildcards):
    """The settings of offsets that tell how images are matched."""
    return {name: images_of(wildcards)["offsets"][name] for name in MATCHING}


def inversion_of_images(wildcards):
    """The settings of offsets that tell what becomes of the matches."""
    names = ["step_pixels", "window", "bias", "stable_slope_deg", "min_pairs", "min_pair_share"]
    return {name: images_of(wildcards)["offsets"][name] for name in names}


def title_of_images(wildcards):
    """The region's name, and the set of images."""
    return f"{REGIONS[wildcards.region]['name']} · {wildcards.images}"


if config.get("manifest") and workflow.is_main_process:
    if made_here(config["manifest"]):
        raise WorkflowError(
            f"manifest {config['manifest']} lies among the results, where a run writes its own; "
            "copy it elsewhere and name the copy."
        )
    manifest.check(config["manifest"], manifest.frozen(paper_origins()))
