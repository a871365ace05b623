"""What uv says when it fails, told apart by its words: its exit codes do not say why."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from modelyard.builder.disk import disk_full
from modelyard.builder.environment.advice import DOCKER
from modelyard.contract.errors import (
    BuildFailedError,
    DiskFullError,
    PackageIndexForbiddenError,
    PackageIndexUnavailableError,
    PackageIndexUntrustedError,
    PackageNotFoundError,
    PipFailedError,
    RequirementsConflictError,
    RequirementsInvalidError,
    WheelMissingError,
)

_MESSAGE_CHARACTERS: Final = 1000
_START: Final = re.compile(r"^(?:error|hint|  cause): ")
_NO_NEWS: Final = re.compile(
    r"^No solution found when resolving dependencies"
    r"|, we can conclude that (?:the|your) requirements are unsatisfiable"
    r"|Wheels are required for `[^`]+` because building from source is disabled for .*"
)
_URL: Final = re.compile(r"https?://[^\s`)]+")


def _full(_: str) -> DiskFullError:
    return disk_full()


def _untrusted(said: str) -> PackageIndexUntrustedError:
    return PackageIndexUntrustedError(
        f"{_address(said)} has a certificate that builds do not trust; put its authority into the CA bundle"
        f" of the chart, caBundle.configMapName: {said}"
    )


def _forbidden(said: str) -> PackageIndexForbiddenError:
    return PackageIndexForbiddenError(
        f"{_address(said)} asks for credentials, or for others; those of the chart are in the pip.conf of"
        f" build.pip.secretName: {said}"
    )


def _unavailable(said: str) -> PackageIndexUnavailableError:
    return PackageIndexUnavailableError(f"{_address(said)} does not answer: {said}")


def _wheel_missing(said: str) -> WheelMissingError:
    return WheelMissingError(
        "no wheel for the image's Python and platform, and building from source is not for this builder:"
        f" {said} Ask for another version, or {DOCKER}"
    )


def _not_found(said: str) -> PackageNotFoundError:
    return PackageNotFoundError(f"the package index has nothing that fits, for the image's Python: {said}")


def _nothing_there(said: str) -> PackageNotFoundError:
    return PackageNotFoundError(f"nothing is at {_address(said)}: {said}")


def _conflict(said: str) -> RequirementsConflictError:
    return RequirementsConflictError(f"the requirements contradict each other: {said}")


def _invalid(said: str) -> RequirementsInvalidError:
    return RequirementsInvalidError(f"pipRequirements: {said}")


_KINDS: Final[tuple[tuple[str, Callable[[str], BuildFailedError]], ...]] = (
    (r"No space left on device", _full),
    (r"invalid peer certificate", _untrusted),
    (r"401 Unauthorized|403 Forbidden|407 Proxy", _forbidden),
    (r"404 Not Found|410 Gone", _nothing_there),
    (r"Failed to fetch|Request failed after|error sending request|timed out", _unavailable),
    (r"Hash mismatch|must have a hash|hash digest|must have their versions? pinned", _invalid),
    (r"(?:has|have) no (?:usable )?wheels|building from source is disabled", _wheel_missing),
    (
        r"was not found in|is no version of|Because only \S+ is available|(?:requires|on) Python ?[<>=!~]",
        _not_found,
    ),
    (r"No solution found", _conflict),
    (r"Couldn't parse|Unexpected '|Expected [`']|is invalid", _invalid),
)
"""What uv's words stand for; the first that fits."""


def uv_error(output: Sequence[str]) -> BuildFailedError:
    """Why uv failed, from all of its output."""
    starts = (index for index, line in enumerate(output) if line.startswith("error: "))
    lines = [_START.sub("", line).strip() for line in output[next(starts, 0) :]]
    words = " ".join(lines)
    said = " ".join(" ".join(_NO_NEWS.sub("", line) for line in lines).split())[:_MESSAGE_CHARACTERS]
    for pattern, kind in _KINDS:
        if re.search(pattern, words):
            return kind(said)
    return PipFailedError(f"the requirements cannot be installed: {said}")


def _address(said: str) -> str:
    found = _URL.search(said)
    return found.group() if found else "the package index"
