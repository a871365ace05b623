"""Label selectors in the form of a query, such as `a=b,c!=d,e in (f,g),!h`.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from modelyard.kube.types import Json

_KEY: Final = r"(?P<key>[A-Za-z0-9][A-Za-z0-9._/-]*)"
_SET: Final = re.compile(rf"{_KEY} (?P<operator>in|notin) ?\((?P<values>[^()]*)\)")
_EQUALITY: Final = re.compile(rf"{_KEY} ?(?P<operator>==?|!=) ?(?P<values>[A-Za-z0-9._-]*)")
_EXISTENCE: Final = re.compile(rf"(?P<operator>!?) ?{_KEY}")
_COMMAS_OUTSIDE: Final = re.compile(r",(?![^(]*\))")
_OPERATORS: Final = {
    "in": "In", "notin": "NotIn", "=": "In", "==": "In", "!=": "NotIn", "": "Exists", "!": "DoesNotExist",
}  # fmt: skip


class Requirement(NamedTuple):
    """One condition on a label, with the operators of a LabelSelector in JSON."""

    key: str
    operator: str
    values: tuple[str, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether an object with these labels fulfils the condition.

        NotIn is true without the label.
        """
        if self.operator in {"In", "NotIn"}:
            return (labels.get(self.key) in self.values) == (self.operator == "In")
        return (self.key in labels) == (self.operator == "Exists")

    def to_json(self) -> Json:
        """Return the element of matchExpressions."""
        values = {"values": list(self.values)} if self.operator in {"In", "NotIn"} else {}
        return {"key": self.key, "operator": self.operator, **values}


class Selector(NamedTuple):
    """Conditions on labels, which an object must fulfil all."""

    requirements: tuple[Requirement, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the selector selects an object with these labels. An empty one selects all."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    def to_json(self) -> Json | None:
        """Return the LabelSelector, None for an empty one."""
        if not self.requirements:
            return None
        return {"matchExpressions": [requirement.to_json() for requirement in self.requirements]}


def parse_selector(text: str) -> Selector:
    """Parse a label selector. Raises ValueError, which quotes the part that is no condition."""
    parts = _COMMAS_OUTSIDE.split(text) if text.strip() else []
    return Selector(tuple(_requirement(" ".join(part.split())) for part in parts))


def _requirement(text: str) -> Requirement:
    for form in (_SET, _EQUALITY, _EXISTENCE):
        if match := form.fullmatch(text):
            parts = match.groupdict()
            values = tuple(value.strip() for value in (parts.get("values") or "").split(","))
            operator = _OPERATORS[parts["operator"]]
            return Requirement(parts["key"], operator, values if "In" in operator else ())
    message = f"{text[:100]!r} is not a condition on a label, such as a=b, a!=b, a in (b,c), a or !a"
    raise ValueError(message)
