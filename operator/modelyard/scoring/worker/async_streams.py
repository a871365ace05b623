"""Streams of an async driver: the driver's items are awaited in the task of the request.

The items of a plain iterator are made in a thread, since the event loop serves other requests.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import copy_context
from typing import Any, Final, Self

from modelyard.scoring.frames import Reply
from modelyard.scoring.worker.channel import WorkerChannel
from modelyard.scoring.worker.streams import Stream, StreamWriter, last_reply, parts_of

_END: Final = object()


class AsyncPieces:
    """The pieces of a stream. begin() makes the first one."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._thread = None if stream.is_async else _IteratorThread(stream.items)
        self._items: AsyncIterator[Any] = self._thread or stream.items
        self._piece: bytes | None = None
        """The first piece, until it is returned."""

    async def begin(self) -> Reply:
        """Make the first piece. Return the reply with the headers. Raises the driver's exceptions."""
        try:
            item = await anext(self._items, _END)
            if item is not _END:
                self._piece = self._stream.as_bytes(item)
                return self._stream.head(type(item))
        except BaseException:
            await self.close()
            raise
        await self.close()
        return self._stream.head(None)

    def __aiter__(self) -> Self:
        """Return the pieces, the first one included."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece. Raises the driver's exceptions."""
        piece, self._piece = self._piece, None
        return self._stream.as_bytes(await anext(self._items)) if piece is None else piece

    async def close(self) -> None:
        """Close the driver's iterator: a generator gets GeneratorExit where it waits."""
        if self._thread is not None:
            await self._thread.call(self._stream.close)
            return
        closed = self._stream.close()
        if isinstance(closed, Awaitable):
            await closed


class _IteratorThread:
    """Makes the items of a plain iterator in threads, one item at a time, with the context of the request."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._context = copy_context()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        item = await self.call(next, self._items, _END)
        if item is _END:
            raise StopAsyncIteration
        return item

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function in a thread. A call that is cancelled waits for its thread to end."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(None, self._context.run, function, *arguments)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise


async def send_async_stream(
    channel: WorkerChannel,
    slot: int,
    number: int,
    head: Reply,
    pieces: AsyncPieces,
    traceback_text: Callable[[BaseException], str],
) -> Reply:
    """Send head and pieces of a stream. Return its last reply, STREAM_ENDED or STREAM_FAILED."""
    writer = StreamWriter(channel, slot, number)
    with last_reply(head, traceback_text) as last:
        writer.begin(head)
        try:
            await _send_pieces(writer, pieces)
        finally:
            writer.begin_piece()
            await pieces.close()
    return last


async def _send_pieces(writer: StreamWriter, pieces: AsyncPieces) -> None:
    """Send all pieces, or as many as the front takes before the client leaves."""
    async for piece in pieces:
        for part in parts_of(piece):
            while seconds := writer.wait_seconds(part):  # noqa: ASYNC110 - the front writes into shared memory
                await asyncio.sleep(seconds)
            if writer.client_has_left:
                return
            writer.send(part)
        if writer.client_has_left:
            return
        writer.begin_piece()
