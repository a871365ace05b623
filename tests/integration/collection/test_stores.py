"""The storage sink and real servers of the S3, Azure and Google APIs."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from tests.support.object_stores import Store, azure_store, create_container, gs_store, s3_store
from tests.support.spool import encode_records
from tests.unit.collection.spool_files import Clock, record

from modelyard.collected.row_files import read_rows
from modelyard.collected.store import CollectedStore
from modelyard.collected.window import Window
from modelyard.collection.fields import ProtectedFields
from modelyard.collection.journal import Journal
from modelyard.collection.pace import Pace
from modelyard.collection.pump import Delivery, Pump
from modelyard.collection.segments import Spool
from modelyard.collection.settings import CollectionSettings
from modelyard.collection.sink import BatchLimits
from modelyard.collection.storage import open_storage
from modelyard.collection.transformation import Transformation
from modelyard.contract.collection_pod import CollectorVariable
from modelyard.scoring.spool.declared import (
    INPUTS,
    INTEGER,
    NUMBER,
    PREDICTION,
    DeclaredColumn,
    encode_declared,
)
from modelyard.scoring.spool.segment_writer import SegmentWriter
from modelyard.scoring.spool.spool_writer import SpoolWriter

NAME = "pod-1-7-00000000"
FOLDER = "modeldata/team-a/diabetes/3/scoring/2026/11/30/00"
Changes = Mapping[str, str]
DECLARED = encode_declared(
    [DeclaredColumn(INPUTS, ("data", None), INTEGER), DeclaredColumn(PREDICTION, (None,), NUMBER)]
)
"""The columns of the driver: each record has the inputs `{"data":[1]}` and the prediction `[2]`."""


@pytest.fixture(scope="module", params=["s3", "abfs", "gs"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A server of each API."""
    starts: dict[str, Callable[[Path], Any]] = {"s3": s3_store, "abfs": azure_store, "gs": gs_store}
    with starts[request.param](tmp_path_factory.mktemp(request.param)) as store:
        yield store


@dataclass
class Replica:
    """A spool with records, and the pump of a replica's storage."""

    folder: Path
    store: Store
    format: str = "parquet"
    clock: Clock = field(default_factory=Clock)

    @property
    def url(self) -> str:
        """A prefix of the test."""
        return f"{self.store.url}/{self.folder.name}"

    def write(self, count: int) -> None:
        """Write records as the front does, until a segment is complete."""
        spool = self.folder / "spool"
        spool.mkdir()
        segments = SegmentWriter(spool, "front", max_bytes=10**9)
        segments.declared = DECLARED
        writer = SpoolWriter(segments)
        for number in range(count):
            writer.put(encode_records([record(f"r{number}")]), 1, 1024)
        assert writer.close(60)

    def pump(self, changes: Changes | None = None) -> Pump:
        """Start a process. `changes` are other keys of the Secret."""
        secret = self.store.variables | {"storageUrl": self.url} | dict(changes or {})
        settings = CollectionSettings.from_environment(
            {
                CollectorVariable.NAMESPACE: "team-a",
                CollectorVariable.SERVICE: "diabetes",
                CollectorVariable.VERSION: "3",
                CollectorVariable.POD: "pod-1",
                CollectorVariable.STORAGE: "true",
                CollectorVariable.STATE_DIR: str(self.folder),
                CollectorVariable.PLATFORM: json.dumps({"storage": {"format": self.format}}),
            }
        )
        limits = BatchLimits(seconds=0, size=10**9, segments=2)
        opened = partial(open_storage, settings, {})
        return Pump(
            Delivery("storage", "Storage", limits, opened, "pod-1"),
            Journal(self.folder / "storage.json", lambda: 7),
            Spool(self.folder / "spool"),
            [],
            lambda: secret,
            lambda _: Transformation(ProtectedFields((), (), "")),
            Pace(10**9),
            clock=self.clock,
        )

    def step(self, pump: Pump) -> tuple[str, str]:
        """Try to deliver, and return reason and message. A segment counts from its second listing."""
        for _ in range(3):
            pump.step()
            self.clock.now += 60
        return pump.status.state.reason, pump.status.state.message

    def objects(self) -> dict[str, bytes]:
        """Return the content of each object, by its path."""
        window = Window("team-a", start=dt.datetime(2026, 11, 30, tzinfo=dt.UTC))
        collected = CollectedStore(self.url)
        found = {}
        for files in collected.file_groups(window):
            for file in files:
                with collected.opened(file) as (content, _):
                    found[file.path] = content.read()
        return found


