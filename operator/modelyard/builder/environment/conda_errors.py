"""What rattler says when it fails, told apart by its words: its errors have no codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rattler.exceptions import GatewayError, InstallerError, SolverError

from modelyard.builder.disk import disk_errors, disk_full
from modelyard.contract.errors import (
    BuildFailedError,
    CondaFailedError,
    PackageIndexUnavailableError,
)

_MESSAGE_CHARACTERS: Final = 1200
_STATUS: Final = re.compile(r"HTTP status \w+ error \((\d{3})[^)]*\) for url \(([^)]*)\)")
_DISK_FULL: Final = re.compile(r"no space left on device", re.IGNORECASE)
_BROKEN: Final = re.compile(r"hash|checksum|mismatch|invalid|corrupt", re.IGNORECASE)
_TOO_BUSY: Final = frozenset({408, 425, 429})
_FORBIDDEN: Final = frozenset({401, 403, 407})


@contextmanager
def rattler_errors(channels: str) -> Iterator[None]:
    """Turns rattler's errors inside into BuildFailedError and its kinds; the message says the channels."""
    try:
        with disk_errors():
            yield
    except SolverError as error:
        raise CondaFailedError(_short(f"no packages of {channels} fit together: {error}")) from None
    except (GatewayError, InstallerError) as error:
        raise _download_error(str(error)) from None


def _download_error(message: str) -> BuildFailedError:
    if _DISK_FULL.search(message):
        return disk_full()
    answer = _STATUS.search(message)
    if answer is None:
        if _BROKEN.search(message):
            return CondaFailedError(_short(f"a package is damaged: {message}"))
        return PackageIndexUnavailableError(_short(f"a conda channel does not answer: {message}"))
    status, url = int(answer[1]), answer[2]
    if status >= 500 or status in _TOO_BUSY:
        return PackageIndexUnavailableError(f"a conda channel is overloaded: {url} answers {status}")
    if status in _FORBIDDEN:
        return CondaFailedError(
            f"{url} answers {status}: credentials for it belong into the Secret that build.conda.secretName"
            " of the chart names"
        )
    return CondaFailedError(f"{url} answers {status}: is the name of the channel right?")


def _short(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _MESSAGE_CHARACTERS else f"{text[: _MESSAGE_CHARACTERS - 1]}…"
