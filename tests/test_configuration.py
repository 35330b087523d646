"""The configuration is complete, described, and refuses what it does not know."""

import copy
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from rockglacier import configuration
from rockglacier.configuration import entry_schema, load, read, schema
from rockglacier.errors import ConfigurationError

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config" / "config.yaml"
SOURCES = list(schema("track")["$defs"])


@pytest.fixture
def config(tmp_path):
    """The shipped configuration, pointed at a folder with the smallest region."""
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "ifgramStack.h5").touch()
    write(tmp_path, "etna", ETNA)
    return read(CONFIG) | {"regions": "etna", "region_folder": str(tmp_path)}


ETNA = """\
name: Etna                # paths are relative to this file
tracks:
  t1:
    source: mintpy
    path: stack/ifgramStack.h5
"""


def write(folder, name, text):
    (folder / f"{name}.yaml").write_text(text)


def keys(node, prefix=""):
    for name, child in node.get("properties", {}).items():
        yield f"{prefix}{name}", child
        yield from keys(child, f"{prefix}{name}.")


def test_the_smallest_region_inherits_every_default(config, tmp_path):
    etna = load(config, CONFIG)["etna"]
    assert etna["tracks"]["t1"]["path"] == str(tmp_path / "stack" / "ifgramStack.h5")
    assert {k: etna[k] for k in config["defaults"]} == config["defaults"]


def test_a_region_overrides_one_key_and_keeps_its_neighbours(config, tmp_path):
    write(tmp_path, "etna", ETNA + "inversion: {norm: l1}\nperiod: [2020-01-01, 2021-01-01]\n")
    etna = load(config, CONFIG)["etna"]
    assert etna["inversion"] == config["defaults"]["inversion"] | {"norm": "l1"}
    assert etna["period"] == ["2020-01-01", "2021-01-01"]


@pytest.mark.parametrize("name", ["config", "settings", "region"])
def test_every_key_says_what_it_is_and_in_which_unit(name):
    Draft202012Validator.check_schema(schema(name))
    for key, node in keys(schema(name)):
        assert node.get("description"), key
        if node.get("type") != "object":
            assert node.get("unit"), key
        bounds = {"minimum", "exclusiveMinimum", "enum", "items"}
        numeric = {"number", "integer"} & set(node.get("type", []) or [])
        assert not numeric or bounds & set(node), f"{key} is a number without bounds"


@pytest.mark.parametrize("source", SOURCES)
def test_every_key_of_a_track_says_what_it_is_and_in_which_unit(source):
    node = entry_schema("track", source)
    Draft202012Validator.check_schema(node)
    assert {"source"} <= set(node["required"]) <= set(node["properties"])
    for key, child in keys(node):
        assert child.get("description") and child.get("unit"), f"{source}.{key}"
        if "default" in child:
            assert Draft202012Validator(child).is_valid(child["default"]), f"{source}.{key}"


def test_the_defaults_and_the_schema_name_the_same_keys():
    def names(value, prefix=""):
        for key, child in value.items():
            yield f"{prefix}{key}"
            if isinstance(child, dict):
                yield from names(child, f"{prefix}{key}.")

    assert set(names(read(CONFIG)["defaults"])) == {k for k, _ in keys(schema("settings"))}


