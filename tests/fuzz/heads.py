"""Requests to the HTTP server of gateway and scoring: no crash, and no other request in other pieces."""

from __future__ import annotations

import random
import time
from typing import Final

from tests.fuzz.tally import Tally
from tests.unit.scoring.front.test_http_connection import FakeApplication, FakeTransport

from modelyard.scoring.front.http_connection import HttpConnection

_LINES: Final = (
    b"GET / HTTP/1.1",
    b"POST /score HTTP/1.1",
    b"POST /score?a=b HTTP/1.0",
    b"GET http://h/ HTTP/1.1",
    b"CONNECT h:1 HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"GET /\xff\x00 HTTP/1.1",
    b"GET  / HTTP/1.1",
    b"get / http/1.1",
    b"GET /" + b"a" * 3000 + b" HTTP/1.1",
    b"GET /%2e%2e/%00 HTTP/1.1",
    b"",
)
_HEADERS: Final = (
    b"Host: a",
    b"Host: a",
    b"Host: a, b",
    b"Content-Length: 5",
    b"Content-Length: +5",
    b"Content-Length: 5, 5",
    b"Content-Length: 18446744073709551621",
    b"Content-Length : 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding:\x0bchunked",
    b"Connection: close",
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: h2c",
    b"Upgrade: websocket",
    b"Expect: 100-continue",
    b"Authorization: Bearer x",
    b" folded",
    b": empty",
    b"x\x00: y",
    b"x: " + b"y" * 2000,
    b"x",
)
_BODIES: Final = (
    b"",
    b"12345",
    b"5\r\n12345\r\n0\r\n\r\n",
    b"5;a=b\r\n12345\r\n0\r\nX: y\r\n\r\n",
    b"-1\r\n",
    b"fffffffffffffffff\r\n",
    b"5\n12345\n0\n\n",
    b"0\r\n\r\n",
    b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n",
)
_VALID: Final = (
    (b"GET / HTTP/1.1", (b"Host: a",), b""),
    (b"POST /score HTTP/1.1", (b"Host: a", b"Content-Length: 5"), b"12345"),
    (b"POST /score HTTP/1.1", (b"Host: a", b"Transfer-Encoding: chunked"), b"5\r\n12345\r\n0\r\n\r\n"),
)
_ENDS: Final = (b"\r\n",) * 80 + (b"\n", b"\r", b"\r\r\n")


def run(tally: Tally, inputs: int, seed: int) -> None:
    """Send each input at once and in pieces: the server must read the same requests."""
    chance = random.Random(seed)
    for _ in range(inputs):
        data = b"".join(_request(chance) for _ in range(chance.randrange(1, 4)))
        data = _damaged(chance, data)
        tally.inputs += 1
        started = time.process_time()
        try:
            whole = _sent([data])
            cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(1, 6)))
            pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
            if _sent([piece for piece in pieces if piece]) != whole:
                tally.escape((data, cuts), "other requests in other pieces")
        except BaseException as error:
            tally.crash(data, error)
        tally.check_time(data, started)


def _sent(pieces: list[bytes]) -> tuple[list[tuple[bytes, bytes]], list[int]]:
    """Return the targets and bodies of the requests that the server reads, and the statuses of answers."""
    application, transport = FakeApplication(), FakeTransport()
    connection = HttpConnection(application)
    connection.connection_made(transport)  # type: ignore[arg-type]
    for piece in pieces:
        if transport.is_closing():
            break
        connection.data_received(piece)
    return [(one.target, b"".join(one.chunks)) for one in application.dispatched], transport.statuses


def _request(chance: random.Random) -> bytes:
    line, headers, body = chance.choice(_VALID)
    if chance.random() < 0.2:
        line = chance.choice(_LINES)
    if chance.random() < 0.2:
        body = chance.choice(_BODIES)
    headers = [*headers]
    if chance.random() < 0.4:
        headers.insert(chance.randrange(len(headers) + 1), chance.choice(_HEADERS))
    head = b"".join(line + chance.choice(_ENDS) for line in (line, *headers))
    return head + chance.choice(_ENDS) + body


def _damaged(chance: random.Random, data: bytes) -> bytes:
    if chance.random() < 0.6 or not data:
        return data
    damaged = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        damaged[chance.randrange(len(damaged))] = chance.choice(b"\r\n\0 :;,\t\xff0A")
    return bytes(damaged)
