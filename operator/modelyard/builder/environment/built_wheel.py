"""The wheel that a build has made of a source distribution."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

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
