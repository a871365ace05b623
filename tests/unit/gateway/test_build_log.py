"""The log of a build, streamed as it grows."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.gateway.conftest import ROOT, Api, image, manifest
from tests.unit.operator_harness import SYSTEM

from modelyard.gateway import build_log
from modelyard.gateway.build_log import news
from modelyard.gateway.cluster import Caller
from modelyard.gateway.request_context import (
    API_VERSIONS,
    Exchange,
    Parts,
)
from modelyard.gateway.settings import GatewaySettings
from modelyard.kube.errors import Unavailable, from_status
from modelyard.kube.types import CONFIG_MAPS, JOBS, PODS, REVISIONS, Json
from modelyard.reconcile.builds.build_log import POLL_SECONDS
from modelyard.resources.build_job import CONTAINER

LOG = "/images/m:1/log"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two looks."""
    monkeypatch.setattr(build_log, "_PAUSE", 0)


class Build:
    """An image whose build runs: what it says, and how it ends."""

    def __init__(self, api: Api):
        self.api = api

    async def begin(self, status: Json | None = None) -> None:
        await self.api.post("/manifests", manifest())
        await self.api.post("/images", image(), 202)
        await self.api.harness.settle()
        cluster = self.api.harness.cluster
        (job,) = (body["metadata"]["name"] for body in cluster.all(JOBS))
        self.pod = f"{job}-running"
        metadata = {"name": self.pod, "labels": {"batch.kubernetes.io/job-name": job}}
        running = {"phase": "Running", "containerStatuses": [{"name": CONTAINER, "state": {"running": {}}}]}
        cluster.put(PODS, SYSTEM, {**PODS.header(), "metadata": metadata})["status"] = status or running
        cluster.logs[self.pod] = ""

    async def say(self, line: str) -> None:
        self.api.harness.cluster.logs[self.pod] += f"{line}\n"
        await self.api.harness.play(POLL_SECONDS + 1, alone=True)


@pytest.fixture
async def build(api: Api) -> Build:
    build = Build(api)
    await build.begin()
    return build


async def lines_of(api: Api, *script: str, build: Build) -> AsyncIterator[str]:
    """Each piece of the log as it comes; one line of the script is said before the next piece."""
    parts = Parts(GatewaySettings(), api.server)
    exchange = Exchange(parts, Caller(api.server, "editor", "default"), ROOT, API_VERSIONS[0])
    version = await exchange.record("image-m-1")
    assert version
    left = list(script)
    async for piece in build_log.follow(exchange, version, await build_log.look(exchange, version)):
        yield piece
        if left:
            await build.say(left.pop(0))
        else:
            await api.harness.play()


async def test_it_streams_while_the_build_runs(api: Api, build: Build) -> None:
    pieces = [piece async for piece in lines_of(api, "[Fetch] a", "[Build] b", "[Push] c", build=build)]
    assert pieces[0].startswith("building m:1 in Job ")
    assert pieces[1:4] == ["[Fetch] a\n", "[Build] b\n", "[Push] c\n"]
    assert (await api.get("/operations/image-m-1"))["state"] == "Succeeded"


async def test_it_says_what_keeps_a_build_from_beginning(api: Api) -> None:
    no_room = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    build = Build(api)
    await build.begin({"phase": "Pending", "conditions": [no_room]})
    await api.harness.play(POLL_SECONDS + 1, alone=True)
    pieces = [piece async for piece in lines_of(api, build=build)]
    assert "0/1 nodes" in pieces[0]


async def test_it_opens_with_the_callers_token(api: Api, build: Build) -> None:
    await build.say("[Fetch] a")
    running = await api.get("/images/m:1")
    assert running["creationState"] == "Running"
    await api("GET", LOG, 401, token="nobody")
    await api.harness.play()
    answer = await api.http.get(running["imageBuildLogUri"], headers={"Authorization": "Bearer viewer"})
    assert answer.status_code == 200
    assert answer.text
    assert (await api.get("/images/m:1"))["imageBuildLogUri"] == running["imageBuildLogUri"]


async def test_a_log_that_may_not_be_read_is_an_error(api: Api, build: Build) -> None:
    def fault(method: str, path: str) -> None:
        if f"/{CONFIG_MAPS.plural}/" in path:
            raise from_status(403, {"message": "configmaps is forbidden"}, None)

    api.server.fault = fault
    assert (await api("GET", LOG, 403)).json()["code"] == "Forbidden"


async def test_an_api_server_that_is_away_interrupts_nothing(api: Api, build: Build) -> None:
    await build.say("[Fetch] a")
    failures = [Unavailable("gone", status=503)] * 5
    pieces = []
    async for piece in lines_of(api, "[Push] b", build=build):
        pieces.append(piece)

        def fault(method: str, path: str) -> None:
            if f"/{REVISIONS.plural}/" in path and failures:
                raise failures.pop()

        api.server.fault = fault
    assert pieces[:2] == ["[Fetch] a\n", "[Push] b\n"]
    assert not failures


async def test_a_token_that_expires_ends_it_with_a_word(api: Api, build: Build) -> None:
    await build.say("[Fetch] a")
    pieces = []
    async for piece in lines_of(api, "[Push] b", build=build):
        pieces.append(piece)

        def fault(method: str, path: str) -> None:
            raise from_status(401, {"message": "Unauthorized"}, None)

        api.server.fault = fault
    assert pieces == ["[Fetch] a\n", "\nthe token is not valid, or has expired: sign in again\n"]


@pytest.mark.parametrize(
    ("sent", "log", "expected"),
    [
        ("", "a\n", "a\n"),
        ("a\n", "a\n", ""),
        ("a\n", "a\nb\n", "b\n"),
        ("x" * 3000 + "a\n", "x" * 1500 + "a\nb\n", "b\n"),  # it has lost its beginning
        ("attempt 1\n", "attempt 2\n", "attempt 2\n"),
    ],
)
def test_news(sent: str, log: str, expected: str) -> None:
    assert news(sent, log) == expected
