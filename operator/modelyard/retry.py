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


@dataclass(frozen=True)
class Retry:
    """At most `attempts` attempts, with the waits of `backoff` between them.

    Only errors whose `transient` is true are retried.
    """

    attempts: int = 4
    backoff: Backoff = _BACKOFF
    sleep: Callable[[float], None] = time.sleep

    def run(self, call: Callable[[], T], *, on_retry: Callable[[str], None] | None = None) -> T:
        """Return the result of `call`, after retries if necessary.

        Raises the last transient error once the attempts are used up, and any other error at once.
        `on_retry` receives one line of text before each wait.
        """
        failures = 0
        while True:
            try:
                return call()
            except CodedError as error:
                failures += 1
                wait = self.wait_or_raise(error, failures, on_retry)
            self.sleep(wait)

    def resumed(
        self,
        read: Callable[[int], Iterator[bytes]],
        offset: int,
        *,
        on_retry: Callable[[str], None] | None = None,
    ) -> Iterator[bytes]:
        """Yield the chunks of `read(offset)`, and resume at the last byte when reading fails.

        Each chunk that arrives resets the number of failures: `attempts` bounds failures without progress.
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
                wait = self.wait_or_raise(error, failures, on_retry)
            else:
                return
            self.sleep(wait)

    def wait_or_raise(
        self, error: CodedError, failures: int, on_retry: Callable[[str], None] | None
    ) -> float:
        """Return the seconds to wait after failure number `failures`, and report them to `on_retry`.

        Raises the error itself if it is not transient, or if no attempt is left.
        """
        if not error.transient or failures >= self.attempts:
            raise error
        wait = self.backoff.seconds(failures, error.retry_after_seconds)
        if on_retry is not None:
            on_retry(f"{error}; trying again in {wait:g} s")
        return wait
