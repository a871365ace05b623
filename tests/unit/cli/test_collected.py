"""The command `modelyard collected delete`."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.support.collected_rows import TIME, collected_row, write_rows

from modelyard.cli.main import main


def _delete(store: Path, *arguments: str) -> int:
    return main(["collected", "delete", str(store), "--namespace", "team", *arguments])


def _ids(path: Path) -> list[str]:
    found: list[str] = pq.read_table(path).column("requestId").to_pylist()
    return found


def test_rows_of_all_services_and_collectors_are_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [collected_row(number, {"customer": number % 2}, [1]) for number in range(4)]
    paths = [
        write_rows(tmp_path, [row | changes for row in rows])
        for changes in ({}, {"service": "other"}, {"name": "inputs"})
    ]

    assert _delete(tmp_path, "--where", "customer=1", "--dry-run") == 0
    assert capsys.readouterr().out == "6 of 12 rows would be deleted, in 3 of 3 files\n"
    assert _delete(tmp_path, "--where", "customer=1") == 0
    assert capsys.readouterr().out == "6 of 12 rows deleted, in 3 of 3 files\n"
    assert [_ids(path) for path in paths] == [["r0", "r2"]] * 3
    assert _delete(tmp_path, "--service", "other", "--request-id", "r0", "--request-id", "r2") == 0
    assert [path.exists() for path in paths] == [True, False, True]


def test_rows_that_cannot_be_searched_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(tmp_path, [collected_row(1, None, [1], inputsReference="sha256:1")])

    assert _delete(tmp_path, "--where", "customer=1") == 0
    assert "1 rows that stay have a binary or cut body" in capsys.readouterr().out


def test_window_bounds_the_deletion(tmp_path: Path) -> None:
    path = write_rows(tmp_path, [collected_row(number, [1], [1]) for number in range(3)])
    time = TIME.replace(microsecond=1).isoformat()

    assert _delete(tmp_path, "--request-id", "r0", "--request-id", "r1", "--from", time) == 0
    assert _ids(path) == ["r0", "r2"]
    assert _delete(tmp_path, "--request-id", "r0", "--to", TIME.isoformat()) == 0
    assert _ids(path) == ["r0", "r2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no row is selected"),
        (["--where", "customer"], "has no value"),
        (["--where", "a..b=1"], "not a path"),
        (["--request-id", "r", "--from", "soon"], "neither an age"),
        (["--request-id", "r", "--service", ".."], "not a name"),
    ],
)
def test_invalid_arguments_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert _delete(tmp_path, *arguments) == 2
    assert message in capsys.readouterr().err
