"""The start of a TLS connection at the gateway: nothing is spent on it before the client's first message."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
import trustme

from modelyard.https import handshake, listener
from modelyard.https.listener import Listener


class _Greeting(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")


class _CountingContext(ssl.SSLContext):
    """Counts the connections whose TLS has started."""

    started = 0

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        self.started += 1
        return super().wrap_bio(*arguments, **named)


class _Authority:
    def __init__(self) -> None:
        authority = trustme.CA()
        self.server = _CountingContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self.server)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)


@pytest.fixture
def authority() -> _Authority:
    return _Authority()


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@asynccontextmanager
async def _accepting(sock: socket.socket, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    task = asyncio.create_task(Listener(sock, context, _Greeting).run())
    try:
        yield sock.getsockname()[1]
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _greeting(port: int, authority: _Authority) -> bytes:
    """Return what the server writes after a whole handshake, so it has seen all that was sent before."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=authority.client, server_hostname="localhost"
    )
    found = await reader.readexactly(5)
    writer.transport.abort()
    await asyncio.sleep(0)
    return found


def _first_message(authority: _Authority) -> tuple[bytes, ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.client.wrap_bio(received, sent, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read(), client, received, sent


async def test_handshake_starts_with_the_last_byte_of_the_first_message(
    authority: _Authority, sock: socket.socket
) -> None:
    message, client, received, sent = _first_message(authority)
    async with _accepting(sock, authority.server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number, piece in enumerate((message[:3], message[3:100], message[100:-1]), start=1):
            writer.write(piece)
            assert await _greeting(port, authority) == b"hello"
            assert authority.server.started == number  # those of the greetings
        writer.write(message[-1:])
        while True:
            received.write(await asyncio.wait_for(reader.read(65536), 60))
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
                break
        writer.write(sent.read())
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                assert client.read(5) == b"hello"
                break
            received.write(await asyncio.wait_for(reader.read(65536), 60))
        writer.transport.abort()
        await asyncio.sleep(0)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03", b"\x16\x03\x01\x02\x00abc"])
async def test_client_that_sends_no_more_is_closed(
    authority: _Authority, sock: socket.socket, sent: bytes
) -> None:
    async with _accepting(sock, authority.server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        writer.write_eof()
        with contextlib.suppress(ConnectionResetError):  # because of the unread bytes
            assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.transport.abort()
        await asyncio.sleep(0)
    assert authority.server.started == 0


async def test_first_message_has_a_time_limit(
    authority: _Authority, sock: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE_SECONDS", 0.01)
    async with _accepting(sock, authority.server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()


async def test_end_of_the_listener_closes_connections_without_a_message(
    authority: _Authority, sock: socket.socket
) -> None:
    async with _accepting(sock, authority.server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await _greeting(port, authority)
    assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 20_000])
async def test_other_bytes_than_tls_are_refused(
    authority: _Authority, sock: socket.socket, start: bytes
) -> None:
    async with _accepting(sock, authority.server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(start)
        with contextlib.suppress(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 60)
        writer.transport.abort()
        assert await _greeting(port, authority) == b"hello"


class _Failing(socket.socket):
    """A listener whose process has too many open files once."""

    errors: ClassVar[list[int]] = []

    def accept(self) -> Any:
        if self.errors:
            raise OSError(self.errors.pop(), "")
        return super().accept()


async def test_connections_are_accepted_after_an_error(
    authority: _Authority, sock: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(_Failing, "errors", [errno.EMFILE, errno.ECONNABORTED])
    with _Failing(fileno=sock.detach()) as failing:
        async with _accepting(failing, authority.server) as port:
            assert await _greeting(port, authority) == b"hello"
    assert _Failing.errors == []


async def test_connection_that_is_evicted_before_its_first_step_is_closed(
    sock: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "MAX_HANDSHAKES", 0)
    async with _accepting(sock, None) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()
