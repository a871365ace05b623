"""Messages that Docker engines, pip and registries have sent, and the error of each."""

from __future__ import annotations

import pytest

from modelyard.builder.docker.engine_errors import (
    build_error,
    push_error,
)

FROM = "FROM registry.example/python:3.11 AS environment"
PIP = "RUN python3 -m venv /opt/e && /opt/e/bin/python3 -m pip install --requirement requirements.txt"
ENDED = "The command '/bin/sh -c …' returned a non-zero code: 1"


@pytest.mark.parametrize(
    ("instruction", "output", "message", "code", "text"),
    [
        (
            PIP,
            [
                "ERROR: Could not find a version that satisfies the requirement nosuch==9"
                " (from versions: none)",
                "ERROR: No matching distribution found for nosuch==9",
            ],
            ENDED,
            "PipFailed",
            "pip cannot install the requirements: Could not find a version that satisfies the requirement"
            " nosuch==9 (from versions: none); No matching distribution found for nosuch==9",
        ),
        (
            PIP,
            [
                "ERROR: Could not find a version that satisfies the requirement x==9"
                " (from versions: 1, 2, 3, 4a, 5.0, 6)"
            ],
            ENDED,
            "PipFailed",
            "requirement x==9 (newest versions: 2, 3, 4a, 5.0, 6)",
        ),
        (
            PIP,
            ["ERROR: Invalid requirement: 'a b' (from line 1 of requirements.txt)"],
            ENDED,
            "PipFailed",
            "Invalid requirement: 'a b' (from line 1",
        ),
        (
            PIP,
            ["error: subprocess-exited-with-error", "ERROR: Failed building wheel for x"],
            ENDED,
            "PipFailed",
            "subprocess-exited-with-error; Failed building wheel for x",
        ),
        (
            PIP,
            [
                "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'",
                "ERROR: Could not find a version that satisfies the requirement numpy (from versions: none)",
            ],
            ENDED,
            "PackageIndexUnavailable",
            "pip cannot reach its package index",
        ),
        (
            PIP,
            [
                "ERROR: Error [Errno 2] No such file or directory: 'git' while executing command git version",
                "ERROR: Cannot find command 'git' - do you have 'git' installed and in your PATH?",
            ],
            ENDED,
            "PipFailed",
            "a base image with the program git can install",
        ),
        (
            PIP,
            [
                "ERROR: Could not install packages due to an OSError: [Errno 2] No such file or directory:"
                " '/croot/numpy/work'"
            ],
            ENDED,
            "PipFailed",
            "require a version, such as numpy==1.0",
        ),
        (PIP, ["/usr/bin/python3: No module named pip"], ENDED, "PipFailed", "No module named pip"),
        (PIP, ["Killed"], ENDED, "PipFailed", "non-zero code"),
        (
            PIP,
            ["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"],
            ENDED,
            "DiskFull",
            "make room",
        ),
        (
            "COPY models/0/ /x",
            [],
            "write /x: no space left on device",
            "DiskFull",
            "make room",
        ),
        (
            FROM,
            [],
            "manifest for registry.example/python:3.11 not found: manifest unknown: manifest unknown",
            "BaseImageNotFound",
            "registry.example/python:3.11 does not exist",
        ),
        (
            FROM,
            [],
            "pull access denied for x, repository does not exist or may require 'docker login': denied",
            "BaseImageNotFound",
            "or needs credentials",
        ),
        (
            FROM,
            [],
            'Get "http://registry.example/v2/": dial tcp 127.0.0.1:5009: connect: connection refused',
            "RegistryUnavailable",
            "cannot be pulled",
        ),
        (FROM, [], "unauthorized: authentication required", "RegistryForbidden", "cannot be pulled"),
        (FROM, [], "invalid reference format", "BuildStepFailed", "cannot be used"),
        (
            "COPY app/ /x",
            [],
            "COPY failed: no such file",
            "BuildStepFailed",
            "the step 'COPY app/ /x' failed",
        ),
    ],
)
def test_message_of_a_build_has_its_error_code(
    instruction: str, output: list[str], message: str, code: str, text: str
) -> None:
    error = build_error(instruction, output, message)
    assert error.code == code
    assert text in str(error)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (
            "Get http://localhost:5999/v2/: dial tcp 127.0.0.1:5999: connect: connection refused",
            "RegistryUnavailable",
        ),
        ("dial tcp: lookup registry.example: no such host", "RegistryUnavailable"),
        ("received unexpected HTTP status: 503 Service Unavailable", "RegistryUnavailable"),
        ("toomanyrequests: slow down", "RegistryUnavailable"),
        ("Head https://r/v2/: EOF", "RegistryUnavailable"),
        ("denied: requested access to the resource is denied", "RegistryForbidden"),
        ("no basic auth credentials", "RegistryForbidden"),
        ("unauthorized: authentication required", "RegistryForbidden"),
        ("http: server gave HTTP response to HTTPS client", "RegistryRefused"),
        ("received unexpected HTTP status: 413 Request Entity Too Large", "RegistryRefused"),
    ],
)
def test_message_of_a_push_has_its_error_code(message: str, code: str) -> None:
    error = push_error("r/x:1", message)
    assert error.code == code
    assert error.transient == (code == "RegistryUnavailable")
    assert "pushing r/x:1 failed" in str(error)


def test_message_is_cut_to_1000_characters() -> None:
    assert len(str(push_error("r/x:1", "x" * 5000))) == 1000
