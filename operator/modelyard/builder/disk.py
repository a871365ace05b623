"""Running out of disk, said as such."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelyard.contract.errors import DiskFullError
from modelyard.sizes import human


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turns the system's errors of a full disk inside into DiskFullError."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError("the workspace of the build is full: give builds a larger one") from None
        raise


def check_free(folder: Path, needed_bytes: int) -> None:
    """Raises DiskFullError when the bytes cannot fit."""
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise DiskFullError(
            f"{human(needed_bytes)} are needed and {human(free)} are free in the workspace of the build:"
            " give builds a larger one"
        )
