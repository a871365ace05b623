"""Messages between the front process and a worker process, over one stream socket.

Each message is a fixed header, then meta, then a body; the header has the lengths. Both ends are this package
in the same image, so there is no version and no negotiation. Both import this module: standard library only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final, Protocol

REQUEST: Final = Struct("<IIQdB")
"""Header of a request: bytes of meta, bytes of body, number, deadline, flags.

Numbers grow by one on each channel. The deadline is time.monotonic(), one clock for all processes of a
machine: a worker does not begin a request after its deadline.
"""

QUERY: Final = 1
"""Flag: the request was a GET; its body here is the query string."""
INFER: Final = 2
"""Flag: the body has the tensors of the Open Inference Protocol, and meta is never empty."""

CANCEL: Final = 4
"""Flag: no request. Cancel the earlier request of this number, for an async driver only."""

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

STREAM_BEGAN: Final = 6
"""The result is a stream, and its first piece is made. Meta: header lines as JSON pairs. Body: the number of
the place's slot in shared memory, in decimal digits."""
STREAM_PIECE: Final = 7
"""Body: a piece of the stream, of at most STREAM_PIECE_BYTES. More replies with the same number follow."""
STREAM_ENDED: Final = 8
"""The stream is complete, or was closed since its client has left; `seconds` includes the stream."""
STREAM_FAILED: Final = 9
"""The driver raised while it made the stream. Body: the traceback."""

CANCELLED: Final = 10
"""The request was cancelled, as the front has asked for: no client waits for it."""
WARNED: Final = 11
"""A warning for the log of the front, and no reply. Number: the running request, or 0. Body: JSON with
message and exception."""

STREAM_PIECE_BYTES: Final = 64 * 1024
"""Larger pieces are sent as several, so that one of them never fills the memory of the front."""

STREAM_WINDOW_BYTES: Final = 256 * 1024
"""How many bytes of a stream the worker sends before the front has acknowledged them.

The front acknowledges them while the client reads. They are the memory that a slow client can take.
"""

SLOT: Final = Struct("<qdqq")
"""Shared memory, one slot per place: PROGRESS, written by the worker, then FLOW, by the front.

A place runs one request at a time. It is a thread, or in an async driver a task.
"""

PROGRESS: Final = Struct("<qd")
"""Number and start time (time.monotonic) of the latest request of a place.

In a stream, the start time is that of the wait for the next piece. It is infinite while the driver waits for
the client, which is no time of run().

The worker writes the slot before it compares the deadline. If the deadline has passed and the number is in no
slot, run() will never be called for that request. So the front can answer 503 without asking the worker.
"""

FLOW: Final = Struct("<qq")
"""Flow control of streams: bytes that the front has acknowledged, and the number of a request to close.

The bytes are the sum over all streams of the place: a sum that only grows needs no lock. The worker closes
the stream of the number, since its client has left.
"""


class Pieces(Protocol):
    """The pieces of a streamed result, at its first piece."""

    def __iter__(self) -> Iterator[bytes]:
        """Return the pieces, the first one included. Raises the driver's exceptions."""

    def close(self) -> None:
        """Close the driver's iterator: a generator gets GeneratorExit where it waits."""


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
    pieces: Pieces | None = None
    """The body in pieces, if the result is a stream; in the worker only."""
