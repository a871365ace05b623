"""The client against a small HTTP server: retries, errors, pages, watches, tokens."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube import transport
from modelyard.kube.client import MERGE_PATCH, METADATA_ONLY, Client
from modelyard.kube.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Gone,
    KubeError,
    NamespaceTerminating,
    NotFound,
    Rejected,
    Unavailable,
    from_status,
)
from modelyard.kube.types import CORE_SERVICES, DEPLOYMENTS, SECRETS

Answer = Callable[[web.Request], Any]
OBJECT = {"metadata": {"name": "a", "resourceVersion": "7"}}


@dataclass
class Server:
    """Answers with what is queued, the last answer again and again."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        answer = (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(request)
        response: web.StreamResponse = await answer if asyncio.iscoroutine(answer) else answer
        return response


def ok(body: Any = OBJECT) -> Answer:
    return lambda request: web.json_response(body)


def error(status: int, reason: str = "", message: str = "why", **headers: str) -> Answer:
    body = {"kind": "Status", "reason": reason, "message": message}
    return lambda request: web.json_response(body, status=status, headers=headers)


def hang_up(request: web.Request) -> web.Response:
    assert request.transport
    request.transport.close()
    return web.Response()


def stream(*events: Any, broken: bool = False) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for event in events:
            await response.write(json.dumps(event).encode() + b"\n")
        if broken:
            await response.write(b'{"type": "MODI')
            assert request.transport
            request.transport.close()
        return response

    return answer


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    sleep = asyncio.sleep

    async def wait(seconds: float) -> None:
        server.waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr("modelyard.kube.client.asyncio.sleep", wait)
    yield server
    await runner.cleanup()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    client = Client(Configuration(host=server.url))
    yield client
    await client.close()


# one request


async def test_requests_as_the_api_server_wants_them(server: Server, client: Client) -> None:
    server.answers = [ok()]
    await client.get(SECRETS, "default", "a")
    await client.create(DEPLOYMENTS, "default", OBJECT)
    await client.patch(CUSTOM_RESOURCES["Model"], "default", "a", {"status": {}}, subresource="status")
    await client.delete(CORE_SERVICES, "default", "a", uid="u")
    await client.log("default", "p", container="build")
    assert [(r.method, r.path_qs) for r in server.requests] == [
        ("GET", "/api/v1/namespaces/default/secrets/a"),
        ("POST", "/apis/apps/v1/namespaces/default/deployments"),
        ("PATCH", "/apis/modelyard.dev/v1alpha1/namespaces/default/models/a/status"),
        ("DELETE", "/api/v1/namespaces/default/services/a"),
        ("GET", "/api/v1/namespaces/default/pods/p/log?container=build"),
    ]
    assert [r.headers["Accept"] for r in server.requests[1:3]] == [METADATA_ONLY] * 2
    assert {r.headers["User-Agent"] for r in server.requests} == {"modelyard"}
    assert server.requests[2].headers["Content-Type"] == MERGE_PATCH
    assert json.loads(server.bodies[3]) == {
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u"},
    }


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (400, "BadRequest", Rejected),
        (401, "Unauthorized", Forbidden),
        (403, "Forbidden", Rejected),
        (404, "NotFound", NotFound),
        (405, "", Rejected),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (410, "Expired", Gone),
        (422, "Invalid", Rejected),
    ],
)
async def test_what_is_answered_for_good_is_not_asked_again(
    server: Server, client: Client, status: int, reason: str, expected: type[KubeError]
) -> None:
    server.answers = [error(status, reason)]
    with pytest.raises(KubeError, match="why") as caught:
        await client.get(SECRETS, "default", "a")
    assert type(caught.value) is expected
    assert (caught.value.status, caught.value.reason) == (status, reason)
    assert len(server.requests) == 1


async def test_what_is_not_there(server: Server, client: Client) -> None:
    server.answers = [error(404)]
    assert await client.get_or_none(SECRETS, "default", "a") is None
    await client.delete(SECRETS, "default", "a")


