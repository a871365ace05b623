"""Errors of the REST API. Each response is an ErrorResponse with a code of `error_codes`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from modelyard.api.status import ErrorDetail, ErrorResponse
from modelyard.gateway import error_codes
from modelyard.gateway.error_codes import ErrorCode
from modelyard.kube.errors import AlreadyExists, Conflict, KubeError, NotFound, Unavailable

UNAUTHORIZED: Final = {"WWW-Authenticate": "Bearer"}
_RETRY_AFTER_SECONDS: Final = 1
# The API server's messages begin with the invalid value, which may contain a credential.
_VALUE: Final = re.compile(r'^Invalid value: ("(\\.|[^"\\])*"|[{\[].*[}\]]|[^:]*): ', re.DOTALL)


class ApiError(Exception):
    """An error response."""

    def __init__(
        self,
        error: ErrorCode,
        message: str,
        details: Iterable[ErrorDetail] = (),
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status = error.status
        self.headers = dict(headers or {})
        self.response = ErrorResponse(
            code=error.code, message=message, status_code=error.status, details=tuple(details)
        )


def token_missing() -> ApiError:
    """Return the 401 of a request without a usable bearer token."""
    message = "send a header Authorization: Bearer <token>"
    return ApiError(error_codes.UNAUTHORIZED, message, headers=UNAUTHORIZED)


def not_found(error: ErrorCode, id_: str) -> ApiError:
    """Return a 404 for an id in the path. The error names the kind of the object."""
    return ApiError(error, f"there is no {error.kind.lower()} with the id {id_[:300]!r}")


def try_again(error: ErrorCode, message: str, seconds: float = _RETRY_AFTER_SECONDS) -> ApiError:
    """Return a 429 or 503 with Retry-After: the client may send the same request again."""
    return ApiError(error, message, headers={"Retry-After": str(math.ceil(seconds))})


def from_kube(error: KubeError) -> ApiError:
    """Convert an error of the API server."""
    match error:
        case NotFound():
            return ApiError(error_codes.NOT_FOUND, error.message)
        case AlreadyExists():
            return ApiError(error_codes.NAME_TAKEN, error.message)
        case Conflict():
            return ApiError(error_codes.CONFLICT, f"{error.message}; try again")
        case Unavailable():
            return _from_unavailable(error)
        case _:
            return _from_rejected(error)


def _from_unavailable(error: Unavailable) -> ApiError:
    seconds = error.retry_after or _RETRY_AFTER_SECONDS
    if error.status == 429:
        message = "the API server has too many requests: try again after Retry-After seconds"
        return try_again(error_codes.TOO_MANY_REQUESTS, message, seconds)
    message = error.message if error.status else "the API server does not respond: try again"
    return try_again(error_codes.UNAVAILABLE, message, seconds)


def _from_rejected(error: KubeError) -> ApiError:
    match error.status:
        case 410:
            message = "the $skipToken has expired: begin at the first page"
            return ApiError(error_codes.INVALID_SKIP_TOKEN, message)
        case 401:
            message = "the token is not valid, or has expired: sign in again"
            return ApiError(error_codes.UNAUTHORIZED, message, headers=UNAUTHORIZED)
        case 403:
            return ApiError(error_codes.FORBIDDEN, error.message)
        case 413:
            return ApiError(error_codes.REQUEST_TOO_LARGE, error.message)
    causes = (error.body.get("details") or {}).get("causes") or ()
    details = [
        ErrorDetail(code=cause.get("reason", "Invalid"), message=_cause_message(cause))
        for cause in causes
        if isinstance(cause, dict)
    ]
    message = "; ".join(detail.message for detail in details) or error.message
    return ApiError(error_codes.INVALID_REQUEST, message, details)


def _cause_message(cause: Mapping[str, Any]) -> str:
    field = str(cause.get("field", "")).removeprefix("spec.")
    text = _VALUE.sub("", str(cause.get("message", "is not valid")))
    return f"{field}: {text}" if field and field != "spec" else text


def validation_error(errors: Sequence[Mapping[str, Any]]) -> ApiError:
    """Return a 400 with a detail for each invalid field.

    It never repeats a value of the request, which may contain a credential.
    """
    for error in errors:
        if tuple(error["loc"]) == ("query", "api-version"):
            message = "the query parameter api-version is missing"
            return ApiError(error_codes.MISSING_API_VERSION, message)
        if error["type"] == "json_invalid":
            reason = error.get("ctx", {}).get("error", "")
            return ApiError(error_codes.INVALID_JSON, f"the body is not JSON: {reason}")
    details = [
        ErrorDetail(
            code="Missing" if error["type"] == "missing" else "Invalid",
            message=_field_prefix(error) + error["msg"],
        )
        for error in errors
    ]
    message = "; ".join(detail.message for detail in details)
    return ApiError(error_codes.INVALID_REQUEST, message, details)


def _field_prefix(error: Mapping[str, Any]) -> str:
    field = str((error.get("ctx") or {}).get("field", ""))
    parts = [str(part) for part in error["loc"] if part not in {"body", "query", "path"}]
    path = ".".join(parts) + field if parts else field.removeprefix(".")
    return f"{path}: " if path else ""
