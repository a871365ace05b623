"""A connection to an event hub: a producer, and the failures that concern more than one row."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaException

from modelyard.collection.event_hub.destination import CA, Destination
from modelyard.collection.event_hub.failures import ALL_BROKERS_DOWN, no_answer, sink_error
from modelyard.collection.event_hub.producer import Failure, Headers, NewProducer, Producer, Report
from modelyard.collection.sink import SinkError, Trouble

STALL_SECONDS: Final = 15.0
"""Without an answer of the broker for this time, the event hub is unavailable."""
LONGEST_SECONDS: Final = 120.0
"""A batch that takes longer continues in the next call."""
SCHEMA_VERSION: Final = b"1"
"""Value of the header `schemaVersion`: it grows when a name or a type of the row changes."""
_HEADERS: Final[Headers] = [("schemaVersion", SCHEMA_VERSION)]
_FLUSH_SECONDS: Final = 0.1


class Connection:
    """Sends records to one topic, in requests of about `batch_bytes`."""

    def __init__(
        self,
        destination: Destination,
        batch_bytes: int,
        new_producer: NewProducer,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect in the background. Raises SinkError if the CA is no certificate."""
        self.batch_bytes = batch_bytes
        self.error: SinkError | None = None
        """The last failure since the last answer."""
        self._destination = destination
        self._monotonic = monotonic
        try:
            self._producer: Producer = new_producer(destination, batch_bytes, self.fail)
        except KafkaException:
            raise SinkError(
                Trouble.NOT_CONFIGURED, f"{CA} is no certificate in PEM form: correct it in the Secret."
            ) from None
        self.begin()

    def begin(self) -> None:
        """Begin a batch: failures and times of the batch before do not count."""
        self.error = None
        self._has_answer = False
        self._last_answer = self._monotonic()
        self._end = self._last_answer + LONGEST_SECONDS

    def send(self, key: bytes, value: bytes, report: Report) -> None:
        """Queue a record; wait while the queue is full. Raises SinkError and KafkaException."""
        topic = self._destination.topic
        while True:
            try:
                self._producer.produce(topic, value, key, headers=_HEADERS, on_delivery=report)
            except BufferError:
                self.wait()
            else:
                return

    def wait(self) -> None:
        """Take answers of the broker. Raises SinkError if it refuses all records, or gives no answer."""
        self._producer.flush(_FLUSH_SECONDS)
        if self.error and self.error.trouble is not Trouble.UNAVAILABLE:
            raise self.error
        now = self._monotonic()
        if self._has_answer:
            self._last_answer, self._has_answer = now, False
        if now - self._last_answer > STALL_SECONDS:
            raise self.failure()
        if now > self._end:
            raise no_answer(self._destination, f"for a part of a batch in {LONGEST_SECONDS:.0f} s")

    def answer(self) -> None:
        """Note that the broker has answered for a record."""
        self.error = None
        self._has_answer = True

    def fail(self, failure: Failure) -> None:
        """Note a failure that concerns more than one record."""
        if self.error is None or failure.name() != ALL_BROKERS_DOWN:
            self.error = sink_error(failure, self._destination)

    def failure(self) -> SinkError:
        """Return the last failure, or an error for a silent broker."""
        return self.error or no_answer(self._destination)

    def close(self) -> None:
        """Forget the records of the queue, after their reports, and end the connection."""
        self._producer.purge()
        self._producer.poll(0)
        del self._producer  # which holds this object, too
