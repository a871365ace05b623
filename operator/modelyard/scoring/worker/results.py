"""From the result of run() to a reply."""

import json
from typing import Any, Final

from modelyard.scoring.contract import BODILESS, RUN_FAILED_HEADER
from modelyard.scoring.frames import RETURNED, Reply
from modelyard.scoring.worker.json_values import encoded
from modelyard.scoring.worker.streams import (
    Stream,
    do_nothing,
    stream_of_items,
    text_or_bytes,
)

JSON_TYPES: Final = frozenset({dict, list, str, int, float, bool, tuple, type(None)})
"""The usual types of results: a look-up takes a tenth of the time of a search for methods."""

_ENVIRON: Final = {
    "REQUEST_METHOD": "POST",
    "wsgi.url_scheme": "http",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
}
"""A WSGI environment, from which a response reads whether the request was HEAD: the front handles HEAD."""


def stream_of(result: Any) -> Stream | None:
    """Return the stream that an iterator is, or that a response has as its body; None for other results."""
    kind = type(result)
    if kind in JSON_TYPES:
        return None
    if hasattr(kind, "get_wsgi_headers"):
        return _stream_of_response(result)
    if hasattr(kind, "__next__") or hasattr(kind, "__anext__"):
        return stream_of_items(result)
    return None


def complete_reply_of(result: Any) -> Reply:
    """Return the reply of a result that is no stream: a response object passes through, all others are JSON.

    A str is quoted, too, even if it contains JSON: clients of the Azure ML containers decode twice. Raises
    NotJsonError if the result cannot be written as JSON.
    """
    return reply_of_response(result) or Reply(RETURNED, 200, encoded(result))


def _stream_of_response(response: Any) -> Stream | None:
    status = int(response.status_code)
    if not getattr(response, "is_streamed", False) or status in BODILESS:
        return None
    lines = _header_lines(response, status)
    body = getattr(response, "response", None)
    if hasattr(type(body), "__aiter__"):
        items = aiter(body)  # type: ignore[arg-type]
        return Stream(items, text_or_bytes, getattr(items, "aclose", do_nothing), status, lines)
    chunks = response.get_app_iter(_ENVIRON)
    return Stream(iter(chunks), bytes, getattr(chunks, "close", do_nothing), status, lines)


def reply_of_response(response: Any) -> Reply | None:
    """Return the reply of an AMLResponse, or of a response of Flask or werkzeug; None for other results.

    Its body is complete. A status of 500 and above is a failure of run(), even if the response's own header
    says False.
    """
    kind = type(response)
    if kind in JSON_TYPES or not hasattr(kind, "get_wsgi_headers"):
        return None
    status = int(response.status_code)
    chunks = response.get_app_iter(_ENVIRON)
    try:
        body = b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    return Reply(RETURNED, status, body, json.dumps(_header_lines(response, status)).encode())


def _header_lines(response: Any, status: int) -> list[tuple[str, str]]:
    failed = status >= 500
    lines = []
    for name, value in response.get_wsgi_headers(_ENVIRON):
        if name.lower() != RUN_FAILED_HEADER:
            lines.append((name, value))
        elif value == "True":
            failed = True
    lines.append((RUN_FAILED_HEADER, str(failed)))
    return lines
