"""Bounded retry of calls and streams that fail with a transient error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from modelyard.backoff import Backoff
from modelyard.coded_error import CodedError

T = TypeVar("T")

_BACKOFF: Final = Backoff(first_seconds=0.5, most_seconds=30.0)


def is_transient(error: CodedError) -> bool:
    """Return whether a repetition of the call may succeed."""
    return error.transient


@dataclass(frozen=True)
class Retry:
    """At most `attempts` attempts, with the waits of `backoff` between them."""

    attempts: int = 4
    backoff: Backoff = _BACKOFF
    sleep: Callable[[float], None] = time.sleep

    def run(
        self,
        call: Callable[[], T],
        *,
        on_retry: Callable[[str], None] | None = None,
        retry_if: Callable[[CodedError], bool] = is_transient,
    ) -> T:
        """Return the result of `call`, after retries if necessary.

        Raises an error at once if `retry_if` is false for it, and the last error once the attempts are used
        up. `on_retry` receives a line of text before each wait.
        """
        failures = 0
        while True:
            try:
                return call()
            except CodedError as error:
                failures += 1
                if not retry_if(error) or failures >= self.attempts:
                    raise
                wait = self._wait_seconds(error, failures, on_retry)
            self.sleep(wait)

    def resumed(
        self,
        read: Callable[[int], Iterator[bytes]],
        offset: int,
        *,
        on_retry: Callable[[str], None] | None = None,
    ) -> Iterator[bytes]:
        """Yield the chunks of `read(offset)`, and resume at the last byte after a transient error.

        Each chunk resets the number of failures: `attempts` bounds the failures without progress.
        Raises other errors at once, and the last transient error once the attempts are used up.
        """
        failures = 0
        while True:
            try:
                for chunk in read(offset):
                    offset += len(chunk)
                    failures = 0
                    yield chunk
            except CodedError as error:
                failures += 1
                if not error.transient or failures >= self.attempts:
                    raise
                wait = self._wait_seconds(error, failures, on_retry)
            else:
                return
            self.sleep(wait)

    def _wait_seconds(
        self, error: CodedError, failures: int, on_retry: Callable[[str], None] | None
    ) -> float:
        wait = self.backoff.seconds(failures, error.retry_after_seconds)
        if on_retry is not None:
            on_retry(f"{error}; trying again in {wait:g} s")
        return wait
