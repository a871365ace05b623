"""Control groups with the CPU weights that the kubelet gives to a pod and to its containers."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final, Self

from tests.support.processes import tree
from tests.support.servers import wait_until

_ROOT: Final = Path("/sys/fs/cgroup")
_IS_V2: Final = (_ROOT / "cgroup.controllers").exists()


class CpuGroup:
    """Context manager that makes a group, and removes it once its processes have ended."""

    def __init__(self, name: str, millicores: int, pod: CpuGroup | None = None) -> None:
        """`millicores` is the CPU request. A container's group is in that of its pod."""
        self._millicores = millicores
        parent = pod.folder if pod else _ROOT if _IS_V2 else _ROOT / "cpu"
        self.folder: Final = parent / (name if pod else f"modelyard-bench-{os.getpid()}-{name}")

    def __enter__(self) -> Self:
        """Make the group. Raises OSError without root."""
        if _IS_V2:
            (self.folder.parent / "cgroup.subtree_control").write_text("+cpu")
        self.folder.mkdir()
        # https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/cm/helpers_linux.go
        shares = max(2, self._millicores * 1024 // 1000)
        if _IS_V2:
            (self.folder / "cpu.weight").write_text(str(1 + (shares - 2) * 9999 // 262_142))
        else:
            (self.folder / "cpu.shares").write_text(str(shares))
        return self

    def __exit__(self, *_: object) -> None:
        wait_until(self._removed, lambda: f"{self.folder} has processes")

    def add(self, pid: int) -> None:
        """Move a process and its descendants into the group."""
        for one in tree(pid):
            (self.folder / "cgroup.procs").write_text(str(one))

    def _removed(self) -> bool:
        with contextlib.suppress(OSError):
            self.folder.rmdir()
        return not self.folder.exists()
