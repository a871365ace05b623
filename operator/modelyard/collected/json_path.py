"""Paths into JSON documents: names that dots separate, and `[*]` or `*` for each member.

`data.ssn` is the member `ssn` of the member `data`. A name is also looked for in each element of a list, as
with fields to leave out: `data.ssn` finds the 1 in `{"data": [{"ssn": 1}]}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

EACH: Final = "*"
"""The step to each element of a list, or to each member of an object."""

_STEP: Final = re.compile(r"\.?(?:\[(?P<each>\*)\]|(?P<name>[^.\[\]]+))")
_MAX_STEPS: Final = 64

Path = tuple[str, ...]
"""The steps from the root of a document."""


def parse_path(text: str) -> Path:
    """Return the steps of a path. Raises ValueError for a text that is no path."""
    steps = []
    position = 0
    for match in _STEP.finditer(text):
        if match.start() != position:
            break
        steps.append(match["each"] or match["name"])
        position = match.end()
    if not steps or position != len(text) or text.startswith(".") or len(steps) > _MAX_STEPS:
        raise ValueError(f"{text!r} is not a path: write names and [*], as in data[*].customer")
    return tuple(steps)


def values(document: Any, path: Sequence[str]) -> Iterator[Any]:
    """Yield each value of a document at a path."""
    if not path:
        yield document
        return
    step, rest = path[0], path[1:]
    members: list[Any] = []
    if step == EACH and isinstance(document, list):
        members = document
    elif step == EACH and isinstance(document, dict):
        members = list(document.values())
    elif isinstance(document, dict) and step in document:
        members = [document[step]]
    elif isinstance(document, list):
        members, rest = document, path
    for member in members:
        yield from values(member, rest)


def matches(path: Path, pattern: Path) -> bool:
    """Return True if a path is at a pattern or below it. `*` of the pattern is any step.

    A name of the pattern is looked for in each element of a list.
    """
    position = 0
    for wanted in pattern:
        while wanted != EACH and position < len(path) and path[position] == EACH:
            position += 1
        if position >= len(path) or wanted not in {EACH, path[position]}:
            return False
        position += 1
    return True
