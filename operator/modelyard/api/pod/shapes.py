"""Shapes that several parts of `spec.pod` share: names, keys, labels, and rules over fields and lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic.alias_generators import to_snake

from modelyard.api.base import INTEGER, ApiType, without_nulls
from modelyard.api.names import GROUP, MAX_OBJECT_NAME, object_name_rule
from modelyard.api.rules import Rule

ObjectName = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_OBJECT_NAME), object_name_rule("the name")
]
DataKey = Annotated[str, StringConstraints(min_length=1, max_length=253)]
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=317)]
_LABEL_VALUE: Final = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
LabelValue = Annotated[str, StringConstraints(max_length=63)]
# A rule of the map: the API server spells the path of a rule of its values in another way than pydantic.
_VALUES_RULE: Final = Rule(
    cel=f"self.all(key, self[key].matches(r'{_LABEL_VALUE.pattern}'))",
    message="the values must have only letters, digits, - _ and ., with a letter or digit at both ends",
    is_valid=lambda labels: all(_LABEL_VALUE.fullmatch(value) for value in labels.values()),
)
# In YAML, 0440 is an octal number; in JSON, the same mode is 288.
FileMode = Annotated[int, Field(ge=0, le=0o777), INTEGER]

_OWN_PREFIX: Final = f"{GROUP}/"
_OWN_LABELS: Final = ("app.kubernetes.io/managed-by", "pod-template-hash")
_OWN_KEYS_RULE: Final = Rule(
    cel=f"self.all(key, !key.startsWith('{_OWN_PREFIX}') && !(key in [{', '.join(map(repr, _OWN_LABELS))}]))",
    message=f"the keys {_OWN_PREFIX}*, {' and '.join(_OWN_LABELS)} are reserved: choose another key",
    is_valid=lambda keys: not any(key.startswith(_OWN_PREFIX) or key in _OWN_LABELS for key in keys),
)
_NO_NULLS: Final = BeforeValidator(without_nulls)
LabelMap = Annotated[dict[str, LabelValue], Field(max_length=50), _VALUES_RULE, _NO_NULLS]
Labels = Annotated[dict[str, LabelValue], Field(max_length=50), _OWN_KEYS_RULE, _VALUES_RULE, _NO_NULLS]
Annotations = Annotated[
    dict[str, Annotated[str, StringConstraints(max_length=16384)]],
    Field(max_length=50),
    _OWN_KEYS_RULE,
    _NO_NULLS,
]


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
    read = attrgetter(to_snake(field))

    def is_valid(items: Sequence[Any]) -> bool:
        values = [read(item) for item in items]
        return len(set(values)) == len(values)

    return Rule(
        cel=f"self.all(item, self.exists_one(other, other.{field} == item.{field}))",
        message=message,
        is_valid=is_valid,
    )
