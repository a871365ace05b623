"""The CRDs are the types: no drift, a description and a bound everywhere, the names of the design."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelyard.api.crd import build_crd, crd_yaml, write_crds
from modelyard.api.kinds import KINDS, KINDS_BY_NAME, Kind

ROOT = Path(__file__).parents[3]
FOLDERS = ("crds", "charts/modelyard/files/crds")
SERVER_DESCRIBES = ".metadata"  # the API server refuses a schema that says more about it


def _schema(kind: Kind) -> dict[str, Any]:
    return build_crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def _nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, with its path."""
    yield path, schema
    for name, item in schema.get("properties", {}).items():
        yield from _nodes(item, f"{path}.{name}")
    for nested in ("items", "additionalProperties"):
        if nested in schema:
            yield from _nodes(schema[nested], f"{path}[]")


def _bounded(node: dict[str, Any]) -> bool:
    """Whether the cost of a rule over the value has a limit."""
    if node.get("x-kubernetes-int-or-string"):
        return "maxLength" in node
    if "additionalProperties" in node:
        return "maxProperties" in node
    wanted = {"string": ("maxLength", "enum"), "array": ("maxItems",), "integer": ("maximum",)}
    return any(key in node for key in wanted[node["type"]]) if node["type"] in wanted else True


every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.mark.parametrize("folder", FOLDERS)
@every_kind
def test_file_is_what_the_types_generate(folder: str, kind: Kind) -> None:
    file = ROOT / folder / f"modelyard.dev_{kind.plural}.yaml"
    assert file.read_text(encoding="utf-8") == crd_yaml(kind), "run `make crds`"


@pytest.mark.parametrize("folder", FOLDERS)
def test_folder_has_no_other_file(folder: str) -> None:
    assert {file.name for file in (ROOT / folder).iterdir()} == {
        f"modelyard.dev_{kind.plural}.yaml" for kind in KINDS
    }


def test_write_makes_folders_and_files_that_read_back(tmp_path: Path) -> None:
    assert write_crds([str(tmp_path / "new" / "folder")]) == 0
    for kind in KINDS:
        file = tmp_path / "new" / "folder" / f"modelyard.dev_{kind.plural}.yaml"
        assert yaml.safe_load(file.read_text(encoding="utf-8")) == build_crd(kind)


@every_kind
def test_every_property_has_a_description(kind: Kind) -> None:
    silent = [
        f"{path}.{name}"
        for path, node in _nodes(_schema(kind))
        for name, item in node.get("properties", {}).items()
        if not item.get("description") and not f"{path}.{name}".startswith(SERVER_DESCRIBES)
    ]
    assert not silent


@every_kind
def test_everything_in_spec_is_bounded(kind: Kind) -> None:
    spec = _schema(kind)["properties"]["spec"]
    assert not [path for path, node in _nodes(spec, ".spec") if not _bounded(node)]


@every_kind
def test_an_object_has_a_status_that_speaks_of_no_generation_from_the_start(kind: Kind) -> None:
    assert _schema(kind)["properties"]["status"]["default"] == {"observedGeneration": -1}


@every_kind
def test_schema_is_structural_and_leaves_specs_as_they_are(kind: Kind) -> None:
    foreign = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "const", "default", "title", "examples"}
    for path, node in _nodes(_schema(kind)):
        assert not (foreign - ({"default"} if path == ".status" else set())) & node.keys(), path
        assert "type" in node or node.get("x-kubernetes-int-or-string"), path


@every_kind
def test_every_rule_has_a_sentence_and_blames_a_field_that_exists(kind: Kind) -> None:
    for path, node in _nodes(_schema(kind)):
        for rule in node.get("x-kubernetes-validations", []):
            assert len(rule["message"].split()) > 4, path
            blamed = node
            for step in rule.get("fieldPath", "").split(".")[1:]:
                blamed = blamed["properties"][step]


@pytest.mark.parametrize(
    ("name", "plural", "short"),
    [
        ("Model", "models", "mdl"),
        ("Manifest", "manifests", "mft"),
        ("Image", "images", "img"),
        ("Service", "services", "msvc"),
    ],
)
def test_names_are_those_of_the_design(name: str, plural: str, short: str) -> None:
    definition = build_crd(KINDS_BY_NAME[name])
    assert definition["metadata"]["name"] == f"{plural}.modelyard.dev"
    assert definition["spec"]["scope"] == "Namespaced"
    assert definition["spec"]["names"] == {
        "kind": name,
        "listKind": f"{name}List",
        "plural": plural,
        "singular": name.lower(),
        "shortNames": [short],
        "categories": ["modelyard"],
    }
    (version,) = definition["spec"]["versions"]
    assert version["name"] == "v1alpha1"
    assert version["subresources"] == {"status": {}}


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("Model", ["ID", "State", "Ready", "Age"]),
        ("Manifest", ["ID", "State", "Ready", "Age"]),
        ("Image", ["ID", "State", "Ready", "Age"]),
        ("Service", ["ID", "State", "Ready", "Available", "Replicas", "Image", "Age"]),
    ],
)
def test_columns_without_wide_are_those_of_the_design(name: str, columns: list[str]) -> None:
    shown = build_crd(KINDS_BY_NAME[name])["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [column["name"] for column in shown if "priority" not in column] == columns


@every_kind
def test_columns_read_fields_that_exist(kind: Kind) -> None:
    (version,) = build_crd(kind)["spec"]["versions"]
    paths = {path for path, _ in _nodes(_schema(kind))} | {".metadata.creationTimestamp"}
    for column in version["additionalPrinterColumns"]:
        assert column["jsonPath"].split("[")[0] in paths, column["name"]
