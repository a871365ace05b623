"""Bounded retry of calls and streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from modelyard.backoff import Backoff
from modelyard.coded_error import CodedError
from modelyard.retry import Retry


class TransientError(CodedError):
    code = "Transient"
    transient = True


class PermanentError(CodedError):
    code = "Permanent"


def _failing(*errors: CodedError) -> Callable[[], str]:
    """Return a call that raises the errors one after another, and then returns."""
    pending = list(errors)

    def call() -> str:
        if pending:
            raise pending.pop(0)
        return "result"

    return call


def test_transient_errors_are_retried_with_growing_waits(retry: Retry, waits: list[float]) -> None:
    lines: list[str] = []
    call = _failing(TransientError("one"), TransientError("two"))
    assert retry.run(call, on_retry=lines.append) == "result"
    assert waits == [0.5, 1.0]
    assert lines == ["one; trying again in 0.5 s", "two; trying again in 1 s"]


def test_last_error_is_raised_once_the_attempts_are_used_up(retry: Retry, waits: list[float]) -> None:
    with pytest.raises(TransientError, match="four"):
        retry.run(_failing(*(TransientError(name) for name in ("one", "two", "three", "four", "five"))))
    assert len(waits) == 3


def test_permanent_error_is_raised_at_once(retry: Retry, waits: list[float]) -> None:
    with pytest.raises(PermanentError):
        retry.run(_failing(PermanentError("no")))
    assert waits == []


def test_caller_can_choose_the_errors_to_retry(retry: Retry, waits: list[float]) -> None:
    def is_permanent(error: CodedError) -> bool:
        return isinstance(error, PermanentError)

    assert retry.run(_failing(PermanentError("no")), retry_if=is_permanent) == "result"
    with pytest.raises(TransientError):
        retry.run(_failing(TransientError("no")), retry_if=is_permanent)
    assert waits == [0.5]


@pytest.mark.parametrize(("retry_after", "wait"), [(0.1, 0.5), (7.0, 7.0), (3600.0, 30.0)])
def test_wait_follows_retry_after_within_the_bound(
    retry: Retry, waits: list[float], retry_after: float, wait: float
) -> None:
    retry.run(_failing(TransientError("busy", retry_after_seconds=retry_after)))
    assert waits == [wait]


def test_stream_resumes_at_the_last_byte(retry: Retry, waits: list[float]) -> None:
    content = bytes(range(100))
    offsets: list[int] = []

    def read(offset: int) -> Iterator[bytes]:
        offsets.append(offset)
        yield content[offset : offset + 30]
        if offset + 30 < len(content):
            raise TransientError("broken")

    assert b"".join(retry.resumed(read, 5)) == content[5:]
    assert offsets == [5, 35, 65, 95]
    assert waits == [0.5, 0.5, 0.5]  # each chunk resets the number of failures


def test_stream_without_progress_fails() -> None:
    waits: list[float] = []
    retry = Retry(attempts=2, backoff=Backoff(1.0, 2.0), sleep=waits.append)

    def read(_offset: int) -> Iterator[bytes]:
        raise TransientError("broken")
        yield b""

    with pytest.raises(TransientError, match="broken"):
        list(retry.resumed(read, 0))
    assert waits == [1.0]
