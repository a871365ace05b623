"""The command `modelyard collected delete`: rows of data collection, deleted from a store."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import time
from collections.abc import Callable
from typing import Final

from modelyard.collected.deletion import Deletion, Selection, Value, delete_rows
from modelyard.collected.errors import CollectedDataError
from modelyard.collected.store import CollectedStore
from modelyard.collected.window import Window, moment, segment
from modelyard.json_path import parse_path

_FAILED: Final = 2
_INTERRUPTED: Final = 130
_PROGRESS_SECONDS: Final = 5.0


def run(arguments: argparse.Namespace) -> int:
    """Delete rows and print the figures.

    Return the exit code: 0 if all files were searched, 2 for an error, 130 after SIGINT.
    """
    try:
        window, selection = _window(arguments), _selection(arguments)
        store = CollectedStore(arguments.store)
        progress = _progress()
        figures = delete_rows(store, window, selection, dry_run=arguments.dry_run, progress=progress)
    except (OSError, ValueError, CollectedDataError) as error:
        sys.stderr.write(f"modelyard collected delete: {error}\n")
        return _FAILED
    except KeyboardInterrupt:
        sys.stderr.write(
            "modelyard collected delete: interrupted; run the command again to delete the rest\n"
        )
        return _INTERRUPTED
    sys.stdout.write(_result(figures, dry_run=arguments.dry_run))
    return 0


def _window(arguments: argparse.Namespace) -> Window:
    now = dt.datetime.now(dt.UTC)
    start = moment(arguments.start, now) if arguments.start else None
    end = moment(arguments.end, now) if arguments.end else None
    if start and end and start >= end:
        raise ValueError("--from must be before --to")
    service = segment(arguments.service) if arguments.service else None
    version = segment(arguments.version) if arguments.version else None
    return Window(segment(arguments.namespace), service, version, start=start, end=end)


def _selection(arguments: argparse.Namespace) -> Selection:
    values = []
    for text in arguments.where:
        path, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--where {text!r} has no value: write PATH=VALUE, as in data[*].customer=42")
        values.append(Value(parse_path(path), value))
    if not values and not arguments.request_id:
        raise ValueError("no row is selected: write --request-id or --where")
    return Selection(frozenset(arguments.request_id), tuple(values))


def _result(figures: Deletion, *, dry_run: bool) -> str:
    verb = "would be deleted" if dry_run else "deleted"
    lines = [
        f"{figures.rows_deleted} of {figures.rows_read} rows {verb},"
        f" in {figures.files_changed} of {figures.files_read} files"
    ]
    if figures.rows_unsearchable:
        lines.append(
            f"{figures.rows_unsearchable} rows that stay have a binary or cut body, in which no value can be"
            " found: use --request-id for them"
        )
    return "\n".join([*lines, ""])


def _progress() -> Callable[[Deletion], None]:
    """Return a writer of a line to standard error each 5 s."""
    told = time.monotonic()

    def progress(figures: Deletion) -> None:
        nonlocal told
        if time.monotonic() - told < _PROGRESS_SECONDS:
            return
        told = time.monotonic()
        sys.stderr.write(
            f"{figures.files_read} files, {figures.rows_read} rows, {figures.rows_deleted} to delete\n"
        )
        sys.stderr.flush()

    return progress
