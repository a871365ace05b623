"""The files of the spool: names, locks and sizes."""

import contextlib
import fcntl
import heapq
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

OPEN: Final = "open"
"""Suffix of a file that a writer appends to."""
SEALED: Final = "segment"
"""Suffix of a complete file."""

_NAME: Final = re.compile(r"([a-z0-9]{1,32})-([0-9]{1,20})-([0-9]{8})\.(open|segment)")

MODE: Final = 0o644
"""The collector only reads the files; it deletes them by its right in the folder."""


class SegmentName(NamedTuple):
    """The name of a file, sorted by writer and age."""

    writer: str
    """`front`, or `w` and the id of a worker process."""
    started_ns: int
    """When the writer started, in nanoseconds since the epoch. Frames are numbered from then on."""
    number: int
    """Files of a writer are numbered from 0. Numbers may be missing, those of frames count."""

    def file(self, suffix: str) -> str:
        """Return the name of the file."""
        return f"{self.writer}-{self.started_ns}-{self.number:08}.{suffix}"


class Usage(NamedTuple):
    """The present content of the spool."""

    size: int
    """Bytes of all files."""
    segments: int
    """Complete files."""


def parse_name(name: str) -> SegmentName | None:
    """Return the parts of the name of a complete file, None for other files."""
    found = _NAME.fullmatch(name)
    if found is None or found[4] != SEALED:
        return None
    return SegmentName(found[1], int(found[2]), int(found[3]))


def usage(folder: Path) -> Usage:
    """Return the use of the spool, of all its writers. Raises OSError if the folder cannot be read."""
    size = segments = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # the collector has deleted it
                size += entry.stat(follow_symlinks=False).st_size
                segments += entry.name.endswith(f".{SEALED}")
    return Usage(size, segments)


def create_open(path: Path) -> int | None:
    """Create and lock a file for appending. Return its descriptor.

    Return None if a reader has locked or deleted the new file before this process locked it: the file has no
    frame. Raises OSError if it cannot be created.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def seal(path: Path) -> None:
    """Rename an open file: it is complete. Raises OSError if the file does not exist, for example."""
    path.rename(path.with_suffix(f".{SEALED}"))


def seal_abandoned(folder: Path) -> int:
    """Complete open files whose writers have ended, and delete those without a frame. Return their number.

    Raises OSError if the folder cannot be read. Files that are no regular files stay untouched.
    """
    with os.scandir(folder) as entries:
        names = (entry.name for entry in entries)
        return sum(_seal_if_abandoned(folder / name) for name in names if _is_open(name))


def _is_open(name: str) -> bool:
    found = _NAME.fullmatch(name)
    return found is not None and found[4] == OPEN


def _seal_if_abandoned(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The writer may have completed the file, and begun no other of this name: the rename fails then.
            if os.fstat(file.fileno()).st_size:
                seal(path)
            else:
                path.unlink()
    except OSError:
        return False
    return True


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises OSError for other files: a driver can make links and pipes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no regular file")
    return os.fdopen(descriptor, "rb")


def sealed(folder: Path, most: int = 1000) -> list[SegmentName]:
    """Return the first complete files, those of a writer in order. Raises OSError if the folder is missing.

    `most` bounds the memory: a driver can make any number of files.
    """
    with os.scandir(folder) as entries:
        names = (parse_name(entry.name) for entry in entries)
        return heapq.nsmallest(most, (name for name in names if name is not None))