def test_the_shipped_regions_are_valid(data_folder, monkeypatch):
    monkeypatch.setenv("ROCKGLACIER_DATA", str(data_folder))
    monkeypatch.chdir(ROOT)
    config = read(CONFIG)
    assert list(load(config, CONFIG)) == config["regions"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inversion: {weigthing: uniform}", r"inversion.weigthing is unknown; .* 'weighting'"),
        ("netwerk: {}", "netwerk is unknown; did you mean 'network'"),
        ("inversion: {min_pairs: 0}", r"inversion.min_pairs is 0; needed: at least 1 \[pair\]"),
        ("velocity: {terms: [anual]}", "needed: one of 'annual', .* did you mean 'annual'"),
        ("grid: {spacing_m: forty}", "grid.spacing_m is 'forty'; needed: a number"),
        ("period: [2021-01-01, 2020-01-01]", "period is .* the first must be below the second"),
        ("period: [2021-01-01]", "period is .* needed: at least 2 values"),
        ("reference: {window_pixels: 4}", "window_pixels is 4; it must be odd"),
        ("corrections: {ring_m: [900, 100]}", "ring_m is .* the first must be below"),
        ("dem: no/such.tif", r"dem is 'no/such.tif', but .*no/such.tif does not exist"),
        ("velocity: {terms: [annual, annual]}", r"terms is .*; needed: each value once \[choice\]"),
        ("velocity: {steps: [June]}", "steps.0 is 'June'; needed: a date YYYY-MM-DD"),
        ("name: Etna again", "'name' occurs twice"),
        ("area: [7, 45, 8", "is not valid YAML"),
    ],
)
def test_a_mistake_is_named_with_its_cure(config, tmp_path, text, message):
    write(tmp_path, "etna", ETNA + text + "\n")
    with pytest.raises(ConfigurationError, match=message) as caught:
        load(config, CONFIG)
    assert str(tmp_path / "etna.yaml") in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("source: mintpy", "source: minpty", "source is 'minpty'; .* did you mean 'mintpy'"),
        ("source: mintpy", "source: scenes", "is 'scenes', which needs dem: Elevation raster"),
        ("    source: mintpy\n", "", "tracks.t1.source is missing"),
        ("path: stack/ifgramStack.h5", "paht: stack", "tracks.t1.paht is unknown; .* 'path'"),
        ("path: stack/ifgramStack.h5", "path: nowhere", "tracks.t1.path is 'nowhere', but"),
        ("name: Etna ", "title: Etna ", "name is missing"),
        ("  t1:", "  track one:", "'track one'; needed: a name of letters, digits, _ and -"),
        (
            "  t1:",
            "  offsets:",
            "'offsets'; needed: a name of letters, .* but offsets, snow, figures",
        ),
        (
            "source: mintpy",
            "source: geotiff\n    phase_sign: 1\n    unwrapped: '{date}.tif'",
            r"unwrapped is '{date}.tif'; needed: text that holds {reference} and {secondary} \[",
        ),
    ],
)
def test_a_mistake_in_a_track_is_named_with_its_cure(config, tmp_path, old, new, message):
    write(tmp_path, "etna", ETNA.replace(old, new))
    with pytest.raises(ConfigurationError, match=message):
        load(config, CONFIG)


ROCKS = """\
name: Rocks
dem: stack
stable_ground: stack
images:
  landsat: {source: landsat, path: stack}
"""


def test_images_are_a_region_with_their_defaults(config, tmp_path):
    write(tmp_path, "etna", ROCKS)
    etna = load(config, CONFIG)["etna"]
    assert etna["tracks"] == {} and etna["images"]["landsat"]["band"] == "B8"
    assert etna["images"]["landsat"]["path"] == str(tmp_path / "stack")


def test_terrain_alone_is_a_region_where_its_place_and_a_product_are_given(config, tmp_path):
    alone = "name: Ground\ndem: stack\narea: [7, 45, 8, 46]\nfactors: true\n"
    write(tmp_path, "etna", alone)
    etna = load(config, CONFIG)["etna"]
    assert etna["tracks"] == etna["images"] == {} and etna["factors"] is True
    for line in ("dem: stack\n", "area: [7, 45, 8, 46]\n", "factors: true\n"):
        write(tmp_path, "etna", alone.replace(line, ""))
        with pytest.raises(ConfigurationError, match="or dem and area, and what to make of them"):
            load(config, CONFIG)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dem: stack\n", "", "images.landsat needs dem"),
        ("stable_ground: stack\n", "", "images.landsat needs stable_ground, or moving_areas"),
        ("path: stack}", "path: stack, band: pan}", "band is 'pan'; needed: a name such as B8"),
        ("path: stack}", "path: stack, sun: 3}", "images.landsat.sun is unknown; .* 'sun_deg'"),
        ("path: stack}", "path: stack, pair_days: [9, 9]}", "pair_days is .* must be the lower"),
        ("source: landsat", "source: landsta", "source is 'landsta'; .* did you mean 'landsat'"),
        ("dem: stack", "dem: stack\noffsets: {chips: [32, 16]}", r"chips is \[32, 16\]; .* ascend"),
        ("dem: stack", "dem: stack\noffsets: {chips: [15]}", "chips.0 is 15"),
        ("dem: stack", "dem: stack\noffsets: {chips: [8, 16]}", "chips.0 is 8; .* least 12: Sma"),
        (ROCKS[ROCKS.index("images") :], "", "tracks is missing; needed: .*; or images"),
    ],
)
def test_a_mistake_in_images_is_named_with_its_cure(config, tmp_path, old, new, message):
    write(tmp_path, "etna", ROCKS.replace(old, new))
    with pytest.raises(ConfigurationError, match=message):
        load(config, CONFIG)


RADAR = """\
name: Radar
area: [10.98, 46.81, 11.04, 46.85]
dem: stack
stable_ground: stack
tracks:
  t1: {source: simulated_scenes}
  t2: {source: simulated}
offsets: {window: flat}
images:
  radar: {source: slc, track: t1, offsets: {chips: [24]}}
"""


