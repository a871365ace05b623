"""Fields of bodies that are left out or hashed, by their paths."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from modelyard.json_path import EACH, Path, parse_path

_PREFIX: Final = "hmac-sha256:"

Change = Callable[[Any], Any]
_REMOVE: Final = object()


class NotJsonError(ValueError):
    """The body is no JSON, so that its fields cannot be found."""


class ProtectedFields:
    """Leaves out and hashes the fields of JSON texts."""

    def __init__(self, leave_out: Sequence[str], hashed: Sequence[str], hash_key: str) -> None:
        """Without `hash_key` the hashed fields are left out, too. Raises ValueError for an invalid path."""
        self.left_out: Sequence[Path] = [parse_path(path) for path in leave_out]
        self.hashed: Sequence[Path] = [parse_path(path) for path in hashed]
        """Paths whose values are texts, or left out without a key."""
        hashing = _keyed_hash(hash_key.encode()) if hash_key else _removed
        self._changes: list[tuple[Path, Change]] = [(path, _removed) for path in self.left_out]
        self._changes += [(path, hashing) for path in self.hashed]

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
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        return value, _apply_to(
            value, list(value) if step == EACH else [step] * (step in value), rest, change
        )
    if isinstance(value, list):
        rest = rest if step == EACH else path  # a name is looked for in each element
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
