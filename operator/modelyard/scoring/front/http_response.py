"""From a response to its bytes."""

from http import HTTPStatus
from typing import Final

from modelyard.scoring.front.messages import Framing, HttpRequest, HttpResponse

LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


def status_line(status: int) -> bytes:
    """Return the status line of a response, with its line end."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def chunk(data: bytes) -> bytes:
    """Return the data as one chunk of a chunked body (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def connection_line(request: HttpRequest, *, keep_alive: bool) -> bytes:
    """Return the Connection header line of a response, empty where the version of HTTP implies it."""
    if not keep_alive:
        return b"connection: close\r\n"
    return b"connection: keep-alive\r\n" if request.is_http_1_0 else b""


def stream_head(
    request: HttpRequest, response: HttpResponse, length: int | None, framing: Framing, date_line: bytes
) -> bytes:
    """Return status line and headers of a response whose body follows in pieces."""
    if length is not None:
        size = b"content-length: %d\r\n" % length
    else:
        size = b"transfer-encoding: chunked\r\n" if framing.is_chunked else b""
    return b"%bcontent-type: %b\r\n%b%b%b%b%b\r\n" % (
        status_line(response.status),
        response.content_type,
        size,
        date_line,
        request.response_lines,
        response.header_lines,
        connection_line(request, keep_alive=framing.keep_alive),
    )


def response_bytes(
    request: HttpRequest, response: HttpResponse, *, keep_alive: bool, date_line: bytes
) -> bytes:
    """Return status line, headers and body; no body for HEAD."""
    body = response.body
    return b"%bcontent-type: %b\r\ncontent-length: %d\r\n%b%b%b%b\r\n%b" % (
        status_line(response.status),
        response.content_type,
        len(body),
        date_line,
        request.response_lines,
        response.header_lines,
        connection_line(request, keep_alive=keep_alive),
        b"" if request.method == "HEAD" else body,
    )
