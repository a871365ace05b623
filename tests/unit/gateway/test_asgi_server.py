"""The gateway's HTTP server with raw bytes from a socket, and a small ASGI application behind it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from modelyard.gateway import asgi_server
from modelyard.gateway.asgi_server import AsgiServer
from modelyard.https.listener import Listener
from modelyard.scoring.front import http_limits
from modelyard.scoring.front.http_connection import HttpConnection

TOKEN = b"Authorization: Bearer t\r\n"
MiB = 2**20


class App:
    """An application that echoes bodies, streams, fails or waits, by the path of the request."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.has_left = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        body = (await receive())["body"]
        if scope["path"] == "/fail":
            raise RuntimeError("the application failed")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"yes")]})
        if scope["path"] == "/wait":
            assert (await receive())["type"] == "http.disconnect"
            self.has_left.set()
            return
        if scope["path"] == "/stream":
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            await send({"type": "http.response.body", "body": b"two", "more_body": True})
        await send({"type": "http.response.body", "body": body})


class Client:
    """One connection to the server, with the raw bytes of both directions."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    def send(self, head: bytes, body: bytes = b"") -> None:
        """Send request line, headers and a body."""
        self.writer.write(b"%b\r\nHost: a\r\n%b\r\n%b" % (*head.partition(b"\r\n")[::2], body))

    async def response(self) -> tuple[int, bytes]:
        """Return status and body of a response with Content-Length."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
        return int(head.split()[1]), await self._reader.readexactly(int(lines[b"content-length"]))

    async def to_end(self) -> bytes:
        """Return everything until the server closes the connection."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(MiB):
                received += data
        return received


class Served:
    """A running server, and its clients."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.app = App()
        self.server = AsgiServer(self.app, "http")
        self._clients: list[Client] = []

    async def client(self) -> Client:
        """Return a new connection, which the server has accepted."""
        count = len(self._clients)
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(client)
        client.send(b"GET /hello HTTP/1.1")
        assert await client.response() == (200, b"")
        assert len(self._clients) == count + 1
        return client

    def pass_time(self, seconds: float) -> None:
        """Apply the time limits as they are after some seconds."""
        for connection in list(self.server.connections):
            connection.check_time_limits(self.server.now + seconds)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Let the server run until a condition is true."""
        async with asyncio.timeout(10):
            while not is_so():
                await asyncio.sleep(0)

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients:
            client.writer.close()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        served = Served(sock.getsockname()[1])
        accepting = asyncio.create_task(Listener(sock, None, lambda: HttpConnection(served.server)).run())
        yield served
        served.close()
        accepting.cancel()
        await served.server.cancel()


async def test_requests_of_one_connection_are_answered_in_order(served: Served) -> None:
    client = await served.client()
    client.send(b"POST /a%20b?c=d HTTP/1.1\r\nContent-Length: 3\r\n" + TOKEN, b"one")
    client.send(b"GET /c HTTP/1.1")
    assert [await client.response(), await client.response()] == [(200, b"one"), (200, b"")]
    scope = served.app.scopes[1]
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/a b", b"/a%20b", b"c=d")


async def test_absolute_request_target_reaches_the_application_as_a_path(served: Served) -> None:
    client = await served.client()
    client.send(b"GET http://b/c%20d?e HTTP/1.1")
    assert (await client.response())[0] == 200
    assert (served.app.scopes[1]["path"], served.app.scopes[1]["raw_path"]) == ("/c d", b"/c%20d")


async def test_response_in_parts_is_chunked_and_leaves_the_connection_open(served: Served) -> None:
    client = await served.client()
    client.send(b"GET /stream HTTP/1.1")
    client.send(b"GET /c HTTP/1.1\r\nConnection: close\r\n")
    received = await client.to_end()
    assert b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\nHTTP/1.1 200" in received


async def test_response_in_parts_ends_an_http_1_0_connection(served: Served) -> None:
    client = await served.client()
    client.send(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n")
    assert (await client.to_end()).endswith(b"connection: close\r\n\r\nonetwo")


async def test_response_to_head_has_no_body(served: Served) -> None:
    client = await served.client()
    client.send(b"HEAD /stream HTTP/1.1\r\nConnection: close\r\n")
    assert (await client.to_end()).endswith(b"\r\n\r\n")


async def test_failed_application_closes_the_connection(served: Served) -> None:
    client = await served.client()
    client.send(b"GET /fail HTTP/1.1")
    assert await client.to_end() == b""


async def test_application_learns_that_its_client_left(served: Served) -> None:
    client = await served.client()
    client.send(b"GET /wait HTTP/1.1")
    await served.until(lambda: served.app.scopes[-1]["path"] == "/wait")
    reset_at_close = struct.pack("ii", 1, 0)
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_at_close)
    client.writer.close()
    await asyncio.wait_for(served.app.has_left.wait(), 10)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 70_000, 431),
        (b"GET /" + b"y" * 70_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"x: \r\n" * 300, 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", 401),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 401),
        (b"POST / HTTP/1.1\r\nHost: a\r\n" + TOKEN + b"Content-Length: 2097153\r\n\r\n", 413),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\n"
            + TOKEN
            + b"Transfer-Encoding: chunked\r\n\r\n200001\r\n"
            + b"x" * 0x200001,
            413,
        ),
    ],
)
async def test_malformed_or_unauthenticated_input_is_refused_before_its_end(
    served: Served, sent: bytes, status: int
) -> None:
    client = await served.client()
    client.writer.write(sent)
    assert (await client.response())[0] == status
    assert [scope["path"] for scope in served.app.scopes] == ["/hello"]


async def test_200_mb_of_headers_end_the_connection_and_take_no_memory(served: Served) -> None:
    def send() -> int:
        with socket.create_connection(("127.0.0.1", served.port)) as attacker:
            attacker.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
            line = b"x: " + b"y" * 8000 + b"\r\n"
            for sent in range(0, 200 * MiB, 100 * len(line)):
                try:
                    attacker.sendall(line * 100)
                except ConnectionError:
                    return sent
        return 200 * MiB

    before = _resident_bytes()
    sending = asyncio.create_task(asyncio.to_thread(send))
    while not sending.done():
        served.pass_time(0)
        await asyncio.sleep(0)
    assert await sending < 20 * MiB
    assert _resident_bytes() - before < 8 * MiB
    await served.client()


async def test_slow_head_gets_408(served: Served) -> None:
    client = await served.client()
    client.writer.write(b"GET / HTTP/1.1\r\n")
    await served.until(lambda: next(iter(served.server.connections)).is_receiving)
    served.pass_time(http_limits.HEAD_SECONDS + 1)
    assert (await client.response())[0] == 408


async def test_idle_connection_is_closed(served: Served) -> None:
    client = await served.client()
    served.pass_time(http_limits.KEEP_ALIVE_SECONDS + 1)
    assert await client.to_end() == b""


async def test_oldest_incomplete_body_makes_room_for_a_newer_one(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi_server, "_HELD_BYTES", 2000)
    head = b"POST / HTTP/1.1\r\nContent-Length: 1500\r\n" + TOKEN
    first, second = await served.client(), await served.client()
    first.send(head, b"x" * 1000)
    await served.until(lambda: served.server.held_bytes == 1000)
    second.send(head, b"x" * 1500)
    assert await second.response() == (200, b"x" * 1500)
    assert await first.to_end() == b""
    await served.until(lambda: served.server.held_bytes == 0)


async def test_drain_closes_idle_connections_and_answers_requests(served: Served) -> None:
    idle, working = await served.client(), await served.client()
    working.writer.write(b"GET / HTTP/1.1\r\n")
    await served.until(lambda: served.server.busy)
    served.server.draining = True
    served.server.close_idle()
    assert await idle.to_end() == b""
    working.writer.write(b"Host: a\r\n\r\n")
    assert b"connection: close" in await working.to_end()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
