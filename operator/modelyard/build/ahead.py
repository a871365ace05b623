"""Reading ahead: where bytes come from and where they go to work at the same time."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Final

_ROOM: Final = 4  # chunks that wait to be used


def ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks, read by a thread while those before them are used.

    What reading raises comes after the chunks before it. Closing waits for the chunk that is being read.
    """
    ready: SimpleQueue[bytes | BaseException | None] = SimpleQueue()
    room = threading.Semaphore(_ROOM)
    left = threading.Event()

    def read() -> None:
        end: BaseException | None = None
        try:
            for chunk in chunks:
                ready.put(chunk)
                room.acquire()
                if left.is_set():
                    break
        except BaseException as error:
            end = error
        ready.put(end)

    # In the caller's context, which knows where connections may lead; no reason for the process to stay.
    reader = threading.Thread(target=contextvars.copy_context().run, args=(read,), daemon=True)
    reader.start()
    try:
        while isinstance(chunk := ready.get(), bytes):
            yield chunk
            room.release()
        if chunk is not None:
            raise chunk
    finally:
        left.set()
        room.release()
        reader.join()
