"""Requests to replicas for their load, over kept connections.

A pod is a user's: its answer is bounded in time and size, no redirect is followed, and its values are
checked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from modelyard.replica_client.connection import ClosedError, Connection, Response, ResponseError, get_head
from modelyard.replica_client.load import Load, parse_load
from modelyard.scaler.load import parse_metrics
from modelyard.scoring.contract import LOAD_PATH, METRICS_PATH, PORT

TIMEOUT_SECONDS: Final = 1.0
_MAX_LOAD_BYTES: Final = 4096
_MAX_METRICS_BYTES: Final = 256 * 1024
_NOT_FOUND: Final = 404
_OK: Final = 200


class LoadError(Exception):
    """A replica gave no valid answer. The message names the cause."""


class LoadClient:
    """Asks replicas for their load. `port` is that of their pods."""

    def __init__(self, port: int = PORT) -> None:
        self._port = port
        self._idle: dict[str, Connection] = {}

    async def close(self) -> None:
        """Close the connections."""
        for connection in list(self._idle.values()):
            connection.close()

    async def read(self, address: str) -> Load | None:
        """Return the load by `GET /load`, None if the image is older than this path. Raises LoadError."""
        status, body = await self._get(address, LOAD_PATH, _MAX_LOAD_BYTES)
        if status == _NOT_FOUND:
            return None
        return _parsed(lambda: parse_load(body), status, LOAD_PATH)

    async def read_metrics(self, address: str) -> Load:
        """Return the load by `GET /metrics`, which each image has. Raises LoadError."""
        status, body = await self._get(address, METRICS_PATH, _MAX_METRICS_BYTES)
        return _parsed(lambda: parse_metrics(body.decode(errors="replace")), status, METRICS_PATH)

    async def _get(self, address: str, path: str, max_bytes: int) -> Response:
        head = get_head(address, self._port, path)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._exchange(address, head, max_bytes)
        except TimeoutError:
            raise LoadError(f"{path}: no response within {TIMEOUT_SECONDS:g} s") from None
        except (ResponseError, ClosedError, OSError) as error:
            raise LoadError(f"{path}: {error}") from error

    async def _exchange(self, address: str, head: bytes, max_bytes: int) -> Response:
        kept = self._idle.pop(address, None)
        if kept is not None:
            # A replica closes a connection that idles, perhaps at this moment.
            with contextlib.suppress(ClosedError, ConnectionError):
                return await self._request(kept, address, head, max_bytes)
        connection = await Connection.open(address, self._port, lambda: self._forget(address))
        return await self._request(connection, address, head, max_bytes)

    async def _request(self, connection: Connection, address: str, head: bytes, max_bytes: int) -> Response:
        response = await connection.request(head, max_bytes)
        if connection.is_open and self._idle.setdefault(address, connection) is not connection:
            connection.close()  # two requests at a time, which is rare
        return response

    def _forget(self, address: str) -> None:
        """Drop the connection that waits for the next request, if it is closed."""
        connection = self._idle.get(address)
        if connection is not None and not connection.is_open:
            del self._idle[address]


def _parsed(parse: Callable[[], Load], status: int, path: str) -> Load:
    if status != _OK:
        message = f"{path} answers {status}"
        raise LoadError(message)
    try:
        return parse()
    except ValueError as error:
        raise LoadError(f"{path}: {error}") from error
