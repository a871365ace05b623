"""The client that sends collected requests again, with bounded time, retries and rate."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, Self

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError, RequestTimeoutError

from modelyard.backoff import Backoff
from modelyard.rate_limit import RateLimit
from modelyard.replay.errors import ReplayError
from modelyard.replay.requests import CollectedRequest

SCORE: Final = "/score"
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_CONNECT_SECONDS: Final = 10
_MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
_ATTEMPTS: Final = 6
_BACKOFF: Final = Backoff(first_seconds=0.5, most_seconds=30.0, jitter=0.5)
_BUSY: Final = frozenset({429, 503})
_REFUSED: Final = frozenset({401, 403})
_SAFE_ID: Final = re.compile(r"[!-~]{1,100}")
_ID_HEADER: Final = "x-ms-client-request-id"
"""The header by which the logs and the rows of the new response name the collected request."""


class NoResponse(StrEnum):
    """The reason for which a request has no response to compare. Its value is a noun for people."""

    BUSY = "busy (503 or 429)"
    TIMEOUT = "no response in time"
    CONNECTION = "broken connection"
    TOO_LARGE = "response above 64 MiB"


class Response(NamedTuple):
    """A response, and the seconds of the attempt that it answers."""

    status: int
    body: bytes
    seconds: float


@dataclass(frozen=True)
class Target:
    """The Service or container that is asked."""

    url: str
    """The URL of scoring, with the path of it, `/score` at its end."""
    key: str | None = None
    model_name: str | None = None
    """The name in the address of the inference protocol, None for the collected Service's."""
    ca_file: Path | None = None
    timeout_seconds: float = 60.0

    def address(self, request: CollectedRequest) -> str:
        """Return the URL of a request."""
        if request.infers:
            name = self.model_name or request.service
            return f"{self.url.removesuffix(SCORE)}/v2/models/{name}/infer"
        query = request.body.decode(errors="replace") if request.method == "GET" else ""
        return f"{self.url}?{query}" if query else self.url


class ReplayClient:
    """Context manager that sends requests to a target. `retries` counts attempts after the first ones."""

    def __init__(
        self,
        target: Target,
        concurrency: int,
        limit: RateLimit,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._target = target
        self._limit = limit
        self._sleep = sleep
        self._headers = {"Authorization": f"Bearer {target.key}"} if target.key else {}
        self._timeout = timedelta(seconds=target.timeout_seconds)
        self.retries = 0
        builder = (
            ClientBuilder()
            .user_agent("modelyard-replay")
            .connect_timeout(timedelta(seconds=_CONNECT_SECONDS))
            .pool_timeout(timedelta(seconds=target.timeout_seconds))
            .max_connections(concurrency)
            .follow_redirects(False)
        )
        if target.ca_file:
            for certificate in _CERTIFICATE.findall(target.ca_file.read_bytes()):
                builder = builder.add_root_certificate_pem(certificate)
        self._client = builder.build()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(self, request: CollectedRequest) -> Response | NoResponse:
        """Return the response to a request, after retries while the target is busy or unreachable.

        Raises ReplayError if the target refuses the key.
        """
        failures = 0
        while True:
            await self._limit.wait()
            result, retry_after = await self._attempt(request)
            if isinstance(result, Response):
                if result.status in _REFUSED and request.status != result.status:
                    raise ReplayError(
                        f"{self._target.url} refuses the key ({result.status}): set MODELYARD_KEY,"
                        " or name the file of the key with --key-file"
                    )
                if result.status not in _BUSY or request.status == result.status:
                    return result
                result = NoResponse.BUSY
            failures += 1
            if failures >= _ATTEMPTS or result in {NoResponse.TIMEOUT, NoResponse.TOO_LARGE}:
                return result
            self.retries += 1
            await self._sleep(_BACKOFF.seconds(failures, retry_after))

    async def _attempt(self, request: CollectedRequest) -> tuple[Response | NoResponse, float | None]:
        started = time.perf_counter()
        try:
            builder = self._client.request(request.method, self._target.address(request))
            builder = builder.headers(self._headers | _headers(request)).timeout(self._timeout)
            if request.method != "GET":
                builder = builder.body_bytes(request.body)
            async with builder.build_streamed() as response:
                body = bytearray()
                while (chunk := await response.body_reader.read_chunk()) is not None:
                    body += bytes(chunk)
                    if len(body) > _MAX_RESPONSE_BYTES:
                        return NoResponse.TOO_LARGE, None
                seconds = time.perf_counter() - started
                after = response.get_header("retry-after") or ""
                return Response(response.status, bytes(body), seconds), (
                    float(after) if after.isdecimal() else None
                )
        except RequestTimeoutError:
            return NoResponse.TIMEOUT, None
        except ValueError as error:
            raise ReplayError(f"{self._target.url} is not a URL of scoring: {error}") from None
        except PyreqwestError:
            return NoResponse.CONNECTION, None


def _headers(request: CollectedRequest) -> dict[str, str]:
    headers = {} if request.method == "GET" else {"Content-Type": request.content_type}
    if _SAFE_ID.fullmatch(request.request_id):
        headers[_ID_HEADER] = request.request_id
    return headers
