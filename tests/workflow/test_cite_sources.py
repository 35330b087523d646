"""What to cite is made beside the key figures, and anew where settings or own entries change it."""

import pytest
from workspace import REGION, Workspace

from rockglacier.citations import parse

pytestmark = pytest.mark.filterwarnings("ignore:Object at .snakemake_timestamp")


@pytest.fixture(scope="module")
def cited(tmp_path_factory):
    """A region whose citations are made, and nothing else of it."""
    made = Workspace(tmp_path_factory.mktemp("cited"))
    (made.folder / "own.bib").write_text("@misc{etna2020, title = {My DEM}, year = {2020}}\n")
    made.write("alpha", REGION.format(name="Alpha", seed=1) + "citations: own.bib\n")
    made.run(target(made), regions="alpha")
    return made


def target(workspace):
    return str(workspace.results / "alpha" / "CITATIONS.bib")


def planned(workspace):
    """Messages of the jobs that would make the citations."""
    return workspace.planned(target(workspace), regions="alpha").get("alpha", [])


def edited(workspace, old, new):
    """What is planned once the region's file says ``new`` in place of ``old``."""
    path = workspace.folder / "alpha.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        return planned(workspace)
    finally:
        path.write_text(text)


def test_the_file_is_made_by_itself_with_a_log_and_a_benchmark(cited):
    folder = cited.results / "alpha"
    text = (folder / "CITATIONS.bib").read_text()
    entries = parse(text, "CITATIONS.bib").entries
    assert {"rockglacier", "berardino2002", "etna2020"} <= set(entries)
    assert "torres2012" not in entries
    assert "% own.bib\n@misc{etna2020" in text
    made = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert made == {"CITATIONS.bib", "logs/cite_sources.log", "benchmarks/cite_sources.tsv"}


def test_only_what_changes_the_choice_reruns_it(cited):
    assert planned(cited) == []
    assert edited(cited, "name: Alpha", "inversion: {min_pairs: 4}\nname: Beta") == []
    assert edited(cited, "seed: 1", "seed: 2") == []
    assert edited(cited, "name: Alpha", "unwrapping: {max_cycles: 0}\nname: Alpha") == [
        "what to cite"
    ]
    assert edited(cited, "citations: own.bib", "citations: [own.bib, rgi2023]") == ["what to cite"]


def test_own_entries_that_change_rerun_it(cited):
    own = cited.folder / "own.bib"
    text = own.read_text()
    own.write_text(text.replace("2020}", "2021}"))
    assert planned(cited) == ["what to cite"]
    own.write_text(text)


def test_broken_bibtex_ends_the_run_before_it_begins(cited):
    own = cited.folder / "own.bib"
    text = own.read_text()
    own.write_text(text + "\n@misc{b, title = {B}\n")
    said = cited.run(target(cited), regions="alpha", check=False)
    own.write_text(text)
    assert f"{own}, line 3: the braces of '@misc{{b, title = {{B}}' do not match" in said


def test_it_is_made_with_the_key_figures(cited):
    cited.write("beta", REGION.format(name="Beta", seed=1))
    assert {"what to cite", "key figures"} <= set(cited.planned(regions="beta")["beta"])
