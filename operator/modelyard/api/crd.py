"""CustomResourceDefinitions from the API types.

The JSON schema of pydantic is made structural, and gets printer columns, names and validation rules.
Structural schemas:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from modelyard.api.base import ApiType
from modelyard.api.kinds import KINDS, Kind, PrinterColumn
from modelyard.api.names import CATEGORY, GROUP, VERSION
from modelyard.api.rules import VALIDATIONS

# The operator applies defaults, not the schema: a spec stays as its author wrote it, which GitOps tools
# expect.
_OMITTED_KEYWORDS: Final = {"title", "default", "examples", "$defs"}
# kstatus treats an object without a status as Current. Flux's own kinds have this default for the same
# reason.
UNOBSERVED_STATUS: Final = {"observedGeneration": -1}
_COMMON_COLUMNS: Final = (
    PrinterColumn("ID", ".status.id"),
    PrinterColumn("State", ".status.state"),
    PrinterColumn("Ready", '.status.conditions[?(@.type=="Ready")].status'),
)
_AGE_COLUMN: Final = PrinterColumn("Age", ".metadata.creationTimestamp", "date")
_REASON_COLUMN: Final = PrinterColumn("Reason", '.status.conditions[?(@.type=="Ready")].message', priority=1)
HEADER: Final = "# Generated from operator/modelyard/api by `make crds`; do not edit.\n"


def structural(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON schema with references resolved and without keywords that a structural schema forbids."""
    if reference := schema.get("$ref"):
        definition = definitions[reference.rsplit("/", 1)[1]]
        return structural(definition | _without(schema, "$ref"), definitions)
    if options := schema.get("anyOf"):
        option = next(option for option in options if option.get("type") != "null")
        return structural(option | _without(schema, "anyOf"), definitions)
    result = _without(schema, *_OMITTED_KEYWORDS)
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if "properties" in result:
        result["properties"] = {
            name: structural(item, definitions) for name, item in result["properties"].items()
        }
    for nested in ("items", "additionalProperties"):
        if isinstance(result.get(nested), dict):
            result[nested] = structural(result[nested], definitions)
    if "description" in result:
        result["description"] = " ".join(result["description"].split())
    return result


def _without(schema: dict[str, Any], *keywords: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in keywords}


def build_schema(type_: type[ApiType]) -> dict[str, Any]:
    """Return the structural schema of an API type."""
    schema = type_.model_json_schema(by_alias=True)
    return structural(schema, schema.get("$defs", {}))


def with_atomic_maps(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in which each map that may be empty is atomic: one field manager owns all its keys.

    Server-side apply turns another map into null if its author removes the last key and leaves `{}`. The API
    server then rejects the object: "must be of type object: null".
    """
    result = dict(schema)
    if result.get("type") == "object" and not result.get("required"):
        result["x-kubernetes-map-type"] = "atomic"
    if "properties" in result:
        result["properties"] = {name: with_atomic_maps(item) for name, item in result["properties"].items()}
    if isinstance(result.get("items"), dict):
        result["items"] = with_atomic_maps(result["items"])
    return result


def _column(column: PrinterColumn) -> dict[str, Any]:
    entry = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return entry | ({"priority": column.priority} if column.priority else {})


def _subresources(kind: Kind) -> dict[str, Any]:
    scale = kind.scale and {
        "specReplicasPath": kind.scale.spec_replicas,
        "statusReplicasPath": kind.scale.status_replicas,
        "labelSelectorPath": kind.scale.label_selector,
    }
    return {"status": {}} | ({"scale": scale} if scale else {})


def build_crd(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind."""
    columns = (*_COMMON_COLUMNS, *kind.columns, _REASON_COLUMN, _AGE_COLUMN)
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
                    "subresources": _subresources(kind),
                    "additionalPrinterColumns": [_column(column) for column in columns],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": kind.description,
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {
                                    "type": "string",
                                    "description": f"Version of the API: {GROUP}/{VERSION}.",
                                },
                                "kind": {
                                    "type": "string",
                                    "description": f"Kind of the object: {kind.name}.",
                                },
                                # Rules refer to metadata.name; the API server forbids to specify more of it.
                                "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
                                "spec": with_atomic_maps(build_schema(kind.spec)),
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
    """Return the CRD of a kind as a YAML document with a header comment."""
    return HEADER + str(yaml.safe_dump(build_crd(kind), sort_keys=False, width=110))


def write_crds(folders: list[str]) -> int:
    """Write `<group>_<plural>.yaml` of each kind into each folder, and return the exit code."""
    for folder in map(Path, folders):
        folder.mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            (folder / f"{GROUP}_{kind.plural}.yaml").write_text(crd_yaml(kind), encoding="utf-8")
    return 0
