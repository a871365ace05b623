"""Limits of one HTTP connection, against clients that are slow, broken or hostile."""

from typing import Final

MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers together; larger ones get 431."""

MAX_HEADERS: Final = 256
"""Header lines of one request; more get 431. An empty one is 5 bytes of input, and 150 bytes of memory."""

HELD_HEADS_BYTES: Final = 16 * 1024 * 1024
"""Incomplete heads of all connections together. Beyond it, the one that began first gets 408."""

HEAD_SECONDS: Final = 10.0
"""From a request's first byte to the end of its headers; slower ones get 408."""

BODY_PAUSE_SECONDS: Final = 20.0
"""Between two pieces of a body; slower ones get 408."""

BODY_BYTES_PER_SECOND: Final = 1024
"""After the first BODY_PAUSE_SECONDS, a body that is slower on average gets 408."""

KEEP_ALIVE_SECONDS: Final = 120.0
"""How long an idle connection stays open.

Usual clients and proxies close earlier (Go 90 s, nginx and ALB 60 s). So no request meets a connection that
the server is just closing.
"""

UNREAD_SECONDS: Final = 60.0
"""A client that reads nothing of its response for so long is disconnected."""

SMALL_BODY_BYTES: Final = 64 * 1024
"""The body of a refused request is read to its end if it is no larger, so that the connection stays open."""

SMALL_BODY_SECONDS: Final = 1.0
"""The longest time to read such a body."""

CLOSING_SECONDS: Final = 10.0
"""How long input is discarded after the last response, before the connection is closed. Closing with unread
input would reset the connection, and the client would lose the response."""

DISCARDED_BODIES: Final = 4
"""How much input is discarded, in multiples of the largest body: most clients send all, then read."""

DISCARDED_HEAD_BYTES: Final = 1024 * 1024
"""How much input is discarded after a head that is too large or malformed: there is no body to read."""

PIPELINED_REQUESTS: Final = 4
"""How many requests of one connection may wait for their turn before the server stops reading."""
