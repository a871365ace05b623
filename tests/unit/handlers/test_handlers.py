"""The handlers under the real kopf, against an API server with a script of lists and watches."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import kopf
import pytest
from aiohttp import web

from modelyard.api.kinds import KINDS, Kind
from modelyard.api.names import API_VERSION, GROUP, VERSION
from modelyard.backoff import Backoff
from modelyard.handlers import events, lifecycle

ROOT = f"/apis/{GROUP}/{VERSION}"


def _group(name: str, version: str) -> dict[str, Any]:
    versions = [{"version": version, "groupVersion": f"{name}/{version}"}]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _resource(plural: str, singular: str, kind: str, *, namespaced: bool) -> dict[str, Any]:
    return {
        "name": plural,
        "singularName": singular,
        "kind": kind,
        "namespaced": namespaced,
        "verbs": ["list", "watch", "patch"],
    }


# The kinds that kopf looks for before it watches others: https://docs.kopf.dev/en/stable/deployment/#rbac.
DISCOVERY = {
    "/apis": {"groups": [_group(GROUP, VERSION), _group("apiextensions.k8s.io", "v1")]},
    "/api": {"versions": ["v1"]},
    "/api/v1": {
        "resources": [
            _resource("namespaces", "namespace", "Namespace", namespaced=False),
            _resource("events", "event", "Event", namespaced=True),
        ]
    },
    "/apis/apiextensions.k8s.io/v1": {
        "resources": [
            _resource(
                "customresourcedefinitions",
                "customresourcedefinition",
                "CustomResourceDefinition",
                namespaced=False,
            )
        ]
    },
    ROOT: {"resources": [_resource(k.plural, k.singular, k.name, namespaced=True) for k in KINDS]},
}


class Event(NamedTuple):
    """One call of the controller."""

    kind: str
    type: str | None
    name: str


class RecordingController:
    """Keeps what the handlers call."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        self.calls.append("start")

    async def stop(self) -> None:
        self.calls.append("stop")

    def observe(self, kind: Kind, event_type: str | None, body: dict[str, Any]) -> None:
        event = Event(kind.name, event_type, body["metadata"]["name"])
        self._loop.call_soon_threadsafe(self.events.put_nowait, event)


class ScriptedApiServer:
    """Answers kopf's requests for one kind from a script, and for the other kinds with empty lists."""

    def __init__(self, kind: Kind, lists: list[list[str]], watches: list[list[tuple[str, str]]]):
        self.kind = kind
        self.lists = lists
        self.watches = watches
        self.denials = 0
        self.queries: list[dict[str, str]] = []
        self.url = ""

    async def start(self) -> None:
        """Listen on a free port."""
        self._ending = asyncio.Event()
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """End the watches and the server."""
        self._ending.set()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rstrip("/")
        if path in DISCOVERY:
            return web.json_response(DISCOVERY[path])
        is_scripted = path.endswith(f"/{self.kind.plural}")
        if "watch" in request.query:
            return await self._watch(request, self.watches if is_scripted else [])
        if is_scripted and self.denials:
            self.denials -= 1
            denial = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "RBAC is not loaded"}
            return web.json_response(denial, status=403)
        if is_scripted:
            self.queries.append(dict(request.query))
        names = self.lists.pop(0) if is_scripted and self.lists else []
        return web.json_response(
            {"items": [_body(name) for name in names], "metadata": {"resourceVersion": "7"}}
        )

    async def _watch(self, request: web.Request, watches: list[list[tuple[str, str]]]) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if not watches:
            await self._ending.wait()
            return response
        for event, name in watches.pop(0):
            type_, _, code = event.partition(" ")
            body = {"code": int(code), "reason": "Expired"} if code else _body(name)
            await response.write(json.dumps({"type": type_, "object": body}).encode() + b"\n")
        return response


