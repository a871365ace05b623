"""The files of a batch: Parquet or JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final, Protocol

from modelyard.collection.columns import Columns
from modelyard.collection.row import Origin, Row, RowEncoder

FILE_BYTES: Final = 8 * 1024 * 1024
"""A file ends after this size, since an upload has it in memory. With its last rows it has 16 MiB at most."""

Chunks = Iterator[Sequence[Row]]
"""Rows in chunks of some MiB."""


class Encoder(Protocol):
    """Writes rows into files of one format."""

    suffix: str
    """The end of the files' names."""

    def write(self, chunks: Chunks, file: BinaryIO) -> int:
        """Write chunks until they end or the file has FILE_BYTES. Return the number of rows."""


class JsonLinesEncoder:
    """One JSON object on each line (https://jsonlines.org)."""

    suffix = "jsonl"

    def __init__(self, origin: Origin) -> None:
        """`origin` is the replica of the rows."""
        self._encode = RowEncoder(origin).encode

    def write(self, chunks: Chunks, file: BinaryIO) -> int:
        """Write chunks, see Encoder."""
        rows, columns = 0, None
        for chunk in chunks:
            columns = columns or declared_columns(chunk)
            file.writelines(self._line(row, columns) for row in chunk)
            rows += len(chunk)
            if file.tell() >= FILE_BYTES:
                break
        return rows

    def _line(self, row: Row, columns: Columns | None) -> bytes:
        declared = dict(zip(columns.names, row.column_values(columns), strict=True)) if columns else {}
        return self._encode(row, declared) + b"\n"


def declared_columns(rows: Sequence[Row]) -> Columns | None:
    """Return the declared columns of a file with these rows: those of the first row that has some.

    All rows of a file are of one image, so they have the same, unless a driver writes into the spool.
    """
    return next((row.columns for row in rows if row.columns), None)
