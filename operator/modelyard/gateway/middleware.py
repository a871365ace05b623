"""What surrounds every exchange: request ids, the kind and size of bodies, one line of log.

The line has no query, no header and no body: urls carry credentials.
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

from modelyard.gateway.errors import ApiError

_LOG: Final = logging.getLogger(__name__)
REQUEST_ID: Final = "x-ms-request-id"
CLIENT_REQUEST_ID: Final = "x-ms-client-request-id"
MAX_BODY: Final = 2 * 1024 * 1024  # bytes; etcd takes less
_ECHOED: Final = re.compile(r"[\x21-\x7e]{1,128}")
_QUIET: Final = {"/healthz", "/readyz"}
_JSON_TYPES: Final = {"application/json", "text/json"}


class Envelope:
    """The outermost part of the application; what it lets escape was answered, and is logged here."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        headers = Headers(scope=scope)
        request_id = str(uuid.uuid4())
        said = headers.get(CLIENT_REQUEST_ID, "")
        client_id = said if _ECHOED.fullmatch(said) else request_id
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = MutableHeaders(scope=message)
                own[REQUEST_ID] = request_id
                own[CLIENT_REQUEST_ID] = client_id
                own.setdefault("cache-control", "no-store")
            await send(message)

        try:
            if refused := _refusal(scope["method"], headers):
                await send_error(refused, answer)
            else:
                await self._app(scope, _bounded(receive), answer)
        except _TooLargeError:
            await send_error(_too_large(), answer)
        except Exception as error:
            frames = "".join(traceback.format_tb(error.__traceback__))
            # The message may repeat what was sent.
            _LOG.error("request %s failed: %s\n%s", request_id, type(error).__name__, frames)
        finally:
            if scope["path"] not in _QUIET:
                _LOG.info(
                    "request",
                    extra={
                        "method": scope["method"],
                        "path": scope["path"],
                        "status": status,
                        "milliseconds": round((time.perf_counter() - begun) * 1000, 1),
                        "requestId": request_id,
                        "clientRequestId": client_id,
                    },
                )


class _TooLargeError(Exception):
    """More came than is taken."""


def _too_large() -> ApiError:
    return ApiError(
        413,
        "RequestTooLarge",
        f"a body may have {MAX_BODY} bytes: put large files where a url can fetch them",
    )


def _refusal(method: str, headers: Headers) -> ApiError | None:
    if method not in {"POST", "PUT"}:
        return None
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length) > MAX_BODY:
        return _too_large()
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    has_body = length != "0" or "transfer-encoding" in headers
    if has_body and media_type not in _JSON_TYPES and not media_type.endswith("+json"):
        return ApiError(415, "UnsupportedMediaType", "send the body as application/json")
    return None


def _bounded(receive: Receive) -> Receive:
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY:
            raise _TooLargeError
        return message

    return bounded


async def send_error(error: ApiError, send: Send) -> None:
    """An ErrorResponse."""
    body = orjson.dumps(error.response.to_json())
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
    raw = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
