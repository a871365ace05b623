"""Running processes: their children, CPU time and memory, from /proc (proc(5))."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_USER_TIME, _SYSTEM_TIME = 11, 12  # fields of /proc/PID/stat after the name


def children(pid: int) -> list[int]:
    """Return the running children of a process, of all its threads. A process that has ended has none."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            found += map(int, path.read_text().split())
    return found


def tree(pid: int) -> list[int]:
    """Return a process and its running descendants."""
    found = [pid]
    for one in found:
        found += children(one)
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time of running processes. Raises OSError if one has ended."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])
    return ticks / _TICKS_PER_SECOND


def memory_kib(pid: int, field: str, file: str = "status") -> int:
    """Return a field of /proc/PID/status, or of another file there, in KiB.

    Raises OSError if the process has ended.
    """
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise ProcessLookupError(f"process {pid} has ended: {file} has no {field}")
