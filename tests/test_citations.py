"""A region cites what it used and nothing else; its own BibTeX is read strictly."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from rockglacier import citations
from rockglacier.citations import Region, choose, known, parse, read, render, untold
from rockglacier.configuration import load, load_models
from rockglacier.configuration import read as read_yaml
from rockglacier.errors import ConfigurationError

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config" / "config.yaml"
LIBRARY = ROOT / "workflow" / "rockglacier"
KEY = re.compile(r"[a-z]+(19|20)\d\d(level\d\w?|dem)?")

SCENES = """\
name: Etna
area: [10.9, 46.7, 11.1, 46.9]
dem: dem.tif
dem_datum: egm2008
tracks:
  t1: {source: scenes, path: scenes}
"""
IMAGES = """\
name: Etna
dem: dem.tif
stable_ground: bedrock.gpkg
images:
  l8: {source: landsat, path: images}
"""


@pytest.fixture
def region(tmp_path):
    """Makes the region of a file; what it names is there, empty."""
    for name in ("scenes", "images", "stack", "delays"):
        (tmp_path / name).mkdir()
    for name in ("dem.tif", "bedrock.gpkg", "glaciers.gpkg", "inventory.gpkg", "model.skops",
                 "t2m.nc", "z.nc"):  # fmt: skip
        (tmp_path / name).touch()

    def make(text, listed=(), models=None):
        (tmp_path / "etna.yaml").write_text(text)
        config = read_yaml(CONFIG) | {"regions": "etna", "region_folder": str(tmp_path)}
        config["models"] = models or {}
        settings = load(config, CONFIG)["etna"]
        return Region("etna", settings, load_models(config, CONFIG), lambda folder: listed)

    return make


def test_every_reference_is_complete():
    assert len(known().entries) > 100
    for key, fields in known().fields.items():
        assert {"author", "title", "year"} <= set(fields), key
        assert fields["year"].isdigit() and (not KEY.fullmatch(key) or fields["year"] in key), key
        if key != "rockglacier":  # which lies nowhere yet
            assert {"doi", "url"} & set(fields), key
        assert re.fullmatch(r"10\.\d{4,9}/\S+", fields.get("doi", "10.1000/1")), key
        assert re.fullmatch(r"https://\S+", fields.get("url", "https://a.b")), key
    dois = [f["doi"].lower() for f in known().fields.values() if "doi" in f]
    assert len(dois) == len(set(dois))


def test_the_references_are_in_order_and_any_bibtex_reads_them():
    text = citations.REFERENCES.read_text(encoding="ascii")
    keys = re.findall(r"^@\w+\{(\S+),$", text, re.M)
    assert keys == sorted(keys) == list(known().entries)
    assert text.count("{") == text.count("}")
    authors = [fields["author"] for fields in known().fields.values()]
    assert not any(re.search(r";|&| et al", author) for author in authors)


def test_this_project_cites_itself_as_its_own_citation_file_says():
    own = known().fields["rockglacier"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert own["version"] == project["version"] == cited["version"]
    assert own["title"].startswith(cited["title"])
    assert own["author"] == "{" + cited["authors"][0]["name"] + "}"


def test_every_key_that_the_code_names_is_a_reference_and_every_reference_is_named():
    constants = {
        word
        for node in ast.walk(ast.parse((LIBRARY / "citations.py").read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for word in node.value.split()
        if KEY.fullmatch(word) or word in known().entries
    }
    assert constants == set(known().entries)


# Of functions and simulations that serve no region, and of sentences about the ground.
SERVE_NO_REGION = {
    "10.1214/aos/1013699998",  # many tests that err alike
    "10.1198/016214506000001437",  # scores of intervals, in benchmarks
    "10.3390/rs12030559",  # an alpine stack, in benchmarks
    "10.1175/1520-0442(2003)016",  # lapse rates in mountains
    "10.5194/tc-19-2559-2025",  # rates of rock glaciers
}


def test_what_the_library_and_the_methods_name_as_a_source_can_be_cited():
    have = {f["doi"].lower() for f in known().fields.values() if "doi" in f}
    for path in [*LIBRARY.rglob("*.py"), ROOT / "docs" / "methods.md"]:
        for found in re.findall(r"10\.\d{4,9}/[^\s\],;&]+", path.read_text()):
            doi = found.lower().replace("%28", "(").replace("%29", ")")
            while doi.count(")") > doi.count("(") or doi[-1] in ".:":
                doi = doi[:-1]
            assert doi in have | SERVE_NO_REGION, f"{path.name}: {found}"


@pytest.mark.parametrize(
    ("text", "there", "absent"),
    [
        (SCENES, "esa2014 torres2012 miranda2017 small2011 berardino2002 bopen2021 gisinger2021",
         "rosen2012 fattahi2017 hogenson2020 roy2014 rgik2023 pedregosa2011 baker2004 dozier1989"),
        (SCENES.replace("scenes}", "scenes, engine: isce2}"),
         "esa2014 rosen2012 fattahi2017 pratsiraola2012 chen2001 small2011 berardino2002",
         "staniewicz2025 gunter2023 chen2002"),
        (SCENES.replace("source: scenes", "source: grd"), "esa2014 small2011 quegan2001 horn1981",
         "berardino2002 goodman1963 patterson1971 notti2014 miranda2017"),
        ("name: E\ntracks: {t: {source: hyp3, path: stack}}", "esa2014 hogenson2020 berardino2002",
         "miranda2017 small2011 chen2001 lazecky2020 jordahl2020 bopen2021"),
        ("name: E\ntracks: {t: {source: licsar, path: stack}}", "esa2014 lazecky2020", "rosen2012"),
        ("name: E\ntracks: {t: {source: isce2, path: stack}}", "esa2014 rosen2012 fattahi2017",
         "pratsiraola2012 chen2001"),
        ("name: E\ntracks: {t: {source: mintpy, path: stack}}", "yunjun2019 berardino2002",
         "esa2014 torres2012"),
        ("name: E\ntracks: {t: {source: displacement, path: stack, units: m}}",
         "patterson1971 notti2014 doin2009", "berardino2002 goodman1963 pepe2006 esa2014"),
        ("name: E\ntracks: {t: {source: simulated}}", "berardino2002 hanssen2001 nye1965",
         "esa2014 small2011"),
        (IMAGES, "roy2014 baker2004 katkovnik1999 jordahl2020",
         "eros2020level1 drusch2012 dezan2014 berardino2002 kropatsch1990 liu2013 esa2014"),
        (SCENES + "moving_areas: glaciers.gpkg\nimages: {r: {source: slc, track: t1}}\n",
         "dezan2014 baker2004 esa2014", "roy2014"),
    ],
)  # fmt: skip
def test_a_region_cites_what_it_used(region, text, there, absent):
    used = set(choose(region(text)))
    assert set(there.split()) <= used
    assert set(absent.split()) <= set(known().entries)
    assert not set(absent.split()) & used
    assert {"rockglacier", "molder2021", "hoyer2017", "rocklin2015", "gdal2022"} <= used


@pytest.mark.parametrize(
    ("text", "addition", "more", "less"),
    [
        (SCENES, "backscatter: {speckle_window: 1}", "", "quegan2001"),
        (SCENES, "network: {min_coherence: 0.3}", "", ""),
        (SCENES, "unwrapping: {max_cycles: 0}", "", "besag1986 erisman1975"),
        (SCENES, "velocity: {screen_aliasing: false}", "", "zebker1992"),
        (SCENES, "corrections: {height: false}", "", "doin2009 holland1977"),
        (SCENES, "corrections: {height: false, ramp: linear}", "", "doin2009"),
        (SCENES, "corrections: {dem_error: false}", "", "fattahi2013"),
        (SCENES, "corrections: {local_reference: true}", "batcher1968", ""),
        (SCENES, "corrections: {delays: delays}", "yu2018", ""),
        (SCENES, "  t2: {source: scenes, path: scenes}", "birge1932", ""),
        (SCENES, "optical: {s2: {source: sentinel2, path: images}}",
         "dozier1989 zhu2014 huber1964 drusch2012 esa2021level2a", ""),
        (SCENES, "factors: true", "sappington2007 corripio2003", ""),
        (IMAGES, "offsets: {chips: [32]}", "", "katkovnik1999 richardson1911"),
    ],
)  # fmt: skip
def test_a_setting_changes_what_is_cited(region, text, addition, more, less):
    before, after = choose(region(text)), choose(region(text + addition + "\n"))
    assert set(after) - set(before) == set(more.split())
    assert set(before) - set(after) == set(less.split())
    assert before != after


@pytest.mark.parametrize(
    ("keys", "more", "less"),
    [
        ("goldstein: 0.5", "goldstein1998", ""),
        ("unwrapper: snaphu", "gunter2023", "staniewicz2025"),
        ("bistatic: none", "", "gisinger2021"),
    ],
)
def test_a_key_of_a_track_changes_what_is_cited(region, keys, more, less):
    before = set(choose(region(SCENES)))
    after = set(choose(region(SCENES.replace("path: scenes", f"path: scenes, {keys}"))))
    assert (after - before, before - after) == (set(more.split()), set(less.split()))


def test_orbits_alone_are_not_spectral_diversity(region):
    keys = "path: scenes, engine: isce2, coregistration: geometry"
    assert "pratsiraola2012" not in choose(region(SCENES.replace("path: scenes", keys)))


LABELLED = """\
labels: {path: inventory.gpkg, kinds: {active: []}}
climate: {source: reanalysis, path: t2m.nc, heights: z.nc}
model: etna
"""
FUSED = {"genest1986", "pedregosa2011", "rgik2023", "bertone2022", "vincent1991", "gao2012"}


@pytest.mark.parametrize(
    ("how", "there", "absent"),
    [
        ({}, "hastie2009 wang2010 marquardt1970", "breiman2001 lee2005"),
        ({"model": "random forest"}, "breiman2001 wang2010", "friedman2001"),
        ({"model": "gradient boosting"}, "friedman2001", "breiman2001"),
        ({"model": "weights of evidence"}, "bonhamcarter1989", "lee2005"),
        ({"model": "frequency ratio", "select": False}, "lee2005", "wang2010 hastie2009"),
    ],
)
def test_a_model_is_cited_as_it_is_trained(region, how, there, absent):
    used = set(choose(region(SCENES + LABELLED, models={"etna": {"regions": ["etna"]} | how})))
    judged = {"pontius2011", "wilson1927", "roberts2017", "wolpert1992"}
    assert FUSED | judged | set(there.split()) <= used
    assert not set(absent.split()) & used


def test_a_model_of_other_regions_points_to_them(region):
    found = region(SCENES + LABELLED, models={"etna": {"regions": ["ortler", "etna", "stubai"]}})
    assert citations.elsewhere(found) == ["ortler", "stubai"]
    assert "ortler and stubai" in render("etna", {}, elsewhere=citations.elsewhere(found))
    found = region(SCENES + LABELLED, models={"etna": {"regions": ["ortler"]}})
    assert set(choose(found)) >= FUSED | {"pontius2011"}
    assert "labels" in found.files()  # they tell how right the map is


def test_of_a_model_file_nothing_is_known_but_that_it_is_one(region):
    found = region(SCENES + "model_file: model.skops\n")
    used = set(choose(found))
    assert {"genest1986", "pedregosa2011", "rgik2023"} <= used
    assert not {"wang2010", "hastie2009", "breiman2001", "wolpert1992"} & used
    assert citations.elsewhere(found) == []
    assert "model_file (model.skops)" in untold(found)


def test_a_simulated_landscape_cites_no_satellite():
    config = read_yaml(CONFIG) | {
        "regions": "sandbox",
        "region_folder": str(ROOT / "config/regions"),
    }
    settings = load(config, CONFIG)["sandbox"]
    used = set(choose(Region("sandbox", settings, load_models(config, CONFIG))))
    assert {"sun2024", "small2011", "dozier1989", "baker2004", "berardino2002", "rgik2023"} <= used
    data = {"esa2014", "torres2012", "roy2014", "eros2020level1", "eros2020level2"}
    assert not data & used


@pytest.mark.parametrize(
    ("source", "names", "key"),
    [
        ("landsat", "a/LC08_L1TP_193027_20200806_20200821_02_T1_MTL.txt", "eros2020level1"),
        ("landsat", "LC09_L2SP_193027_20220806_20220821_02_T1_MTL.json", "eros2020level2"),
        ("landsat", "LC08_L1TP_193027_20200806_20200821_01_T1_MTL.txt", None),
        ("landsat", "LC80630172013120LGN01_MTL.txt", None),
        ("sentinel2", "S2A_MSIL1C_20200806T101031_N0209.SAFE/manifest.safe", "esa2021level1c"),
        ("sentinel2", "S2B_MSIL2A_20200806T101031_N0214.SAFE/manifest.safe", "esa2021level2a"),
    ],
)
def test_scenes_tell_their_level_and_collection(region, source, names, key):
    used = set(choose(region(IMAGES.replace("landsat", source), listed=[names])))
    levels = {"eros2020level1", "eros2020level2", "esa2021level1c", "esa2021level2a"}
    assert levels & used == ({key} if key else set())


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Copernicus_DSM_COG_10_N46_00_E010_00_DEM.tif", "esa2022dem"),
        ("oetztal_alps_srtm90.tif", "farr2007"),
        ("RGI2000-v7.0-G-14_south_asia_west.shp", "rgi2023"),
        ("14_rgi60_SouthAsiaWest.shp", "rgi2017"),
        ("era5_land_t2m.nc", "munozsabater2021"),
        ("ERA5-Land_2020.nc", "munozsabater2021"),
        ("era5_t2m.nc", "hersbach2020"),
        ("dem.tif", ""),
        ("merged.gpkg", ""),
    ],
)
def test_files_are_known_by_the_names_they_are_delivered_under(region, tmp_path, name, key):
    (tmp_path / name).touch()
    found = region(SCENES.replace("dem: dem.tif", f"dem: {name}"))
    assert set(choose(found)) - set(choose(region(SCENES))) == ({key} if key else set())
    assert untold(found) == ([] if key else [f"dem ({name})"])


def test_what_is_not_used_is_not_asked_for(region):
    """Glaciers and climate serve factors alone."""
    text = SCENES + "glaciers: glaciers.gpkg\n"
    assert untold(region(text)) == ["dem (dem.tif)"]
    assert untold(region(text + "factors: true\n")) == ["dem (dem.tif)", "glaciers (glaciers.gpkg)"]


OWN = """\
Whatever stands between entries is no matter; % not even bora@etna.it in a comment
@string{jg = "Journal of Glaciology"}
@Comment{jabref-meta: databaseType:bibtex;}
@Article{ferrari2021,
  Author = {Ferrari, Bora and M{\\"u}ller, {\\'E}mile},
  title  = "Blocks, {"}quoted{"} and {braced}",
  journal = jg # { and others},
  year = 2021,
  note = {a {nested {value}}}
}
@misc(dem2020, author={Etna}, title={A DEM (of lidar)}, year={2020},)
"""


def test_bibtex_is_read_as_it_is_written():
    found = parse(OWN, "own.bib")
    assert list(found.entries) == ["ferrari2021", "dem2020"]
    assert found.others == ['@string{jg = "Journal of Glaciology"}']
    fields = found.fields["ferrari2021"]
    assert fields["author"] == "Ferrari, Bora and M{\\\"u}ller, {\\'E}mile"
    assert fields["title"] == 'Blocks, {"}quoted{"} and {braced}'
    assert fields["journal"] == "jg and others" and fields["year"] == "2021"
    assert found.fields["dem2020"]["title"] == "A DEM (of lidar)"
    assert found.entries["dem2020"] in OWN


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "@misc{a, title = {A}\n\n@misc{b, title = {B}}",
            r"line 1: the braces of '@misc{a, .* match",
        ),
        ("\n@misc{a, title = {A}}}\n@misc{b, title = {B}", r"line 3: the braces of '@misc{b"),
        ("@misc{a, title = {A} year = 2020}", r"line 1: in 'a', at 'title = .* with a comma after"),
        ('@misc{a, title = "A}', r"line 1: the braces of|in 'a', at 'title"),
        ("@misc{a, title = }", r"in 'a', at 'title =', a field is needed"),
        ("@misc{a, {A}}", r"in 'a', at '{A}', a field is needed"),
        ("@misc{title = {A}}", r"line 1: '@misc{title = {A}}' has no key, or no field"),
        ("@misc{a}", r"has no key, or no field; needed: @type{key, field = {value}"),
        ("by mail: bora@etna.it", r"line 1: '@etna.it' is no entry; needed: @type{key"),
        ("@misc{a, year = 1}\n@book{A, year = 2}", r"line 2: key 'A' occurs twice; rename one"),
    ],
)
def test_a_mistake_in_bibtex_is_named_with_its_line(text, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        parse(text, "own.bib")
    assert str(caught.value).startswith("own.bib, line ")


def test_the_file_holds_what_was_used_and_says_what_for(region):
    found = region(SCENES)
    text = render("etna", choose(found), untold=untold(found))
    assert list(parse(text, "made").entries) == list(choose(found))
    assert "\n% inversion to time series (SBAS)\n@article{berardino2002,\n" in text
    assert "%   dem (dem.tif)\n" in text
    assert all(line.startswith("%") for line in text.split("\n\n")[0].splitlines())


def test_other_words_of_an_entry_count_where_it_is_used(monkeypatch):
    before = citations.wording(["berardino2002", "pepe2006"]), citations.wording(["pepe2006"])
    entries = known().entries | {"berardino2002": "@article{berardino2002, title = {Else}}"}
    monkeypatch.setattr(citations, "known", lambda: citations.Bibliography(entries))
    after = citations.wording(["berardino2002", "pepe2006"]), citations.wording(["pepe2006"])
    assert before[0] != after[0] and before[1] == after[1]


def test_a_comment_never_looks_like_an_entry():
    text = render("etna", {}, untold=["dem (@misc{a, b}.tif)"])
    assert parse(text, "made").entries == {} and "@" not in text


def test_own_entries_are_merged_and_stand_in_place_of_known_ones(region, tmp_path):
    own = tmp_path / "own.bib"
    own.write_text(OWN + "@misc{Farr2007, title = {My own wording}}\n")
    (tmp_path / "srtm.tif").touch()
    text = SCENES.replace("dem.tif", "srtm.tif") + "citations: own.bib\n"
    found = region(text)
    assert found["citations"] == [str(own)] == citations.own_files(found.settings)
    made = render("etna", choose(found), own=citations.own_files(found.settings))
    merged = parse(made, "made")
    assert {"berardino2002", "ferrari2021", "dem2020", "Farr2007"} <= set(merged.entries)
    assert "farr2007" not in merged.entries
    assert merged.others == read(own).others
    assert made.index("@string") < made.index("@Article")


def test_keys_of_this_project_and_files_may_be_named_together(region, tmp_path):
    (tmp_path / "own.bib").write_text(OWN)
    found = region(SCENES + "citations: [rgi2023, own.bib]\n")
    assert choose(found)["rgi2023"] == "named by the region's file"
    assert citations.own_files(found.settings) == [str(tmp_path / "own.bib")]
    assert region(SCENES)["citations"] == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("rgi2032", "names 'rgi2032', which this project does not know; did you mean 'rgi2023'"),
        ("zzz", r"see references.bib, or name a BibTeX file that ends in \.bib"),
        ("none.bib", "citations is 'none.bib', but .*none.bib does not exist"),
        ("broken.bib", r"broken.bib, line 1: the braces of '@misc{a, title = {A}' do not match"),
        ("latin.bib", r"latin.bib cannot be read .* needed: a BibTeX file in UTF-8"),
        ("[own.bib, again.bib]", "key 'ferrari2021' occurs in .*own.bib and in .*again.bib"),
        ("{dem: own.bib}", r"citations is .* needed: a list or text \[path or key\]"),
    ],
)
def test_a_mistake_in_citations_is_named_with_its_cure(region, tmp_path, given, message):
    for name in ("own.bib", "again.bib"):
        (tmp_path / name).write_text(OWN)
    (tmp_path / "broken.bib").write_text("@misc{a, title = {A}")
    (tmp_path / "latin.bib").write_bytes("@misc{a, title = {Ü}}".encode("latin-1"))
    with pytest.raises(ConfigurationError, match=message):
        region(SCENES + f"citations: {given}\n")
