"""The documents agree with the code: settings, examples, reason codes, assumptions, links.

``python tests/test_docs.py`` writes the tables of settings in the user guide anew.
"""

import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))  # as a program; under pytest it is there already

from rockglacier.configuration import entry_schema, load, read, schema  # noqa: E402
from rockglacier.conventions import Reason  # noqa: E402

CONFIG = ROOT / "config" / "config.yaml"
GUIDE = ROOT / "docs" / "user-guide.md"
METHODS = ROOT / "docs" / "methods.md"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def bounds(node):
    """What a schema allows, in a few signs."""
    if "enum" in node:
        return ", ".join(shown(value) for value in node["enum"])
    inner = node.get("items", node)
    if "enum" in inner:
        return "list of " + bounds(inner)
    low, high = inner.get("minimum"), inner.get("maximum")
    above = inner.get("exclusiveMinimum")
    parts = [f"> {above}"] if above is not None else []
    if low is not None and high is not None:
        parts = [f"{low} … {high}"]
    elif low is not None or high is not None:
        parts += [f"≥ {low}" if high is None else f"≤ {high}"]
    if "items" in node and "minItems" in node and node["minItems"] == node.get("maxItems"):
        parts.append(f"{node['minItems']} values")
    return ", ".join(parts)


def shown(value):
    """A default as YAML writes it on one line."""
    text = yaml.safe_dump(value, default_flow_style=True).strip()
    return f"`{text.removesuffix('...').strip()}`"


def rows(node, defaults, prefix=""):
    for key, child in node["properties"].items():
        value = defaults.get(key) if defaults else None
        if "properties" in child:
            yield from rows(child, value, f"{prefix}{key}.")
        else:
            unit = "" if child["unit"] in ("choice", "true or false") else child["unit"]
            about = child["description"].rstrip(".")
            yield cells(f"`{prefix}{key}`", about, unit, bounds(child), shown(value))


def cells(*values):
    """A line of a table; angle brackets would vanish as tags."""
    return "| " + " | ".join(v.replace("<", "&lt;") for v in values) + " |"


def settings_table():
    head = ["| Key | Meaning | Unit | Allowed | Default |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows(schema("settings"), read(CONFIG)["defaults"])])


def keys_table(node):
    lines = ["| Key | Meaning | Unit | Allowed | |", "|---|---|---|---|---|"]
    for key, child in node["properties"].items():
        if key == "source":
            continue
        need = "needed" if key in node.get("required", []) else ""
        if "default" in child:
            need = f"default {shown(child['default'])}"
        about = child["description"].rstrip(".")
        lines.append(
            cells(f"`{key}`", about, child.get("unit", "keys and values"), bounds(child), need)
        )
    return "\n".join(lines)


def tables():
    found = {"settings": settings_table()}
    for kind in ("track", "images", "climate"):
        found |= {
            source: keys_table(entry_schema(kind, source)) for source in schema(kind)["$defs"]
        }
    return found | {kind: keys_table(schema(kind)) for kind in ("labels", "model", "landscape")}


def with_tables(text):
    """``text`` with what stands between the marks of each table made anew."""
    for name, table in tables().items():
        marks = rf"(<!-- table {name} -->\n).*?(<!-- end -->)"
        assert re.search(marks, text, re.S), f"{GUIDE} lacks the marks of table {name}"
        text = re.sub(marks, lambda m, t=table: f"{m[1]}{t}\n{m[2]}", text, flags=re.S)
    return text


def test_the_guide_lists_the_settings_as_the_schemas_describe_them():
    text = GUIDE.read_text()
    assert text == with_tables(text), "run: python tests/test_docs.py"


EXAMPLES = [
    block
    for document in DOCUMENTS
    for block in re.findall(r"```yaml\n(.*?)```", document.read_text(), re.S)
    if "tracks:" in block or "images:" in block
]


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: block.partition("\n")[0])
def test_every_region_in_the_documents_is_valid(block, tmp_path):
    keys = "path|dem|delays|geometry|orbits|stable_ground|moving_areas|glaciers|heights"
    for path in re.findall(rf"(?:{keys}): *([\w./-]+)", block):
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
    (tmp_path / "example.yaml").write_text(block)
    config = read(CONFIG) | {"regions": "example", "region_folder": str(tmp_path)}
    config["models"] = {
        name: {"regions": ["valley"]} for name in re.findall(r"model: (\S+)", block)
    }
    region = load(config, CONFIG)["example"]
    assert region["tracks"] or region["images"]


def test_every_reader_has_an_example():
    sources = set(re.findall(r"source: *(\w+)", "".join(EXAMPLES)))
    assert sources == {s for k in ("track", "images", "climate") for s in schema(k)["$defs"]}


def test_the_guide_names_every_reason():
    text = GUIDE.read_text()
    for reason in Reason:
        assert f"| {int(reason)} | `{reason.name}` |" in text, reason


def test_the_methods_list_every_assumption():
    """As many lines of the table name a file as it marks assumptions with ASSUME."""
    listed = re.findall(r"^\|.*\| `([\w./]+\.py)` \|$", METHODS.read_text(), re.M)
    code = {
        str(file.relative_to(ROOT / "workflow" / "rockglacier")): len(
            re.findall(r"\bASSUME:", file.read_text())
        )
        for file in (ROOT / "workflow" / "rockglacier").rglob("*.py")
    }
    marked = {name: count for name, count in code.items() if count}
    assert {name: listed.count(name) for name in {*listed, *marked}} == marked


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md"])
def test_every_rule_is_named(document):
    text = (ROOT / document).read_text()
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):
        for rule in re.findall(r"^rule (\w+):", file.read_text(), re.M):
            assert rule in text, f"{document} does not name {rule}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", document.read_text()):
        assert (document.parent / target).exists(), target


if __name__ == "__main__":
    GUIDE.write_text(with_tables(GUIDE.read_text()))
