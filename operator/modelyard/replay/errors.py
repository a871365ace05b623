"""Errors that end a replay."""

from __future__ import annotations


class ReplayError(Exception):
    """A reason to stop, with the way out in its message."""
