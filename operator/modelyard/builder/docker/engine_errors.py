"""The errors of a Docker engine as errors of the build.

The engine has no codes for most failures, so the text of its message tells the kinds apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from modelyard.builder.message_text import shortened
from modelyard.coded_error import CodedError
from modelyard.contract.errors import (
    BaseImageNotFoundError,
    BuildStepFailedError,
    DiskFullError,
    PackageIndexUnavailableError,
    PipFailedError,
)
from modelyard.oci.errors import (
    RegistryError,
    RegistryForbiddenError,
    RegistryRefusedError,
    RegistryUnavailableError,
)

_MESSAGE_CHARACTERS: Final = 1000
_PIP_INSTALL: Final = "-m pip install"
_PIP_ERROR: Final = re.compile(r"^(?:ERROR|error): (.+)|^(.+: No module named (?:pip|venv))$")
_INDEX_DOWN: Final = re.compile(r"after connection broken by|confirming the ssl certificate", re.IGNORECASE)
_VERSIONS: Final = re.compile(r"\(from versions: .*?((?:[^ ,]+, ){4}[^ ,]+)\)")
_PIP_HINTS: Final = (
    (
        re.compile(r"Cannot find command 'git'", re.IGNORECASE),
        "a base image with the program git can install `git+https://…`: offer one in build.baseImages, or"
        " require a version of the package",
    ),
    (
        re.compile(r"\[Errno 2\] No such file or directory: '/"),
        "a line of the requirements names a file of another machine, as `pip freeze` does: require a version,"
        " such as numpy==1.0",
    ),
    (
        re.compile(r"\b(?:401|407) (?:Error|Client Error|Unauthorized|Proxy Authentication)", re.IGNORECASE),
        "build steps get no logins of indexes and proxies, which source distributions could read: use the"
        " builder Layers, or set build.docker.shareCredentials of the chart",
    ),
)
"""Pattern in pip's errors → the way out."""
_NO_VERSIONS: Final = "(from versions: none)"
_DISK_FULL: Final = re.compile(r"no space left on device|\[Errno 28\]", re.IGNORECASE)
_NOT_FOUND: Final = re.compile(
    r"manifest unknown|not found|repository does not exist|pull access denied|no such image", re.IGNORECASE
)
_FORBIDDEN: Final = re.compile(
    r"unauthorized|authentication required|no basic auth credentials|denied|forbidden", re.IGNORECASE
)
_UNAVAILABLE: Final = re.compile(
    r"connection (?:refused|reset)|no such host|timeout|timed out|deadline exceeded|\bEOF\b|unreachable"
    r"|no route|broken pipe|toomanyrequests|too many requests|unexpected (?:HTTP )?status.*: (?:429|5\d\d)"
    r"|service unavailable|bad gateway|request canceled",
    re.IGNORECASE,
)


def build_error(instruction: str, output: Sequence[str], message: str) -> CodedError:
    """Return the error of a build that stopped at an instruction of the Dockerfile.

    `output` has the lines that the instruction printed, and `message` is the engine's error.
    """
    if _DISK_FULL.search(message) or any(map(_DISK_FULL.search, output)):
        return DiskFullError("the disk of the Docker engine is full: make room for images on the node")
    if instruction.startswith("FROM "):
        return _base_image_error(instruction.split()[1], message)
    if _PIP_INSTALL in instruction:
        return _pip_error(output, message)
    return BuildStepFailedError(_shortened(f"the step {instruction!r} failed: {message}"))


def push_error(target: str, message: str) -> RegistryError:
    """Return the error of a failed push of the image `target`; `message` is the engine's error."""
    summary = _shortened(f"pushing {target} failed: {message}")
    if _UNAVAILABLE.search(message):
        return RegistryUnavailableError(summary)
    if _FORBIDDEN.search(message):
        return RegistryForbiddenError(f"{summary}; check the registry credentials of the build")
    return RegistryRefusedError(summary)


def _base_image_error(image: str, message: str) -> CodedError:
    if _UNAVAILABLE.search(message):
        return RegistryUnavailableError(_shortened(f"the base image {image} cannot be pulled: {message}"))
    if _NOT_FOUND.search(message):
        return BaseImageNotFoundError(
            _shortened(f"the base image {image} does not exist, or needs credentials: {message}")
        )
    if _FORBIDDEN.search(message):
        return RegistryForbiddenError(_shortened(f"the base image {image} cannot be pulled: {message}"))
    return BuildStepFailedError(_shortened(f"the base image {image} cannot be used: {message}"))


def _pip_error(output: Sequence[str], message: str) -> CodedError:
    matches = filter(None, map(_PIP_ERROR.match, output))
    errors = dict.fromkeys(match[1] or match[2] for match in matches)  # each once, in order
    summary = "; ".join(_VERSIONS.sub(r"(newest versions: \1)", error) for error in errors)
    text = "\n".join((summary, *output))
    hint = next((f": {way_out}" for pattern, way_out in _PIP_HINTS if pattern.search(text)), "")
    summary = _shortened(summary or message)
    if _NO_VERSIONS in summary and any(map(_INDEX_DOWN.search, output)):
        return PackageIndexUnavailableError(f"pip cannot reach its package index: {summary}")
    return PipFailedError(f"pip cannot install the requirements: {summary}{hint}")


def _shortened(text: str) -> str:
    return shortened(text.strip(), _MESSAGE_CHARACTERS)
