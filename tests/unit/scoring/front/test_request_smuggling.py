"""Requests whose end front and proxies could see at different places: no hidden request is dispatched."""

import pytest
from tests.unit.scoring.front.test_http_connection import FakeApplication, FakeTransport

from modelyard.scoring.front.http_connection import HttpConnection

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"0\r\n\r\n" + HIDDEN
SIZE = str(len(CHUNKED)).encode()


def _post(*headers: bytes, body: bytes = CHUNKED) -> bytes:
    lines = [b"POST /score HTTP/1.1", b"Host: a", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _chunks(body: bytes) -> bytes:
    return _post(b"Transfer-Encoding: chunked", body=body)


CASES = {
    "length, then encoding": _post(b"Content-Length: " + SIZE, b"Transfer-Encoding: chunked"),
    "encoding, then length": _post(b"Transfer-Encoding: chunked", b"Content-Length: " + SIZE),
    "two lengths": _post(b"Content-Length: 0", b"Content-Length: " + SIZE),
    "list of lengths": _post(b"Content-Length: 0, " + SIZE),
    "length with a sign": _post(b"Content-Length: +0"),
    "negative length": _post(b"Content-Length: -1"),
    "hexadecimal length": _post(b"Content-Length: 0x0"),
    "length with a space within": _post(b"Content-Length: 0 0"),
    "huge length": _post(b"Content-Length: 99999999999999999999"),
    "empty length": _post(b"Content-Length:"),
    "unknown encoding": _post(b"Transfer-Encoding: xchunked"),
    "encoding after chunked": _post(b"Transfer-Encoding: chunked, identity"),
    "identity": _post(b"Transfer-Encoding: identity", b"Content-Length: 0"),
    "encoding twice": _post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    "encoding after a tab": _post(b"Transfer-Encoding:\tchunked", b"Content-Length: " + SIZE),
    "space before the colon": _post(b"Content-Length : 0"),
    "folded header": _post(b"X: y\r\n Content-Length: 0"),
    "folded length": _post(b"Content-Length:\r\n 0"),
    "bare line feed in a header": _post(b"X: y\nContent-Length: 0"),
    "bare carriage return in a header": _post(b"X: y\rContent-Length: 0"),
    "NUL in a header": _post(b"X: \0", b"Content-Length: 0"),
    "NUL in a name": _post(b"Content-Length\0: 0"),
    "negative chunk": _chunks(b"-1\r\n" + HIDDEN),
    "chunk with 0x": _chunks(b"0x0\r\n\r\n" + HIDDEN),
    "chunk beyond 64 bits": _chunks(b"10000000000000000\r\n\r\n" + HIDDEN),
    "chunk without its line end": _chunks(b"1\r\nxy0\r\n\r\n" + HIDDEN),
    "chunk with a bare line feed": _chunks(b"1\nx\n0\n\n" + HIDDEN),
    "chunk size with a space": _chunks(b"0 0\r\n\r\n" + HIDDEN),
    "HTTP/1.0 with chunks": b"POST /score HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "unknown version": b"GET / HTTP/3.7\r\nHost: a\r\n\r\n" + HIDDEN,
    "version 0.9": b"GET /\r\n" + HIDDEN,
    "CONNECT": b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN,
    "hello of TLS": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" + HIDDEN,
}


def _sent(data: bytes, size: int) -> tuple[FakeApplication, FakeTransport]:
    """Send data in pieces, until the connection ends as a transport would end it."""
    application, transport = FakeApplication(), FakeTransport()
    connection = HttpConnection(application)
    connection.connection_made(transport)  # type: ignore[arg-type]
    for start in range(0, len(data), size):
        if transport.is_closing():
            break
        connection.data_received(data[start : start + size])
    return application, transport


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("data", CASES.values(), ids=CASES.keys())
def test_hidden_request_is_not_dispatched(data: bytes, size: int) -> None:
    application, transport = _sent(data, size)
    assert [request.target for request in application.dispatched if b"hidden" in request.target] == []
    assert transport.statuses[-1:] != [200]


def test_request_after_a_complete_body_is_dispatched() -> None:
    """The other cases would prove nothing if the next request were never dispatched."""
    for data in (_post(b"Content-Length: 0", body=HIDDEN), _chunks(CHUNKED)):
        application, _ = _sent(data, 10_000)
        assert [request.target for request in application.dispatched] == [b"/score", b"/hidden"]
