from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from modelyard.task_group import (
    Crew,
    EndedError,
)


def test_what_is_started_goes_on_side_by_side() -> None:
    both = threading.Barrier(2)
    with Crew() as crew:
        futures = [crew.start(lambda: both.wait(10)) for _ in range(2)]
        crew.join()
    assert sorted(future.result() for future in futures) == [0, 1]


def test_the_first_failure_comes_out_at_once() -> None:
    release = threading.Event()
    with pytest.raises(ZeroDivisionError), Crew() as crew:
        crew.start(lambda: release.wait(10))
        crew.start(lambda: 1 // 0)
        try:
            crew.join()
        finally:
            assert not release.is_set()
            release.set()


def test_what_is_under_way_ends_with_the_crew() -> None:
    begun = threading.Event()
    future: Future[None]

    def work() -> None:
        begun.set()
        while True:
            crew.check()

    with pytest.raises(KeyboardInterrupt), Crew() as crew:
        future = crew.start(work)
        begun.wait(10)
        raise KeyboardInterrupt
    assert isinstance(future.exception(0), EndedError)


def test_what_was_not_begun_never_is() -> None:
    release, dropped = threading.Event(), threading.Event()
    with pytest.raises(KeyboardInterrupt), Crew() as crew:
        for _ in range(10):
            crew.start(lambda: release.wait(10))
        late = crew.start(lambda: None, dropped=dropped.set)
        threading.Timer(0.01, release.set).start()
        raise KeyboardInterrupt
    assert isinstance(late.exception(0), EndedError)
    assert dropped.is_set()
