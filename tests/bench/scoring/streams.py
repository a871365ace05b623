"""Streams: the time from a `yield` to the client, and the memory for a gigabyte."""

import http.client
import statistics
import time
from dataclasses import dataclass

from tests.bench.scoring.servers import BUILD, KEY, OURS, Running

DRIVER = """
import time
def init(): pass
def run(data):
    if data.isdecimal():
        for _ in range(int(data)):
            yield bytes(1 << 16)
    else:
        yield str(time.monotonic())
        time.sleep(0.01)
        yield "."
"""

REQUESTS = 200
GIGABYTE = 1 << 30
READ_BYTES = 1 << 20


@dataclass(frozen=True)
class StreamFigures:
    """The figures of streams."""

    first_byte_ms: float
    """From the first `yield` to the client's first byte: the median."""
    first_byte_p99_ms: float
    seconds: float
    """For a gigabyte."""
    growth_mb: float
    """The growth of RSS, over all processes, while a gigabyte goes out."""


def measured_streams() -> StreamFigures:
    """Measure a driver that yields the time, and one that yields a gigabyte."""
    driver = BUILD / "stream.py"
    driver.write_text(DRIVER)
    with Running(OURS, {"AML_APP_ROOT": str(driver.parent), "AZUREML_ENTRY_SCRIPT": driver.name}) as one:
        connection = http.client.HTTPConnection("127.0.0.1", one.port)
        taken = sorted(_first_byte_seconds(connection) for _ in range(REQUESTS))
        before = one.memory_mb()[0]
        most, started = before, time.monotonic()
        response = _begin(connection, str(GIGABYTE >> 16))
        received = 0
        while piece := response.read(READ_BYTES):
            received += len(piece)
            if not received % (32 * READ_BYTES):
                most = max(most, one.memory_mb()[0])
        seconds = time.monotonic() - started
        connection.close()
    if received != GIGABYTE:
        raise RuntimeError(f"a stream of {GIGABYTE} bytes ended after {received}")
    return StreamFigures(
        statistics.median(taken) * 1000, taken[int(0.99 * REQUESTS)] * 1000, seconds, most - before
    )


def stream_line(figures: StreamFigures) -> str:
    """Return a sentence with the figures."""
    return (
        f"Streams: the first byte arrives {figures.first_byte_ms:.2f} ms after the first `yield` (median,"
        f" p99 {figures.first_byte_p99_ms:.2f} ms). 1 GiB takes {figures.seconds:.1f} s. The memory of the"
        f" server grows by {figures.growth_mb:.1f} MB."
    )


def _begin(connection: http.client.HTTPConnection, body: str) -> http.client.HTTPResponse:
    connection.request("POST", "/score", body, {"authorization": f"Bearer {KEY}"})
    return connection.getresponse()


def _first_byte_seconds(connection: http.client.HTTPConnection) -> float:
    response = _begin(connection, "time")
    piece = response.read1()
    arrived = time.monotonic()  # one clock for all processes of a machine
    response.read()
    return arrived - float(piece)
