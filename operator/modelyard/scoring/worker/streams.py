"""Results of run() that go out in pieces: generators, iterators, and responses whose body is one of them.

The first piece is made before the response begins, so that a failure before it is an ordinary error.
"""

import json
import time
from collections.abc import Callable, Iterator
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
from modelyard.scoring.worker.json_values import encoded

MIN_WAIT_SECONDS: Final = 0.0002
MAX_WAIT_SECONDS: Final = 0.02
"""The time between two reads of the front's acknowledgement, while the client is slower than the driver.

It doubles from the first to the second figure. A read takes less than 1 µs.
"""


class IteratorPieces:
    """The pieces of an iterator. The constructor makes the first one, and raises the driver's exceptions."""

    def __init__(self, items: Iterator[Any], as_bytes: Callable[[Any], bytes], close: Callable[[], None]):
        self._items = items
        self._as_bytes = as_bytes
        self.close = close
        self.is_empty = False
        self.first_type: type = type(None)
        self._piece = b""
        try:
            first = next(items)
            self.first_type = type(first)
            self._piece = as_bytes(first)
        except StopIteration:
            self.is_empty = True
        except BaseException:
            close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        """Return the pieces, the first one included."""
        piece, self._piece = self._piece, b""
        yield piece
        for item in self._items:
            yield self._as_bytes(item)


def reply_of_stream(pieces: IteratorPieces, status: int, lines: list[tuple[str, str]]) -> Reply:
    """Return the reply of a stream with these header lines; an ordinary one if it has no piece."""
    meta = json.dumps(lines).encode()
    if not pieces.is_empty:
        return Reply(STREAM_BEGAN, status, meta=meta, pieces=pieces)
    pieces.close()
    return Reply(RETURNED, status, meta=meta)


def reply_of_items(result: Any) -> Reply:
    """Return the reply of an iterator, also an async one, that run() has returned.

    The first item decides the media type: text, bytes, or lines of JSON.
    """
    items = _items_of_async(result) if hasattr(type(result), "__anext__") else result
    pieces = IteratorPieces(items, _item_as_bytes, getattr(items, "close", _do_nothing))
    if issubclass(pieces.first_type, str):
        media_type = "text/plain; charset=utf-8"
    elif issubclass(pieces.first_type, bytes | bytearray | memoryview):
        media_type = "application/octet-stream"
    else:
        media_type = "application/x-ndjson"
    return reply_of_stream(pieces, 200, [("content-type", media_type), (RUN_FAILED_HEADER, "False")])


def _do_nothing() -> None:
    pass


def _item_as_bytes(item: Any) -> bytes:
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, bytes | bytearray | memoryview):
        return bytes(item)
    return encoded(item) + b"\n"


def _items_of_async(items: Any) -> Iterator[Any]:
    """Yield the items of an async iterator. One task runs it to its end, as the driver's libraries expect.

    The event loop runs only while the next item is made.
    """
    import asyncio  # noqa: PLC0415 - 30 ms, and few drivers need it

    ready: asyncio.Queue[tuple[Any] | None] = asyncio.Queue()
    taken = asyncio.Semaphore(0)

    async def make_items() -> None:
        try:
            async for item in items:
                ready.put_nowait((item,))
                await taken.acquire()
        finally:
            if hasattr(items, "aclose"):
                await items.aclose()

    with asyncio.Runner() as runner:  # its end cancels the task
        loop = runner.get_loop()
        task = loop.create_task(make_items())
        task.add_done_callback(lambda _: ready.put_nowait(None))
        while (box := loop.run_until_complete(ready.get())) is not None:
            yield box[0]
            taken.release()
        task.result()


def send_stream(
    channel: WorkerChannel,
    slot: int,
    number: int,
    reply: Reply,
    pieces: Pieces,
    traceback_text: Callable[[BaseException], str],
) -> Reply:
    """Send head and pieces of a stream. Return its last reply, STREAM_ENDED or STREAM_FAILED."""
    started = time.perf_counter()
    reply.body, reply.pieces = str(slot).encode(), None
    channel.reply(number, reply)
    last = Reply(STREAM_ENDED, started_at=reply.started_at)
    try:
        try:
            _send_pieces(channel, slot, number, pieces)
        finally:
            pieces.close()
    except BaseException as error:
        last.outcome, last.body = STREAM_FAILED, traceback_text(error).encode("utf-8", "replace")
    last.seconds = reply.seconds + time.perf_counter() - started
    return last


def _send_pieces(channel: WorkerChannel, slot: int, number: int, pieces: Pieces) -> None:
    """Send all pieces, or as many as the front takes before the client leaves."""
    sent = channel.flow(slot)[0]
    for piece in pieces:
        for start in range(0, len(piece), STREAM_PIECE_BYTES):
            part = piece[start : start + STREAM_PIECE_BYTES]
            if not _wait_for_room(channel, slot, number, sent + len(part) - STREAM_WINDOW_BYTES):
                return
            channel.reply(number, Reply(STREAM_PIECE, body=part))
            sent += len(part)
        if channel.flow(slot)[1] == number:
            return
        channel.record_progress(slot, number, time.monotonic())


def _wait_for_room(channel: WorkerChannel, slot: int, number: int, least: int) -> bool:
    """Wait until the front has acknowledged `least` bytes. Return False if the client has left."""
    wait_seconds = MIN_WAIT_SECONDS
    while True:
        acknowledged, closed = channel.flow(slot)
        if closed == number:
            return False
        if acknowledged >= least:
            return True
        channel.record_progress(slot, number, float("inf"))
        time.sleep(wait_seconds)
        wait_seconds = min(2 * wait_seconds, MAX_WAIT_SECONDS)
