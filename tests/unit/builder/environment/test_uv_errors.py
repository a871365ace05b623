"""Output of uv that a test cannot provoke. Tests in test_pip and test_uv run uv for the other errors."""

from __future__ import annotations

import pytest

from modelyard.builder.environment.uv_errors import uv_error
from modelyard.contract.errors import (
    BuildFailedError,
    DiskFullError,
    PackageIndexUnavailableError,
    PackageIndexUntrustedError,
    PipFailedError,
)

UNTRUSTED = """\
Using CPython 3.11.7 interpreter at: /opt/venv/bin/python
error: Request failed after 3 retries in 8.2s
  cause: Failed to fetch: https://index.example/simple/numpy/
  cause: error sending request for url (https://index.example/simple/numpy/)
  cause: client error (Connect)
  cause: invalid peer certificate: UnknownIssuer

hint: Consider enabling use of system TLS certificates with the `--system-certs` command-line flag"""
NO_NAME = """\
error: Failed to fetch: https://index.example/simple/numpy/
  cause: dns error
  cause: failed to lookup address information: Name or service not known"""
FULL = """\
error: Failed to download `torch==2.9.0`
  cause: Failed to extract archive
  cause: failed to write to file `/workspace/x`: No space left on device (os error 28)"""


@pytest.mark.parametrize(
    ("output", "error", "text"),
    [
        (UNTRUSTED, PackageIndexUntrustedError, "https://index.example/simple/numpy/ has a certificate"),
        (NO_NAME, PackageIndexUnavailableError, "Name or service not known"),
        (FULL, DiskFullError, "build.workspaceSize"),
        ("thread 'main' panicked at …", PipFailedError, "panicked"),
        ("", PipFailedError, "cannot be installed"),
    ],
)
def test_output_has_its_error(output: str, error: type[BuildFailedError], text: str) -> None:
    result = uv_error(output.splitlines())
    assert type(result) is error
    assert text in str(result)
    assert "/opt/venv" not in str(result)
    assert len(str(result)) < 1500
