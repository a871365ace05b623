"""Delivers batches to an event hub, and knows which of their rows the broker has."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaException

from modelyard.collection.event_hub.connection import Connection
from modelyard.collection.event_hub.destination import Destination, DestinationError, read_destination
from modelyard.collection.event_hub.failures import OTHER_RECORD, REFUSED_RECORDS, sink_error
from modelyard.collection.event_hub.producer import Failure, NewProducer, new_producer
from modelyard.collection.event_hub.progress import Progress
from modelyard.collection.row import Origin, RowEncoder
from modelyard.collection.settings import CollectionSettings
from modelyard.collection.sink import Batch, Delivered, Sink, SinkError, Trouble

BATCH_BYTES: Final = (900_000, 250_000, 60_000, 16_000, 4_000, 1)
"""Bytes of a produce request. Event Hubs accepts 1 MB.

A broker refuses a whole request above the topic's limit, of which a smaller one may fit. With the last size
each record has a request of its own.
"""


def open_event_hub(settings: CollectionSettings, secret: Mapping[str, str]) -> Sink:
    """Return the sink of a side-car. Raises SinkError if the Secret and the platform name no complete one."""
    servers, topic = settings.kafka_bootstrap_servers, settings.kafka_topic
    try:
        destination = read_destination(secret, servers=servers, topic=topic)
    except DestinationError as error:
        raise SinkError(Trouble.NOT_CONFIGURED, str(error)) from None
    return EventHub(destination, settings.origin)


class EventHub:
    """A sink that sends each row as JSON, with the request id as the key.

    A topic has each row at least once. It has a row twice only if the side-car or its producer ended before
    the broker's answer.
    """

    def __init__(
        self,
        destination: Destination,
        origin: Origin,
        *,
        new_producer: NewProducer = new_producer,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect at the first delivery."""
        self._destination = destination
        self._connect = partial(Connection, destination, new_producer=new_producer, monotonic=monotonic)
        self._encode = RowEncoder(origin).encode
        self._connection: Connection | None = None
        self._level = 0  # of BATCH_BYTES
        self._progress = Progress("")
        self._has_refused = False  # rows that may be accepted in a smaller request

    def deliver(self, batch: Batch) -> Delivered:
        """Send all rows of a batch, and return when the broker has accepted or refused each of them.

        Raises SinkError without an answer for STALL_SECONDS, and at once if the broker refuses the
        credentials or the topic. The next call with the same batch continues. Raises OSError of the batch.
        """
        if self._progress.batch != batch.name:
            self._progress = Progress(batch.name)
        try:
            self._send_all(batch)
        except KafkaException as error:
            self.close()
            raise sink_error(error.args[0], self._destination) from None
        except SinkError as error:
            # A producer remembers a failed login or a missing topic for minutes. A silent one continues.
            if error.trouble is not Trouble.UNAVAILABLE or not self._progress.has_queued:
                self.close()
            raise
        delivered, self._progress = self._progress.delivered(), Progress("")
        return delivered

    def close(self) -> None:
        """Close the connections. Rows without an answer are sent again by the next call."""
        if self._connection is None:
            return
        self._connection.close()
        self._connection = None
        self._progress.send_all_again()

    def _send_all(self, batch: Batch) -> None:
        """Send the rows that wait until all have their end, in smaller requests if some are refused."""
        while True:
            if self._connection is None:
                self._connection = self._connect(BATCH_BYTES[self._level])
            self._connection.begin()
            self._has_refused = False
            self._send(batch, self._connection)
            if self._progress.is_complete:
                return
            if not self._has_refused:
                raise self._connection.failure()
            self.close()
            self._level = min(self._level + 1, len(BATCH_BYTES) - 1)

    def _send(self, batch: Batch, connection: Connection) -> None:
        """Send the rows that wait, and wait for the answers."""
        progress = self._progress
        for number, row in enumerate(batch.rows()):
            if not progress.waits(number):
                continue
            value = self._encode(row)
            report = partial(self._answered, progress, connection, number, len(value))
            try:
                connection.send(row.request_id.encode(), value, report)
            except KafkaException as error:
                reason = REFUSED_RECORDS.get(error.args[0].name())
                if reason is None:
                    raise
                progress.drop(number, reason)
            else:
                progress.queue(number)
        while progress.has_queued:
            connection.wait()

    def _answered(
        self,
        progress: Progress,
        connection: Connection,
        number: int,
        size: int,
        failure: Failure | None,
        _: Any,
    ) -> None:
        """Take the broker's answer for one row of `size` bytes."""
        if failure is None:
            progress.acknowledge(number, size)
            connection.answer()
            return
        reason = REFUSED_RECORDS.get(failure.name())
        # A row as large as a request is alone in its request.
        if reason and size >= connection.batch_bytes:
            progress.drop(number, reason)
            connection.answer()
            return
        progress.send_again(number)
        if reason or failure.name() == OTHER_RECORD:
            self._has_refused = True
        else:
            connection.fail(failure)