@pytest.mark.parametrize("failure", [error(503), error(429), error(500)], ids=["503", "429", "500"])
async def test_a_failure_that_passes(server: Server, client: Client, failure: Answer) -> None:
    server.answers = [failure, failure, ok()]
    assert await client.get(SECRETS, "default", "a") == OBJECT
    assert len(server.requests) == 3
    assert 0.1 <= server.waits[0] <= 0.3
    assert 0.2 <= server.waits[1] <= 0.6


@pytest.mark.parametrize(("header", "wait"), [("2", 2.0), ("60", 5.0), ("0", None), ("soon", None)])
async def test_it_waits_as_it_is_asked_to(
    server: Server, client: Client, header: str, wait: float | None
) -> None:
    server.answers = [error(429, **{"Retry-After": header}), ok()]
    await client.get(SECRETS, "default", "a")
    assert server.waits == [pytest.approx(0.2, abs=0.1) if wait is None else wait]


@pytest.mark.parametrize("failure", [error(503, message="etcd is away"), hang_up], ids=["503", "hang up"])
async def test_it_gives_up(server: Server, client: Client, failure: Answer) -> None:
    server.answers = [failure]
    with pytest.raises(Unavailable, match=r"etcd is away|did not answer"):
        await client.create(SECRETS, "default", OBJECT)
    assert len(server.requests) == 4


async def test_an_answer_that_is_no_status(server: Server, client: Client) -> None:
    server.answers = [lambda request: web.Response(status=403, text="<html>a proxy</html>")]
    with pytest.raises(Rejected, match="a proxy"):
        await client.get(SECRETS, "default", "a")


def test_an_error_without_words() -> None:
    assert str(from_status(502, {}, None)) == "the API server answered 502"


async def test_the_token_is_asked_for_each_time(server: Server) -> None:
    configuration = Configuration(host=server.url, api_key_prefix={"BearerToken": "Bearer"})
    tokens = iter(["one", "two"])

    async def refresh(configuration: Configuration) -> None:
        configuration.api_key["BearerToken"] = next(tokens)

    configuration.refresh_api_key_hook = refresh  # type: ignore[assignment]
    client = Client(configuration)
    server.answers = [ok()]
    for _ in range(2):
        await client.get(SECRETS, "default", "a")
    assert [r.headers["Authorization"] for r in server.requests] == ["Bearer one", "Bearer two"]
    await client.close()


# many objects


async def test_lists_come_page_by_page(server: Server, client: Client) -> None:
    server.answers = [
        ok({"metadata": {"continue": "more", "resourceVersion": "5"}, "items": [{"n": 1}, {"n": 2}]}),
        ok({"metadata": {"resourceVersion": "5"}, "items": [{"n": 3}]}),
    ]
    items, version = await client.list_with_resource_version(SECRETS, None, labelSelector="a=b")
    assert [item["n"] for item in items] == [1, 2, 3]
    assert version == "5"
    assert [dict(r.query) for r in server.requests] == [
        {"labelSelector": "a=b", "limit": "500"},
        {"labelSelector": "a=b", "limit": "500", "continue": "more"},
    ]


async def test_an_empty_list_of_metadata_is_null(server: Server, client: Client) -> None:
    server.answers = [ok({"metadata": {"resourceVersion": "5"}, "items": None})]
    assert await client.list_all(SECRETS, "default") == []


def event(type_: str, version: int, **more: Any) -> dict[str, Any]:
    return {"type": type_, "object": {"metadata": {"resourceVersion": str(version)}} | more}


async def heard(client: Client) -> list[str]:
    return [event["type"] async for event in client.watch(SECRETS, None, "5", labelSelector="a=b")]


