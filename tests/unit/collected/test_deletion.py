"""Deletion of rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from tests.support.collected_rows import TIME, collected_row, write_rows

from modelyard.collected.deletion import Deletion, Selection, Value, delete_rows
from modelyard.collected.errors import CollectedDataError, FileChangedError
from modelyard.collected.store import CollectedStore, FileVersion, StoredFile
from modelyard.collected.window import Window
from modelyard.json_path import parse_path
from modelyard.scoring.spool.declared import INPUTS, NUMBER, PREDICTION, TEXT, DeclaredColumn

ALL = Window("team")


def _ids(path: Path) -> list[str]:
    reader = "read_parquet" if path.suffix == ".parquet" else "read_json_auto"
    return [row[0] for row in duckdb.sql(f"SELECT requestId FROM {reader}('{path}')").fetchall()]


def _delete(folder: Path, selection: Selection, window: Window = ALL, *, dry_run: bool = False) -> Deletion:
    store = CollectedStore(str(folder))
    return delete_rows(store, window, selection, dry_run=dry_run, progress=lambda _: None)


def _by_id(*ids: str) -> Selection:
    return Selection(request_ids=frozenset(ids))


def _by_value(path: str, text: str) -> Selection:
    return Selection(values=(Value(parse_path(path), text),))


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl"])
def test_rows_of_a_request_are_deleted_and_others_stay_as_they_were(tmp_path: Path, name: str) -> None:
    rows = [collected_row(number, {"data": [number]}, [number]) for number in range(200)]
    path = write_rows(tmp_path, rows, name)
    other = write_rows(tmp_path, [collected_row(300, [1], [1])], f"other-{name}")
    before = other.stat().st_ino

    figures = _delete(tmp_path, _by_id("r7", "r199", "absent"))

    assert _ids(path) == [f"r{number}" for number in range(200) if number not in {7, 199}]
    assert other.stat().st_ino == before, "a file without such rows was written"
    assert (figures.rows_deleted, figures.rows_read) == (2, 201)
    assert (figures.files_changed, figures.files_read) == (1, 2)


def test_written_file_keeps_all_columns_and_values(tmp_path: Path) -> None:
    rows = [collected_row(number, {"x": "ä"}, [1.5]) for number in range(3)]
    declared = [DeclaredColumn(INPUTS, ("x",), TEXT), DeclaredColumn(PREDICTION, (None,), NUMBER)]
    path = write_rows(tmp_path, rows, declared=declared)
    before = pq.read_table(path)
    assert {"inputs.x", "prediction.value"} <= set(before.column_names)

    _delete(tmp_path, _by_id("r1"))

    after = pq.read_table(path)
    assert after.schema == before.schema
    assert after.to_pylist() == [row for row in before.to_pylist() if row["requestId"] != "r1"]


@pytest.mark.parametrize(
    ("path", "text", "deleted"),
    [
        ("data[*].customer", "42", {"r0", "r1"}),
        ("data.customer", "42", {"r0", "r1"}),
        ("data[*].customer", "4", set()),
        ("score", "true", {"r2"}),
        ("inputs.data.customer", "42", {"r1"}),
        ("traceId", "42", {"r3"}),
        ("requestId", "r4", {"r4"}),
    ],
)
@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl"])
def test_rows_with_a_value_are_deleted(
    tmp_path: Path, name: str, path: str, text: str, deleted: set[str]
) -> None:
    rows = [
        collected_row(0, {"data": [{"customer": 1}, {"customer": 42}]}, [1]),
        collected_row(1, {"data": [{"customer": "42"}]}, [1]),
        collected_row(2, {"data": []}, {"score": True}),
        collected_row(3, "not JSON {", "not JSON", traceId="42"),
        collected_row(4, [1], [1]),
    ]
    file = write_rows(
        tmp_path, rows, name, declared=[DeclaredColumn(INPUTS, ("data", None, "customer"), TEXT)]
    )

    _delete(tmp_path, _by_value(path, text))

    assert {f"r{number}" for number in range(5)} - set(_ids(file)) == deleted


def test_rows_in_which_no_value_can_be_found_are_counted(tmp_path: Path) -> None:
    cut = collected_row(1, '{"data": [', [1], inputsReference="sha256:1", truncated=True)
    write_rows(tmp_path, [cut, collected_row(2, [1], [1])])

    assert _delete(tmp_path, _by_value("data", "42")).rows_unsearchable == 1
    assert _delete(tmp_path, _by_id("r2")).rows_unsearchable == 0


def test_file_without_other_rows_is_deleted(tmp_path: Path) -> None:
    path = write_rows(tmp_path, [collected_row(1, [1], [1])])

    assert _delete(tmp_path, _by_id("r1")).files_changed == 1
    assert not path.exists()


def test_dry_run_counts_and_writes_nothing(tmp_path: Path) -> None:
    path = write_rows(tmp_path, [collected_row(1, [1], [1]), collected_row(2, [1], [1])])

    figures = _delete(tmp_path, _by_id("r1"), dry_run=True)

    assert (figures.rows_deleted, figures.files_changed) == (1, 1)
    assert _ids(path) == ["r1", "r2"]


def test_rows_outside_of_the_window_stay(tmp_path: Path) -> None:
    path = write_rows(tmp_path, [collected_row(1, [1], [1]), collected_row(2, [1], [1], time=TIME)])

    _delete(tmp_path, _by_id("r1", "r2"), Window("team", start=TIME.replace(microsecond=1)))

    assert _ids(path) == ["r2"]


class _StoreOfOthers(CollectedStore):
    """A store in which another program writes each file `changes` times before the first write here."""

    def __init__(self, url: str, changes: int) -> None:
        super().__init__(url)
        self.changes = changes

    def replace(self, file: StoredFile, content: bytes, version: FileVersion) -> None:
        if self.changes:
            self.changes -= 1
            raise FileChangedError(file.path)
        super().replace(file, content, version)


def test_file_that_another_program_wrote_is_read_again(tmp_path: Path) -> None:
    path = write_rows(tmp_path, [collected_row(1, [1], [1]), collected_row(2, [1], [1])])
    store = _StoreOfOthers(str(tmp_path), changes=2)

    figures = delete_rows(store, ALL, _by_id("r1"), dry_run=False, progress=lambda _: None)

    assert (figures.rows_deleted, figures.rows_read) == (1, 2)
    assert _ids(path) == ["r2"]


def test_file_that_changes_without_an_end_is_an_error(tmp_path: Path) -> None:
    write_rows(tmp_path, [collected_row(1, [1], [1]), collected_row(2, [1], [1])])
    store = _StoreOfOthers(str(tmp_path), changes=99)

    with pytest.raises(CollectedDataError, match="written by another program"):
        delete_rows(store, ALL, _by_id("r1"), dry_run=False, progress=lambda _: None)


class _KilledStore(CollectedStore):
    """A store whose command is killed at a step."""

    def __init__(self, url: str, step: int) -> None:
        super().__init__(url)
        self.left = step

    def _step(self) -> None:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1

    @contextmanager
    def opened(self, file: StoredFile) -> Iterator[Any]:
        self._step()
        with super().opened(file) as opened:
            yield opened

    def replace(self, file: StoredFile, content: bytes, version: FileVersion) -> None:
        self._step()
        super().replace(file, content, version)
        self._step()


def test_killed_deletion_loses_and_doubles_no_other_row(tmp_path: Path) -> None:
    for step in range(7):
        folder = tmp_path / str(step)
        paths = [
            write_rows(
                folder, [collected_row(2 * n, [1], [1]), collected_row(2 * n + 1, [1], [1])], f"{n}.jsonl"
            )
            for n in range(2)
        ]
        try:
            store = _KilledStore(str(folder), step)
            delete_rows(store, ALL, _by_id("r0", "r2"), dry_run=False, progress=lambda _: None)
        except KeyboardInterrupt:
            pass
        kept = [one for path in paths for one in _ids(path)]
        assert sorted({*kept} - {"r0", "r2"}) == ["r1", "r3"]
        assert len(kept) == len({*kept})

        _delete(folder, _by_id("r0", "r2"))

        assert [one for path in paths for one in _ids(path)] == ["r1", "r3"]
