"""The state of a build that waits for something outside of the build."""

from __future__ import annotations

from typing import NamedTuple


class Waiting(NamedTuple):
    """A build that waits for another object, or that cannot use one as it is."""

    reason: str  # of the status, one CamelCase word
    message: str
    stalled: bool = False  # only a user can change it
