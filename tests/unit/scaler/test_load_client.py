"""Requests to replicas: a pod of a user can answer anything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from modelyard.replica_client.load import Load
from modelyard.scaler import load_client
from modelyard.scaler.load_client import LoadClient, LoadError

BODY = b'{"running": 1, "waiting": 0, "places": 2, "requests": 3, "ready": true}'


def response(body: bytes, status: str = "200 OK", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n%b\r\n%b" % (status.encode(), len(body), headers, body)


@asynccontextmanager
async def replica(answer: bytes) -> AsyncIterator[tuple[LoadClient, list[bytes]]]:
    """Serve one answer to each request on 127.0.0.1; yield a client for its port, and the requests."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()

    async with served(serve) as client:
        yield client, requests


@asynccontextmanager
async def peer(answers: list[bytes]) -> AsyncIterator[tuple[LoadClient, list[int]]]:
    """Close each connection after the answers; yield a client, and the number of requests of each."""
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(connections)
        connections.append(0)
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            connections[number] += 1
            writer.write(answer)

    async with served(serve) as client:
        yield client, connections


@asynccontextmanager
async def served(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[LoadClient]:
    """Serve each connection on 127.0.0.1 until it ends; yield a client for its port."""
    tasks: list[asyncio.Task[None] | None] = []

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await serve(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    client = LoadClient(server.sockets[0].getsockname()[1])
    try:
        yield client
    finally:
        await client.close()
        server.close()
        await asyncio.gather(*filter(None, tasks))


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


async def test_requests_to_a_replica_share_a_connection() -> None:
    async with peer([response(BODY)] * 3) as (client, connections):
        for _ in range(3):
            await client.read("127.0.0.1")
    assert connections == [3]


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([response(BODY)], id="closed while it idles"),
        pytest.param([response(BODY, headers=b"connection: close\r\n"), b""], id="end is announced"),
        pytest.param([response(BODY) + b"more", b""], id="bytes after the response"),
    ],
)
async def test_closed_connection_is_replaced(answers: list[bytes]) -> None:
    async with peer(answers) as (client, connections):
        for _ in range(3):
            assert await client.read("127.0.0.1") == Load(1, 0, 2, 3, True)
    assert connections == [1, 1, 1]


async def test_connection_that_closes_before_each_response_is_an_error() -> None:
    async with peer([b""]) as (client, connections):
        with pytest.raises(LoadError, match="/load: the connection was closed before the response"):
            await client.read("127.0.0.1")
    assert connections == [1]


async def test_connection_that_closes_at_a_request_is_tried_once_more() -> None:
    async with peer([response(BODY), b""]) as (client, connections):
        for _ in range(3):
            assert await client.read("127.0.0.1") == Load(1, 0, 2, 3, True)
    assert connections == [2, 2, 1]


async def test_connection_that_closes_within_a_response_is_an_error() -> None:
    async with peer([response(BODY)[:-1]]) as (client, _):
        with pytest.raises(LoadError, match="before the end of the response"):
            await client.read("127.0.0.1")


async def test_two_requests_at_a_time_get_their_own_responses() -> None:
    async with peer([response(BODY)] * 2) as (client, connections):
        await asyncio.gather(client.read("127.0.0.1"), client.read("127.0.0.1"))
        await client.read("127.0.0.1")
    assert sorted(connections) == [1, 2]


async def test_endless_head_is_an_error() -> None:
    async with replica(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 10_000) as (client, _):
        with pytest.raises(LoadError, match="more than 4096 bytes"):
            await client.read("127.0.0.1")


async def test_port_without_a_server_is_an_error() -> None:
    client = LoadClient(1)
    with pytest.raises(LoadError, match=r"/load: .*111"):
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
