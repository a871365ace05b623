"""Ids of requests, which responses repeat: no id adds a header to a response."""

import re

import pytest
from tests.unit.scoring.front.test_http_connection import FakeApplication, FakeTransport

from modelyard.scoring.front.http_connection import HttpConnection
from modelyard.scoring.front.messages import HttpRequest
from modelyard.scoring.front.request_ids import RequestIds

IDS = (b"x-request-id", b"x-ms-request-id", b"x-ms-client-request-id", b"TraceId")


class EchoingApplication(FakeApplication):
    """An application whose responses have the ids of their requests."""

    def admit(self, request: HttpRequest) -> None:
        RequestIds().identify(request)


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize(
    "value",
    [
        b"a\r\nSet-Cookie: b",
        b"a\nSet-Cookie: b",
        b"a\rSet-Cookie: b",
        b"a\r\r\nSet-Cookie: b",
        b"a\0b",
        b"a\x7fb",
    ],
)
def test_id_adds_no_header_to_the_response(name: bytes, value: bytes) -> None:
    transport = FakeTransport()
    connection = HttpConnection(EchoingApplication())
    connection.connection_made(transport)  # type: ignore[arg-type]
    connection.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n%b: %b\r\n\r\n" % (name, value))
    head = transport.written.partition(b"\r\n\r\n")[0]
    assert head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 400 "))
    assert b"set-cookie" not in head.lower()
    assert not [line for line in head.split(b"\r\n") if re.search(rb"[\x00-\x1f\x7f]", line)]


def test_id_is_repeated() -> None:
    transport = FakeTransport()
    connection = HttpConnection(EchoingApplication())
    connection.connection_made(transport)  # type: ignore[arg-type]
    connection.data_received(b"GET / HTTP/1.1\r\nHost: a\r\nx-request-id: one\r\n\r\n")
    assert b"\r\nx-request-id: one\r\n" in transport.written
