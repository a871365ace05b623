"""Files of a batch in a store in memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import obstore
import pytest
from arro3.io import read_parquet
from obstore.exceptions import GenericError, PermissionDeniedError
from obstore.store import MemoryStore
from tests.unit.collection.spool_files import ORIGIN, TIME_NS, record, row_of
from tests.unit.collection.test_settings import ENVIRONMENT

from modelyard.collection import encoding, parquet
from modelyard.collection.encoding import Encoder, JsonLinesEncoder
from modelyard.collection.fields import ProtectedFields
from modelyard.collection.parquet import ParquetEncoder
from modelyard.collection.row import Row
from modelyard.collection.settings import CollectionSettings
from modelyard.collection.sink import SinkError, Trouble
from modelyard.collection.storage import MAX_FILES, StorageSink, folder_name, open_storage
from modelyard.collection.transformation import Transformation

HOUR_NS = 3600 * 10**9


@dataclass
class Rows:
    """A batch of rows in memory."""

    items: list[Row]
    name: str = "pod-1-7-00000000"

    def rows(self) -> Iterator[Row]:
        return iter(self.items)


def rows(count: int, **fields: object) -> list[Row]:
    transformation = Transformation(ProtectedFields((), (), ""))
    return [row_of(transformation, record(f"r{number}", **fields)) for number in range(count)]


def sink(folder: Path, store: MemoryStore, encoder: Encoder | None = None) -> StorageSink:
    return StorageSink(
        "s3://bucket/pre fix/", store, encoder or ParquetEncoder(ORIGIN), ORIGIN, folder / "part", ("s3cret",)
    )


def paths(store: MemoryStore) -> list[str]:
    return sorted(item["path"] for batch in obstore.list(store) for item in batch)


def read(store: MemoryStore, path: str) -> list[dict[str, object]]:
    table = read_parquet(bytes(obstore.get(store, path).bytes())).read_all()
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


FOLDER = "pre fix/modeldata/team-a/diabetes/3"


def test_file_has_a_row_for_each_record(tmp_path: Path) -> None:
    store = MemoryStore()
    delivered = sink(tmp_path, store).deliver(Rows(rows(3)))
    path = f"{FOLDER}/scoring/2026/11/30/00/pod-1-7-00000000.parquet"
    assert paths(store) == [path]
    found = read(store, path)
    assert [row["requestId"] for row in found] == ["r0", "r1", "r2"]
    first = found[0]
    assert str(first.pop("time")).startswith("2026-11-30 00:53:20")
    assert first == {
        "requestId": "r0",
        "correlationId": "r0",
        "traceId": None,
        "namespace": "team-a",
        "service": "diabetes",
        "version": "3",
        "imageDigest": "sha256:ab",
        "modelIds": ["diabetes:1"],
        "name": "scoring",
        "method": "POST",
        "operation": "score",
        "status": 200,
        "durationSeconds": 0.0025,
        "requestType": "application/json",
        "responseType": "application/json",
        "requestBytes": 12,
        "responseBytes": 3,
        "inputs": '{"data":[1]}',
        "prediction": "[2]",
        "inputsReference": None,
        "predictionReference": None,
        "truncated": False,
    }
    assert delivered.rows == 3
    assert delivered.dropped == {}


def test_json_lines_have_the_columns_of_parquet(tmp_path: Path) -> None:
    store = MemoryStore()
    sink(tmp_path, store, JsonLinesEncoder(ORIGIN)).deliver(Rows(rows(2)))
    sink(tmp_path, store).deliver(Rows(rows(2)))
    lines, file = paths(store)
    assert lines.endswith("/pod-1-7-00000000.jsonl")
    text = bytes(obstore.get(store, lines).bytes()).decode()
    found = [json.loads(line) for line in text.splitlines()]
    assert [set(row) for row in found] == [set(row) for row in read(store, file)]
    assert [row["requestId"] for row in found] == ["r0", "r1"]


def test_each_name_and_hour_has_a_file(tmp_path: Path) -> None:
    batch = rows(2) + rows(1, name="../inputs") + rows(1, time_ns=TIME_NS + HOUR_NS) + rows(3)
    store = MemoryStore()
    delivered = sink(tmp_path, store).deliver(Rows(batch))
    assert paths(store) == [
        f"{FOLDER}/.._inputs/2026/11/30/00/pod-1-7-00000000.parquet",
        f"{FOLDER}/scoring/2026/11/30/00/pod-1-7-00000000.parquet",
        f"{FOLDER}/scoring/2026/11/30/01/pod-1-7-00000000.parquet",
    ]
    assert [len(read(store, path)) for path in paths(store)] == [1, 5, 1]
    assert delivered.rows == 7


def test_batch_that_comes_again_replaces_its_files(tmp_path: Path) -> None:
    store = MemoryStore()
    for _ in range(2):
        assert sink(tmp_path, store).deliver(Rows(rows(2))).rows == 2
    assert len(paths(store)) == 1


def test_store_that_never_replaces_has_the_file_already(tmp_path: Path) -> None:
    store = MemoryStore()
    created = StorageSink("gs://bucket", store, ParquetEncoder(ORIGIN), ORIGIN, tmp_path / "part")
    for _ in range(2):
        assert created.deliver(Rows(rows(2))).rows == 2
    assert len(paths(store)) == 1


@pytest.mark.parametrize("kind", [ParquetEncoder, JsonLinesEncoder])
def test_large_batch_has_several_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[ParquetEncoder | JsonLinesEncoder]
) -> None:
    for module in (encoding, parquet):
        monkeypatch.setattr(module, "FILE_BYTES", 1000)
    monkeypatch.setattr("modelyard.collection.storage._CHUNK_ROWS", 10)
    store = MemoryStore()
    delivered = sink(tmp_path, store, kind(ORIGIN)).deliver(Rows(rows(95)))
    assert delivered.rows == 95
    names = [path.rpartition("/")[2].partition(".")[0] for path in paths(store)]
    assert len(names) >= 2
    assert "pod-1-7-00000000-1" in names
    if kind is ParquetEncoder:
        found = [row["requestId"] for path in paths(store) for row in read(store, path)]
        assert sorted(map(str, found)) == sorted(f"r{number}" for number in range(95))


def test_names_beyond_the_limit_are_dropped_and_counted(tmp_path: Path) -> None:
    batch = [row for number in range(MAX_FILES + 5) for row in rows(2, name=f"name-{number}")]
    store = MemoryStore()
    delivered = sink(tmp_path, store).deliver(Rows(batch))
    assert delivered.rows == 2 * MAX_FILES
    assert delivered.dropped == {"too_many_files": 10}
    assert len(paths(store)) == MAX_FILES


def test_batch_without_rows_makes_no_file(tmp_path: Path) -> None:
    store = MemoryStore()
    assert sink(tmp_path, store).deliver(Rows([])).rows == 0
    assert paths(store) == []


@pytest.mark.parametrize(
    ("name", "folder"),
    [("inputs", "inputs"), ("a/b", "a_b"), ("..", "_"), ("", "_"), ("ü" * 99, "_" * 63), ("v1.2", "v1.2")],
)
def test_folder_of_a_name_is_one_safe_part(name: str, folder: str) -> None:
    assert folder_name(name) == folder


def test_long_names_take_little_memory() -> None:
    tracemalloc.start()
    try:
        folders = {folder_name(f"{number:09}" * 10_000) for number in range(100)}
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert {len(folder) for folder in folders} == {63}
    assert size < 200_000


def test_last_time_of_the_spool_has_a_folder(tmp_path: Path) -> None:
    store = MemoryStore()
    sink(tmp_path, store).deliver(Rows(rows(1, time_ns=2**63 - 1)))
    assert paths(store) == [f"{FOLDER}/scoring/2262/04/11/23/pod-1-7-00000000.parquet"]


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (PermissionDeniedError("403"), Trouble.REFUSED),
        (FileNotFoundError("no bucket"), Trouble.REFUSED),
        (GenericError("Server returned non-2xx status code: 400 Bad Request: s3cret"), Trouble.REFUSED),
        (GenericError("Server returned non-2xx status code: 503 Slow Down"), Trouble.UNAVAILABLE),
        (GenericError("error sending request for https://key:s3cret@host/"), Trouble.UNAVAILABLE),
    ],
)
def test_error_of_the_store_has_a_kind_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, trouble: Trouble
) -> None:
    def put(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(obstore, "put", put)
    with pytest.raises(SinkError, match="s3://bucket/pre fix/") as raised:
        sink(tmp_path, MemoryStore()).deliver(Rows(rows(1)))
    assert raised.value.trouble is trouble
    assert "s3cret" not in raised.value.message


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ({}, "no storage is named: set the key storageUrl"),
        ({"storageUrl": "ftp://host/x"}, "ftp://host/x is no URL of a storage"),
        ({"storageUrl": "s3://["}, "is no URL of a storage"),
        (
            {"storageUrl": "s3://b", "AWS_ACCESS_KEY_ID": "a"},
            "Secret of the destination has AWS_ACCESS_KEY_ID",
        ),
    ],
)
def test_destination_without_a_usable_address_is_not_configured(secret: dict[str, str], message: str) -> None:
    settings = CollectionSettings.from_environment(ENVIRONMENT)
    with pytest.raises(SinkError, match=message.replace("[", r"\[")) as raised:
        open_storage(settings, {}, secret)
    assert raised.value.trouble is Trouble.NOT_CONFIGURED
