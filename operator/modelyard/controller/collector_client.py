"""HTTP client of the side-cars that collect records: it reads the state that each one tells."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

import orjson
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from modelyard.contract.collection_pod import PORT, STATE_PATH
from modelyard.reconcile.collection_reports import CollectorState

_SECONDS: Final = 2.0
_MAX_BYTES: Final = 65_536
_MAX_MESSAGE: Final = 500  # characters
_REASON: Final = re.compile(r"[A-Z][A-Za-z]{0,62}")
_STATES: Final = {"Working": True, "Degraded": False}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")


class CollectorError(Exception):
    """A side-car has sent no valid state."""


class CollectorClient:
    """Connections to the side-cars of pods. Each answer is bounded and checked: a pod may answer anything."""

    def __init__(self, *, port: int = PORT):
        self._port = port
        self._client: Client = (
            ClientBuilder()
            .timeout(timedelta(seconds=_SECONDS))
            .follow_redirects(False)
            .no_proxy()
            .pool_max_idle_per_host(0)  # a request each 30 s needs no open connection
            .build()
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def state(self, address: str) -> CollectorState:
        """Return the state of the side-car at an IP address. Raises CollectorError."""
        host = f"[{address}]" if ":" in address else address
        request = self._client.get(f"http://{host}:{self._port}{STATE_PATH}").build_streamed()
        body = bytearray()
        try:
            async with request as response:
                if response.status != 200:
                    raise CollectorError(f"HTTP status {response.status}")
                while (chunk := await response.body_reader.read_chunk()) is not None:
                    body += bytes(chunk)
                    if len(body) > _MAX_BYTES:
                        raise CollectorError(f"more than {_MAX_BYTES} bytes")
        except PyreqwestError as error:
            raise CollectorError(error.message) from error
        return parse_state(bytes(body))


def parse_state(body: bytes) -> CollectorState:
    """Parse the state that a side-car tells. Raises CollectorError for other content."""
    try:
        value: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise CollectorError("not JSON") from error
    if not isinstance(value, dict):
        raise CollectorError("not a JSON object")
    state, message = value.get("state"), value.get("message", "")
    reason = value.get("reason") or state
    if not (isinstance(state, str) and isinstance(reason, str) and isinstance(message, str)):
        raise CollectorError("state, reason and message are not all texts")
    if state not in _STATES or not _REASON.fullmatch(reason):
        raise CollectorError("no state, or a reason that is not one word")
    return CollectorState(_STATES[state], reason, _CONTROL.sub(" ", message)[:_MAX_MESSAGE])