@pytest.fixture
def replica(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replica:
    """A replica with 100 records, and a reader with the credentials of the store."""
    for name, value in store.variables.items():
        monkeypatch.setenv(name, value)
    replica = Replica(tmp_path, store)
    replica.write(100)
    return replica


def ids_of(objects: Mapping[str, bytes]) -> list[str]:
    return [
        row["requestId"]
        for path, content in objects.items()
        for rows in read_rows(io.BytesIO(content), path, ["requestId"])
        for row in rows
    ]


IDS = [f"r{number}" for number in range(100)]


@pytest.mark.parametrize(("form", "suffix"), [("parquet", "parquet"), ("jsonLines", "jsonl")])
def test_rows_are_read_back(replica: Replica, tmp_path: Path, form: str, suffix: str) -> None:
    replica.format = form
    assert replica.step(replica.pump()) == ("", "")
    objects = replica.objects()
    assert list(objects) == [f"{FOLDER}/{NAME}.{suffix}"]
    assert ids_of(objects) == IDS
    file = tmp_path / f"copy.{suffix}"
    file.write_bytes(*objects.values())
    query = "select count(distinct requestId), sum(status) from"
    assert duckdb.sql(f"{query} '{file}'").fetchall() == [(100, 20_000)]
    assert list((tmp_path / "spool").iterdir()) == []


def test_readers_have_the_declared_columns(replica: Replica, tmp_path: Path) -> None:
    replica.step(replica.pump())
    file = tmp_path / "copy.parquet"
    file.write_bytes(*replica.objects().values())
    people = duckdb.sql(
        'SELECT requestId, unnest("inputs.data") AS data, unnest("prediction.value") AS prediction'
        f" FROM read_parquet('{file}')"
    )
    assert sorted(people.fetchall()) == [(one, 1, 2.0) for one in sorted(IDS)]
    frame = pd.read_parquet(file).explode(["inputs.data", "prediction.value"])
    assert frame["inputs.data"].tolist() == [1] * 100
    assert frame["prediction.value"].tolist() == [2.0] * 100


def test_batch_that_comes_again_keeps_one_object(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between upload and acknowledgement repeats the upload."""

    def fail(*_: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "acknowledge", fail)
        assert replica.step(replica.pump())[0] == "CollectorFailed"
    assert ids_of(replica.objects()) == IDS
    assert replica.step(replica.pump()) == ("", "")
    assert ids_of(replica.objects()) == IDS


WRONG = {
    "s3": {"AWS_SECRET_ACCESS_KEY": "d3JvbmcgIHdyb25nICB3cm9uZw=="},
    "abfs": {"AZURE_STORAGE_ACCOUNT_KEY": "d3JvbmcgIHdyb25nICB3cm9uZw=="},
}
_RIGHTS = "the store refuses the files: check the credentials, and the right to write"
_ABSENT = "the bucket does not exist: create the bucket, or correct the key storageUrl"
REFUSALS = {
    ("s3", "credentials"): f"{_RIGHTS} (403 Forbidden, SignatureDoesNotMatch)",
    ("abfs", "credentials"): f"{_RIGHTS} (403 Forbidden, AuthorizationFailure)",
    ("s3", "bucket"): f"{_ABSENT} (404 Not Found, NoSuchBucket)",
    ("abfs", "bucket"): f"{_ABSENT} (404 Not Found, ContainerNotFound)",
    ("gs", "bucket"): f"{_ABSENT} (404 Not Found, NoSuchBucket)",
}


@pytest.mark.parametrize("wrong", ["credentials", "bucket"])
def test_store_that_refuses_is_told(replica: Replica, wrong: str) -> None:
    kind = replica.store.url.partition(":")[0]
    if (kind, wrong) not in REFUSALS:
        pytest.skip("this server accepts all credentials")
    absent = replica.url.replace("//bucket", "//absent").replace("//container", "//absent")
    changes = WRONG[kind] if wrong == "credentials" else {"storageUrl": absent}
    url = changes.get("storageUrl", replica.url)
    assert replica.step(replica.pump(changes)) == ("StorageRefused", f"{url}: {REFUSALS[kind, wrong]}")
    assert replica.step(replica.pump()) == ("", "")
    assert ids_of(replica.objects()) == IDS


def test_store_that_stops_is_unavailable_until_it_is_back(replica: Replica) -> None:
    replica.store.server.kill()
    pump = replica.pump()
    try:
        reason, message = replica.step(pump)
    finally:
        replica.store.server.start()
        if replica.store.url.startswith("abfs"):
            create_container(replica.store)
    assert reason == "StorageUnavailable"
    assert message.startswith(f"{replica.url} cannot be written: ")
    assert replica.step(pump) == ("", "")
    assert list(replica.objects()) == [f"{FOLDER}/{NAME}.parquet"]
    assert ids_of(replica.objects()) == IDS
