"""The errors of rattler as errors of the build. They have no codes, so the text of the message is matched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rattler.exceptions import GatewayError, InstallerError, SolverError

from modelyard.builder.disk import disk_errors, disk_full
from modelyard.builder.message_text import shortened
from modelyard.contract.errors import (
    BuildFailedError,
    CondaFailedError,
    PackageIndexUnavailableError,
    PackageIndexUntrustedError,
)

_MESSAGE_CHARACTERS: Final = 1200
_STATUS: Final = re.compile(r"HTTP status \w+ error \((\d{3})[^)]*\) for url \(([^)]*)\)")
_DISK_FULL: Final = re.compile(r"no space left on device", re.IGNORECASE)
_UNTRUSTED: Final = re.compile(r"for url \(([^)]*)\).*invalid peer certificate", re.DOTALL)
_DAMAGED: Final = re.compile(r"hash|checksum|mismatch|invalid|corrupt", re.IGNORECASE)
_OTHER_PYTHON: Final = re.compile(r"\bpython [^\n]*, for which no candidates were found")
_OTHER_PYTHON_HINT: Final = (
    "a package is made for another Python: require another version of this package, or remove its version"
)
_PANIC: Final = "PanicException"
_OVERLOADED: Final = frozenset({408, 425, 429})
_FORBIDDEN: Final = frozenset({401, 403, 407})


@contextmanager
def rattler_errors(channels: str, hint: str | None = None) -> Iterator[None]:
    """Turn rattler's errors inside the block into errors of the build. `channels` is part of the messages.

    `hint` follows the message of the solver.
    Raises CondaFailedError, PackageIndexUnavailableError, PackageIndexUntrustedError and DiskFullError.
    """
    try:
        with disk_errors():
            yield
    except SolverError as error:
        message = _shortened(f"no packages of {channels} satisfy all dependencies: {error}")
        if hint is None and _OTHER_PYTHON.search(str(error)):
            hint = _OTHER_PYTHON_HINT
        raise CondaFailedError(f"{message}: {hint}" if hint else message) from None
    except (GatewayError, InstallerError) as error:
        raise download_error(str(error)) from None


@contextmanager
def panic_errors() -> Iterator[None]:
    """Convert a panic of rattler inside the block into CondaFailedError.

    A panic is no Exception but a BaseException, so the build would end without a result:
    https://pyo3.rs/main/doc/pyo3/panic/struct.panicexception.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        raise CondaFailedError(
            _shortened(f"a conda package cannot be read, rattler stopped: {error}")
        ) from None


def download_error(message: str) -> BuildFailedError:
    """Return the error of a download, or of a package that is no archive, from rattler's message."""
    if _DISK_FULL.search(message):
        return disk_full()
    if untrusted := _UNTRUSTED.search(message):
        return PackageIndexUntrustedError(
            f"{untrusted[1]} has a certificate that builds do not trust: add its CA to the CA bundle of the"
            " chart, caBundle.configMapName"
        )
    if response := _STATUS.search(message):
        return _status_error(int(response[1]), response[2])
    if _DAMAGED.search(message):
        return CondaFailedError(_shortened(f"a package is damaged: {message}"))
    return PackageIndexUnavailableError(_shortened(f"a conda channel does not answer: {message}"))


def _status_error(status: int, url: str) -> BuildFailedError:
    if status >= 500 or status in _OVERLOADED:
        return PackageIndexUnavailableError(f"a conda channel is overloaded: {url} answers {status}")
    if status in _FORBIDDEN:
        return CondaFailedError(
            f"{url} answers {status}: set its credentials in the Secret of the chart, build.conda.secretName"
        )
    return CondaFailedError(f"{url} answers {status}: correct the name of the channel")


def _shortened(text: str) -> str:
    return shortened(text.strip(), _MESSAGE_CHARACTERS)
