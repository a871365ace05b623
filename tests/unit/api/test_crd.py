"""The CRDs are generated from the API types, with a description of each field and a bound of each value."""

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
METADATA = ".metadata"  # without descriptions: the API server refuses a CRD that specifies more of metadata


def _schema(kind: Kind) -> dict[str, Any]:
    return build_crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def _nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema inside a schema, with its path."""
    yield path, schema
    for name, item in schema.get("properties", {}).items():
        yield from _nodes(item, f"{path}.{name}")
    for nested in ("items", "additionalProperties"):
        if nested in schema:
            yield from _nodes(schema[nested], f"{path}[]")


def _bounded(node: dict[str, Any]) -> bool:
    """Return whether a value has a maximum size, which limits the cost of CEL rules over the value."""
    if node.get("x-kubernetes-int-or-string"):
        return "maxLength" in node
    if "additionalProperties" in node:
        return "maxProperties" in node
    bounds = {"string": ("maxLength", "enum"), "array": ("maxItems",), "integer": ("maximum",)}
    return any(key in node for key in bounds[node["type"]]) if node["type"] in bounds else True


every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.mark.parametrize("folder", FOLDERS)
@every_kind
def test_crd_file_equals_the_generated_crd(folder: str, kind: Kind) -> None:
    file = ROOT / folder / f"modelyard.dev_{kind.plural}.yaml"
    assert file.read_text(encoding="utf-8") == crd_yaml(kind), "run `make crds`"


@pytest.mark.parametrize("folder", FOLDERS)
def test_crd_folder_has_one_file_for_each_kind(folder: str) -> None:
    assert {file.name for file in (ROOT / folder).iterdir()} == {
        f"modelyard.dev_{kind.plural}.yaml" for kind in KINDS
    }


def test_write_crds_creates_folders_and_files(tmp_path: Path) -> None:
    assert write_crds([str(tmp_path / "new" / "folder")]) == 0
    for kind in KINDS:
        file = tmp_path / "new" / "folder" / f"modelyard.dev_{kind.plural}.yaml"
        assert yaml.safe_load(file.read_text(encoding="utf-8")) == build_crd(kind)


@every_kind
def test_every_property_has_a_description(kind: Kind) -> None:
    undescribed = [
        f"{path}.{name}"
        for path, node in _nodes(_schema(kind))
        for name, item in node.get("properties", {}).items()
        if not item.get("description") and not f"{path}.{name}".startswith(METADATA)
    ]
    assert not undescribed


@every_kind
def test_every_value_in_spec_is_bounded(kind: Kind) -> None:
    spec = _schema(kind)["properties"]["spec"]
    assert not [path for path, node in _nodes(spec, ".spec") if not _bounded(node)]


@every_kind
def test_default_status_has_observed_generation_minus_one(kind: Kind) -> None:
    assert _schema(kind)["properties"]["status"]["default"] == {"observedGeneration": -1}


@every_kind
def test_schema_is_structural_and_has_no_defaults_in_spec(kind: Kind) -> None:
    forbidden = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "const", "default", "title", "examples"}
    for path, node in _nodes(_schema(kind)):
        allowed = {"default"} if path == ".status" else set()
        assert not (forbidden - allowed) & node.keys(), path
        assert "type" in node or node.get("x-kubernetes-int-or-string"), path


@every_kind
def test_every_rule_has_a_message_and_an_existing_field_path(kind: Kind) -> None:
    for path, node in _nodes(_schema(kind)):
        for rule in node.get("x-kubernetes-validations", []):
            assert len(rule["message"].split()) > 4, path
            field = node
            for step in rule.get("fieldPath", "").split(".")[1:]:
                field = field["properties"][step]


@pytest.mark.parametrize(
    ("name", "plural", "short"),
    [
        ("Model", "models", "mdl"),
        ("Manifest", "manifests", "mft"),
        ("Image", "images", "img"),
        ("Service", "services", "msvc"),
    ],
)
def test_crd_has_the_documented_names(name: str, plural: str, short: str) -> None:
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
    scale = {
        "specReplicasPath": ".spec.numReplicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    assert version["subresources"] == {"status": {}} | ({"scale": scale} if name == "Service" else {})


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("Model", ["ID", "State", "Ready", "Age"]),
        ("Manifest", ["ID", "State", "Ready", "Age"]),
        ("Image", ["ID", "State", "Ready", "Age"]),
        ("Service", ["ID", "State", "Ready", "Available", "Replicas", "Desired", "Load", "Image", "Age"]),
    ],
)
def test_crd_has_the_documented_default_columns(name: str, columns: list[str]) -> None:
    printed = build_crd(KINDS_BY_NAME[name])["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [column["name"] for column in printed if "priority" not in column] == columns


@every_kind
def test_printer_columns_read_existing_fields(kind: Kind) -> None:
    (version,) = build_crd(kind)["spec"]["versions"]
    paths = {path for path, _ in _nodes(_schema(kind))} | {".metadata.creationTimestamp"}
    for column in version["additionalPrinterColumns"]:
        assert column["jsonPath"].split("[")[0] in paths, column["name"]


@every_kind
def test_map_that_may_be_empty_is_atomic(kind: Kind) -> None:
    for path, node in _nodes(_schema(kind)["properties"]["spec"]):
        if node.get("type") == "object" and not node.get("required"):
            assert node.get("x-kubernetes-map-type") == "atomic", path
