"""Bounded retry with exponential backoff: of what is transient, and of nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from modelyard.contract.errors import BuildFailedError

T = TypeVar("T")


@dataclass(frozen=True)
class Retry:
    """`attempts` in all; waits of `first_seconds`, twice that, … up to `most_seconds`."""

    attempts: int = 4
    first_seconds: float = 0.5
    most_seconds: float = 30.0
    sleep: Callable[[float], None] = time.sleep

    def wait_seconds(self, failures: int, asked_seconds: float | None) -> float:
        """How long after the nth failure; a server's own wish (Retry-After) counts, within the bound."""
        backoff = self.first_seconds * 2.0 ** (failures - 1)
        return min(self.most_seconds, max(backoff, asked_seconds or 0.0))

    def run(self, call: Callable[[], T], *, on_retry: Callable[[str], None] | None = None) -> T:
        """Call until it succeeds; the last transient error, or the first other one, is raised as it is."""
        failures = 0
        while True:
            try:
                return call()
            except BuildFailedError as error:
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
        """What `read(offset)` gives, read on where it breaks; attempts count anew once more of it came."""
        failures = 0
        while True:
            try:
                for chunk in read(offset):
                    offset += len(chunk)
                    failures = 0
                    yield chunk
            except BuildFailedError as error:
                failures += 1
                wait = self.wait_or_raise(error, failures, on_retry)
            else:
                return
            self.sleep(wait)

    def wait_or_raise(
        self, error: BuildFailedError, failures: int, on_retry: Callable[[str], None] | None
    ) -> float:
        """Seconds until the next try, of which `on_retry` is told; raises the error when there is none."""
        if not error.transient or failures >= self.attempts:
            raise error
        wait = self.wait_seconds(failures, error.retry_after_seconds)
        if on_retry is not None:
            on_retry(f"{error}; trying again in {wait:g} s")
        return wait
