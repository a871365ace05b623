"""The files of a store, in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.collected_rows import TIME, collected_row, write_rows

from modelyard.collected.errors import CollectedDataError
from modelyard.collected.store import CollectedStore, StoredFile
from modelyard.collected.window import Window


def _paths(store: Path, window: Window) -> list[str]:
    groups = CollectedStore(str(store)).file_groups(window)
    return [file.path for files in groups for file in files]


def test_store_lists_the_files_of_a_window_in_order_of_time(tmp_path: Path) -> None:
    late = collected_row(1, [1], [1], time=TIME.replace(hour=23))
    for row in (late, collected_row(2, [1], [1])):
        write_rows(tmp_path, [row])
    write_rows(tmp_path, [collected_row(3, [1], [1], version="2")])
    write_rows(tmp_path, [collected_row(4, [1], [1], service="other")])
    folder = tmp_path / "modeldata/team/m/1/scoring/2026/11/03/08"
    (folder / "notes.txt").write_text("not rows")

    window = Window("team", "m", "1", "scoring", start=TIME)

    assert _paths(tmp_path, window) == [
        f"modeldata/team/m/1/scoring/2026/11/03/{hour}/pod-1-00000001.parquet" for hour in ("08", "23")
    ]


def test_store_lists_all_services_versions_and_collectors(tmp_path: Path) -> None:
    for number, changes in enumerate([{}, {"version": "2"}, {"service": "other"}, {"name": "inputs"}]):
        write_rows(tmp_path, [collected_row(number, [1], [1], **changes)])
    write_rows(tmp_path, [collected_row(9, [1], [1], namespace="others")])

    assert sorted(path.split("/")[2:5] for path in _paths(tmp_path, Window("team"))) == [
        ["m", "1", "inputs"],
        ["m", "1", "scoring"],
        ["m", "2", "scoring"],
        ["other", "1", "scoring"],
    ]


def test_window_without_files_is_empty(tmp_path: Path) -> None:
    assert _paths(tmp_path, Window("team", start=TIME, end=TIME)) == []


@pytest.mark.parametrize("url", ["/no/such/folder", "file:///no/such/folder", "ftp://host/x", "s3://"])
def test_invalid_url_is_an_error_with_the_url(url: str) -> None:
    with pytest.raises(CollectedDataError, match=url.partition(":")[0]):
        CollectedStore(url)


def test_absent_file_is_not_found(tmp_path: Path) -> None:
    store = CollectedStore(f"file://{tmp_path}")
    file = StoredFile("modeldata/absent.parquet", 1)

    with pytest.raises(FileNotFoundError), store.opened(file):
        pass
    store.remove(file)
