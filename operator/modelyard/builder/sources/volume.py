"""Files at pvc://claim/path/to/file, on a PersistentVolumeClaim of the operator's namespace.

The operator mounts claims, read-only, for namespaces that are allowed to read them. Other programs may write
to the volumes during a build. So the path of a file is checked after the file was opened, not before.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from modelyard.builder.sources.context import FetchContext
from modelyard.contract.build_request import Source
from modelyard.contract.errors import (
    SourceDeniedError,
    SourceForbiddenError,
    SourceInvalidError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnavailableError,
)
from modelyard.contract.urls import (
    claim_name,
    file_name,
)
from modelyard.redaction import redact
from modelyard.streams.range_stream import RangeStream

_CHUNK_BYTES: Final = 1024 * 1024
_PERMANENT_ERRORS: Final = frozenset({errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO})  # ENXIO: a socket
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a named pipe would block for a writer


@contextmanager
def volume_file(source: Source, context: FetchContext) -> Iterator[VolumeFile]:
    """Open a file of a volume.

    Raises SourceInvalidError for an invalid URL or credentials, SourceDeniedError for a claim that is not
    mounted.
    """
    url = source.url or ""
    claim = claim_name(url)
    path = unquote(urlsplit(url).path) if claim else ""
    if source.credentials:
        raise SourceInvalidError(f"{redact(url)} takes no credentials: remove secretRef")
    if "\0" in path:
        raise SourceInvalidError(f"{redact(url)} has a null character in its path: correct the url")
    root = next((root for root in _roots(context) if root.name == claim), None)
    if root is None:
        raise SourceDeniedError(
            f"{redact(url)}: the claim {claim!r} is not mounted: add it to build.sources.claims"
        )
    yield VolumeFile(root, root / path.lstrip("/"), url, source.digest)


def _roots(context: FetchContext) -> Iterable[Path]:
    return context.claims.resolve().iterdir() if context.claims else ()


class VolumeFile:
    """A RemoteFile on a volume."""

    def __init__(self, root: Path, path: Path, url: str, digest: str | None) -> None:
        self.name = file_name(url)
        self.digest = digest
        self._root = root
        self._path = path
        self._url = redact(url)
        self._state: tuple[int, ...] | None = None

    @contextmanager
    def open(self, offset: int) -> Iterator[RangeStream]:
        """Open the file from `offset` on, see RemoteFile."""
        with ExitStack() as stack, self._source_errors():
            file = os.open(self._path, _OPEN_FLAGS)
            stack.callback(os.close, file)
            self._check(file)
            state = _state(file)
            start = offset if state == self._state else 0
            self._state = state
            yield RangeStream(start, os.fstat(file).st_size, self._chunks(file, start))

    def _check(self, file: int) -> None:
        if not Path(f"/proc/self/fd/{file}").readlink().is_relative_to(self._root):
            raise SourceDeniedError(
                f"{self._url} leads out of its volume by '..' or a link: give a path inside the volume"
            )
        mode = os.fstat(file).st_mode
        if stat.S_ISDIR(mode):
            raise SourceRefusedError(f"{self._url} is a folder: create a zip or tar of it, and set unpack")
        if not stat.S_ISREG(mode):
            raise SourceRefusedError(f"{self._url} is a device, a pipe or a socket: give the path of a file")

    def _chunks(self, file: int, start: int) -> Iterator[bytes]:
        position = start
        while chunk := os.pread(file, _CHUNK_BYTES, position):
            position += len(chunk)
            yield chunk
        if _state(file) != self._state:
            raise SourceUnavailableError(f"{self._url} is being written: it changed during its download")

    @contextmanager
    def _source_errors(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise SourceNotFoundError(
                f"{self._url} does not exist: correct the url, or write the file"
            ) from None
        except PermissionError:
            raise SourceForbiddenError(
                f"{self._url} is not readable by the user {os.getuid()} of builds: run chmod -R o+rX on it"
            ) from None
        except OSError as error:
            kind = SourceRefusedError if error.errno in _PERMANENT_ERRORS else SourceUnavailableError
            raise kind(f"{self._url} cannot be read: {error.strerror}") from None


def _state(file: int) -> tuple[int, ...]:
    """Return inode, size and modification time, which differ if the content may have changed."""
    found = os.fstat(file)
    return found.st_ino, found.st_size, found.st_mtime_ns
