"""The columns that a driver declares for data collection, found in its OpenAPI documents."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelyard.scoring.spool.declared import (
    BOOLEAN,
    INPUTS,
    INTEGER,
    KINDS,
    MAX_STEPS,
    NUMBER,
    PREDICTION,
    TEXT,
    DeclaredColumn,
    bounded,
)

_VERSIONS: Final = ("3.1", "3", "2")
"""The newest document with a column counts: older versions express less, unless the driver wrote them."""
_SCHEMAS: Final = {INPUTS: "ServiceInput", PREDICTION: "ServiceOutput"}
_MAX_SCHEMAS: Final = 10_000
"""Schemas of one body that are looked at: references can multiply them without an end."""
_CHOICES: Final = ("anyOf", "oneOf", "allOf")
_KIND_OF_TYPE: Final = {bool: BOOLEAN, int: INTEGER, float: NUMBER, str: TEXT}

Path = tuple[str | None, ...]


def declared_columns(documents: Mapping[str, Any]) -> tuple[DeclaredColumn, ...]:
    """Return the columns of OpenAPI documents by version; none of a document that is not as expected."""
    for version in _VERSIONS:
        document = documents.get(version)
        schemas = _definitions(document)
        found = bounded(
            column
            for body, name in _SCHEMAS.items()
            for column in _Walk(schemas, body).columns(schemas.get(name), ())
        )
        if found:
            return found
    return ()


def _definitions(document: Any) -> Mapping[str, Any]:
    """Return the named schemas of an OpenAPI document."""
    components = _dict(_dict(document).get("components")).get("schemas")
    return _dict(components or _dict(document).get("definitions"))


class _Walk:
    """One way through the schema of a body."""

    def __init__(self, definitions: Mapping[str, Any], body: str) -> None:
        self._definitions = definitions
        self._body = body
        self._left = _MAX_SCHEMAS

    def columns(self, schema: Any, path: Path) -> Iterator[DeclaredColumn]:
        """Yield the columns of a schema at a path, in the order of the fields."""
        self._left -= 1
        if self._left < 0 or len(path) > MAX_STEPS:
            return
        schema = self._plain(schema)
        kind = _kind(schema)
        if kind is not None:
            yield DeclaredColumn(self._body, path, kind)
        elif schema.get("type") == "array":
            yield from self.columns(_items(schema), (*path, None))
        else:
            for name, field in _dict(schema.get("properties")).items():
                yield from self.columns(field, (*path, str(name)))

    def _plain(self, schema: Any) -> dict[str, Any]:
        """Return a schema without references, null and choices; {} for a choice of several types."""
        for _ in range(MAX_STEPS):
            schema = _dict(schema)
            reference = schema.get("$ref")
            choice = next((schema[key] for key in _CHOICES if isinstance(schema.get(key), list)), None)
            if isinstance(reference, str):
                schema = self._definitions.get(reference.rpartition("/")[2])
            elif choice is None:
                return _with_one_type(schema)
            else:
                members = [one for one in choice if _dict(one).get("type") != "null"]
                if len(members) != 1:
                    return _common([_kind(_with_one_type(_dict(member))) for member in members])
                schema = members[0]
        return {}


def _kind(schema: Mapping[str, Any]) -> str | None:
    """Return the type of a value, None for objects, lists and values of several types."""
    kind = schema.get("type")
    if kind is None:
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        values = values if isinstance(values, list) else []
        kind = _common([_KIND_OF_TYPE.get(type(value)) for value in values if value is not None]).get("type")
    return kind if kind in KINDS else None


def _with_one_type(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with one type in place of a list of types, such as a type and null."""
    kinds = schema.get("type")
    if not isinstance(kinds, list):
        return schema
    kinds = [kind for kind in kinds if kind != "null"]
    return {**schema, "type": kinds[0]} if len(kinds) == 1 else _common(kinds)


def _common(kinds: list[Any]) -> dict[str, Any]:
    """Return the schema for values of these types; {} if they have no type in common."""
    if not kinds or any(kind not in KINDS for kind in kinds):
        return {}
    found = set(kinds)
    if found == {INTEGER, NUMBER}:
        return {"type": NUMBER}
    return {"type": kinds[0]} if len(found) == 1 else {}


def _items(schema: Mapping[str, Any]) -> Any:
    """Return the schema of the items of a list; of a tuple, if all its items have the same type."""
    members = schema.get("prefixItems")
    if not isinstance(members, list):
        return schema.get("items")
    return _common([_kind(_with_one_type(_dict(member))) for member in members])


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
