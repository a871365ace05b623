"""Requests to replicas for their load, over kept connections.

A pod is a user's: its answer is bounded in time and size, no redirect is followed, and its values are
checked.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from modelyard.scaler.load import Load, parse_load, parse_metrics
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
        timeout = timedelta(seconds=TIMEOUT_SECONDS)
        builder = ClientBuilder().timeout(timeout).connect_timeout(timeout).pool_max_idle_per_host(1)
        builder = builder.gzip(False).brotli(False).deflate(False).zstd(False)
        self._client = builder.no_proxy().follow_redirects(False).build()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

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

    async def _get(self, address: str, path: str, max_bytes: int) -> tuple[int, bytes]:
        host = f"[{address}]" if ":" in address else address
        request = self._client.get(f"http://{host}:{self._port}{path}").build_streamed()
        body = bytearray()
        try:
            async with request as response:
                while (chunk := await response.body_reader.read_chunk()) is not None:
                    body += bytes(chunk)
                    if len(body) > max_bytes:
                        message = f"{path} has more than {max_bytes} bytes"
                        raise LoadError(message)
                return response.status, bytes(body)
        except PyreqwestError as error:
            raise LoadError(f"{path}: {error}") from error


def _parsed(parse: Callable[[], Load], status: int, path: str) -> Load:
    if status != _OK:
        message = f"{path} answers {status}"
        raise LoadError(message)
    try:
        return parse()
    except ValueError as error:
        raise LoadError(f"{path}: {error}") from error
