"""Download of a file to the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO

from modelyard.builder.disk import (
    check_free_space,
    disk_errors,
)
from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.file_stream import FileStream
from modelyard.builder.sources.remote_file import RemoteFile
from modelyard.contract.build_progress import ProgressMeter
from modelyard.contract.errors import SourceChangedError
from modelyard.sizes import human


@dataclass(frozen=True)
class FetchedFile:
    """A file on the disk, or the folder of an artifact with several files."""

    path: Path
    name: str
    size: int
    """Total bytes."""
    digest: str
    """sha256:… of the file's bytes, of the artifact's manifest for a folder."""


def download(remote: RemoteFile, path: Path, limit_bytes: int, context: FetchContext) -> FetchedFile:
    """Download a file to `path`. If the file changes during the download, download it once more.

    Raises SourceError and its subclasses, and DiskFullError.
    """
    try:
        return _download(remote, path, limit_bytes, context)
    except SourceChangedError as error:
        context.log(str(error))
        return _download(remote, path, limit_bytes, context)


def _download(remote: RemoteFile, path: Path, limit_bytes: int, context: FetchContext) -> FetchedFile:
    with FileStream(remote, path.name, limit_bytes, context) as stream, path.open("wb", buffering=0) as file:
        check_free_space(path.parent, stream.size or 0)
        meter = ProgressMeter(context.log, path.name, stream.size)
        for chunk in stream.open(0):
            _write(file, chunk)
            meter.update(stream.read_bytes)
        context.log(f"{path.name}: {human(stream.read_bytes)}, {stream.digest}")
        return FetchedFile(path, path.name, stream.read_bytes, stream.digest)


def _write(file: IO[bytes], chunk: bytes) -> None:
    rest = memoryview(chunk)
    with disk_errors():
        while rest:
            rest = rest[file.write(rest) :]
