"""Declared columns as arrays for Parquet: a value, or nested lists of values, in each row."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final

from arro3.core import Array, DataType, Field, list_array

from modelyard.collection.columns import Columns
from modelyard.collection.row import Row
from modelyard.scoring.spool.declared import BOOLEAN, INTEGER, NUMBER, TEXT, DeclaredColumn

_TYPES: Final = {
    INTEGER: DataType.int64(),
    NUMBER: DataType.float64(),
    TEXT: DataType.utf8(),
    BOOLEAN: DataType.bool(),
}
_COMPACT: Final = {INTEGER: "q", NUMBER: "d"}
"""Types of `array` for values that take 8 bytes there, and 40 as objects in a list."""
_LIST: Final = ("list", "item")
"""Names that Parquet gives to the levels of a list."""


def declared_fields(columns: Columns) -> list[Field]:
    """Return the fields of a file's schema."""
    return [Field(one.name, _type(_TYPES[one.kind], _depth(one))) for one in columns.declared]


def declared_paths(columns: Columns) -> list[tuple[str, ...]]:
    """Return the path of each column's values in a file."""
    return [(one.name, *_LIST * _depth(one)) for one in columns.declared]


def declared_arrays(columns: Columns, rows: Sequence[Row]) -> list[Array]:
    """Return the arrays of the columns, each with a value for each row.

    The documents of one body at a time are in memory as objects of Python.
    """
    builders = [_Builder(one) for one in columns.declared]
    for row in rows:
        for builder, value in zip(builders, row.column_values(columns), strict=True):
            builder.append(value)
    return [builder.array() for builder in builders]


def _depth(column: DeclaredColumn) -> int:
    return column.path.count(None)


def _type(item: DataType, depth: int) -> DataType:
    """Return the type of lists of this depth."""
    return DataType.list(Field("item", _type(item, depth - 1))) if depth else item


class _Builder:
    """The array of one column. Values of the innermost lists are together, with the ends of their lists."""

    def __init__(self, column: DeclaredColumn) -> None:
        self._type = _TYPES[column.kind]
        self._depth = _depth(column)
        self._ends = [array("i", [0]) for _ in range(self._depth)]
        """The ends of the lists at each depth, counted in lists or values of the next one."""
        self._missing = [bytearray() for _ in range(self._depth)]
        """1 for each list that is null."""
        compact = _COMPACT.get(column.kind)
        self._values: Any = array(compact) if compact else []
        self._nulls: list[int] = []
        """Positions of the values that are null. A compact value there is 0."""
        self._null = 0 if compact else None

    def append(self, value: Any) -> None:
        """Add the value of a row."""
        if self._depth:
            self._append_list(value, 0)
        else:
            self._extend_values((value,))

    def array(self) -> Array:
        """Return the array."""
        values = self._values
        if self._nulls:
            values = list(values)
            for position in self._nulls:
                values[position] = None
        result = _flat_array(values, self._type)
        for level in reversed(range(self._depth)):
            result = list_array(
                _flat_array(self._ends[level], DataType.int32()),
                result,
                type=_type(self._type, self._depth - level),
                mask=_flat_array(self._missing[level], DataType.uint8()).cast(DataType.bool()),
            )
        return result

    def _append_list(self, items: Sequence[Any] | None, level: int) -> None:
        """Add a list of values, or of lists, at a depth."""
        self._missing[level].append(items is None)
        if items and level + 1 == self._depth:
            self._extend_values(items)
        elif items:
            for item in items:
                self._append_list(item, level + 1)
        self._ends[level].append(self._length(level + 1))

    def _extend_values(self, values: Sequence[Any]) -> None:
        if self._null is not None and None in values:
            start = len(self._values)
            self._nulls += [start + index for index, value in enumerate(values) if value is None]
            values = [self._null if value is None else value for value in values]
        self._values.extend(values)

    def _length(self, level: int) -> int:
        """Return how many lists or values there are at a depth."""
        return len(self._values) if level == self._depth else len(self._ends[level]) - 1


def _flat_array(values: Any, kind: DataType) -> Array:
    """Return the array of values; of a buffer without a copy, which the library refuses for an empty one."""
    return Array(values, kind) if isinstance(values, list) or not values else Array.from_buffer(values)
