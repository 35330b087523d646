"""Each rule carries a digest of the library that its script uses, and says what a job needs."""

import ast
import re
import subprocess
import sys

import pytest
from workspace import ROOT

from rockglacier import provenance

# They shape messages and checks, not results.
PLANNED = [
    "check_scenes", "plan_pairs", "stack_pairs", "invert_network", "estimate_velocity",
    "vary_backscatter", "check_optical", "vary_snow", "plan_offsets", "invert_offsets",
    "gather_factors", "train_model", "validate_model", "map_probability", "make_inventory",
    "cite_sources", "summarise",
]  # fmt: skip
NO_RESULT = {"logs", "provenance", "errors", "conventions"}
TEXT = {path: path.read_text() for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))}
RULES = {
    name: body
    for text in TEXT.values()
    for name, body in re.findall(
        r"^(?:rule|checkpoint) (\w+):\n(.*?)(?=^rule |^checkpoint |\Z)", text, re.M | re.S
    )
    if "    output:\n" in body  # the others are targets, not products
}


def imported(script):
    """Library modules that a script names."""
    found = set()
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rockglacier"):
            parent = node.module.removeprefix("rockglacier").lstrip(".")
            names = {".".join(filter(None, (parent, alias.name))) for alias in node.names}
            modules = {name for name in names if provenance._exists(name)}
            found |= modules or {parent}
    return found


def covered(modules):
    """Modules that a digest of ``modules`` sees: they, and all that they import."""
    seen, queue = set(), list(modules)
    while queue:
        module = queue.pop()
        if module not in seen:
            seen.add(module)
            queue += provenance._read(module)[1]
    return seen


def test_the_rules_are_found():
    assert {"define_grid", "invert_network", "summarise"} <= set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_reruns_with_the_library_that_its_script_uses(name):
    # Steps of ISCE2 share a script; their commands are parameters.
    of_isce2 = "        commands=lambda" in RULES[name]
    script = ROOT / "scripts" / f"{'run_isce2' if of_isce2 else name}.py"
    assert f'"../../scripts/{script.name}"' in RULES[name] and script.exists()
    if "code=reader_digest" in RULES[name]:
        return  # by the track's own source
    modules = re.findall(
        r'"(\S+?)"', re.search(r"code=(?:\w+_)?digest\((.*?)\)", RULES[name], re.S)[1]
    )
    missing = imported(script) - NO_RESULT - covered(modules)
    assert not missing, f"add {sorted(missing)} to the digest of rule {name}"


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_what_a_job_needs_and_does(name):
    for directive in ("log", "benchmark", "conda", "resources", "params", "message"):
        assert f"    {directive}:" in RULES[name], directive
    assert re.search(r"mem_mb=megabytes(_of_places)?\(.*\)", RULES[name])
    assert re.search(r"runtime=minutes\(.*\)", RULES[name])


def test_environments_pin_what_the_lock_pins():
    lock = dict(re.findall(r"^(\S+?)==(\S+)", (ROOT / "requirements.lock").read_text(), re.M))
    named = {"dask-core": "dask", "matplotlib-base": "matplotlib"}
    for path in (ROOT / "envs").glob("*.yaml"):
        if path.stem == "isce2":  # which cannot be installed with the others
            continue
        pins = re.findall(r"^  - (\S+) =(\S+)$", path.read_text(), re.M)
        assert len(pins) > 8
        assert [p for p in pins if lock[named.get(p[0], p[0])] != p[1]] == [], path.name


@pytest.mark.parametrize("name", ["karakoram", "sanjiangyuan", "valle_daosta", "tianshan"])
def test_regions_whose_scenes_come_later_are_planned_as_a_whole(name, tmp_path):
    """With folders and files in their places, all that does not hang on scenes is planned."""
    regions = tmp_path / "config" / "regions"
    regions.mkdir(parents=True)
    text = (ROOT / "config" / "regions" / f"{name}.yaml").read_text()
    (regions / f"{name}.yaml").write_text(text)
    for given in re.findall(
        r"(?:path|dem|orbits|glaciers|heights): (\.\./\S+?)[},]?(?:\s|$)", text
    ):
        place = regions / given
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.suffix:
            place.touch()
        else:
            place.mkdir(exist_ok=True)
    assert set(PLANNED) <= planned(tmp_path, name, regions)


PAPER = ["plot_inventory", "plot_examples", "tabulate_accuracy", "freeze_manifest"]


def test_the_figures_of_a_paper_are_planned(tmp_path):
    found = planned(tmp_path, "sandbox", ROOT / "config" / "regions", "paper_figures")
    assert {*PAPER, "make_landscape", "validate_model", "make_inventory"} <= found


def test_a_simulated_landscape_is_planned_as_a_whole(tmp_path):
    found = planned(tmp_path, "sandbox", ROOT / "config" / "regions")
    assert found & set(PAPER) == {"plot_inventory", "plot_examples"}
    assert {*PLANNED, "make_landscape", "compare_with_truth"} - {"check_scenes"} <= found


def planned(folder, region, regions, *targets):
    """Rules of the jobs of a dry run."""
    told = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "-s", str(ROOT / "Snakefile"),
         *targets, "--config", f"regions={region}", f"region_folder={regions}", "results=results"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    return set(re.findall(r"^(\w+) +\d+$", told.stdout + told.stderr, re.M))
