"""The base of every error that users, tests and dashboards identify by a stable code."""

from __future__ import annotations

from typing import ClassVar


class CodedError(Exception):
    """An error with a stable CamelCase `code` and a message for the user."""

    code: ClassVar[str]
    transient: ClassVar[bool] = False
    """True if the same call may succeed later although the user changes nothing."""
    step: str | None = None
    """The step of the build that failed; None if the code that raised the error does not know the step."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        """`retry_after_seconds` is the wait that the server asks for (Retry-After)."""
        super().__init__(message)
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        self.subject: str | None = None
        """The model, asset or image that the error concerns."""

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}" if self.subject else self.message
