"""What a Docker engine says when it fails, told apart by its words: it has no codes for most of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

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
_PIP: Final = "-m pip install"
_PIP_ERROR: Final = re.compile(r"^(?:ERROR|error): (.+)|^(.+: No module named (?:pip|venv))$")
_INDEX_DOWN: Final = re.compile(r"after connection broken by|confirming the ssl certificate", re.IGNORECASE)
_VERSIONS: Final = re.compile(r"\(from versions: .*?((?:[^ ,]+, ){4}[^ ,]+)\)")
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
    """Why a build stopped at an instruction of the Dockerfile, with the output of that instruction."""
    if _DISK_FULL.search(message) or any(map(_DISK_FULL.search, output)):
        return DiskFullError("the disk of the Docker engine is full: make room for images on the node")
    if instruction.startswith("FROM "):
        return _base_error(instruction.split()[1], message)
    if _PIP in instruction:
        return _pip_error(output, message)
    return BuildStepFailedError(_short(f"the step {instruction!r} failed: {message}"))


def push_error(target: str, message: str) -> RegistryError:
    """Why a push failed."""
    said = _short(f"pushing {target} failed: {message}")
    if _UNAVAILABLE.search(message):
        return RegistryUnavailableError(said)
    if _FORBIDDEN.search(message):
        return RegistryForbiddenError(f"{said}; check the registry credentials of the build")
    return RegistryRefusedError(said)


def _base_error(image: str, message: str) -> CodedError:
    if _UNAVAILABLE.search(message):
        return RegistryUnavailableError(_short(f"the base image {image} cannot be pulled: {message}"))
    if _NOT_FOUND.search(message):
        return BaseImageNotFoundError(
            _short(f"the base image {image} does not exist, or needs credentials: {message}")
        )
    if _FORBIDDEN.search(message):
        return RegistryForbiddenError(_short(f"the base image {image} cannot be pulled: {message}"))
    return BuildStepFailedError(_short(f"the base image {image} cannot be used: {message}"))


def _pip_error(output: Sequence[str], message: str) -> CodedError:
    found = [match[1] or match[2] for line in output if (match := _PIP_ERROR.match(line))]
    said = _short(
        "; ".join(_VERSIONS.sub(r"(newest versions: \1)", line) for line in dict.fromkeys(found)) or message
    )
    if _NO_VERSIONS in said and any(map(_INDEX_DOWN.search, output)):
        return PackageIndexUnavailableError(f"pip cannot reach its package index: {said}")
    return PipFailedError(f"pip cannot install the requirements: {said}")


def _short(text: str) -> str:
    return text if len(text) <= _MESSAGE_CHARACTERS else f"{text[: _MESSAGE_CHARACTERS - 1]}…"
