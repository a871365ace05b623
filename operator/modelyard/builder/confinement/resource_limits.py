"""Limits of the code of a source distribution: time, processes, memory and disk."""

from __future__ import annotations

import os
import resource
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelyard.builder.confinement.process_tree import descendants, kill_tree
from modelyard.sizes import human

_POLL_SECONDS: Final = 0.05
_DISK_SECONDS: Final = 0.5
_MEMORY_FILES: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_MEMORY_SHARE: Final = 0.8
"""Share of the container's memory for a build. The rest is for the installer, and for a peak between two
looks."""
_GIB: Final = 1024**3
_PROCESSES_OF_USER: Final = 1024
"""Most processes of the user of builds on a node, for processes that are faster than the watch."""


@dataclass(frozen=True)
class ResourceLimits:
    """The limits of one step."""

    seconds: float = 1200.0
    """SciPy and pandas compile in 15 minutes on 2 cores."""
    processes: int = 256
    """Compilers run one process per core, and a build backend a few."""
    memory_bytes: int = 8 * _GIB
    disk_bytes: int = 4 * _GIB

    def within_container(self) -> ResourceLimits:
        """Return the limits with memory that the container has. Its limit would end the whole container."""
        limit = min(map(_memory_limit, _MEMORY_FILES))
        memory = min(self.memory_bytes, int(limit * _MEMORY_SHARE))
        return ResourceLimits(self.seconds, self.processes, memory, self.disk_bytes)

    def apply(self) -> None:
        """Limit this process, and each process that it starts, where the kernel can. See ResourceWatch."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.disk_bytes, self.disk_bytes))

        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        most = _PROCESSES_OF_USER if hard == resource.RLIM_INFINITY else min(hard, _PROCESSES_OF_USER)
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
        # The kernel ends this process first when the container lacks memory.
        Path("/proc/self/oom_score_adj").write_text("1000")


class ResourceWatch:
    """Ends a process and its descendants when they exceed their limits. A thread until `stop`."""

    def __init__(self, root: int, folder: Path, limits: ResourceLimits) -> None:
        """`folder` is the one folder that the processes can write."""
        self.exceeded: str | None = None
        """The exceeded limit in words, such as `more than 256 processes`."""
        self._root = root
        self._folder = folder
        self._limits = limits
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="resources", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        started = next_disk = time.monotonic()
        while not self._stopped.wait(_POLL_SECONDS):
            now = time.monotonic()
            self.exceeded = self._exceeded(now - started, measures_disk=now >= next_disk)
            if self.exceeded:
                kill_tree(self._root)
                return
            if now >= next_disk:
                next_disk = time.monotonic() + _DISK_SECONDS

    def _exceeded(self, seconds: float, *, measures_disk: bool) -> str | None:
        limits = self._limits
        if seconds > limits.seconds:
            return f"more than {limits.seconds:g} s"
        running = descendants(self._root)
        if len(running) > limits.processes:
            return f"more than {limits.processes} processes"
        if sum(process.memory_bytes for process in running) > limits.memory_bytes:
            return f"more than {human(limits.memory_bytes)} of memory"
        if measures_disk and _used_bytes(self._folder) > limits.disk_bytes:
            return f"more than {human(limits.disk_bytes)} of disk"
        return None


def _used_bytes(folder: Path) -> int:
    """Return the bytes of the disk below a folder. A sparse file counts with its blocks."""
    total = 0
    for _, _, files, opened in os.fwalk(folder):
        for file in files:
            try:
                total += os.stat(file, dir_fd=opened, follow_symlinks=False).st_blocks * 512
            except OSError:  # the file was deleted
                continue
    return total


def _memory_limit(file: str) -> int:
    """Return the bytes in a file of a control group, the maximum if there is no limit."""
    try:
        return int(Path(file).read_text())
    except (OSError, ValueError):
        return 2**63
