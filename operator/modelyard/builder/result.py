"""The answer of a build, made to fit into a termination message."""

from __future__ import annotations

from typing import Final

from modelyard.builder.log import BuildLog
from modelyard.coded_error import CodedError
from modelyard.contract.build_request import (
    TERMINATION_MESSAGE_BYTES,
    BuildError,
    BuildResult,
    ErrorDetail,
    Step,
)
from modelyard.oci.errors import RegistryError

_LINE_CHARACTERS: Final = 400
_MESSAGE_BYTES: Final = 1500
_LOG: Final = "Log"  # the code of details that are lines of the log


def failed(error: CodedError, log: BuildLog) -> BuildResult:
    """Return the result of a failed build: the error, its step and the last lines of the log."""
    return _failed(error.code, str(error), error.transient, step_of(error, log), log)


def step_of(error: CodedError, log: BuildLog) -> Step:
    """Return the step of the build that failed.

    The registry client knows no steps: the builder pushes with it unless `about` names another step.
    The current step of the log stands for other errors without a step.
    """
    if error.step:
        return Step(error.step)
    return Step.PUSH if isinstance(error, RegistryError) else log.step


def crashed(error: Exception, log: BuildLog) -> BuildResult:
    """A fault of the builder itself."""
    return _failed(
        "BuilderCrashed", f"the builder itself failed: {type(error).__name__}: {error}", False, log.step, log
    )


def encoded(result: BuildResult) -> bytes:
    """JSON of at most TERMINATION_MESSAGE_BYTES: lines are left out from the oldest on."""
    while (
        len(text := result.model_dump_json(by_alias=True, exclude_none=True).encode())
        > TERMINATION_MESSAGE_BYTES
    ):
        if result.error is None or not result.error.details:
            raise ValueError("a result without details is short")
        error = result.error.model_copy(update={"details": result.error.details[1:]})
        result = result.model_copy(update={"error": error})
    return text


def _failed(code: str, message: str, transient: bool, step: Step, log: BuildLog) -> BuildResult:
    short = log.redact(message).encode()[:_MESSAGE_BYTES].decode(errors="ignore")
    details = tuple(ErrorDetail(code=_LOG, message=line[:_LINE_CHARACTERS]) for line in log.tail)
    error = BuildError(code=code, message=short, step=step, transient=transient, details=details)
    return BuildResult(error=error)
