"""The producer of librdkafka: its settings, and the part of it that the sink uses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

import confluent_kafka

from modelyard.collection.event_hub.destination import Destination

MAX_RECORD_BYTES: Final = 4 * 1024 * 1024
"""The limit of one row. Event Hubs accepts 1 MB, and 20 MB in dedicated clusters."""
_QUEUE_KIB: Final = 5 * 1024  # one row of the largest size, or five requests on their way
_QUEUE_RECORDS: Final = 1_000
_LOG: Final = logging.getLogger(__name__)

Headers = list[tuple[str, str | bytes | None]]
Report = Callable[[Any, Any], None]
"""A callback for one record: a KafkaError or None, and the message."""


class Failure(Protocol):
    """A KafkaError, as far as the sink reads it."""

    def name(self) -> str:
        """Return Kafka's name of the error, with a leading `_` for an error of librdkafka."""

    def str(self) -> str:
        """Return a text for people."""

    def fatal(self) -> bool:
        """Tell whether the producer cannot go on."""


class Producer(Protocol):
    """A confluent_kafka.Producer, as far as the sink calls it."""

    def produce(self, topic: str, value: bytes, key: bytes, *, headers: Headers, on_delivery: Report) -> None:
        """Queue a record. Raises BufferError if the queue is full, and KafkaException."""

    def flush(self, timeout: float) -> int:
        """Send the queue without a wait for more records, and call callbacks as poll() does.

        Return after `timeout` seconds, or once the queue is empty.
        """

    def poll(self, timeout: float) -> int:
        """Call the callbacks of finished records and of errors; wait at most `timeout` seconds for one."""

    def purge(self) -> None:
        """End all records of the queue; poll() calls their callbacks."""


NewProducer = Callable[[Destination, int, Callable[[Failure], None]], Producer]
"""Makes a producer from the destination, the bytes of a batch, and the callback of its errors."""


def new_producer(destination: Destination, batch_bytes: int, on_error: Callable[[Failure], None]) -> Producer:
    """Return a producer that connects in the background. Raises KafkaException for invalid certificates."""
    producer: Producer = confluent_kafka.Producer(
        {**settings(destination, batch_bytes), "error_cb": on_error, "logger": _LOG}
    )
    return producer


def settings(destination: Destination, batch_bytes: int) -> dict[str, Any]:
    """Return the settings of librdkafka (https://github.com/confluentinc/librdkafka, CONFIGURATION.md)."""
    values: dict[str, Any] = {
        "bootstrap.servers": destination.servers,
        "client.id": "modelyard",
        # A record is once and in order in the topic as long as this process lives.
        "enable.idempotence": True,
        "acks": "all",
        # The sink waits: a record of the queue ends by an acknowledgement or a refusal only.
        "message.timeout.ms": 0,
        "message.max.bytes": MAX_RECORD_BYTES,
        "batch.size": batch_bytes,
        "queue.buffering.max.kbytes": _QUEUE_KIB,
        "queue.buffering.max.messages": _QUEUE_RECORDS,
        # The sink flushes a full queue and the end of a batch. So a slow process makes few requests, too.
        "linger.ms": 100,
        "batch.num.messages": _QUEUE_RECORDS // 2,
        "reconnect.backoff.max.ms": 5000,
        "socket.connection.setup.timeout.ms": 10_000,
        "request.timeout.ms": 60_000,
        # Azure closes connections that are idle for 4 minutes, without a word.
        "connections.max.idle.ms": 180_000,
        "socket.keepalive.enable": True,
        "topic.metadata.refresh.interval.ms": 180_000,
        "topic.metadata.propagation.max.ms": 2000,
        "security.protocol": _protocol(destination),
        # The callback of errors tells the same; librdkafka would log each attempt to connect.
        "log_level": 2,
    }
    if destination.ca:
        values["ssl.ca.pem"] = destination.ca
    if destination.username:
        values |= {
            "sasl.mechanism": "PLAIN",
            "sasl.username": destination.username,
            "sasl.password": destination.password,
        }
    return values


def _protocol(destination: Destination) -> str:
    if not destination.tls:
        return "PLAINTEXT"
    return "SASL_SSL" if destination.username else "SSL"
