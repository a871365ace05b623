"""Data collection of a real scoring process: each answered request is a record, or is counted."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.spool import records_of
from tests.unit.scoring.conftest import GATED_DRIVER, Gates
from tests.unit.scoring.scoring_process import (
    ScoringProcess,
    metric,
    read_response,
    request_on,
    send_request,
    until,
)
from tests.unit.scoring.spool.spool_samples import frames, last_counts, records

from modelyard.scoring.spool.counts import Counts
from modelyard.scoring.spool.declared import DeclaredColumn, decode_declared
from modelyard.scoring.spool.folder import SEALED, open_regular, sealed
from modelyard.scoring.spool.reader import SegmentReader
from modelyard.scoring.spool.record import Record

DRIVER = """
import json, os, sys
THREAD_SAFE = True
def init(): pass
def run(data):
    if data == "raise": raise ValueError("no")
    if data == "exit": os._exit(9)
    if data == "stream": return (str(i) * 1000 for i in range(5))
    return data
"""

TYPED = "def init(): pass\ndef run(x: list[float]) -> list[float]: return x\n"

HINTS = """
from azureml.contrib.services.aml_response import AMLResponse
def init(): pass
def run(data): return AMLResponse(b"\\x89PNG\\x00", 200, {"content-type": "image/png"})
"""

JSON = {"content-type": "application/json"}

OF_2017 = """
import json
from azureml.api.realtime.swagger_spec_generator import generate_service_swagger
def init():
    with open("swagger.json", "w") as file:
        json.dump(generate_service_swagger("m", {schema!r}), file)
