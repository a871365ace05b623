"""What there is at a URL: a file, or a folder of them, whichever kind of place it is."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from modelyard.streams.range_stream import RangeStream


class RemoteFile(Protocol):
    """A file, opened anew for each try."""

    @property
    def name(self) -> str | None:
        """The file name that the place gives it."""

    @property
    def digest(self) -> str | None:
        """sha256:… that the bytes must have."""

    def open(self, offset: int) -> AbstractContextManager[RangeStream]:
        """From `offset` on where the place can do that for the very same file, from 0 else.

        Raises SourceError and its kinds, also for what goes wrong while the chunks are read.
        """


@dataclass(frozen=True)
class RemoteFolder:
    """Files by their paths in it."""

    files: Mapping[PurePosixPath, RemoteFile]
    digest: str
    """sha256:… that stands for all of it."""
