"""Deletion of rows by request id or by a value in them, as people ask for with their own data.

A file with such rows is written again without them, and replaces the old one in a single request. So a
command that is killed at any moment loses no other row, and doubles none. Run again, it deletes the rest.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from typing import IO, Any, Final

from arro3.core import Array, DataType, RecordBatch, RecordBatchReader
from arro3.io import write_parquet

from modelyard.collected.documents import parse
from modelyard.collected.errors import CollectedDataError, FileChangedError
from modelyard.collected.row_files import (
    Row,
    batch_rows,
    line_batches,
    line_row,
    parquet_batches,
    parquet_reader,
)
from modelyard.collected.store import CollectedStore, StoredFile
from modelyard.collected.window import Window
from modelyard.json_path import Path, values

_BODIES: Final = ("inputs", "prediction")
_REFERENCES: Final = ("inputsReference", "predictionReference")
_BASE_COLUMNS: Final = ("time", "requestId", *_BODIES, *_REFERENCES)
_COMPRESSION: Final = "zstd(1)"
_THREADS: Final = 4
_ATTEMPTS: Final = 5
"""Attempts at a file that other programs write at the same time."""


@dataclass(frozen=True)
class Value:
    """A value at a path of a body, or in the column of that name."""

    path: Path
    text: str

    @property
    def column(self) -> str:
        """Return the name of the column that may hold the value."""
        return ".".join(self.path)

    def equals(self, found: Any) -> bool:
        """Return True for the text itself, and for a number or truth value that JSON writes like it."""
        if isinstance(found, bool):
            return self.text == ("true" if found else "false")
        return isinstance(found, str | int | float) and str(found) == self.text


@dataclass(frozen=True)
class Selection:
    """The rows to delete: those with one of the request ids, or with one of the values."""

    request_ids: frozenset[str] = frozenset()
    values: tuple[Value, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that decide."""
        declared = [value.column for value in self.values if value.column not in _BASE_COLUMNS]
        return (*_BASE_COLUMNS, *dict.fromkeys(declared))

    def selects(self, row: Row) -> bool:
        """Return True for a row to delete."""
        if row["requestId"] in self.request_ids:
            return True
        if not self.values:
            return False
        documents = [_document(row[body]) for body in _BODIES]
        return any(
            any(map(value.equals, (*_leaves(row.get(value.column)), *values(document, value.path))))
            for value in self.values
            for document in documents
        )

    def unsearchable(self, row: Row) -> bool:
        """Return True for a row whose bodies were not stored whole, so that a value may be absent."""
        return bool(self.values) and any(row[reference] for reference in _REFERENCES)


@dataclass
class Deletion:
    """The figures of a deletion."""

    files_read: int = 0
    files_changed: int = 0
    rows_read: int = 0
    rows_deleted: int = 0
    rows_unsearchable: int = 0
    """Rows that stay, and whose bodies were cut or are binary."""

    def add(self, other: Deletion) -> None:
        """Add the figures of another one."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def delete_rows(
    store: CollectedStore,
    window: Window,
    selection: Selection,
    *,
    dry_run: bool,
    progress: Callable[[Deletion], None],
) -> Deletion:
    """Delete the selected rows of a window and return the figures. With `dry_run` nothing is written.

    `progress` gets the figures after each file. Raises CollectedDataError.
    """
    total = Deletion()
    with ThreadPoolExecutor(_THREADS) as threads:
        for files in store.file_groups(window):
            work = partial(_delete_from_file, store, window, selection, dry_run)
            try:
                for figures in threads.map(work, files):
                    total.add(figures)
                    progress(total)
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise
    return total


def _delete_from_file(
    store: CollectedStore, window: Window, selection: Selection, dry_run: bool, file: StoredFile
) -> Deletion:
    for _ in range(_ATTEMPTS):
        try:
            return _attempt(store, window, selection, dry_run, file)
        except FileNotFoundError:  # a lifecycle rule or another deletion was faster
            return Deletion()
        except FileChangedError:
            continue
    raise CollectedDataError(f"{file.path} was written by another program {_ATTEMPTS} times: try again later")


def _attempt(
    store: CollectedStore, window: Window, selection: Selection, dry_run: bool, file: StoredFile
) -> Deletion:
    figures = Deletion(files_read=1)
    is_parquet = file.path.endswith(".parquet")
    search, write = (_search_parquet, _written_parquet) if is_parquet else (_search_lines, _written_lines)
    with store.opened(file) as (content, version):
        removed = search(content, file.path, partial(_keep, window, selection, figures), selection.columns)
        if figures.rows_deleted:
            figures.files_changed = 1
        if dry_run or not figures.rows_deleted:
            return figures
        if figures.rows_deleted == figures.rows_read:
            store.remove(file)
            return figures
        content.seek(0)
        store.replace(file, write(content, file.path, removed), version)
    return figures


def _keep(window: Window, selection: Selection, figures: Deletion, row: Row | None) -> bool:
    """Return True for a row that stays, and count the row. None is a line that is no row."""
    figures.rows_read += 1
    if row is not None and window.holds(row["time"]) and selection.selects(row):
        figures.rows_deleted += 1
        return False
    if row is None or selection.unsearchable(row):
        figures.rows_unsearchable += 1
    return True


Keep = Callable[[Row | None], bool]
Removed = list[frozenset[int]]
"""The positions of the rows to delete, for each batch of a file."""


def _search_parquet(content: IO[bytes], path: str, keep: Keep, columns: Sequence[str]) -> Removed:
    return [
        _positions(batch_rows(batch, columns), keep)
        for batch in parquet_batches(parquet_reader(content, path), path)
    ]


def _search_lines(content: IO[bytes], _: str, keep: Keep, columns: Sequence[str]) -> Removed:
    def row(line: bytes) -> Row | None:
        found = line_row(line)
        return None if found is None else {name: found.get(name) for name in columns}

    return [_positions(map(row, lines), keep) for lines in line_batches(content)]


def _positions(rows: Iterable[Row | None], keep: Keep) -> frozenset[int]:
    return frozenset(index for index, row in enumerate(rows) if not keep(row))


def _written_parquet(content: IO[bytes], path: str, removed: Removed) -> bytes:
    reader = parquet_reader(content, path)

    def batches() -> Iterator[RecordBatch]:
        for batch, rows in zip(parquet_batches(reader, path), removed, strict=True):
            kept = [row for row in range(batch.num_rows) if row not in rows]
            yield batch.take(Array(kept, DataType.uint64()))

    written = io.BytesIO()
    remaining = RecordBatchReader.from_batches(reader.schema, batches())
    write_parquet(remaining, written, compression=_COMPRESSION)
    return written.getvalue()


def _written_lines(content: IO[bytes], _: str, removed: Removed) -> bytes:
    return b"".join(
        line
        for lines, rows in zip(line_batches(content), removed, strict=True)
        for index, line in enumerate(lines)
        if index not in rows
    )


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the value of a column, or those in its lists, which a declared column of a table has."""
    if not isinstance(value, list):
        yield value
        return
    for item in value:
        yield from _leaves(item)


def _document(text: Any) -> Any:
    """Return the document of a body, None for a text that is not JSON."""
    try:
        return parse(text) if isinstance(text, str) else text
    except ValueError:
        return None
