"""Reading ahead: where bytes come from and where they go to work at the same time."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Final, Self

_ROOM: Final = 4  # chunks that wait to be used


class Prefetcher:
    """The same chunks, read by a thread from now on, while those before them are used. Close it after use.

    What reading raises comes after the chunks before it.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._ready: SimpleQueue[bytes | BaseException | None] = SimpleQueue()
        self._room = threading.Semaphore(_ROOM)
        self._left = threading.Event()
        # In the caller's context, which knows where connections may lead; no reason for the process to stay.
        context = contextvars.copy_context()
        self._reader = threading.Thread(target=context.run, args=(self._read,), daemon=True)
        self._reader.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        chunk = self._ready.get()
        if isinstance(chunk, bytes):
            self._room.release()
            return chunk
        self._ready.put(chunk)  # an end stays the end
        raise chunk or StopIteration

    def close(self) -> None:
        """Waits for the chunk that is being read."""
        self._left.set()
        self._room.release()
        self._reader.join()

    def _read(self) -> None:
        end: BaseException | None = None
        try:
            for chunk in self._chunks:
                self._ready.put(chunk)
                self._room.acquire()
                if self._left.is_set():
                    break
        except BaseException as error:
            end = error
        self._ready.put(end)
