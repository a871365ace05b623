"""Memory of the container, as the kubelet measures it, from control groups of version 2 or 1.

https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/
"""

from pathlib import Path
from typing import Final, NamedTuple

GROUPS: Final = Path("/sys/fs/cgroup")
_FILES: Final = (
    ("memory.current", "memory.max", "memory.stat", "inactive_file"),
    (
        "memory/memory.usage_in_bytes",
        "memory/memory.limit_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)
"""Usage, limit, statistics, and the name of the cached files among these: of version 2, then of version 1."""

_UNLIMITED: Final = 1 << 60
"""Version 1 has the largest multiple of a page in place of no limit."""


class Memory(NamedTuple):
    """Memory in bytes."""

    working_set: int
    """Without cached files that the kernel can drop. The kernel ends a process when it reaches the limit."""
    limit: int | None
    """The limit of the container, None if it has no limit."""


def container_memory(groups: Path = GROUPS) -> Memory | None:
    """Return the memory of all processes of the container, None outside of a control group."""
    for usage, limit, statistics, cached in _FILES:
        try:
            used = int((groups / usage).read_text())
            most = (groups / limit).read_text().strip()
            lines = (groups / statistics).read_text().splitlines()
        except OSError:
            continue
        inactive = next((int(line.split()[1]) for line in lines if line.split()[0] == cached), 0)
        bounded = most != "max" and int(most) < _UNLIMITED
        return Memory(max(0, used - inactive), int(most) if bounded else None)
    return None
