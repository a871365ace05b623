"""One replica as the activator sees it: whether it is ready, its places, and the requests in flight."""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from typing import Final

from modelyard.api.endpoint_slices import Address
from modelyard.replica_client.connection import ClosedError, Connection, Response, ResponseError, get_head
from modelyard.replica_client.load import parse_load
from modelyard.scoring.contract import LOAD_PATH, READY_PATH

CONNECT_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 2.0
_MAX_ANSWER_BYTES: Final = 64 * 1024
_NO_PLACES: Final = 1  # of a replica whose runtime does not tell its places: a release up to 0.2.0


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
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await _ask(address)
    except (ResponseError, ClosedError, OSError, TimeoutError, ValueError):
        return None


async def _ask(address: Address) -> int | None:
    status, body = await _get(address, LOAD_PATH)
    if status == HTTPStatus.NOT_FOUND:
        status, _ = await _get(address, READY_PATH)
        return _NO_PLACES if status == HTTPStatus.OK else None
    load = parse_load(body) if status == HTTPStatus.OK else None
    return load.places if load and load.ready else None


async def _get(address: Address, path: str) -> Response:
    """Return the response of a replica. Raises ResponseError, ClosedError and OSError."""
    async with asyncio.timeout(CONNECT_SECONDS):
        connection = await Connection.open(*address, on_close=lambda: None)
    try:
        return await connection.request(get_head(*address, path), _MAX_ANSWER_BYTES)
    finally:
        connection.close()


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
