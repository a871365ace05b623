"""A replica as the activator sees it: a pod of a user can answer anything."""

from __future__ import annotations

import asyncio

import pytest

from modelyard.activator.replica import places_if_ready
from modelyard.api.endpoint_slices import Address

LOAD = b'{"running": 1, "waiting": 0, "places": 2, "requests": 3, "ready": true}'


def response(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize(
    ("answer", "places"),
    [
        (response(LOAD), 2),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(LOAD), LOAD),
            2,
        ),
        (response(LOAD.replace(b"true", b"false")), None),
        (response(LOAD, b"503 Service Unavailable"), None),
        (response(b'{"ready": true}'), None),
        (response(LOAD)[:-1], None),
        (response(LOAD + b" " * 70_000), None),
        (b"hello\r\n\r\n", None),
        (b"", None),
    ],
    ids=["load", "chunks", "not ready", "503", "no places", "cut", "large", "not HTTP", "nothing"],
)
async def test_only_a_valid_load_gives_places(answer: bytes, places: int | None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        assert await places_if_ready(Address(*server.sockets[0].getsockname())) == places
    finally:
        server.close()
