"""Paths into JSON documents: names that dots separate, and `[*]` or `*` for each member.

`data.ssn` is the member `ssn` of the member `data`, and `$.data.ssn` is the same. A name is also looked for
in each element of a list: `data.ssn` finds the 1 in `{"data": [{"ssn": 1}]}`. So a path that forgets a list
finds more, never less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

EACH: Final = "*"
"""The step to each element of a list, or to each member of an object."""

_NAME: Final = r"[^.\[\]*\x00-\x1f\x7f]+"
PATTERN: Final = re.compile(rf"^({_NAME}|\*|\[\*\])(\.({_NAME}|\*)|\[\*\])*$")
"""The text of a path, as an expression of RE2, too: the API server checks it."""

MAX_LENGTH: Final = 256
"""Characters of a path."""

_STEP: Final = re.compile(rf"{_NAME}|\*")
_ROOT: Final = "$"

Path = tuple[str, ...]
"""The steps from the root of a document."""


def parse_path(text: str) -> Path:
    """Return the steps of a path. Raises ValueError for a text that is no path."""
    if len(text) > MAX_LENGTH or not PATTERN.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a path of at most {MAX_LENGTH} characters: write names, * and [*],"
            " as in data[*].customer"
        )
    first, *others = _STEP.findall(text)
    return tuple(others if first == _ROOT and others else [first, *others])


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
    return match_end(path, pattern) is not None


def match_end(path: Path, pattern: Path) -> int | None:
    """Return how many steps of a path lead to a pattern at or above it, None if it does not match."""
    position = 0
    for wanted in pattern:
        while wanted != EACH and position < len(path) and path[position] == EACH:
            position += 1
        if position >= len(path) or wanted not in {EACH, path[position]}:
            return None
        position += 1
    return position
