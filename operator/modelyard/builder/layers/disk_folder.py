"""A folder of the disk whose entries another process may replace while they are read.

No symbolic link is followed, neither of an entry nor of a folder on the way to it. So a process that
exchanges a folder for a link cannot choose which file of this process becomes content of a layer.
"""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from modelyard.contract.errors import BuildStepFailedError

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK_BYTES: Final = 1024 * 1024
_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # waits for no pipe


@dataclass(frozen=True)
class DiskLink:
    """A symbolic link, which is stored as such."""

    target: str


class DiskFolder:
    """A folder below a base that only this process and its administrator can replace."""

    def __init__(self, base: Path, relative: str = ".") -> None:
        """Open the folder. Raises BuildStepFailedError if there is none, or if a link is on its way."""
        with _Opened(os.open(base, _FOLDER_FLAGS)) as opened:
            self._fd = _open_beneath(opened, PurePosixPath(relative), _FOLDER_FLAGS)
        weakref.finalize(self, os.close, self._fd)

    def entries(self) -> Iterator[tuple[PurePosixPath, DiskFile | DiskLink | None]]:
        """Yield each path below the folder with its entry, None for a folder. Raises BuildStepFailedError."""
        for parent, folders, files, fd in os.fwalk(".", dir_fd=self._fd, onerror=_raise):
            for name in (*folders, *files):
                path = PurePosixPath(parent, name)
                yield path, self._entry(path, name, fd)

    def entry(self, name: str) -> DiskFile | DiskLink | None:
        """Return the entry with a name, None for a folder. Raises BuildStepFailedError if it is no file."""
        return self._entry(PurePosixPath(name), name, self._fd)

    def _entry(self, path: PurePosixPath, name: str, fd: int) -> DiskFile | DiskLink | None:
        state = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if stat.S_ISDIR(state.st_mode):
            return None
        if stat.S_ISLNK(state.st_mode):
            return DiskLink(os.readlink(name, dir_fd=fd))
        if stat.S_ISREG(state.st_mode):
            return DiskFile(self, path, state.st_size, bool(state.st_mode & 0o111))
        raise BuildStepFailedError(f"{str(path)!r} is a device, a pipe or a socket: no layer contains it")

    def open(self, path: PurePosixPath) -> int:
        """Return a descriptor of a file. Raises BuildStepFailedError for a link, also on the way to it."""
        fd = _open_beneath(self._fd, path, _FILE_FLAGS)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise _changed(path)
        return fd


@dataclass(frozen=True)
class DiskFile:
    """A file of a folder, as a SizedReadableAt."""

    folder: DiskFolder
    path: PurePosixPath
    size: int
    executable: bool

    def open(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes from an offset. Raises BuildStepFailedError if the file has become shorter."""
        with _Opened(self.folder.open(self.path)) as fd:
            while offset < self.size:
                chunk = os.pread(fd, min(_CHUNK_BYTES, self.size - offset), offset)
                if not chunk:
                    raise _changed(self.path)
                offset += len(chunk)
                yield chunk


class _Opened:
    """A descriptor that is closed after the block."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _open_beneath(base: int, path: PurePosixPath, flags: int) -> int:
    """Open a path below a folder without following links. The standard library has no openat2."""
    *parents, name = path.parts or (".",)
    opened = os.dup(base)
    try:
        for part in parents:
            deeper = os.open(part, _FOLDER_FLAGS, dir_fd=opened)
            os.close(opened)
            opened = deeper
        return os.open(name, flags, dir_fd=opened)
    except OSError:
        raise _changed(path) from None
    finally:
        os.close(opened)


def _changed(path: PurePosixPath) -> BuildStepFailedError:
    return BuildStepFailedError(f"{str(path)!r} of the packages was replaced while it was read")


def _raise(error: OSError) -> None:
    raise error
