"""Results of run() that go out in pieces: generators, iterators, and responses whose body is one of them.

The first piece is made before the response begins, so that a failure before it is an ordinary error.
"""

import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from modelyard.scoring.contract import RUN_FAILED_HEADER
from modelyard.scoring.frames import (
    RETURNED,
    STREAM_BEGAN,
    STREAM_ENDED,
    STREAM_FAILED,
    STREAM_PIECE,
    STREAM_PIECE_BYTES,
    STREAM_WINDOW_BYTES,
    Pieces,
    Reply,
)
from modelyard.scoring.worker.channel import WorkerChannel
from modelyard.scoring.worker.event_loop import EventLoop
from modelyard.scoring.worker.json_values import encoded

MIN_WAIT_SECONDS: Final = 0.0002
MAX_WAIT_SECONDS: Final = 0.02
"""The time between two reads of the front's acknowledgement, while the client is slower than the driver.

It doubles from the first to the second figure. A read takes less than 1 µs.
"""


@dataclass(frozen=True, slots=True)
class Stream:
    """A result that goes out in pieces, before its first piece is made."""

    items: Any
    """An iterator, or an async iterator."""
    as_bytes: Callable[[Any], bytes]
    """Makes a piece of an item."""
    close: Callable[[], Any]
    """Closes the items, and is awaited for an async iterator."""
    status: int = 200
    lines: list[tuple[str, str]] | None = None
    """Header lines; None for a result without a response, whose media type is that of its first item."""

    @property
    def is_async(self) -> bool:
        """Return True if the items are an async iterator."""
        return hasattr(type(self.items), "__anext__")

    def head(self, first_type: type | None) -> Reply:
        """Return the reply with status and headers. `first_type` is None if there is no item."""
        lines = self.lines
        if lines is None:
            lines = [("content-type", _media_type(first_type)), (RUN_FAILED_HEADER, "False")]
        outcome = RETURNED if first_type is None else STREAM_BEGAN
        return Reply(outcome, self.status, meta=json.dumps(lines).encode())


class IteratorPieces:
    """The pieces of an iterator. The constructor makes the first one, and raises the driver's exceptions."""

    def __init__(self, items: Iterator[Any], as_bytes: Callable[[Any], bytes], close: Callable[[], None]):
        self._items = items
        self._as_bytes = as_bytes
        self.close = close
        self.first_type: type | None = None
        """The type of the first item; None if there is none."""
        self._piece = b""
        try:
            first = next(items)
            self._piece = as_bytes(first)
            self.first_type = type(first)
        except StopIteration:
            close()
        except BaseException:
            close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        """Return the pieces, the first one included."""
        piece, self._piece = self._piece, b""
        yield piece
        for item in self._items:
            yield self._as_bytes(item)


def begin_stream(stream: Stream, loop: EventLoop) -> Reply:
    """Make the first piece. Return the head, with the pieces; an ordinary reply if there is no piece."""
    items, close = stream.items, stream.close
    if stream.is_async:
        items = _items_of_async(stream, loop)
        close = items.close
    pieces = IteratorPieces(items, stream.as_bytes, close)
    reply = stream.head(pieces.first_type)
    if pieces.first_type is not None:
        reply.pieces = pieces
    return reply


def stream_of_items(items: Any) -> Stream:
    """Return the stream of an iterator, also an async one, that run() has returned."""
    close_name = "aclose" if hasattr(type(items), "__anext__") else "close"
    return Stream(items, _item_as_bytes, getattr(items, close_name, do_nothing))


def do_nothing() -> None:
    """Close an iterator that has nothing to close."""


def _media_type(first_type: type | None) -> str:
    """Return the media type of a stream by its first item: text, bytes, or lines of JSON."""
    if first_type is None:
        return "application/x-ndjson"
    if issubclass(first_type, str):
        return "text/plain; charset=utf-8"
    if issubclass(first_type, bytes | bytearray | memoryview):
        return "application/octet-stream"
    return "application/x-ndjson"


def text_or_bytes(item: Any) -> bytes:
    """Return a text in UTF-8, or bytes as they are. Raises TypeError for other values."""
    return item.encode() if isinstance(item, str) else bytes(memoryview(item))


def _item_as_bytes(item: Any) -> bytes:
    if isinstance(item, str | bytes | bytearray | memoryview):
        return text_or_bytes(item)
    return encoded(item) + b"\n"


