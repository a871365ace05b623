"""Untrusted names of files, made into paths that cannot leave a folder."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from modelyard.contract.errors import UnsafeArchiveError

_NAME_BYTES: Final = 255  # of ext4, xfs and overlayfs
_PATH_BYTES: Final = 2048  # half of Linux's PATH_MAX; the other half is for the path of the folder


def inner_path(name: str) -> PurePosixPath:
    """Return the path of an archive's entry relative to the folder of the archive; `.` is the folder itself.

    Raises UnsafeArchiveError for an absolute path, a path with `..`, and a name that Linux cannot store.
    """
    path = PurePosixPath(name)
    if path.is_absolute():
        raise UnsafeArchiveError(
            f"the entry {name!r} has an absolute path: create the archive with relative paths"
        )
    if ".." in path.parts:
        raise UnsafeArchiveError(
            f"the entry {name!r} leads outside of the archive by '..': create the archive without it"
        )
    encoded = [part.encode("utf-8", "surrogateescape") for part in path.parts]
    if "\0" in name or any(len(part) > _NAME_BYTES for part in encoded) or len(name) > _PATH_BYTES:
        raise UnsafeArchiveError(
            f"the entry {name[:80]!r}… has a name that a file system cannot store: shorten it"
        )
    return path
