from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from modelyard.task_group import (
    TaskCancelledError,
    TaskGroup,
)


def test_what_is_started_goes_on_side_by_side() -> None:
    both = threading.Barrier(2)
    with TaskGroup() as tasks:
        futures = [tasks.start(lambda: both.wait(10)) for _ in range(2)]
        tasks.join()
    assert sorted(future.result() for future in futures) == [0, 1]


def test_the_first_failure_comes_out_at_once() -> None:
    release = threading.Event()
    with pytest.raises(ZeroDivisionError), TaskGroup() as tasks:
        tasks.start(lambda: release.wait(10))
        tasks.start(lambda: 1 // 0)
        try:
            tasks.join()
        finally:
            assert not release.is_set()
            release.set()


def test_what_is_under_way_ends_with_the_crew() -> None:
    begun = threading.Event()
    future: Future[None]

    def work() -> None:
        begun.set()
        while True:
            tasks.check()

    with pytest.raises(KeyboardInterrupt), TaskGroup() as tasks:
        future = tasks.start(work)
        begun.wait(10)
        raise KeyboardInterrupt
    assert isinstance(future.exception(0), TaskCancelledError)


def test_what_was_not_begun_never_is() -> None:
    release, cancelled = threading.Event(), threading.Event()
    with pytest.raises(KeyboardInterrupt), TaskGroup() as tasks:
        for _ in range(10):
            tasks.start(lambda: release.wait(10))
        late = tasks.start(lambda: None, on_cancel=cancelled.set)
        threading.Timer(0.01, release.set).start()
        raise KeyboardInterrupt
    assert isinstance(late.exception(0), TaskCancelledError)
    assert cancelled.is_set()
