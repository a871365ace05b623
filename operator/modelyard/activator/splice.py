"""Bytes between a client and a replica, both ways, with the back-pressure of TCP: nothing is kept here."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

_CHUNK_BYTES: Final = 128 * 1024
_KEEPALIVE_SECONDS: Final = 60  # after which the kernel asks whether the peer is still there
_KEEPALIVE_PROBES: Final = 4
_LINGER_SECONDS: Final = 2.0  # for a client to read a response while it still sends


def keep_alive(connection: socket.socket) -> None:
    """Let the kernel find a dead peer within five minutes: a response may take an hour."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)


async def splice(client: socket.socket, replica: socket.socket) -> int:
    """Pass bytes both ways until the replica ends; return the number of bytes of its response.

    The end of the client's bytes is passed on. A client that has gone ends both. The replica may respond
    before it has read the whole body, so errors of the body are ignored.
    """
    upload = asyncio.create_task(_upload(client, replica))
    try:
        return await _pump(replica, client)
    finally:
        upload.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await upload


async def _upload(client: socket.socket, replica: socket.socket) -> None:
    await _pump(client, replica)
    with contextlib.suppress(OSError):
        replica.shutdown(socket.SHUT_WR)


async def _pump(source: socket.socket, target: socket.socket) -> int:
    """Pass bytes until the source ends or either side breaks; return their number."""
    loop = asyncio.get_running_loop()
    count = 0
    with contextlib.suppress(OSError):
        while data := await loop.sock_recv(source, _CHUNK_BYTES):
            count += len(data)
            await loop.sock_sendall(target, data)
            del data  # not kept while the next bytes are awaited
    return count


async def finish(client: socket.socket) -> None:
    """End the responses of a connection, and read what the client still sends, for a bounded time.

    A connection that is closed with unread bytes is reset, and the client may lose the response.
    """
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, TimeoutError):
        client.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(_LINGER_SECONDS):
            while await loop.sock_recv(client, _CHUNK_BYTES):
                pass
