"""Downloads of models and assets, to the disk or as streams."""

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


def fetch(source: Source, folder: Path, *, name: str, limit_bytes: int, context: FetchContext) -> FetchedFile:
    """Download a source into an empty folder. `name` is the file name if the URL has none.

    Raises SourceError and its subclasses, DiskFullError, and UnsafeArchiveError for an artifact with a file
    whose path leads outside.
    """
    with open_source(source, context) as opened:
        if isinstance(opened, RemoteFolder):
            return _download_folder(opened, folder / name, limit_bytes, context)
        return download(opened, folder / (opened.name or name), limit_bytes, context)


def open_stream(
    source: Source, *, name: str, limit_bytes: int, context: FetchContext
) -> StreamedSource | None:
    """Return the source as a stream, which the caller must close. A stream needs no disk.

    Returns None for an archive to unpack, a folder, and a file of unknown size: use `fetch` for these. Raises
    the same errors as `fetch`.
    """
    if source.unpack:
        return None
    with ExitStack() as stack:
        opened = stack.enter_context(open_source(source, context))
        if isinstance(opened, RemoteFolder):
            return None
        stream = stack.enter_context(FileStream(opened, name, limit_bytes, context))
        return None if stream.size is None else StreamedSource(stream, stream.size, stack.pop_all())


def _download_folder(
    remote: RemoteFolder, folder: Path, limit_bytes: int, context: FetchContext
) -> FetchedFile:
    left = limit_bytes
    for relative_path, file in remote.files.items():
        path = folder / relative_path
        with disk_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
        left -= download(file, path, left, context).size
    return FetchedFile(folder, folder.name, limit_bytes - left, remote.digest)
