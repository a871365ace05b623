"""Return the kept records of both sides in one form: name, correlation id and row."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.spool import records_of

from modelyard.scoring.spool.folder import SEALED, open_regular, seal_abandoned, sealed
from modelyard.scoring.spool.reader import SegmentReader
from modelyard.scoring.spool.record import DRIVER, Record

_COLUMNS_OF_2017 = 3
_COLUMNS_OF_2018 = 8
_DAY = "1440"
"""The third one of the correlation columns of 2018."""

_GENERATED = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\brequest-\d+", re.ASCII
)


def driver_records(folder: Path) -> list[Record]:
    """Return the records of the driver in a spool whose process has ended."""
    seal_abandoned(folder)
    found = []
    for name in sealed(folder):
        with open_regular(folder / name.file(SEALED)) as file:
            found += [record for frame in SegmentReader(file) for record in records_of(frame)]
    return [record for record in found if record.kind == DRIVER]


def rows_of_files(files: Iterable[dict[str, Any]]) -> list[list[Any]]:
    """Return [name, correlation id, row] of the CSV of the older packages, without their own columns."""
    return [[file["name"], *_row(header, cells)] for file in files for header, cells in file["rows"]]


def rows_of_records(records: Iterable[tuple[str, str, Any]]) -> list[list[Any]]:
    """Return [name, correlation id, row] of our records of the older interfaces, with the texts of CSV."""
    return [[name, correlation, _texts(row)] for name, correlation, rows in records for row in rows]


def _row(header: list[str], cells: list[str]) -> tuple[str, Any]:
    names: list[str] = header if len(header) == len(cells) else []
    if _is_of_2017(cells):
        return cells[1], _named(names[_COLUMNS_OF_2017:], cells[_COLUMNS_OF_2017:])
    if len(cells) >= _COLUMNS_OF_2018 and cells[-6] == _DAY:
        return cells[-8], _named(names[:-_COLUMNS_OF_2018], cells[:-_COLUMNS_OF_2018])
    return "", _named(names, cells)


def _is_of_2017(cells: list[str]) -> bool:
    return len(cells) >= _COLUMNS_OF_2017 and cells[2] == "00000000-0000-0000-0000-000000000000"


def _named(names: list[str], cells: list[str]) -> Any:
    is_unique = names and len(set(names)) == len(names)
    return dict(zip(names, cells, strict=True)) if is_unique else cells


def _texts(row: Any) -> Any:
    if isinstance(row, dict):
        return {name: _text(value) for name, value in row.items()}
    return [_text(value) for value in row] if isinstance(row, list) else _text(row)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def without_generated_ids(text: str) -> str:
    """Return the text with each generated id, or request id, as `id 1`, `id 2` in the order of the text."""
    found: dict[str, str] = {}
    return _GENERATED.sub(lambda match: found.setdefault(match[0], f"id {len(found) + 1}"), text)