async def test_a_watch_tells_until_the_server_ends_it(server: Server, client: Client) -> None:
    large = "x" * 700_000  # a record may carry this much
    server.answers = [stream(event("ADDED", 6), event("MODIFIED", 7, data=large), event("BOOKMARK", 8))]
    assert await heard(client) == ["ADDED", "MODIFIED", "BOOKMARK"]
    query = dict(server.requests[0].query)
    assert query.pop("timeoutSeconds")
    assert query == {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "resourceVersion": "5",
        "labelSelector": "a=b",
    }


async def test_an_event_is_told_when_it_comes(server: Server, client: Client) -> None:
    told = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(json.dumps(event("ADDED", 6)).encode() + b"\n")
        await told.wait()
        return response

    server.answers = [answer]
    watch = client.watch(SECRETS, None, "5")
    assert (await asyncio.wait_for(anext(watch), 10))["type"] == "ADDED"
    told.set()
    assert [event async for event in watch] == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (stream({"type": "ERROR", "object": {"code": 410, "message": "too old"}}), Gone),
        (stream({"type": "ERROR", "object": {"code": 500, "message": "oops"}}), Unavailable),
        (stream({"type": "ERROR", "object": {}}), Unavailable),
        (error(410), Gone),
        (error(403), Rejected),
        (error(429), Unavailable),
        (hang_up, Unavailable),
        (stream(event("ADDED", 6), broken=True), Unavailable),
    ],
    ids=["410 inside", "500 inside", "no code", "410", "403", "429", "hang up", "half a line"],
)
async def test_a_watch_that_fails(
    server: Server, client: Client, answer: Answer, expected: type[KubeError]
) -> None:
    server.answers = [answer]
    with pytest.raises(expected):
        await heard(client)


async def test_a_watch_that_falls_silent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_SILENCE", dt.timedelta(seconds=0.05))
    client = Client(Configuration(host=server.url))
    silence = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await silence.wait()
        return response

    server.answers = [answer]
    with pytest.raises(Unavailable, match="the watch of secrets broke"):
        await heard(client)
    silence.set()
    await client.close()


# logs


async def log_of(client: Client) -> list[str]:
    return [line async for line in client.log_lines("default", "p", container="c")]


async def test_a_log_is_told_line_by_line_while_it_is_written(server: Server, client: Client) -> None:
    told = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\ntw\xff")
        await told.wait()
        await response.write(b"\n")
        return response

    server.answers = [answer]
    lines = client.log_lines("default", "p", container="c")
    assert await asyncio.wait_for(anext(lines), 10) == "one"
    told.set()
    assert [line async for line in lines] == ["tw\N{REPLACEMENT CHARACTER}"]
    (request,) = server.requests
    assert request.path == "/api/v1/namespaces/default/pods/p/log"
    assert dict(request.query) == {"container": "c", "follow": "true"}


@pytest.mark.parametrize(
    ("answer", "expected"), [(error(404), NotFound), (error(400), Rejected), (hang_up, Unavailable)]
)
async def test_a_log_that_cannot_be_followed(
    server: Server, client: Client, answer: Answer, expected: type[KubeError]
) -> None:
    server.answers = [answer]
    with pytest.raises(expected):
        await log_of(client)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('pods is forbidden: User "system:serviceaccount:a:b" cannot list resource "pods"', Forbidden),
        ('pods "m" is forbidden: exceeded quota: q, requested: pods=1', Rejected),
    ],
)
def test_what_rbac_denies_and_what_a_quota_refuses(message: str, expected: type[KubeError]) -> None:
    assert type(from_status(403, {"reason": "Forbidden", "message": message}, None)) is expected


def test_what_a_namespace_refuses_that_is_being_deleted() -> None:
    message = "unable to create new content in namespace n because it is being terminated"
    causes = [
        {"reason": "NamespaceTerminating", "field": "metadata.namespace", "message": "n is terminating"}
    ]
    body = {"reason": "Forbidden", "message": message, "details": {"name": "m", "causes": causes}}
    assert type(from_status(403, body, None)) is NamespaceTerminating
    assert type(from_status(403, body | {"details": None}, None)) is Rejected