def test_a_set_of_images_may_depart_from_the_offsets_of_its_region(config, tmp_path):
    write(tmp_path, "etna", RADAR)
    etna = load(config, CONFIG)["etna"]
    own = etna["images"]["radar"]["offsets"]
    assert own == etna["offsets"] | {"chips": [24], "prefilter": "wallis"}
    assert own["window"] == "flat" and etna["offsets"]["chips"] == [16, 32, 64]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("track: t1", "track: t2", "radar.track is 't2'; .* of which there are: t1"),
        ("track: t1,", "", "radar.track is missing; needed: The track"),
        ("chips: [24]", "chips: [48, 24]", "radar.offsets.chips .* must ascend"),
        ("chips: [24]", "step_pixels: 4", "radar.offsets.step_pixels is unknown"),
        ("chips: [24]", "chip: [24]", "radar.offsets.chip is unknown; did you mean 'chips'"),
    ],
)
def test_a_mistake_in_images_of_a_track_is_named(config, tmp_path, old, new, message):
    write(tmp_path, "etna", RADAR.replace(old, new))
    with pytest.raises(ConfigurationError, match=message):
        load(config, CONFIG)


def test_scenes_of_surface_reflectance_need_a_dem_or_a_track(config, tmp_path):
    lines = RADAR + "optical:\n  l2: {source: landsat, path: stack}\n"
    write(tmp_path, "etna", lines)
    etna = load(config, CONFIG)["etna"]
    assert etna["optical"]["l2"] == {"source": "landsat", "path": str(tmp_path / "stack")}
    assert etna["snow"]["melt_months"] == [6, 7, 8, 9]
    write(tmp_path, "etna", lines.replace("landsat", "landsta"))
    with pytest.raises(ConfigurationError, match=r"optical.l2.source is 'landsta'; .* 'landsat'"):
        load(config, CONFIG)


@pytest.mark.parametrize("regions", ["etna, mount fuji", ["mount fuji"], "mount fuji", "../etna"])
def test_a_region_with_a_name_that_no_folder_can_have_is_refused(config, tmp_path, regions):
    write(tmp_path, "mount fuji", ETNA)
    needed = r"regions\.\d is '.*'; needed: a name of letters, digits, _ and -\."
    with pytest.raises(ConfigurationError, match=needed):
        load(config | {"regions": regions}, CONFIG)


@pytest.mark.parametrize("regions", [2020, "2020", [2020], ["2020"], "etna,2020"])
def test_names_of_digits_are_names(config, tmp_path, regions):
    """YAML and the command line make numbers of them."""
    write(tmp_path, "2020", ETNA.replace("t1:", "005:").replace("Etna", "Etna in 2020"))
    found = load(config | {"regions": regions}, CONFIG)["2020"]
    assert found["name"] == "Etna in 2020" and list(found["tracks"]) == ["005"]


@pytest.mark.parametrize("regions", ["", " , ", []])
def test_no_region_at_all_is_refused(config, regions):
    with pytest.raises(ConfigurationError, match="regions is "):
        load(config | {"regions": regions}, CONFIG)


def test_an_unknown_region_names_the_nearest(config):
    with pytest.raises(ConfigurationError, match="did you mean 'etna'"):
        load(config | {"regions": ["etnaa"]}, CONFIG)


def test_an_unknown_top_level_key_is_refused(config):
    with pytest.raises(ConfigurationError, match="region is unknown; did you mean 'regions'"):
        load(config | {"region": "etna"}, CONFIG)


def test_a_default_that_is_missing_is_named(config):
    incomplete = copy.deepcopy(config)
    del incomplete["defaults"]["inversion"]["norm"]
    with pytest.raises(ConfigurationError, match=r"defaults\.inversion\.norm is missing"):
        load(incomplete, CONFIG)


def test_regions_may_be_one_text(config, tmp_path):
    write(tmp_path, "fuji", ETNA.replace("Etna", "Fuji"))
    assert list(load(config | {"regions": "fuji, etna"}, CONFIG)) == ["fuji", "etna"]


def test_without_real_data_the_default_list_skips_and_a_request_fails(
    config, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("ROCKGLACIER_DATA", str(tmp_path / "absent"))
    write(tmp_path, "far", ETNA.replace("stack/", "${ROCKGLACIER_DATA}/"))
    listed = tmp_path / "config.yaml.list"
    listed.write_text(yaml.safe_dump(config | {"regions": ["etna", "far"]}))
    assert list(load(read(listed), listed)) == ["etna"]
    assert "region far is left out" in caplog.text
    with pytest.raises(ConfigurationError, match="absent"):
        load(config | {"regions": ["far"]}, listed)


def test_the_data_folder_is_named_by_the_environment(config, tmp_path, monkeypatch):
    monkeypatch.setenv("ROCKGLACIER_DATA", str(tmp_path))
    write(tmp_path, "etna", ETNA.replace("stack/", "${ROCKGLACIER_DATA}/stack/"))
    path = load(config, CONFIG)["etna"]["tracks"]["t1"]["path"]
    assert path == str(tmp_path / "stack" / "ifgramStack.h5")
    monkeypatch.delenv("ROCKGLACIER_DATA")
    assert configuration.data_folder() == ROOT.parent / "shared" / "data"
