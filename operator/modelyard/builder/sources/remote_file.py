"""The content at a URL, the same for all schemes: a file, or a folder of files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from modelyard.streams.range_stream import RangeStream


class RemoteFile(Protocol):
    """A file at a URL. Each attempt to read the file calls `open` again."""

    @property
    def name(self) -> str | None:
        """Return the file name that the URL or the artifact declares, None without a name."""

    @property
    def digest(self) -> str | None:
        """Return the expected digest (sha256:…) of the bytes, None if unknown."""

    def open(self, offset: int) -> AbstractContextManager[RangeStream]:
        """Open the file from `offset` on, or from 0 if the file may have changed since the last call.

        Raises SourceError and its subclasses, also while the chunks are read.
        """


@dataclass(frozen=True)
class RemoteFolder:
    """The files of an artifact, by their paths in the folder."""

    files: Mapping[PurePosixPath, RemoteFile]
    digest: str
    """sha256:… of the manifest, which has the digests of all files."""
