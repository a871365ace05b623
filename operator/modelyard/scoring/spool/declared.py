"""The columns that a driver declares: typed places in the bodies of its requests and responses.

A worker finds them in the schema of run(), the front writes them into the segments, and the collector reads
the values at these places. Each of them keeps to the same bounds: a schema has any size and any names.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

INPUTS: Final = "inputs"
PREDICTION: Final = "prediction"
BODIES: Final = (INPUTS, PREDICTION)

INTEGER: Final = "integer"
NUMBER: Final = "number"
TEXT: Final = "string"
BOOLEAN: Final = "boolean"
KINDS: Final = (INTEGER, NUMBER, TEXT, BOOLEAN)
"""Types of values, by their names in JSON schema."""

MAX_COLUMNS: Final = 128
"""Columns of inputs, and as many of the prediction: each takes memory in the collector."""
MAX_NAME: Final = 128
"""Characters of a column's name."""
MAX_STEPS: Final = 8
"""Steps of a path: fields and lists around a value."""
MAX_BYTES: Final = 256 * 1024
"""Bytes of all columns: those of the bounds above, in characters of 4 bytes."""

_UNNAMED: Final = "value"


class DeclaredColumn(NamedTuple):
    """A column: the values at one place of a body."""

    body: str
    """INPUTS or PREDICTION."""
    path: tuple[str | None, ...]
    """From the document to the values: names of fields, and None for each item of a list."""
    kind: str
    """One of KINDS."""

    @property
    def name(self) -> str:
        """Return the body and the names of the path. A body without names has one column, `value`."""
        names = [step for step in self.path if step is not None]
        return ".".join((self.body, *(names or (_UNNAMED,))))


def bounded(columns: Iterable[DeclaredColumn]) -> tuple[DeclaredColumn, ...]:
    """Return the columns within the bounds, in their order.

    Of names that differ in case only, which DuckDB and Spark take for the same, the first one counts.
    """
    found: dict[str, DeclaredColumn] = {}
    counts = dict.fromkeys(BODIES, 0)
    for column in columns:
        name = column.name
        if len(column.path) > MAX_STEPS or len(name) > MAX_NAME or not _is_printable(column.path):
            continue
        if counts[column.body] < MAX_COLUMNS and name.casefold() not in found:
            found[name.casefold()] = column
            counts[column.body] += 1
    return tuple(found.values())


def encode_declared(columns: Sequence[DeclaredColumn]) -> bytes:
    """Return the bytes of the columns, none for no columns."""
    return json.dumps(columns, separators=(",", ":"), ensure_ascii=False).encode() if columns else b""


def decode_declared(payload: bytes) -> tuple[DeclaredColumn, ...]:
    """Return the columns of these bytes, none for other bytes: a driver can write any."""
    if not payload or len(payload) > MAX_BYTES:
        return ()
    try:
        return bounded([_column(*values) for values in json.loads(payload)])
    except (ValueError, TypeError, RecursionError):
        return ()


def _column(body: Any, path: Any, kind: Any) -> DeclaredColumn:
    """Return a column of the bytes. Raises ValueError or TypeError for other values."""
    if body not in BODIES or kind not in KINDS or not isinstance(path, list):
        raise ValueError("the values are no column")
    if not all(step is None or isinstance(step, str) for step in path):
        raise ValueError("a step of a path is neither a name nor null")
    return DeclaredColumn(body, tuple(path), kind)


def _is_printable(path: Iterable[str | None]) -> bool:
    """Return False for empty names, and for names with control characters or half surrogate pairs."""
    return all(step is None or (step and step.isprintable()) for step in path)
