"""Names of files that strangers chose, made into paths that cannot leave a folder."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from modelyard.contract.errors import UnsafeArchiveError

_NAME_BYTES: Final = 255  # of ext4, xfs and overlayfs
_PATH_BYTES: Final = 2048  # half of Linux's PATH_MAX, the other half is the folder's


def inner_path(name: str) -> PurePosixPath:
    """The path of an archive's entry below the folder that it is unpacked into; `.` is that folder itself.

    Raises UnsafeArchiveError, which names the entry.
    """
    path = PurePosixPath(name)
    if path.is_absolute():
        raise UnsafeArchiveError(f"the entry {name!r} has an absolute path")
    if ".." in path.parts:
        raise UnsafeArchiveError(f"the entry {name!r} reaches outside of the folder by '..'")
    encoded = [part.encode("utf-8", "surrogateescape") for part in path.parts]
    if "\0" in name or any(len(part) > _NAME_BYTES for part in encoded) or len(name) > _PATH_BYTES:
        raise UnsafeArchiveError(f"the entry {name[:80]!r}… has a name that a file system cannot take")
    return path
