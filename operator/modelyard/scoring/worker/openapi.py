"""The OpenAPI documents of the service, versions 2.0, 3.0 and 3.1, from the schema of run()."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelyard.scoring.contract import Variable
from modelyard.scoring.worker import inference_schema
from modelyard.scoring.worker.driver import Driver
from modelyard.scoring.worker.hints import Hint, Schema

Document = dict[str, Any]

VERSIONS = {"2": ("swagger.json", "swagger2.json"), "3": ("swagger3.json",), "3.1": ("swagger3.1.json",)}
"""OpenAPI versions by their name in the query, and the driver's files that replace the document."""

_FULL_NAMES = {"2": "2.0", "3": "3.0", "3.1": "3.1"}


def documents(driver: Driver, folder: Path, environment: Mapping[str, str]) -> dict[str, Document]:
    """Return the documents by version, without versions that cannot express the schema of run().

    A file in `folder`, which init() may have written, replaces a document. Raises OSError or ValueError for
    a file that cannot be read or is not JSON.
    """
    source, result, supported = _schemas(driver)
    found = {}
    for version, files in VERSIONS.items():
        file = next((folder / name for name in files if (folder / name).is_file()), None)
        if file is not None:
            found[version] = json.loads(file.read_text("utf-8"))
        elif _FULL_NAMES[version] in supported:
            found[version] = _document(
                version, lowered(source, version), lowered(result, version), environment
            )
    return found


def _schemas(driver: Driver) -> tuple[Schema, Schema, list[str]]:
    """Return the schemas of input and output, and the OpenAPI versions that can express them."""
    all_versions = list(_FULL_NAMES.values())
    if driver.is_decorated:
        return inference_schema.schemas(driver.run)
    if not driver.hints:
        anything = {"type": "object", "example": {}}
        return anything, dict(anything), all_versions
    properties: Schema = {}
    for parameter in driver.parameters:
        hint = driver.hints[parameter.name]
        properties[parameter.name] = dict(hint.schema)
        if parameter.default is not parameter.empty and _can_be_sent(parameter.default, hint):
            properties[parameter.name]["default"] = parameter.default
    source: Schema = {
        "type": "object",
        "properties": properties,
        "required": [one.name for one in driver.parameters if one.default is one.empty],
    }
    source["example"] = sample(source)
    result = dict(driver.hints["return"].schema)
    if result:
        result.setdefault("example", sample(result))
    return source, result, all_versions


def _can_be_sent(default: Any, hint: Hint) -> bool:
    """Return False for None in `rows: ndarray = None`: clients omit the field, since null is refused."""
    try:
        hint.convert(json.loads(json.dumps(default)))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True


