"""The wheel that a build has made of a source distribution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict

WHEEL_HOST: Final = "wheels.modelyard.invalid"
"""Host of the guard's own URLs: http://<host>/<key> is a cached wheel. No DNS has the name (RFC 6761)."""


WHEELS: Final = "wheels"
"""Folder of the wheels of a job, beside the folder of its packages."""


class BuiltWheel(BaseModel):
    """A wheel, and where it came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    """Hash of the inputs of its build, its key in the cache."""
    path: Path
    digest: str
    """sha256:<64 hex> of the wheel."""
    size: int


class OpenWheel(NamedTuple):
    """A cached wheel."""

    name: str
    digest: str
    size: int
    chunks: Iterator[bytes]


WheelReader = Callable[[str], AbstractContextManager[OpenWheel | None]]
"""Opens a cached wheel by its key. None if the cache does not have it."""