def _items_of_async(stream: Stream, event_loop: EventLoop) -> Generator[Any]:
    """Yield the items of an async iterator. One task runs it to its end, as the driver's libraries expect.

    The event loop runs only while the next item is made.
    """
    import asyncio  # noqa: PLC0415 - 30 ms, and few drivers need it

    ready: asyncio.Queue[tuple[Any] | None] = asyncio.Queue()
    taken = asyncio.Semaphore(0)

    async def make_items() -> None:
        try:
            async for item in stream.items:
                ready.put_nowait((item,))
                await taken.acquire()
        finally:
            closed = stream.close()
            if hasattr(type(closed), "__await__"):
                await closed

    loop = event_loop.create().get_loop()
    task = loop.create_task(make_items())
    task.add_done_callback(lambda _: ready.put_nowait(None))
    try:
        while (box := loop.run_until_complete(ready.get())) is not None:
            yield box[0]
            taken.release()
        task.result()
    finally:
        task.cancel()
        loop.run_until_complete(asyncio.wait([task]))


class StreamWriter:
    """Sends the pieces of one stream to the front, within the window that the front acknowledges."""

    def __init__(self, channel: WorkerChannel, slot: int, number: int) -> None:
        self._channel = channel
        self._slot = slot
        self._number = number
        self._sent = channel.flow(slot)[0]
        self._wait_seconds = MIN_WAIT_SECONDS

    def begin(self, head: Reply) -> None:
        """Send the status and the headers."""
        head.body, head.pieces = str(self._slot).encode(), None
        self._channel.reply(self._number, head)

    @property
    def client_has_left(self) -> bool:
        """Return True if the rest of the stream has no client."""
        return self._channel.flow(self._slot)[1] == self._number

    def wait_seconds(self, part: bytes) -> float:
        """Return the seconds to wait before the next call; 0 if the part can be sent, or has no client."""
        acknowledged, closed = self._channel.flow(self._slot)
        if closed == self._number or acknowledged >= self._sent + len(part) - STREAM_WINDOW_BYTES:
            self._wait_seconds = MIN_WAIT_SECONDS
            return 0.0
        self._channel.record_progress(self._slot, self._number, float("inf"))
        seconds = self._wait_seconds
        self._wait_seconds = min(2 * seconds, MAX_WAIT_SECONDS)
        return seconds

    def send(self, part: bytes) -> None:
        """Send a part of a piece."""
        self._channel.reply(self._number, Reply(STREAM_PIECE, body=part))
        self._sent += len(part)

    def begin_piece(self) -> None:
        """Record that the driver now makes its next piece, or closes the stream."""
        self._channel.record_progress(self._slot, self._number, time.monotonic())


def parts_of(piece: bytes) -> Iterator[bytes]:
    """Return the piece in parts of at most STREAM_PIECE_BYTES."""
    for start in range(0, len(piece), STREAM_PIECE_BYTES):
        yield piece[start : start + STREAM_PIECE_BYTES]


@contextmanager
def last_reply(head: Reply, traceback_text: Callable[[BaseException], str]) -> Iterator[Reply]:
    """Give the last reply of a stream, STREAM_ENDED. An exception makes it STREAM_FAILED, and ends here."""
    started = time.perf_counter()
    last = Reply(STREAM_ENDED, started_at=head.started_at)
    try:
        yield last
    except BaseException as error:
        last.outcome, last.body = STREAM_FAILED, traceback_text(error).encode("utf-8", "replace")
    last.seconds = head.seconds + time.perf_counter() - started


def send_stream(
    channel: WorkerChannel,
    slot: int,
    number: int,
    reply: Reply,
    pieces: Pieces,
    traceback_text: Callable[[BaseException], str],
) -> Reply:
    """Send head and pieces of a stream. Return its last reply, STREAM_ENDED or STREAM_FAILED."""
    writer = StreamWriter(channel, slot, number)
    with last_reply(reply, traceback_text) as last:
        writer.begin(reply)
        try:
            _send_pieces(writer, pieces)
        finally:
            pieces.close()
    return last


def _send_pieces(writer: StreamWriter, pieces: Pieces) -> None:
    """Send all pieces, or as many as the front takes before the client leaves."""
    for piece in pieces:
        for part in parts_of(piece):
            while seconds := writer.wait_seconds(part):
                time.sleep(seconds)
            if writer.client_has_left:
                return
            writer.send(part)
        if writer.client_has_left:
            return
        writer.begin_piece()
