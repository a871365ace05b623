"""State that all connections of one server share: a clock, and limits on their memory.

The scoring runtime and the gateway both serve with it. All limits count before a client is authenticated.
A client without a key or token must not be able to use up the memory that the others need. So when a limit
is reached, the connection with the oldest activity is closed, and the newest one is served.
"""

import heapq
from email.utils import formatdate
from time import monotonic
from typing import Final

from modelyard.scoring.front.http_connection import HttpConnection
from modelyard.scoring.front.http_limits import HELD_HEADS_BYTES

_EVICTED_SHARE: Final = 64
"""Beyond the limit of connections, one in 64 is closed at once: the search reads all of them."""


class HttpServer:
    """The part of a server's state that its connections use; the methods for requests are the subclass's."""

    def __init__(self, *, max_connections: int, max_body_bytes: int) -> None:
        self.connections: set[HttpConnection] = set()
        self.max_body_bytes = max_body_bytes
        self.now = monotonic()
        """time.monotonic() of the latest tick, half a second old at most: reading it needs no system call."""
        self.date_line = _date_line()
        self.held_bytes = 0
        """Bytes of request bodies in memory."""
        self._max_connections = max_connections
        self._heads: dict[HttpConnection, int] = {}
        """The bytes of each incomplete head, in the order in which the heads began."""
        self.head_bytes = 0
        """Bytes of all incomplete heads."""

    def tick(self) -> None:
        """Update the shared clock and apply all time limits. The server calls it twice a second."""
        self.now = monotonic()
        self.date_line = _date_line()
        for connection in list(self.connections):
            connection.check_time_limits(self.now)

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
