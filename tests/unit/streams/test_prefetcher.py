"""Reading ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from contextvars import ContextVar

import pytest

from modelyard.streams.prefetcher import Prefetcher

WAIT_SECONDS = 30


def test_gives_the_same_chunks() -> None:
    chunks = [str(number).encode() for number in range(100)]
    assert list(Prefetcher(iter(chunks))) == chunks


def test_reads_on_while_a_chunk_is_used() -> None:
    second = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield b"first"
        second.set()
        yield b"second"

    reading = Prefetcher(chunks())
    assert next(reading) == b"first"
    assert second.wait(WAIT_SECONDS)  # nobody has asked for it yet
    assert list(reading) == [b"second"]


def test_reads_only_a_little_ahead() -> None:
    read = 0

    def chunks() -> Iterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield b"x"

    reading = Prefetcher(chunks())
    for used in range(1, 101):
        next(reading)
        assert read <= used + 6
    list(reading)
    assert read == 1000


def test_an_error_comes_in_its_place() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"first"
        raise OSError("broken")

    reading = Prefetcher(chunks())
    assert next(reading) == b"first"
    with pytest.raises(OSError, match="broken"):
        next(reading)


def test_close_ends_the_reading_thread() -> None:
    threads_before = set(threading.enumerate())

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x"

    with closing(Prefetcher(endless())) as reading:
        next(reading)
    assert set(threading.enumerate()) <= threads_before


def test_reads_in_the_callers_context() -> None:
    allowed: ContextVar[bytes] = ContextVar("allowed")
    allowed.set(b"mine")
    assert list(Prefetcher(allowed.get() for _ in range(1))) == [b"mine"]


def test_begins_before_anybody_asks() -> None:
    begun = threading.Event()

    def chunks() -> Iterator[bytes]:
        begun.set()
        yield b"first"

    with closing(Prefetcher(chunks())):
        assert begun.wait(WAIT_SECONDS)


def test_its_end_stays_the_end() -> None:
    reading = Prefetcher(iter([b"only"]))
    assert list(reading) == [b"only"]
    assert list(reading) == []
