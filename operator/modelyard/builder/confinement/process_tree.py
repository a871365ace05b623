"""The processes that a confined process has started, also those that left its process group."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from modelyard.builder.confinement.system_calls import LIBC, checked

_PR_SET_CHILD_SUBREAPER: Final = 36
_FILTERS: Final = "Seccomp_filters:"
_PAUSE_SECONDS: Final = 0.01
_KILL_SECONDS: Final = 30.0
"""Longest time of `kill_tree`: a process in an uninterruptible wait ends later."""


_roots: Final[set[int]] = set()
"""The confined processes that this process has started, each with descendants of its own."""


class Process(NamedTuple):
    """A running process."""

    id: int
    parent: int
    memory_bytes: int
    """Resident memory without that of mapped files."""


def adopt_orphans() -> None:
    """Become the parent of each descendant whose own parent ends. Raises OSError."""
    checked(LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


@contextmanager
def confined_root(process: int) -> Iterator[None]:
    """Keep a confined process, which this process has started, from counting as an orphan of another one."""
    _roots.add(process)
    try:
        yield
    finally:
        _roots.discard(process)


def descendants(root: int) -> list[Process]:
    """Return the running descendants of a process, and confined processes that lost their parent.

    A confined process has more seccomp filters than this one. `root` has to adopt orphans, and so has this
    process, which gets those of `root` when it ends.
    """
    running = {process.id: process for process in _processes()}
    own, filters = os.getpid(), _filters_of(os.getpid())
    found: dict[int, Process] = {}
    new = {
        process.id
        for process in running.values()
        if process.parent == root
        or (process.parent == own and process.id not in {root, *_roots} and _filters_of(process.id) > filters)
    }
    while new:
        found |= {item: running[item] for item in new}
        new = {process.id for process in running.values() if process.parent in new} - found.keys()
    return list(found.values())


def kill_tree(root: int) -> None:
    """Kill all descendants of a process, then the process itself. Call it before the process is reaped."""
    deadline = time.monotonic() + _KILL_SECONDS
    while (found := descendants(root)) and time.monotonic() < deadline:
        # A stopped process starts no other one, so the second signal misses none that the first one has met.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.id, number)
        time.sleep(_PAUSE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.kill(root, signal.SIGKILL)


def reap_orphans() -> None:
    """Remove the ended descendants that this process got from others. Call it after the end of their root."""
    own = os.getpid()
    filters = _filters_of(own)
    for process in _processes(ended=True):
        if process.parent == own and _filters_of(process.id) > filters:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.id, os.WNOHANG)


def _processes(*, ended: bool = False) -> Iterator[Process]:
    """Yield the running processes, or those that have ended and have not been waited for."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        with contextlib.suppress(OSError):  # the process has ended
            state, parent, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
            if (state in "ZX") != ended:
                continue
            _, resident, shared, *_ = map(int, (folder / "statm").read_text().split())
            memory = (resident - shared) * os.sysconf("SC_PAGE_SIZE")
            yield Process(int(folder.name), int(parent), memory)


def _filters_of(process: int) -> int:
    """Return the number of seccomp filters of a process, 0 if it has ended or on Linux before 5.9."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(_FILTERS)), 0)
