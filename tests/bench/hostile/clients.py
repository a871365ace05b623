"""The clients of the benchmark, each in a process of its own: an honest one, and two that attack."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator
from typing import Final

MiB: Final = 2**20
CONNECTIONS: Final = 8  # of the honest client
PAUSE_SECONDS: Final = 0.02  # of each of them, between a response and the next request
STEPS: Final = 100  # of a slow client's second, so that its bytes come one by one and not all at once
SLOW_HEAD: Final = b"GET / HTTP/1.1\r\nHost: a\r\nx: "


def honest_p99(port: int, request: bytes, seconds: float) -> float:
    """Return the 99th percentile of the latency of an honest client, in milliseconds."""
    with multiprocessing.Pool(1) as pool:
        return pool.apply(_honest, (port, request, seconds))


def _honest(port: int, request: bytes, seconds: float) -> float:
    latencies: list[float] = []
    end = time.monotonic() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < end:
            started = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"an honest client got {head!r}")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.partition(b":")[2]))
            latencies.append(time.perf_counter() - started)
            await asyncio.sleep(PAUSE_SECONDS)
        writer.close()

    async def run() -> None:
        await asyncio.gather(*(one() for _ in range(CONNECTIONS)))

    asyncio.run(run())
    latencies.sort()
    return latencies[int(len(latencies) * 0.99)] * 1000


@contextlib.contextmanager
def attack(attacker: Callable[[int, int], None], port: int, size: int) -> Iterator[None]:
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
    connections: list[socket.socket | None] = [None] * count
    place = 0
    while True:
        for _ in range(count // STEPS):
            connection = connections[place]
            connections[place] = _trickle(connection) if connection else _begin(port)
            place = (place + 1) % count
        time.sleep(1 / STEPS)


def _begin(port: int) -> socket.socket | None:
    with contextlib.suppress(OSError):
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        connection.sendall(SLOW_HEAD)
        connection.setblocking(False)
        return connection
    return None


def _trickle(connection: socket.socket) -> socket.socket | None:
    """Send one byte. Return the connection, or None if the server has answered or closed it."""
    try:
        connection.recv(1)
    except BlockingIOError:
        with contextlib.suppress(OSError):
            connection.send(b"y")
            return connection
    except OSError:
        pass
    connection.close()
    return None


def large_heads(port: int, size: int) -> None:
    """Send heads of `size` bytes, one after the other, on new connections, until the server closes each."""
    line = b"x: " + b"y" * 8000 + b"\r\n"
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as one:
            one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
            for _ in range(0, size, 100 * len(line)):
                one.sendall(line * 100)
