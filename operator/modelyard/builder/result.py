"""The result of a build as a termination message of limited size."""

from __future__ import annotations

from typing import Final

from modelyard.builder.log import BuildLog
from modelyard.coded_error import CodedError
from modelyard.contract.build_request import (
    TERMINATION_MESSAGE_BYTES,
    BuildError,
    BuildErrorDetail,
    BuildResult,
    Step,
)
from modelyard.oci.errors import RegistryError

_LINE_CHARACTERS: Final = 400
_MESSAGE_BYTES: Final = 1500
_LOG: Final = "Log"  # code of the details, which are lines of the log


def failure_result(error: CodedError, log: BuildLog) -> BuildResult:
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


def crash_result(error: BaseException, log: BuildLog) -> BuildResult:
    """Return the result after an exception that is a defect of the builder."""
    message = f"the builder failed, see its log: {type(error).__name__}: {error}"
    return _failed("BuilderCrashed", message, False, log.step, log)


def encode_result(result: BuildResult) -> bytes:
    """Return the result as JSON of at most TERMINATION_MESSAGE_BYTES, without the oldest lines if need be."""
    text = result.model_dump_json(by_alias=True, exclude_none=True).encode()
    while len(text) > TERMINATION_MESSAGE_BYTES:
        if result.error is None or not result.error.details:
            raise ValueError(f"the result has {len(text)} bytes without any details")
        error = result.error.model_copy(update={"details": result.error.details[1:]})
        result = result.model_copy(update={"error": error})
        text = result.model_dump_json(by_alias=True, exclude_none=True).encode()
    return text


def _failed(code: str, message: str, transient: bool, step: Step, log: BuildLog) -> BuildResult:
    short = log.redact(message).encode()[:_MESSAGE_BYTES].decode(errors="ignore")
    details = tuple(BuildErrorDetail(code=_LOG, message=line[:_LINE_CHARACTERS]) for line in log.tail)
    error = BuildError(code=code, message=short, step=step, transient=transient, details=details)
    return BuildResult(error=error)
