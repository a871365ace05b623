"""Concurrent tasks that end together."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from modelyard.task_group import (
    MAX_RUNNING,
    TaskCancelledError,
    TaskGroup,
)


def test_tasks_run_concurrently() -> None:
    both = threading.Barrier(2)
    with TaskGroup() as tasks:
        futures = [tasks.start(lambda: both.wait(10)) for _ in range(2)]
        tasks.join()
    assert sorted(future.result() for future in futures) == [0, 1]


def test_join_raises_the_first_error_at_once() -> None:
    release = threading.Event()
    with pytest.raises(ZeroDivisionError), TaskGroup() as tasks:
        tasks.start(lambda: release.wait(10))
        tasks.start(lambda: 1 // 0)
        try:
            tasks.join()
        finally:
            assert not release.is_set()
            release.set()


def test_running_task_is_cancelled_when_the_group_exits() -> None:
    started = threading.Event()
    future: Future[None]

    def work() -> None:
        started.set()
        while True:
            tasks.check()

    with pytest.raises(KeyboardInterrupt), TaskGroup() as tasks:
        future = tasks.start(work)
        started.wait(10)
        raise KeyboardInterrupt
    assert isinstance(future.exception(0), TaskCancelledError)


def test_waiting_task_does_not_start_after_the_group_exits() -> None:
    running, cancelled = threading.Semaphore(0), threading.Event()

    def work() -> None:
        running.release()
        while True:
            tasks.check()

    with pytest.raises(KeyboardInterrupt), TaskGroup() as tasks:
        for _ in range(MAX_RUNNING):
            tasks.start(work)
        for _ in range(MAX_RUNNING):
            assert running.acquire(timeout=10)
        waiting = tasks.start(lambda: None, on_cancel=cancelled.set)
        raise KeyboardInterrupt
    assert isinstance(waiting.exception(0), TaskCancelledError)
    assert cancelled.is_set()
