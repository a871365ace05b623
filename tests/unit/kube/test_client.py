"""The client against an HTTP server: retries, errors, pages, watches, tokens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.backoff import Backoff
from modelyard.kube.client import MERGE_PATCH, METADATA_ONLY, TABLE, Client, RetryPolicy
from modelyard.kube.config import ServerConfig
from modelyard.kube.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Gone,
    Immutable,
    KubeError,
    NamespaceTerminating,
    NotFound,
    Rejected,
    Unavailable,
    from_status,
)
from modelyard.kube.pyreqwest_transport import PyreqwestTransport, Timeouts
from modelyard.kube.transport import JSON
from modelyard.kube.types import CORE_SERVICES, DEPLOYMENTS, PODS, REVISIONS, SECRETS

Handler = Callable[[web.Request], Any]
OBJECT = {"metadata": {"name": "a", "resourceVersion": "7"}}


@dataclass
class Server:
    """Handles requests with the handlers in the queue, the last one again and again."""

    url: str = ""
    handlers: list[Handler] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        handler = self.handlers.pop(0) if len(self.handlers) > 1 else self.handlers[0]
        result = handler(request)
        response: web.StreamResponse = await result if asyncio.iscoroutine(result) else result
        return response


def ok(body: Any = OBJECT) -> Handler:
    return lambda request: web.json_response(body)


def error(status: int, reason: str = "", message: str = "why", **headers: str) -> Handler:
    body = {"kind": "Status", "reason": reason, "message": message}
    return lambda request: web.json_response(body, status=status, headers=headers)


def hang_up(request: web.Request) -> web.Response:
    assert request.transport
    request.transport.close()
    return web.Response()


def stream(*events: Any, broken: bool = False) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for event in events:
            await response.write(json.dumps(event).encode() + b"\n")
        if broken:
            await response.write(b'{"type": "MODI')
            assert request.transport
            request.transport.close()
        return response

    return handle


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    client = client_of(server)
    yield client
    await client.close()


def client_of(server: Server, *, timeouts: Timeouts | None = None, **options: Any) -> Client:
    """Return a client whose waits take no time."""

    async def sleep(seconds: float) -> None:
        server.waits.append(seconds)

    transport = PyreqwestTransport(
        ServerConfig(server.url, authorization=operator_authorization), user_agent="test", timeouts=timeouts
    )
    return Client(transport, sleep=sleep, **options)


async def operator_authorization() -> str:
    return "Bearer operator"


async def test_bodies_are_canonical_json(server: Server, client: Client) -> None:
    server.handlers = [ok()]
    body = {"b": "<&>", "a": {"d": 1, "c": "\u2028"}}
    await client.create(REVISIONS, "default", body)
    await client.update(REVISIONS, "default", "a", body)
    await client.update(REVISIONS, "default", "a", body, encode=orjson.dumps)
    canonical = rb'{"a":{"c":"\u2028","d":1},"b":"\u003c\u0026\u003e"}'
    assert server.bodies == [canonical, canonical, orjson.dumps(body)]
    assert [(r.method, r.path) for r in server.requests[1:]] == [
        ("PUT", "/apis/apps/v1/namespaces/default/controllerrevisions/a")
    ] * 2


async def test_change_of_an_immutable_field_has_its_own_error(server: Server, client: Client) -> None:
    server.handlers = [error(422, "Invalid", "data: Invalid value: {}: field is immutable")]
    with pytest.raises(Immutable):
        await client.patch(REVISIONS, "default", "a", {})


async def test_requests_follow_the_api_conventions(server: Server, client: Client) -> None:
    server.handlers = [ok()]
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
    assert {r.headers["User-Agent"] for r in server.requests} == {"test"}
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
async def test_permanent_error_is_not_retried(
    server: Server, client: Client, status: int, reason: str, expected: type[KubeError]
) -> None:
    server.handlers = [error(status, reason)]
    with pytest.raises(KubeError, match="why") as caught:
        await client.get(SECRETS, "default", "a")
    assert type(caught.value) is expected
    assert (caught.value.status, caught.value.reason) == (status, reason)
    assert len(server.requests) == 1


async def test_missing_object_is_none_and_its_deletion_succeeds(server: Server, client: Client) -> None:
    server.handlers = [error(404)]
    assert await client.get_or_none(SECRETS, "default", "a") is None
    await client.delete(SECRETS, "default", "a")


@pytest.mark.parametrize("failure", [error(503), error(429), error(500)], ids=["503", "429", "500"])
async def test_transient_failure_is_retried_after_growing_waits(
    server: Server, client: Client, failure: Handler
) -> None:
    server.handlers = [failure, failure, ok()]
    assert await client.get(SECRETS, "default", "a") == OBJECT
    assert len(server.requests) == 3
    assert 0.1 <= server.waits[0] <= 0.3
    assert 0.2 <= server.waits[1] <= 0.6


@pytest.mark.parametrize(("header", "wait"), [("2", 2.0), ("60", 5.0), ("0", None), ("soon", None)])
async def test_retry_after_is_obeyed_up_to_five_seconds(
    server: Server, client: Client, header: str, wait: float | None
) -> None:
    server.handlers = [error(429, **{"Retry-After": header}), ok()]
    await client.get(SECRETS, "default", "a")
    assert server.waits == [pytest.approx(0.2, abs=0.1) if wait is None else wait]


@pytest.mark.parametrize("failure", [error(503, message="etcd is away"), hang_up], ids=["503", "hang up"])
async def test_transient_failure_is_raised_after_four_attempts(
    server: Server, client: Client, failure: Handler
) -> None:
    server.handlers = [failure]
    with pytest.raises(Unavailable, match=r"etcd is away|did not respond"):
        await client.create(SECRETS, "default", OBJECT)
    assert len(server.requests) == 4


async def test_error_body_that_is_not_json_becomes_the_message(server: Server, client: Client) -> None:
    server.handlers = [lambda request: web.Response(status=403, text="<html>a proxy</html>")]
    with pytest.raises(Rejected, match="a proxy"):
        await client.get(SECRETS, "default", "a")


def test_error_without_a_message_names_its_status() -> None:
    assert str(from_status(502, {}, None)) == "the API server answered 502"


async def test_transport_authenticates_and_a_caller_replaces_its_token(
    server: Server, client: Client
) -> None:
    server.handlers = [ok()]
    await client.get(SECRETS, "default", "a")
    await client.with_token("t").get(SECRETS, "default", "a")
    await client.get(SECRETS, "default", "a")
    tokens = [request.headers["Authorization"] for request in server.requests]
    assert tokens == ["Bearer operator", "Bearer t", "Bearer operator"]


async def test_writes_return_metadata_or_on_request_the_object(server: Server, client: Client) -> None:
    server.handlers = [ok()]
    await client.patch(SECRETS, "default", "a", {})
    await client.patch(SECRETS, "default", "a", {}, accept=JSON)
    assert [request.headers["Accept"] for request in server.requests] == [METADATA_ONLY, JSON]


async def test_token_of_a_service_account_is_requested_for_one_audience(
    server: Server, client: Client
) -> None:
    server.handlers = [ok({"status": {"token": "jwt"}})]
    assert await client.create_token("default", "reader", "sts.amazonaws.com", 900) == "jwt"
    assert server.requests[0].path == "/api/v1/namespaces/default/serviceaccounts/reader/token"
    sent = json.loads(server.bodies[0])
    assert sent["kind"] == "TokenRequest"
    assert sent["spec"] == {"audiences": ["sts.amazonaws.com"], "expirationSeconds": 900}


async def test_deletion_of_a_missing_object_raises_on_request(server: Server, client: Client) -> None:
    server.handlers = [error(404)]
    with pytest.raises(NotFound):
        await client.delete(SECRETS, "default", "a", missing_ok=False)


@pytest.mark.parametrize(
    ("method", "failure", "requests"),
    [("get", hang_up, 3), ("get", error(503), 1), ("get", error(429), 1), ("create", hang_up, 1)],
    ids=["read without response", "read with 503", "read with 429", "write without response"],
)
async def test_retry_policy_can_exclude_writes_and_responses(
    server: Server, method: str, failure: Handler, requests: int
) -> None:
    backoff = Backoff(first_seconds=0.3, most_seconds=0.6)
    policy = RetryPolicy(attempts=3, backoff=backoff, writes=False, responses=False)
    client = client_of(server, retries=policy)
    server.handlers = [failure]
    with pytest.raises(Unavailable):
        await (
            client.get(SECRETS, "default", "a") if method == "get" else client.create(SECRETS, "a", OBJECT)
        )
    assert len(server.requests) == requests
    assert server.waits == [0.3, 0.6][: requests - 1]
    await client.close()


DENIED = error(403, "Forbidden", 'secrets "a" is forbidden: User "u" cannot get resource "secrets"')


async def test_caller_denied_by_a_starting_api_server_is_retried(server: Server, client: Client) -> None:
    not_ready = error(500)
    server.handlers = [DENIED, not_ready, DENIED, not_ready, DENIED, ok(), ok()]
    assert await client.with_token("t").get(SECRETS, "default", "a") == OBJECT
    assert [request.path for request in server.requests[1::2]] == ["/readyz"] * 3
    assert server.waits == [0.3, 0.3]


async def test_caller_denied_by_a_ready_api_server_is_denied(server: Server, client: Client) -> None:
    server.handlers = [DENIED, ok(), DENIED]
    with pytest.raises(Forbidden):
        await client.with_token("t").get(SECRETS, "default", "a")
    assert [request.path for request in server.requests].count("/readyz") == 1


async def test_operator_denied_by_rbac_is_denied_at_once(server: Server, client: Client) -> None:
    server.handlers = [DENIED]
    with pytest.raises(Forbidden):
        await client.get(SECRETS, "default", "a")
    assert len(server.requests) == 1


@pytest.mark.parametrize(("handler", "responds"), [(ok(), True), (error(403), True), (hang_up, False)])
async def test_api_server_responds(server: Server, client: Client, handler: Handler, responds: bool) -> None:
    server.handlers = [handler]
    assert await client.responds() is responds


async def test_redirect_is_an_error(server: Server, client: Client) -> None:
    server.handlers = [error(302, Location="http://elsewhere")]
    with pytest.raises(Rejected):
        await client.get(SECRETS, "default", "a")


async def test_list_page_returns_the_token_of_the_next_page(server: Server, client: Client) -> None:
    server.handlers = [
        ok({"metadata": {"continue": "more"}, "items": [OBJECT]}), ok({"metadata": {}, "items": None}),
    ]  # fmt: skip
    assert (await client.list_page(SECRETS, "default", 1, selector="a"))[:2] == ([OBJECT], "more")
    assert (await client.list_page(SECRETS, "default", 1, "more"))[:2] == ([], None)
    queries = [dict(request.query) for request in server.requests]
    assert queries == [{"limit": "1", "labelSelector": "a"}, {"limit": "1", "continue": "more"}]


async def test_list_page_that_is_too_large_is_read_with_fewer_objects(server: Server, client: Client) -> None:
    large = {"metadata": {"name": "a"}, "data": "x" * 2**20}
    server.handlers = [ok({"metadata": {}, "items": [large] * 5}), ok({"metadata": {}, "items": [large]})]
    page = await client.list_page(SECRETS, "default", 100)
    assert (page.items, page.next_limit) == ([large], 3)
    assert [request.query["limit"] for request in server.requests] == ["100", "25"]


async def test_page_of_a_single_object_has_no_limit_of_bytes(server: Server, client: Client) -> None:
    large = {"metadata": {"name": "a"}, "data": "x" * 5 * 2**20}
    server.handlers = [ok({"metadata": {}, "items": [large]})]
    assert (await client.list_page(SECRETS, "default", 1)).items == [large]


async def test_list_page_continues_after_an_expired_token(server: Server, client: Client) -> None:
    expired = {"reason": "Expired", "message": "too old", "metadata": {"continue": "later"}}
    server.handlers = [
        lambda request: web.json_response(expired, status=410), ok({"metadata": {}, "items": [OBJECT]}),
    ]  # fmt: skip
    assert (await client.list_page(SECRETS, "default", 1, "old"))[:2] == ([OBJECT], None)
    assert [request.query["continue"] for request in server.requests] == ["old", "later"]


async def test_list_page_without_a_later_token_raises_gone(server: Server, client: Client) -> None:
    server.handlers = [error(410, "Expired")]
    with pytest.raises(Gone):
        await client.list_page(SECRETS, "default", 1, "old")


async def test_list_is_read_page_by_page(server: Server, client: Client) -> None:
    server.handlers = [
        ok({"metadata": {"continue": "more", "resourceVersion": "5"}, "items": [{"n": 1}, {"n": 2}]}),
        ok({"metadata": {"resourceVersion": "5"}, "items": [{"n": 3}]}),
    ]
    pages = [page async for page in client.pages(SECRETS, None, labelSelector="a=b")]
    assert [[item["n"] for item in page.items] for page in pages] == [[1, 2], [3]]
    assert {page.resource_version for page in pages} == {"5"}
    assert [dict(r.query) for r in server.requests] == [
        {"labelSelector": "a=b", "limit": "50"},
        {"labelSelector": "a=b", "limit": "500", "continue": "more"},
    ]


async def test_pages_of_large_objects_have_few_objects(server: Server, client: Client) -> None:
    large = {"metadata": {"continue": "more"}, "items": [{"data": "x" * 1_000_000}] * 8}
    huge = {"metadata": {"continue": "more"}, "items": [{"data": "x" * 5_000_000}]}
    server.handlers = [ok(large), ok(huge), ok({"metadata": {}, "items": []})]
    assert len(await client.list_all(SECRETS, None)) == 9
    assert [request.query["limit"] for request in server.requests] == ["50", "4", "1"]


async def test_items_of_a_table_are_its_rows_by_column(server: Server, client: Client) -> None:
    columns = [{"name": "Name", "type": "string"}, {"name": "Restarts", "type": "string"}]
    row = {"cells": ["m-1", "3 (5m ago)"], "object": None}
    table = {"kind": "Table", "columnDefinitions": columns, "rows": [row], "metadata": {"continue": "more"}}
    empty = {
        "kind": "Table",
        "columnDefinitions": columns,
        "rows": None,
        "metadata": {"resourceVersion": "5"},
    }
    server.handlers = [ok(table), ok(empty)]
    pages = [page async for page in client.pages(PODS, None, accept=TABLE)]
    assert [page.items for page in pages] == [
        [{"Name": "m-1", "Restarts": "3 (5m ago)"}],
        [],
    ]
    assert {request.headers["accept"] for request in server.requests} == {TABLE}


async def test_empty_list_of_metadata_has_null_items(server: Server, client: Client) -> None:
    server.handlers = [ok({"metadata": {"resourceVersion": "5"}, "items": None})]
    assert await client.list_all(SECRETS, "default") == []


def event(type_: str, version: int, **more: Any) -> dict[str, Any]:
    return {"type": type_, "object": {"metadata": {"resourceVersion": str(version)}} | more}


async def event_types(client: Client) -> list[str]:
    return [event["type"] async for event in client.watch(SECRETS, None, "5", labelSelector="a=b")]


async def test_watch_yields_events_until_the_server_ends_it(server: Server, client: Client) -> None:
    large = "x" * 700_000  # a ControllerRevision may have this size
    server.handlers = [stream(event("ADDED", 6), event("MODIFIED", 7, data=large), event("BOOKMARK", 8))]
    assert await event_types(client) == ["ADDED", "MODIFIED", "BOOKMARK"]
    query = dict(server.requests[0].query)
    assert query.pop("timeoutSeconds")
    assert query == {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "resourceVersion": "5",
        "labelSelector": "a=b",
    }


async def test_watch_yields_an_event_at_once(server: Server, client: Client) -> None:
    was_read = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(json.dumps(event("ADDED", 6)).encode() + b"\n")
        await was_read.wait()
        return response

    server.handlers = [handle]
    opened: list[bool] = []
    watch = client.watch(SECRETS, None, "5", on_open=lambda: opened.append(True))
    assert (await asyncio.wait_for(anext(watch), 10))["type"] == "ADDED"
    assert opened == [True]
    was_read.set()
    assert [event async for event in watch] == []


@pytest.mark.parametrize(
    ("handler", "expected"),
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
async def test_failed_watch_raises(
    server: Server, client: Client, handler: Handler, expected: type[KubeError]
) -> None:
    server.handlers = [handler]
    with pytest.raises(expected):
        await event_types(client)


async def test_silent_watch_raises_unavailable(server: Server) -> None:
    client = client_of(server, timeouts=Timeouts(idle_seconds=0.05))
    silence = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await silence.wait()
        return response

    server.handlers = [handle]
    opened: list[bool] = []
    with pytest.raises(Unavailable, match="the watch of secrets broke"):
        await anext(client.watch(SECRETS, None, "5", on_open=lambda: opened.append(True)))
    assert opened == [True]
    silence.set()
    await client.close()


async def test_log_of_a_removed_container_is_empty(server: Server, client: Client) -> None:
    """The kubelet answers with 200 and a sentence in place of the log."""
    texts = iter(["unable to retrieve container logs for containerd://52fe36d7", "Traceback\n"])
    server.handlers = [lambda request: web.Response(text=next(texts))]
    assert await client.log("team", "pod", previous="true") == ""
    assert await client.log("team", "pod", previous="false") == "Traceback\n"


async def log_of(client: Client) -> list[str]:
    return [line async for line in client.log_lines("default", "p", container="c")]


async def test_log_is_read_line_by_line_while_it_is_written(server: Server, client: Client) -> None:
    was_read = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\ntw\xff")
        await was_read.wait()
        await response.write(b"\n")
        return response

    server.handlers = [handle]
    lines = client.log_lines("default", "p", container="c")
    assert await asyncio.wait_for(anext(lines), 10) == "one"
    was_read.set()
    assert [line async for line in lines] == ["tw\N{REPLACEMENT CHARACTER}"]
    (request,) = server.requests
    assert request.path == "/api/v1/namespaces/default/pods/p/log"
    assert dict(request.query) == {"container": "c", "follow": "true"}


@pytest.mark.parametrize(
    ("handler", "expected"), [(error(404), NotFound), (error(400), Rejected), (hang_up, Unavailable)]
)
async def test_failed_log_raises(
    server: Server, client: Client, handler: Handler, expected: type[KubeError]
) -> None:
    server.handlers = [handler]
    with pytest.raises(expected):
        await log_of(client)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('pods is forbidden: User "system:serviceaccount:a:b" cannot list resource "pods"', Forbidden),
        ('pods "m" is forbidden: exceeded quota: q, requested: pods=1', Rejected),
    ],
)
def test_denial_of_rbac_differs_from_a_denied_quota(message: str, expected: type[KubeError]) -> None:
    assert type(from_status(403, {"reason": "Forbidden", "message": message}, None)) is expected


def test_creation_in_a_terminating_namespace_has_its_own_error() -> None:
    message = "unable to create new content in namespace n because it is being terminated"
    causes = [
        {"reason": "NamespaceTerminating", "field": "metadata.namespace", "message": "n is terminating"}
    ]
    body = {"reason": "Forbidden", "message": message, "details": {"name": "m", "causes": causes}}
    assert type(from_status(403, body, None)) is NamespaceTerminating
    assert type(from_status(403, body | {"details": None}, None)) is Rejected