def sample(schema: Schema) -> Any:
    """Return a value that matches the schema, as an example."""
    for key in ("example", "default", "const"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return sample(schema[key][0])
    return _sample_of_type(schema)


def _sample_of_type(schema: Schema) -> Any:  # noqa: PLR0911 - one return per type
    match schema.get("type"):
        case "object":
            return {name: sample(one) for name, one in schema.get("properties", {}).items()}
        case "array" if "prefixItems" in schema:
            return [sample(one) for one in schema["prefixItems"]]
        case "array":
            return [sample(schema.get("items", {}))] * max(1, schema.get("minItems", 1))
        case "integer" | "number":
            return max(schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return True
        case "null":
            return None
    return {"date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01"}.get(schema.get("format", ""), "text")


def lowered(schema: Any, version: str) -> Any:
    """Translate JSON schema 2020-12 to the dialect of an OpenAPI version.

    A keyword that the dialect cannot express is left out: the schema then allows more.
    """
    if isinstance(schema, list):
        return [lowered(one, version) for one in schema]
    if not isinstance(schema, dict) or version == "3.1":
        return schema
    low: Schema = {}
    for key, value in schema.items():
        if key == "default" and value is None and version == "2":
            continue  # OpenAPI 2 has no null
        if key in ("example", "examples", "default", "enum", "const"):
            low[key] = value  # values, not schemas
        elif key == "properties":
            low[key] = {name: lowered(one, version) for name, one in value.items()}
        else:
            low[key] = lowered(value, version)
    return _without_null(_rename_keywords(low), version)


def _rename_keywords(low: Schema) -> Schema:
    """Replace keywords that older dialects spell differently."""
    if "examples" in low:
        low.setdefault("example", low.pop("examples")[0])
    if "const" in low:
        low["enum"] = [low.pop("const")]
    if low.pop("prefixItems", None) is not None:
        low["items"] = {}
    if low.get("type") == "array":
        low.setdefault("items", {})
    for bound in ("Minimum", "Maximum"):
        exclusive = low.pop(f"exclusive{bound}", None)
        if exclusive is not None:
            low[bound.lower()], low[f"exclusive{bound}"] = exclusive, True
    return low


def _without_null(schema: Schema, version: str) -> Schema:
    """Replace the type null by `nullable`, which OpenAPI 2 has as an extension."""
    keyword = "nullable" if version == "3" else "x-nullable"
    if schema.get("type") == "null":
        return {keyword: True}
    for choice in ("anyOf", "oneOf"):
        if choice not in schema:
            continue
        members = [one for one in schema[choice] if one != {keyword: True}]
        if len(members) < len(schema[choice]):
            schema[keyword] = True
        rest = {key: value for key, value in schema.items() if key != choice}
        if len(members) == 1:
            return {**members[0], **rest}
        # OpenAPI 2 has neither anyOf nor oneOf
        return rest if version == "2" else {**rest, choice: members}
    return schema


def _document(version: str, source: Schema, result: Schema, environment: Mapping[str, str]) -> Document:
    name = environment.get(Variable.MODEL_NAME, "ML service")
    prefix = environment.get(Variable.PATH_PREFIX, "").strip("/")
    schemas = {
        "ServiceInput": source,
        "ServiceOutput": result,
        "ErrorResponse": {"type": "object", "properties": {"message": {"type": "string"}}},
    }
    key = {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "description": "Bearer and the primary or secondary key, e.g. `Bearer abc123`.",
    }
    info = {
        "title": name,
        "description": f"How to score with {name}.",
        "version": environment.get(Variable.MODEL_VERSION, "1.0"),
    }
    operations = _Operations("#/definitions/" if version == "2" else "#/components/schemas/", version)
    paths = operations.paths(f"/{prefix}" if prefix else "")
    if version == "2":
        return {
            "swagger": "2.0",
            "info": info,
            "schemes": ["https"],
            "consumes": ["application/json"],
            "produces": ["application/json"],
            "securityDefinitions": {"Bearer": key},
            "paths": paths,
            "definitions": schemas,
        }
    return {
        "openapi": "3.0.3" if version == "3" else "3.1.0",
        "info": info,
        "security": [{"Bearer": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"Bearer": key}},
    }


class _Operations:
    """The paths of the service, in the structure of one OpenAPI version."""

    def __init__(self, references: str, version: str) -> None:
        self._references = references
        self._old = version == "2"

    def paths(self, prefix: str) -> Document:
        """Return the paths object. `prefix` is the part of the path before the service's own."""
        return {
            f"{prefix}/": {"get": self._health()},
            f"{prefix}/score": {"post": self._score()},
            f"{prefix}/swagger.json": {"get": self._description()},
        }

    def _health(self) -> Document:
        text = "The server is alive; it may still be starting the driver."
        health: Document = {"operationId": "ServiceHealthCheck"}
        if self._old:
            health["produces"] = ["text/plain"]
        else:
            health["security"] = []  # probes have no key
        schema = {"type": "string", "example": "Healthy"}
        return health | {"responses": self._responses(text, schema, "text/plain")}

    def _score(self) -> Document:
        """Return the operation of scoring. Its body is optional, as in the Azure ML containers.

        A required body would change the functions that client generators write.
        """
        reference = {"$ref": f"{self._references}ServiceInput"}
        operation: Document = {
            "operationId": "RunMLService",
            "description": "Runs the model on the input.",
            "security": [{"Bearer": []}],
            "responses": self._responses("The result.", {"$ref": f"{self._references}ServiceOutput"}),
        }
        if self._old:
            operation["parameters"] = [{"name": "serviceInputPayload", "in": "body", "schema": reference}]
        else:
            operation["requestBody"] = {"content": {"application/json": {"schema": reference}}}
        return operation

    def _description(self) -> Document:
        """Return the operation of this document. The type of its version has no value for 3.1.

        The document is a JSON object, where the Azure ML containers declare a text.
        """
        choice: Document = {"type": "integer", "enum": [2, 3]}
        version: Document = {
            "name": "version",
            "in": "query",
            "description": "The OpenAPI version: 2, 3 or 3.1; by default 2.",
            "required": False,
        }
        operation: Document = {
            "operationId": "GetSwaggerSpec",
            "parameters": [version | (choice if self._old else {"schema": choice})],
            "responses": self._responses("This document.", {"type": "object"}),
        }
        return operation | ({"security": [{"Bearer": []}]} if self._old else {})

    def _responses(self, description: str, schema: Document, kind: str = "application/json") -> Document:
        error = {"$ref": f"{self._references}ErrorResponse"}
        return {
            "200": {"description": description} | self._content(schema, kind),
            "default": {"description": "The request failed; the message says why."} | self._content(error),
        }

    def _content(self, schema: Document, kind: str = "application/json") -> Document:
        return {"schema": schema} if self._old else {"content": {kind: {"schema": schema}}}
