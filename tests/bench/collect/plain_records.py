"""Records for a broker from a program without any code of the collector, except for its settings.

Beside a replica that does not collect, this program shows the cost of a broker and its client on the same
cores. `python -m tests.bench.collect.plain_records` with servers, topic and rate sends until it is killed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka import Producer
from tests.bench.program import Program
from tests.support.kafka import Broker

from modelyard.collection.event_hub.destination import Destination
from modelyard.collection.event_hub.producer import settings
from modelyard.collection.event_hub.sink import BATCH_BYTES

_VALUE: Final = b"x" * 650
"""As long as the row of a small request."""
_KEY: Final = b"0" * 36
"""As long as a request id."""
_AT_ONCE: Final = 500
"""Records of a produce request of the collector."""
_WARM_UP_RECORDS: Final = 300_000
_SECONDS: Final = 60


@contextmanager
def plain_producer(broker: Broker, topic: str, per_second: float) -> Iterator[Program]:
    """Run the program, with `per_second` records a second. The broker has its first records at the start."""
    with Program(__name__, broker.plain, topic, str(per_second)) as program:
        program.line()
        yield program


def warm_up(broker: Broker) -> None:
    """Send records to a topic of their own: a broker compiles its code while it gets the first ones.

    A record costs it 13 microseconds after its start, and 2 after these.
    """
    producer, topic = _producer(broker.plain), broker.create_topic()
    for _ in range(0, _WARM_UP_RECORDS, _AT_ONCE):
        _send(producer, topic)


def _send_until_killed(servers: str, topic: str, per_second: float) -> None:
    # The policy of the collector.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    producer = _producer(servers)
    _send(producer, topic)
    print("sent", flush=True)
    due = time.monotonic()
    while True:
        due += _AT_ONCE / per_second
        time.sleep(max(0.0, due - time.monotonic()))
        _send(producer, topic)


def _producer(servers: str) -> Producer:
    destination = Destination(servers, topic="")
    return Producer(settings(destination, BATCH_BYTES[0]))


def _send(producer: Producer, topic: str) -> None:
    """Send the records of one produce request, and wait for the answer."""
    for _ in range(_AT_ONCE):
        producer.produce(topic, _VALUE, _KEY)
    if left := producer.flush(_SECONDS):
        raise TimeoutError(f"the broker has {left} records too few after {_SECONDS} s")


if __name__ == "__main__":
    servers, topic, per_second = sys.argv[1:]
    _send_until_killed(servers, topic, float(per_second))
