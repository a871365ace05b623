"""Readers for the environment variables of a build pod."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def optional_path(environment: Mapping[str, str], name: str) -> Path | None:
    """Return the value of a variable as a path, None if the variable is unset or empty."""
    value = environment.get(name)
    return Path(value) if value else None
