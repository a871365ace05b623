"""CRDs from the types: pydantic's JSON schema made structural, with columns, names and rules.

Structural schemas: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from modelyard.api.base import ApiType
from modelyard.api.kinds import KINDS, Kind, PrinterColumn
from modelyard.api.names import CATEGORY, GROUP, VERSION
from modelyard.api.rules import VALIDATIONS

# Defaults are the operator's to apply: an object stays as its author wrote it, which GitOps tools expect.
_LEFT_OUT: Final = {"title", "default", "examples", "$defs"}
# kstatus takes an object with no status for current; Flux's own kinds have this default for the same reason.
UNOBSERVED_STATUS: Final = {"observedGeneration": -1}
_COMMON: Final = (
    PrinterColumn("ID", ".status.id"),
    PrinterColumn("State", ".status.state"),
    PrinterColumn("Ready", '.status.conditions[?(@.type=="Ready")].status'),
)
_AGE: Final = PrinterColumn("Age", ".metadata.creationTimestamp", "date")
_REASON: Final = PrinterColumn("Reason", '.status.conditions[?(@.type=="Ready")].message', priority=1)
HEADER: Final = "# Generated from operator/modelyard/api by `make crds`; do not edit.\n"


def structural(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema with references put in place, and without what the API server does not take."""
    if reference := schema.get("$ref"):
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return structural(definitions[reference.rsplit("/", 1)[1]] | beside, definitions)
    if options := schema.get("anyOf"):
        chosen = [option for option in options if option.get("type") != "null"]
        beside = {key: value for key, value in schema.items() if key != "anyOf"}
        return structural(chosen[0] | beside, definitions)
    kept = {key: value for key, value in schema.items() if key not in _LEFT_OUT}
    if "const" in kept:
        kept["enum"] = [kept.pop("const")]
    if "properties" in kept:
        kept["properties"] = {
            name: structural(item, definitions) for name, item in kept["properties"].items()
        }
    for nested in ("items", "additionalProperties"):
        if isinstance(kept.get(nested), dict):
            kept[nested] = structural(kept[nested], definitions)
    if "description" in kept:
        kept["description"] = " ".join(kept["description"].split())
    return kept


def build_schema(type_: type[ApiType]) -> dict[str, Any]:
    """The structural schema of a type."""
    schema = type_.model_json_schema(by_alias=True)
    return structural(schema, schema.get("$defs", {}))


def _column(column: PrinterColumn) -> dict[str, Any]:
    entry = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return entry | ({"priority": column.priority} if column.priority else {})


def build_crd(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    columns = (*_COMMON, *kind.columns, _REASON, _AGE)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short_name],
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in columns],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": kind.summary,
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
                                "kind": {"type": "string", "description": f"{kind.name}."},
                                # Named here so that rules can point at it; more the API server forbids.
                                "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
                                "spec": build_schema(kind.spec),
                                "status": build_schema(kind.status) | {"default": UNOBSERVED_STATUS},
                            },
                            VALIDATIONS: [rule.as_cel() for rule in kind.resource.rules],
                        }
                    },
                }
            ],
        },
    }


def crd_yaml(kind: Kind) -> str:
    """The CRD of a kind as a YAML document with its header."""
    return HEADER + str(yaml.safe_dump(build_crd(kind), sort_keys=False, width=110))


def write_crds(folders: list[str]) -> int:
    """Write `<group>_<plural>.yaml` of each kind into each folder; returns an exit code."""
    for folder in map(Path, folders):
        folder.mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            (folder / f"{GROUP}_{kind.plural}.yaml").write_text(crd_yaml(kind), encoding="utf-8")
    return 0
