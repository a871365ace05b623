"""Concurrent tasks that end together, in threads.

ThreadPoolExecutor has no daemon threads: a hung connection would block the exit of the process. It also does
not copy the context of the caller, which holds the egress policy.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from types import TracebackType
from typing import Final, Self, TypeVar

T = TypeVar("T")

MAX_RUNNING: Final = 4
"""Tasks that run at the same time. Two uploads saturate most networks, so more tasks would only wait."""
_CANCEL_SECONDS: Final = 5.0
"""Time that tasks get to cancel their uploads in the registry, well within the grace period of a pod."""


class TaskCancelledError(Exception):
    """Raised in a task whose TaskGroup has exited."""


class TaskGroup:
    """A context manager that runs tasks in daemon threads, at most four at a time.

    On exit, unfinished tasks are cancelled: waiting tasks do not start, running tasks stop at their next
    `check`. Call `join` at the end of the block to wait for all tasks.
    """

    def __init__(self) -> None:
        self._futures: list[Future[object]] = []
        self._exited = threading.Event()
        self._slots = threading.Semaphore(MAX_RUNNING)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exited.set()
        wait(self._futures, _CANCEL_SECONDS)

    def start(self, work: Callable[[], T], *, on_cancel: Callable[[], None] = lambda: None) -> Future[T]:
        """Start `work` as soon as a slot is free, and return its future.

        `work` should call `check` regularly. If the group exits before `work` starts, `on_cancel` is called
        instead.
        """
        future: Future[T] = Future()
        self._futures.append(future)  # type: ignore[arg-type] # Future is invariant, and the list is read only
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run, work, on_cancel, future), daemon=True).start()
        return future

    def check(self) -> None:
        """Raise TaskCancelledError once the group has exited."""
        if self._exited.is_set():
            raise TaskCancelledError

    def join(self) -> None:
        """Wait for all tasks. Raises the first error of a task at once."""
        for future in wait(self._futures, return_when=FIRST_EXCEPTION).done:
            future.result()

    def _run(self, work: Callable[[], T], on_cancel: Callable[[], None], future: Future[T]) -> None:
        with self._slots:
            try:
                future.set_result(self._run_unless_exited(work, on_cancel))
            except BaseException as error:
                future.set_exception(error)

    def _run_unless_exited(self, work: Callable[[], T], on_cancel: Callable[[], None]) -> T:
        if not self._exited.is_set():
            return work()
        on_cancel()
        raise TaskCancelledError
