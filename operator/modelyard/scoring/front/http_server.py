"""State that all connections of one server share: a clock, and limits on their memory.

The scoring runtime and the gateway both serve with it. All limits count before a client is authenticated.
A client without a key or token must not be able to use up the memory that the others need. So when a limit
is reached, the connection with the oldest activity is closed, and the newest one is served.
"""

import asyncio
import heapq
import math
from collections.abc import Sequence
from email.utils import formatdate
from operator import itemgetter
from time import monotonic
from typing import Final

from modelyard.scoring.front.http_connection import HttpConnection
from modelyard.scoring.front.http_limits import HELD_HEADS_BYTES

TICK_SECONDS: Final = 0.5
"""How often time limits are checked."""

_CHECKED_AT_ONCE: Final = 500
"""Connections that are checked in one turn of the event loop, in about 1 ms; others follow in later turns."""

_ENDED_AT_ONCE: Final = 16
"""Connections that a time limit ends in one turn of the event loop, in about 1 ms."""
_PAUSE_SECONDS: Final = 0.005
"""Between two such turns."""

_EVICTED_SHARE: Final = 64
"""Beyond the limit of connections, one in 64 is closed at once: the search reads all of them."""


class HttpServer:
    """The part of a server's state that its connections use; the methods for requests are the subclass's."""

    def __init__(
        self, *, max_connections: int, max_body_bytes: int, max_unsent_bytes: float = math.inf
    ) -> None:
        self.connections: set[HttpConnection] = set()
        self.max_body_bytes = max_body_bytes
        self.now = monotonic()
        """time.monotonic() of the latest tick, half a second old at most: reading it needs no system call."""
        self.date_line = _date_line()
        self.held_bytes = 0
        """Bytes of request bodies in memory."""
        self._max_connections = max_connections
        self._max_unsent_bytes = max_unsent_bytes
        self._heads: dict[HttpConnection, int] = {}
        """The bytes of each incomplete head, in the order in which the heads began."""
        self.head_bytes = 0
        """Bytes of all incomplete heads."""

    @property
    def cancels(self) -> bool:
        """Return False: a request goes on when its client has left."""
        return False

    def tick(self) -> None:
        """Update the shared clock and apply all time limits. The server calls it twice a second."""
        self.now = monotonic()
        self.date_line = _date_line()
        waiting = list(self.connections)
        if self._max_unsent_bytes < math.inf:
            self._bound_unsent(waiting)
        self._check(waiting[:_CHECKED_AT_ONCE])
        parts = [
            waiting[start : start + _CHECKED_AT_ONCE]
            for start in range(_CHECKED_AT_ONCE, len(waiting), _CHECKED_AT_ONCE)
        ]
        for number, part in enumerate(parts, 1):
            delay = TICK_SECONDS * number / (len(parts) + 1)
            asyncio.get_running_loop().call_later(delay, self._check, part)

    def _bound_unsent(self, connections: list[HttpConnection]) -> None:
        """Close the connections with most unread bytes of responses, until the others are below the limit."""
        unsent = [(size, connection) for connection in connections if (size := connection.unsent_bytes)]
        total = sum(size for size, _ in unsent)
        for size, connection in sorted(unsent, key=itemgetter(0), reverse=True):
            if total <= self._max_unsent_bytes:
                return
            total -= size
            connection.abort()

    def _check(self, connections: Sequence[HttpConnection]) -> None:
        """Apply the time limits. Connections of one moment would also end in one: they take turns."""
        ended = 0
        for place, connection in enumerate(connections, 1):
            if connection not in self.connections:
                continue
            ended += connection.check_time_limits(self.now)
            if ended >= _ENDED_AT_ONCE:
                rest = connections[place:]
                asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self._check, rest)
                return

    def join(self, connection: HttpConnection) -> None:
        """Count a new connection. Beyond the limit, close those that wait longest for their clients.

        Connections without a valid key or token are closed before all others.
        """
        self.connections.add(connection)
        if len(self.connections) <= self._max_connections:
            return
        waiting = (other for other in self.connections if other is not connection and not other.is_serving)
        share = max(1, self._max_connections // _EVICTED_SHARE)
        for other in heapq.nsmallest(share, waiting, key=HttpConnection.eviction_order):
            other.abort()

    def leave(self, connection: HttpConnection) -> None:
        """Forget a closed connection."""
        self.connections.discard(connection)
        self.free_head(connection)

    def hold_head(self, connection: HttpConnection, size: int) -> None:
        """Count the bytes of an incomplete head. Beyond the limit, refuse the heads that began first."""
        self.head_bytes += size - self._heads.get(connection, 0)
        self._heads[connection] = size
        while self.head_bytes > HELD_HEADS_BYTES:
            oldest = next(iter(self._heads))
            self.free_head(oldest)
            oldest.refuse_head()

    def free_head(self, connection: HttpConnection) -> None:
        """Stop counting a head: it is complete, or refused."""
        self.head_bytes -= self._heads.pop(connection, 0)


def _date_line() -> bytes:
    return f"date: {formatdate(usegmt=True)}\r\n".encode()
