"""Scoring requests with ids 0, 1, 2, …, each of which has one answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Final

CONNECTIONS: Final = 16
LARGE_EVERY: Final = 1000
"""Each request of this number has a large body."""
LARGE_BYTES: Final = 60_000
_SMALL: Final = b'{"data": [1, 2, 3]}'
_LARGE: Final = b'{"data": [%b1]}' % (b"1," * (LARGE_BYTES // 2))


def small_or_large(number: int) -> bytes:
    """Return the body of a request: most are small."""
    return _LARGE if number % LARGE_EVERY == 0 else _SMALL


class Requests:
    """A thread that sends requests at a rate, and counts the answers."""

    def __init__(
        self,
        port: int,
        key: str,
        count: int,
        per_second: float,
        body_of: Callable[[int], bytes] = small_or_large,
    ) -> None:
        """`count` requests go to a scoring server at a port of this machine. `body_of` makes their bodies."""
        self.answered = 0
        self._body_of = body_of
        self._port, self._key, self._count, self._per_second = port, key, count, per_second
        self._sent = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Tell whether all requests are answered. Raises the error of a request without an answer."""
        if self._error:
            raise self._error
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as error:
            self._error = error

    async def _all(self) -> None:
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self._connection(started))

    async def _connection(self, started: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = (
            f"POST /score HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._key}\r\n"
            "Content-Type: application/json\r\n"
        )
        while self._sent < self._count:
            number, self._sent = self._sent, self._sent + 1
            wait = started + number / self._per_second - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            body = self._body_of(number)
            writer.write(
                f"{head}X-Request-Id: {number}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            )
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"request {number} has the answer {answer[:100]!r}")
            length = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            self.answered += 1
        writer.close()
