"""Requests to replicas: a pod of a user can answer anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from modelyard.scaler import load_client
from modelyard.scaler.load import Load
from modelyard.scaler.load_client import LoadClient, LoadError

BODY = b'{"running": 1, "waiting": 0, "places": 2, "requests": 3, "ready": true}'


def response(body: bytes, status: str = "200 OK", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n%b\r\n%b" % (status.encode(), len(body), headers, body)


@asynccontextmanager
async def replica(answer: bytes) -> AsyncIterator[tuple[LoadClient, list[bytes]]]:
    """Serve one answer to each request on 127.0.0.1; yield a client for its port, and the requests."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = LoadClient(server.sockets[0].getsockname()[1])
    try:
        yield client, requests
    finally:
        await client.close()
        server.close()


async def test_load_is_read_without_a_key() -> None:
    async with replica(response(BODY)) as (client, requests):
        assert await client.read("127.0.0.1") == Load(1, 0, 2, 3, True)
        await client.read("127.0.0.1")
    assert [request.split(b"\r\n")[0] for request in requests] == [b"GET /load HTTP/1.1"] * 2
    assert b"authorization" not in requests[0].lower()


async def test_older_image_has_no_such_path() -> None:
    async with replica(response(b"{}", "404 Not Found")) as (client, _):
        assert await client.read("127.0.0.1") is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (response(b"x" * 5000), "more than 4096 bytes"),
        (response(b"", "500 Error"), "answers 500"),
        (response(b"", "302 Found", b"location: http://127.0.0.1:1/\r\n"), "answers 302"),
        (response(b"[]"), "/load: "),
        (b"nonsense\r\n\r\n", "/load: "),
    ],
)
async def test_other_answers_are_errors(answer: bytes, words: str) -> None:
    async with replica(answer) as (client, _):
        with pytest.raises(LoadError, match=words):
            await client.read("127.0.0.1")


async def test_silent_pod_ends_after_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_client, "TIMEOUT_SECONDS", 0.05)
    async with replica(b"") as (client, _):
        with pytest.raises(LoadError, match="/load: "):
            await client.read("127.0.0.1")


async def test_metrics_of_an_older_image_are_bounded() -> None:
    async with replica(response(b"#" * 300_000)) as (client, _):
        with pytest.raises(LoadError, match="more than 262144 bytes"):
            await client.read_metrics("127.0.0.1")
