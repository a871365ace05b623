"""Declared columns of rows: their names and types, and their values from the texts of bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from modelyard.collected.documents import parse
from modelyard.collection.fields import ProtectedFields
from modelyard.json_path import EACH, match_end, matches
from modelyard.scoring.query_values import query_values
from modelyard.scoring.spool.declared import (
    BODIES,
    BOOLEAN,
    INPUTS,
    INTEGER,
    NUMBER,
    PREDICTION,
    TEXT,
    DeclaredColumn,
    bounded,
)
from modelyard.scoring.spool.record import MAX_INTEGER

Read = Callable[[Any], Any]
"""Returns the value at a place of a document. None is a value that is missing, or that has another type."""


class Columns:
    """The columns of some rows. A field that is left out has none, and that of a hashed field is a text."""

    def __init__(self, declared: Sequence[DeclaredColumn], fields: ProtectedFields) -> None:
        """`fields` are those that are not kept as they are."""
        kept = [kept for one in declared if (kept := _protected(one, fields))]
        self.declared = sorted(bounded(kept), key=lambda one: BODIES.index(one.body))
        self.names = tuple(column.name for column in self.declared)
        self._readers = {
            body: [_reader(one.path, _CONVERSIONS[one.kind]) for one in self.declared if one.body == body]
            for body in BODIES
        }

    def values(self, inputs: str | None, prediction: str | None, *, is_query: bool) -> Iterator[Any]:
        """Yield the value of each column, from the texts of whole bodies. It never fails.

        A table has a list in each column. `is_query` is True for inputs that are a query string. One document
        at a time is in memory.
        """
        if is_query:
            yield from self._query_values((inputs or "").encode())
        else:
            yield from self._document_values(INPUTS, inputs)
        yield from self._document_values(PREDICTION, prediction)

    def _document_values(self, body: str, text: str | None) -> Iterator[Any]:
        if readers := self._readers[body]:
            document = _document(text)
            for read in readers:
                yield read(document)

    def _query_values(self, query: bytes) -> Iterator[Any]:
        pairs = query_values(query)
        values = {name: value for name, (value, _) in pairs.items()}
        texts = {name: text for name, (_, text) in pairs.items()}
        for read in self._readers[INPUTS]:
            value = read(values)
            yield read(texts) if value is None else value  # run(a: str) gets "1" of `a=1`


def _document(text: str | None) -> Any:
    """Return the document of a body; None without one, and for a text that is not JSON."""
    if not text:
        return None
    try:
        return parse(text)
    except ValueError:
        return None


def _reader(path: Sequence[str | None], convert: Read) -> Read:
    """Return the function that reads the values at a path."""
    if not path:
        return convert
    step, read = path[0], _reader(path[1:], convert)
    if step is None:
        return _LISTS.get(read) or (lambda value: _list(value, read))
    return lambda value: read(value.get(step)) if type(value) is dict else None


def _list(value: Any, read: Read) -> list[Any] | None:
    return [read(item) for item in value] if type(value) is list else None


def _number_list(value: Any) -> list[Any] | None:
    """Return a list of numbers; a list of floats only, the usual one, as it is."""
    if type(value) is list and set(map(type, value)) == {float}:
        return value
    return _list(value, _number)


def _integer_list(value: Any) -> list[Any] | None:
    """Return a list of integers; a list of nothing else, the usual one, as it is."""
    if type(value) is not list or set(map(type, value)) != {int}:
        return _list(value, _integer)
    is_within = min(value) >= -MAX_INTEGER and max(value) <= MAX_INTEGER
    return value if is_within else _list(value, _integer)


def _integer(value: Any) -> int | None:
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER else None


def _number(value: Any) -> float | None:
    """Return a number. A whole one stays an object that the document has already."""
    if type(value) is float or (type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER):
        return value
    try:
        return float(value) if type(value) is int else None
    except OverflowError:
        return None


def _text(value: Any) -> str | None:
    """Return a text, None for another value and for a text with a half surrogate pair."""
    if type(value) is not str:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def _boolean(value: Any) -> bool | None:
    return value if type(value) is bool else None


_CONVERSIONS: Final[dict[str, Read]] = {
    INTEGER: _integer,
    NUMBER: _number,
    TEXT: _text,
    BOOLEAN: _boolean,
}
_LISTS: Final[dict[Read, Read]] = {_integer: _integer_list, _number: _number_list}
"""Faster functions for lists of values."""


def _protected(column: DeclaredColumn, fields: ProtectedFields) -> DeclaredColumn | None:
    """Return a column with texts in place of hashed fields, None if its field is left out.

    A hashed object or list has one column.
    """
    place = tuple(EACH if step is None else step for step in column.path)
    if any(matches(place, path) for path in fields.left_out):
        return None
    ends = [end for path in fields.hashed if (end := match_end(place, path)) is not None]
    return DeclaredColumn(column.body, column.path[: min(ends)], TEXT) if ends else column
