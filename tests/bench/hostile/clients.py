"""The clients of the benchmark, each in a process of its own: an honest one, and those that attack.

Attackers have another address than the honest client, as most do.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

MiB: Final = 2**20
CONNECTIONS: Final = 8  # of the honest client
PAUSE_SECONDS: Final = 0.02  # of each of them, between a response and the next request
STEPS: Final = 100  # of a slow client's second, so that its bytes come one by one and not all at once
SLOW_HEAD: Final = b"GET / HTTP/1.1\r\nHost: a\r\nx: "
CLIENT_HELLO: Final = b"\x16\x03\x01\x02\x00"  # the start of one
ATTACKER: Final = ("127.0.0.2", 0)
LARGE_HEADS: Final = 16  # connections that send large heads at the same time

Attacker = Callable[[int, int], None]


class HonestClient(NamedTuple):
    """An honest client of a server. With `authority` each request has a TLS connection of its own."""

    port: int
    request: bytes
    authority: Path | None = None

    def p99(self, seconds: float) -> float:
        """Return the 99th percentile of the latency in milliseconds."""
        with multiprocessing.Pool(1) as pool:
            return pool.apply(_measure, (self, seconds))


def _measure(client: HonestClient, seconds: float) -> float:
    latencies: list[float] = []
    tls = ssl.create_default_context(cafile=str(client.authority)) if client.authority else None
    end = time.monotonic() + seconds

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", client.port, ssl=tls)

    async def one() -> None:
        reader, writer = await connect()
        while time.monotonic() < end:
            started = time.perf_counter()
            if tls is not None:
                writer.transport.abort()
                reader, writer = await connect()
            writer.write(client.request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"an honest client got {head!r}")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.partition(b":")[2]))
            latencies.append(time.perf_counter() - started)
            await asyncio.sleep(PAUSE_SECONDS)
        writer.transport.abort()

    async def run() -> None:
        await asyncio.gather(*(one() for _ in range(CONNECTIONS)))

    asyncio.run(run())
    latencies.sort()
    return latencies[int(len(latencies) * 0.99)] * 1000


@contextlib.contextmanager
def attack(attacker: Attacker, port: int, size: int) -> Iterator[None]:
    """Run an attacker against a port while the block runs."""
    process = multiprocessing.Process(target=attacker, args=(port, size), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def slow_connections(port: int, count: int) -> None:
    """Hold connections with begun heads. Add a byte to each every second, and open closed ones again."""
    _hold(port, count, SLOW_HEAD, b"y")


def slow_handshakes(port: int, count: int) -> None:
    """Hold connections with begun TLS handshakes, and open closed ones again."""
    _hold(port, count, CLIENT_HELLO, b"")


def silent_connections(port: int, count: int) -> None:
    """Hold connections without a byte, and open closed ones again."""
    _hold(port, count, b"", b"")


def _hold(port: int, count: int, start: bytes, more: bytes) -> None:
    connections: list[socket.socket | None] = [None] * count
    place = 0
    while True:
        for _ in range(count // STEPS):
            connection = connections[place]
            connections[place] = _trickle(connection, more) if connection else _begin(port, start)
            place = (place + 1) % count
        time.sleep(1 / STEPS)


def _begin(port: int, start: bytes) -> socket.socket | None:
    with contextlib.suppress(OSError):
        connection = socket.create_connection(("127.0.0.1", port), timeout=5, source_address=ATTACKER)
        connection.sendall(start)
        connection.setblocking(False)
        return connection
    return None


def _trickle(connection: socket.socket, more: bytes) -> socket.socket | None:
    """Send bytes. Return the connection, or None if the server has answered or closed it."""
    try:
        connection.recv(1)
    except BlockingIOError:
        with contextlib.suppress(OSError):
            connection.send(more)
            return connection
    except OSError:
        pass
    connection.close()
    return None


def large_heads(port: int, size: int) -> None:
    """Send heads of `size` bytes on several connections. Open closed ones again."""
    threads = [threading.Thread(target=_send_large_heads, args=(port, size)) for _ in range(LARGE_HEADS)]
    for thread in threads:
        thread.start()


def _send_large_heads(port: int, size: int) -> None:
    lines = (b"x: " + b"y" * 8000 + b"\r\n") * 100
    while True:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=5, source_address=ATTACKER) as connection,
        ):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
            for _ in range(0, size, len(lines)):
                connection.sendall(lines)