def run(data): return "done"
"""
"""The part of a driver that generate_main() has written."""

LOST_SECONDS = 0.05
"""The records that a killed front loses at most, as docs/data-collection.md states it."""
MARGIN_SECONDS = 0.1
"""For a write to the disk."""

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def ended(scoring: ScoringProcess) -> None:
    scoring.terminate()
    assert scoring.exit_code() == 0


def collecting(serve, tmp_path: Path, driver: str = DRIVER, **environment: str) -> ScoringProcess:
    spool = tmp_path / "spool"
    spool.mkdir()
    return serve(driver, MODELYARD_COLLECTION_DIR=str(spool), **environment)


def by_id(tmp_path: Path) -> dict[str, Record]:
    found = records(tmp_path / "spool")
    assert len({record.request_id for record in found}) == len(found)
    return {record.request_id: record for record in found}


def columns_of(tmp_path: Path) -> tuple[DeclaredColumn, ...]:
    """Return the declared columns of the last record."""
    folder = tmp_path / "spool"
    with open_regular(folder / sealed(folder)[-1].file(SEALED)) as file:
        reader = SegmentReader(file)
        assert any(records_of(frame) for frame in reader)
        return decode_declared(reader.declared)


def test_each_way_to_answer_is_a_record(serve, tmp_path: Path) -> None:
    scoring = collecting(serve, tmp_path)
    json_type = {"content-type": "application/json"}
    with scoring.connection() as connection:

        def ask(name: str, body: bytes, headers: dict[str, str] | None = None) -> int:
            return request_on(
                connection, "POST", "/score", body, json_type | {"x-request-id": name} | (headers or {})
            ).status

        statuses = [
            ask("plain", b'{"a": 1}'),
            ask("raise", b"raise"),
            ask("gzip", gzip.compress(b"packed"), {"content-encoding": "gzip"}),
            ask("traced", b"[]", {"traceparent": TRACE}),
            ask("untraced", b"[]", {"traceparent": "00-nothing"}),
            ask("stream", b"stream"),
        ]
        query = request_on(connection, "GET", "/score?a=1&b=2", headers={"x-request-id": "query"})
        statuses.append(ask("exit", b"exit"))
        missing = request_on(connection, "GET", "/nothing", headers={"x-request-id": "missing"})
    refused = scoring.request("POST", "/score", b"[]", {"content-encoding": "br", "x-request-id": "br"})
    ended(scoring)

    assert statuses == [200, 500, 200, 200, 200, 200, 500]
    assert (query.status, missing.status, refused.status) == (200, 404, 415)
    found = by_id(tmp_path)
    assert {name: record.status for name, record in found.items()} == {
        "plain": 200, "raise": 500, "gzip": 200, "traced": 200, "untraced": 200, "stream": 200, "exit": 500,
        "query": 200,
    }  # fmt: skip
    plain = found["plain"]
    assert (plain.request, plain.response) == (b'{"a": 1}', json.dumps('{"a": 1}').encode())
    assert (plain.name, plain.kind, plain.method, plain.correlation_id) == (
        "scoring", "score", "POST", "plain",
    )  # fmt: skip
    assert (plain.request_bytes, plain.response_bytes) == (len(plain.request), len(plain.response))
    assert (plain.request_type, plain.response_type) == ("application/json", "application/json")
    assert plain.duration_us > 0
    assert abs(plain.time_ns - found["query"].time_ns) < 600e9
    assert (found["gzip"].request, found["gzip"].request_bytes) == (b"packed", 6)
    assert b"message" in found["raise"].response
    assert found["traced"].trace_id == TRACE.split("-")[1]
    assert found["untraced"].trace_id == ""
    assert (found["stream"].response_bytes, len(found["stream"].response)) == (5000, 5000)
    assert (found["query"].request, found["query"].method) == (b"a=1&b=2", "GET")
    assert last_counts(tmp_path / "spool") == Counts(8, 8, 0, {})
    assert "key" not in str(found).lower()


def test_large_and_binary_bodies_are_kept_by_digest(serve, tmp_path: Path) -> None:
    scoring = collecting(serve, tmp_path, MODELYARD_COLLECTION_MAX_BODY_BYTES="100")
    large = b"0123456789" * 200_000
    stream = {"x-request-id": "stream", "content-type": "text/plain"}
    scoring.score(large, {"x-request-id": "large", "content-type": "text/plain"})
    scoring.score(b"stream", stream)
    scoring.score(large[:150], {"x-request-id": "above", "content-type": "text/plain"})
    ended(scoring)

    found = by_id(tmp_path)
    above = found["above"]
    assert (above.request, above.request_sha256) == (large[:100], hashlib.sha256(large[:150]).digest())
    assert (above.request_bytes, len(above.response)) == (150, 100)
    assert (found["large"].request, found["large"].request_bytes) == (large[:100], len(large))
    assert found["large"].request_sha256 == hashlib.sha256(large).digest()
    assert len(found["large"].response) == 100
    assert found["large"].response_sha256 == hashlib.sha256(json.dumps(large.decode()).encode()).digest()
    assert (found["stream"].response, found["stream"].response_bytes) == (b"0" * 100, 5000)
    assert (found["stream"].request_sha256, found["stream"].response_sha256) == (b"", b"")


def test_declared_columns_are_beside_the_records(serve, tmp_path: Path) -> None:
    scoring = collecting(serve, tmp_path, TYPED)
    assert scoring.request("POST", "/score", b'{"x": [1.5]}', JSON).status == 200
    ended(scoring)
    assert [column[:3] for column in columns_of(tmp_path)] == [
        ("inputs", ("x", None), "number"),
        ("prediction", (None,), "number"),
    ]


def test_samples_of_2017_are_declared_columns(serve, tmp_path: Path) -> None:
    schema = Path(__file__).parent / "worker" / "service_schema_of_2017.json"
    scoring = collecting(serve, tmp_path, OF_2017.format(schema=str(schema)))
    scoring.score(b'{"rows": [[1, 2]], "scale": 3}')
    ended(scoring)
    assert [(column.name, column.kind) for column in columns_of(tmp_path)] == [
        ("inputs.rows", "number"),
        ("inputs.scale", "integer"),
    ]


def test_large_image_as_result_is_kept_by_digest(serve, tmp_path: Path) -> None:
    scoring = collecting(serve, tmp_path, HINTS, MODELYARD_COLLECTION_MAX_BODY_BYTES="4")
    scoring.score(b"{}", {"x-request-id": "image"})
    ended(scoring)
    image = by_id(tmp_path)["image"]
    assert (image.response, image.response_bytes, image.response_type) == (b"", 5, "image/png")
    assert image.response_sha256 == hashlib.sha256(b"\x89PNG\0").digest()


def test_request_of_the_open_inference_protocol_is_a_record(serve, tmp_path: Path) -> None:
    scoring = collecting(serve, tmp_path, TYPED)
    body = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2], "data": [1.0, 2.0]}]}
    response = scoring.request("POST", "/v2/models/m/infer", json.dumps(body).encode(), {"x-request-id": "a"})
    refused = scoring.request("POST", "/v2/models/m/infer", b"{}", {"x-request-id": "b"})
    ended(scoring)
    found = by_id(tmp_path)
    assert (response.status, refused.status) == (200, 400)
    assert {name: (record.kind, record.status) for name, record in found.items()} == {
        "a": ("infer", 200),
        "b": ("infer", 400),
    }
    assert found["a"].response == response.body
    assert found["b"].response.startswith(b'{"error": ')


def test_request_that_no_worker_began_is_no_record(serve, tmp_path: Path, gates: Gates) -> None:
    scoring = collecting(serve, tmp_path, GATED_DRIVER)
    with scoring.connection() as running:
        send_request(running, "POST", "/score", b"one", {"x-request-id": "one"})
        gates.wait_begun("one")
        assert scoring.score(b"two", {"x-request-id": "two"}).status == 503
        gates.open("one")
        assert read_response(running).status == 200
    ended(scoring)
    assert set(by_id(tmp_path)) == {"one"}


def test_samples_and_the_others_are_counted(serve, tmp_path: Path) -> None:
    scoring = collecting(serve, tmp_path, MODELYARD_COLLECTION_SAMPLE_PERCENT="50")
    with scoring.connection() as connection:
        for number in range(100):
            request_on(connection, "POST", "/score", b"[]", {"x-request-id": str(number)})
    name = "modelyard_collection_records_total"
    skipped = until(lambda: metric(scoring, name + '{outcome="sampled_out",reason=""}'), "the metric")
    ended(scoring)
    counts = last_counts(tmp_path / "spool")
    assert counts.answered == 100
    assert counts.sampled_out == skipped
    assert counts.collected == len(by_id(tmp_path)) == 100 - skipped
    assert 25 < skipped < 75


def test_full_spool_is_counted_and_slows_no_request(serve, tmp_path: Path) -> None:
    scoring = collecting(serve, tmp_path, MODELYARD_COLLECTION_SPOOL_BYTES="1")
    for _ in range(3):
        assert scoring.score(b"[]").status == 200
    name = 'modelyard_collection_records_total{outcome="dropped",reason="spool_full"}'
    until(lambda: metric(scoring, name) == 3, "the metric")
    ended(scoring)
    assert last_counts(tmp_path / "spool") == Counts(3, 0, 0, {"spool_full": 3})
    assert "data collection has dropped" in scoring.log


def test_missing_folder_of_the_spool_fails_no_request(serve, tmp_path: Path) -> None:
    scoring = serve(DRIVER, MODELYARD_COLLECTION_DIR=str(tmp_path / "missing"))
    assert scoring.score(b"[]").status == 200
    ended(scoring)
    assert "{'write_failed': 1}" in scoring.log


def test_without_the_feature_there_is_no_metric(serve) -> None:
    scoring = serve(DRIVER)
    scoring.score(b"[]")
    assert b"modelyard_collection" not in scoring.request("GET", "/metrics").body


@contextmanager
def measured_delays() -> Iterator[list[float]]:
    """Yield the seconds by which a busy machine wakes a thread late, the longest of them last."""
    longest, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            due = time.monotonic() + 0.01
            time.sleep(0.01)
            longest.append(max(longest[-1], time.monotonic() - due))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield longest
    finally:
        done.set()
        watcher.join()


def test_killed_front_loses_at_most_the_records_of_the_last_moment(serve, tmp_path: Path) -> None:
    """The kill comes in the middle of requests; records that were answered 50 ms before are in the spool.

    A delay of the machine may come twice: to the front, and to a client.
    """
    scoring = collecting(serve, tmp_path)
    answered: list[list[tuple[str, float]]] = [[] for _ in range(4)]
    enough = threading.Event()

    def client(own: list[tuple[str, float]], name: str) -> None:
        try:
            with scoring.connection() as connection:
                while True:
                    request_id = f"{name}-{len(own)}"
                    request_on(connection, "POST", "/score", b"[]", {"x-request-id": request_id})
                    own.append((request_id, time.monotonic()))
                    if len(own) == 50:  # fewer bytes than are written without a wait
                        enough.set()
                    time.sleep(0.005)
        except OSError:
            return

    threads = [threading.Thread(target=client, args=(own, str(i))) for i, own in enumerate(answered)]
    with measured_delays() as delays:
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        killed_at = time.monotonic()
        scoring.process.kill()
        for thread in threads:
            thread.join(60)

    found = frames(tmp_path / "spool")
    numbers = [frame.sequence + number for frame in found for number in range(frame.numbers)]
    assert numbers == list(range(len(numbers)))
    kept = by_id(tmp_path)
    safe_until = killed_at - LOST_SECONDS - MARGIN_SECONDS - 2 * delays[-1]
    for own in answered:
        missing = [i for i, (request_id, _) in enumerate(own) if request_id not in kept]
        assert missing == list(range(len(own) - len(missing), len(own)))  # none but the last ones
        assert [killed_at - at for _, at in own[len(own) - len(missing) :] if at < safe_until] == []
    assert kept
