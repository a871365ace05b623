"""Reading ahead of the consumer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from contextvars import ContextVar

import pytest

from modelyard.streams.prefetcher import Prefetcher

WAIT_SECONDS = 30


def test_prefetcher_yields_the_same_chunks() -> None:
    chunks = [str(number).encode() for number in range(100)]
    assert list(Prefetcher(chunk for chunk in chunks)) == chunks


def test_next_chunk_is_read_while_a_chunk_is_in_use() -> None:
    second = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield b"first"
        second.set()
        yield b"second"

    prefetcher = Prefetcher(chunks())
    assert next(prefetcher) == b"first"
    assert second.wait(WAIT_SECONDS)  # before the consumer requests it
    assert list(prefetcher) == [b"second"]


def test_number_of_prefetched_chunks_is_bounded() -> None:
    read = 0

    def chunks() -> Iterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield b"x"

    prefetcher = Prefetcher(chunks())
    for used in range(1, 101):
        next(prefetcher)
        assert read <= used + 6
    list(prefetcher)
    assert read == 1000


def test_error_is_raised_after_the_chunks_before_it() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"first"
        raise OSError("broken")

    prefetcher = Prefetcher(chunks())
    assert next(prefetcher) == b"first"
    with pytest.raises(OSError, match="broken"):
        next(prefetcher)


def test_close_ends_the_reading_thread() -> None:
    threads_before = set(threading.enumerate())

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x"

    with closing(Prefetcher(endless())) as prefetcher:
        next(prefetcher)
    assert set(threading.enumerate()) <= threads_before


def test_close_closes_the_source() -> None:
    closed = threading.Event()

    def connection() -> Iterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.set()

    prefetcher = Prefetcher(connection())
    prefetcher.close()
    assert closed.is_set()


def test_reading_thread_has_the_context_of_the_caller() -> None:
    allowed: ContextVar[bytes] = ContextVar("allowed")
    allowed.set(b"mine")
    assert list(Prefetcher(allowed.get() for _ in range(1))) == [b"mine"]


def test_reading_starts_before_the_first_request() -> None:
    started = threading.Event()

    def chunks() -> Iterator[bytes]:
        started.set()
        yield b"first"

    with closing(Prefetcher(chunks())):
        assert started.wait(WAIT_SECONDS)


def test_exhausted_prefetcher_stays_exhausted() -> None:
    prefetcher = Prefetcher(chunk for chunk in [b"only"])
    assert list(prefetcher) == [b"only"]
    assert list(prefetcher) == []
