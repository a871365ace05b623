"""What uv says when it fails, told apart by its words: its exit codes do not say why."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from modelyard.build.environment.requirements import DOCKER
from modelyard.build.errors import (
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
_ALL_THE_SAME: Final = re.compile(r", we can conclude that (?:the|your) requirements are unsatisfiable")
_URL: Final = re.compile(r"https?://[^\s`)]+")

_Kind = Callable[[str], BuildFailedError]
_KINDS: Final[tuple[tuple[re.Pattern[str], _Kind], ...]] = tuple(
    (re.compile(words), kind)
    for words, kind in (
        (
            r"No space left on device",
            lambda _: DiskFullError("the workspace of the build is full: give builds a larger one"),
        ),
        (
            r"invalid peer certificate",
            lambda said: PackageIndexUntrustedError(
                f"{_address(said)} has a certificate that builds do not trust; put its authority into the"
                f" CA bundle of the chart (caBundle.configMapName): {said}"
            ),
        ),
        (
            r"401 Unauthorized|403 Forbidden|407 Proxy",
            lambda said: PackageIndexForbiddenError(
                f"{_address(said)} asks for credentials, or for others; they are in the pip.conf of the"
                f" chart's build.pip.secretName: {said}"
            ),
        ),
        (
            r"client error \(404|404 Not Found|410 Gone",
            lambda said: PackageNotFoundError(f"nothing is at {_address(said)}: {said}"),
        ),
        (
            r"Failed to fetch|Request failed after|error sending request|timed out",
            lambda said: PackageIndexUnavailableError(f"{_address(said)} does not answer: {said}"),
        ),
        (
            r"Hash mismatch|must have a hash|[Hh]ash digest|must have their versions pinned",
            lambda said: RequirementsInvalidError(f"the hashes of pipRequirements do not fit: {said}"),
        ),
        (
            r"(?:has|have) no (?:usable )?wheels|building (?:source distributions|from source) is disabled",
            lambda said: WheelMissingError(
                f"there is no wheel for the image's Python and platform; ask for another version, or {DOCKER}"
                f" build from source: {said}"
            ),
        ),
        (
            r"was not found in|there (?:is|are) no versions? of|Because only [^ ]+ (?:is|are) available",
            lambda said: PackageNotFoundError(f"the package index does not have what is required: {said}"),
        ),
        (
            r"No solution found",
            lambda said: RequirementsConflictError(f"the requirements contradict each other: {said}"),
        ),
        (
            r"Couldn't parse|Unexpected '|Expected [`']|is invalid",
            lambda said: RequirementsInvalidError(f"pipRequirements cannot be read: {said}"),
        ),
    )
)


def uv_error(output: Sequence[str]) -> BuildFailedError:
    """Why uv failed, from all of its output."""
    starts = (index for index, line in enumerate(output) if line.startswith("error: "))
    lines = output[next(starts, 0) :]
    said = " ".join(_START.sub("", line).strip() for line in lines)
    said = _ALL_THE_SAME.sub("", said).strip()[:_MESSAGE_CHARACTERS]
    for words, kind in _KINDS:
        if words.search(said):
            return kind(said)
    return PipFailedError(f"the requirements cannot be installed: {said}")


def _address(said: str) -> str:
    found = _URL.search(said)
    return found.group() if found else "the package index"
