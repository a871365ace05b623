"""The errors of uv as errors of the build. uv's exit codes do not tell them apart, but its messages do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from modelyard.builder.disk import disk_full
from modelyard.builder.environment.advice import USE_DOCKER_BUILDER
from modelyard.builder.message_text import shortened
from modelyard.contract.build_request import PIP_REQUIREMENTS
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
    SourceBuildFailedError,
    WheelMissingError,
)

_MESSAGE_CHARACTERS: Final = 1000
_LINES_OF_CAUSE: Final = 3
_LINE_PREFIX: Final = re.compile(r"^(?:error|hint|  cause): ")
# Phrases of uv that add nothing to the message of the build.
_REDUNDANT: Final = re.compile(
    r"^No solution found when resolving dependencies"
    r"|, we can conclude that (?:the|your) requirements are unsatisfiable"
    r"|Wheels are required for `[^`]+` because building from source is disabled for .*"
)
_URL: Final = re.compile(r"https?://[^\s`)]+")


def _disk_full(_message: str) -> DiskFullError:
    return disk_full()


def _untrusted(message: str) -> PackageIndexUntrustedError:
    return PackageIndexUntrustedError(
        f"{_address(message)} has a certificate that builds do not trust: add its CA to the CA bundle of the"
        f" chart, caBundle.configMapName: {message}"
    )


def _forbidden(message: str) -> PackageIndexForbiddenError:
    return PackageIndexForbiddenError(
        f"{_address(message)} requires other credentials: set them in the pip.conf of build.pip.secretName:"
        f" {message}"
    )


def _unavailable(message: str) -> PackageIndexUnavailableError:
    return PackageIndexUnavailableError(f"{_address(message)} does not answer: {message}")


def _wheel_missing(message: str) -> WheelMissingError:
    return WheelMissingError(
        f"no wheel for the image's Python and platform: {message} Require another version, or allow source"
        " distributions"
    )


def _not_found(message: str) -> PackageNotFoundError:
    return PackageNotFoundError(f"the package index has no package that fits the image's Python: {message}")


def _url_not_found(message: str) -> PackageNotFoundError:
    return PackageNotFoundError(f"there is no file at {_address(message)}: {message}")


def _workbench(message: str) -> PackageNotFoundError:
    return PackageNotFoundError(
        f"{_address(message)} is a file of Azure ML Workbench, which no longer exists. Remove the line: the"
        f" scoring server has azureml.assets, azureml.datacollector and azureml.logging: {message}"
    )


def _conflict(message: str) -> RequirementsConflictError:
    return RequirementsConflictError(f"the requirements contradict each other: {message}")


def _invalid(message: str) -> RequirementsInvalidError:
    return RequirementsInvalidError(message)


def _build_failed(message: str, output: str) -> SourceBuildFailedError:
    if re.search(_NO_COMPILER, output):
        return SourceBuildFailedError(
            "the source distribution needs a compiler or headers, which the base image lacks. Require a"
            f" version with a wheel, or another base image, or {USE_DOCKER_BUILDER}: {message}"
        )
    return SourceBuildFailedError(f"a source distribution cannot be built: {message}")


def _git_missing(message: str) -> RequirementsInvalidError:
    return RequirementsInvalidError(
        "a package requires a git repository, and builds have no program git: add the repository as a line of"
        f" the requirements: {message}"
    )


_BUILD: Final = (
    r"Failed to (?:download and )?build|build backend returned|Failed to parse metadata from built wheel"
)
_NO_COMPILER: Final = (
    r"command '[^']*(?:gcc|cc|g\+\+|c\+\+|clang|gfortran)[^']*' failed: No such file|Unknown compiler"
    r"|(?:C|CXX)_COMPILER|unable to execute '|Python\.h: No such file"
    r"|[Rr]ust(?:c|up)? .*not (?:found|installed)"
    r"|cargo.*not (?:found|installed)|maturin failed|No Fortran compiler|no acceptable C compiler"
)
_ERRORS: Final[tuple[tuple[str, Callable[[str], BuildFailedError]], ...]] = (
    (r"No space left on device", _disk_full),
    (r"Failed to (?:fetch|download).*://azuremldownloads\.", _workbench),
    (r"Git executable not found", _git_missing),
    (r"invalid peer certificate", _untrusted),
    (r"401 Unauthorized|403 Forbidden|407 Proxy", _forbidden),
    (r"404 Not Found|410 Gone", _url_not_found),
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
"""Pattern in uv's output → error. The first pattern that matches counts."""


def uv_error(output: Sequence[str], field: str = PIP_REQUIREMENTS) -> BuildFailedError:
    """Return the error of a failed uv from all lines of its output. `field` has the requirements."""
    start = next((index for index, line in enumerate(output) if line.startswith("error: ")), 0)
    lines = [_LINE_PREFIX.sub("", line).strip() for line in output[start:]]
    text = " ".join(lines)
    if re.search(_BUILD, text):
        # The backend prints the cause before uv prints that it failed.
        lines = [*(line.strip() for line in output[max(0, start - _LINES_OF_CAUSE) : start]), *lines]
        return _build_failed(
            shortened(" ".join(" ".join(lines).split()), _MESSAGE_CHARACTERS), "\n".join(output)
        )
    useful = " ".join(_REDUNDANT.sub("", line) for line in lines)
    message = shortened(" ".join(useful.split()), _MESSAGE_CHARACTERS)
    for pattern, error_of in _ERRORS:
        if re.search(pattern, text):
            error = error_of(message)
            if isinstance(error, RequirementsInvalidError):
                error.subject = field
            return error
    return PipFailedError(f"the requirements cannot be installed: {message}")


def _address(message: str) -> str:
    match = _URL.search(message)
    return match.group() if match else "the package index"
