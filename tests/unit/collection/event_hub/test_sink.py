"""Delivery of batches to a broker in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaException
from msgspec.structs import replace
from tests.unit.collection.event_hub.fake_broker import FakeBroker, FakeProducer, Refusal
from tests.unit.collection.test_row import ORIGIN, ROW

from modelyard.collection.event_hub import EventHub, open_event_hub
from modelyard.collection.event_hub.connection import LONGEST_SECONDS, STALL_SECONDS
from modelyard.collection.event_hub.destination import Destination
from modelyard.collection.row import Row
from modelyard.collection.settings import CollectionSettings
from modelyard.collection.sink import Delivered, SinkError, Trouble
from modelyard.contract.collection_pod import CollectorVariable

HERE = Destination("broker:9092", "scored")

ENVIRONMENT = {CollectorVariable.NAMESPACE: "a", CollectorVariable.SERVICE: "b", CollectorVariable.POD: "c"}


class Rows:
    """A batch of rows in memory."""

    def __init__(self, *sizes: int, name: str = "batch") -> None:
        self.name = name
        self.sizes = sizes
        self.fails_at: int | None = None

    def rows(self) -> Iterator[Row]:
        for number, size in enumerate(self.sizes):
            if number == self.fails_at:
                raise OSError("the disk fails")
            yield replace(ROW, request_id=f"r{number}", inputs="x" * size)


def hub(broker: FakeBroker, **changes: Any) -> EventHub:
    settings: dict[str, Any] = {"new_producer": broker.connect, "monotonic": broker.monotonic}
    return EventHub(HERE, ORIGIN, **(settings | changes))


def keys(broker: FakeBroker) -> list[str]:
    return [key.decode() for key, _ in broker.records]


def trouble(sink: EventHub, batch: Rows) -> SinkError:
    with pytest.raises(SinkError) as raised:
        sink.deliver(batch)
    return raised.value


def test_each_row_is_json_with_the_request_id_as_key() -> None:
    broker = FakeBroker()
    delivered = hub(broker).deliver(Rows(5, 6))
    assert keys(broker) == ["r0", "r1"]
    values = [json.loads(value) for _, value in broker.records]
    assert [value["inputs"] for value in values] == ["xxxxx", "xxxxxx"]
    assert values[0]["time"] == "2026-11-30T00:53:20.000001Z"
    assert broker.headers == [("schemaVersion", b"1")]
    assert delivered == Delivered(2, sum(len(value) for _, value in broker.records))


def test_empty_batch_is_delivered() -> None:
    assert hub(FakeBroker()).deliver(Rows()) == Delivered(0, 0)


def test_full_queue_waits_for_answers() -> None:
    broker = FakeBroker(queue=3)
    assert hub(broker).deliver(Rows(*[1] * 20)).rows == 20


def test_connection_is_kept_for_the_next_batch() -> None:
    broker = FakeBroker()
    sink = hub(broker)
    for name in ("a", "b"):
        sink.deliver(Rows(1, name=name))
    assert keys(broker) == ["r0", "r0"]
    assert len(broker.destinations) == 1


def test_row_above_the_limit_is_dropped_and_counted() -> None:
    broker = FakeBroker()
    delivered = hub(broker).deliver(Rows(1, 2_000_000, 1, 5_000_000))
    assert keys(broker) == ["r0", "r2"]
    assert (delivered.rows, delivered.dropped) == (2, {"too_large": 2})
    assert broker.batch_sizes == [900_000]  # the others of the batch need no smaller requests


def test_request_above_the_limit_goes_in_smaller_requests() -> None:
    broker = FakeBroker(limit=100_000)
    sink = hub(broker)
    delivered = sink.deliver(Rows(*[20_000] * 30))
    assert (delivered.rows, delivered.dropped) == (30, {})
    assert broker.batch_sizes == [900_000, 250_000, 60_000]
    sink.deliver(Rows(*[20_000] * 30, name="next"))
    assert broker.batch_sizes == [900_000, 250_000, 60_000]  # the size of the next batches


def test_each_row_is_tried_alone_before_it_is_dropped() -> None:
    broker = FakeBroker(limit=1500)
    delivered = hub(broker).deliver(Rows(100, 100, 3000, 100))
    assert keys(broker) == ["r0", "r1", "r3"]
    assert delivered.dropped == {"too_large": 1}


def test_refused_record_does_not_take_its_batch_with_it() -> None:
    broker = FakeBroker()
    broker.refuses = lambda value: Refusal("INVALID_RECORD") if b'"requestId":"r1"' in value else None
    delivered = hub(broker).deliver(Rows(1, 1, 1))
    assert keys(broker) == ["r0", "r2"]
    assert (delivered.rows, delivered.dropped) == (2, {"refused": 1})


def test_silent_broker_is_unavailable_after_a_limit() -> None:
    broker = FakeBroker()
    broker.answers = False
    error = trouble(hub(broker), Rows(1))
    assert error.trouble is Trouble.UNAVAILABLE
    assert "broker:9092 acknowledges no records: check" in error.message
    assert STALL_SECONDS < broker.now < STALL_SECONDS + 3


def test_silent_broker_with_a_full_queue_is_unavailable() -> None:
    broker = FakeBroker(queue=2)
    broker.answers = False
    assert trouble(hub(broker), Rows(1, 1, 1)).trouble is Trouble.UNAVAILABLE


def test_broker_that_comes_back_gets_no_row_twice() -> None:
    broker = FakeBroker()
    broker.answers = False
    sink, batch = hub(broker), Rows(1, 1, 1)
    trouble(sink, batch)
    broker.answers = True
    assert sink.deliver(batch).rows == 3
    assert keys(broker) == ["r0", "r1", "r2"]
    assert len(broker.destinations) == 1


def test_slow_broker_ends_the_call_and_the_next_one_continues() -> None:
    broker = FakeBroker(queue=1)
    sink, batch = hub(broker), Rows(*[1] * 150)
    error = trouble(sink, batch)
    assert error.trouble is Trouble.UNAVAILABLE
    assert f"in {LONGEST_SECONDS:.0f} s" in error.message
    assert sink.deliver(batch).rows == 150
    assert len(set(keys(broker))) == len(broker.records) == 150


def test_next_batch_does_not_count_rows_of_an_abandoned_one() -> None:
    broker = FakeBroker()
    broker.answers = False
    sink = hub(broker)
    trouble(sink, Rows(1, 1, 1))
    broker.answers = True
    assert sink.deliver(Rows(1, name="other")).rows == 1


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("_AUTHENTICATION", "", "refuses the credentials"),
        ("_SSL", "certificate verify failed", "add the CA's certificate as kafkaCa"),
    ],
)
def test_refused_connection_fails_at_once(name: str, text: str, words: str) -> None:
    broker = FakeBroker()
    broker.answers = False
    broker.events = [Refusal(name, text), Refusal("_ALL_BROKERS_DOWN")]
    sink, batch = hub(broker), Rows(1)
    error = trouble(sink, batch)
    assert error.trouble is Trouble.REFUSED
    assert words in error.message
    assert broker.now < 2
    broker.answers = True
    assert sink.deliver(batch).rows == 1
    assert len(broker.destinations) == 2  # a new producer, which logs in again


@pytest.mark.parametrize("name", ["TOPIC_AUTHORIZATION_FAILED", "UNKNOWN_TOPIC_OR_PART"])
def test_refused_topic_keeps_the_rows(name: str) -> None:
    broker = FakeBroker()
    broker.failure = Refusal(name)
    sink, batch = hub(broker), Rows(1, 1)
    error = trouble(sink, batch)
    assert error.trouble is Trouble.REFUSED
    assert "scored" in error.message
    broker.failure = None
    assert sink.deliver(batch) == Delivered(2, sum(len(value) for _, value in broker.records))


def test_failure_of_one_row_is_no_success_of_the_batch() -> None:
    broker = FakeBroker()
    failures = iter([Refusal("_FATAL")])
    broker.refuses = lambda value: next(failures, None) if b'"requestId":"r0"' in value else None
    sink, batch = hub(broker), Rows(2_000_000, 1, 1)  # requests of their own
    broker.limit = 9_000_000
    error = trouble(sink, batch)
    assert error.trouble is Trouble.UNAVAILABLE
    assert sink.deliver(batch).rows == 3
    assert sorted(keys(broker)) == ["r0", "r1", "r2"]
    assert len(broker.destinations) == 2


def test_failed_producer_is_replaced() -> None:
    broker = FakeBroker()

    class Broken(FakeProducer):
        def produce(self, *_: Any, **__: Any) -> None:
            raise KafkaException(Refusal("_FATAL", "Local: Fatal error"))

    producers = iter([Broken(broker, 1, lambda failure: None), broker.connect(None, 900_000, print)])  # type: ignore[arg-type]
    sink = hub(broker, new_producer=lambda *_: next(producers))
    assert "(Local: Fatal error)" in trouble(sink, Rows(1)).message
    assert sink.deliver(Rows(1)).rows == 1


def test_short_failure_of_a_connection_is_no_failure_of_the_batch() -> None:
    broker = FakeBroker()
    broker.events = [Refusal("_TRANSPORT", "Connection refused")]
    assert hub(broker).deliver(Rows(1)).rows == 1


def test_failed_disk_is_passed_on_and_the_batch_continues() -> None:
    broker = FakeBroker()
    sink, batch = hub(broker), Rows(1, 1, 1)
    batch.fails_at = 2
    with pytest.raises(OSError, match="the disk fails"):
        sink.deliver(batch)
    batch.fails_at = None
    assert sink.deliver(batch).rows == 3
    assert keys(broker) == ["r0", "r1", "r2"]


def test_missing_destination_is_told() -> None:
    with pytest.raises(SinkError) as raised:
        open_event_hub(CollectionSettings.from_environment(ENVIRONMENT), {})
    assert raised.value.trouble is Trouble.NOT_CONFIGURED
    assert "add eventHubConnectionString or kafkaBootstrapServers" in raised.value.message


def test_sink_connects_at_its_first_batch_only() -> None:
    platform = json.dumps({"eventHub": {"bootstrapServers": "platform:1", "topic": "scored"}})
    settings = CollectionSettings.from_environment(ENVIRONMENT | {CollectorVariable.PLATFORM: platform})
    open_event_hub(settings, {"kafkaCa": "no certificate"}).close()


def test_invalid_ca_is_told() -> None:
    def refuse(*_: Any) -> FakeProducer:
        raise KafkaException(Refusal("_INVALID_ARG"))

    error = trouble(hub(FakeBroker(), new_producer=refuse), Rows(1))
    assert (error.trouble, error.message[:7]) == (Trouble.NOT_CONFIGURED, "kafkaCa")


def test_closed_sink_forgets_its_rows_and_can_go_on() -> None:
    broker = FakeBroker()
    broker.answers = False
    sink, batch = hub(broker), Rows(1, 1)
    trouble(sink, batch)
    sink.close()
    sink.close()
    broker.answers = True
    assert sink.deliver(batch).rows == 2
    assert keys(broker) == ["r0", "r1"]
