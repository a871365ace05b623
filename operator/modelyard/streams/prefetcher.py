"""Reading ahead, so that the source of a stream and its consumer work at the same time."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Generator
from queue import SimpleQueue
from typing import Final, Self

_MAX_WAITING_CHUNKS: Final = 4


class Prefetcher:
    """An iterator over the same chunks, which a thread reads while earlier chunks are in use.

    Reading starts at once. Close the prefetcher after use: the source is closed with it. An error of the
    source is raised after the chunks that were read before the error.
    """

    def __init__(self, chunks: Generator[bytes]) -> None:
        self._chunks = chunks
        self._ready: SimpleQueue[bytes | BaseException | None] = SimpleQueue()
        self._free_places = threading.Semaphore(_MAX_WAITING_CHUNKS)
        self._closed = threading.Event()
        # The copied context holds the egress policy of the caller. A daemon thread, because a hung connection
        # must not prevent the exit of the process.
        context = contextvars.copy_context()
        self._reader = threading.Thread(target=context.run, args=(self._read,), daemon=True)
        self._reader.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        chunk = self._ready.get()
        if isinstance(chunk, bytes):
            self._free_places.release()
            return chunk
        self._ready.put(chunk)  # further calls raise the same error or StopIteration again
        raise chunk or StopIteration

    def close(self) -> None:
        """Stop reading, and close the source. Waits for the chunk that is being read."""
        self._closed.set()
        self._free_places.release()
        self._reader.join()

    def _read(self) -> None:
        end: BaseException | None = None
        try:
            # Closed here, and not by the garbage collector: that may take the connection of a source first.
            with contextlib.closing(self._chunks):
                for chunk in self._chunks:
                    self._ready.put(chunk)
                    self._free_places.acquire()
                    if self._closed.is_set():
                        break
        except BaseException as error:
            end = error
        self._ready.put(end)
