"""Fields of bodies that are left out or hashed: paths such as `data.ssn`, `[*].ssn` or `rows[0].name`.

A part of a path is the name of a field, `*` for each field or element, or an index in brackets. A name also
finds the field in each element of a list: `data.ssn` finds it in `{"data": [{"ssn": 1}]}`. So a path that
forgets a list leaves out more, never less.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

_PART: Final = re.compile(r"\[(\*|\d{1,9})\]|([^.\[\]]+)")
_ANY: Final = "*"
_PREFIX: Final = "hmac-sha256:"

Path = tuple[str | int, ...]
Change = Callable[[Any], Any]
_REMOVE: Final = object()


class NotJsonError(ValueError):
    """The body is no JSON, so that its fields cannot be found."""


def parse_path(text: str) -> Path:
    """Return the parts of a path. Raises ValueError for a text that is no path."""
    parts: list[str | int] = []
    end = 0
    for found in _PART.finditer(text.removeprefix("$")):
        between = text.removeprefix("$")[end : found.start()]
        if between not in ("", "."):
            break
        index, name = found[1], found[2]
        parts.append(name if name else index if index == _ANY else int(index))
        end = found.end()
    if not parts or end != len(text.removeprefix("$")):
        raise ValueError(f"{text!r} is no path of a field: write names, * and [*], such as data[*].name")
    return tuple(parts)


class ProtectedFields:
    """Leaves out and hashes the fields of JSON texts."""

    def __init__(self, leave_out: Sequence[str], hashed: Sequence[str], hash_key: str) -> None:
        """Without `hash_key` the hashed fields are left out, too. Raises ValueError for an invalid path."""
        self._changes: list[tuple[Path, Change]] = [(parse_path(path), _removed) for path in leave_out]
        hashing = _keyed_hash(hash_key.encode()) if hash_key else _removed
        self._changes += [(parse_path(path), hashing) for path in hashed]

    def __bool__(self) -> bool:
        """Return True if there are fields to protect."""
        return bool(self._changes)

    def apply(self, body: bytes) -> bytes:
        """Return the JSON text without these fields; the same bytes if it has none. Raises NotJsonError."""
        try:
            value = orjson.loads(body)
            changes = [_apply(value, path, change)[1] for path, change in self._changes]
        except (orjson.JSONDecodeError, RecursionError):
            raise NotJsonError("the body is no JSON, or lists in it are too deep") from None
        return orjson.dumps(value) if any(changes) else body


def _apply(value: Any, path: Path, change: Change) -> tuple[Any, bool]:
    """Return a value with the fields at a path changed in place, and whether there was one."""
    if not path:
        return change(value), True
    part = path[0]
    if isinstance(value, dict):
        return value, _apply_to(
            value, list(value) if part == _ANY else [part] * (part in value), path[1:], change
        )
    if isinstance(value, list):
        if isinstance(part, int):
            return value, _apply_to(value, [part] * (part < len(value)), path[1:], change)
        rest = path[1:] if part == _ANY else path  # a name is looked for in each element
        return value, _apply_to(value, range(len(value) - 1, -1, -1), rest, change)
    return value, False


def _apply_to(value: Any, keys: Sequence[Any], rest: Path, change: Change) -> bool:
    """Change the children with these keys, indexes from the last one on. Return True if there was one."""
    found = False
    for key in keys:
        child, done = _apply(value[key], rest, change)
        if child is _REMOVE:
            del value[key]
        elif done:
            value[key] = child
        found = found or done
    return found


def _removed(_: Any) -> Any:
    return _REMOVE


def _keyed_hash(key: bytes) -> Change:
    def change(value: Any) -> Any:
        """Return the keyed hash of a text, or of the JSON of another value. Null stays null."""
        if value is None or value is _REMOVE:
            return value
        text = value.encode() if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        return _PREFIX + hmac.digest(key, text, hashlib.sha256).hex()

    return change
