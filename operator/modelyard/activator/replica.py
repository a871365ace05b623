"""One replica as the activator sees it: whether it is ready, its places, and the requests in flight."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import Final, NamedTuple

from modelyard.api.endpoint_slices import Address
from modelyard.scoring.contract import LOAD_PATH, READY_PATH

CONNECT_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 2.0
_MAX_ANSWER_BYTES: Final = 64 * 1024
_NO_PLACES: Final = 1  # of a replica whose runtime does not tell its places: a release up to 0.2.0


class Answer(NamedTuple):
    """The status and the body of a response."""

    status: int
    body: bytes


async def connect(address: Address) -> socket.socket:
    """Return a connection. Raises OSError, and TimeoutError after a second without one."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await asyncio.get_running_loop().sock_connect(connection, tuple(address))
    except BaseException:
        connection.close()
        raise
    return connection


async def places_if_ready(address: Address) -> int | None:
    """Return the number of requests that a replica scores at once, None while it is not ready.

    A runtime without /load tells by /ready whether it is ready.
    """
    try:
        load = await _get(address, LOAD_PATH)
        if load.status == 404:
            ready = await _get(address, READY_PATH)
            return _NO_PLACES if ready.status == 200 else None
        return _places(load)
    except (OSError, TimeoutError, ValueError):
        return None


def _places(load: Answer) -> int | None:
    found = json.loads(load.body) if load.status == 200 else {}
    if not isinstance(found, dict) or found.get("ready") is not True:
        return None
    places = found.get("places")
    return max(1, places) if isinstance(places, int) else _NO_PLACES


async def _get(address: Address, path: str) -> Answer:
    """Return the response of a replica. Raises OSError, TimeoutError, and ValueError if it is not HTTP."""
    loop = asyncio.get_running_loop()
    connection = await connect(address)
    with contextlib.closing(connection):
        async with asyncio.timeout(_ANSWER_SECONDS):
            request = f"GET {path} HTTP/1.1\r\nHost: replica\r\nConnection: close\r\n\r\n"
            await loop.sock_sendall(connection, request.encode())
            data = bytearray()
            while len(data) <= _MAX_ANSWER_BYTES and (more := await loop.sock_recv(connection, 4096)):
                data += more
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    return Answer(int(head[9:12]), body)


class Replica:
    """A replica of a Service. `places` is 0 until it is ready."""

    def __init__(self, address: Address):
        self.address = address
        self.places = 0
        self.in_flight = 0

    @property
    def free(self) -> int:
        """Return the number of requests that the replica scores at once, beside those in flight."""
        return self.places - self.in_flight
