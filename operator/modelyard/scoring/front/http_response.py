"""From a response to its bytes."""

from http import HTTPStatus
from typing import Final

from modelyard.scoring.front.messages import HttpRequest, HttpResponse

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


def status_line(status: int) -> bytes:
    """Return the status line of a response, with its line end."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def response_bytes(
    request: HttpRequest, response: HttpResponse, *, keep_alive: bool, date_line: bytes
) -> bytes:
    """Return status line, headers and body; no body for HEAD."""
    if not keep_alive:
        connection = b"connection: close\r\n"
    else:
        connection = b"connection: keep-alive\r\n" if request.is_http_1_0 else b""
    body = response.body
    return b"%bcontent-type: %b\r\ncontent-length: %d\r\n%b%b%b%b\r\n%b" % (
        status_line(response.status),
        response.content_type,
        len(body),
        date_line,
        request.response_lines,
        response.header_lines,
        connection,
        b"" if request.method == "HEAD" else body,
    )
