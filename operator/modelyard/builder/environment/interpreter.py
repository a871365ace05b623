"""The Python of the builder that compiles modules, and builds source distributions."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Final

from modelyard.builder.environment.target import Target

_START_SECONDS: Final = 30


def find_interpreter(target: Target) -> str | None:
    """Return the path of a Python of the target's minor version, None without one."""
    if target.minor == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    path = shutil.which(f"python{target.minor}")
    if path is None:
        return None
    # The command may not work: a version manager has one for each version that it could install.
    try:
        ran = subprocess.run([path, "-I", "-c", ""], check=False, capture_output=True, timeout=_START_SECONDS)  # noqa: S603
    except OSError:  # its folder is closed to a confined process
        return None
    return path if ran.returncode == 0 else None
