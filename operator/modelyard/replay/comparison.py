"""The comparison of two responses: JSON documents by value, other texts by their characters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from modelyard.collected.documents import parse
from modelyard.json_path import EACH, Path, matches

BODY: Final = "(body)"
"""The column of a response that is one value."""

_MAX_NAME: Final = 100  # characters of a column


class Difference(NamedTuple):
    """A value that differs between two documents."""

    column: str
    """The path with `[*]` for each element, as in `values[*].score`."""
    before: str
    after: str
    size: float | None
    """The distance of two numbers, None for other values."""


class Absent:
    """The value of a member or element that one of the documents has not."""

    def __repr__(self) -> str:
        return "(absent)"


_ABSENT: Final = Absent()


class Prediction(NamedTuple):
    """The kept part of a collected response."""

    text: str | None
    """The body, None if it is binary or was cut."""
    reference: str | None = None
    """`sha256:…` of a body that is not kept whole; None for a whole one, and for a stream that was cut."""
    is_beginning: bool = False
    """`text` is the beginning of a stream that was cut."""


class Comparison:
    """The rules by which responses are equal."""

    def __init__(self, tolerance: float = 0.0, ignored: Sequence[Path] = ()) -> None:
        """`tolerance` is the distance of two equal numbers: absolute, or relative to the larger one."""
        self._tolerance = tolerance
        self._ignored = tuple(ignored)

    def differences(
        self, before: Prediction, after: bytes, ignored: Sequence[Path] = ()
    ) -> Iterator[Difference]:
        """Yield the differences of a collected response and another one; none if they are equal.

        Of a body that is not kept whole the digest is compared, and of a stream without one the beginning.
        """
        if before.reference is not None:
            yield from _digest_difference(before.reference, after)
        elif before.text is None:
            return  # the beginning of a binary stream, of which nothing is kept
        elif before.is_beginning:
            yield from _beginning_difference(before.text, after)
        else:
            yield from self._text_differences(before.text, after, ignored)

    def _text_differences(self, before: str, after: bytes, ignored: Sequence[Path]) -> Iterator[Difference]:
        if before.encode() == after:
            return
        try:
            documents = parse(before), parse(after)
        except ValueError:
            yield Difference(BODY, _shown(before), _shown(after.decode(errors="replace")), None)
            return
        yield from self._documents(*documents, (*self._ignored, *ignored))

    def _documents(self, before: Any, after: Any, ignored: Sequence[Path]) -> Iterator[Difference]:
        pending: list[tuple[Path, Any, Any]] = [((), before, after)]
        while pending:  # no recursion: a tenant decides on the depth
            path, one, other = pending.pop()
            if any(matches(path, pattern) for pattern in ignored):
                continue
            if isinstance(one, dict) and isinstance(other, dict):
                pending += _members(path, one, other)
            elif isinstance(one, list) and isinstance(other, list):
                pending += _elements(path, one, other)
            elif not self._equal(one, other):
                yield Difference(column_name(path), _shown(one), _shown(other), _distance(one, other))

    def _equal(self, one: Any, other: Any) -> bool:
        if not (_is_number(one) and _is_number(other)):
            return type(one) is type(other) and bool(one == other)
        if one == other:
            return True
        try:
            if math.isnan(one) and math.isnan(other):
                return True
            return math.isclose(one, other, rel_tol=self._tolerance, abs_tol=self._tolerance)
        except OverflowError:  # an integer beyond the range of floats
            return False


def column_name(path: Path) -> str:
    """Return the name of a path, as in `values[*].score`."""
    text = "".join("[*]" if step == EACH else f".{step}" for step in path).removeprefix(".")
    return printable(text[:_MAX_NAME]) or BODY


def printable(text: str) -> str:
    """Return a text of a tenant without control characters, which a terminal would obey."""
    return "".join(char if char.isprintable() else "�" for char in text)


def _members(path: Path, one: dict[str, Any], other: dict[str, Any]) -> Iterator[tuple[Path, Any, Any]]:
    for name in one.keys() | other.keys():
        yield (*path, name), one.get(name, _ABSENT), other.get(name, _ABSENT)


def _elements(path: Path, one: list[Any], other: list[Any]) -> Iterator[tuple[Path, Any, Any]]:
    below = (*path, EACH)
    for index in range(max(len(one), len(other))):
        yield (
            below,
            one[index] if index < len(one) else _ABSENT,
            other[index] if index < len(other) else _ABSENT,
        )


def _digest_difference(reference: str, after: bytes) -> Iterator[Difference]:
    digest = f"sha256:{sha256(after).hexdigest()}"
    if reference != digest:
        yield Difference(BODY, reference, digest, None)


def _beginning_difference(before: str, after: bytes) -> Iterator[Difference]:
    kept = before.encode()
    beginning = after[: len(kept)]
    if beginning != kept:
        yield Difference(BODY, _shown(before), _shown(beginning.decode(errors="replace")), None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _distance(one: Any, other: Any) -> float | None:
    if not (_is_number(one) and _is_number(other)):
        return None
    try:
        distance = abs(float(one) - float(other))
    except OverflowError:
        return None
    return distance if math.isfinite(distance) else None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_NAME else f"{text[:_MAX_NAME]}…"
