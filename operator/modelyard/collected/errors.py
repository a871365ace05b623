"""Errors of the files of collected rows."""

from __future__ import annotations


class CollectedDataError(Exception):
    """A store or a file that cannot be read or written, with the way out in its message."""


class FileChangedError(Exception):
    """A file that was written by another program since it was read."""
