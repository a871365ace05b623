"""Unpacks untrusted archives.

Names are checked. Bytes are counted as they are read, since headers may state other sizes. Links are created
last, so that no file is written through a link. The filters of `tarfile` do not suffice on every supported
Python (https://nvd.nist.gov/vuln/detail/CVE-2025-4517).
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final, cast

from modelyard.builder.archive_paths import inner_path
from modelyard.builder.disk import disk_errors
from modelyard.contract.errors import (
    ArchiveTooLargeError,
    NotAnArchiveError,
    UnsafeArchiveError,
)
from modelyard.sizes import human

_CHUNK_BYTES: Final = 1024 * 1024
_HEADER_BYTES: Final = 1024 * 1024
"""Limit of all headers between two entries: tarfile keeps headers in memory, so a bomb may be in them."""
_ENCRYPTED: Final = 0x1  # general purpose bit 0, APPNOTE 4.4.4
_MAGIC_BYTES: Final = 6
_ZIP_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")
_BLOCK_BYTES: Final = 10240
_DAMAGED: Final = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, OverflowError),
    NotImplementedError,  # a version of zip that does not exist
)


@dataclass(frozen=True)
class Unpacked:
    """The files and links of an unpacked archive, relative to its folder, and their total bytes."""

    paths: tuple[PurePosixPath, ...]
    size: int


def unpack(archive: Path, folder: Path, *, limit_bytes: int, limit_files: int) -> Unpacked:
    """Unpack a zip, tar, tar.gz, tar.bz2 or tar.xz into a new folder. The content tells the format.

    Files get the mode 0644, executable files 0755, and the owner and time of this process. Raises
    NotAnArchiveError, UnsafeArchiveError, ArchiveTooLargeError, DiskFullError.
    """
    writer = _Writer(folder, limit_bytes, limit_files)
    with archive.open("rb") as file:
        start = file.read(_MAGIC_BYTES)
    read = _unzip if start.startswith(_ZIP_MAGIC) else _untar
    try:
        with disk_errors():
            folder.mkdir()
            read(archive, start, writer)
            return writer.finish()
    except _DAMAGED as error:
        raise NotAnArchiveError(
            f"{archive.name} is not a zip, tar, tar.gz, tar.bz2 or tar.xz, or is damaged: {error}"
        ) from None
    except OSError as error:
        # gzip and bz2 raise OSError without errno for damaged data. EINVAL: a zip with a negative offset.
        if error.errno not in {None, errno.EINVAL}:
            raise
        raise NotAnArchiveError(f"{archive.name} is damaged: {error}") from None


class _Writer:
    """Writes the entries of an archive below a folder, within the limits."""

    def __init__(self, folder: Path, limit_bytes: int, limit_files: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._limit_files = limit_files
        self._sizes: dict[PurePosixPath, int] = {}
        self._folders: set[PurePosixPath] = {PurePosixPath()}
        self._links: dict[PurePosixPath, PurePosixPath] = {}
        self._size = 0

    def folder(self, name: str) -> None:
        """Create a folder and its parents."""
        self._make_folder(inner_path(name), name)

    def file(self, name: str, content: IO[bytes], *, executable: bool) -> None:
        """Write a file and count its bytes."""
        path = self._new_entry(name)
        self._sizes[path] = 0
        with (self._folder / path).open("wb") as target:
            while chunk := content.read(_CHUNK_BYTES):
                self._count_bytes(len(chunk), name)
                self._sizes[path] += len(chunk)
                target.write(chunk)
        (self._folder / path).chmod(0o755 if executable else 0o644)

    def hard_link(self, name: str, target: str) -> None:
        """Create a hard link. It counts as a copy, since the image gets a copy."""
        old = inner_path(target)
        if old not in self._sizes:
            raise UnsafeArchiveError(
                f"the entry {name!r} is a hard link to {target!r}, which is no earlier file of the archive"
            )
        path = self._new_entry(name)
        if path == old:
            raise UnsafeArchiveError(f"the entry {name!r} is a hard link to itself")
        self._count_bytes(self._sizes[old], name)
        self._sizes[path] = self._sizes[old]
        (self._folder / path).hardlink_to(self._folder / old)

    def symbolic_link(self, name: str, target: str) -> None:
        """Check a symbolic link, which `finish` creates.

        Parents of entries are real folders, never links: so leading `..` can be counted.
        """
        path = self._new_entry(name)
        parts = PurePosixPath(target).parts
        ups = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
        if not parts or target.startswith("/") or ups > len(path.parents) - 1 or ".." in parts[ups:]:
            raise UnsafeArchiveError(
                f"the entry {name!r} is a link to {target!r}, outside of the archive: remove it"
            )
        inner_path(str(PurePosixPath(*parts[ups:])))
        self._links[path] = PurePosixPath(target)

    def finish(self) -> Unpacked:
        """Create the symbolic links and return the result."""
        for path, target in self._links.items():
            (self._folder / path).symlink_to(target)
        return Unpacked(tuple(sorted({*self._sizes, *self._links})), self._size)

    def _new_entry(self, name: str) -> PurePosixPath:
        """Return the path for a file or a link. It replaces an earlier entry of the same name, as in tar."""
        path = inner_path(name)
        if path in self._folders:
            raise UnsafeArchiveError(f"the entry {name!r} is a file and a folder")
        self._make_folder(path.parent, name)
        if self._sizes.pop(path, None) is not None:
            (self._folder / path).unlink()
        self._links.pop(path, None)
        self._check_count()
        return path

    def _make_folder(self, path: PurePosixPath, name: str) -> None:
        for part in (*reversed(path.parents), path):
            if part in self._folders:
                continue
            if part in self._sizes or part in self._links:
                raise UnsafeArchiveError(f"the entry {name!r} is below {str(part)!r}, which is not a folder")
            self._check_count()
            (self._folder / part).mkdir()
            self._folders.add(part)

    def _check_count(self) -> None:
        if len(self._sizes) + len(self._links) + len(self._folders) > self._limit_files:
            raise ArchiveTooLargeError(
                f"the archives have more than the {self._limit_files} files that one build may unpack"
            )

    def _count_bytes(self, size: int, name: str) -> None:
        self._size += size
        if self._size > self._limit_bytes:
            raise ArchiveTooLargeError(
                f"the entry {name!r} goes beyond the {human(self._limit_bytes)} that one build may unpack"
            )


def _unzip(archive: Path, _: bytes, writer: _Writer) -> None:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            name = entry.filename.replace(
                "\\", "/"
            )  # old .NET writes backslashes, which APPNOTE 4.4.17.1 forbids
            mode = entry.external_attr >> 16
            if entry.flag_bits & _ENCRYPTED:
                raise NotAnArchiveError(
                    f"the entry {name!r} is encrypted: create the archive without a password"
                )
            if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise UnsafeArchiveError(
                    f"the entry {name!r} of the zip is a link or a device: use a tar for links"
                )
            if name.endswith("/"):
                writer.folder(name)
                continue
            try:
                with opened.open(entry) as content:
                    writer.file(name, content, executable=bool(mode & 0o111))
            except NotImplementedError as error:
                raise NotAnArchiveError(f"the entry {name!r} of the zip cannot be read: {error}") from None


def _untar(archive: Path, start: bytes, writer: _Writer) -> None:
    with _decompressed(archive, start) as stream:
        bounded = _BoundedHeaders(stream)
        with tarfile.open(fileobj=bounded, mode="r|") as opened:  # type: ignore[call-overload]
            while True:
                bounded.start_header()
                entry = opened.next()
                if entry is None:
                    break
                bounded.start_content()
                _write_tar_entry(opened, entry, writer)
            while bounded.read(_BLOCK_BYTES):
                pass  # reads to the end, where a compressed archive has its checksum


def _write_tar_entry(opened: tarfile.TarFile, entry: tarfile.TarInfo, writer: _Writer) -> None:
    if entry.isdir():
        writer.folder(entry.name)
    elif entry.issym():
        writer.symbolic_link(entry.name, entry.linkname)
    elif entry.islnk():
        writer.hard_link(entry.name, entry.linkname)
    elif entry.isfile() and (content := opened.extractfile(entry)) is not None:
        writer.file(entry.name, content, executable=bool(entry.mode & 0o111))
    else:
        raise UnsafeArchiveError(f"the entry {entry.name!r} is a device or a pipe, not a file: remove it")


def _decompressed(archive: Path, start: bytes) -> IO[bytes]:
    if start.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(archive))
    if start.startswith(b"BZh"):
        return bz2.open(archive)
    if start.startswith(b"\xfd7zXZ\0"):
        return lzma.open(archive)
    return archive.open("rb")


class _BoundedHeaders:
    """A stream that limits the bytes of headers between two entries of a tar."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left: int | None = _HEADER_BYTES  # None while content is read

    def start_header(self) -> None:
        """Limit the bytes of the next header."""
        self._left = _HEADER_BYTES

    def start_content(self) -> None:
        """Read without a limit: the writer counts the bytes of content."""
        self._left = None

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes. Raises UnsafeArchiveError beyond the limit of headers."""
        data = self._stream.read(size)
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise UnsafeArchiveError("the archive has a header, or an end, of more than 1 MiB")
        return data
