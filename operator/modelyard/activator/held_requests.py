"""The bounded queue of requests to one Service that wait for a replica: first in, first out."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import Final

from modelyard.activator import metrics
from modelyard.activator.replica import Replica
from modelyard.activator.responses import QUEUE_FULL, TOTAL_FULL, Refusal

_TCP_ESTABLISHED: Final = 1  # enum in linux/tcp.h; the first byte of struct tcp_info


class Budget:
    """The number of connections of all Services that have not been forwarded, and its limit."""

    def __init__(self, most: int):
        self.most = most
        self.used = 0


class HeldRequests:
    """Connections of one Service until a replica takes them: those without a head, and those that wait."""

    def __init__(self, most: int, total: Budget):
        self._most = most
        self._total = total
        self._count = 0
        self._live = 0  # of `_waiting`, without those that have ended
        self._waiting: deque[tuple[asyncio.Future[Replica], socket.socket]] = deque()

    def __len__(self) -> int:
        return self._live

    def enter(self) -> Refusal | None:
        """Count a connection, or return the refusal if there are too many. `leave` gives its place back."""
        if self._count >= self._most:
            return QUEUE_FULL
        if self._total.used >= self._total.most:
            return TOTAL_FULL
        self._count += 1
        self._total.used += 1
        return None

    def leave(self) -> None:
        """Give the place of a connection back."""
        self._count -= 1
        self._total.used -= 1

    def wait(self, client: socket.socket, *, first: bool = False) -> asyncio.Future[Replica]:
        """Return the future of a replica for a connection, which stands last in the queue unless `first`."""
        future: asyncio.Future[Replica] = asyncio.get_running_loop().create_future()
        future.add_done_callback(self._on_end)
        self._live += 1
        metrics.HELD.inc()
        (self._waiting.appendleft if first else self._waiting.append)((future, client))
        return future

    def give(self, replica: Replica) -> bool:
        """Give a replica to the first connection whose client still waits; return False if there is none."""
        while self._waiting:
            future, client = self._waiting.popleft()
            if future.done():
                continue
            if has_left(client):
                future.cancel()
                continue
            future.set_result(replica)
            return True
        return False

    def drop_left(self) -> None:
        """Remove the connections whose clients have left, and those that ended."""
        for future, client in self._waiting:
            if not future.done() and has_left(client):
                future.cancel()
        self._waiting = deque(item for item in self._waiting if not item[0].done())

    def _on_end(self, _: asyncio.Future[Replica]) -> None:
        self._live -= 1
        metrics.HELD.dec()


def has_left(client: socket.socket) -> bool:
    """Return whether a client has closed its connection, also if bytes of its body are still unread."""
    if client.fileno() < 0:
        return True
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _TCP_ESTABLISHED