def _body(name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": "7"}
    return {"apiVersion": API_VERSION, "metadata": metadata, "spec": {}}


class Running:
    """kopf with the operator's handlers in a thread, and the API server that it asks.

    A thread: at its end kopf cancels every task of its event loop that began after it, the test included.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self.controller = RecordingController()
        self._kubeconfig = kubeconfig
        self._begun = threading.Event()
        self._operator: asyncio.Future[None] | None = None
        self._server: ScriptedApiServer | None = None

    async def start(self, server: ScriptedApiServer) -> None:
        """Start the API server, then kopf."""
        await server.start()
        self._server = server
        kubeconfig = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": server.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
        self._kubeconfig.write_text(json.dumps(kubeconfig))
        self._operator = asyncio.ensure_future(asyncio.to_thread(asyncio.run, self._run()))

    async def _run(self) -> None:
        self._loop, self._stop_flag = asyncio.get_running_loop(), asyncio.Event()
        self._begun.set()
        await kopf.operator(
            memo=kopf.Memo(controller=self.controller),
            standalone=True,
            clusterwide=True,
            stop_flag=self._stop_flag,
        )

    async def wait(self) -> None:
        """Wait for the end of kopf; raises its error."""
        operator, self._operator = self._operator, None
        if operator:
            await asyncio.wait_for(operator, 10)

    async def stop(self) -> None:
        """Stop kopf, then the API server."""
        if self._operator:
            self._begun.wait()
            self._loop.call_soon_threadsafe(self._stop_flag.set)
        await self.wait()
        if self._server:
            await self._server.stop()

    def tasks_of_objects(self) -> list[str]:
        """Return the names of the tasks that kopf has for single objects."""
        names = [task.get_name() for task in asyncio.all_tasks(self._loop)]
        return [name for name in names if name.startswith("worker for")]

    async def next_events(self, count: int) -> list[Event]:
        """Return the next events of the controller; fails after 10 s."""
        async with asyncio.timeout(10):
            return [await self.controller.events.get() for _ in range(count)]


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    running = Running(tmp_path / "kubeconfig")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setattr(lifecycle, "_RETRY", Backoff(0.0, 0.0))
    yield running
    await running.stop()


def test_each_kind_has_one_event_handler() -> None:
    handlers = [events.model_event, events.manifest_event, events.image_event, events.service_event]
    registered = kopf.get_default_registry()._watching.get_all_handlers()
    assert [handler.fn for handler in registered] == handlers
    assert [handler.selector.any_name for handler in registered if handler.selector] == [
        kind.plural for kind in KINDS
    ]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_handler_passes_each_event_of_its_kind_to_the_controller(kind: Kind, running: Running) -> None:
    watch = [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "b")]
    server = ScriptedApiServer(kind, [["a"]], [watch])
    await running.start(server)
    found = await running.next_events(4)
    assert found[0] == Event(kind.name, None, "a")
    assert [event for event in found if event.name == "b"] == [
        Event(kind.name, type_, name) for type_, name in watch
    ]
    assert running.controller.calls == ["start"]
    assert server.queries[0]["limit"] == "50"
    await running.stop()
    assert running.controller.calls == ["start", "stop"]


async def test_kopf_releases_an_object_soon_after_its_event(running: Running) -> None:
    """The task of an object holds its body, up to 1.5 MiB; kopf lists thousands of objects at its start."""
    await running.start(ScriptedApiServer(KINDS[0], [["a", "b"]], []))
    await running.next_events(2)
    async with asyncio.timeout(2):  # kopf's default is 5 s
        while running.tasks_of_objects():
            await asyncio.sleep(0.01)


async def test_list_after_an_expired_watch_reports_no_deletion(running: Running) -> None:
    """This is the reason for the comparison in the controller; tests/unit/fake_kopf.py behaves the same."""
    server = ScriptedApiServer(KINDS[0], [["a", "b"], ["a"]], [[("ERROR 410", "")]])
    await running.start(server)
    found = await running.next_events(3)
    assert sorted(event.name for event in found) == ["a", "a", "b"]
    assert {event.type for event in found} == {None}
    await asyncio.sleep(0)
    assert running.controller.events.empty()


async def test_denials_of_a_starting_api_server_do_not_end_the_operator(running: Running) -> None:
    server = ScriptedApiServer(KINDS[0], [["a"]], [])
    server.denials = 20
    await running.start(server)
    assert await running.next_events(1) == [Event("Model", None, "a")]
    assert server.denials == 0


async def test_unexpected_error_of_a_watch_ends_the_process(running: Running) -> None:
    """kopf lists again after a 410 only. The kubelet starts the operator again after any other error."""
    server = ScriptedApiServer(KINDS[0], [["a"]], [[("ERROR 500", "")]])
    await running.start(server)
    with pytest.raises(Exception, match="Error in the watch-stream"):
        await running.wait()
