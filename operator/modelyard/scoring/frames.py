"""Messages between the front process and a worker process, over one stream socket.

Each message is a fixed header, then meta, then a body; the header has the lengths. Both ends are this package
in the same image, so there is no version and no negotiation. Both import this module: standard library only.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

REQUEST: Final = Struct("<IIQdB")
"""Header of a request: bytes of meta, bytes of body, number, deadline, flags.

Numbers grow by one on each channel. The deadline is time.monotonic(), one clock for all processes of a
machine: a worker does not begin a request after its deadline.
"""

QUERY: Final = 1
"""Flag: the request was a GET; its body here is the query string."""

REPLY: Final = Struct("<IIQHBdd")
"""Header of a reply: bytes of meta, bytes of body, the request's number, and of Reply: status, outcome,
started_at, seconds."""

RETURNED: Final = 0
"""run() returned. Body: the response body; meta: header lines as JSON pairs, empty for an ordinary result."""
REFUSED: Final = 1
"""The input does not match run(), which was not called. Body: the error message."""
RAISED: Final = 2
"""run() raised, or its result cannot be written as JSON. Body: the traceback."""
EXPIRED: Final = 3
"""The deadline had passed when the request's turn came; run() was not called."""
STARTED: Final = 4
"""init() has returned; number 0. Body: the description of the driver as JSON."""
FAILED: Final = 5
"""The driver cannot be served; number 0. Body: JSON with message and exception."""

PROGRESS: Final = Struct("<qd")
"""Shared memory, one slot per worker thread: number and start time (time.monotonic) of its latest request.

A thread writes its slot before it compares the deadline. If the deadline has passed and the number is in no
slot, run() will never be called for that request. So the front can answer 503 without asking the worker.
"""


@dataclass(slots=True)
class Reply:
    """The outcome of one request, as a worker sends it."""

    outcome: int
    status: int = 0
    """HTTP status."""
    body: bytes = b""
    meta: bytes = b""
    started_at: float = 0.0
    """When run() began (time.monotonic, seconds); 0 if it was not called."""
    seconds: float = 0.0
    """How long run() took."""
