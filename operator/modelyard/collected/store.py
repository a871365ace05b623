"""The store of collected rows: S3, Azure Blob, Google Storage, or a folder.

Credentials come from the environment, by the names that the tools of the clouds use. Files are listed by
folders of days, so that a short window of a large store takes few requests.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final, cast

import obstore
from obstore.exceptions import BaseError, NotFoundError, PreconditionError
from obstore.store import LocalStore, ObjectStore, from_url

from modelyard.collected.errors import CollectedDataError, FileChangedError
from modelyard.collected.window import ROOT, Window
from modelyard.object_stores.connection import first_line, is_panic
from modelyard.redaction import redact

SUFFIXES: Final = (".parquet", ".jsonl")
_CLIENT_OPTIONS: Final = {
    "allow_http": True,  # an endpoint in the environment decides
    "connect_timeout": timedelta(seconds=10),
    "timeout": timedelta(minutes=5),
}
_RETRY: Final = {"max_retries": 5, "retry_timeout": timedelta(minutes=2)}
_SPOOL_BYTES: Final = 4 * 1024 * 1024  # a larger file goes to the disk while it is read
_CHUNK_BYTES: Final = 1024 * 1024


@dataclass(frozen=True)
class StoredFile:
    """A file of rows: its path below the URL of the store, and its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True)
class FileVersion:
    """The version of a file that was read, for a write that replaces no other one."""

    e_tag: str | None
    version: str | None


class CollectedStore:
    """The files of collected rows below a URL."""

    def __init__(self, url: str) -> None:
        """Open `s3://bucket/prefix`, `abfs://…`, `gs://…`, `file:///folder` or a folder.

        Raises CollectedDataError for an invalid URL.
        """
        self._name = redact(url) if "://" in url else url
        with self._errors():
            self._store = _opened(url)

    def file_groups(self, window: Window) -> Iterator[list[StoredFile]]:
        """Yield the files of a window by collector and day, sorted by path. Raises CollectedDataError."""
        for folder in self._folders(ROOT, window.levels):
            for day in window.day_folders():
                files = self._files(f"{folder}/{day}".rstrip("/"))
                if found := [file for file in files if window.holds_hour(file.path)]:
                    yield sorted(found, key=lambda file: file.path)

    @contextmanager
    def opened(self, file: StoredFile) -> Iterator[tuple[IO[bytes], FileVersion]]:
        """Open a copy of a file, and give its version. Raises CollectedDataError."""
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as copy:
            with self._errors(file.path):
                response = obstore.get(self._store, file.path)
                version = FileVersion(response.meta["e_tag"], response.meta["version"])
                for chunk in response.stream(min_chunk_size=_CHUNK_BYTES):
                    copy.write(bytes(chunk))
            copy.seek(0)
            yield cast("IO[bytes]", copy), version

    def replace(self, file: StoredFile, content: bytes, version: FileVersion) -> None:
        """Write a file in one step: readers see the old content or the new one.

        Raises FileChangedError if the file is no longer of this version, and CollectedDataError.
        """
        mode: Any = {name: value for name, value in asdict(version).items() if value is not None}
        if isinstance(self._store, LocalStore):  # a folder has no conditional writes
            mode = "overwrite"
        with self._errors(file.path):
            obstore.put(self._store, file.path, content, mode=mode, use_multipart=False)

    def remove(self, file: StoredFile) -> None:
        """Delete a file. One that does not exist is no error. Raises CollectedDataError for others."""
        try:
            with self._errors(file.path):
                obstore.delete(self._store, file.path)
        except FileNotFoundError:
            return

    def _folders(self, folder: str, levels: Sequence[str | None]) -> Iterator[str]:
        """Yield the folders at the last of the levels; a level None stands for all its folders."""
        if not levels:
            yield folder
            return
        if levels[0] is not None:
            yield from self._folders(f"{folder}/{levels[0]}", levels[1:])
            return
        with self._errors(folder):
            found = obstore.list_with_delimiter(self._store, folder)["common_prefixes"]
        for one in sorted(found):
            yield from self._folders(one.rstrip("/"), levels[1:])

    def _files(self, folder: str) -> Iterator[StoredFile]:
        with self._errors(folder):
            for page in obstore.list(self._store, folder):
                for meta in page:
                    if meta["path"].endswith(SUFFIXES):
                        yield StoredFile(meta["path"], meta["size"])

    @contextmanager
    def _errors(self, path: str = "") -> Iterator[None]:
        name = f"{self._name.rstrip('/')}/{path}".rstrip("/")
        try:
            yield
        except PreconditionError:
            raise FileChangedError(name) from None
        except (NotFoundError, FileNotFoundError):
            raise FileNotFoundError(name) from None
        except (BaseError, ValueError, OSError) as error:
            raise CollectedDataError(
                f"{name}: {first_line(error)}; check the URL, and the credentials in the environment"
            ) from None
        except BaseException as error:
            if not is_panic(error):
                raise
            raise CollectedDataError(f"{name}: the library for object stores rejects the URL") from None


def _opened(url: str) -> ObjectStore:
    if "://" not in url or url.startswith("file://"):
        folder = Path(url.removeprefix("file://")).absolute()
        if not folder.is_dir():
            raise ValueError("this folder does not exist")
        return LocalStore(folder)
    open_store = cast("Callable[..., ObjectStore]", from_url)  # the overloads need a constant scheme
    return open_store(url.rstrip("/"), client_options=_CLIENT_OPTIONS, retry_config=_RETRY)
