"""The files of a batch: Parquet or JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final, Protocol

from modelyard.collection.row import Origin, Row, json_row

FILE_BYTES: Final = 12 * 1024 * 1024
"""A file ends after this size, since an upload has it in memory. With its last rows it has 20 MiB at most."""

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
        self._origin = origin

    def write(self, chunks: Chunks, file: BinaryIO) -> int:
        """Write chunks, see Encoder."""
        rows = 0
        for chunk in chunks:
            file.writelines(json_row(row, self._origin) + b"\n" for row in chunk)
            rows += len(chunk)
            if file.tell() >= FILE_BYTES:
                break
        return rows
