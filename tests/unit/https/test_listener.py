"""TLS handshakes of the gateway."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
import trustme

from modelyard.https import listener
from modelyard.https.listener import Listener


class _Greeting(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")


async def test_oldest_handshake_makes_room_for_a_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_HANDSHAKES", 1)
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        accepting = asyncio.create_task(Listener(sock, context, _Greeting).run())
        silent, first = await asyncio.open_connection("127.0.0.1", port)
        reader, second = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trusting, server_hostname="localhost"
        )
        assert await reader.readexactly(5) == b"hello"
        assert await asyncio.wait_for(silent.read(), 10) == b""
        accepting.cancel()
        for writer in (first, second):
            writer.transport.abort()
            await asyncio.sleep(0)


async def test_handshakes_of_one_address_end_none_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_HANDSHAKES", 3)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        accepting = asyncio.create_task(Listener(sock, context, _Greeting).run())
        other, first = await asyncio.open_connection("127.0.0.1", port)
        many = [
            await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0)) for _ in range(8)
        ]
        for reader, _ in many[:6]:
            assert await asyncio.wait_for(reader.read(), 10) == b""
        assert not other.at_eof()
        assert not any(reader.at_eof() for reader, _ in many[6:])
        accepting.cancel()
        for writer in (first, *(writer for _, writer in many)):
            writer.transport.abort()
        await asyncio.sleep(0)


async def test_requests_are_answered_between_waiting_connections() -> None:
    loop, turn = asyncio.get_running_loop(), 0
    made: list[int] = []

    class Recording(_Greeting):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(turn)
            super().connection_made(transport)

    def count() -> None:
        nonlocal turn
        turn += 1
        if len(made) < 5:
            loop.call_soon(count)

    with socket.create_server(("127.0.0.1", 0)) as sock:
        clients = [socket.create_connection(sock.getsockname()) for _ in range(5)]
        accepting = asyncio.create_task(Listener(sock, None, Recording).run())
        loop.call_soon(count)
        for client in clients:
            client.setblocking(False)
            assert await loop.sock_recv(client, 5) == b"hello"
            client.close()
        assert len(set(made)) == 5
        accepting.cancel()


async def test_failed_handshake_leaves_the_listener_running() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        accepting = asyncio.create_task(Listener(sock, context, _Greeting).run())
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
        assert not accepting.done()
        accepting.cancel()
