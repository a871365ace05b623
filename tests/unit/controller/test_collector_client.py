"""State of a side-car over HTTP, and answers of a pod that is none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from modelyard.controller.collector_client import CollectorClient, CollectorError, parse_state

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def client_of() -> AsyncIterator[Callable[[Answer], Awaitable[CollectorClient]]]:
    """Clients of servers with one answer at each path."""
    runners: list[web.AppRunner] = []
    clients: list[CollectorClient] = []

    async def start(answer: Answer) -> CollectorClient:
        app = web.Application()
        app.router.add_get("/state", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        clients.append(CollectorClient(port=runner.addresses[0][1]))
        return clients[-1]

    yield start
    for client in clients:
        await client.close()
    for runner in runners:
        await runner.cleanup()


async def test_state_of_a_side_car_is_read(client_of: Callable[[Answer], Awaitable[CollectorClient]]) -> None:
    body = {"state": "Degraded", "reason": "StorageRefused", "message": "403\nfor s3://b", "rows": {}}

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    client = await client_of(answer)
    assert await client.state("127.0.0.1") == (False, "StorageRefused", "403 for s3://b")


async def test_redirect_is_not_followed(client_of: Callable[[Answer], Awaitable[CollectorClient]]) -> None:
    async def answer(_: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.1:1/")

    client = await client_of(answer)
    with pytest.raises(CollectorError, match="HTTP status 302"):
        await client.state("127.0.0.1")


async def test_long_answer_is_not_read_to_its_end(
    client_of: Callable[[Answer], Awaitable[CollectorClient]],
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 70_000)

    client = await client_of(answer)
    with pytest.raises(CollectorError, match="more than 65536 bytes"):
        await client.state("127.0.0.1")


async def test_pod_that_does_not_listen_is_an_error() -> None:
    client = CollectorClient(port=1)
    with pytest.raises(CollectorError):
        await client.state("::1")
    await client.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"state": "Broken"}',
        b'{"state": ["Working"]}',
        b'{"state": "Degraded", "reason": "not a word"}',
        b'{"state": "Degraded", "reason": 3}',
        b'{"state": "Degraded", "reason": "R", "message": {}}',
        b'{"state": "Degraded", "reason": "' + b"R" * 64 + b'"}',
    ],
)
def test_other_content_is_an_error(body: bytes) -> None:
    with pytest.raises(CollectorError):
        parse_state(body)


def test_long_message_is_cut() -> None:
    assert len(parse_state(b'{"state": "Working", "message": "' + b"x" * 9000 + b'"}').message) == 500
