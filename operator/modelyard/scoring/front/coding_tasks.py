"""Packing and unpacking of large bodies: in steps, and in a thread beside the event loop."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from modelyard.scoring.front.messages import HttpRequest

log = logging.getLogger(__name__)

STEP_BYTES: Final = 1024 * 1024
"""Bytes of an unpacked body for one step, 2 ms to unpack and 10 ms to pack. Steps of requests take turns."""

INLINE_BYTES: Final = 16 * 1024
"""Smaller bodies stay on the event loop: 0.2 ms to pack, against 0.1 ms for the way to a thread."""

_Result = TypeVar("_Result")


class CodingTasks:
    """One task for each request whose body or response is large. One thread does the work of all.

    zlib holds no GIL while it works, so that probes and other requests are answered at once.
    """

    def __init__(self) -> None:
        self._tasks: dict[HttpRequest, asyncio.Task[None]] = {}
        self._executor = ThreadPoolExecutor(1, "coding")

    @property
    def busy(self) -> bool:
        """Return True while a body or a response is not finished."""
        return bool(self._tasks)

    def start(self, request: HttpRequest, work: Coroutine[Any, Any, None]) -> None:
        """Run the work for a request. An exception is an error of the server, and ends the connection."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[request] = task
        task.add_done_callback(lambda done: self._finish(request, done))

    async def step(self, function: Callable[..., _Result], *arguments: object) -> _Result:
        """Call the function in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    def cancel(self, request: HttpRequest) -> None:
        """Stop the work for a request: its client has left. The current step still runs to its end."""
        task = self._tasks.get(request)
        if task is not None:
            task.cancel()

    def _finish(self, request: HttpRequest, task: asyncio.Task[None]) -> None:
        if self._tasks.get(request) is task:  # not if the response is being packed already
            del self._tasks[request]
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("a connection is closed: an error of the server", exc_info=error)
            request.connection.abort()
