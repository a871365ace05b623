"""Programs that only some tests run."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

_TOOL: Final = Path(__file__).parents[1] / "cluster" / "tool.sh"


@cache
def build(name: str) -> Path:
    """Return the path of a program, built on first use. Raises RuntimeError if a prerequisite is missing."""
    done = subprocess.run([_TOOL, name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} cannot be built: {done.stderr.strip()}")
    return Path(done.stdout.strip())


def program(name: str) -> Path:
    """Return the path of a program, built on first use; the test fails if a prerequisite is missing."""
    try:
        return build(name)
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)
