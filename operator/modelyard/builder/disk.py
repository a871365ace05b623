"""Errors of a full disk."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelyard.contract.errors import DiskFullError
from modelyard.sizes import human


def disk_full() -> DiskFullError:
    """Return the error for a full workspace."""
    return DiskFullError("the workspace of the build is full: increase build.workspaceSize")


@contextmanager
def disk_errors() -> Iterator[None]:
    """Convert an OSError of a full disk that is raised inside the block into DiskFullError."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise disk_full() from None
        raise


def check_free_space(folder: Path, needed_bytes: int) -> None:
    """Raise DiskFullError if the file system of the folder has less free space."""
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise DiskFullError(
            f"{human(needed_bytes)} are needed and {human(free)} are free in the workspace of the build:"
            " increase build.workspaceSize"
        )
