"""Files that pass from one job of packages to another, through the process that starts both.

Code of packages has written in the folders of jobs: only regular files are read, and no link is followed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import ssl
import stat
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from modelyard.builder.environment.index_settings import PublicIndexSettings
from modelyard.builder.environment.registry_files import WHEEL_HOST
from modelyard.contract.errors import PackageIndexUnavailableError, SourceBuildFailedError
from modelyard.redaction import redact
from modelyard.sizes import human

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK_BYTES: Final = 1024 * 1024
_SECONDS: Final = 300.0
_FILE_NAME: Final = re.compile(r"[\w.+!-]+\.whl")
_NOT_FOUND: Final = 404


class PackageFiles:
    """A folder of source distributions, which jobs read."""

    def __init__(self, folder: Path, indexes: PublicIndexSettings) -> None:
        """Create the folder. `indexes` has the URL of the guard, through which files are downloaded."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._count = 0
        handlers: list[urllib.request.BaseHandler] = []
        context = ssl.create_default_context(cadata=indexes.ca_certificates)
        handlers.append(urllib.request.HTTPSHandler(context=context))
        if indexes.proxy:
            handlers.append(urllib.request.ProxyHandler({"http": indexes.proxy, "https": indexes.proxy}))
        self._has_guard = bool(indexes.proxy)
        self._opener = urllib.request.build_opener(*handlers)

    def new(self, name: str) -> Path:
        """Return the path of a new file, in a new folder, since its name tells the format."""
        self._count += 1
        folder = self.folder / str(self._count)
        folder.mkdir()
        return folder / name

    def download(self, url: str, file: Path, limit_bytes: int) -> None:
        """Download a source distribution. Raises PackageIndexUnavailableError and SourceBuildFailedError."""
        if not url.startswith(("http://", "https://")):
            raise SourceBuildFailedError(f"{redact(url)} is no http(s) URL of a source distribution")
        try:
            with self._opener.open(url, timeout=_SECONDS) as response, file.open("wb") as target:
                _copy(response, target, limit_bytes, redact(url))
        except (OSError, ValueError, HTTPException) as error:  # URLError is an OSError
            if file.exists() and shutil.disk_usage(file.parent).free == 0:
                raise
            raise PackageIndexUnavailableError(f"{redact(url)} does not answer: {error}") from None

    def cached_wheel(self, key: str, folder: Path, limit_bytes: int) -> str | None:
        """Get a wheel of the cache from the guard. Return its file name, None if the cache lacks it."""
        if not self._has_guard:
            return None
        try:
            with self._opener.open(f"http://{WHEEL_HOST}/{quote(key)}", timeout=_SECONDS) as response:
                name = response.headers.get("Content-Location", "")
                if not _FILE_NAME.fullmatch(name):
                    return None
                file = folder / name
                with file.open("wb") as target:
                    _copy(response, target, limit_bytes, name)
                if response.headers.get("ETag") == file_digest(file):
                    return str(name)
                file.unlink()
        except (OSError, HTTPException):
            pass
        return None  # the wheel is built again


def file_digest(file: Path) -> str:
    """Return sha256:<64 hex> of a file."""
    with file.open("rb") as opened:
        return f"sha256:{hashlib.file_digest(opened, 'sha256').hexdigest()}"


def read_regular(path: Path, limit_bytes: int) -> bytes:
    """Return the content of a regular file. Raises SourceBuildFailedError for another or a larger one."""
    with _open_regular(path) as source:
        content = source.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise _too_large(path.name, limit_bytes)
    return content


def copy_regular(path: Path, target: Path, limit_bytes: int) -> None:
    """Copy a regular file to a new file. Raises SourceBuildFailedError for another or a larger one."""
    with _open_regular(path) as source, target.open("xb") as copied:
        _copy(source, copied, limit_bytes, path.name)


def _open_regular(path: Path) -> IO[bytes]:
    """Open a regular file in a folder that its process can replace no more: its job has ended."""
    if path.parent.is_symlink():
        raise SourceBuildFailedError(f"{path.name} is not in a folder of its job")
    try:
        opened = os.open(path, _FLAGS)
    except OSError:
        raise SourceBuildFailedError(f"the build of a source distribution left no file {path.name}") from None
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise SourceBuildFailedError(f"{path.name} is no regular file")
    return open(opened, "rb")  # noqa: PTH123 - a file descriptor


def _copy(source: IO[bytes], target: IO[bytes], limit_bytes: int, name: str) -> None:
    copied = 0
    while chunk := source.read(_CHUNK_BYTES):
        copied += len(chunk)
        if copied > limit_bytes:
            raise _too_large(name, limit_bytes)
        target.write(chunk)


def _too_large(name: str, limit_bytes: int) -> SourceBuildFailedError:
    return SourceBuildFailedError(
        f"{name} has more than {human(limit_bytes)}, the limit of a source distribution"
    )
