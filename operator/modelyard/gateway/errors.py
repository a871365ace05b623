"""Errors of the REST API. Each response is an ErrorResponse with a stable code."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from modelyard.api.status import ErrorDetail, ErrorResponse
from modelyard.kube.errors import AlreadyExists, Conflict, KubeError, NotFound, Unavailable

UNAUTHORIZED: Final = {"WWW-Authenticate": "Bearer"}
_RETRY_AFTER_SECONDS: Final = 1
# The API server's messages begin with the invalid value, which may contain a credential.
_VALUE: Final = re.compile(r'^Invalid value: ("(\\.|[^"\\])*"|[{\[].*[}\]]|[^:]*): ', re.DOTALL)


class ApiError(Exception):
    """An error response."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Iterable[ErrorDetail] = (),
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.response = ErrorResponse(code=code, message=message, status_code=status, details=tuple(details))


def token_missing() -> ApiError:
    """Return the 401 of a request without a usable bearer token."""
    message = "send a header Authorization: Bearer <token>"
    return ApiError(401, "Unauthorized", message, headers=UNAUTHORIZED)


def bad_request(code: str, message: str, *details: ErrorDetail) -> ApiError:
    """Return a 400: the client must change the request before it sends it again."""
    return ApiError(400, code, message, details)


def not_found(kind: str, id_: str) -> ApiError:
    """Return a 404 for the id of an object of a kind."""
    return ApiError(404, f"{kind}NotFound", f"there is no {kind.lower()} with the id {id_[:300]!r}")


def unavailable(code: str, message: str, seconds: float = _RETRY_AFTER_SECONDS) -> ApiError:
    """Return a 503 with Retry-After: the client may send the same request again."""
    return ApiError(503, code, message, headers={"Retry-After": str(math.ceil(seconds))})


def from_kube(error: KubeError) -> ApiError:
    """Convert an error of the API server."""
    match error:
        case NotFound():
            return ApiError(404, "NotFound", error.message)
        case AlreadyExists():
            return ApiError(409, "NameTaken", error.message)
        case Conflict():
            return ApiError(409, "Conflict", f"{error.message}; try again")
        case Unavailable():
            return _from_unavailable(error)
        case _:
            return _from_rejected(error)


def _from_unavailable(error: Unavailable) -> ApiError:
    seconds = error.retry_after or _RETRY_AFTER_SECONDS
    if error.status == 429:
        headers = {"Retry-After": str(math.ceil(seconds))}
        message = "the API server has too many requests: try again after Retry-After seconds"
        return ApiError(429, "TooManyRequests", message, headers=headers)
    message = error.message if error.status else "the API server does not respond: try again"
    return unavailable("Unavailable", message, seconds)


def _from_rejected(error: KubeError) -> ApiError:
    match error.status:
        case 410:
            return bad_request("InvalidSkipToken", "the $skipToken has expired: begin at the first page")
        case 401:
            message = "the token is not valid, or has expired: sign in again"
            return ApiError(401, "Unauthorized", message, headers=UNAUTHORIZED)
        case 403:
            return ApiError(403, "Forbidden", error.message)
        case 413:
            return ApiError(413, "RequestTooLarge", error.message)
    causes = (error.body.get("details") or {}).get("causes") or ()
    details = [
        ErrorDetail(code=cause.get("reason", "Invalid"), message=_cause_message(cause))
        for cause in causes
        if isinstance(cause, dict)
    ]
    message = "; ".join(detail.message for detail in details) or error.message
    return ApiError(400, "InvalidRequest", message, details)


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
            return bad_request("MissingApiVersion", "the query parameter api-version is missing")
        if error["type"] == "json_invalid":
            reason = error.get("ctx", {}).get("error", "")
            return bad_request("InvalidJson", f"the body is not JSON: {reason}")
    details = [
        ErrorDetail(
            code="Missing" if error["type"] == "missing" else "Invalid",
            message=_field_prefix(error) + error["msg"],
        )
        for error in errors
    ]
    message = "; ".join(detail.message for detail in details)
    return bad_request("InvalidRequest", message, *details)


def _field_prefix(error: Mapping[str, Any]) -> str:
    field = str((error.get("ctx") or {}).get("field", ""))
    parts = [str(part) for part in error["loc"] if part not in {"body", "query", "path"}]
    path = ".".join(parts) + field if parts else field.removeprefix(".")
    return f"{path}: " if path else ""
