"""Processes of the container that the kernel has killed for want of memory.

Kubernetes ends the whole container by default (memory.oom.group). With cgroup v1, or `singleProcessOOMKill`
of the kubelet, the kernel kills one process, and Kubernetes does not report it while the front goes on.
https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
"""

import contextlib
import re
from pathlib import Path
from typing import Final

from modelyard.scoring.front.memory import GROUPS, container_memory

TERMINATION_LOG: Final = Path("/dev/termination-log")
"""The file whose text Kubernetes reports as the message of a container that has ended.

https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
"""

_FILES: Final = ("memory.events", "memory/memory.oom_control")
"""The counters of control groups of version 2, then of version 1."""

_KILLS: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


class OomKills:
    """The counter of kills in the container's control group. Outside of a container it stays 0."""

    def __init__(self, groups: Path = GROUPS) -> None:
        self._groups = groups
        self._seen = self._count()

    def has_grown(self) -> bool:
        """Return True if the kernel has killed a process of the container since the last call."""
        before, self._seen = self._seen, self._count()
        return self._seen > before

    def describe(self, peak_bytes: int) -> str:
        """Return a sentence on a worker process that was killed, with its use and the container's limit."""
        memory = container_memory(self._groups)
        limit = memory.limit if memory else None
        bound = f"a limit of {_mebibytes(limit)}" if limit else "no limit: the node ran out of memory"
        used = _mebibytes(peak_bytes)
        return f"the kernel killed a worker process that used {used}; the container has {bound}"

    def _count(self) -> int:
        for name in _FILES:
            with contextlib.suppress(OSError):
                if found := _KILLS.search((self._groups / name).read_text()):
                    return int(found[1])
        return 0


def report_end(message: str, file: Path = TERMINATION_LOG) -> bool:
    """Write the reason of the end for Kubernetes. Return False outside of Kubernetes: there is no file."""
    try:
        with file.open("r+") as log:
            log.write(message)
            log.truncate()
    except OSError:
        return False
    return True


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
