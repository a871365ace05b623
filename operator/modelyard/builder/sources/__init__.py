"""Brings the bytes of a model or an asset to where they are needed, from wherever they are."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from modelyard.builder.disk import disk_errors
from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.download import (
    FetchedFile,
    download,
)
from modelyard.builder.sources.file_stream import (
    FileStream,
    StreamedSource,
)
from modelyard.builder.sources.remote_file import RemoteFolder
from modelyard.builder.sources.schemes import open_source
from modelyard.contract.build_request import Source

__all__ = ["FetchContext", "FetchedFile", "StreamedSource", "fetch", "open_stream"]


def fetch(source: Source, folder: Path, *, name: str, limit_bytes: int, context: FetchContext) -> FetchedFile:
    """Fetch one source into an empty folder, under the file name that its URL gives it, or else `name`.

    Raises SourceError and its kinds, DiskFullError, and UnsafeArchiveError for a folder of files whose names
    reach outside.
    """
    with open_source(source, context) as found:
        if isinstance(found, RemoteFolder):
            return _fetch_folder(found, folder / name, limit_bytes, context)
        return download(found, folder / (found.name or name), limit_bytes, context)


def open_stream(
    source: Source, *, name: str, limit_bytes: int, context: FetchContext
) -> StreamedSource | None:
    """The source as a stream that needs no disk, to be closed after use.

    None for what is to be unpacked, and for a file of unknown size: they are for `fetch`. Raises as it does.
    """
    if source.unpack:
        return None
    with ExitStack() as stack:
        found = stack.enter_context(open_source(source, context))
        if isinstance(found, RemoteFolder):
            return None
        stream = stack.enter_context(FileStream(found, name, limit_bytes, context))
        return None if stream.size is None else StreamedSource(stream, stream.size, stack.pop_all())


def _fetch_folder(found: RemoteFolder, folder: Path, limit_bytes: int, context: FetchContext) -> FetchedFile:
    left = limit_bytes
    for inner, remote in found.files.items():
        path = folder / inner
        with disk_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
        left -= download(remote, path, left, context).size
    return FetchedFile(folder, folder.name, limit_bytes - left, found.digest)
