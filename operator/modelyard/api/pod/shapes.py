"""Shapes that several parts of `spec.pod` share: names, keys, modes, and rules over lists."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from modelyard.api.base import INTEGER, ApiType
from modelyard.api.names import MAX_OBJECT_NAME, object_name_rule
from modelyard.api.rules import Rule

ObjectName = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_OBJECT_NAME), object_name_rule("the field")
]
DataKey = Annotated[str, StringConstraints(min_length=1, max_length=253)]
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=317)]
LabelValue = Annotated[str, StringConstraints(max_length=63)]
# 0644 in YAML is octal, and a number in JSON is decimal, as in Kubernetes.
FileMode = Annotated[int, Field(ge=0, le=0o777), INTEGER]

MAX_LABELS: Final = 50


class LocalObjectReference(ApiType):
    """An object in the namespace of the Service."""

    name: ObjectName
    """Name of the object."""


def exactly_one(message: str, *fields: str) -> Rule:
    """Return the rule of a class of which exactly one of several fields is set.

    The fields have the names of Kubernetes.
    """
    count = " + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields)

    def is_valid(item: ApiType) -> bool:
        present = item.model_dump(by_alias=True, exclude_none=True)
        return sum(field in present for field in fields) == 1

    return Rule(cel=f"{count} == 1", message=message, is_valid=is_valid)


def unique(field: str, message: str) -> Rule:
    """Return the rule of a list whose items have different values of a field."""
    read = attrgetter(_python_name(field))

    def is_valid(items: Sequence[Any]) -> bool:
        values = [read(item) for item in items]
        return len(set(values)) == len(values)

    return Rule(
        cel=f"self.all(item, self.exists_one(other, other.{field} == item.{field}))",
        message=message,
        is_valid=is_valid,
    )


def _python_name(field: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in field)
