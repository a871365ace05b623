"""A broker in memory, behind the interface of librdkafka's producer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaException

from modelyard.collection.event_hub.destination import Destination
from modelyard.collection.event_hub.producer import Failure, Report


class Refusal:
    """A KafkaError by name."""

    def __init__(self, name: str, text: str = "") -> None:
        self._name, self._text = name, text

    def name(self) -> str:
        return self._name

    def str(self) -> str:
        return self._text or self._name


class FakeBroker:
    """Answers the records of its producers at their next flush. Each flush takes a second of its clock."""

    def __init__(self, *, limit: int = 1_000_000, queue: int = 1000) -> None:
        self.now = 0.0
        self.records: list[tuple[bytes, bytes]] = []
        """Key and value of each accepted record."""
        self.headers: list[tuple[str, bytes]] = []
        self.batch_sizes: list[int] = []
        """Bytes of a request of each producer so far."""
        self.destinations: list[Destination] = []
        self.limit = limit
        """Bytes of a request that the topic accepts."""
        self.queue = queue
        """Records that a producer holds."""
        self.answers = True
        self.failure: Failure | None = None
        """Answer for each record."""
        self.events: list[Failure] = []
        """Failures of connections, told at the next flush."""
        self.refuses: Callable[[bytes], Failure | None] = lambda value: None

    def connect(
        self, destination: Destination, batch_bytes: int, on_error: Callable[[Failure], None]
    ) -> FakeProducer:
        self.destinations.append(destination)
        self.batch_sizes.append(batch_bytes)
        return FakeProducer(self, batch_bytes, on_error)

    def monotonic(self) -> float:
        return self.now


class FakeProducer:
    """A producer of librdkafka whose requests hold records up to `batch_bytes`."""

    def __init__(self, broker: FakeBroker, batch_bytes: int, on_error: Callable[[Failure], None]) -> None:
        self._broker, self._batch_bytes, self._on_error = broker, batch_bytes, on_error
        self._queue: list[tuple[bytes, bytes, Report]] = []

    def produce(
        self, topic: str, value: bytes, key: bytes, *, headers: list[tuple[str, bytes]], on_delivery: Report
    ) -> None:
        if len(value) > 4 * 1024 * 1024:
            raise KafkaException(Refusal("MSG_SIZE_TOO_LARGE"))
        if len(self._queue) >= self._broker.queue:
            raise BufferError("Local: Queue full")
        self._broker.headers = headers
        self._queue.append((key, value, on_delivery))

    def poll(self, timeout: float) -> int:
        return 0

    def flush(self, timeout: float) -> int:
        self._broker.now += 10 * timeout
        while self._broker.events:
            self._on_error(self._broker.events.pop(0))
        if not self._broker.answers:
            return 0
        queue, self._queue = self._queue, []
        for request in self._requests(queue):
            self._answer(request)
        return len(queue)

    def purge(self) -> None:
        for _, _, report in self._queue:
            report(Refusal("_PURGE_QUEUE"), None)
        self._queue = []

    def _requests(self, queue: list[tuple[bytes, bytes, Report]]) -> list[list[tuple[bytes, bytes, Report]]]:
        requests: list[list[tuple[bytes, bytes, Report]]] = []
        size = 0
        for record in queue:
            if not requests or size + len(record[1]) > self._batch_bytes:
                requests.append([])
                size = 0
            requests[-1].append(record)
            size += len(record[1])
        return requests

    def _answer(self, request: list[tuple[bytes, bytes, Report]]) -> None:
        failure: Any = self._broker.failure
        if sum(len(value) for _, value, _ in request) > self._broker.limit:
            failure = Refusal("MSG_SIZE_TOO_LARGE")
        bad = [self._broker.refuses(value) for _, value, _ in request]
        for (key, value, report), refusal in zip(request, bad, strict=True):
            other = Refusal("_INVALID_DIFFERENT_RECORD") if any(bad) else failure
            error = refusal or other
            if error is None:
                self._broker.records.append((key, value))
            report(error, None)
