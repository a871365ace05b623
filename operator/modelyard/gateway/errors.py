"""Errors of the API: always an ErrorResponse with a code that tells what to do."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from modelyard.api.status import ErrorDetail, ErrorResponse
from modelyard.kube.errors import AlreadyExists, Conflict, KubeError, NotFound, Unavailable

UNAUTHORIZED: Final = {"WWW-Authenticate": "Bearer"}
_RETRY_SECONDS: Final = 1
# The API server begins with the value that it refuses, which may carry a credential.
_VALUE: Final = re.compile(r'^Invalid value: ("(\\.|[^"\\])*"|[{\[].*[}\]]|[^:]*): ', re.DOTALL)


class ApiError(Exception):
    """An answer that is not success."""

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


def bad_request(code: str, message: str, *details: ErrorDetail) -> ApiError:
    """400: the same request will be refused again."""
    return ApiError(400, code, message, details)


def not_found(kind: str, id_: str) -> ApiError:
    """404 of a thing that is asked for by its id."""
    return ApiError(404, f"{kind}NotFound", f"there is no {kind.lower()} with the id {id_[:300]!r}")


def later(code: str, message: str, seconds: float = _RETRY_SECONDS) -> ApiError:
    """503: worth another try."""
    return ApiError(503, code, message, headers={"Retry-After": str(math.ceil(seconds))})


def from_kube(error: KubeError) -> ApiError:
    """What the API server answered, in this API's words."""
    match error:
        case NotFound():
            return ApiError(404, "NotFound", error.message)
        case AlreadyExists():
            return ApiError(409, "NameTaken", error.message)
        case Conflict():
            return ApiError(409, "Conflict", f"{error.message}; try again")
        case Unavailable():
            return _unavailable(error)
        case _:
            return _refused(error)


def _unavailable(error: Unavailable) -> ApiError:
    seconds = error.retry_after or _RETRY_SECONDS
    if error.status == 429:
        headers = {"Retry-After": str(math.ceil(seconds))}
        return ApiError(429, "TooManyRequests", "the cluster asks for a pause", headers=headers)
    return later("Unavailable", error.message, seconds)


def _refused(error: KubeError) -> ApiError:
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
        ErrorDetail(code=cause.get("reason", "Invalid"), message=_sentence(cause))
        for cause in causes
        if isinstance(cause, dict)
    ]
    message = "; ".join(detail.message for detail in details) or error.message
    return ApiError(400, "InvalidRequest", message, details)


def _sentence(cause: Mapping[str, Any]) -> str:
    field = str(cause.get("field", "")).removeprefix("spec.")
    text = str(cause.get("message", "is not valid"))
    text = _VALUE.sub("", text)
    return f"{field}: {text}" if field and field != "spec" else text


def invalid(errors: Sequence[Mapping[str, Any]]) -> ApiError:
    """400 with a detail for each field; what was sent is never repeated: it may carry credentials."""
    for error in errors:
        if tuple(error["loc"]) == ("query", "api-version"):
            return bad_request("MissingApiVersion", "the query parameter api-version is missing")
        if error["type"] == "json_invalid":
            return bad_request(
                "InvalidJson", f"the body is not JSON: {error.get('ctx', {}).get('error', '')}"
            )
    details = [ErrorDetail(code=_code(error), message=_where(error) + error["msg"]) for error in errors]
    message = "; ".join(detail.message for detail in details)
    return bad_request("InvalidRequest", message, *details)


def _code(error: Mapping[str, Any]) -> str:
    return "Missing" if error["type"] == "missing" else "Invalid"


def _where(error: Mapping[str, Any]) -> str:
    field = str((error.get("ctx") or {}).get("field", ""))
    parts = [str(part) for part in error["loc"] if part not in {"body", "query", "path"}]
    path = ".".join(parts) + field if parts else field.removeprefix(".")
    return f"{path}: " if path else ""
