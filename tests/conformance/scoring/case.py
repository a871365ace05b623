"""A case of the contract: a request, the required response, and the reason for a difference."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = {"content-type": "application/json"}
FAILED = {"x-ms-run-function-failed": "True"}
PASSED = {"x-ms-run-function-failed": "False"}
SCRIPT_ERROR = {"message": "An unexpected error occurred in scoring script. Check the logs for more info."}
ANY: Any = object()
"""Matches any JSON body."""


@dataclass(frozen=True)
class Case:
    """One request and the response that the contract requires."""

    name: str
    method: str = "POST"
    path: str = "/score"
    body: bytes | None = None
    sent: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    text: str | None = None
    json: Any = ANY
    check: Callable[[Any], bool] | None = None
    """A condition on the JSON body, for bodies that vary."""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Headers by name; None means that the header must be absent."""
    repeated: Mapping[str, list[str]] = field(default_factory=dict)
    """All lines of headers by name."""
    pieces: tuple[str, ...] = ()
    """The body as it arrives: each piece before the next one is made."""
    is_cut: bool = False
    """The connection must end before the body does."""
    why: str = ""
    """The reason for a difference from azureml-inference-server-http; empty if there is no difference."""


@dataclass(frozen=True)
class Group:
    """One driver with the requests to it, or with the exit code of its failed start."""

    name: str
    driver: str
    cases: tuple[Case, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Other files in the driver's folder, by name."""
    exit_code: int | None = None
    """The server must fail to start, with this exit code."""
    why: str = ""
    """The reason for a difference in all cases, or at the start."""


def ids(**headers: str) -> dict[str, str]:
    """Return headers whose names have dashes."""
    return {name.replace("_", "-"): value for name, value in headers.items()}
