"""The event hub's sink and a real broker, which is killed and started again."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from tests.bench.collect.replica import SideCar
from tests.support.certificates import certificate_for
from tests.support.kafka import READER, SECONDS, Broker
from tests.support.servers import wait_until
from tests.support.spool import encode_records

from modelyard.collection.event_hub import EventHub, connection
from modelyard.collection.event_hub.destination import read_destination
from modelyard.collection.row import Origin, Row
from modelyard.collection.sink import Delivered, SinkError, Trouble
from modelyard.contract.collection_pod import CollectorVariable
from modelyard.scoring.spool.counts import Counts
from modelyard.scoring.spool.record import Record
from modelyard.scoring.spool.segment_writer import SegmentWriter

LARGE_EVERY = 1000
ORIGIN = Origin("team-a", "diabetes", "3", "sha256:ab", ("diabetes:1",), "pod-1")
Secret = dict[str, str]


class Batch:
    """Rows with request ids from `first`, and inputs of `size` bytes."""

    def __init__(self, count: int, *, first: int = 0, size: int = 100) -> None:
        self.name = f"batch-{first}"
        self.ids = [f"request-{number}" for number in range(first, first + count)]
        self._size = size

    def rows(self) -> Iterator[Row]:
        for name in self.ids:
            yield Row(
                time_us=1_796_000_000_000_001, request_id=name, correlation_id=name, trace_id=None,
                name="scoring", method="POST", operation="score", status=200, duration_seconds=0.25,
                request_type="application/json", response_type="application/json", request_bytes=self._size,
                response_bytes=3, inputs="x" * self._size, prediction="[1]", inputs_reference=None,
                prediction_reference=None, truncated=False,
            )  # fmt: skip


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


def secure(broker: Broker, topic: str) -> Secret:
    """Return the keys of a connection string."""
    return {
        "eventHubConnectionString": broker.connection_string,
        "kafkaTopic": topic,
        "kafkaCa": broker.ca.read_text(),
    }


def plain(broker: Broker, topic: str) -> Secret:
    """Return the keys of a broker without TLS."""
    return {"kafkaBootstrapServers": broker.plain, "kafkaTopic": topic}


def hub(secret: Secret) -> EventHub:
    return EventHub(read_destination(secret, servers="", topic=""), ORIGIN)


def trouble(sink: EventHub, batch: Batch) -> SinkError:
    with pytest.raises(SinkError) as raised:
        sink.deliver(batch)
    return raised.value


def records(broker: Broker, topic: str) -> Counter[str]:
    """Return the number of records of each request."""
    return Counter(record.key().decode() for record in broker.records(topic))


def test_connection_string_delivers_rows_with_tls(broker: Broker) -> None:
    topic = broker.create_topic()
    sink, batches = hub(secure(broker, topic)), [Batch(300), Batch(300, first=300)]
    assert [sink.deliver(batch).rows for batch in batches] == [300, 300]
    sink.close()
    rows = list(broker.records(topic))
    assert [row.key().decode() for row in rows] == batches[0].ids + batches[1].ids
    assert rows[0].headers() == [("schemaVersion", b"1")]
    value = json.loads(rows[0].value())
    assert (value["requestId"], value["service"], value["inputs"]) == ("request-0", "diabetes", "x" * 100)


def test_refusals_are_told_apart(broker: Broker, tmp_path: Path) -> None:
    good = secure(broker, broker.create_topic())
    reader = {"kafkaBootstrapServers": broker.secure, "kafkaUsername": READER, "kafkaPassword": READER}
    stranger = certificate_for("127.0.0.1", tmp_path).authority.read_text()
    refusals = {
        "refuses the credentials": good | {"eventHubConnectionString": broker.connection_string + "wrong"},
        "its CA is unknown": good | {"kafkaCa": stranger},
        "has no topic": good | {"kafkaTopic": "missing"},
        "does not let these credentials write": reader
        | {key: good[key] for key in ("kafkaTopic", "kafkaCa")},
    }
    for words, secret in refusals.items():
        error = trouble(hub(secret), Batch(1))
        assert (error.trouble, words in error.message) == (Trouble.REFUSED, True), error.message
    assert "kafkaCa" in trouble(hub(good | {"kafkaCa": "no certificate"}), Batch(1)).message


def test_rows_above_the_limit_of_the_topic_are_dropped_and_no_others(broker: Broker) -> None:
    topic = broker.create_topic(**{"max.message.bytes": "20000"})
    batch = Batch(0)
    small, large, huge = Batch(500), Batch(3, first=500, size=30_000), Batch(1, first=503, size=5_000_000)
    batch.rows = lambda: chain(small.rows(), large.rows(), huge.rows())  # type: ignore[method-assign]
    delivered = hub(plain(broker, topic)).deliver(batch)
    assert (delivered.rows, delivered.dropped) == (500, {"too_large": 4})
    assert records(broker, topic) == Counter(small.ids)


def test_killed_broker_gets_each_row_once(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALL_SECONDS", 1.0)
    topic = broker.create_topic()
    sink, batches = hub(plain(broker, topic)), [Batch(1000, first=1000 * number) for number in range(20)]
    delivered: list[Delivered] = []
    errors: list[SinkError] = []

    def run() -> None:
        for batch in batches:
            while True:
                try:
                    delivered.append(sink.deliver(batch))
                    break
                except SinkError as error:
                    errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_until(lambda: len(delivered) > 4, lambda: f"{errors}")
    broker.kill()
    wait_until(lambda: len(errors) > 0, lambda: "no failure of the sink")
    broker.start()
    thread.join(2 * SECONDS)
    assert {error.trouble for error in errors} == {Trouble.UNAVAILABLE}
    assert sum(batch.rows for batch in delivered) == 20_000
    assert records(broker, topic) == Counter(name for batch in batches for name in batch.ids)


def test_killed_side_car_delivers_each_record(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic(**{"max.message.bytes": "20000"})
    (tmp_path / "spool").mkdir()
    segments = [range(start, start + 500) for start in range(0, 10_000, 500)]
    with SideCar(tmp_path, plain(broker, topic), {CollectorVariable.STORAGE: "false"}) as side_car:
        for numbers in segments[:10]:
            write_segment(tmp_path / "spool", numbers)
        wait_until(lambda: rows(side_car) > 0, lambda: "no segment is delivered")
        side_car.kill_process()
        for numbers in segments[10:]:
            write_segment(tmp_path / "spool", numbers)
        wait_until(side_car.spool_is_empty, lambda: "the spool is not empty")
        counts = side_car.state()["sinks"]["eventHub"]
        assert side_car.stop() == 0
    large = {f"request-{number}" for number in range(0, 10_000, LARGE_EVERY)}
    assert (counts["rows"], counts["dropped"]) == (10_000 - len(large), {"too_large": len(large)})
    sent = {f"request-{number}" for number in range(10_000)}
    assert set(records(broker, topic)) == sent - large


def rows(side_car: SideCar) -> int:
    return int(side_car.state()["rows"]["eventHub"])


def write_segment(spool: Path, numbers: range) -> None:
    """Write one complete segment of the spool, with some records above the limit of the topic."""
    made = []
    for number in numbers:
        body = b"x" * (30_000 if number % LARGE_EVERY == 0 else 100)
        made.append(
            Record(
                time_ns=time.time_ns(), name="scoring", request_id=f"request-{number}", correlation_id="",
                trace_id="", method="POST", kind="score", status=200, duration_us=1,
                request_type="text/plain", response_type="text/plain",
                request_bytes=len(body), response_bytes=1, request=body, response=b"1",
                request_sha256=b"", response_sha256=b"",
            )
        )  # fmt: skip
    writer = SegmentWriter(spool, "front", 1 << 30)
    assert writer.append(encode_records(made), len(made)) is None
    writer.close(Counts(len(made), len(made), 0, {}))
