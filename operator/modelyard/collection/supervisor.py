"""PID 1 of the side-car: starts the collecting process again whenever it ends.

A pod whose side-car container restarts is not ready, so that a crash of the collecting process would stop
scoring. This process is small and imports little. It forwards SIGTERM, and reaps orphans.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Final

from modelyard.backoff import Backoff

_STOP: Final = {signal.SIGTERM, signal.SIGINT}
_BACKOFF: Final = Backoff(first_seconds=0.5, most_seconds=5.0)
_GOOD_SECONDS: Final = 60.0
"""A process that has run for so long resets the backoff."""
_MEMORY: Final = {
    # glibc: free memory goes back to the kernel instead of into a pool of each thread.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "1048576",
    # The library of stores: one thread instead of one for each CPU of the node.
    "TOKIO_WORKER_THREADS": "1",
}
"""Variables of the collecting process, unless the container has others."""
_COMMAND: Final = (sys.executable, "-m", "modelyard.collection.process")
_FOREVER: Final = 3600.0
_ENDED: Final = (0, 1, 2)
"""Exit codes of a process that has done what it can: all is delivered, records are left, invalid settings."""
_MAX_LAST_STARTS: Final = 10


def run(command: tuple[str, ...] = _COMMAND, backoff: Backoff = _BACKOFF) -> int:
    """Keep a process running until SIGTERM. Return its last exit code."""
    _let_scoring_run()
    signal.pthread_sigmask(signal.SIG_BLOCK, {*_STOP, signal.SIGCHLD})
    supervisor = Supervisor(command, backoff)
    while True:
        wait = supervisor.seconds_to_start()
        received = signal.sigtimedwait({*_STOP, signal.SIGCHLD}, _FOREVER if wait is None else wait)
        if received and received.si_signo in _STOP:
            supervisor.stop()
        code = supervisor.step()
        if code is not None:
            return code


def _let_scoring_run() -> None:
    """Let this process and its children take no core from others when they wake, see sched(7).

    The requests of the replica wait less while records are sent. A sandbox may refuse the call.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def start() -> int:
    """Replace this process, whose entry point has imported more than a supervisor needs. It never returns."""
    os.execv(sys.executable, [sys.executable, "-m", __name__])  # noqa: S606 - no shell is needed


class Supervisor:
    """One process at a time, and the time of its next start."""

    def __init__(
        self,
        command: tuple[str, ...],
        backoff: Backoff,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`command` starts with SIGTERM blocked, so that it gets the signal once it has a handler."""
        self._command = command
        self._backoff = backoff
        self._clock = clock
        self._pid: int | None = None
        self._started_at = 0.0
        self._start_at = float("-inf")
        self._failures = 0
        self._stopping = False
        self._last_starts = 0

    def seconds_to_start(self) -> float | None:
        """Return the time until the next start, None while the process runs."""
        if self._pid is not None:
            return None
        return 0.0 if self._stopping else max(0.0, self._start_at - self._clock())

    def stop(self) -> None:
        """Let the process end. One that has died starts once more, to deliver what is left."""
        self._stopping = True
        if self._pid is not None:
            os.kill(self._pid, signal.SIGTERM)

    def step(self) -> int | None:
        """Reap processes, and start the next one if it is time. Return the exit code at the end."""
        code = self._reap()
        if code is not None:
            if self._stopping and (code in _ENDED or self._last_starts >= _MAX_LAST_STARTS):
                return code
            self._note_end(code)
        if self.seconds_to_start() == 0:
            self._start()
        return None

    def _start(self) -> None:
        self._pid = os.posix_spawn(
            self._command[0], self._command, {**_MEMORY, **os.environ}, setsigmask=_STOP
        )
        self._started_at = self._clock()
        if self._stopping:
            self._last_starts += 1
            os.kill(self._pid, signal.SIGTERM)

    def _reap(self) -> int | None:
        """Reap the children that have ended. Return the code of the collecting process if it has."""
        code = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return code
            if pid == 0:
                return code
            if pid == self._pid:
                self._pid, code = None, os.waitstatus_to_exitcode(status)

    def _note_end(self, code: int) -> None:
        now = self._clock()
        self._failures = 1 if now - self._started_at >= _GOOD_SECONDS else self._failures + 1
        wait = self._backoff.seconds(self._failures)
        self._start_at = now + wait
        sys.stderr.write(f"the collecting process has ended with {code}; the next one starts in {wait:g} s\n")


if __name__ == "__main__":
    sys.exit(run())
