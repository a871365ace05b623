"""Request ids, the media type and size of bodies, and one line of log and one count for each request.

The line has no query, no header and no body: URLs contain credentials. It has the error of a response with a
status 5xx, which the API server or the operator has caused.
"""

from __future__ import annotations

import logging
import re
import time
import traceback
import uuid
from typing import Final

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelyard.gateway import error_codes
from modelyard.gateway.errors import ApiError
from modelyard.gateway.metrics import count_request
from modelyard.gateway.routes.responses import PREFIX
from modelyard.redaction import redact_text

_LOG: Final = logging.getLogger(__name__)
REQUEST_ID: Final = "x-ms-request-id"
CLIENT_REQUEST_ID: Final = "x-ms-client-request-id"
ERROR: Final = "error"
"""Key of the ApiError of a response in the state of a request."""
MAX_BODY: Final = 2 * 1024 * 1024  # bytes; etcd accepts less
_ECHOED: Final = re.compile(r"[\x21-\x7e]{1,128}")
_UNLOGGED_PATHS: Final = {"/healthz", "/readyz"}
_JSON_TYPES: Final = {"application/json", "text/json"}


class RequestIds:
    """The ids of one request: a new one, and the client's own if it is printable and short."""

    def __init__(self, client_id: str) -> None:
        self.request_id = str(uuid.uuid4())
        self.client_id = client_id if _ECHOED.fullmatch(client_id) else self.request_id
        self.headers = {REQUEST_ID: self.request_id, CLIENT_REQUEST_ID: self.client_id}


def record_request(
    method: str,
    path: str,
    status: int,
    ids: RequestIds,
    *,
    seconds: float,
    route: str = "",
    error: ApiError | None = None,
) -> None:
    """Log and count one request, unless it is a probe. `route` is the template of its path, if any.

    `error` is the error of the response, if it has one.
    """
    if path in _UNLOGGED_PATHS:
        return
    count_request(method, route, status, seconds)
    cause = {"code": error.response.code, "error": redact_text(str(error))} if error and status >= 500 else {}
    _LOG.info(
        "request",
        extra={
            "method": method,
            "path": path,
            "status": status,
            "milliseconds": round(seconds * 1000, 1),
            "requestId": ids.request_id,
            "clientRequestId": ids.client_id,
            **cause,
        },
    )


class GatewayMiddleware:
    """The outermost part of the application.

    An exception that reaches it has already a response, and is logged here.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        ids = RequestIds(headers.get(CLIENT_REQUEST_ID, ""))
        status = 0
        state = scope.setdefault("state", {})

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                response_headers = MutableHeaders(scope=message)
                response_headers.update(ids.headers)
                response_headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            if refusal := _check_headers(scope["method"], headers):
                await send_error(refusal, send_with_headers)
            else:
                await self._app(scope, _limited(receive), send_with_headers)
        except _TooLargeError:
            await send_error(too_large(), send_with_headers)
        except Exception as failure:
            frames = "".join(traceback.format_tb(failure.__traceback__))
            # The message of the exception may contain a part of the request.
            _LOG.error("request %s failed: %s\n%s", ids.request_id, type(failure).__name__, frames)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "").removeprefix(PREFIX)
            error = state.get(ERROR)
            record_request(
                scope["method"], scope["path"], status, ids, seconds=seconds, route=route, error=error
            )


class _TooLargeError(Exception):
    """A body without Content-Length is longer than MAX_BODY."""


def too_large() -> ApiError:
    """Return the error of a body that is longer than MAX_BODY."""
    return ApiError(
        error_codes.REQUEST_TOO_LARGE,
        f"the body has more than {MAX_BODY} bytes: put a large file at a URL and send the URL",
    )


def _check_headers(method: str, headers: Headers) -> ApiError | None:
    """Return the error of a request whose body is too long or not JSON, None if its headers are valid."""
    if method not in {"POST", "PUT"}:
        return None
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length) > MAX_BODY:
        return too_large()
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    has_body = length != "0" or "transfer-encoding" in headers
    if has_body and media_type not in _JSON_TYPES and not media_type.endswith("+json"):
        return ApiError(error_codes.UNSUPPORTED_MEDIA_TYPE, "send the body as application/json")
    return None


def _limited(receive: Receive) -> Receive:
    size = 0

    async def receive_limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY:
            raise _TooLargeError
        return message

    return receive_limited


async def send_error(error: ApiError, send: Send) -> None:
    """Send the ErrorResponse of an error."""
    body = orjson.dumps(error.response.to_json())
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
    raw = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
