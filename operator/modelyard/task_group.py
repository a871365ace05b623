"""Work that goes on side by side and ends together."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from types import TracebackType
from typing import Final, Self, TypeVar

T = TypeVar("T")

_AT_ONCE: Final = 4  # more uploads only wait for each other: two fill most networks
_PATIENCE_SECONDS: Final = 5.0
"""For threads to leave a registry as they found it, well within the grace period of a pod."""


class TaskCancelledError(Exception):
    """Raised in work that nobody waits for any more."""


class TaskGroup:
    """A context: what is started in it has ended after it, at once if it is left by an error.

    Its threads are no reason for the process to stay: one may hang in a connection.
    """

    def __init__(self) -> None:
        self._futures: list[Future[object]] = []
        self._ended = threading.Event()
        self._places = threading.Semaphore(_AT_ONCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        wait(self._futures, _PATIENCE_SECONDS)

    def start(self, work: Callable[[], T], *, on_cancel: Callable[[], None] = lambda: None) -> Future[T]:
        """Begin as soon as there is room; the work should call `check` now and then.

        `on_cancel` is called instead of it when the context was left before.
        """
        future: Future[T] = Future()
        self._futures.append(future)  # type: ignore[arg-type] # nobody sets the result but the thread
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run, work, on_cancel, future), daemon=True).start()
        return future

    def check(self) -> None:
        """Raises TaskCancelledError once the context was left."""
        if self._ended.is_set():
            raise TaskCancelledError

    def join(self) -> None:
        """Wait for all that was started; raises the first error at once."""
        for future in wait(self._futures, return_when=FIRST_EXCEPTION).done:
            future.result()

    def _unless_ended(self, work: Callable[[], T], on_cancel: Callable[[], None]) -> T:
        if not self._ended.is_set():
            return work()
        on_cancel()
        raise TaskCancelledError

    def _run(self, work: Callable[[], T], on_cancel: Callable[[], None], future: Future[T]) -> None:
        with self._places:
            try:
                future.set_result(self._unless_ended(work, on_cancel))
            except BaseException as error:
                future.set_exception(error)
